"""When somebody of ours is on duty: on working days from 08 to 15.30, or always. Nobody here promises a watch by night."""

from datetime import datetime, time, timedelta
from typing import Literal

from companion.rules.cadence import to_local, to_utc
from companion.rules.quiet_hours import add_working_days, is_working_day

Hours = Literal["duty", "always"]
HOURS: tuple[Hours, ...] = ("duty", "always")
BEGINS, ENDS = time(8), time(15, 30)
# However much happens, nobody is told more often than this; what came meanwhile is one message.
APART = timedelta(minutes=10)


def on_duty_from(hours: str, at: datetime) -> datetime:
    """The first moment, `at` or later, at which somebody with these hours is told."""
    local = to_local(at)
    day = local.date()
    if hours == "always" or (is_working_day(day) and BEGINS <= local.time() < ENDS):
        return at
    if not is_working_day(day) or local.time() >= ENDS:
        day = add_working_days(day, 1)
    return to_utc(day, BEGINS)
