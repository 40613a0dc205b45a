"""The tick: a promise that is about to pass or has passed reaches people, and no case lies where nobody is at work.

What is due is taken once, whoever else ticks: a case is changed only while it stands as it was read. A tick that comes late
takes one step, and the next is counted from then, so that nobody is passed over.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session, contains_eager

from companion.models import Flag, Membership, Patient, PatientUnit, Professional, Unit
from companion.rules.cadence import local_day
from companion.rules.owners import LADDER, Rung, rungs_after
from companion.rules.promises import SOON, next_step_at
from companion.use_cases.cases import duty, told
from companion.use_cases.cases.flag import (
    AWAY,
    NOBODY,
    NOT_CLOSED,
    OVERDUE,
    change,
    lies_with,
    note_events,
    owner_unit,
)
from companion.use_cases.cases.owner import has_people, is_working, leaders, unit_for, ward_of

# One transaction; SQLite lets nobody else write meanwhile.
BATCH = 100
_FREE: Mapping[str, Any] = {"state": "open", "claimed_by_id": None, "claimed_at": None}
Step = tuple[Mapping[str, Any], str | None]


def climb_due(db: Session, now: datetime, ladder: Collection[str] = LADDER, limit: int = BATCH) -> int:
    """Tells the unit that the time is nearly up, and lets each overdue case take one step; says how many flags that was."""
    due = and_(NOT_CLOSED, Flag.next_step_at <= now)
    return sum(_climb(db, raised, ladder, now) for raised in _held(db, due, limit))


def hand_on(db: Session, now: datetime, limit: int = BATCH) -> int:
    """Puts back what somebody has taken who is away or gone, and gives the next unit what lies where nobody Membership.

    Says how many flags that was. Where nobody works anywhere, everything stays where it is.
    """
    return _put_back(db, now, limit) + _give_on(db, now, limit)


def _held(db: Session, wanted: ColumnElement[bool], limit: int) -> Sequence[Flag]:
    """Flags that nobody else changes meanwhile. The patient is held too, and with it the rest of the case."""
    return db.scalars(
        select(Flag)
        .join(Flag.patient)
        .where(wanted)
        .order_by(Flag.next_step_at, Flag.rank, Flag.id)
        .limit(limit)
        .options(contains_eager(Flag.patient))
        .with_for_update(skip_locked=True, of=(Flag, Patient), key_share=True)
        .execution_options(populate_existing=True)
    ).all()


# --- climbing ---------------------------------------------------------------------------------------------------------


def _climb(db: Session, raised: Flag, ladder: Collection[str], now: datetime) -> int:
    as_read = and_(NOT_CLOSED, Flag.next_step_at <= now)
    if now < raised.respond_by and raised.rung not in LADDER:
        nearly = change(db, raised, as_read, rest=NOT_CLOSED, rung=SOON, next_step_at=Flag.respond_by)
        return _tell(db, raised, nearly, SOON, None, raised.unit.name, now)
    for rung in rungs_after(raised.rung, ladder):
        if step := _step(db, raised, rung, now):
            values, to = step
            again = next_step_at(raised.level, now)
            climbed = change(db, raised, as_read, rest=NOT_CLOSED, rung=rung, next_step_at=again, **values)
            return _tell(db, raised, climbed, OVERDUE, rung, to, now)
    return len(change(db, raised, as_read, rest=NOT_CLOSED, next_step_at=None))


def _tell(
    db: Session, raised: Flag, case: list[UUID], what: Any, rung: str | None, to: str | None, now: datetime
) -> int:
    if case:
        told.tell(db, raised, what, now, why=rung, to=to)
    return len(case)


def _step(db: Session, raised: Flag, rung: Rung, now: datetime) -> Step | None:
    """What a rung means for this case and who has it then; None when it is not there or has the case already."""
    if rung == "person":
        return ({}, raised.claimed_by.name) if raised.claimed_by else None
    if rung == "unit":
        return _FREE, raised.unit.name
    ward = ward_of(db, raised.patient)
    if ward is None:
        return None
    if rung == "leader":
        return _to_leader(db, raised, ward, now)
    wanted = ward if rung == "ward" else owner_unit(db, raised.patient, "coordinating_unit")
    return _to(raised, unit_for(db, raised.patient, wanted, now), now)


def _to(raised: Flag, unit: Unit, now: datetime) -> Step | None:
    if unit.id == raised.unit_id:
        return None
    return {**lies_with(unit, now), "from_unit_id": raised.unit_id, "because": OVERDUE}, unit.name


def _to_leader(db: Session, raised: Flag, ward: Unit, now: datetime) -> Step | None:
    names = ", ".join(one.name for one in leaders(db, ward.id, now))
    there = _to(raised, ward, now)
    return (there[0] if there else _FREE, names) if names else None


# --- nobody at work ---------------------------------------------------------------------------------------------------


def _put_back(db: Session, now: datetime, limit: int) -> int:
    """Cases of people who are away, have left, or work no longer where the case is or the person is followed."""
    today = local_day(now)
    following = select(PatientUnit.unit_id).where(
        PatientUnit.patient_id == Flag.patient_id,
        PatientUnit.since <= today,
        or_(PatientUnit.until.is_(None), PatientUnit.until >= today),
    )
    reached = (
        select(Membership.id)
        .where(
            Membership.professional_id == Flag.claimed_by_id,
            or_(Membership.unit_id == Flag.unit_id, Membership.unit_id.in_(following)),
        )
        .exists()
    )
    at_work = select(Professional.id).where(is_working(today))
    lost = and_(NOT_CLOSED, Flag.state == "claimed", or_(Flag.claimed_by_id.not_in(at_work), ~reached))
    freed = 0
    for raised in _held(db, lost, limit):
        case = change(db, raised, lost, **_FREE)
        note_events(db, case, None, "released", now, outcome=AWAY)
        freed += len(case)
    return freed


def _give_on(db: Session, now: datetime, limit: int) -> int:
    today = local_day(now)
    empty = db.scalars(select(Unit.id).where(~has_people(Unit.id, today))).all()
    if not empty or len(empty) == db.scalar(select(func.count()).select_from(Unit)):
        return 0
    given = 0
    for raised in _held(db, and_(Flag.unit_id.in_(empty), NOT_CLOSED), limit):
        here = raised.unit_id
        unit = unit_for(db, raised.patient, raised.unit, now)
        there = {**lies_with(unit, now), "from_unit_id": here, "because": NOBODY}
        case = change(db, raised, and_(Flag.unit_id == here, NOT_CLOSED), **there)
        note_events(db, case, None, "moved", now, outcome=NOBODY, text=unit.name)
        if case and raised.level == "red":
            duty.tell(db, raised, "raised", now=now, step="nobody")
        given += len(case)
    return given
