"""Words: a sentence of the catalogue in the reader's language, and how days and hours are said."""

from collections.abc import Callable
from datetime import date, datetime
from typing import TypeVar

from fastapi import Request

from companion.rules.cadence import local_day
from web.house import pages
from web.house.deps import MaybeSigned, Now, language_of, visitor_of


# Only marks a sentence for the catalogue; `Words` looks it up in the reader's language.
def _(text: str) -> str:
    return text


class Words:
    """The catalogue in one reader's language, at one moment."""

    def __init__(self, lang: str, now: datetime) -> None:
        self.lang, self.now = lang, now
        self._words = pages.translations(lang)

    def __call__(self, sentence: str, /, **values: object) -> str:
        """A sentence of the catalogue, with its values."""
        # gettext("") is the catalogue's head.
        said = self._words.gettext(sentence) if sentence else ""
        return said % values if values else said

    def weekday(self, value: datetime) -> str:
        """`Tirsdag 24. november`: today said in full."""
        return pages.sentence(pages.say_weekday(value, lang=self.lang))

    def day(self, value: datetime) -> str:
        """`20. november`, with the year when it is another one."""
        return self._date(value.astimezone(pages.OSLO).date())

    def _date(self, value: date) -> str:
        this_year = value.year == local_day(self.now).year
        return (
            pages.say_day_of_month(value, lang=self.lang)
            if this_year
            else pages.say_date(value, lang=self.lang)
        )


Kind = TypeVar("Kind", bound=Words)


def reading(kind: type[Kind]) -> Callable[[Request, Now, MaybeSigned], Kind]:
    """For routes that ask for words: those of `kind`, in the language of whoever reads, or of their browser."""

    def words(request: Request, now: Now, _signed: MaybeSigned) -> Kind:
        visitor = visitor_of(request)
        return kind(visitor.lang if visitor and visitor.name else language_of(request), now)

    return words


def small(text: str) -> str:
    """For the middle of a line: only the first letter is lowered."""
    return text[:1].lower() + text[1:]
