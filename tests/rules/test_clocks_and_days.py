"""Days off against our own reckoning of Easter, and every minute of the nights when the clock is changed."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest

from companion.rules.cadence import local_day, remind_at, to_local, to_utc
from companion.rules.quiet_hours import is_message_day, is_working_day, next_allowed
from tests.days_off import days_off, easter, is_day_off

CHANGES = (date(2026, 10, 25), date(2027, 3, 28), date(2027, 10, 31), date(2028, 3, 26), date(2028, 10, 29))
YEARS = range(2026, 2037)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def changes(year: int) -> tuple[datetime, datetime]:
    """When the clock goes forward and back that year: the last Sundays of March and October, at one in UTC."""
    last_days = (date(year, 3, 31), date(year, 10, 31))
    spring, autumn = (day - timedelta(days=day.isoweekday() % 7) for day in last_days)
    return tuple(datetime.combine(day, time(1), UTC) for day in (spring, autumn))  # type: ignore[return-value]


def wall_clock(instant: datetime) -> datetime:
    """The Norwegian wall clock, reckoned without a database of zones."""
    spring, autumn = changes(instant.year)
    return (instant + HOUR * (2 if spring <= instant < autumn else 1)).replace(tzinfo=None)


def minutes_around(day: date, before: timedelta, after: timedelta) -> list[datetime]:
    """Every minute from so long before the midnight in which the day begins until so long after."""
    midnight = to_utc(day, time(0))
    return [midnight - before + MINUTE * number for number in range(int((before + after) / MINUTE))]


# --- days off ---------------------------------------------------------------------------------------------------------


def test_our_own_easter_is_the_calendar_s() -> None:
    known = {
        2026: (4, 5),
        2027: (3, 28),
        2028: (4, 16),
        2030: (4, 21),
        2035: (3, 25),
        2036: (4, 13),
        2038: (4, 25),
    }
    assert {year: (easter(year).month, easter(year).day) for year in known} == known


@pytest.mark.parametrize("year", YEARS)
def test_every_day_of_the_year_is_a_working_day_or_not_as_we_reckon_it(year: int) -> None:
    days = [date(year, 1, 1) + timedelta(days=number) for number in range(366)]
    wrong = [day for day in days if day.year == year and is_working_day(day) is is_day_off(day)]
    assert wrong == []
    quiet = [day for day in days if day.year == year and not is_message_day(day) and not is_day_off(day)]
    eves = (date(year, 12, 24), date(year, 12, 31))
    assert quiet == [day for day in eves if day.weekday() < 5]
    assert len(days_off(year)) in (
        11,
        12,
    )  # the first of May or the seventeenth may be one of the movable ones


# --- the clock is changed ---------------------------------------------------------------------------------------------


def test_the_five_changes_are_where_we_reckon_them() -> None:
    assert sorted(when.date() for year in (2026, 2027, 2028) for when in changes(year))[1:] == list(CHANGES)


@pytest.mark.parametrize("day", CHANGES)
def test_the_wall_clock_of_every_minute_of_those_nights(day: date) -> None:
    for instant in minutes_around(day, HOUR * 6, HOUR * 30):
        assert to_local(instant).replace(tzinfo=None) == wall_clock(instant)


@pytest.mark.parametrize("year", YEARS)
def test_every_minute_of_a_day_of_change_is_one_instant_and_the_clock_never_goes_back_in_truth(
    year: int,
) -> None:
    for change in changes(year):
        day = change.date()
        skipped = twice = 0
        instants = [to_utc(day, time(minute // 60, minute % 60)) for minute in range(1440)]
        assert all(later >= earlier for earlier, later in pairwise(instants))
        for minute, instant in enumerate(instants):
            asked = datetime.combine(day, time(minute // 60, minute % 60))
            if wall_clock(instant) != asked:
                # The hour that is skipped: the first instant after it.
                assert (asked.hour, instant) == (2, change)
                skipped += 1
            elif wall_clock(instant + HOUR) == asked:
                twice += 1  # the first of the two was chosen
            else:
                assert wall_clock(instant - HOUR) != asked
        assert (skipped, twice) == ((60, 0) if day.month == 3 else (0, 60))


@pytest.mark.parametrize("own", [None, time(6), time(9), time(14, 30), time(21, 30), time(2, 30)])
@pytest.mark.parametrize("day", CHANGES)
def test_what_waits_through_such_a_night_goes_at_the_right_hour(day: date, own: time | None) -> None:
    """Every minute from Friday noon to Wednesday noon, against a reckoning from the end backwards."""
    minutes = minutes_around(day, HOUR * 36, HOUR * 84)
    goes: datetime | None = None
    expected = {}
    for instant in reversed(minutes):
        if starts(instant, own):
            goes = instant
        if is_open(instant, own):
            expected[instant] = instant
        elif goes:
            expected[instant] = goes
    assert len(expected) > 60 * 60
    wrong = [instant for instant, sent in expected.items() if next_allowed("reminder", instant, own) != sent]
    assert wrong == []


def chosen(own: time | None) -> time | None:
    return own if own and time(6) <= own <= time(21, 30) else None


def starts(instant: datetime, own: time | None) -> bool:
    """Whether what has waited goes now: at the own hour, or at eight."""
    local, hour = wall_clock(instant), chosen(own)
    hours = {hour or time(8)} | ({time(8)} if hour and hour < time(8) else set())
    return local.time() in hours and not is_day_off(local.date())


def is_open(instant: datetime, own: time | None) -> bool:
    """Whether what is due now goes now."""
    local, hour = wall_clock(instant), chosen(own)
    if is_day_off(local.date()):
        return False
    if 8 <= local.hour < 20:
        return True
    return hour is not None and timedelta(0) <= local - datetime.combine(local.date(), hour) < HOUR


@pytest.mark.parametrize("day", CHANGES)
def test_nine_o_clock_stays_nine_o_clock(day: date) -> None:
    for number in range(-3, 4):
        instant = to_utc(day + timedelta(days=number), time(9))
        assert wall_clock(instant) == datetime.combine(day + timedelta(days=number), time(9))
        assert local_day(instant) == day + timedelta(days=number)


@pytest.mark.parametrize("day", CHANGES)
def test_a_day_of_change_is_waited_through_in_true_hours(day: date) -> None:
    asked = to_utc(day - timedelta(days=1), time(9))
    assert wall_clock(remind_at(asked)).hour == (10 if day.month == 3 else 8)
