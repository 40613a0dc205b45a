"""When a message may go: by day, on working days, the person's own hour first, codes at once."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.rules.cadence import to_local, to_utc
from companion.rules.quiet_hours import (
    EXEMPT_KINDS,
    add_working_days,
    is_message_day,
    may_choose,
    next_allowed,
    spread,
)

moments = st.builds(
    lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes),
    st.integers(0, 3 * 366 * 24 * 60),
)
own_hours = st.none() | st.times().map(lambda hour: hour.replace(second=0, microsecond=0))


def at(text: str) -> datetime:
    """A Norwegian wall-clock time as an instant."""
    local = datetime.fromisoformat(text)
    return to_utc(local.date(), local.time())


@pytest.mark.parametrize(
    ("wanted", "own", "sent"),
    [
        ("2026-11-10 10:00", None, "2026-11-10 10:00"),
        ("2026-11-10 08:00", None, "2026-11-10 08:00"),
        ("2026-11-10 07:59", None, "2026-11-10 08:00"),
        ("2026-11-10 19:59", None, "2026-11-10 19:59"),
        ("2026-11-10 20:00", None, "2026-11-11 08:00"),
        ("2026-11-10 03:00", None, "2026-11-10 08:00"),
        # a Saturday, and Friday evening
        ("2026-11-14 10:00", None, "2026-11-16 08:00"),
        ("2026-11-13 20:30", None, "2026-11-16 08:00"),
        # Christmas 2026: nothing on the 24th, a Thursday; then the 25th, the 26th and a Sunday; nor on the 31st
        ("2026-12-24 10:00", None, "2026-12-28 08:00"),
        ("2026-12-23 20:30", time(10), "2026-12-28 10:00"),
        ("2026-12-31 10:00", time(10), "2027-01-04 10:00"),
        ("2026-12-25 10:00", None, "2026-12-28 08:00"),
        # Easter 2027: Maundy Thursday 25 March to Monday 29 March, over the clock change
        ("2027-03-25 10:00", None, "2027-03-30 08:00"),
        # 17 May 2027 is a Monday and the day after Whit Sunday
        ("2027-05-17 10:00", None, "2027-05-18 08:00"),
        # the own hour goes first when something has to wait
        ("2026-11-14 10:00", time(10), "2026-11-16 10:00"),
        ("2026-11-10 06:30", time(14), "2026-11-10 14:00"),
        ("2026-11-10 22:00", time(14), "2026-11-11 14:00"),
        # but what may go now goes now
        ("2026-11-10 16:00", time(14), "2026-11-10 16:00"),
        # an own hour outside 08-20 is honoured, and lasts an hour
        ("2026-11-10 21:00", time(21), "2026-11-10 21:00"),
        ("2026-11-10 21:59", time(21), "2026-11-10 21:59"),
        ("2026-11-10 22:00", time(21), "2026-11-11 21:00"),
        ("2026-11-10 20:30", time(21), "2026-11-10 21:00"),
        ("2026-11-10 06:00", time(6), "2026-11-10 06:00"),
        ("2026-11-10 07:30", time(6), "2026-11-10 08:00"),
        ("2026-11-10 21:00", time(6), "2026-11-11 06:00"),
        # not on a day off, and never at night
        ("2026-11-14 21:00", time(21), "2026-11-16 21:00"),
        ("2026-11-10 02:00", time(2), "2026-11-10 08:00"),
        ("2026-11-10 23:00", time(23), "2026-11-11 08:00"),
    ],
)
def test_table(wanted: str, own: time | None, sent: str) -> None:
    assert next_allowed("check_in", at(wanted), own) == at(sent)


@pytest.mark.parametrize("kind", sorted(EXEMPT_KINDS))
def test_what_somebody_waits_for_goes_at_once(kind: str) -> None:
    night = at("2026-12-25 03:00")
    assert next_allowed(kind, night, time(10)) == night


def test_sign_in_an_answer_to_who_just_wrote_and_the_meeting_now_are_what_is_exempt() -> None:
    asked_for = {"sign_in_code", "new_link", "meeting_now"}
    just_wrote = {"reply", "next_question", "rest_by_phone", "all_answered", "stopped", "crisis"}
    assert asked_for | just_wrote == EXEMPT_KINDS


@given(moments, own_hours)
def test_never_early_never_by_night_never_on_a_day_off(wanted: datetime, own: time | None) -> None:
    sent = next_allowed("check_in", wanted, own)
    local = to_local(sent)
    assert sent >= wanted
    assert is_message_day(local.date())
    assert time(6) <= local.time() < time(22, 30)
    if own is None or not may_choose(own) or time(8) <= own <= time(19):
        assert time(8) <= local.time() < time(20)


@given(moments, own_hours)
def test_asking_again_changes_nothing(wanted: datetime, own: time | None) -> None:
    sent = next_allowed("check_in", wanted, own)
    assert next_allowed("check_in", sent, own) == sent


@given(moments, moments)
def test_what_is_due_later_is_not_sent_sooner(one: datetime, other: datetime) -> None:
    """Without an own hour; with one, what waited through the night may go after what fell due in the morning."""
    early, late = sorted((one, other))
    assert next_allowed("reminder", early, None) <= next_allowed("reminder", late, None)


@given(moments, own_hours)
def test_nobody_waits_longer_than_the_longest_holiday(wanted: datetime, own: time | None) -> None:
    assert next_allowed("check_in", wanted, own) - wanted < timedelta(days=6)


@pytest.mark.parametrize(
    ("day", "count", "result"),
    [
        (date(2026, 11, 13), 1, date(2026, 11, 16)),
        (date(2026, 11, 14), 1, date(2026, 11, 16)),
        (date(2026, 12, 23), 3, date(2026, 12, 29)),
        (date(2026, 11, 10), 3, date(2026, 11, 13)),
    ],
)
def test_working_days_are_counted_over_weekends_and_holidays(day: date, count: int, result: date) -> None:
    assert add_working_days(day, count) == result


def test_who_waited_for_eight_o_clock_is_spread_over_half_an_hour_and_stays_there() -> None:
    opening = at("2026-11-10 08:00")
    moments = [spread(opening, None, serial) for serial in range(1, 1801)]
    assert opening == min(opening, *moments)
    assert max(moments) < opening + timedelta(minutes=30)
    by_minute = [
        sum(opening + timedelta(minutes=m) <= one < opening + timedelta(minutes=m + 1) for one in moments)
        for m in range(30)
    ]
    assert max(by_minute) <= 62
    assert min(by_minute) >= 58
    assert spread(opening, time(14), 7) == moments[6] == spread(opening, None, 7)


def test_an_own_hour_is_kept_on_the_minute() -> None:
    assert spread(at("2026-11-10 14:00"), time(14), 7) == at("2026-11-10 14:00")
    assert spread(at("2026-11-10 08:00"), time(8), 7) == at("2026-11-10 08:00")


@given(moments, own_hours, st.integers(1, 10**9))
def test_whoever_is_spread_may_be_sent_to(now: datetime, own: time | None, serial: int) -> None:
    later = spread(next_allowed("reminder", now, own), own, serial)
    assert next_allowed("reminder", later, own) == later
