"""Who is at a meeting: as whom, by what right, and whose meeting it is."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from companion.errors import LevelTooLow, NotAllowed, NotFound
from companion.models import Grant, Meeting, Participant, Patient, PatientUnit, Relative, Unit
from companion.rules.access import Actor, Level
from companion.rules.cadence import local_day

# As many pictures as a telephone can bear to send and show.
PLACES = 6


def professional(who: Actor) -> UUID:
    """The professional asking, surely. Raises `NotAllowed`, `LevelTooLow`."""
    if who.kind != "professional" or who.id is None:
        raise NotAllowed("only professionals")
    if who.level < Level.high:
        raise LevelTooLow(Level.high.name)
    return who.id


def followed(db: Session, who: Actor, patient_id: UUID, now: datetime) -> tuple[Patient, Unit]:
    """The patient and the unit (rather the one the person asking sits in) that follows them."""
    professional(who)
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


def of_my_unit(db: Session, who: Actor, meeting_id: UUID) -> Meeting:
    """A meeting of the unit, a colleague's too: somebody must be able to cancel when the host is ill."""
    professional(who)
    meeting = db.scalar(select(Meeting).where(Meeting.id == meeting_id, Meeting.unit_id.in_(who.unit_ids)))
    if meeting is None:
        raise NotFound
    return meeting


def of_mine(db: Session, who: Actor, meeting_id: UUID) -> Meeting:
    """A meeting of which the person asking is the host."""
    meeting = db.scalar(
        select(Meeting).where(
            Meeting.id == meeting_id,
            Meeting.host_id == professional(who),
            Meeting.unit_id.in_(who.unit_ids),
        )
    )
    if meeting is None:
        raise NotFound
    return meeting


def may_invite(db: Session, who: Actor, patient_id: UUID, *, now: datetime) -> list[Grant]:
    """The grants by which relatives may be invited to a meeting with this patient now."""
    followed(db, who, patient_id, now)
    return meeting_grants(db, patient_id, now)


def relations(db: Session, meeting: Meeting, now: datetime) -> dict[UUID, str]:
    """What each invited relative is to the patient, by the relative's id: "datter"."""
    return {grant.relative_id: grant.relation for grant in meeting_grants(db, meeting.patient_id, now)}


def meeting_grants(db: Session, patient_id: UUID | None, at: datetime) -> list[Grant]:
    """The grants that open meetings at that moment."""
    grants = db.scalars(
        select(Grant)
        .where(Grant.patient_id == patient_id, Grant.withdrawn_at.is_(None), Grant.valid_until > at)
        .order_by(Grant.given_at, Grant.id)
    )
    return [grant for grant in grants if "meetings" in grant.scope_set]


def welcome(db: Session, participant: Participant, now: datetime) -> bool:
    """Whether the invitation still holds: until it is taken back, and a relative's only as long as the grant."""
    if participant.removed_at is not None:
        return False
    if participant.relative_id is None:
        return True
    grants = meeting_grants(db, participant.meeting.patient_id, now)
    return any(grant.relative_id == participant.relative_id for grant in grants)


def guest(participant: Participant) -> Patient | Relative | Participant:
    """Who gets the letters for a place: the record of the person, or the place itself where that is all we know of them."""
    assert participant.professional_id is None, "a professional is no guest"
    return participant.patient or participant.relative or participant


def at_work(who: Actor) -> ColumnElement[bool]:
    """The condition that a colleague still works where they were invited. Whoever changes unit leaves the meetings there."""
    return func.coalesce(Participant.unit_id, Meeting.unit_id).in_(who.unit_ids)
