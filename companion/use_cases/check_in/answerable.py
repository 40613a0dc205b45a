"""Whose check-in it is, and until when it may be answered, by the person or on the telephone."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, false, select
from sqlalchemy.orm import Session, contains_eager, selectinload

from companion.errors import Conflict, NotFound
from companion.models import CheckIn, Patient, Plan, Stay
from companion.rules import cadence
from companion.rules.access import Actor
from companion.use_cases.cases import flag
from companion.use_cases.check_in.questions import ANSWERABLE

# For so long an expired check-in may be answered on the telephone.
BY_PHONE_WITHIN = timedelta(days=14)


@dataclass(frozen=True)
class Closing:
    """What decides whether a check-in can be answered."""

    id: UUID
    patient_id: UUID
    state: str
    due_at: datetime
    ended_at: datetime | None
    died_on: date | None


def may_be_phoned(check_in: CheckIn | Closing, now: datetime) -> bool:
    """Whether its questions can be asked on the telephone, as far as it knows itself: it is open, or expired of late."""
    return check_in.state in ANSWERABLE or (
        check_in.state == "expired"
        and check_in.ended_at is not None
        and check_in.ended_at > now - BY_PHONE_WITHIN
    )


def own(db: Session, who: Actor, check_in_id: UUID, now: datetime, *, hold: bool = False) -> CheckIn:
    """One's own check-in, or that of a patient whom one's unit follows.

    A relative who helps uses the patient's link and is the patient here.
    """
    statement = (
        select(CheckIn)
        .join(CheckIn.plan)
        .join(CheckIn.patient)
        .where(CheckIn.id == check_in_id, theirs(who, now), CheckIn.state != "planned")
        .options(
            contains_eager(CheckIn.plan)
            .joinedload(Plan.stay, innerjoin=True)
            .joinedload(Stay.ward, innerjoin=True),
            contains_eager(CheckIn.patient).joinedload(Patient.municipality, innerjoin=True),
            selectinload(CheckIn.answers),
        )
        .execution_options(populate_existing=True)
    )
    if hold:
        statement = statement.with_for_update(of=CheckIn, key_share=True)
    check_in = db.scalars(statement).one_or_none()
    if check_in is None:
        raise NotFound("check-in")
    return check_in


def theirs(who: Actor, now: datetime) -> ColumnElement[bool]:
    """The condition that it is one's own, or of a patient whom one's unit follows."""
    if who.kind == "patient":
        return CheckIn.patient_id == who.id
    if who.kind == "professional":
        return flag.follows(who, CheckIn.patient_id, cadence.local_day(now))
    return false()


def open_one(db: Session, who: Actor, check_in_id: UUID, now: datetime, *, hold: bool = False) -> CheckIn:
    """As `own`, and still to be answered; `Conflict` otherwise."""
    check_in = own(db, who, check_in_id, now, hold=hold)
    refuse_closed(db, who, closing(check_in), now)
    return check_in


def closing(check_in: CheckIn) -> Closing:
    """That of a check-in that is loaded."""
    died_on = check_in.patient.died_on
    return Closing(
        check_in.id, check_in.patient_id, check_in.state, check_in.due_at, check_in.ended_at, died_on
    )


def refuse_closed(db: Session, who: Actor, check_in: Closing, now: datetime) -> None:
    """Raises `Conflict` when it cannot be answered any more: died, answered or expired."""
    if who.kind == "professional" and check_in.died_on:
        raise Conflict("died")
    if check_in.state in ANSWERABLE:
        return
    by_phone = who.kind == "professional" and may_be_phoned(check_in, now)
    if by_phone and not _asked_since(db, check_in):
        return
    raise Conflict("answered" if check_in.state == "answered" else "expired")


def _asked_since(db: Session, check_in: Closing) -> bool:
    """Whether the person has been asked anew: what they say now belongs there."""
    later = select(CheckIn.id).where(
        CheckIn.patient_id == check_in.patient_id,
        CheckIn.due_at > check_in.due_at,
        CheckIn.state.in_((*ANSWERABLE, "answered")),
    )
    return db.scalars(later.limit(1)).first() is not None


def who_phoned(check_in: CheckIn) -> UUID | None:
    """Who wrote down its answers, the last of them."""
    return next(
        (answer.by_id for answer in reversed(check_in.answers) if answer.by_kind == "professional"), None
    )
