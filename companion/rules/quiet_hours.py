"""When a message may be sent: by day on working days, the person's own hour first, codes at once.

`next_allowed` is the one answer: the plan, every page that names a day, and the post ask it.

A message that may go now goes now. One that must wait goes at the person's own hour on the next working day, or at
08.00 for a person who has not chosen, or whose own hour, before 08.00, has passed that day. An own hour outside
08-20 opens one hour from then on working days (the dispatcher may be late, and a reminder falls at the same hour),
except at night: 22.30 to 06.00 stays closed whatever was chosen. Nothing is sent on Christmas Eve and New Year's Eve,
which are working days in the national calendar and remain so where somebody's promise is counted in working days.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache

import holidays

from companion.rules.cadence import to_local, to_utc

OPENS = time(8)
CLOSES = time(20)
EARLIEST_OWN_HOUR = time(6)
LATEST_OWN_HOUR = time(21, 30)
EVES = ((12, 24), (12, 31))
OWN_HOUR_LASTS = timedelta(hours=1)
# Over so long those who waited for 08.00 are spread, so that not all of the night's go in the same second.
SPREAD = timedelta(minutes=30)
# For so long somebody who wrote to us may be waiting for the answer.
ANSWER_IS_USEFUL = timedelta(hours=1)
# What the person is waiting for this minute never waits for the morning.
EXEMPT_KINDS = frozenset(
    {
        "sign_in_code",
        "new_link",
        "reply",
        "stopped",
        "crisis",
        "next_question",
        "rest_by_phone",
        "all_answered",
        "meeting_now",
    }
)


def next_allowed(kind: str, at_utc: datetime, personal_hour: time | None) -> datetime:
    """The first instant, `at_utc` or later, at which a message of this kind may be sent to this person."""
    if kind in EXEMPT_KINDS:
        return at_utc
    own = personal_hour if personal_hour and may_choose(personal_hour) else None
    if _open(at_utc, own):
        return at_utc
    day = to_local(at_utc).date()
    while True:
        for start in _starts(day, own):
            if start >= at_utc:
                return start
        day += timedelta(days=1)


def spread(opening: datetime, personal_hour: time | None, serial: int) -> datetime:
    """When one of many that wait for this opening goes: evenly within half an hour after 08.00, an own hour on the minute.

    The same `serial` always gets the same moment.
    """
    if to_local(opening).time() != OPENS or personal_hour == OPENS:
        return opening
    # Steps of the golden ratio: neighbours end up far apart, and no part of the half hour is left out.
    return opening + timedelta(seconds=int(serial * 0.618034 % 1 * SPREAD.total_seconds()))


def answer_from(said_at: datetime, now: datetime, personal_hour: time | None) -> datetime:
    """When to answer what was said: at once, but when it has lain so long that nobody waits, by day."""
    return now if now - said_at <= ANSWER_IS_USEFUL else next_allowed("reminder", now, personal_hour)


def may_choose(hour: time) -> bool:
    """Whether a person may have messages at this hour: any but the night."""
    return EARLIEST_OWN_HOUR <= hour <= LATEST_OWN_HOUR


def is_message_day(day: date) -> bool:
    """Whether anybody hears from us unasked that day: a working day, and not Christmas Eve or New Year's Eve."""
    return is_working_day(day) and (day.month, day.day) not in EVES


def message_day_before(day: date) -> date:
    """The last day before this one on which anybody hears from us unasked."""
    day -= timedelta(days=1)
    while not is_message_day(day):
        day -= timedelta(days=1)
    return day


def is_working_day(day: date) -> bool:
    """Monday to Friday, national holidays excepted."""
    return day.weekday() < 5 and day not in _holidays(day.year)


def add_working_days(day: date, count: int) -> date:
    """The count-th working day after a day."""
    while count > 0:
        day += timedelta(days=1)
        count -= is_working_day(day)
    return day


@cache
def _holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("NO", years=year))


def _starts(day: date, own: time | None) -> list[datetime]:
    """When sending may begin that day: the own hour, and 08.00 too for one whose own hour is before it."""
    if not is_message_day(day):
        return []
    hours = [own or OPENS] + [OPENS] * (own is not None and own < OPENS)
    return [to_utc(day, hour) for hour in hours]


def _open(at_utc: datetime, own: time | None) -> bool:
    local = to_local(at_utc)
    if not is_message_day(local.date()):
        return False
    if OPENS <= local.time() < CLOSES:
        return True
    if own is None:
        return False
    from_own_hour = to_utc(local.date(), own)
    return from_own_hour <= at_utc.astimezone(UTC) < from_own_hour + OWN_HOUR_LASTS
