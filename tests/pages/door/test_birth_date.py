"""A birth date is read as people write it."""

from datetime import date

import pytest

from web.house.birth_date import read

TODAY = date(2026, 11, 10)
MAY_4TH = date(1958, 5, 4)


@pytest.mark.parametrize(
    ("day", "month", "year"),
    [
        ("4", "5", "1958"),
        ("04", "05", "58"),
        ("4.", "mai", "1958"),
        (" 4 ", "Mai.", " 1958 "),
        ("4", "may", "1958"),
        ("4", "miessemánnu", "1958"),
        ("4.5.1958", "", ""),
        ("4. mai 58", "", ""),
        ("040558", "", ""),
        ("04051958", "", ""),
        ("1958-05-04", "", ""),
        ("4/5/1958", "", ""),
    ],
)
def test_any_sensible_way_of_writing_it(day: str, month: str, year: str) -> None:
    assert read(day, month, year, today=TODAY) == MAY_4TH


@pytest.mark.parametrize(
    ("day", "month", "year"),
    [
        ("", "", ""),
        ("31", "2", "1958"),
        ("4", "x", "1958"),
        ("4", "13", "1958"),
        ("4", "5", "958"),
        ("fire", "5", "58"),
        ("²", "5", "58"),
    ],
)
def test_what_is_no_date(day: str, month: str, year: str) -> None:
    assert read(day, month, year, today=TODAY) is None


def test_two_digits_are_the_latest_year_that_has_been() -> None:
    assert read("1", "1", "25", today=TODAY) == date(2025, 1, 1)
    assert read("1", "1", "27", today=TODAY) == date(1927, 1, 1)
