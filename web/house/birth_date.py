"""Reading a birth date as people write it: three fields, or the whole date in the first."""

import re
from datetime import date

from babel.dates import get_month_names

_LANGUAGES = ("nb", "nn", "se", "en")


def read(day: str, month: str, year: str, *, today: date) -> date | None:
    """The date, or None when it cannot be one. `58` is 1958; a month may be a word in any of our languages.

    The first field alone may hold `4.5.1958`, `4. mai 58`, `040558` or `04051958`.
    """
    if not month.strip() and not year.strip():
        day, month, year = _split(day)
    number = _month(month)
    if number is None or not day.strip(" .").isdecimal() or not re.fullmatch(r"\d{2}|\d{4}", year.strip()):
        return None
    full_year = int(year)
    if len(year.strip()) == 2:
        full_year += 2000 if 2000 + full_year < today.year else 1900
    try:
        return date(full_year, number, int(day.strip(" .")))
    except ValueError:
        return None


def _split(text: str) -> tuple[str, str, str]:
    text = text.strip()
    if iso := re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})", text):
        return iso[3], iso[2], iso[1]
    if run := re.fullmatch(r"(\d{2})(\d{2})(\d{2}|\d{4})", text):
        return run[1], run[2], run[3]
    parts = re.split(r"[\s./\-]+", text)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else ("", "", "")


def _month(text: str) -> int | None:
    word = text.strip(" .").casefold()
    if word.isdecimal():
        return int(word)
    if len(word) < 3:
        return None
    for language in _LANGUAGES:
        for number, name in get_month_names("wide", locale=language).items():
            if name.casefold().startswith(word):
                return int(number)
    return None
