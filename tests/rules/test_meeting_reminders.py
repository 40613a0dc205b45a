"""When people are reminded of a meeting: the day before and half an hour before, by a clock that may be late."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.rules.cadence import to_local
from companion.rules.meetings import closes_at, day_before, half_an_hour_before, next_step_at, step_due
from companion.rules.quiet_hours import next_allowed

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class At:
    """A meeting of half an hour."""

    starts_at: datetime
    state: str = "offered"
    minutes: int = 30


TEN = At(datetime(2026, 11, 11, 9, 0, tzinfo=UTC))
MOMENTS = st.integers(0, 3 * 365 * 24 * 60).map(
    lambda minutes: datetime(2026, 1, 10, tzinfo=UTC) + timedelta(minutes=minutes)
)


@pytest.mark.parametrize(
    ("starts_at", "reminded"),
    [
        ("2026-11-11T10:00", "2026-11-10T10:00"),
        ("2026-11-11T07:30", "2026-11-10T08:00"),
        ("2026-11-11T19:30", "2026-11-10T18:00"),
        # Monday: on Friday. After Easter: on the Wednesday before it.
        ("2026-11-16T10:00", "2026-11-13T10:00"),
        ("2026-04-07T10:00", "2026-04-01T10:00"),
    ],
)
def test_the_day_before_is_the_last_day_on_which_letters_go(starts_at: str, reminded: str) -> None:
    when = datetime.fromisoformat(starts_at).replace(tzinfo=to_local(TEN.starts_at).tzinfo)
    assert to_local(day_before(when)).strftime("%Y-%m-%dT%H:%M") == reminded


@given(MOMENTS)
def test_the_day_before_is_never_the_day_itself_nor_an_hour_of_rest(starts_at: datetime) -> None:
    moment = day_before(starts_at)
    assert to_local(moment).date() < to_local(starts_at).date()
    assert next_allowed("meeting_coming", moment, None) == moment


@pytest.mark.parametrize(
    ("late", "step"),
    [
        (-25 * 60, "meeting_coming"),
        (-90, "meeting_coming"),
        # Nearly there: not two words within the hour.
        (-89, "wait"),
        (-31, "wait"),
        (-30, "meeting_now"),
        (29, "meeting_now"),
        (30, "wait"),
        (59, "wait"),
        (60, "close"),
        (60 * 24 * 9, "close"),
    ],
)
def test_a_late_tick_says_only_what_still_helps(late: int, step: str) -> None:
    assert step_due(TEN, TEN.starts_at + late * MINUTE) == step


def test_whoever_has_just_been_invited_is_not_reminded_at_once() -> None:
    soon = half_an_hour_before(TEN.starts_at)
    assert next_step_at(TEN, soon - 45 * MINUTE, just_told=True) == closes_at(TEN)
    assert next_step_at(TEN, soon - 61 * MINUTE, just_told=True) == soon
    assert next_step_at(TEN, day_before(TEN.starts_at) - 30 * MINUTE, just_told=True) == soon
    assert next_step_at(TEN, day_before(TEN.starts_at) - 61 * MINUTE, just_told=True) == day_before(
        TEN.starts_at
    )


@given(MOMENTS, st.lists(st.integers(1, 3000), max_size=8), st.integers(10, 120))
def test_however_the_clock_jumps_it_ends_and_nothing_is_said_twice(
    starts_at: datetime, hops: list[int], minutes: int
) -> None:
    meeting = At(starts_at, minutes=minutes)
    now = starts_at - timedelta(days=3)
    due, said = next_step_at(meeting, now, just_told=True), []
    for hop in [*hops, 60 * 24 * 10]:
        now += hop * MINUTE
        if due is not None and due <= now:
            said.append(step_due(meeting, now))
            due = next_step_at(meeting, now)
    assert due is None
    assert said[-1] == "close"
    told = [step for step in said if step not in ("wait", "close")]
    assert told in ([], ["meeting_coming"], ["meeting_now"], ["meeting_coming", "meeting_now"])
