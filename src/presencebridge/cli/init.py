"""`init`: asks what it must, makes the certificate and the config, and tells what to click."""

import contextlib
import getpass
import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter

from presencebridge.config import load, secret
from presencebridge.errors import BridgeError, Misconfigured, Problem
from presencebridge.runtime.clock import SteadyClock
from presencebridge.setup import certificate, clicks, writing
from presencebridge.setup.answers import V20, WORDS, Answers, of_config
from presencebridge.setup.texts import Language, Text

_USUAL: Final = Path("/etc/presencebridge")
_USUAL_STATE: Final = "/var/lib/presencebridge"
_PERSON: Final = re.compile(r"(\S+?)[\s=]+(\d+)")

_OPTIONS: Final = {
    "tenant": "--tenant",
    "client_id": "--client-id",
    "kind": "--kind",
    "pbx_url": "--pbx-url",
    "pbx_client_id": "--pbx-client-id",
    "people": "--person",
}
"""What has no default, and the option that gives it."""

Valid = Callable[[Any], bool]


def init(  # noqa: PLR0913 - an option for each answer
    *,
    output: Path | None = None,
    yes: Annotated[bool, Parameter(negative="")] = False,
    language: Language | None = None,
    tenant: str | None = None,
    client_id: str | None = None,
    kind: Literal["3cx-v20", "3cx-web-api"] | None = None,
    pbx_url: str | None = None,
    pbx_client_id: str | None = None,
    pbx_key_file: str | None = None,
    match: Literal["email", "list"] | None = None,
    person: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    exclude: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    manual_wins: bool | None = None,
    cloud: Literal["global", "usgov", "dod"] | None = None,
    graph_url: str | None = None,
    login_url: str | None = None,
    ca_file: str | None = None,
    pbx_ca_file: str | None = None,
    listen: str | None = None,
    state_dir: str | None = None,
) -> int:
    """Ask what is needed, make the certificate and the config, and tell what to click. May be run again.

    Parameters
    ----------
    output
        The config to write; /etc/presencebridge/site.toml, or site.toml where that may not be written.
    yes
        Ask nothing: options, the config that is there, and the defaults are the answers. A config that is
        there is not written over.
    language
        Of questions and comments; that of the environment (LANG).
    tenant
        Directory (tenant) ID.
    client_id
        Application (client) ID.
    kind
        3cx-v20, or 3cx-web-api for V16 and V18.
    pbx_url
        Address of 3CX, or of 3cx-web-API.
    pbx_client_id
        V20: Client ID of the API client.
    pbx_key_file
        V20: file with its key.
    match
        email: who has the same address on both sides; list: only those who are named.
    person
        Teams name and extension, such as ann@example.org=101; may be given several times.
    exclude
        Who is left alone: extension or mail address; may be given several times.
    manual_wins
        Leave a status alone that somebody set by hand.
    cloud
        Microsoft's cloud.
    graph_url
        Another Graph, such as an emulator.
    login_url
        Another sign-in.
    ca_file
        Authority to trust on Microsoft's side beside the usual ones.
    pbx_ca_file
        The same for 3CX.
    listen
        Where the page is.
    state_dir
        Where the state is kept.
    """
    given = Answers(
        tenant=tenant,
        client_id=client_id,
        cloud=cloud,
        graph_url=graph_url,
        login_url=login_url,
        ca_file=ca_file,
        kind=kind,
        pbx_url=pbx_url,
        pbx_client_id=pbx_client_id,
        pbx_key_file=pbx_key_file,
        pbx_ca_file=pbx_ca_file,
        match=match,
        exclude=list(exclude) or None,
        manual_wins=manual_wins,
        listen=listen,
        state_dir=state_dir,
        people=[_person(one) for one in person],
    )
    file = output or _usual()
    asks = not yes and sys.stdin.isatty()
    talk = _Talk(file, language or _language(), asks=asks)
    talk.run(given)
    return 0


def _usual() -> Path:
    return (_USUAL if os.access(_USUAL, os.W_OK) else Path()) / "site.toml"


def _language() -> Language:
    named = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return "de" if named.casefold().startswith("de") else "en"


def _is_yes(said: str) -> bool:
    return said.casefold() in {"y", "yes", "j", "ja"}


def _is_yes_or_no(said: str) -> bool:
    return _is_yes(said) or said.casefold() in {"n", "no", "nein"}


def _person(text: str) -> tuple[str, str]:
    found = _PERSON.fullmatch(text.strip())
    if found is None:
        cure = "such as --person ann@example.org=101"
        raise Misconfigured([Problem("--person", f"{text!r} is no Teams name with an extension", cure)])
    return found[1], found[2]


class _Talk:
    """One run: what is known, what is asked, what is written."""

    def __init__(self, file: Path, language: Language, *, asks: bool) -> None:
        self._file = file
        self._language = language
        self._asks = asks
        self._old = ""
        self._may_fill_in = False
        self._answers = Answers()
        self._pbx_key = ""
        """To be written; empty where nobody gave one."""

    def run(self, given: Answers) -> None:
        self._read_old()
        self._take(given)
        if self._asks:
            self._say(Text.HELLO)
            if self._old:
                self._say(Text.AGAIN, file=str(self._file))
            with self._stopped_early():
                self._ask(given)
        self._fill_up()
        self._check_all()
        crt = self._keys()
        self._write()
        self._tell(crt)

    # What is known

    def _read_old(self) -> None:
        if not self._file.exists():
            return
        try:
            self._old = self._file.read_text("utf-8-sig")
            self._answers = of_config(tomllib.loads(self._old))
            self._may_fill_in = True
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            self._say(Text.NOT_READABLE, file=str(self._file), why=str(error))

    def _take(self, given: Answers) -> None:
        """What the options say goes before what the config says."""
        for name in WORDS:
            if getattr(given, name) is not None:
                setattr(self._answers, name, getattr(given, name))
        named = {teams for teams, _ in given.people}
        kept = [one for one in self._answers.people if one[0] not in named]
        self._answers.people = [*kept, *given.people]

    def _fill_up(self) -> None:
        """What nobody was asked for. A config that is there says it, or leaves it to the defaults."""
        if self._may_fill_in:
            return
        answers = self._answers
        by_mail = answers.kind == V20 and not answers.people
        defaults: dict[str, Any] = {
            "certificate_file": self._secret("app.pem"),
            "delivery": "poll",
            "pbx_key_file": self._secret("pbx-key"),
            "match": "email" if by_mail else "list",
            "manual_wins": True,
            "listen": "127.0.0.1:8080",
            "state_dir": _USUAL_STATE if self._is_only else f"{_USUAL_STATE}/{self._file.stem}",
        }
        for name, value in defaults.items():
            if getattr(answers, name) is None:
                setattr(answers, name, value)

    # Asking

    def _ask(self, given: Answers) -> None:
        answers = self._answers
        self._say(Text.REGISTER, portal=clicks.portal(answers))
        if given.tenant is None:
            answers.tenant = self._asked(Text.TENANT, answers.tenant, self._fits("tenant"), Text.NO_GUID)
        if given.client_id is None:
            answers.client_id = self._asked(
                Text.CLIENT, answers.client_id, self._fits("client_id"), Text.NO_GUID
            )
        if given.kind is None:
            choices = {"3cx-v20", "3cx-web-api"}
            answers.kind = self._asked(Text.KIND, answers.kind or V20, choices.__contains__, Text.NO_KIND)
        is_v20 = answers.kind == V20
        if given.pbx_url is None:
            default = answers.pbx_url or ("" if is_v20 else "http://127.0.0.1:8889")
            text = Text.URL_V20 if is_v20 else Text.URL_WEB_API
            answers.pbx_url = self._asked(text, default, self._fits("pbx_url"), Text.NO_URL)
        if is_v20:
            self._ask_for_api_client(given)
        self._ask_for_people(given)
        if given.manual_wins is None:
            was = answers.manual_wins
            default = self._word(not self._may_fill_in if was is None else was)
            said = self._asked(Text.MANUAL, default, _is_yes_or_no, Text.NO_YES)
            answers.manual_wins = _is_yes(said)

    def _ask_for_api_client(self, given: Answers) -> None:
        answers = self._answers
        if given.pbx_client_id is None:
            default = answers.pbx_client_id or "teamsync"
            answers.pbx_client_id = self._asked(Text.PBX_CLIENT, default, bool, Text.NO_PBX_CLIENT)
        if answers.pbx_key_file is None:
            if secret("pbx-client-secret") is not None:
                return
            answers.pbx_key_file = self._secret("pbx-key")
        file = self._beside(answers.pbx_key_file)
        if not file.exists():
            print(f"\n{Text.PBX_KEY.say(self._language)}")
            self._pbx_key = getpass.getpass("> ").strip()

    def _ask_for_people(self, given: Answers) -> None:
        answers = self._answers
        if answers.kind != V20:
            answers.match = "list"
        elif given.match is None:
            default = answers.match or "email"
            choices = {"email", "list"}
            answers.match = self._asked(Text.MATCH, default, choices.__contains__, Text.NO_MATCH)
        if not answers.by_list or given.people:
            return
        self._say(Text.PERSON)
        for teams, extension in answers.people:
            print(f"  {teams} {extension}")
        while True:
            said = input("> ").strip()
            if not said and answers.people:
                return
            found = _PERSON.fullmatch(said)
            if not said:
                self._say(Text.NOBODY)
            elif found is None or not self._is_person(found[1], found[2]):
                self._say(Text.NO_PERSON)
            else:
                answers.people.append((found[1], found[2]))

    def _asked(self, text: Text, default: str | None, valid: Valid, otherwise: Text) -> str:
        print(f"\n{text.say(self._language)}")
        while True:
            said = input(f"[{default}] > " if default else "> ").strip() or (default or "")
            if said and valid(said):
                return said
            self._say(otherwise)

    def _word(self, yes: bool) -> str:
        return (Text.YES if yes else Text.NO).say(self._language)

    @contextlib.contextmanager
    def _stopped_early(self) -> Any:
        try:
            yield
        except EOFError:
            raise BridgeError("the input ended before the last question; no config was written") from None

    # Judging: the config's own check is the judge

    def _fits(self, name: str) -> Valid:
        section, word = WORDS[name]

        def fits(value: Any) -> bool:
            tried = Answers(**{**_PLAIN, "kind": self._answers.kind or V20, name: value})
            return f"[{section}] {word}" not in _wheres(tried, self._language)

        return fits

    def _is_person(self, teams: str, extension: str) -> bool:
        tried = Answers(**_PLAIN, people=[*self._answers.people, (teams, extension)])
        return not any(where.startswith("[[person]]") for where in _wheres(tried, self._language))

    def _check_all(self) -> None:
        """Raises `Misconfigured` with everything that is missing or can't be, by its option."""
        answers = self._answers
        problems = []
        for name, option in _OPTIONS.items():
            needed = {"pbx_client_id": answers.kind == V20, "people": answers.by_list}.get(name, True)
            if needed and not getattr(answers, name):
                problems.append(
                    Problem(option, "is missing", f"give {option}, or let init ask you in a terminal")
                )
            elif name in ("tenant", "client_id", "pbx_url") and not self._fits(name)(getattr(answers, name)):
                problems.append(
                    Problem(option, f"{getattr(answers, name)!r} can't be it", "see docs/config.md")
                )
        if problems:
            raise Misconfigured(problems)

    # Writing

    @property
    def _is_only(self) -> bool:
        """Whether the file has the usual name of the only one; another name is that of a site of several."""
        return self._file.stem == "site"

    def _secret(self, name: str) -> str:
        """Where a new secret goes: into the folder that the Debian package makes for them, if it is there.

        It is named by the site, so that two sites in one folder never share one.
        """
        own = name if self._is_only else f"{self._file.stem}-{name}"
        return f"secrets/{own}" if self._beside("secrets").is_dir() else own

    def _beside(self, name: str) -> Path:
        return self._file.resolve().parent / name

    def _keys(self) -> str:
        """Writes the keys. Returns the .crt to be uploaded; empty where the app has a client secret."""
        if self._pbx_key and self._answers.pbx_key_file:
            file = self._beside(self._answers.pbx_key_file)
            certificate.write_secret(file, self._pbx_key)
            self._say(Text.WROTE_PBX_KEY, file=str(file))
        if self._answers.certificate_file is None:
            return ""
        pem = self._beside(self._answers.certificate_file)
        try:
            is_new = certificate.make_certificate(pem, SteadyClock().wall())
        except ValueError as error:
            cure = f"mv {pem} {pem}.old, and run init again"
            raise Misconfigured([Problem(str(pem), f"holds no certificate: {error}", cure)]) from None
        crt = str(pem.with_suffix(".crt"))
        self._say(Text.MADE_KEY if is_new else Text.KEPT_KEY, pem=str(pem), crt=crt)
        return crt

    def _write(self) -> None:
        answers, file = self._answers, self._file
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            file.write_text(writing.new_config(answers, self._language, str(file)), "utf-8")
            self._say(Text.WROTE, file=str(file))
            return
        text = writing.filled_in(self._old, answers) if self._may_fill_in else None
        if text == self._old:
            self._say(Text.UNCHANGED, file=str(file))
            return
        new = file.with_name(file.name + ".new")
        new.write_text(text or writing.new_config(answers, self._language, str(file)), "utf-8")
        if text is None:
            self._say(Text.NOT_CARRIED_OVER, file=str(file))
        if self._asks and text is not None and self._may_replace():
            shutil.copy2(file, self._old_file)
            new.replace(file)
            self._say(Text.WROTE, file=str(file))
        else:
            self._say(Text.WROTE_BESIDE, new=str(new), file=str(file))

    @property
    def _old_file(self) -> Path:
        """A name for what was there that nothing has yet."""
        names = [f"{self._file.name}.old", *(f"{self._file.name}.old{number}" for number in range(2, 1000))]
        return next(one for name in names if not (one := self._file.with_name(name)).exists())

    def _may_replace(self) -> bool:
        question = Text.PUT_IN_PLACE.say(self._language, file=str(self._file), old=str(self._old_file))
        while True:
            said = input(f"\n{question} [{self._word(False)}] > ").strip() or self._word(False)
            if _is_yes_or_no(said):
                return _is_yes(said)
            self._say(Text.NO_YES)

    def _tell(self, crt: str) -> None:
        answers = self._answers
        key = (
            str(self._beside(answers.pbx_key_file))
            if answers.pbx_key_file
            else "PRESENCEBRIDGE_PBX_CLIENT_SECRET"
        )
        print("\n" + clicks.to_click(answers, self._language, str(self._file), crt, key))

    def _say(self, text: Text, **words: str) -> None:
        print(text.say(self._language, **words))


_ANY: Final = "11111111-2222-3333-4444-555555555555"
_PLAIN: Final[dict[str, Any]] = {
    "tenant": _ANY,
    "client_id": _ANY,
    "kind": V20,
    "pbx_url": "https://pbx.example.com:5001",
    "pbx_client_id": "teamsync",
    "match": "list",
}
"""Answers that are in order, around the one that is tried."""


def _wheres(answers: Answers, language: Language) -> set[str]:
    """What the check finds wrong with a config of these answers, by section and word."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "site.toml"
        file.write_text(writing.new_config(answers, language, ""), "utf-8")
        try:
            load(file)
        except Misconfigured as error:
            return {problem.where for problem in error.problems}
    return set()
