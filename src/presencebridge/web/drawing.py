"""PURE: what is known, as HTML in the reader's language."""

import functools
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import resources
from typing import Any, Final
from urllib.parse import quote

import jinja2
import msgspec
from markupsafe import Markup

from presencebridge import words
from presencebridge.bilingual import LANGUAGES, Language
from presencebridge.reasons import reason
from presencebridge.runtime.journal import Entry
from presencebridge.runtime.plots import SLOT_S, SLOTS, Hop, Slot
from presencebridge.texts import Text
from presencebridge.web import picture, views

_MINUTES: Final = str(round(SLOT_S * SLOTS / 60))

_HOPS: Final = {
    "graph": ((Hop.TEAMS_READ, Text.HOP_READ), (Hop.TEAMS_WRITE, Text.HOP_WRITE)),
    "3cx": (
        (Hop.PBX_READ, Text.HOP_READ),
        (Hop.PBX_SEEN, Text.HOP_SEEN),
        (Hop.PBX_WRITE, Text.HOP_WRITE),
    ),
    "subscription": (
        (Hop.TEAMS_OPENED, Text.HOP_OPENED),
        (Hop.TEAMS_NOTIFIED, Text.HOP_NOTIFIED),
    ),
}
"""By link, what is plotted beside it."""

TAGS: Final = ("all", "call", "held", "trouble", "waiting", "paused", "excluded")
ORDERS: Final = ("extension", "name", "trouble")
_RANKS: Final = {"trouble": 0, "waiting": 1, "working": 2, "paused": 3}


class Looks(msgspec.Struct, frozen=True):
    """What the reader asked for: text to find, a tag, and an order."""

    find: str = ""
    show: str = "all"
    order: str = "extension"

    def shows(self, view: views.PersonView) -> bool:
        return self.show in tags(view) and self.find.strip().casefold() in _found_by(view)

    def sorted(self, people: Iterable[views.PersonView]) -> list[views.PersonView]:
        """People who are in the order of their extensions, in the order asked for."""
        if self.order == "name":
            return sorted(people, key=lambda one: one.name.casefold())
        if self.order == "trouble":
            return sorted(people, key=lambda one: _RANKS.get(one.condition, len(_RANKS)))
        return list(people)


class HopView(msgspec.Struct, frozen=True):
    name: str
    mean: str
    title: str
    path: str


class LinkCard(msgspec.Struct, frozen=True):
    link: views.LinkView
    name: str
    hops: list[HopView]


class SiteView(msgspec.Struct, frozen=True):
    """A site in the list of sites: `path` leads to its page."""

    name: str
    path: str
    ready: bool
    dry_run: bool
    links: list[views.LinkView]
    counts: dict[str, int]


def tags(view: views.PersonView) -> tuple[str, ...]:
    """What somebody may look for: the conditions, and whether there is a call or something is ours."""
    found = ["all"]
    if view.in_call:
        found.append("call")
    if view.teams_claim or view.status_claim:
        found.append("held")
    if view.condition in TAGS:
        found.append(view.condition)
    return tuple(found)


def _found_by(view: views.PersonView) -> str:
    """What a search looks in."""
    return f"{view.name} {view.extension} {view.teams_name}".casefold()


class Drawing:
    """The templates, read once, for each language."""

    def __init__(self) -> None:
        self._speaking = {language: _environment(language) for language in LANGUAGES}
        self._row = {language: self._speaking[language].get_template("row.html") for language in LANGUAGES}

    def row(self, view: views.PersonView, language: Language) -> str:
        """One person, on one line."""
        return self._row[language].render(p=view).replace("\n", "")

    def page(self, name: str, language: Language, **what: Any) -> str:
        return self._speaking[language].get_template(name).render(**what)

    def links(
        self,
        links: Iterable[views.LinkView],
        ending: Iterable[views.Note],
        hops: Mapping[Hop, list[Slot | None]],
        language: Language,
    ) -> str:
        """A card for each link, and one for what ends soon."""
        cards = [
            LinkCard(one, words.link_name(one.name, language), _hops(one, hops, language)) for one in links
        ]
        return self.page("links.html", language, cards=cards, ending=list(ending))

    def stories(self, entries: Iterable[Entry], language: Language) -> list[views.Story]:
        """The newest first."""
        return [views.story(entry, language) for entry in reversed(tuple(entries))]


def _environment(language: Language) -> jinja2.Environment:
    """The templates, speaking a language."""
    folder = resources.files("presencebridge.web") / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text("utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "quoted": lambda text: quote(text, safe=""),
        "tone": picture.tone,
        "clock": _clock,
        "iso": views.clock,
        "hour": lambda at: datetime.fromtimestamp(at).astimezone().strftime("%H:%M"),
    }
    environment.globals |= {
        "lang": language,
        "root": "",
        "heading": "",
        "spark_box": picture.SPARK_BOX,
        "tags": tags,
        "t": functools.partial(_say, language),
        "reason": lambda text: reason(text, language),
        "link_name": lambda name: words.link_name(name, language),
        "teams": lambda pair: words.presence(pair, language),
        "status": lambda name: words.status(name, language),
        "leg": lambda state: words.leg(state, language),
        "shown": functools.partial(_shown, language),
    }
    return environment


def _say(language: Language, key: str, **filled: object) -> str:
    return Text[key].say(language, **{name: str(value) for name, value in filled.items()})


def _shown(language: Language, lane: str, value: str) -> str:
    """What a lane of the day showed."""
    if lane == "CALLS":
        return words.leg(value, language)
    return words.presence(value, language) if "TEAMS" in lane else words.status(value, language)


def _hops(link: views.LinkView, hops: Mapping[Hop, list[Slot | None]], language: Language) -> list[HopView]:
    found = []
    for hop, text in _HOPS.get(link.name.partition(" ")[0], ()):
        spark = picture.spark(hops[hop])
        if spark is not None:
            mean, worst = (picture.duration(time, language) for time in (spark.mean_s, spark.worst_s))
            title = Text.HOP_TITLE.say(
                language,
                what=Text[f"HOP_WHAT_{hop.value.upper()}"].say(language),
                count=str(spark.count),
                minutes=_MINUTES,
                mean=mean,
                worst=worst,
            )
            found.append(HopView(text.say(language), mean, title, spark.path))
    return found


def _clock(at: float | str) -> Markup:
    """A time of day. The browser puts it into its own zone; until then it is the service's."""
    when = datetime.fromisoformat(at) if isinstance(at, str) else datetime.fromtimestamp(at).astimezone()
    text = when.astimezone().strftime("%H:%M:%S")
    iso = at if isinstance(at, str) else views.clock(at)
    return Markup('<time datetime="{}">{}</time>').format(iso, text)
