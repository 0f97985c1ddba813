"""How commands speak to people: what others wrote, names and errors, steers no terminal."""

from typing import TextIO

from presencebridge.printable import printable


def say(text: str, *, lines: bool = False, file: TextIO | None = None) -> None:
    """Print a line, or several if the text has ends of lines that are ours."""
    print(printable(text, keep="\n" if lines else ""), file=file, flush=True)
