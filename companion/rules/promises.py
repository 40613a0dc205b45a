"""A case is to be seen by a moment that was promised: what happens before it passes and after, one step at a time.

Two hours before, the unit is told. When it passes, the case is overdue, and climbs a ladder: the person who has taken it, the
unit, the ward, the coordinating unit, the ward's leader. Steps fall in working hours; each gives people time to act before
the next: a red case climbs twice a working day, an amber one once.
"""

from datetime import date, datetime, time, timedelta

from companion.rules.cadence import local_day, to_utc
from companion.rules.quiet_hours import add_working_days, is_working_day

SOON = "soon"
SOON_BEFORE = timedelta(hours=2)
STEPS_AT = {"red": (time(9), time(13)), "amber": (time(9),)}
# Somebody who was reached is followed up: by then something is to have happened again.
FOLLOW_UP_DAYS = 3
DUE_BY_HOUR = time(15)
LONGEST_RENEWAL = timedelta(days=30)


def soon_at(respond_by: datetime) -> datetime:
    """When the unit is told that the time is nearly up."""
    return respond_by - SOON_BEFORE


def next_step_at(level: str, after: datetime) -> datetime:
    """When an overdue case takes its next step, counted from when it took the last: however late that was."""
    day = local_day(after)
    while True:
        if is_working_day(day):
            for hour in STEPS_AT[level]:
                if (moment := to_utc(day, hour)) > after:
                    return moment
        day += timedelta(days=1)


def follow_up_by(now: datetime) -> datetime:
    """By when something is to happen again after the person was reached."""
    return to_utc(add_working_days(local_day(now), FOLLOW_UP_DAYS), DUE_BY_HOUR)


def renewed_until(day: date, now: datetime) -> datetime | None:
    """The moment a new time limit stands for; None for a day that is no working day, has passed or is too far off."""
    moment = to_utc(day, DUE_BY_HOUR)
    return moment if is_working_day(day) and now < moment <= now + LONGEST_RENEWAL else None
