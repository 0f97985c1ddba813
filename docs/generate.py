"""Writes the parts of these pages that the code knows best: `make reference`. A test sees that they are so.

What stands between `<!-- begin NAME -->` and `<!-- end NAME -->` is made here.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from presencebridge.cli.main import app
from presencebridge.core.model import STATUSES, Presence
from presencebridge.core.policy import AVAILABILITIES, NO_CHANGE, PRESETS, SESSION_PAIRS

DOCS: Final = Path(__file__).parent
SOURCE: Final = DOCS.parent / "src" / "presencebridge"

ACTIVITIES: Final = {
    "Available": ("Available", "OutOfOffice"),
    "Busy": ("Busy", "InACall", "InAConferenceCall", "InAMeeting", "Presenting"),
    "DoNotDisturb": ("DoNotDisturb", "Presenting", "UrgentInterruptionsOnly", "Focusing"),
    "Offline": ("Offline", "OffWork"),
}
"""Activities that Microsoft names with an availability, where there is more than the one of the same name."""


def generated() -> dict[str, str]:
    """Each generated part by its name."""
    return {
        "teams-to-3cx": teams_to_3cx(),
        "frees": frees(),
        "3cx-to-teams": threecx_to_teams(),
        "session-pairs": "".join(f"- `{pair}`\n" for pair in SESSION_PAIRS),
        "config-problems": table(("where", "what", "cure"), config_problems()),
        "link-errors": table(("what", "cure"), link_errors()),
        "commands": commands(),
    }


# The rules ----------------------------------------------------------------------------------------


def teams_to_3cx() -> str:
    """What every presence asks of 3CX, by each preset."""
    pairs = [Presence(one, activity) for one in AVAILABILITIES for activity in ACTIVITIES.get(one, (one,))]
    rows = []
    for pair in pairs:
        rows.append(
            (f"{pair.availability} / {pair.activity}", *(asked(preset, pair) for preset in presets()))
        )
    return table(("Teams shows", *(f"`{name}`" for name in presets())), rows)


def presets() -> list[str]:
    return [name for name in PRESETS if name != "custom"]


def asked(preset: str, pair: Presence) -> str:
    target = PRESETS[preset].target(pair)
    return "-" if target == NO_CHANGE else f"**{target}**" if target != "Available" else "gives back"


def frees() -> str:
    rows = [(f"`{name}`", " or ".join(PRESETS[name].frees) or "nothing", "nothing") for name in presets()]
    return table(("preset", "sets free, though not ours", "with `manual_wins = true`"), rows)


def threecx_to_teams() -> str:
    rows = [("a call", *(shown(PRESETS[name].call_pair) for name in presets()))]
    for status in STATUSES:
        rows.append((status, *(shown(PRESETS[name].pair_for.get(status.casefold())) for name in presets())))
    return table(("on 3CX", *(f"`{name}`" for name in presets())), rows)


def shown(pair: Presence | None) -> str:
    return f"**{pair}**" if pair else "-"


# The command line ---------------------------------------------------------------------------------


def commands() -> str:
    """What --help says, of every command."""
    text = app.generate_docs(output_format="markdown", usage_name="presencebridge")
    text = text.partition("\n## ")[2]
    text = re.sub(r"\n- \[[^\n]*|\n +- \[[^\n]*", "", text.partition("\n## ")[2])
    text = "## " + text.replace("**[required]**", "*[required]*")
    text = re.sub(r"\[(`[^`]+`)\]\(#[^)]*\)", r"\1", text)
    text = re.sub(r"```console\n(.*?)\n```", r"`\1`", text)
    text = re.sub(r"^(`presencebridge [^`]*?) -m \w+", r"\1", text, flags=re.MULTILINE)  # who runs this
    return re.sub(r"^(#+) presencebridge ", r"\1 ", text, flags=re.MULTILINE)


# Errors -------------------------------------------------------------------------------------------


METHODS: Final = {
    "casefold",
    "format",
    "getattr",
    "join",
    "map",
    "partition",
    "rpartition",
    "rstrip",
    "sorted",
    "str",
    "strip",
}
"""What is done with a word, rather than the word."""

ELSEWHERE: Final = {"emulators", "simulation", "demo", "doctor"}
"""What has errors of its own, or a page of its own."""

CAPITALS: Final = re.compile(r"[A-Z_]+|\.\.\.")
"""A text of which nothing is known before a run."""


class Said(NamedTuple):
    """A call in the code that makes an error, as far as it can be read without running it."""

    kind: str
    words: tuple[str, ...]
    named: dict[str, str]

    @property
    def cure(self) -> str:
        """What it says to do; the report of a link has it after the reason."""
        if self.kind in {"degraded", "note"}:
            return self.words[-1] if len(self.words) > 1 else ""
        return self.named.get("cure", "")


def config_problems() -> list[tuple[str, ...]]:
    """Every `Problem` of the config and of the command line."""
    rows = {
        (place(said.words[0]), said.words[1], said.words[2])
        for said in said_in(SOURCE)
        if said.kind in {"Problem", "_problem"}
        and len(said.words) >= 3
        and not CAPITALS.fullmatch(said.words[2])
    }
    return sorted(rows)


def place(where: str) -> str:
    """Where a problem is, as the table has it: the word of the config or the option."""
    return "its place in the file" if CAPITALS.fullmatch(where) else f"`{where}`"


def link_errors() -> list[tuple[str, ...]]:
    """Every error of a link that says what a person can do."""
    rows = {
        (reason(said), cure)
        for said in said_in(SOURCE)
        if said.words and (cure := said.cure) and not CAPITALS.fullmatch(cure)
    }
    return sorted(rows)


def reason(said: Said) -> str:
    what = said.words[1] if said.kind == "note" and len(said.words) > 2 else said.words[0]
    return "the answer or the reason, in its own words" if CAPITALS.fullmatch(what) else what


def said_in(folder: Path) -> Iterator[Said]:
    for file in sorted(folder.rglob("*.py")):
        if file.relative_to(SOURCE).parts[0] not in ELSEWHERE:
            yield from Reader(ast.parse(file.read_text("utf-8"))).all()


class Reader:
    def __init__(self, module: ast.Module) -> None:
        self._module = module
        self._constants = assigned(module.body)

    def all(self) -> Iterator[Said]:
        yield from self._within(self._module, {})

    def _within(self, node: ast.AST, known: dict[str, ast.expr]) -> Iterator[Said]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                asks = {one.arg: ast.Name(one.arg) for one in child.args.args if child.name == "_cure"}
                yield from self._within(child, {**known, **asks, **assigned(child.body)})
                continue
            if isinstance(child, ast.Assign) and isinstance(child.targets[0], ast.Name):
                known = {**known, child.targets[0].id: child.value}
            if isinstance(child, ast.Return) and child.value is not None and "address" in known:
                yield Said("cure", ("no answer",), {"cure": self._text(child.value, known)})
            if isinstance(child, ast.Call):
                yield self._said(child, known)
            yield from self._within(child, known)

    def _said(self, call: ast.Call, known: dict[str, ast.expr]) -> Said:
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        words = [text for argument in call.args for text in self._texts(argument, known)]
        named = {one.arg: self._text(one.value, known) for one in call.keywords if one.arg}
        return Said(name, tuple(words), named)

    def _texts(self, node: ast.expr, known: dict[str, ast.expr]) -> list[str]:
        if isinstance(node, ast.Starred):
            inner = node.value
            if isinstance(inner, ast.Name):
                inner = known.get(inner.id) or self._constants.get(inner.id) or inner
            return [self._text(one, known) for one in inner.elts] if isinstance(inner, ast.Tuple) else ["..."]
        return [self._text(node, known)]

    def _text(self, node: ast.expr, known: dict[str, ast.expr]) -> str:
        match node:
            case ast.Constant(value):
                return str(value) if value is not None else ""
            case ast.JoinedStr(values):
                return "".join(self._text(value, known) for value in values)
            case ast.FormattedValue(value):
                return self._filled_in(value, known)
            case ast.BinOp(left, ast.Add(), right):
                return self._text(left, known) + self._text(right, known)
            case ast.IfExp(_, body, orelse):
                return " / ".join(filter(None, (self._text(body, known), self._text(orelse, known))))
            case ast.Name(name):
                meant = known.get(name) or self._constants.get(name)
                rest = {one: value for one, value in known.items() if one != name}
                return self._text(meant, rest) if meant is not None else name.upper()
            case ast.Call() | ast.Attribute() | ast.Subscript():
                return self._filled_in(node, known)
            case _:
                return "..."

    def _filled_in(self, node: ast.expr, known: dict[str, ast.expr]) -> str:
        """A word in capitals for what only a run can tell."""
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.Name) and node.id in {**self._constants, **known}:
            text = self._text(node, known)
            return text if "..." not in text and len(text) < 60 else node.id.upper().strip("_")
        words = [one.id for one in ast.walk(node) if isinstance(one, ast.Name)]
        words = [one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)] + words
        plain = [one for one in words if one not in METHODS]
        return ((plain or ["..."])[0]).upper().strip("_")


def assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """Names that a body gives a value to, itself and not deeper."""
    found: dict[str, ast.expr] = {}
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(name)], value=value):
                found[name] = value
            case ast.AnnAssign(target=ast.Name(name), value=ast.expr() as value):
                found[name] = value
    return found


# Pages --------------------------------------------------------------------------------------------


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(map(cell, line)) + " |\n" for line in lines)


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def renewed(text: str, parts: dict[str, str]) -> str:
    """A page with its generated parts as they have to be."""
    for name, part in parts.items():
        mark = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        text = mark.sub(lambda found, part=part: f"{found[1]}\n{part}\n{found[2]}", text)
    return text


def main() -> None:
    parts = generated()
    for page in DOCS.rglob("*.md"):
        text = page.read_text("utf-8")
        new = renewed(text, parts)
        if new != text:
            page.write_text(new, "utf-8")
            print(page.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
