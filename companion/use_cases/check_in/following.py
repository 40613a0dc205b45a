"""What follows from the answers, and from silence: measures get their status, and flags reach those who own the task."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from companion import library
from companion.models import CheckIn, Flag, Measure, MeasureStatus, Patient, PatientUnit, Unit
from companion.rules import cadence, questionnaire, triage
from companion.use_cases.cases import flag
from companion.use_cases.check_in.questions import AskingAbout

# A human already knows that this very check-in needs a phone call, so silence about it is no news.
ALREADY_TOLD = ("call_due", "rest_by_phone", "undeliverable")
# Settled by an answer: nobody needs to phone about the asking any more.
SETTLED_BY_ANSWER = ("call_due", "rest_by_phone", "postponed_twice")
# These speak of the asking, not of the answer: no step the person is waiting for.
BEFORE_ANSWER = (
    "call_due",
    "rest_by_phone",
    "no_answer",
    "not_asked",
    "postponed_twice",
    "undeliverable",
    "parked_message",
)
STATUS_BY_ANSWER = {"yes": "started", "not_yet": "not_started", "unknown": "unknown"}


def is_urgent(counted: dict[str, questionnaire.Value]) -> bool:
    """Whether the emergency numbers are shown large: worse, a fall with injury, or crisis words."""
    return (
        counted.get("worse", "no") != "no"
        or counted.get("fall.injury") is True
        or crisis_quote(counted) is not None
    )


def crisis_quote(counted: dict[str, questionnaire.Value]) -> str | None:
    """The first text that holds a crisis word."""
    said = [value for key, value in counted.items() if key.endswith(".text") and isinstance(value, str)]
    return triage.crisis_quote(said, library.crisis_words()) if said else None


def tell_ward(db: Session, check_in: CheckIn, code: str, now: datetime, **params: int) -> None:
    """An amber flag about the asking, for the ward that discharged the person."""
    flag.raise_flag(
        db,
        check_in.patient,
        code=code,
        level="amber",
        unit=flag.owner_unit(db, check_in.patient, "ward"),
        now=now,
        check_in=check_in,
        params=params,
    )


def already_told(db: Session, check_in: CheckIn) -> bool:
    """Whether a human is to phone about this very check-in, or has seen to it since it was asked.

    A case that was closed because a letter arrived after all, or before the person was asked anew, tells nobody of silence.
    """
    seen_to = and_(Flag.claimed_by_id.is_not(None), Flag.closed_at >= (check_in.asked_at or check_in.due_at))
    told = select(Flag.id).where(
        Flag.check_in_id == check_in.id,
        Flag.code.in_(ALREADY_TOLD),
        or_(Flag.state != "closed", seen_to),
    )
    return db.scalars(told.limit(1)).first() is not None


def record_measures(
    db: Session, check_in: CheckIn, asking: AskingAbout, by_kind: str, by_id: UUID | None, now: datetime
) -> None:
    """Each measure gets the status its answer gives it."""
    counted = asking.counted
    for measure in asking.measures:
        started = counted.get(f"measure.{measure.id}.started")
        why = counted.get(f"measure.{measure.id}.why")
        if started is None:
            continue
        # One who does not want it is not asked again; the ward hears of it by a flag.
        status = "declined" if why == "not_wanted" else STATUS_BY_ANSWER[str(started)]
        reason = str(why) if why else None
        if _said_already(measure, check_in, status, reason):
            continue
        db.add(
            MeasureStatus(
                measure_id=measure.id,
                status=status,
                reason=reason,
                at=now,
                by_kind=by_kind,
                by_id=by_id,
                check_in_id=check_in.id,
            )
        )


def _said_already(measure: Measure, check_in: CheckIn, status: str, reason: str | None) -> bool:
    """Whether this check-in's last word about the measure is the same: said before it expired, and again on the telephone."""
    last = measure.statuses[-1] if measure.statuses else None
    return last is not None and (last.check_in_id, last.status, last.reason) == (check_in.id, status, reason)


def raise_reasons(
    db: Session, check_in: CheckIn, asking: AskingAbout, now: datetime, only: str | None = None
) -> None:
    """A flag for each reason the answers give, once per check-in."""
    measures = {str(measure.id): measure for measure in asking.measures}
    found = triage.triage(
        _facts(db, check_in.patient, cadence.local_day(now)),
        asking.counted,
        [triage.MeasureFacts(key, measure.owner, measure.due_on) for key, measure in measures.items()],
        cadence.local_day(now),
        crisis_words=library.crisis_words(),
    )
    flagged = db.execute(select(Flag.code, Flag.measure_id).where(Flag.check_in_id == check_in.id))
    raised = {(code, measure_id) for code, measure_id in flagged}
    for reason in found.reasons:
        measure = measures.get(reason.measure_id or "")
        if (only and reason.code != only) or (reason.code, measure.id if measure else None) in raised:
            continue
        flag.raise_flag(
            db,
            check_in.patient,
            code=reason.code,
            level=reason.level,
            unit=flag.owner_unit(db, check_in.patient, reason.owner_kind, measure),
            now=now,
            check_in=check_in,
            measure=measure,
            quote=reason.quote,
            params={"day": check_in.day, **reason.params},
        )


def _facts(db: Session, patient: Patient, today: date) -> triage.CheckInFacts:
    kinds = frozenset(
        db.scalars(
            select(Unit.kind)
            .join(PatientUnit, PatientUnit.unit_id == Unit.id)
            .where(
                PatientUnit.patient_id == patient.id,
                or_(PatientUnit.until.is_(None), PatientUnit.until >= today),
            )
        )
    )
    therapist: Literal["art", "municipal_rehab"] | None = None
    if "art" in kinds:
        therapist = "art"
    elif "municipal_rehab" in kinds:
        therapist = "municipal_rehab"
    return triage.CheckInFacts(unit_kinds=kinds, therapist_kind=therapist)
