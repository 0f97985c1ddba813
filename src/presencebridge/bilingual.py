"""PURE: sentences in English and German side by side."""

from enum import Enum
from typing import Final, Literal

Language = Literal["en", "de"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "de")


class Bilingual(Enum):
    """Base of a module's texts. The value is English, German; what stands in braces is filled in."""

    def __init__(self, en: str, de: str) -> None:
        self.en, self.de = en, de

    def say(self, language: Language, **words: str) -> str:
        return (self.de if language == "de" else self.en).format(**words)
