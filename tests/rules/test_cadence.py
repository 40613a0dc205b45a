"""When check-ins fall due: FIELD.md's days, the Norwegian wall clock, all clock changes."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion import library
from companion.rules.cadence import (
    OSLO,
    give_up_at,
    local_day,
    remind_at,
    schedule,
    to_local,
    to_utc,
)

SPRING = [date(2026, 3, 29), date(2027, 3, 28), date(2028, 3, 26)]
AUTUMN = [date(2026, 10, 25), date(2027, 10, 31), date(2028, 10, 29)]
hours = st.times().map(lambda hour: hour.replace(microsecond=0))


def test_a_stroke_plan_as_drawn() -> None:
    planned = schedule(library.plan_template("stroke"), date(2026, 11, 10), time(10))
    assert [(one.day_offset, one.local_date) for one in planned] == [
        (3, date(2026, 11, 13)),
        (14, date(2026, 11, 24)),
        (30, date(2026, 12, 10)),
        (90, date(2027, 2, 8)),
        (180, date(2027, 5, 9)),
        (365, date(2027, 11, 10)),
    ]
    assert {(one.local_time, one.zone) for one in planned} == {(time(10), "Europe/Oslo")}
    assert planned[0].due_at == datetime(2026, 11, 13, 9, tzinfo=UTC)
    assert planned[4].due_at == datetime(2027, 5, 9, 8, tzinfo=UTC)
    assert [one.label for one in planned] == ["", "", "", "trimånederskontroll", "", ""]
    assert planned[3].questionnaire == "stroke-90"


def test_days_off_keep_their_date() -> None:
    planned = schedule(library.plan_template("stroke"), date(2026, 12, 22), time(10))
    assert planned[0].local_date == date(2026, 12, 25)


@pytest.mark.parametrize("day", [*SPRING, *AUTUMN])
@pytest.mark.parametrize("before", [-1, 0, 1])
def test_ten_o_clock_is_ten_o_clock_around_every_clock_change(day: date, before: int) -> None:
    instant = to_utc(day + timedelta(days=before), time(10))
    assert to_local(instant).time() == time(10)
    assert local_day(instant) == day + timedelta(days=before)


@pytest.mark.parametrize("day", SPRING)
@pytest.mark.parametrize("skipped", [time(2), time(2, 1), time(2, 30), time(2, 59, 59)])
def test_a_skipped_time_is_the_first_instant_after_the_gap(day: date, skipped: time) -> None:
    assert to_utc(day, skipped) == datetime(day.year, day.month, day.day, 1, tzinfo=UTC)


@pytest.mark.parametrize("day", AUTUMN)
def test_a_time_that_comes_twice_is_the_first(day: date) -> None:
    assert to_utc(day, time(2, 30)) == datetime(day.year, day.month, day.day, 0, 30, tzinfo=UTC)
    assert to_utc(day, time(2, 30, fold=1)) == to_utc(day, time(2, 30))


@given(st.dates(date(2026, 1, 1), date(2036, 1, 1)), hours)
def test_the_wall_clock_comes_back_except_in_the_gap(day: date, hour: time) -> None:
    back = to_local(to_utc(day, hour))
    if back.replace(tzinfo=None) != datetime.combine(day, hour):
        assert (day.month, day.isoweekday(), hour.hour) == (3, 7, 2)
        assert back.time() == time(3)


@given(st.dates(date(2026, 1, 1), date(2029, 1, 1)), hours, hours)
def test_later_on_the_clock_is_never_earlier_in_truth(day: date, one: time, other: time) -> None:
    early, late = sorted((one, other))
    assert to_utc(day, early) <= to_utc(day, late)


@given(st.sampled_from(library.TEMPLATE_KEYS), st.dates(date(2026, 1, 1), date(2028, 12, 31)), hours)
def test_check_ins_come_in_order_and_at_the_persons_hour(key: str, discharged: date, hour: time) -> None:
    planned = schedule(library.plan_template(key), discharged, hour)
    assert [one.due_at for one in planned] == sorted({one.due_at for one in planned})
    assert all(one.due_at == to_utc(one.local_date, hour) for one in planned)
    assert all(one.local_date - discharged == timedelta(days=one.day_offset) for one in planned)


def test_a_reminder_after_24_hours_and_silence_after_48_more() -> None:
    asked = datetime(2026, 11, 13, 9, tzinfo=UTC)
    assert remind_at(asked) == datetime(2026, 11, 14, 9, tzinfo=UTC)
    assert give_up_at(remind_at(asked)) == datetime(2026, 11, 16, 9, tzinfo=UTC)


@given(st.dates(date(2026, 1, 1), date(2029, 1, 1)), hours, st.integers(1, 200))
def test_waiting_is_counted_in_true_hours(day: date, hour: time, waited: int) -> None:
    """Two aware times of the same zone subtract as wall clock; only UTC tells the truth on the night of a change."""
    asked = to_utc(day, hour).astimezone(OSLO)
    assert remind_at(asked.astimezone(UTC), waited) - asked.astimezone(UTC) == timedelta(hours=waited)


def test_me_cfs_hears_from_us_at_most_once_a_week() -> None:
    template = library.plan_template("mecfs")
    planned = schedule(template, date(2026, 11, 10), time(10))
    sent = [
        moment
        for one in planned
        for moment in (one.due_at, remind_at(one.due_at, template.remind_after_hours))
    ]
    assert all(later - earlier >= timedelta(days=7) for earlier, later in pairwise(sent))
    assert template.days_between_messages == 7
