"""What a person gets after a discharge, and when, while the form is still being filled in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Literal

from companion import library
from companion.rules.cadence import local_day, schedule
from companion.use_cases.going_home.checked import read_date, read_time


@dataclass(frozen=True)
class PreviewLine:
    """What the person gets, when: `welcome` or `check_in`. `on` and `at` are Norwegian wall-clock time."""

    kind: Literal["welcome", "check_in"]
    day: int
    on: date
    at: time
    label: Mapping[str, str]


def preview(fields: Mapping[str, str], *, now: datetime) -> list[PreviewLine]:
    """What the person will get, from a form that is perhaps half filled in; empty as long as template or day are missing."""
    template = library.plan_templates().get(fields.get("template", "").strip())
    day = read_date(fields.get("discharged_on", "").strip())
    if template is None or day is None:
        return []
    hour = read_time(fields.get("hour", "").strip()) or template.hour
    today = local_day(now)
    coming = [one for one in schedule(template, day, hour) if one.local_date >= today]
    labels = {one.day_offset: one.label for one in template.check_ins}
    return [
        PreviewLine("welcome", 0, max(day, today), hour, {}),
        *(
            PreviewLine("check_in", one.day_offset, one.local_date, hour, labels[one.day_offset])
            for one in coming
        ),
    ]
