"""What stands in the documents between fences, and how it says that it is not to be run.

A block of ```sh is run as it stands, unless the line before it is a comment `<!-- not run: the reason -->`. A
block of ```toml is part of a config and passes the check; others say so: `<!-- no config: what it is -->`,
or, what holds for a folder of sites, `<!-- file: node.toml -->`.
"""

import re
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

_FENCE: Final = re.compile(r"^( *)```(\S*)\s*$")
_MARK: Final = re.compile(r"<!--\s*(.*?)\s*-->\s*$")


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    text: str
    mark: str
    """The comment right above it; empty if there is none."""

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def marked(self, word: str) -> str:
        """What a mark `word: ...` says; empty if there is no such mark."""
        name, _, reason = self.mark.partition(":")
        return reason.strip() if name.strip() == word else ""


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    lines = page.read_text("utf-8").splitlines()
    start, indent, language = 0, "", ""
    for number, line in enumerate(lines, 1):
        fence = _FENCE.match(line)
        if fence and not start:
            start, indent, language = number, fence[1], fence[2]
        elif fence and not fence[2]:
            text = "".join(one.removeprefix(indent) + "\n" for one in lines[start : number - 1])
            found.append(Block(page, start, language, text, _mark_above(lines, start)))
            start = 0
    assert not start, f"{page}: the block of line {start} has no end"
    return found


def _mark_above(lines: list[str], start: int) -> str:
    for line in reversed(lines[: start - 1]):
        if line.strip():
            mark = _MARK.search(line)
            return mark[1] if mark and line.strip().startswith("<!--") else ""
    return ""


def all_blocks(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.language in languages]


def commands(text: str) -> list[str]:
    """The lines of a shell block, each whole: continued ones joined, comments and empty ones left out."""
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]
