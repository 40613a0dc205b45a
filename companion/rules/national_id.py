"""Norwegian national identity numbers: ordinary, D- and H-numbers, synthetic ones and the rules of 2032."""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

_WEIGHTS_1 = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)
_WEIGHTS_2 = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
# From 2032 the first control digit may leave a remainder of 1, 2 or 3 as well.
_REMAINDERS_1 = (0, 1, 2, 3)


class Kind(StrEnum):
    """What sort of number it is; whether the person is invented is told by `NationalId.synthetic`."""

    ORDINARY = "ordinary"
    D_NUMBER = "d_number"
    H_NUMBER = "h_number"


class InvalidNationalId(ValueError):
    """The text is not a national id; `code` is one of empty, characters, length, date, checksum, synthetic."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class NationalId:
    """A checked number. Its birth date is a reading, not a proof: numbers of the 2032 rules carry no century."""

    digits: str
    kind: Kind
    synthetic: bool
    birth_date: date | None

    def __str__(self) -> str:
        return self.digits

    def __repr__(self) -> str:
        return (
            f"NationalId({self.kind}, synthetic={self.synthetic})"  # never the digits: reprs end up in logs
        )


def parse(text: str, *, allow_synthetic: bool, today: date | None = None) -> NationalId:
    """The number in the text, or `InvalidNationalId`.

    The birth date follows the individual number's century where that gives a day not after `today`;
    otherwise it is the latest such day that is not after `today`, and None when no `today` is given.
    """
    digits = "".join(text.split())
    _check_form(digits)
    day, month, year = int(digits[:2]), int(digits[2:4]), int(digits[4:6])
    d_number = day > 40
    month_mark = _month_mark(month)
    day, month = day - 40 * d_number, month - month_mark
    if not _exists_in_some_century(day, month, year):
        raise InvalidNationalId("date")
    remainder = _sum(digits, _WEIGHTS_1) % 11
    if remainder not in _REMAINDERS_1 or _sum(digits, _WEIGHTS_2) % 11:
        raise InvalidNationalId("checksum")
    if month_mark and not allow_synthetic:
        raise InvalidNationalId("synthetic")
    classic = _classic_year(year, int(digits[6:9])) if remainder == 0 else None
    return NationalId(
        digits=digits,
        kind=_kind(d_number, month_mark),
        synthetic=bool(month_mark),
        birth_date=_birth_date(day, month, year, classic, today),
    )


def both_control_digits_agree(digits: str) -> bool:
    """Whether eleven digits agree with both control digits as they were made until 2032: no proof, but one in 121 by chance."""
    return _sum(digits, _WEIGHTS_1) % 11 == 0 and _sum(digits, _WEIGHTS_2) % 11 == 0


def make_synthetic(birth: date, serial: int) -> str:
    """The serial-th (from 0) invented number for somebody born that day: month + 80, as in Tenor."""
    stem = f"{birth.day:02}{birth.month + 80:02}{birth.year % 100:02}"
    numbers = (
        number
        for individual in range(1000)
        if _classic_year(birth.year % 100, individual) == birth.year
        if (number := _with_control_digits(f"{stem}{individual:03}"))
    )
    for place, number in enumerate(numbers):
        if place == serial:
            return number
    raise ValueError(f"no invented number with serial {serial} for someone born in {birth.year}")


def _check_form(digits: str) -> None:
    if not digits:
        raise InvalidNationalId("empty")
    if not re.fullmatch(r"[0-9]+", digits):
        raise InvalidNationalId("characters")
    if len(digits) != 11:
        raise InvalidNationalId("length")


def _month_mark(month: int) -> int:
    """What was added to the month: 80 (Tenor), 65 or 40 (Nav's invented people; 40 is also the old H-number)."""
    for mark in (80, 65, 40):
        if mark < month <= mark + 12:
            return mark
    return 0


def _kind(d_number: bool, month_mark: int) -> Kind:
    if d_number:
        return Kind.D_NUMBER
    return Kind.H_NUMBER if month_mark == 40 else Kind.ORDINARY


def _sum(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _exists_in_some_century(day: int, month: int, year: int) -> bool:
    return _day(2000 + year, month, day) is not None


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _classic_year(year: int, individual: int) -> int | None:
    """The full year by the individual number: Skatteetaten's table for numbers handed out until 2032; None where it has a hole.

    000–499: 1900–1999 · 500–999: 2000–2039 · 900–999: 1940–1999. Its fourth row, 500–749: 1854–1899, is left out: nobody of it
    lives, while living people born 1954–1999, with D-numbers above all, have such numbers.
    """
    if individual <= 499:
        return 1900 + year
    if year <= 39:
        return 2000 + year
    if individual >= 900:
        return 1900 + year
    return None


def _birth_date(day: int, month: int, year: int, classic: int | None, today: date | None) -> date | None:
    by_table = _day(classic, month, day) if classic else None
    if today is None:
        return by_table
    if by_table and by_table <= today:
        return by_table
    centuries = range(today.year // 100 * 100, 1700, -100)
    days = (_day(century + year, month, day) for century in centuries)
    return next((born for born in days if born and born <= today), None)


def _with_control_digits(stem: str) -> str | None:
    first = -_sum(stem, _WEIGHTS_1[:9]) % 11
    second = -_sum(f"{stem}{first}", _WEIGHTS_2[:10]) % 11
    return f"{stem}{first}{second}" if first < 10 and second < 10 else None
