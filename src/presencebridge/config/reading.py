"""From the file to the sections. What can't be read is told word by word, with its line and its cure."""

import datetime as dt
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec

from presencebridge.config.checks import check, check_node
from presencebridge.config.cluster_section import ClusterSection
from presencebridge.config.draft import Draft
from presencebridge.config.lines import Lines
from presencebridge.config.node_file import NodeConfig, NodeOperator, NodeWebhook
from presencebridge.config.policy_section import PolicySection
from presencebridge.config.secret_sources import handed_over
from presencebridge.config.sections import (
    NO_PRESENCE,
    V20_WORDS,
    Config,
    Operator,
    Pbx,
    People,
    Person,
    StateSection,
    Teams,
)
from presencebridge.errors import Misconfigured, Problem

_SECRETS: Final = ("client_secret", "secret", "password", "api_key")

_SECTIONS: Final[dict[str, type[msgspec.Struct]]] = {
    "teams": Teams,
    "pbx": Pbx,
    "people": People,
    "person": Person,
    "policy": PolicySection,
    "operator": Operator,
    "state": StateSection,
}


_NODE_SECTIONS: Final[dict[str, type[msgspec.Struct]]] = {
    "operator": NodeOperator,
    "webhook": NodeWebhook,
    "state": StateSection,
    "cluster": ClusterSection,
}


def load(path: Path, state: StateSection | None = None) -> Config:
    """Read and check a site's config file. Raises `Misconfigured` with every problem that was found.

    `state` is what holds where the file says nothing of it.
    """
    text, raw = _read(path)
    if state is not None and "state" not in raw:
        raw["state"] = {"dir": str(state.dir)}
    reading = _Reading(path.resolve().parent)
    config = reading.config(raw)
    _refuse(text, [*reading.problems, *check(config)])
    return config


def load_node(path: Path) -> NodeConfig:
    """Read and check a node's file. Raises `Misconfigured` with every problem that was found."""
    text, raw = _read(path)
    reading = _Reading(path.resolve().parent)
    node = reading.node(raw)
    _refuse(text, [*reading.problems, *check_node(node)])
    return node


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    text = _text(path)
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        cure = "mend that line: texts stand in straight quotes, and each person is a [[person]]"
        raise Misconfigured([Problem(str(path), f"is not TOML: {error}", cure)]) from None


def _refuse(text: str, problems: Sequence[Problem]) -> None:
    if problems:
        lines = Lines(text)
        found = [Problem(one.where, one.what, one.cure, lines.of(one.where)) for one in problems]
        raise Misconfigured(sorted(found, key=lambda one: one.line or 0))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        problem = Problem(str(path), "the file is not there", "name the config file with --config")
    except UnicodeDecodeError as error:
        problem = Problem(str(path), f"is not UTF-8: {error}", "save the file in the encoding UTF-8")
    except OSError as error:
        problem = Problem(str(path), f"can't be read: {error.strerror}", "mend the file's permissions")
    raise Misconfigured([problem])


class _Reading:
    """One reading of a file: gathers the problems, and reads on."""

    def __init__(self, folder: Path) -> None:
        self.problems: list[Problem] = []
        # Paths in the file are relative to the file, so that a site's folder can be moved as a whole.
        self._hook = partial(_path, folder)

    def config(self, raw: dict[str, Any]) -> Config:
        """The whole file; if something could not be read, a draft that stands in for the config."""
        sections: dict[str, Any] = {}
        self._foreign_sections(raw, _SECTIONS)
        for name, kind in _SECTIONS.items():
            if name == "person":
                self._persons(raw.get(name, []), sections)
            elif name in raw or name not in {"teams", "pbx"}:
                sections[name] = self._struct(f"[{name}]", raw.get(name, {}), kind)
            else:
                self._problem(f"[{name}]", "the section is missing", f"add [{name}]; see the README")
                sections[name] = Draft(kind, {})
        self._foreign_words(raw.get("pbx"))
        if self.problems:
            return cast("Config", Draft(Config, sections))
        return Config(**sections)

    def node(self, raw: dict[str, Any]) -> NodeConfig:
        """The same for `node.toml`."""
        kinds = dict(_NODE_SECTIONS)
        self._foreign_sections(raw, kinds)
        if "cluster" not in raw:
            del kinds["cluster"]
        sections = {name: self._struct(f"[{name}]", raw.get(name, {}), kind) for name, kind in kinds.items()}
        if self.problems:
            return cast("NodeConfig", Draft(NodeConfig, sections))
        return NodeConfig(**cast("dict[str, Any]", sections))

    def _foreign_sections(self, raw: dict[str, Any], known: Mapping[str, object]) -> None:
        for name in raw:
            if name not in known:
                self._problem(f"[{name}]", "no such section", f"known sections: {', '.join(known)}")

    def _problem(self, where: str, what: str, cure: str) -> None:
        self.problems.append(Problem(where, what, cure))

    def _persons(self, raw: Any, sections: dict[str, Any]) -> None:
        if isinstance(raw, list):
            sections["person"] = tuple(
                self._struct(f"[[person]] {number}", one, Person) for number, one in enumerate(raw, 1)
            )
        else:
            self._problem("[person]", "is not a list", "each person is a [[person]], in double brackets")

    def _structs(
        self, where: str, raw: Any, kind: type[msgspec.Struct]
    ) -> tuple[msgspec.Struct | Draft, ...]:
        if isinstance(raw, list):
            return tuple(self._struct(f"[{where}] {number}", one, kind) for number, one in enumerate(raw, 1))
        self._problem(where, "is not a list", f"each one is a [{where}], in double brackets")
        return ()

    def _foreign_words(self, pbx: Any) -> None:
        if isinstance(pbx, dict) and pbx.get("kind") == "3cx-web-api":
            for word in V20_WORDS:
                if word in pbx:
                    where = f"[pbx.{word}]" if isinstance(pbx[word], dict) else f"[pbx] {word}"
                    self._problem(where, "is for 3CX V20", 'delete it, or set kind = "3cx-v20"')

    def _struct(self, where: str, raw: Any, kind: type[msgspec.Struct]) -> msgspec.Struct | Draft:
        """A section as its struct; a draft of it, and a problem for each word, if some could not be read."""
        if not isinstance(raw, dict):
            self._problem(where, "is not a section", f"write {where} and its words below it")
            return Draft(kind, {})
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        found: dict[str, Any] = {}
        for word, value in raw.items():
            if word in _SECRETS:
                file = "api_key_file" if "api_key_file" in fields else "client_secret_file"
                cure = f"write it into a file of mode 0600 and name that with {file}"
                self._problem(f"{where} {word}", "a secret stands in the config", cure)
            elif word not in fields:
                self._problem(f"{where} {word}", "no such word", f"known words here: {', '.join(fields)}")
            elif (kind, word, value) == (Teams, "cloud", "china"):
                self._problem(f"{where} {word}", *NO_PRESENCE)
            elif inner := _struct_in(fields[word].type):
                is_list = typing.get_origin(fields[word].type) is tuple
                read = self._structs if is_list else self._struct
                found[word] = read(f"{where[:-1]}.{word}]", value, inner)
            else:
                try:
                    found[word] = msgspec.convert(
                        value, fields[word].type, str_keys=True, dec_hook=self._hook
                    )
                except msgspec.ValidationError as error:
                    what = str(error).partition(" - at `")[0]
                    self._problem(f"{where} {word}", what, _cure(fields[word].type))
        for word, field in fields.items():
            if field.required and word not in raw:
                self._problem(f"{where} {word}", "is missing", f"add a line {word} = ...")
            elif word not in raw:
                no_default = field.default is msgspec.NODEFAULT
                found[word] = field.default_factory() if no_default else field.default
        return kind(**found) if len(found) == len(fields) else Draft(kind, found)


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    """The struct of a word that is a section of its own, such as [teams.webhook]."""
    for one in typing.get_args(kind):
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            return one
    return None


def _cure(kind: Any) -> str:
    """What a value of this kind looks like."""
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is types.UnionType:
        return _cure(next(one for one in arguments if one is not type(None)))
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(f'"{choice}"' for choice in arguments)
    if typing.get_origin(kind) is tuple and typing.get_origin(arguments[0]) is Literal:
        choices = ", ".join(f'"{choice}"' for choice in typing.get_args(arguments[0]))
        return f"a list, such as [{choices}]"
    if typing.get_origin(kind) is tuple:
        return 'a list of texts, such as ["one", "two"]'
    looks = {
        bool: "true or false, without quotes",
        str: "a text in quotes",
        Path: "a path in quotes",
        float: "a number, without quotes",
        int: "a whole number, without quotes",
        dt.date: "a day, without quotes, such as 2027-03-01",
    }
    return looks.get(kind, "mend the value")


def _path(folder: Path, kind: type, value: object) -> object:
    if kind is not Path:
        raise NotImplementedError(kind)  # how a hook tells msgspec that the type is not its business
    if not isinstance(value, str):
        raise ValueError("a path is a text in quotes")  # noqa: TRY004 - what msgspec takes for invalid
    if "\0" in value:
        raise ValueError("a path has no zero byte in it")
    return handed_over(folder / value)
