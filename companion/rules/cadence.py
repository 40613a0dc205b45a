"""From a plan template and a day of discharge to the moments of asking, in Norwegian wall-clock time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

ZONE = "Europe/Oslo"
OSLO = ZoneInfo(ZONE)
REMIND_AFTER_HOURS = 24
GIVE_UP_AFTER_HOURS = 48
# For so long every word heard makes us wait anew; then somebody who goes on writing without an end had better be phoned.
LISTEN_AT_MOST = timedelta(days=14)


@dataclass(frozen=True)
class TemplateCheckIn:
    """One asking in a template: how long after discharge, which parts it asks, and its name where it has one."""

    day_offset: int
    parts: tuple[str, ...]
    label: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanTemplate:
    """When and what a group of patients is asked. Texts are by language, `nb` always present."""

    key: str
    name: Mapping[str, str]
    check_ins: tuple[TemplateCheckIn, ...]
    hour: time = time(10)
    remind_after_hours: int = REMIND_AFTER_HOURS
    give_up_after_hours: int = GIVE_UP_AFTER_HOURS
    days_between_messages: int = 0
    what_to_expect: Mapping[str, str] = field(default_factory=dict)

    def questionnaire_key(self, day_offset: int) -> str:
        """The key by which the library assembles what is asked that day."""
        return f"{self.key}-{day_offset}"


@dataclass(frozen=True)
class PlannedCheckIn:
    """A check-in with its local date and time, the zone they are read in, and the instant that gives."""

    day_offset: int
    local_date: date
    local_time: time
    zone: str
    due_at: datetime
    questionnaire: str
    label: str


def schedule(template: PlanTemplate, discharged_on: date, hour: time) -> list[PlannedCheckIn]:
    """Every check-in of the template at the person's hour, in order. Dates are kept on days off; sending is not."""
    return [
        _planned(template, check_in, discharged_on + timedelta(days=check_in.day_offset), hour)
        for check_in in template.check_ins
    ]


def _planned(template: PlanTemplate, check_in: TemplateCheckIn, day: date, hour: time) -> PlannedCheckIn:
    return PlannedCheckIn(
        day_offset=check_in.day_offset,
        local_date=day,
        local_time=hour,
        zone=ZONE,
        due_at=to_utc(day, hour),
        questionnaire=template.questionnaire_key(check_in.day_offset),
        label=check_in.label.get("nb", ""),
    )


def to_utc(local_date: date, local_time: time) -> datetime:
    """The instant of a Norwegian wall-clock time.

    A time skipped in spring becomes the first instant after the gap; a time that comes twice in autumn, the first.
    """
    wanted = datetime.combine(local_date, local_time.replace(tzinfo=None, fold=0))
    while not _exists(wanted):
        wanted = wanted.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return wanted.replace(tzinfo=OSLO).astimezone(UTC)


def _exists(local: datetime) -> bool:
    """False in the hour skipped in spring, which zoneinfo silently reads as an hour later."""
    return to_local(local.replace(tzinfo=OSLO).astimezone(UTC)).replace(tzinfo=None, fold=0) == local


def to_local(instant: datetime) -> datetime:
    """The Norwegian wall clock at an instant."""
    return instant.astimezone(OSLO)


def local_day(instant: datetime) -> date:
    """The Norwegian date at an instant."""
    return to_local(instant).date()


def silent_from(sent: datetime, heard_at: datetime | None) -> datetime:
    """From when silence is counted after something was sent: from the last word heard, which cannot go on for ever."""
    return min(max(sent, heard_at or sent), sent + LISTEN_AT_MOST)


def remind_at(asked_at: datetime, after_hours: int = REMIND_AFTER_HOURS) -> datetime:
    """When one who has not answered is reminded, once. Quiet hours may move the sending, never bring it forward."""
    return asked_at + timedelta(hours=after_hours)


def give_up_at(reminded_at: datetime, after_hours: int = GIVE_UP_AFTER_HOURS) -> datetime:
    """When silence after the reminder becomes a flag."""
    return reminded_at + timedelta(hours=after_hours)
