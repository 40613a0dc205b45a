"""Video meetings: offer, move, cancel; come to the waiting room, be let in, leave, end; or ask to be phoned instead."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, Protocol
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, LevelTooLow, NotAllowed, NotFound
from companion.models import (
    FlagEvent,
    Grant,
    LinkToken,
    Meeting,
    MeetingEvent,
    Participant,
    Patient,
    PatientUnit,
    Professional,
    Relative,
    SignIn,
    Unit,
)
from companion.models.meetings import MEETING_KINDS
from companion.rules.access import Actor, Level
from companion.rules.cadence import local_day
from companion.use_cases.cases import flag
from companion.use_cases.messages import message

OPENS_BEFORE = timedelta(minutes=15)
OPEN_AFTER = timedelta(minutes=30)
USEFUL_AFTER_START = timedelta(minutes=30)
HORIZON = timedelta(days=366)
SHORTEST, LONGEST = 10, 120
SEATS = 4


class Phase(StrEnum):
    """Where in its life a meeting is, seen from its door."""

    early = "early"
    open = "open"
    over = "over"
    cancelled = "cancelled"
    ended = "ended"


class Span(Protocol):
    """What `phase` needs to know of a meeting."""

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
    if now > ends_at(meeting) + OPEN_AFTER:
        return Phase.over
    return Phase.open


def ends_at(meeting: Span) -> datetime:
    """When it is planned to be over."""
    return meeting.starts_at + timedelta(minutes=meeting.minutes)


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
    patient, unit = _followed(db, who, patient_id, now)
    about = flag.find(db, who, flag_id, now=now) if flag_id else None
    if about and about.patient_id != patient_id:
        raise NotFound
    wanted = list(dict.fromkeys(relatives))
    host = db.get_one(Professional, who.id, with_for_update=True)
    problems = _time_problems(db, host.id, starts_at, minutes, now)
    if kind not in MEETING_KINDS:
        problems["kind"] = "unknown"
    granted = {grant.relative_id: grant for grant in _meeting_grants(db, patient_id, starts_at)}
    if any(relative_id not in granted for relative_id in wanted):
        problems["relatives"] = "no_grant"
    elif len(wanted) > SEATS - 2:
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
    db.add(meeting)
    db.flush()
    _tell_guests(db, meeting, "meeting", now)
    if about:
        db.add(FlagEvent(flag_id=about.id, kind="contact", at=now, by_id=who.id, outcome="meeting"))
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
    meeting = _of_my_unit(db, who, meeting_id)
    length = meeting.minutes if minutes is None else minutes
    if (starts_at, length) == (meeting.starts_at, meeting.minutes):
        return meeting
    _still_standing(meeting)
    db.get_one(Professional, meeting.host_id, with_for_update=True)
    if problems := _time_problems(db, meeting.host_id, starts_at, length, now, apart_from=meeting.id):
        raise Invalid(problems)
    meeting.starts_at, meeting.minutes = starts_at, length
    meeting.sequence += 1
    for participant in meeting.participants:
        participant.admitted_at = None
    _happened(meeting, "moved", now)
    db.flush()
    _tell_guests(db, meeting, "meeting_moved", now)
    return meeting


def cancel(db: Session, who: Actor, meeting_id: UUID, *, now: datetime) -> Meeting:
    """Called off, told to everyone invited. Twice is once. Raises `Conflict` when it has ended."""
    meeting = _of_my_unit(db, who, meeting_id)
    if meeting.state == "cancelled":
        return meeting
    _still_standing(meeting)
    meeting.state = "cancelled"
    meeting.sequence += 1
    _happened(meeting, "cancelled", now)
    db.flush()
    if now < meeting.starts_at + USEFUL_AFTER_START:
        _tell_guests(db, meeting, "meeting_cancelled", now)
    return meeting


def find(db: Session, who: Actor, meeting_id: UUID) -> Meeting:
    """A meeting of one of the person's units; `NotFound` for everybody else."""
    return _of_my_unit(db, who, meeting_id)


def invitation(db: Session, door: Actor | SignIn, meeting_id: UUID, *, now: datetime) -> Participant:
    """The place at the meeting of the person asking, whatever the hour; `NotFound` for everybody not invited (any more).

    `door` is the signed-in person, or the sign-in of somebody who has only opened a link: then it must be this meeting's link.
    """
    invited = select(Participant).where(Participant.meeting_id == meeting_id)
    if isinstance(door, SignIn):
        token = db.get(LinkToken, door.link_token_id) if door.link_token_id else None
        if token is None or token.meeting_id != meeting_id:
            raise LevelTooLow(Level.code.name)
        kind, person = ("relative", token.relative_id) if token.relative_id else ("patient", token.patient_id)
    else:
        if door.level < Level.code:
            raise LevelTooLow(Level.code.name)
        kind, person = door.kind, door.id
    mine = {
        "patient": Participant.patient_id,
        "relative": Participant.relative_id,
        "professional": Participant.professional_id,
    }.get(kind)
    if mine is None or person is None:
        raise NotFound
    if not isinstance(door, SignIn) and door.kind == "professional":
        # Whoever changes unit leaves the meetings there to the colleagues.
        invited = invited.join(Participant.meeting).where(Meeting.unit_id.in_(door.unit_ids))
    participant = db.scalar(invited.where(mine == person))
    if participant is None or not _welcome(db, participant, now):
        raise NotFound
    return participant


def enter(db: Session, door: Actor | SignIn, meeting_id: UUID, *, now: datetime) -> Participant:
    """The person comes: into the waiting room, or, being the host or already let in, straight to the meeting.

    Raises `NotFound` as `invitation` does, and `Conflict` with the phase as its code while the door is shut.
    """
    participant = invitation(db, door, meeting_id, now=now)
    meeting = participant.meeting
    if (where := phase(meeting, now)) is not Phase.open:
        raise Conflict(where.value)
    if participant.admitted_at is None:
        if participant.professional_id == meeting.host_id:
            participant.admitted_at = now
            _happened(meeting, "admitted", now, participant, how=_how(door))
        elif not _waits(participant):
            _happened(meeting, "waiting", now, participant, how=_how(door))
        db.flush()
    return participant


def admit(db: Session, who: Actor, participant_id: UUID, *, now: datetime) -> Participant:
    """The host lets somebody in who waits. Raises `NotFound` for somebody not at this host's meeting, or not welcome any more."""
    participant = db.scalar(
        select(Participant)
        .join(Participant.meeting)
        .where(
            Participant.id == participant_id,
            Meeting.host_id == _professional(who),
            Meeting.unit_id.in_(who.unit_ids),
        )
    )
    if participant is None or not _welcome(db, participant, now):
        raise NotFound
    if (where := phase(participant.meeting, now)) is not Phase.open:
        raise Conflict(where.value)
    if participant.admitted_at is None:
        if not _waits(participant):
            raise Conflict("not_waiting")
        participant.admitted_at = now
        _happened(participant.meeting, "admitted", now, participant)
        db.flush()
    return participant


def leave(db: Session, door: Actor | SignIn, meeting_id: UUID, *, now: datetime) -> Participant:
    """The person hangs up. Coming back, everybody but the host waits to be let in again."""
    participant = invitation(db, door, meeting_id, now=now)
    if _waits(participant) or participant.admitted_at:
        participant.admitted_at = None
        _happened(participant.meeting, "left", now, participant)
        db.flush()
    return participant


def end(db: Session, who: Actor, meeting_id: UUID, *, now: datetime) -> Meeting:
    """The host ends it for everyone. Twice is once."""
    meeting = db.scalar(
        select(Meeting).where(
            Meeting.id == meeting_id,
            Meeting.host_id == _professional(who),
            Meeting.unit_id.in_(who.unit_ids),
        )
    )
    if meeting is None:
        raise NotFound
    if meeting.state == "ended":
        return meeting
    _still_standing(meeting)
    meeting.state = "ended"
    _happened(meeting, "ended", now)
    db.flush()
    return meeting


def call_me(db: Session, door: Actor | SignIn, meeting_id: UUID, *, now: datetime) -> Participant:
    """The picture does not work: a red flag at the host's unit asks for a phone call instead. Twice is once."""
    participant = invitation(db, door, meeting_id, now=now)
    meeting = participant.meeting
    _still_standing(meeting)
    if "call_me" not in _events(participant):
        _happened(meeting, "call_me", now, participant)
    phone = _guest(participant).phone if participant.role != "therapist" else None
    params = {"who": participant.name, "role": participant.role, "phone": phone or ""}
    _flag(db, meeting, "call_me", "red", params, now)
    return participant


def asked_to_be_called(meeting: Meeting) -> list[Participant]:
    """Who could not get the picture to work and asked for a phone call, since the time was last changed."""
    return [participant for participant in meeting.participants if "call_me" in _events(participant)]


def may_invite(db: Session, who: Actor, patient_id: UUID, *, now: datetime) -> list[Grant]:
    """The grants by which relatives may be invited to a meeting with this patient now."""
    _followed(db, who, patient_id, now)
    return _meeting_grants(db, patient_id, now)


def relations(db: Session, meeting: Meeting, now: datetime) -> dict[UUID, str]:
    """What each invited relative is to the patient, by the relative's id: "datter"."""
    return {grant.relative_id: grant.relation for grant in _meeting_grants(db, meeting.patient_id, now)}


def _professional(who: Actor) -> UUID:
    if who.kind != "professional" or who.id is None:
        raise NotAllowed("only professionals")
    if who.level < Level.high:
        raise LevelTooLow(Level.high.name)
    return who.id


def _followed(db: Session, who: Actor, patient_id: UUID, now: datetime) -> tuple[Patient, Unit]:
    """The patient and the unit (rather the one the person asking sits in) that follows them."""
    _professional(who)
    rows = db.scalars(
        select(PatientUnit).where(
            PatientUnit.patient_id == patient_id,
            PatientUnit.unit_id.in_(who.unit_ids),
            PatientUnit.until.is_(None) | (PatientUnit.until >= local_day(now)),
        )
    ).all()
    patient = db.get(Patient, patient_id) if rows else None
    if patient is None or patient.died_on is not None:
        raise NotFound
    chosen = next((row for row in rows if row.unit_id == who.unit_id), rows[0])
    return patient, chosen.unit


def _of_my_unit(db: Session, who: Actor, meeting_id: UUID) -> Meeting:
    """A meeting of the unit, a colleague's too: somebody must be able to cancel when the host is ill."""
    _professional(who)
    meeting = db.scalar(select(Meeting).where(Meeting.id == meeting_id, Meeting.unit_id.in_(who.unit_ids)))
    if meeting is None:
        raise NotFound
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


def _meeting_grants(db: Session, patient_id: UUID, at: datetime) -> list[Grant]:
    grants = db.scalars(
        select(Grant)
        .where(Grant.patient_id == patient_id, Grant.withdrawn_at.is_(None), Grant.valid_until > at)
        .order_by(Grant.given_at, Grant.id)
    )
    return [grant for grant in grants if "meetings" in grant.scope_set]


def _welcome(db: Session, participant: Participant, now: datetime) -> bool:
    """Whether the invitation still holds: a relative's does so only as long as the grant."""
    if participant.relative_id is None:
        return True
    grants = _meeting_grants(db, participant.meeting.patient_id, now)
    return any(grant.relative_id == participant.relative_id for grant in grants)


def _still_standing(meeting: Meeting) -> None:
    if meeting.state != "offered":
        raise Conflict(meeting.state)


def _happened(
    meeting: Meeting,
    kind: str,
    now: datetime,
    participant: Participant | None = None,
    how: str | None = None,
) -> None:
    meeting.events.append(
        MeetingEvent(kind=kind, at=now, participant_id=participant.id if participant else None, how=how)
    )


def _events(participant: Participant) -> list[str]:
    """What happened to this person at this meeting since its time was last changed."""
    kinds: list[str] = []
    for event in participant.meeting.events:
        if event.kind == "moved":
            kinds = []
        elif event.participant_id == participant.id:
            kinds.append(event.kind)
    return kinds


def _waits(participant: Participant) -> bool:
    came_and_went = [kind for kind in _events(participant) if kind in ("waiting", "admitted", "left")]
    return came_and_went[-1:] == ["waiting"]


def _how(door: Actor | SignIn) -> str:
    return door.level if isinstance(door, SignIn) else door.level.name


def _tell_guests(db: Session, meeting: Meeting, kind: str, now: datetime) -> None:
    """A message to each guest; whoever takes none must be phoned, so the unit gets a flag instead of silence."""
    untold = []
    for participant in meeting.participants:
        if participant.professional_id or not _welcome(db, participant, now):
            continue
        written = message.write(
            db,
            kind,
            to=_guest(participant),
            now=now,
            params={"when": meeting.starts_at.isoformat(), "who": meeting.host.name},
            meeting=meeting,
            valid_until=meeting.starts_at + USEFUL_AFTER_START,
            dedupe_key=f"{kind}:{meeting.id}:{meeting.sequence}:{participant.position}",
        )
        if written is None:
            untold.append(participant.name)
    if untold:
        _flag(db, meeting, "tell_by_phone", "amber", {"who": ", ".join(untold), "about": kind}, now)


def _guest(participant: Participant) -> Patient | Relative:
    person = participant.patient or participant.relative
    assert person, "a professional is no guest"
    return person


def _flag(
    db: Session,
    meeting: Meeting,
    code: str,
    level: Literal["red", "amber"],
    params: dict[str, str],
    now: datetime,
) -> None:
    """One open flag per patient and code; it speaks of the latest."""
    told = params | {"host": meeting.host.name, "when": meeting.starts_at.isoformat()}
    raised = flag.raise_flag(
        db, meeting.patient, code=code, level=level, unit=meeting.unit, params=told, now=now
    )
    raised.params = told
    db.flush()
