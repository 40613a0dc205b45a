"""A plan is paused, resumed or stopped: readmission, death, a wish; and a person who wants no messages, or wants them again."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from companion.errors import Conflict, Invalid, NotAllowed
from companion.models import Meeting, MeetingEvent, Patient, Plan, PlanEvent
from companion.rules.access import Actor
from companion.rules.cadence import local_day
from companion.rules.meetings import closes_at
from companion.use_cases.people.reach import patient_of

PAUSE_REASONS = ("readmitted", "wish", "other")


def readmit(db: Session, who: Actor, patient_id: UUID, *, now: datetime) -> Patient:
    """The patient is in hospital again: the stay is over and nothing more is asked; the next discharge makes a new plan."""
    patient = _patient(db, who, patient_id, now=now)
    for plan in _plans(db, patient, "active"):
        _pause(plan, who, "readmitted", now)
        plan.stay.state = "ended"
    db.flush()
    return patient


def pause(db: Session, who: Actor, patient_id: UUID, reason: str, *, now: datetime) -> Patient:
    """Nothing is asked until the plan is resumed; an open check-in is skipped. `reason` is one of `PAUSE_REASONS`."""
    if reason not in PAUSE_REASONS:
        raise Invalid({"reason": "unknown" if reason else "missing"})
    patient = _patient(db, who, patient_id, now=now)
    for plan in _plans(db, patient, "active"):
        _pause(plan, who, reason, now)
    db.flush()
    return patient


def resume(db: Session, who: Actor, patient_id: UUID, reason: str = "wish", *, now: datetime) -> Patient:
    """Asks again from today on; what was to be asked while the plan stood still is skipped. `Conflict` when no plan does."""
    patient = _patient(db, who, patient_id, now=now)
    paused = _plans(db, patient, "paused")
    if patient.died_on or not paused:
        raise Conflict("not_paused")
    _resume(paused[0], who, reason, now)
    db.flush()
    return patient


def register_death(db: Session, who: Actor, patient_id: UUID, died_on: date, *, now: datetime) -> Patient:
    """Everything towards the patient ends: plans, open check-ins, meetings to come. Letters still queued stop at their claim.

    Raises `Invalid` for a day in the future; registered again it changes nothing but the day.
    """
    if died_on > local_day(now):
        raise Invalid({"died_on": "in_the_future"})
    if who.kind == "patient":
        raise NotAllowed("for professionals")
    patient = _patient(db, who, patient_id, now=now)
    if died_on < patient.born:
        raise Invalid({"died_on": "before_birth"})
    patient.died_on = died_on
    for plan in _plans(db, patient, "active", "paused"):
        plan.state, plan.stay.state = "stopped", "ended"
        _skip(plan, ("planned", "asked", "postponed"), now)
        plan.events.append(_event(who, "stopped", "died", now))
    _cancel_meetings(db, patient, now)
    db.flush()
    return patient


def opt_out(db: Session, patient: Patient, *, now: datetime) -> None:
    """No more messages, as the person asked; the plan goes on and a human phones instead."""
    patient.phone_state, patient.contact_by = "opted_out", "call"
    db.flush()


def opt_in(db: Session, patient: Patient, *, now: datetime) -> None:
    """Messages again, for somebody who had said no to them."""
    if patient.phone_state == "opted_out":
        patient.phone_state, patient.contact_by = "ok", "sms"
        db.flush()


def _patient(db: Session, who: Actor, patient_id: UUID, *, now: datetime) -> Patient:
    return patient_of(db, who, patient_id, now=now, lock=True)


def _plans(db: Session, patient: Patient, *states: str) -> list[Plan]:
    """The newest first."""
    return list(
        db.scalars(
            select(Plan)
            .where(Plan.patient_id == patient.id, Plan.state.in_(states))
            .order_by(Plan.created_at.desc())
            .options(selectinload(Plan.check_ins), selectinload(Plan.stay))
        )
    )


def _pause(plan: Plan, who: Actor, reason: str, now: datetime) -> None:
    plan.state = "paused"
    _skip(plan, ("asked", "postponed"), now)
    plan.events.append(_event(who, "paused", reason, now))


def _resume(plan: Plan, who: Actor, reason: str, now: datetime) -> None:
    today = local_day(now)
    for check_in in plan.check_ins:
        if check_in.state == "planned" and local_day(check_in.due_at) < today:
            check_in.state, check_in.ended_at = "skipped", now
    plan.state, plan.stay.state = "active", "open"
    plan.events.append(_event(who, "resumed", reason, now))


def _skip(plan: Plan, states: tuple[str, ...], now: datetime) -> None:
    for check_in in plan.check_ins:
        if check_in.state in states:
            check_in.state, check_in.ended_at = "skipped", now


def _event(who: Actor, kind: str, reason: str, now: datetime) -> PlanEvent:
    return PlanEvent(kind=kind, reason=reason, at=now, by_kind=who.kind, by_id=who.id)


def _cancel_meetings(db: Session, patient: Patient, now: datetime) -> None:
    """Without a letter: nobody is told by SMS that the patient's meeting is off because the patient died.

    Also one whose door is open: whoever waits in it is told there.
    """
    offered = select(Meeting).where(Meeting.patient_id == patient.id, Meeting.state == "offered")
    for meeting in db.scalars(offered):
        if closes_at(meeting) < now:
            continue
        meeting.state, meeting.next_at = "cancelled", None
        meeting.sequence += 1
        meeting.events.append(MeetingEvent(kind="cancelled", how="died", at=now))
