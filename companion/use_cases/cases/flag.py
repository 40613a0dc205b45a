"""Flags: raised by what happened, owned by a unit, taken, worked on and closed by its people."""

from collections.abc import Collection
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, literal_column, or_, select, update
from sqlalchemy.orm import Session, joinedload

from companion.errors import Conflict, Invalid, NotAllowed, NotFound
from companion.models import CheckIn, Flag, FlagEvent, Measure, Message, Patient, PatientUnit, Unit
from companion.rules.access import Actor
from companion.rules.cadence import local_day
from companion.rules.promises import follow_up_by, next_step_at, renewed_until, soon_at
from companion.rules.triage import RANK, Level, respond_by
from companion.use_cases.cases import duty, told
from companion.use_cases.cases.owner import unit_for, ward_of

OUTCOMES = ("helped", "measure_started", "referred", "advice", "no_contact", "not_needed")
_SAID_ON_EACH = ("moved",)
CONTACTS = ("phone", "video", "visit", "letter", "other")
LONGEST_NOTE = 2000
# Why a case came to a unit by itself, or was put back.
NOBODY, OVERDUE, AWAY = "nobody", "overdue", "away"
# Written out, not bound: only then can the database see that a partial index holds all that is wanted.
NOT_CLOSED = Flag.state != literal_column("'closed'")
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
    """Puts something before a unit. While the same thing is not closed, that flag is returned and nothing is added.

    A unit in which nobody is at work has no case: the next one has it.
    """
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
    owner = unit_for(db, patient, unit, now)
    seen_by = respond_by(cast(Level, level), now)
    flag = Flag(
        patient_id=patient.id,
        unit_id=owner.id,
        check_in_id=check_in.id if check_in else None,
        measure_id=measure.id if measure else None,
        message_id=message.id if message else None,
        code=code,
        level=level,
        rank=RANK[level],
        quote=quote,
        params=params or {},
        opened_at=now,
        respond_by=seen_by,
        promised_by=seen_by,
        next_step_at=soon_at(seen_by),
        arrived_at=now,
        from_unit_id=None if owner is unit else unit.id,
        because=None if owner is unit else NOBODY,
    )
    db.add(flag)
    db.flush()
    told.tell(db, flag, "opened", now, why=flag.because, to=None if owner is unit else unit.name)
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
    ward = ward_of(db, patient)
    if ward is None:
        raise NotFound("ward")
    return ward


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
    By when it is to be seen to stays as it was.
    """
    flag = find(db, who, flag_id, now=now)
    taken = change(
        db,
        flag,
        Flag.state == "open",
        state="claimed",
        claimed_by_id=who.id,
        claimed_at=now,
        **_seen(who, now),
    )
    if not taken and (flag.claimed_by_id != who.id or flag.state == "closed"):
        raise _somebody_was_first(flag)
    note_events(db, taken, who, "claimed", now)
    return flag


def release(db: Session, who: Actor, flag_id: UUID, *, now: datetime) -> Flag:
    """Puts a case back for the others. A colleague's too, within the unit that owns it: people fall ill, cases must not lie."""
    flag = find(db, who, flag_id, now=now)
    freed = change(
        db,
        flag,
        and_(Flag.state == "claimed", or_(Flag.claimed_by_id == who.id, Flag.unit_id.in_(who.unit_ids))),
        state="open",
        claimed_by_id=None,
        claimed_at=None,
    )
    if not freed and flag.state != "open":
        raise _somebody_was_first(flag)
    note_events(db, freed, who, "released", now)
    return flag


def note(db: Session, who: Actor, flag_id: UUID, text: str, *, now: datetime) -> FlagEvent:
    """Writes a note on a case, also on a closed one. Raises `Invalid` for `text`."""
    written = _checked_text(text, required=True)
    return _note_event(db, find(db, who, flag_id, now=now), who, "note", now, text=written)


def contact(
    db: Session, who: Actor, flag_id: UUID, how: str, reached: bool, text: str = "", *, now: datetime
) -> FlagEvent:
    """Records an attempt to reach the patient: `how` of `CONTACTS`; the outcome is `phone:reached`, `phone:missed` …

    Somebody who was reached has been seen to, and is to be again within some days; an attempt alone keeps no promise.
    """
    if how not in CONTACTS:
        raise Invalid({"how": "unknown"})
    written = _checked_text(text)
    flag = find(db, who, flag_id, now=now)
    outcome = f"{how}:{'reached' if reached else 'missed'}"
    if reached:
        change(
            db,
            flag,
            Flag.state != "closed",
            **_due_anew(max(flag.respond_by, follow_up_by(now))),
            **_seen(who, now),
        )
    return _note_event(db, flag, who, "contact", now, outcome=outcome, text=written)


def close(db: Session, who: Actor, flag_id: UUID, outcome: str, text: str = "", *, now: datetime) -> Flag:
    """Ends the case with an outcome of `OUTCOMES`; the same again: no change.

    A colleague's case is theirs to close: `Conflict("claimed")`.
    """
    if outcome not in OUTCOMES:
        raise Invalid({"outcome": "unknown" if outcome else "missing"})
    written = _checked_text(text)
    flag = find(db, who, flag_id, now=now)
    closed = change(
        db,
        flag,
        _in_hand(who),
        state="closed",
        closed_at=now,
        outcome=outcome,
        claimed_by_id=who.id,
        claimed_at=func.coalesce(Flag.claimed_at, now),
        **_seen(who, now),
    )
    if not closed and (flag.state, flag.claimed_by_id, flag.outcome) != ("closed", who.id, outcome):
        raise _somebody_was_first(flag)
    note_events(db, closed, who, "closed", now, outcome=outcome, text=written)
    return flag


def move(db: Session, who: Actor, flag_id: UUID, unit_id: UUID, reason: str = "", *, now: datetime) -> Flag:
    """Hands the case to another unit that follows the patient, with somebody at work; there it is open.

    By when it is to be seen stays as it was, unless a `reason` is given why the time begins anew.
    """
    flag = find(db, who, flag_id, now=now)
    why = _checked_text(reason, field="reason")
    unit = _may_own(db, flag, unit_id, now)
    moved = change(
        db,
        flag,
        _in_hand(who),
        **lies_with(unit, now),
        **(_due_anew(respond_by(cast(Level, flag.level), now)) if why else _climbs_from_here(flag, now)),
    )
    if not moved:
        raise _somebody_was_first(flag)
    note_events(db, moved, who, "moved", now, text=unit.name)
    if why:
        note_events(db, moved, who, "renewed", now, text=why)
    return flag


def renew(db: Session, who: Actor, flag_id: UUID, day: date | None, reason: str, *, now: datetime) -> Flag:
    """Gives the case until 15.00 on another working day, at most 30 days ahead, for a reason. Raises `Invalid`."""
    until = renewed_until(day, now) if day else None
    problems: dict[str, str] = {}
    if until is None:
        problems["until"] = "not_a_time_limit" if day else "missing"
    if not reason.strip():
        problems["reason"] = "missing"
    if problems or until is None:
        raise Invalid(problems)
    why = _checked_text(reason, field="reason")
    flag = find(db, who, flag_id, now=now)
    renewed = change(db, flag, _in_hand(who), **_due_anew(until))
    if not renewed:
        raise _somebody_was_first(flag)
    note_events(db, renewed, who, "renewed", now, text=why)
    return flag


def lies_with(unit: Unit, now: datetime) -> dict[str, Any]:
    """A case that has just come to a unit and waits there for somebody."""
    return {
        "unit_id": unit.id,
        "state": "open",
        "claimed_by_id": None,
        "claimed_at": None,
        "arrived_at": now,
        "from_unit_id": None,
        "because": None,
    }


def _may_own(db: Session, flag: Flag, unit_id: UUID, now: datetime) -> Unit:
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
    if unit_for(db, flag.patient, unit, now) is not unit:
        raise Invalid({"unit": "nobody_there"})
    return unit


def _in_hand(who: Actor) -> ColumnElement[bool]:
    """The condition that the case is nobody's, or the person's own."""
    return or_(Flag.state == "open", and_(Flag.state == "claimed", Flag.claimed_by_id == who.id))


def _climbs_from_here(flag: Flag, now: datetime) -> dict[str, Any]:
    """The time stays; a case that is overdue already climbs on from the people who have it now."""
    if now < flag.respond_by:
        return {}
    return {"rung": "unit", "next_step_at": next_step_at(flag.level, now)}


def _due_anew(until: datetime) -> dict[str, Any]:
    return {"respond_by": until, "rung": "", "next_step_at": soon_at(until)}


def _seen(who: Actor, now: datetime) -> dict[str, Any]:
    """Who saw it first, and when."""
    return {
        "seen_at": func.coalesce(Flag.seen_at, now),
        "seen_by_id": func.coalesce(Flag.seen_by_id, who.id),
    }


def said_more(db: Session, flag: Flag, *, now: datetime) -> None:
    """More was written to a case that waits: it is heard on open lists, and told, as if it were new. The time stays."""
    flag.arrived_at = now
    if flag.level == "red":
        duty.tell(db, flag, "raised", now=now, step=f"{now:%Y%m%d%H%M%S}")
    db.flush()


def is_late(flag: Flag, now: datetime) -> bool:
    """Whether what the person was promised has passed and nobody is at it: never seen, or put back and left lying."""
    unseen = flag.seen_at is None and flag.promised_by <= now
    return flag.state == "open" and (unseen or flag.respond_by <= now)


def late_at(now: datetime) -> ColumnElement[bool]:
    """The same as a condition."""
    unseen = and_(Flag.seen_at.is_(None), Flag.promised_by <= now)
    return and_(Flag.state == "open", or_(unseen, Flag.respond_by <= now))


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


def change(
    db: Session,
    flag: Flag,
    condition: ColumnElement[bool],
    *,
    rest: ColumnElement[bool] | None = None,
    **values: Any,
) -> list[UUID]:
    """Changes the flag only if the condition still holds in the database, and with it the rest of its case where it holds.

    `rest` is another condition for the rest. The ids that were changed, none when the flag itself was not; the object is fresh
    afterwards either way.
    """
    same = and_(Flag.check_in_id == flag.check_in_id, Flag.unit_id == flag.unit_id, Flag.id != flag.id)
    changed = _update(db, and_(Flag.id == flag.id, condition), values)
    if changed and flag.check_in_id:
        changed += _update(db, and_(same, condition if rest is None else rest), values)
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


def note_events(
    db: Session,
    flag_ids: list[UUID],
    who: Actor | None,
    kind: str,
    now: datetime,
    *,
    outcome: str | None = None,
    text: str | None = None,
) -> None:
    """The same on every flag of a case; the words are written once."""
    for place, flag_id in enumerate(flag_ids):
        words = text if not place or kind in _SAID_ON_EACH else None
        db.add(
            FlagEvent(
                flag_id=flag_id, kind=kind, at=now, by_id=who.id if who else None, outcome=outcome, text=words
            )
        )
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


def _checked_text(text: str, *, required: bool = False, field: str = "text") -> str | None:
    written = text.strip()
    if required and not written:
        raise Invalid({field: "missing"})
    if len(written) > LONGEST_NOTE:
        raise Invalid({field: "too_long"})
    return written or None
