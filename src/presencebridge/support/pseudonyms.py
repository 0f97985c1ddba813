"""PURE: names, addresses and ids become stand-ins that only the key's owner could lead back.

What is known to be private is replaced wherever it stands; what looks private is replaced too. The same word
has the same stand-in in every bundle of a site, so two bundles can be compared.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

_WORDS: Final = """
3cx active available away both busy call calls custom default down excluded extension false graph hold
localhost none office out paused pbx people person presence queue state status step store support team teams
test trouble true unknown user users voicemail
"""
_VOCABULARY: Final = frozenset(_WORDS.split())
"""Our own words. A name that is one of them tells nothing, since the word stands everywhere anyway."""
_HOSTS: Final = """
graph.microsoft.com graph.microsoft.us dod-graph.microsoft.us login.microsoftonline.com
login.microsoftonline.us status.cloud.microsoft
"""
_PUBLIC_HOSTS: Final = frozenset(_HOSTS.split())
_FILES: Final = frozenset(
    {"crt", "json", "key", "md", "pem", "py", "service", "so", "sqlite", "toml", "txt", "yml"}
)
_LOOPBACK: Final = re.compile(r"127(\.\d+){3}|::1|0\.0\.0\.0|::")
_LEAST_SECRET: Final = 4

_LOOKS: Final = (
    ("token", r"eyJ[\w-]{8,}(?:\.[\w-]*)*"),
    ("mail", r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    ("id", r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    ("address", r"(?<![\w.])(?!127\.|0\.0\.0\.0)\d{1,3}(?:\.\d{1,3}){3}(?![\w.])"),
    ("address", r"(?<![\w:])(?=[0-9a-fA-F:]*::|(?:[0-9a-fA-F]+:){3})[0-9a-fA-F:]{4,}(?:%\w+)?(?![\w:])"),
    ("secret", r"(?<![\w/+-])(?=[\w/+~-]*\d)(?=[\w/+~-]*[A-Za-z])[\w/+~-]{32,}=*"),
    ("number", r"(?<![\w.:/-])\+?\d{7,}(?![\w.])"),
    ("host", r"(?<![\w./@-])(?!presencebridge\.)[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}(?![\w(])"),
)
"""What is replaced by its looks: kind and pattern."""


class Pseudonyms:
    """A memory of what is private, and the stand-in of each."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[str, str] = {}
        """Stand-ins by what they stand in for, in lower case."""
        self._pattern: re.Pattern[str] | None = None

    def person(self, extension: str, names: Iterable[str]) -> None:
        """Somebody, by all that they are called; whatever it is, it is the same person."""
        mark = self._mark("person", extension or next(iter(names), ""))
        if extension:
            self._know(extension, f"ext-{mark}")
        for name in filter(None, names):
            self._know(name, f"person-{mark}")
            local, at, domain = name.partition("@")
            if at:
                self.hide("host", domain)
            for part in re.split(r"[\W_]+", local):
                if len(part) >= 2 and not part.isdigit() and part.casefold() not in _VOCABULARY:
                    self._know(part, f"person-{mark}")

    def hide(self, kind: str, word: str) -> None:
        """A private word that is nobody's name, such as a host's."""
        if word and word.casefold() not in _VOCABULARY | _PUBLIC_HOSTS and not _LOOPBACK.fullmatch(word):
            self._know(word, f"{kind}-{self._mark(kind, word)}")

    def hide_address(self, url: str) -> None:
        """The host of an address."""
        self.hide("host", urlsplit(url).hostname or "")

    def secret(self, text: str) -> None:
        """Something that must not be told even by a stand-in."""
        if len(text) >= _LEAST_SECRET:
            self._know(text, "SECRET")

    def _know(self, word: str, stand_in: str) -> None:
        if any(letter.isalnum() for letter in word):
            for spelt in (word.lower(), word.casefold()):  # Weiß is Weiss too
                self._known.setdefault(spelt, stand_in)
            self._pattern = None

    def _mark(self, kind: str, word: str) -> str:
        text = f"{kind} {word.casefold()}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:6]

    def text(self, text: str) -> str:
        """The text with stand-ins."""
        if self._pattern is None:
            self._pattern = self._compiled()
        return self._pattern.sub(self._stand_in, text)

    def _compiled(self) -> re.Pattern[str]:
        known = sorted(self._known, key=len, reverse=True)
        words = [_word(one) for one in known]
        looks = [f"(?P<{kind}_{number}>{look})" for number, (kind, look) in enumerate(_LOOKS)]
        return re.compile("|".join([f"(?P<known>{'|'.join(words)})", *looks] if words else looks))

    def _stand_in(self, found: re.Match[str]) -> str:
        kind, word = (found.lastgroup or "").partition("_")[0], found[0]
        if kind == "known":
            return self._known.get(word.lower()) or self._known.get(word.casefold(), "HIDDEN")
        if kind == "host" and (word in _PUBLIC_HOSTS or word.rpartition(".")[2] in _FILES):
            return word
        return "SECRET" if kind in {"token", "secret"} else f"{kind}-{self._mark(kind, word)}"

    def value(self, value: Any) -> Any:
        """A value as of JSON or TOML, with stand-ins in its texts. Names of fields are ours and stay."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {name: self.value(one) for name, one in value.items()}
            case list() | tuple():
                return [self.value(one) for one in value]
            case _:
                return value


def _word(word: str) -> str:
    """A pattern for a known word that is no part of another word. Short names count as they are written."""
    text = re.escape(word)
    if word.isdigit():
        return rf"(?<![\w.]){text}(?!\w|\.\d)"
    if len(word) == 2:
        text = f"(?:{re.escape(word.title())}|{re.escape(word.upper())})"
        return rf"(?<![^\W_]){text}(?![^\W_])"
    return rf"(?<![^\W_])(?i:{text})(?![^\W_])"
