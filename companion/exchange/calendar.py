"""iCalendar (RFC 5545, 5546): meetings for the person's own calendar, without a word about health and without anybody's name."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from icalendar import Alarm, Calendar, Event, vCalAddress

REFRESHED_EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class Words:
    """What stands in the calendar, in the reader's language; `phone` is where one says that the time does not suit."""

    summary: str
    description: str
    phone: str


@dataclass(frozen=True)
class Appointment:
    """What a calendar needs to know of a meeting; moments with a time zone. `attendee`: the reader's place at it."""

    id: UUID
    attendee: UUID
    sequence: int
    starts_at: datetime
    ends_at: datetime
    remind_before: timedelta
    url: str
    cancelled: bool
    words: Words


@dataclass(frozen=True)
class Organizer:
    """Who invites, as calendars show it: the service, at an address that takes no answers (those are given in it)."""

    name: str
    address: str


def file(appointment: Appointment, organizer: Organizer, now: datetime) -> bytes:
    """The invitation, or its cancellation: what the calendar has of this meeting is replaced, or taken out."""
    found = _calendar("CANCEL" if appointment.cancelled else "REQUEST")
    found.add_component(_event(appointment, organizer, now))
    return bytes(found.to_ical())


def feed(appointments: Iterable[Appointment], organizer: Organizer, now: datetime) -> bytes:
    """All of a person's meetings, for a calendar that fetches them again and again."""
    found = _calendar("PUBLISH")
    found.add("x-wr-calname", organizer.name)
    found.add("refresh-interval", REFRESHED_EVERY, parameters={"VALUE": "DURATION"})
    for appointment in appointments:
        found.add_component(_event(appointment, organizer, now))
    return bytes(found.to_ical())


def _calendar(method: Literal["REQUEST", "CANCEL", "PUBLISH"]) -> Calendar:
    found = Calendar()
    found.add("prodid", "-//folge//meeting//NO")
    found.add("version", "2.0")
    found.add("method", method)
    return found


def _event(appointment: Appointment, organizer: Organizer, now: datetime) -> Event:
    event = Event()
    event.add("uid", f"{appointment.id}@folge")
    event.add("dtstamp", now)
    event.add("sequence", appointment.sequence)
    event.add("dtstart", appointment.starts_at)
    event.add("dtend", appointment.ends_at)
    event.add("summary", appointment.words.summary)
    event.add("description", appointment.words.description)
    event.add("location", appointment.url)
    event.add("url", appointment.url)
    if appointment.words.phone:
        event.add("contact", appointment.words.phone)
    event.add("organizer", _address(f"mailto:{organizer.address}", CN=organizer.name))
    attendee = _address(f"urn:uuid:{appointment.attendee}", PARTSTAT="NEEDS-ACTION", RSVP="FALSE")
    event.add("attendee", attendee)
    event.add("status", "CANCELLED" if appointment.cancelled else "CONFIRMED")
    event.add("class", "PRIVATE")
    if not appointment.cancelled:
        event.add_component(_reminder(appointment))
    return event


def _reminder(appointment: Appointment) -> Alarm:
    reminder = Alarm()
    reminder.add("action", "DISPLAY")
    reminder.add("description", appointment.words.summary)
    reminder.add("trigger", -appointment.remind_before)
    return reminder


def _address(uri: str, **parameters: str) -> vCalAddress:
    address = vCalAddress(uri)
    address.params.update(parameters)
    return address
