"""A promise that passes takes one step at a time, in working hours; a case always has somebody who can be at work."""

from datetime import UTC, date, datetime, timedelta
from itertools import chain, combinations
from uuid import UUID

import pytest

from companion.rules.owners import LADDER, Workplace, next_owner, rungs_after
from companion.rules.promises import next_step_at, renewed_until, soon_at
from companion.rules.quiet_hours import is_working_day

TUESDAY = date(2026, 11, 10)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """So many days after the Tuesday, on the clock in Tromsø in winter."""
    return datetime(2026, 11, 9, 23, minute, tzinfo=UTC) + timedelta(days=day, hours=hour)


def unit(number: int, kind: str, municipality: str | None = "5501", trust: str = "unn") -> Workplace:
    return Workplace(UUID(int=number), f"unit-{number}", kind, trust, municipality)


WARD, ART = unit(1, "ward"), unit(2, "art", None)
REHAB, KE = unit(3, "municipal_rehab"), unit(4, "coordinating_unit")
OTHER_WARD, FAR = unit(5, "ward", "5503"), unit(6, "municipal_rehab", "1804", "nlsh")
ALL = (WARD, ART, REHAB, KE, OTHER_WARD, FAR)
FOLLOWING = [WARD.id, ART.id, REHAB.id, KE.id]


def test_two_hours_before_it_is_nearly_up() -> None:
    assert soon_at(at(0, 15)) == at(0, 13)


@pytest.mark.parametrize(
    ("level", "after", "then"),
    [
        ("red", at(0, 15), at(1, 9)),
        ("red", at(1, 9), at(1, 13)),
        ("red", at(3, 13), at(6, 9)),
        ("amber", at(0, 15), at(1, 9)),
        ("amber", at(1, 9), at(2, 9)),
        ("amber", at(3, 9), at(6, 9)),
        # Christmas: from the 23rd on, the next working morning there is.
        ("red", datetime(2026, 12, 24, 14, tzinfo=UTC), datetime(2026, 12, 28, 8, tzinfo=UTC)),
    ],
)
def test_the_next_step_comes_in_working_hours(level: str, after: datetime, then: datetime) -> None:
    assert next_step_at(level, after) == then


def test_a_step_is_always_later_and_on_a_working_day() -> None:
    for hours in range(0, 24 * 60, 7):
        after = at(0, 0) + timedelta(hours=hours)
        for level in ("red", "amber"):
            step = next_step_at(level, after)
            assert after < step <= after + timedelta(days=7)
            assert is_working_day((step + timedelta(hours=1)).date())


def test_the_ladder_is_a_setting_and_its_order_is_not() -> None:
    assert rungs_after("", LADDER) == LADDER
    assert rungs_after("soon", ("leader", "unit")) == ("unit", "leader")
    assert rungs_after("ward", LADDER) == ("coordinating_unit", "leader")
    assert rungs_after("leader", LADDER) == ()
    # A rung that somebody has taken out of the setting meanwhile.
    assert rungs_after("ward", ("unit", "leader")) == ("leader",)


@pytest.mark.parametrize(
    ("day", "until"),
    [(1, at(1, 15)), (0, at(0, 15)), (-1, None), (4, None), (31, None)],
)
def test_a_new_time_is_a_working_day_within_a_month(day: int, until: datetime | None) -> None:
    assert renewed_until(TUESDAY + timedelta(days=day), at(0, 10)) == until


def test_whoever_is_at_work_nearest_has_it() -> None:
    """Every set of units with people: always one of them, nobody only when there are none."""
    nearest = [WARD, KE, REHAB, ART, OTHER_WARD, FAR]
    for people in chain.from_iterable(combinations(ALL, size) for size in range(len(ALL) + 1)):
        expected = next((one.id for one in nearest if one in people), None)
        assert next_owner(people, FOLLOWING, WARD.id, "5501", "unn") == expected
