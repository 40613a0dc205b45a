"""Who may own a case: a unit in which somebody is at work. Where nobody is, the next one has it."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from companion.models import Membership, Patient, PatientUnit, Professional, Stay, Unit
from companion.rules.cadence import local_day
from companion.rules.owners import Workplace, next_owner


def is_working(today: date) -> ColumnElement[bool]:
    """The condition that a professional has not left and is not on leave that day."""
    away = and_(
        Professional.away_from <= today,
        or_(Professional.away_until.is_(None), Professional.away_until >= today),
    )
    return and_(Professional.left_at.is_(None), or_(Professional.away_from.is_(None), ~away))


def has_people(unit_id: Any, today: date) -> ColumnElement[bool]:
    """The condition that somebody of the unit is at work that day."""
    return (
        select(Membership.id)
        .join(Professional, Professional.id == Membership.professional_id)
        .where(Membership.unit_id == unit_id, is_working(today))
        .exists()
    )


def unit_for(db: Session, patient: Patient, wanted: Unit, now: datetime) -> Unit:
    """The unit that has a case which belongs to `wanted`: itself while somebody works there, else the next one.

    Where nobody works anywhere it stays with `wanted`; `doctor` says so.
    """
    today = local_day(now)
    if db.scalar(select(has_people(wanted.id, today))):
        return wanted
    at_work = db.execute(
        select(Unit.id, Unit.key, Unit.kind, Unit.trust, Unit.municipality_number).where(
            has_people(Unit.id, today)
        )
    )
    ward = ward_of(db, patient)
    nearest = next_owner(
        [Workplace(*row) for row in at_work],
        _following(db, patient, today),
        ward.id if ward else None,
        patient.municipality_number,
        ward.trust if ward else None,
    )
    return db.get_one(Unit, nearest) if nearest else wanted


def ward_of(db: Session, patient: Patient) -> Unit | None:
    """The ward of the person's latest stay; None for somebody who has none."""
    return db.scalars(
        select(Unit)
        .join(Stay, Stay.ward_id == Unit.id)
        .where(Stay.patient_id == patient.id)
        .order_by(Stay.state != "open", Stay.discharged_on.desc(), Stay.created_at.desc())
        .limit(1)
    ).one_or_none()


def leaders(db: Session, unit_id: UUID, now: datetime) -> list[Professional]:
    """Who leads the unit, of those at work."""
    return list(
        db.scalars(
            select(Professional)
            .join(Membership, Membership.professional_id == Professional.id)
            .where(Membership.unit_id == unit_id, Membership.role == "leader", is_working(local_day(now)))
            .order_by(Membership.id)
        )
    )


def _following(db: Session, patient: Patient, today: date) -> list[UUID]:
    return list(
        db.scalars(
            select(PatientUnit.unit_id).where(
                PatientUnit.patient_id == patient.id,
                PatientUnit.since <= today,
                or_(PatientUnit.until.is_(None), PatientUnit.until >= today),
            )
        )
    )
