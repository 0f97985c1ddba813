"""What strangers send is counted each time, and told once an hour for each reason."""

from pathlib import Path

import structlog

from presencebridge.adapters import Outside
from presencebridge.config import load
from presencebridge.graph.notices import Reject
from presencebridge.node.site import Site
from presencebridge.runtime.clock import SteadyClock

CONFIG = """
[teams]
tenant_id = "11111111-2222-3333-4444-555555555555"
client_id = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
client_secret_file = "secret"
[pbx]
kind = "3cx-web-api"
url = "http://127.0.0.1:8889"
[[person]]
teams = "user1@example.org"
extension = "101"
"""


class Later(SteadyClock):
    """A clock that is put forward by hand."""

    ahead_s = 0.0

    def now(self) -> float:
        return super().now() + self.ahead_s


class OutsideWith(Outside):
    def __init__(self, clock: Later) -> None:
        self._clock = clock

    def clock(self) -> SteadyClock:
        return self._clock


def test_what_is_not_believed_is_told_once_an_hour_by_reason(tmp_path: Path) -> None:
    (tmp_path / "secret").touch(0o600)
    (tmp_path / "secret").write_text("s3cret")
    (tmp_path / "site.toml").write_text(CONFIG)
    clock = Later()
    site = Site(load(tmp_path / "site.toml"), outside=OutsideWith(clock))
    with structlog.testing.capture_logs() as lines:
        for _ in range(100):
            site._rejected(Reject.CLIENT_STATE)
            site._rejected(Reject.SHAPE)
        clock.ahead_s = 3601.0
        site._rejected(Reject.SHAPE)
    assert [line["why"] for line in lines] == ["client_state", "shape", "shape"]
    counted = site.metrics.notifications.labels("client_state")
    assert counted._value.get() == 100
