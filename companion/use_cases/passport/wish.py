"""What a patient asks for outside a check-in: somebody to hold the threads together."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from companion.errors import NotAllowed, NotFound
from companion.models import Flag, Patient
from companion.rules.access import Actor
from companion.use_cases.cases import flag

COORDINATOR = "wants_coordinator"


def ask_for_coordinator(db: Session, who: Actor, *, now: datetime) -> Flag:
    """The wish reaches the coordinating unit, else the ward. Asked again while somebody is at it, nothing is added."""
    if who.kind != "patient":
        raise NotAllowed("for the patient")
    patient = db.get(Patient, who.id)
    if patient is None:
        raise NotFound("patient")
    return coordinator_wish(db, who) or flag.raise_flag(
        db,
        patient,
        code=COORDINATOR,
        level="amber",
        unit=flag.owner_unit(db, patient, "coordinating_unit"),
        now=now,
    )


def coordinator_wish(db: Session, who: Actor) -> Flag | None:
    """The wish that is not dealt with yet, wherever it was said, with the unit that has it and who took it."""
    if who.kind != "patient":
        return None
    return db.scalars(
        select(Flag)
        .where(Flag.patient_id == who.id, Flag.code == COORDINATOR, Flag.state != "closed")
        .order_by(Flag.opened_at)
        .options(joinedload(Flag.unit), joinedload(Flag.claimed_by))
        .limit(1)
    ).first()
