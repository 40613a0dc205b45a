"""Flags: raised by what happened, owned by a unit, taken, worked on and closed by its people."""

from collections.abc import Collection
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from companion.errors import Conflict, Invalid, NotAllowed, NotFound
from companion.models import CheckIn, Flag, FlagEvent, Measure, Message, Patient, PatientUnit, Stay, Unit
from companion.rules.access import Actor
from companion.rules.cadence import local_day
from companion.rules.triage import RANK, Level, respond_by
from companion.use_cases.cases import duty

OUTCOMES = ("helped", "measure_started", "referred", "advice", "no_contact", "not_needed")
CONTACTS = ("phone", "video", "visit", "letter", "other")
LONGEST_NOTE = 2000
_KINDS_OF_OWNER = {
    "hospital": ("ward",),
    "ward": ("ward",),
    "art": ("art",),
    "municipality": ("municipal_rehab", "coordinating_unit"),
    "municipal_rehab": ("municipal_rehab", "coordinating_unit"),
    "coordinating_unit": ("coordinating_unit", "municipal_rehab"),
}


def raise_flag(
    db: Session,
    patient: Patient,
    *,
    code: str,
    level: str,
    unit: Unit,
    now: datetime,
    check_in: CheckIn | None = None,
    measure: Measure | None = None,
    message: Message | None = None,
    quote: str | None = None,
    params: dict[str, Any] | None = None,
) -> Flag:
    """Puts something before a unit. While the same thing is not closed, that flag is returned and nothing is added."""
    same = db.scalars(
        select(Flag).where(
            Flag.patient_id == patient.id,
            Flag.code == code,
            Flag.check_in_id == (check_in.id if check_in else None),
            Flag.measure_id == (measure.id if measure else None),
            Flag.message_id == (message.id if message else None),
            Flag.state != "closed",
        )
    ).first()
    if same:
        return same
    flag = Flag(
        patient_id=patient.id,
        unit_id=unit.id,
        check_in_id=check_in.id if check_in else None,
        measure_id=measure.id if measure else None,
        message_id=message.id if message else None,
        code=code,
        level=level,
        rank=RANK[level],
        quote=quote,
        params=params or {},
        opened_at=now,
        respond_by=respond_by(cast(Level, level), now),
    )
    flag.events.append(FlagEvent(kind="opened", at=now))
    db.add(flag)
    db.flush()
    if level == "red":
        duty.tell(db, flag, "raised", now=now)
    return flag


def owner_unit(db: Session, patient: Patient, owner_kind: str, measure: Measure | None = None) -> Unit:
    """The unit that owns a task of this kind for this patient; the ward of the latest stay where there is no other.

    `owner_kind` is a measure's owner (hospital, art, municipality, gp, nav, patient) or a kind of unit. The GP, NAV and the
    patient have no worklist here, so theirs goes to the municipality's coordinating unit when it follows the patient.
    """
    if measure and measure.owner_unit and measure.owner == owner_kind:
        return measure.owner_unit
    following = db.scalars(
        select(Unit)
        .join(PatientUnit, PatientUnit.unit_id == Unit.id)
        .where(PatientUnit.patient_id == patient.id)
        .order_by(PatientUnit.until.is_not(None), PatientUnit.since.desc(), Unit.key)
    ).all()
    for kind in _KINDS_OF_OWNER.get(owner_kind, ("coordinating_unit", "ward")):
        if kind == "ward":
            break
        for unit in following:
            if unit.kind == kind:
                return unit
    return _ward(db, patient)


def _ward(db: Session, patient: Patient) -> Unit:
    return db.scalars(
        select(Unit)
        .join(Stay, Stay.ward_id == Unit.id)
        .where(Stay.patient_id == patient.id)
        .order_by(Stay.state != "open", Stay.discharged_on.desc(), Stay.created_at.desc())
        .limit(1)
    ).one()


def follows(who: Actor, patient_id: Any, on: date) -> ColumnElement[bool]:
    """The condition that one of the person's units follows the patient that day."""
    return (
        select(PatientUnit.id)
        .where(
            PatientUnit.patient_id == patient_id,
            PatientUnit.unit_id.in_(who.unit_ids),
            PatientUnit.since <= on,
            or_(PatientUnit.until.is_(None), PatientUnit.until >= on),
        )
        .exists()
    )


def claim(db: Session, who: Actor, flag_id: UUID, *, now: datetime) -> Flag:
    """Takes the case; again: no change. Of two colleagues one gets it, the other is told who in `Conflict("claimed")`.

    A case is the flags that came of the same answers to the same unit: one person, one call, so one colleague takes them all.
    """
    flag = find(db, who, flag_id, now=now)
    taken = _change(db, flag, Flag.state == "open", state="claimed", claimed_by_id=who.id, claimed_at=now)
    if not taken and (flag.claimed_by_id != who.id or flag.state == "closed"):
        raise _somebody_was_first(flag)
    _note_events(db, taken, who, "claimed", now)
    return flag


def release(db: Session, who: Actor, flag_id: UUID, *, now: datetime) -> Flag:
    """Puts a case back for the others. A colleague's too, within the unit that owns it: people fall ill, cases must not lie."""
    flag = find(db, who, flag_id, now=now)
    freed = _change(
        db,
        flag,
        and_(Flag.state == "claimed", or_(Flag.claimed_by_id == who.id, Flag.unit_id.in_(who.unit_ids))),
        state="open",
        claimed_by_id=None,
        claimed_at=None,
    )
    if not freed and flag.state != "open":
        raise _somebody_was_first(flag)
    _note_events(db, freed, who, "released", now)
    return flag


def note(db: Session, who: Actor, flag_id: UUID, text: str, *, now: datetime) -> FlagEvent:
    """Writes a note on a case, also on a closed one. Raises `Invalid` for `text`."""
    written = _checked_text(text, required=True)
    return _note_event(db, find(db, who, flag_id, now=now), who, "note", now, text=written)


def contact(
    db: Session, who: Actor, flag_id: UUID, how: str, reached: bool, text: str = "", *, now: datetime
) -> FlagEvent:
    """Records an attempt to reach the patient: `how` of `CONTACTS`; the outcome is `phone:reached`, `phone:missed` …"""
    if how not in CONTACTS:
        raise Invalid({"how": "unknown"})
    written = _checked_text(text)
    flag = find(db, who, flag_id, now=now)
    outcome = f"{how}:{'reached' if reached else 'missed'}"
    return _note_event(db, flag, who, "contact", now, outcome=outcome, text=written)


def close(db: Session, who: Actor, flag_id: UUID, outcome: str, text: str = "", *, now: datetime) -> Flag:
    """Ends the case with an outcome of `OUTCOMES`; the same again: no change.

    A colleague's case is theirs to close: `Conflict("claimed")`.
    """
    if outcome not in OUTCOMES:
        raise Invalid({"outcome": "unknown" if outcome else "missing"})
    written = _checked_text(text)
    flag = find(db, who, flag_id, now=now)
    mine = or_(Flag.state == "open", and_(Flag.state == "claimed", Flag.claimed_by_id == who.id))
    closed = _change(
        db,
        flag,
        mine,
        state="closed",
        closed_at=now,
        outcome=outcome,
        claimed_by_id=who.id,
        claimed_at=func.coalesce(Flag.claimed_at, now),
    )
    if not closed and (flag.state, flag.claimed_by_id, flag.outcome) != ("closed", who.id, outcome):
        raise _somebody_was_first(flag)
    _note_events(db, closed, who, "closed", now, outcome=outcome, text=written)
    return flag


def move(db: Session, who: Actor, flag_id: UUID, unit_id: UUID, *, now: datetime) -> Flag:
    """Hands the case to another unit that follows the patient; there it is open, and the time to answer starts anew."""
    flag = find(db, who, flag_id, now=now)
    today = local_day(now)
    unit = db.scalars(
        select(Unit)
        .join(PatientUnit, PatientUnit.unit_id == Unit.id)
        .where(
            Unit.id == unit_id,
            PatientUnit.patient_id == flag.patient_id,
            PatientUnit.since <= today,
            or_(PatientUnit.until.is_(None), PatientUnit.until >= today),
        )
    ).one_or_none()
    if unit is None:
        raise Invalid({"unit": "not_following"})
    mine = or_(Flag.state == "open", and_(Flag.state == "claimed", Flag.claimed_by_id == who.id))
    moved = _change(
        db,
        flag,
        mine,
        unit_id=unit.id,
        state="open",
        claimed_by_id=None,
        claimed_at=None,
        respond_by=respond_by(cast(Level, flag.level), now),
    )
    if not moved:
        raise _somebody_was_first(flag)
    _note_events(db, moved, who, "moved", now, text=unit.name)
    return flag


def no_longer_needed(db: Session, check_in: CheckIn, codes: Collection[str], *, now: datetime) -> None:
    """Closes, in nobody's name, what was raised about this check-in and has settled itself; a taken case stays taken."""
    settled = select(Flag).where(Flag.check_in_id == check_in.id, Flag.code.in_(codes), Flag.state == "open")
    for one in db.scalars(settled).all():
        # This flag alone: what the answers themselves raised stays, although it is the same case.
        alone = and_(Flag.id == one.id, Flag.state == "open")
        if _update(db, alone, {"state": "closed", "closed_at": now, "outcome": "not_needed"}):
            db.add(FlagEvent(flag_id=one.id, kind="closed", at=now, outcome="not_needed"))
            db.refresh(one)
    db.flush()


def find(db: Session, who: Actor, flag_id: UUID, *, now: datetime) -> Flag:
    """The flag, for a professional whose unit owns it or follows the patient; `NotFound` for everybody else."""
    if who.kind != "professional":
        raise NotAllowed("flags are for professionals")
    flag = db.scalars(
        select(Flag)
        .where(
            Flag.id == flag_id,
            or_(Flag.unit_id.in_(who.unit_ids), follows(who, Flag.patient_id, local_day(now))),
        )
        .options(joinedload(Flag.claimed_by), joinedload(Flag.unit), joinedload(Flag.patient))
    ).one_or_none()
    if flag is None:
        raise NotFound("flag")
    return flag


def _change(db: Session, flag: Flag, condition: ColumnElement[bool], **values: Any) -> list[UUID]:
    """Changes the flag only if the condition still holds in the database, and with it the rest of its case where it holds.

    The ids that were changed, none when the flag itself was not; the object is fresh afterwards either way.
    """
    rest = and_(Flag.check_in_id == flag.check_in_id, Flag.unit_id == flag.unit_id, Flag.id != flag.id)
    changed = _update(db, and_(Flag.id == flag.id, condition), values)
    if changed and flag.check_in_id:
        changed += _update(db, and_(rest, condition), values)
    db.refresh(flag)
    return changed


def _update(db: Session, where: ColumnElement[bool], values: dict[str, Any]) -> list[UUID]:
    return list(
        db.scalars(
            update(Flag)
            .where(where)
            .values(**values)
            .returning(Flag.id)
            .execution_options(synchronize_session=False)
        )
    )


def _somebody_was_first(flag: Flag) -> Conflict:
    if flag.state == "open":
        return Conflict("not_claimed")
    return Conflict(flag.state, who=flag.claimed_by.name if flag.claimed_by else None)


def _note_events(
    db: Session,
    flag_ids: list[UUID],
    who: Actor,
    kind: str,
    now: datetime,
    *,
    outcome: str | None = None,
    text: str | None = None,
) -> None:
    """The same on every flag of a case; the words are written once."""
    for place, flag_id in enumerate(flag_ids):
        words = None if place and kind != "moved" else text
        db.add(FlagEvent(flag_id=flag_id, kind=kind, at=now, by_id=who.id, outcome=outcome, text=words))
    db.flush()


def _note_event(
    db: Session,
    flag: Flag,
    who: Actor,
    kind: str,
    now: datetime,
    *,
    outcome: str | None = None,
    text: str | None = None,
) -> FlagEvent:
    event = FlagEvent(flag_id=flag.id, kind=kind, at=now, by_id=who.id, outcome=outcome, text=text)
    db.add(event)
    db.flush()
    return event


def _checked_text(text: str, *, required: bool = False) -> str | None:
    written = text.strip()
    if required and not written:
        raise Invalid({"text": "missing"})
    if len(written) > LONGEST_NOTE:
        raise Invalid({"text": "too_long"})
    return written or None
