"""National ids: every kind, the 2032 rules, and which mistakes are found."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.rules.national_id import InvalidNationalId, Kind, make_synthetic, parse

TODAY = date(2026, 11, 21)
# Published test numbers (Skatteetaten's 2032 example, Nav's validator); nobody has them.
ORACLES = [
    ("15817610088", Kind.ORDINARY, date(1976, 1, 15)),
    ("10915596784", Kind.ORDINARY, date(1955, 11, 10)),
    ("13527248013", Kind.H_NUMBER, date(1972, 12, 13)),
    ("68467038838", Kind.D_NUMBER, date(1970, 6, 28)),
]
births = st.dates(date(1900, 1, 1), date(2039, 12, 31))


def with_first_remainder(stem: str, remainder: int) -> str | None:
    """Stem of nine digits plus control digits that leave this remainder, by the published definition."""
    first = (remainder - sum(int(d) * w for d, w in zip(stem, (3, 7, 6, 1, 8, 9, 4, 5, 2), strict=True))) % 11
    if first == 10:
        return None
    ten = f"{stem}{first}"
    second = -sum(int(d) * w for d, w in zip(ten, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=True)) % 11
    return None if second == 10 else f"{ten}{second}"


@pytest.mark.parametrize(("number", "kind", "born"), ORACLES)
def test_published_numbers_are_read(number: str, kind: Kind, born: date) -> None:
    read = parse(number, allow_synthetic=True, today=TODAY)
    assert (read.digits, read.kind, read.synthetic, read.birth_date) == (number, kind, True, born)


@pytest.mark.parametrize("number", [oracle[0] for oracle in ORACLES])
def test_invented_people_are_refused_where_they_do_not_belong(number: str) -> None:
    with pytest.raises(InvalidNationalId) as refused:
        parse(number, allow_synthetic=False)
    assert refused.value.code == "synthetic"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("1234567890", "length"),
        ("123456789012", "length"),
        ("1581761008x", "characters"),
        ("١٥٨١٧٦١٠٠٨٨", "characters"),
        ("1581761008²", "characters"),
        ("158176-10088", "characters"),
        ("00817610088", "date"),
        ("15007610088", "date"),
        ("15937610088", "date"),
        ("32817610088", "date"),
        ("72817610088", "date"),
        ("30827610088", "date"),
        ("15817610089", "checksum"),
        ("15817610078", "checksum"),
        ("00000000000", "date"),
    ],
)
def test_what_is_wrong_is_named(text: str, code: str) -> None:
    with pytest.raises(InvalidNationalId) as refused:
        parse(text, allow_synthetic=True)
    assert refused.value.code == code


@pytest.mark.parametrize("text", ["158176 10088", " 15817610088\n", "15 81 76 100 88", "158176\u00a010088"])
def test_spaces_do_not_matter(text: str) -> None:
    assert parse(text, allow_synthetic=True).digits == "15817610088"


@pytest.mark.parametrize("remainder", [0, 1, 2, 3])
def test_the_rules_of_2032_allow_four_remainders(remainder: int) -> None:
    numbers = [with_first_remainder(f"158176{n}", remainder) for n in range(100, 140)]
    assert all(parse(number, allow_synthetic=True).digits == number for number in numbers if number)


@pytest.mark.parametrize("remainder", [4, 5, 6, 7, 8, 9, 10])
def test_no_other_remainder_is_allowed(remainder: int) -> None:
    for number in filter(None, (with_first_remainder(f"158176{n}", remainder) for n in range(100, 140))):
        with pytest.raises(InvalidNationalId, match="checksum"):
            parse(number, allow_synthetic=True)


@pytest.mark.parametrize(
    ("stem", "kind"),
    [("150176100", Kind.ORDINARY), ("550176100", Kind.D_NUMBER)],
)
def test_real_kinds_are_taken_without_permission_for_invented_ones(stem: str, kind: Kind) -> None:
    number = with_first_remainder(stem, 0)
    assert number is not None
    assert (parse(number, allow_synthetic=False).kind, parse(number, allow_synthetic=False).synthetic) == (
        kind,
        False,
    )


@pytest.mark.parametrize("month", [41, 52, 66, 77, 81, 92])
@pytest.mark.parametrize("day", [1, 41])
def test_every_marked_month_is_invented(month: int, day: int) -> None:
    number = next(filter(None, (with_first_remainder(f"{day:02}{month}76{n}", 0) for n in range(100, 120))))
    read = parse(number, allow_synthetic=True)
    assert read.synthetic
    assert (read.kind is Kind.D_NUMBER) == (day == 41)


@pytest.mark.parametrize(
    ("year", "lowest", "highest", "born"),
    [
        (0, 0, 499, 1900),
        (53, 0, 499, 1953),
        (99, 0, 499, 1999),
        (0, 500, 999, 2000),
        (39, 500, 999, 2039),
        (40, 900, 999, 1940),
        (99, 900, 999, 1999),
        (40, 500, 899, None),
        (53, 500, 899, None),
        (54, 500, 899, None),
        (99, 500, 899, None),
    ],
)
def test_the_century_by_the_individual_number(year: int, lowest: int, highest: int, born: int | None) -> None:
    """Both ends of each row; where an end has no valid control digits, its neighbour inside the row."""
    for individuals in (range(lowest, lowest + 9), range(highest, highest - 9, -1)):
        stems = (f"1501{year:02}{individual:03}" for individual in individuals)
        number = next(filter(None, (with_first_remainder(stem, 0) for stem in stems)))
        read = parse(number, allow_synthetic=False).birth_date
        assert (read.year if read else None) == born


@pytest.mark.parametrize(
    ("year", "individual", "born"), [(54, 500, None), (40, 899, None), (40, 900, 1940), (99, 749, None)]
)
def test_the_very_ends_of_the_table(year: int, individual: int, born: int | None) -> None:
    days = (f"{day:02}{month:02}{year:02}{individual:03}" for month in range(1, 13) for day in range(1, 29))
    number = next(filter(None, (with_first_remainder(stem, 0) for stem in days)))
    read = parse(number, allow_synthetic=False).birth_date
    assert (read.year if read else None) == born


def test_a_number_of_the_new_rules_tells_its_century_only_by_the_calendar() -> None:
    number = next(filter(None, (with_first_remainder(f"150126{n}", 2) for n in range(100, 140))))
    assert parse(number, allow_synthetic=True).birth_date is None
    assert parse(number, allow_synthetic=True, today=date(2026, 1, 14)).birth_date == date(1926, 1, 15)
    assert parse(number, allow_synthetic=True, today=date(2026, 1, 15)).birth_date == date(2026, 1, 15)


def test_nobody_is_born_after_today() -> None:
    number = next(filter(None, (with_first_remainder(f"150130{n}", 0) for n in range(600, 640))))
    assert parse(number, allow_synthetic=True).birth_date == date(2030, 1, 15)
    assert parse(number, allow_synthetic=True, today=TODAY).birth_date == date(1930, 1, 15)


def test_nobody_living_was_born_in_the_nineteenth_century() -> None:
    assert parse("70819950189", allow_synthetic=True, today=TODAY).birth_date == date(1999, 1, 30)
    stems = (f"1501{year:02}{individual:03}" for year in range(54, 100) for individual in (500, 749, 899))
    for number in filter(None, (with_first_remainder(stem, 0) for stem in stems)):
        read = parse(number, allow_synthetic=True, today=TODAY).birth_date
        assert read
        assert 1954 <= read.year <= 1999


def test_leap_day_finds_a_year_that_had_one() -> None:
    number = next(filter(None, (with_first_remainder(f"290200{n}", 0) for n in range(100, 140))))
    assert parse(number, allow_synthetic=True, today=TODAY).birth_date == date(2000, 2, 29)


def test_the_digits_never_stand_in_a_repr() -> None:
    assert "15817610088" not in repr(parse("15817610088", allow_synthetic=True))


@given(births, st.integers(0, 30))
def test_an_invented_number_reads_back_as_that_birthday(born: date, serial: int) -> None:
    read = parse(make_synthetic(born, serial), allow_synthetic=True, today=date(2040, 1, 1))
    assert (read.birth_date, read.kind, read.synthetic) == (born, Kind.ORDINARY, True)


@given(births)
def test_serials_give_different_people(born: date) -> None:
    assert len({make_synthetic(born, serial) for serial in range(30)}) == 30


def test_serials_run_out_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="1958"):
        make_synthetic(date(1958, 5, 4), 10_000)


@given(births, st.integers(0, 30), st.integers(0, 10), st.integers(1, 9))
def test_one_wrong_digit_hardly_ever_passes_as_the_same_kind_of_number(
    born: date, serial: int, place: int, shift: int
) -> None:
    """The last control sum alone finds every single wrong digit: its weights are not divisible by 11."""
    number = make_synthetic(born, serial)
    wrong = number[:place] + str((int(number[place]) + shift) % 10) + number[place + 1 :]
    with pytest.raises(InvalidNationalId):
        parse(wrong, allow_synthetic=True)


def outcome(text: str) -> str:
    try:
        parse(text, allow_synthetic=True)
    except InvalidNationalId as refused:
        return refused.code
    return "read"


@given(st.text(max_size=20) | st.text("0123456789", min_size=11, max_size=11))
def test_any_text_gives_a_number_or_a_reason(text: str) -> None:
    assert outcome(text) in {"read", "empty", "characters", "length", "date", "checksum"}


@given(births, st.integers(0, 30), st.dates(date(1900, 1, 1), date(2100, 1, 1)))
def test_the_birth_date_is_never_after_today(born: date, serial: int, today: date) -> None:
    read = parse(make_synthetic(born, serial), allow_synthetic=True, today=today).birth_date
    assert read is not None
    assert read <= today
    assert (read.day, read.month, read.year % 100) == (born.day, born.month, born.year % 100)
