"""A meeting is offered, moved, called off; everybody invited is told each time."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Invalid, NotAllowed, NotFound
from companion.models import FlagEvent, Meeting, MeetingEvent, Participant, Professional, Unit
from companion.models.meetings import MEETING_KINDS
from companion.rules.access import Actor
from companion.rules.meetings import USEFUL_AFTER_START, ends_at, next_step_at
from companion.use_cases.cases import flag
from companion.use_cases.meetings.happenings import happened, still_standing
from companion.use_cases.meetings.outcome import settle
from companion.use_cases.meetings.participants import (
    PLACES,
    followed,
    meeting_grants,
    of_my_unit,
    professional,
)
from companion.use_cases.meetings.telling import tell_guests

HORIZON = timedelta(days=366)
SHORTEST, LONGEST = 10, 120


def offer(
    db: Session,
    who: Actor,
    patient_id: UUID,
    starts_at: datetime,
    *,
    minutes: int = 30,
    relatives: Iterable[UUID] = (),
    kind: str = "follow_up",
    flag_id: UUID | None = None,
    now: datetime,
) -> Meeting:
    """A meeting with the person asking as host; patient and invited relatives get a message each.

    Offered on a flag it is noted there as a contact. Raises `NotFound` unless a unit of the host follows the patient, and
    `Invalid` with all problems: `starts_at` past, too_far, clash · `minutes` not_a_length · `relatives` no_grant, too_many ·
    `kind` unknown.
    """
    patient, unit = followed(db, who, patient_id, now)
    about = flag.find(db, who, flag_id, now=now) if flag_id else None
    if about and about.patient_id != patient_id:
        raise NotFound
    wanted = list(dict.fromkeys(relatives))
    host = db.get_one(Professional, who.id, with_for_update=True)
    problems = _time_problems(db, host.id, starts_at, minutes, now)
    if kind not in MEETING_KINDS:
        problems["kind"] = "unknown"
    granted = {grant.relative_id: grant for grant in meeting_grants(db, patient_id, starts_at)}
    if any(relative_id not in granted for relative_id in wanted):
        problems["relatives"] = "no_grant"
    elif len(wanted) > PLACES - 2:
        problems["relatives"] = "too_many"
    if problems:
        raise Invalid(problems)
    meeting = Meeting(
        patient=patient,
        unit=unit,
        host=host,
        kind=kind,
        starts_at=starts_at,
        minutes=minutes,
        state="offered",
        created_at=now,
        participants=[
            Participant(position=0, role="therapist", professional=host),
            Participant(position=1, role="patient", patient=patient),
            *(
                Participant(position=place, role="relative", relative=granted[relative_id].relative)
                for place, relative_id in enumerate(wanted, start=2)
            ),
        ],
        events=[MeetingEvent(kind="offered", at=now)],
    )
    meeting.next_at = next_step_at(meeting, now, just_told=True)
    db.add(meeting)
    db.flush()
    tell_guests(db, meeting, "meeting", now)
    if about:
        db.add(FlagEvent(flag_id=about.id, kind="contact", at=now, by_id=who.id, outcome="meeting"))
        db.flush()
    return meeting


def offer_guidance(
    db: Session, who: Actor, starts_at: datetime, *, minutes: int = 30, now: datetime
) -> Meeting:
    """A meeting between professionals, about no patient; whom to meet is added afterwards. Raises `Invalid` as `offer` does."""
    host = db.get_one(Professional, professional(who), with_for_update=True)
    unit = db.get(Unit, who.unit_id) if who.unit_id else None
    if unit is None:
        raise NotAllowed("only those who work in a unit")
    if problems := _time_problems(db, host.id, starts_at, minutes, now):
        raise Invalid(problems)
    meeting = Meeting(
        unit=unit,
        host=host,
        kind="guidance",
        starts_at=starts_at,
        minutes=minutes,
        state="offered",
        created_at=now,
        participants=[Participant(position=0, role="therapist", professional=host)],
        events=[MeetingEvent(kind="offered", at=now)],
    )
    meeting.next_at = next_step_at(meeting, now, just_told=True)
    db.add(meeting)
    db.flush()
    return meeting


def move(
    db: Session,
    who: Actor,
    meeting_id: UUID,
    starts_at: datetime,
    *,
    minutes: int | None = None,
    now: datetime,
) -> Meeting:
    """Another time, told to everyone invited; those already let in must be let in again. The same time changes nothing.

    Raises `Invalid` as `offer` does, and `Conflict` when the meeting was cancelled or has ended.
    """
    meeting = of_my_unit(db, who, meeting_id)
    length = meeting.minutes if minutes is None else minutes
    if (starts_at, length) == (meeting.starts_at, meeting.minutes):
        return meeting
    still_standing(meeting)
    db.get_one(Professional, meeting.host_id, with_for_update=True)
    if problems := _time_problems(db, meeting.host_id, starts_at, length, now, apart_from=meeting.id):
        raise Invalid(problems)
    meeting.starts_at, meeting.minutes = starts_at, length
    meeting.sequence += 1
    meeting.next_at = next_step_at(meeting, now, just_told=True)
    for participant in meeting.participants:
        participant.admitted_at = participant.answer = None
    happened(meeting, "moved", now, by=who)
    settle(db, who, meeting, ("meeting_declined",), now)
    db.flush()
    tell_guests(db, meeting, "meeting_moved", now)
    return meeting


def cancel(db: Session, who: Actor, meeting_id: UUID, *, now: datetime) -> Meeting:
    """Called off, told to everyone invited. Twice is once. Raises `Conflict` when it has ended."""
    meeting = of_my_unit(db, who, meeting_id)
    if meeting.state == "cancelled":
        return meeting
    still_standing(meeting)
    meeting.state, meeting.next_at = "cancelled", None
    meeting.sequence += 1
    happened(meeting, "cancelled", now, by=who)
    settle(db, who, meeting, ("meeting_declined",), now)
    db.flush()
    if now < meeting.starts_at + USEFUL_AFTER_START:
        tell_guests(db, meeting, "meeting_cancelled", now)
    return meeting


def _time_problems(
    db: Session,
    host_id: UUID,
    starts_at: datetime,
    minutes: int,
    now: datetime,
    *,
    apart_from: UUID | None = None,
) -> dict[str, str]:
    problems = {}
    if not SHORTEST <= minutes <= LONGEST:
        problems["minutes"] = "not_a_length"
    if starts_at <= now:
        problems["starts_at"] = "past"
    elif starts_at > now + HORIZON:
        problems["starts_at"] = "too_far"
    elif "minutes" not in problems and _clashes(db, host_id, starts_at, minutes, apart_from):
        problems["starts_at"] = "clash"
    return problems


def _clashes(db: Session, host_id: UUID, starts_at: datetime, minutes: int, apart_from: UUID | None) -> bool:
    until = starts_at + timedelta(minutes=minutes)
    near = db.scalars(
        select(Meeting).where(
            Meeting.host_id == host_id,
            Meeting.state == "offered",
            Meeting.starts_at < until,
            Meeting.starts_at > starts_at - timedelta(minutes=LONGEST),
        )
    )
    return any(other.id != apart_from and ends_at(other) > starts_at for other in near)
