"""PURE: the config out of the answers: a new one with comments, or one that is there, filled in."""

import json
import re
import tomllib
from typing import Any, Final

from presencebridge.config.lines import Lines
from presencebridge.setup.answers import Answers
from presencebridge.setup.texts import Language, Text

_COMMENTS: Final = {
    ("teams", ""): Text.C_TEAMS,
    ("teams", "certificate_file"): Text.C_CERTIFICATE,
    ("teams", "delivery"): Text.C_DELIVERY,
    ("teams", "cloud"): Text.C_CLOUD,
    ("teams", "ca_file"): Text.C_CA,
    ("pbx", ""): Text.C_PBX,
    ("pbx", "client_secret_file"): Text.C_PBX_KEY,
    ("pbx", "ca_file"): Text.C_CA,
    ("people", "match"): Text.C_PEOPLE,
    ("people", "exclude"): Text.C_EXCLUDE,
    ("policy", ""): Text.C_POLICY,
    ("policy", "manual_wins"): Text.C_MANUAL,
    ("operator", ""): Text.C_OPERATOR,
    ("state", ""): Text.C_STATE,
}
_PRESET: Final = ("policy", "preset")


def new_config(answers: Answers, language: Language, file: str) -> str:
    """A config with a comment for everything that is not plain."""
    values = {_PRESET: "seed"} | answers.values()
    lines = [f"# {Text.C_HEAD.say(language, file=file)}"]
    for section in ("teams", "pbx", "people", "policy", "operator", "state"):
        words = {word: value for (where, word), value in values.items() if where == section}
        if words:
            comment = _COMMENTS.get((section, ""))
            lines += ["", *([f"# {comment.say(language)}"] if comment else []), f"[{section}]"]
            for word, value in words.items():
                lines += _word(section, word, value, language)
        if section == "people":
            lines += _persons(answers.people, language)
    return "\n".join(lines) + "\n"


def _word(section: str, word: str, value: Any, language: Language) -> list[str]:
    comment = _COMMENTS.get((section, word))
    return [*([f"# {comment.say(language)}"] if comment else []), f"{word} = {_toml(value)}"]


def _persons(people: list[tuple[str, str]], language: Language) -> list[str]:
    lines = ["", f"# {Text.C_PERSON.say(language)}"] if people else []
    for number, (teams, extension) in enumerate(people):
        lines += [""] if number else []
        lines += ["[[person]]", f"teams = {_toml(teams)}", f"extension = {_toml(extension)}"]
    return lines


def filled_in(text: str, answers: Answers) -> str | None:
    """The config `text` with the answers in it, and everything else as it is; None where that can't be done.

    Raises `tomllib.TOMLDecodeError` where `text` is no TOML.
    """
    wanted = answers.values()
    for (section, word), value in wanted.items():
        text = _with_word(text, section, word, value)
    for teams, extension in answers.people:
        text = _with_person(text, teams, extension)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    is_all_there = all(raw.get(section, {}).get(word) == value for (section, word), value in wanted.items())
    return text if is_all_there and set(answers.people) <= set(_people(raw)) else None


def _people(raw: dict[str, Any]) -> list[tuple[Any, Any]]:
    return [(one.get("teams"), one.get("extension")) for one in raw.get("person", [])]


def _with_person(text: str, teams: str, extension: str) -> str:
    for number, (name, old) in enumerate(_people(tomllib.loads(text)), 1):
        if name == teams:
            return (
                text if old == extension else _changed(text, f"[[person]] {number}", "extension", extension)
            )
    return f"{text.rstrip()}\n\n[[person]]\nteams = {_toml(teams)}\nextension = {_toml(extension)}\n"


def _with_word(text: str, section: str, word: str, value: Any) -> str:
    raw, lines = tomllib.loads(text), text.split("\n")
    if section not in raw:
        return f"{text.rstrip()}\n\n[{section}]\n{word} = {_toml(value)}\n"
    if raw[section].get(word) == value:
        return text
    if word in raw[section]:
        return _changed(text, f"[{section}]", word, value)
    at = Lines(text).of(f"[{section}]")
    lines.insert(at or 0, f"{word} = {_toml(value)}")
    return _if_toml("\n".join(lines), text)


def _changed(text: str, where: str, word: str, value: Any) -> str:
    lines = text.split("\n")
    at = Lines(text).of(f"{where} {word}") or 1
    lines[at - 1] = f"{word} = {_toml(value)}{_comment(lines[at - 1])}"
    return _if_toml("\n".join(lines), text)


def _if_toml(changed: str, text: str) -> str:
    """The change, unless it broke something, such as a value of several lines: that is not for us."""
    try:
        tomllib.loads(changed)
    except tomllib.TOMLDecodeError:
        return text
    return changed


def _comment(line: str) -> str:
    """The comment at the end of a line of TOML, with the blanks before it."""
    for found in re.finditer(r"\s*#", line):
        try:
            tomllib.loads(line[: found.start()])
        except tomllib.TOMLDecodeError:
            continue
        return line[found.start() :]
    return ""


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
