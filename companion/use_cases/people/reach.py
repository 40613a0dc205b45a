"""Whose patient it is: the one question in front of every use-case about a patient."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, func, or_, select, true
from sqlalchemy.orm import Session, joinedload

from companion.errors import NotFound
from companion.models import Grant, Patient
from companion.rules.access import Actor, Scope
from companion.rules.cadence import local_day
from companion.use_cases.cases.flag import follows


def patient_of(
    db: Session,
    who: Actor,
    patient_id: UUID,
    *,
    now: datetime,
    scope: Scope | None = None,
    lock: bool = False,
) -> Patient:
    """The patient, when the person asking is the patient, follows the patient, or holds a grant for `scope` that is in force.

    `NotFound` for everybody else. `lock` holds the record until the transaction ends.
    """
    query = (
        select(Patient)
        .where(Patient.id == patient_id, may_reach(who, now=now, scope=scope))
        .options(joinedload(Patient.municipality))
    )
    if lock:
        query = query.with_for_update(of=Patient)
    patient = db.scalars(query).one_or_none()
    if patient is None:
        raise NotFound("patient")
    return patient


def may_reach(who: Actor, *, now: datetime, scope: Scope | None) -> ColumnElement[bool]:
    """The condition on `Patient` behind `patient_of`."""
    if who.kind in ("integration", "system"):
        return true()
    if who.kind == "patient" and who.id:
        return Patient.id == who.id
    if who.kind == "professional" and who.unit_ids:
        return follows(who, Patient.id, local_day(now))
    if who.kind == "relative" and who.id and scope:
        return (
            select(Grant.id)
            .where(Grant.patient_id == Patient.id, in_force(now, scope), Grant.relative_id == who.id)
            .exists()
        )
    return false()


def in_force(now: datetime, scope: Scope | None = None) -> ColumnElement[bool]:
    """The condition that a grant holds at this moment, and opens `scope`; `rules.access.GrantFacts.holds`, as SQL."""
    holds = and_(
        Grant.given_at <= now,
        Grant.valid_until > now,
        or_(Grant.withdrawn_at.is_(None), Grant.withdrawn_at > now),
    )
    if scope is None:
        return holds
    # A comma list, so that one scope is found whole.
    return and_(holds, ("," + func.coalesce(Grant.scopes, "") + ",").like(f"%,{scope},%"))
