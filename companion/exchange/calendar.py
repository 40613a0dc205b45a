"""iCalendar (RFC 5545): a meeting for the person's own calendar, without a word about health."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from icalendar import Alarm, Calendar, Event


@dataclass(frozen=True)
class Appointment:
    """What a calendar needs to know of a meeting; moments with a time zone."""

    id: UUID
    sequence: int
    starts_at: datetime
    ends_at: datetime
    remind_before: timedelta
    product: str
    url: str
    cancelled: bool


def file(appointment: Appointment, now: datetime) -> bytes:
    """The file; one of a moved or cancelled meeting replaces what the calendar has."""
    event = Event()
    event.add("uid", f"{appointment.id}@folge")
    event.add("dtstamp", now)
    event.add("sequence", appointment.sequence)
    event.add("dtstart", appointment.starts_at)
    event.add("dtend", appointment.ends_at)
    event.add("summary", f"Videomøte ({appointment.product})")
    event.add("url", appointment.url)
    event.add("status", "CANCELLED" if appointment.cancelled else "CONFIRMED")
    event.add("class", "PRIVATE")
    reminder = Alarm()
    reminder.add("action", "DISPLAY")
    reminder.add("description", "Videomøte")
    reminder.add("trigger", -appointment.remind_before)
    event.add_component(reminder)
    found = Calendar()
    found.add("prodid", "-//folge//meeting//NO")
    found.add("version", "2.0")
    found.add("method", "PUBLISH")
    found.add_component(event)
    return bytes(found.to_ical())
