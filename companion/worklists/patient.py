"""What a patient reads about themselves: today, and the measures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session, joinedload

from companion.errors import NotFound
from companion.models import (
    CheckIn,
    Flag,
    Measure,
    Meeting,
    Participant,
    Patient,
    PatientUnit,
    Plan,
    Stay,
    Unit,
)
from companion.rules import questionnaire
from companion.rules.access import Actor
from companion.rules.cadence import local_day
from companion.use_cases.cases.flag import is_late, late_at
from companion.use_cases.check_in import BEFORE_ANSWER, POSTPONE_AT_MOST, Coming, asks, coming

# For so long "seen by" is news.
NEWS_FOR = timedelta(days=7)
# A meeting is shown until it must be over.
MEETING_LASTS_AT_MOST = timedelta(hours=2)
# What a person asks for outside a check-in, and waits for.
ASKED_FOR = (
    "wants_call",
    "wants_contact",
    "call_me",
    "wants_coordinator",
    "has_written",
    "crisis_words",
    "grave_words",
)
_NEAREST_FIRST = ("municipal_rehab", "art", "coordinating_unit", "private_rehab", "ward")


@dataclass(frozen=True)
class Today:
    """A patient's first page: the one thing to do, the next meeting, the measures, whom to call, and who has seen what.

    `check_in` is the one asked now; `question_count` how many questions of it are left; `next` what is asked next, and when.
    `by_phone` was answered on the telephone of late. `seen`: flags from their answers that somebody took or closed of late,
    newest first. `late`: what we had promised to look at and have not. `call`: the units to ring, nearest first.
    """

    patient: Patient
    check_in: CheckIn | None
    question_count: int
    may_postpone: bool
    next: Coming | None
    meeting: Meeting | None
    measures: Sequence[Measure]
    call: Sequence[Unit]
    seen: Sequence[Flag]
    late: Flag | None
    by_phone: CheckIn | None


def today(db: Session, who: Actor, *, now: datetime) -> Today:
    """The patient's own first page."""
    patient, call = _patient_and_units(db, who, now)
    check_ins = _coming(db, patient, now)
    asked = [check_in for check_in in check_ins if check_in.state == "asked"]
    to_come = coming(db, check_ins, now)
    phoned = [one for one in check_ins if any(answer.by_kind == "professional" for answer in one.answers)]
    current = asked[-1] if asked else None
    mine = measures(db, who)
    news = _news(db, patient, now)
    return Today(
        patient=patient,
        check_in=current,
        question_count=_questions_left(current, mine) if current else 0,
        may_postpone=current is not None and current.postponed < POSTPONE_AT_MOST,
        next=to_come[0] if to_come else None,
        meeting=_next_meeting(db, patient, now),
        measures=mine,
        call=call,
        seen=[one for one in news if not is_late(one, now)],
        late=next((one for one in news if is_late(one, now) and _their_own(one)), None),
        by_phone=next((one for one in reversed(phoned) if one.state == "answered"), None),
    )


def measures(db: Session, who: Actor) -> Sequence[Measure]:
    """The patient's own measures, as numbered on the sheet they took home, with owners and statuses."""
    if who.kind != "patient":
        raise NotFound("patient")
    return (
        db.scalars(
            select(Measure)
            .join(Measure.stay)
            .where(Measure.patient_id == who.id, Stay.state == "open")
            .order_by(Stay.discharged_on.desc(), Measure.number)
            .options(joinedload(Measure.statuses), joinedload(Measure.owner_unit))
            .execution_options(populate_existing=True)
        )
        .unique()
        .all()
    )


def _patient_and_units(db: Session, who: Actor, now: datetime) -> tuple[Patient, list[Unit]]:
    today = local_day(now)
    found = db.execute(
        select(Patient, Unit)
        .outerjoin(
            PatientUnit,
            (PatientUnit.patient_id == Patient.id)
            & (PatientUnit.since <= today)
            & or_(PatientUnit.until.is_(None), PatientUnit.until >= today),
        )
        .outerjoin(Unit, Unit.id == PatientUnit.unit_id)
        .where(Patient.id == who.id)
        .options(joinedload(Patient.municipality, innerjoin=True))
    ).all()
    if who.kind != "patient" or not found:
        raise NotFound("patient")
    units = [unit for _, unit in found if unit and unit.phone]
    return found[0][0], sorted(units, key=lambda unit: (_NEAREST_FIRST.index(unit.kind), unit.name))


def _coming(db: Session, patient: Patient, now: datetime) -> Sequence[CheckIn]:
    """What was answered of late, what is asked, in the order of asking, and what is planned, soonest first."""
    return (
        db.scalars(
            select(CheckIn)
            .join(CheckIn.plan)
            .where(
                CheckIn.patient_id == patient.id,
                or_(
                    CheckIn.state == "asked",
                    and_(CheckIn.state.in_(("planned", "postponed")), Plan.state == "active"),
                    and_(CheckIn.state == "answered", CheckIn.answered_at > now - NEWS_FOR),
                ),
            )
            .order_by(CheckIn.due_at)
            .options(
                joinedload(CheckIn.plan, innerjoin=True)
                .joinedload(Plan.stay, innerjoin=True)
                .joinedload(Stay.ward, innerjoin=True),
                joinedload(CheckIn.answers),
            )
            .execution_options(populate_existing=True)
        )
        .unique()
        .all()
    )


def _questions_left(check_in: CheckIn, measures: Sequence[Measure]) -> int:
    about = [measure for measure in measures if measure.stay_id == check_in.plan.stay_id]
    asking = asks(check_in, about)
    visible = questionnaire.visible_questions(asking.questions, asking.answers)
    return sum(item.link_id not in asking.answers for item in visible)


def _next_meeting(db: Session, patient: Patient, now: datetime) -> Meeting | None:
    soonest = (
        select(Meeting.id)
        .where(
            Meeting.patient_id == patient.id,
            Meeting.state == "offered",
            Meeting.starts_at > now - MEETING_LASTS_AT_MOST,
        )
        .order_by(Meeting.starts_at)
        .limit(1)
        .scalar_subquery()
    )
    return (
        db.scalars(
            select(Meeting)
            .where(Meeting.id == soonest)
            .options(
                joinedload(Meeting.host),
                joinedload(Meeting.participants).joinedload(Participant.relative),
                joinedload(Meeting.participants).joinedload(Participant.professional),
            )
        )
        .unique()
        .one_or_none()
    )


def _their_own(raised: Flag) -> bool:
    """What a relative has written to us is between us and the relative."""
    return (raised.params or {}).get("from") != "relative"


def _news(db: Session, patient: Patient, now: datetime) -> Sequence[Flag]:
    """What somebody has seen of late, newest first, and what nobody has seen in time, the gravest first."""
    answered = and_(Flag.check_in_id.is_not(None), Flag.code.not_in(BEFORE_ANSWER))
    seen = and_(
        answered,
        Flag.claimed_by_id.is_not(None),
        or_(Flag.claimed_at > now - NEWS_FOR, Flag.closed_at > now - NEWS_FOR),
    )
    late = and_(or_(answered, Flag.code.in_(ASKED_FOR)), late_at(now))
    return db.scalars(
        select(Flag)
        .where(Flag.patient_id == patient.id, or_(seen, late))
        .order_by(Flag.claimed_at.desc(), Flag.rank, Flag.opened_at, Flag.id)
        .options(joinedload(Flag.claimed_by), joinedload(Flag.unit))
        .execution_options(populate_existing=True)
    ).all()
