"""A meeting's door: who comes, waits, is let in, hangs up; ends it; or asks to be phoned instead."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, joinedload

from companion.errors import Conflict, LevelTooLow, NotFound
from companion.models import LinkToken, Meeting, Participant, SignIn
from companion.rules.access import Actor, Level
from companion.rules.meetings import Phase, phase
from companion.use_cases.meetings.happenings import happened, kinds_of, still_standing, waits
from companion.use_cases.meetings.participants import at_work, of_mine, professional, welcome
from companion.use_cases.meetings.telling import raise_flag

News = Literal["ended", "cancelled", "moved", "not_welcome"]


def invitation(db: Session, door: Actor | SignIn, meeting_id: UUID, *, now: datetime) -> Participant:
    """The place at the meeting of the person asking, whatever the hour; `NotFound` for everybody not invited (any more).

    `door` is the signed-in person, or the sign-in of somebody who has only opened a link: then it must be this meeting's link.
    """
    invited = select(Participant).where(
        Participant.meeting_id == meeting_id, Participant.removed_at.is_(None)
    )
    if isinstance(door, SignIn):
        token = db.get(LinkToken, door.link_token_id) if door.link_token_id else None
        if token is not None and token.participant_id:
            mine = Participant.id == token.participant_id
        elif token is None or token.meeting_id != meeting_id:
            raise LevelTooLow(Level.code.name)
        elif token.relative_id:
            mine = Participant.relative_id == token.relative_id
        else:
            mine = Participant.patient_id == token.patient_id
    else:
        if door.level < Level.code:
            raise LevelTooLow(Level.code.name)
        mine = _place_of(door)
        if door.kind == "professional":
            invited = invited.join(Participant.meeting).where(at_work(door))
    participant = db.scalar(invited.where(mine))
    if participant is None or not welcome(db, participant, now):
        raise NotFound
    return participant


def _place_of(who: Actor) -> ColumnElement[bool]:
    mine = {
        "patient": Participant.patient_id,
        "relative": Participant.relative_id,
        "professional": Participant.professional_id,
    }.get(who.kind)
    if mine is None or who.id is None:
        raise NotFound
    return mine == who.id


def enter(db: Session, door: Actor | SignIn, meeting_id: UUID, *, now: datetime) -> Participant:
    """The person comes: into the waiting room, or, being the host or already let in, straight to the meeting.

    Raises `NotFound` as `invitation` does, and `Conflict` with the phase as its code while the door is shut.
    """
    participant = invitation(db, door, meeting_id, now=now)
    meeting = participant.meeting
    if (where := phase(meeting, now)) is not Phase.open:
        raise Conflict(where.value)
    if participant.admitted_at is None:
        if participant.is_host:
            participant.admitted_at = now
            happened(meeting, "admitted", now, participant, how=_how(door))
        elif not waits(participant):
            happened(meeting, "waiting", now, participant, how=_how(door))
        db.flush()
    return participant


def admit(db: Session, who: Actor, participant_id: UUID, *, now: datetime) -> Participant:
    """The host lets somebody in who waits. Raises `NotFound` for somebody not at this host's meeting, or not welcome any more."""
    participant = db.scalar(
        select(Participant)
        .join(Participant.meeting)
        .where(
            Participant.id == participant_id,
            Participant.removed_at.is_(None),
            Meeting.host_id == professional(who),
            Meeting.unit_id.in_(who.unit_ids),
        )
    )
    if participant is None or not welcome(db, participant, now):
        raise NotFound
    if (where := phase(participant.meeting, now)) is not Phase.open:
        raise Conflict(where.value)
    if participant.admitted_at is None:
        if not waits(participant):
            raise Conflict("not_waiting")
        participant.admitted_at = now
        happened(participant.meeting, "admitted", now, participant)
        db.flush()
    return participant


def leave(db: Session, door: Actor | SignIn, meeting_id: UUID, *, now: datetime) -> Participant:
    """The person hangs up. Coming back, everybody but the host waits to be let in again."""
    participant = invitation(db, door, meeting_id, now=now)
    if waits(participant) or participant.admitted_at:
        participant.admitted_at = None
        happened(participant.meeting, "left", now, participant)
        db.flush()
    return participant


def end(db: Session, who: Actor, meeting_id: UUID, *, now: datetime) -> Meeting:
    """The host ends it for everyone. Twice is once."""
    meeting = of_mine(db, who, meeting_id)
    if meeting.state == "ended":
        return meeting
    still_standing(meeting)
    meeting.state = "ended"
    happened(meeting, "ended", now, by=who)
    db.flush()
    return meeting


def call_me(db: Session, door: Actor | SignIn, meeting_id: UUID, *, now: datetime) -> Participant:
    """The picture does not work: a red flag at the host's unit asks for a phone call instead. Twice is once."""
    participant = invitation(db, door, meeting_id, now=now)
    meeting = participant.meeting
    still_standing(meeting)
    if "call_me" not in kinds_of(participant):
        happened(meeting, "call_me", now, participant)
    params = {"who": participant.name, "role": participant.role, "phone": participant.phone or ""}
    raise_flag(db, meeting, "call_me", "red", params, now)
    return participant


@dataclass(frozen=True)
class Sitting:
    """Somebody whose browser is at the meeting: which place, and how often its time had been changed when they came."""

    participant_id: UUID
    sequence: int


def changed(db: Session, sitting: Collection[Sitting], *, now: datetime) -> dict[Sitting, News]:
    """Who of those at meetings must hear that it is no longer as it was when they came, and what happened."""
    ids = {one.participant_id for one in sitting}
    found = db.scalars(
        select(Participant)
        .where(Participant.id.in_(ids))
        .options(joinedload(Participant.meeting))
        .execution_options(populate_existing=True)
    )
    places = {one.id: one for one in found}
    news = ((one, _news(db, places.get(one.participant_id), one.sequence, now)) for one in sitting)
    return {one: said for one, said in news if said}


def _news(db: Session, place: Participant | None, sequence: int, now: datetime) -> News | None:
    if place is None:
        return "not_welcome"
    meeting = place.meeting
    if meeting.state in ("cancelled", "ended"):
        return "cancelled" if meeting.state == "cancelled" else "ended"
    if not welcome(db, place, now):
        return "not_welcome"
    return "moved" if meeting.sequence != sequence else None


def _how(door: Actor | SignIn) -> str:
    return door.level if isinstance(door, SignIn) else door.level.name
