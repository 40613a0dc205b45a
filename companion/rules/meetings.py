"""When a meeting's door is open, and when something about it happens by itself."""

from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Literal, Protocol

from companion.rules.cadence import to_local, to_utc
from companion.rules.quiet_hours import OPENS, next_allowed

OPENS_BEFORE = timedelta(minutes=15)
OPEN_AFTER = timedelta(minutes=30)
REMIND_BEFORE = timedelta(minutes=30)
# So long after the start a word about it still helps: the door is open, and somebody waits inside.
USEFUL_AFTER_START = timedelta(minutes=30)
# Whoever was told within the hour need not be reminded yet.
NEWS_LASTS = timedelta(hours=1)
LATEST_HOUR_TO_REMIND = time(18)
# No row of days without letters is longer, Easter included.
LOOK_BACK = 10

Step = Literal["meeting_coming", "meeting_now", "close", "wait"]


class Phase(StrEnum):
    """Where in its life a meeting is, seen from its door."""

    early = "early"
    open = "open"
    over = "over"
    cancelled = "cancelled"
    ended = "ended"


class Span(Protocol):
    """What there is to know of a meeting."""

    @property
    def state(self) -> str: ...
    @property
    def starts_at(self) -> datetime: ...
    @property
    def minutes(self) -> int: ...


def phase(meeting: Span, now: datetime) -> Phase:
    """Whether the door is open: from 15 minutes before the start until 30 minutes after the end."""
    if meeting.state in (Phase.cancelled, Phase.ended):
        return Phase(meeting.state)
    if now < meeting.starts_at - OPENS_BEFORE:
        return Phase.early
    return Phase.over if now > closes_at(meeting) else Phase.open


def ends_at(meeting: Span) -> datetime:
    """When it is planned to be over."""
    return meeting.starts_at + timedelta(minutes=meeting.minutes)


def closes_at(meeting: Span) -> datetime:
    """When the door is shut."""
    return ends_at(meeting) + OPEN_AFTER


def day_before(starts_at: datetime) -> datetime:
    """When people are reminded the day before: at the meeting's own hour or, outside 08-18, as near as that allows.

    Where no letters go that day (a Sunday, a holiday), on the last day before on which they do.
    """
    local = to_local(starts_at)
    hour = min(max(local.time(), OPENS), LATEST_HOUR_TO_REMIND)
    moments = [to_utc(local.date() - timedelta(days=back), hour) for back in range(1, LOOK_BACK + 1)]
    goes = (moment for moment in moments if next_allowed("meeting_coming", moment, None) == moment)
    return next(goes, moments[0])


def half_an_hour_before(starts_at: datetime) -> datetime:
    """When people are reminded that it begins."""
    return starts_at - REMIND_BEFORE


def next_step_at(meeting: Span, now: datetime, *, just_told: bool = False) -> datetime | None:
    """When something happens by itself next; None when nothing more will. `just_told`: everybody has heard of it now."""
    told_until = now + (NEWS_LASTS if just_told else timedelta(0))
    reminders = (day_before(meeting.starts_at), half_an_hour_before(meeting.starts_at))
    coming = [moment for moment in reminders if moment > told_until]
    return min([*coming, closes_at(meeting)]) if closes_at(meeting) > now else None


def step_due(meeting: Span, now: datetime) -> Step:
    """What is to happen at this moment, however late somebody looks: never two words at once, and none that came too late."""
    soon = half_an_hour_before(meeting.starts_at)
    if now <= soon - NEWS_LASTS:
        return "meeting_coming"
    if soon <= now < meeting.starts_at + USEFUL_AFTER_START and now < ends_at(meeting):
        return "meeting_now"
    return "close" if now >= closes_at(meeting) else "wait"
