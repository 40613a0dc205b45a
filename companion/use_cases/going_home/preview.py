"""What a person gets after a discharge, and when it really goes: as the form shows it, and as the plan is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Literal

from companion import library
from companion.rules.cadence import PlannedCheckIn, local_day, schedule, to_utc
from companion.rules.quiet_hours import may_choose, next_allowed
from companion.use_cases.going_home.checked import read_date, read_time


@dataclass(frozen=True)
class PreviewLine:
    """What the person gets, and the moment it really goes: `welcome` or `check_in`."""

    kind: Literal["welcome", "check_in"]
    day: int
    at: datetime
    label: Mapping[str, str]


def preview(fields: Mapping[str, str], *, now: datetime) -> list[PreviewLine]:
    """What the person will get, from a form that is perhaps half filled in; empty as long as template or day are missing."""
    template = library.plan_templates().get(fields.get("template", "").strip())
    day = read_date(fields.get("discharged_on", "").strip())
    if template is None or day is None:
        return []
    typed = read_time(fields.get("hour", "").strip())
    hour = typed if typed and may_choose(typed) else template.hour
    labels = {one.day_offset: one.label for one in template.check_ins}
    coming = {
        next_allowed("check_in", max(one.due_at, now), hour): one.day_offset
        for one in schedule(template, day, hour)
        if not is_over(one, local_day(now))
    }
    return [
        PreviewLine("welcome", 0, welcomed_at(day, hour, now), {}),
        # Two that the quiet days bring to one moment are one: the later.
        *(PreviewLine("check_in", number, at, labels[number]) for at, number in coming.items()),
    ]


def asked_at(planned: PlannedCheckIn) -> datetime:
    """When what the template has that day is asked: that day, or the first after it on which anybody is."""
    return next_allowed("check_in", planned.due_at, planned.local_time)


def is_over(planned: PlannedCheckIn, today: date) -> bool:
    """Whether the day on which it would be asked has passed."""
    return local_day(asked_at(planned)) < today


def welcomed_at(discharged_on: date, hour: time, now: datetime) -> datetime:
    """When the person is bid welcome home, of whom we hear now."""
    return next_allowed("welcome", max(now, to_utc(discharged_on, hour)), hour)
