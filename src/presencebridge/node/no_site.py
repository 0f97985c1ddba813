"""What the page shows of a site whose config could not be used so far: why, and what repairs it."""

from presencebridge.errors import Misconfigured, Refused
from presencebridge.metrics import Metrics
from presencebridge.notify import Standing
from presencebridge.runtime.day import Day
from presencebridge.runtime.journal import Journal
from presencebridge.runtime.links import Links
from presencebridge.runtime.plots import Plots
from presencebridge.runtime.ports import Clock
from presencebridge.web import views


class NoSite:
    """Stands where a site would."""

    def __init__(self, name: str, error: Misconfigured, clock: Clock, metrics: Metrics) -> None:
        self.name = name
        self.error = error
        self.journal = Journal()
        self.metrics = metrics
        self.plots = Plots(clock.now)
        self.day: Day | None = None
        self.is_dry_run = False
        self._clock = clock
        self._links = Links(clock.now)
        what = "; ".join(in_short(error))
        cure = "; ".join(problem.cure for problem in error.problems)
        self._links.named("config").failed(Refused(f"the file can't be used: {what}", cure=cure))

    def overview(self) -> views.Overview:
        why = self.out_of_step()
        return views.Overview(ready=False, dry_run=False, links=self.link_views(), people=[], out_of_step=why)

    def keys(self) -> list[str]:
        return []

    def view(self, key: str) -> views.PersonView | None:  # noqa: ARG002
        return None

    def find(self, name: str) -> str | None:  # noqa: ARG002
        return None

    def link_views(self) -> list[views.LinkView]:
        return [views.link(report) for report in self._links.reports()]

    def ending(self) -> list[views.Note]:
        return []

    def now(self) -> float:
        return self._clock.now()

    def out_of_step(self) -> list[str]:
        return [report.reason for report in self._links.reports()]

    def person(self, name: str) -> views.PersonPage | None:  # noqa: ARG002
        return None

    def matching(self) -> views.MatchingView:
        return views.MatchingView("list", None, None, [], [], [])

    def pause(self, name: str, seconds: float | None) -> bool:  # noqa: ARG002
        return False

    def resume(self, name: str) -> bool:  # noqa: ARG002
        return False

    def refresh(self) -> None: ...

    def stuck(self) -> list[str]:
        return []

    def measure(self) -> None:
        self.metrics.in_step.set(0)
        self.metrics.config_refused.set(1)

    @property
    def standing(self) -> Standing:
        return Standing(alive=True, text="; ".join(self.out_of_step()))


def in_short(error: Misconfigured) -> list[str]:
    """Without the cures."""
    found = []
    for problem in error.problems:
        where = f"{problem.where} (line {problem.line})" if problem.line else problem.where
        found.append(f"{where}: {problem.what}")
    return found
