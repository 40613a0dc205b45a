"""A sentence in several languages, bokmål always among them."""

from collections.abc import Mapping
from dataclasses import dataclass

SOURCE_LANGUAGE = "nb"
COMPLETE_LANGUAGES = ("nb", "nn", "en")
LANGUAGES = (*COMPLETE_LANGUAGES, "se")


@dataclass(frozen=True)
class Text:
    """What is said, by language; a language that is missing falls back to bokmål."""

    by_language: Mapping[str, str]

    def in_(self, language: str) -> str:
        """The sentence in a language, or in bokmål."""
        return self.by_language.get(language) or self.by_language[SOURCE_LANGUAGE]

    def language_for(self, language: str) -> str:
        """The language `in_` really answers in, for the `lang` attribute."""
        return language if self.by_language.get(language) else SOURCE_LANGUAGE

    def fill(self, **values: str) -> "Text":
        """The same sentence with `{name}` replaced in every language; braces in the values stay as they are."""
        return Text({language: _fill(said, values) for language, said in self.by_language.items()})


def _fill(said: str, values: Mapping[str, str]) -> str:
    parts = said.split("{")
    filled = [parts[0]]
    for part in parts[1:]:
        name, closed, rest = part.partition("}")
        filled.append(f"{values[name]}{rest}" if closed and name in values else "{" + part)
    return "".join(filled)
