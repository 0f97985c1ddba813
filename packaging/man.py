"""Print the man page: every command and option as `--help` has them, from the same source.

    python packaging/man.py > presencebridge.1

What a man page says beyond that (files, exit status, the environment) is below, for it stands nowhere else.
"""

import inspect
import os
import sys
import types
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from cyclopts import App
from cyclopts.argument import Argument
from cyclopts.docs.base import iterate_commands

import presencebridge
from presencebridge.cli.main import app

AROUND = {
    "EXIT STATUS": (
        ("0", "It worked."),
        ("1", "It did not work; or, for status and doctor, something is wrong."),
        ("2", "The config or the command line is wrong: every problem was named, with its cure."),
    ),
    "FILES": (
        ("/etc/presencebridge/site.toml", "The config. Secrets stand in files that it names."),
        ("/etc/presencebridge/secrets/", "Keys and secrets, for root alone; systemd hands over copies."),
        ("/etc/presencebridge/sites/", "A config for each site, where one service serves several."),
        ("/etc/default/presencebridge", "Which config the service runs with, and a proxy."),
        ("/var/lib/presencebridge/", "What is held now, and the sign-ins. Nothing of what was."),
    ),
    "ENVIRONMENT": (
        ("HTTPS_PROXY, NO_PROXY", "How the outside is reached; loopback is always reached directly."),
        ("CREDENTIALS_DIRECTORY", "Where systemd put the secrets (see LoadCredential in systemd.exec(5))."),
        ("NOTIFY_SOCKET, WATCHDOG_USEC", "Whom run tells how it stands (see sd_notify(3))."),
    ),
    "SIGNALS": (
        ("SIGTERM, SIGINT", "run ends in order: our sessions in Teams end, what we hold on 3CX stays ours."),
        ("SIGHUP", "run reads the config anew, without a gap; one that is wrong changes nothing."),
    ),
}


def page() -> str:
    """The whole page, in the macros of man(7)."""
    day = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC).date().isoformat()
    title = f'.TH PRESENCEBRIDGE 1 "{day}" "presencebridge {presencebridge.__version__}" "User Commands"'
    summary = one_line(app.help or "").rstrip(".")
    lines = [
        title,
        ".SH NAME",
        escaped(f"presencebridge - {summary[0].lower()}{summary[1:]}"),
        ".SH SYNOPSIS",
        *"\n.br\n".join("\n".join(synopsis(name, command)) for name, command in commands(app)).splitlines(),
        ".SH DESCRIPTION",
        escaped(one_line(app.help or "")),
        ".SH COMMANDS",
        *(line for name, command in commands(app) for line in section(name, command)),
    ]
    for heading, entries in AROUND.items():
        lines.append(f".SH {heading}")
        lines += [line for term, text in entries for line in tagged(rf"\fB{escaped(term)}\fR", text)]
    lines += [".SH SEE ALSO", "systemctl(1), systemd.exec(5)", ".PP", "/usr/share/doc/presencebridge/"]
    return "\n".join(lines) + "\n"


def commands(group: App, words: str = "") -> Iterator[tuple[str, App]]:
    """Every command that does something, with all the words that name it."""
    for name, command in iterate_commands(group):
        full = f"{words} {name}".strip()
        if command.default_command is not None:
            yield full, command
        yield from commands(command, full)


def options(command: App) -> list[Argument]:
    return [one for one in command.assemble_argument_collection(parse_docstring=True) if one.show]


def synopsis(name: str, command: App) -> Iterator[str]:
    yield rf".B presencebridge {escaped(name)}"
    for one in options(command):
        shown = term(one)
        yield shown if one.required else f"[{shown}]"


def section(name: str, command: App) -> Iterator[str]:
    yield f".SS {escaped(name)}"
    yield from paragraphs(inspect.cleandoc(command.help or "").partition("\nParameters\n")[0])
    for one in options(command):
        about = one_line(one.parameter.help or "")
        default = one.field_info.default
        if choices := choices_of(one):
            about += f" One of: {', '.join(choices)}."
        if default not in (inspect.Parameter.empty, None, False, (), ""):
            about += f" Default: {default}."
        yield from tagged(term(one), about)


def term(one: Argument) -> str:
    """How an option or an argument is written: names in bold, what is to be filled in in italics."""
    if one.index is not None:
        return rf"\fI{escaped(one.name.lstrip('-').upper())}\fR"
    value = rf"\fI{_LOOKS.get(bare(one.hint), 'TEXT')}\fR"
    names = ", ".join(rf"\fB{escaped(name)}\fR" for name in one.names if not name.startswith("--no-"))
    return names if one.hint is bool else f"{names} {value}"


def bare(hint: object) -> object:
    """A type without its `| None`."""
    kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    return kinds[0] if isinstance(hint, types.UnionType) else hint


def choices_of(one: Argument) -> tuple[str, ...]:
    kind = bare(one.hint)
    return typing.get_args(kind) if typing.get_origin(kind) is Literal else ()


_LOOKS = {Path: "PATH", int: "NUMBER", float: "NUMBER"}


def tagged(what: str, text: str) -> list[str]:
    return [".TP", what, *(escaped(line) for line in [one_line(text)] if line)]


def paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if number:
            yield ".PP"
        yield escaped(one_line(paragraph))


def one_line(text: str) -> str:
    return " ".join(text.split())


def escaped(text: str) -> str:
    """Text that roff takes for text."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("`", "")
    return rf"\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    sys.stdout.write(page())
