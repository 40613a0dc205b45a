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
    return counted.get("worse", "no") != "no" or counted.get("fall.injury") is True or is_crisis(counted)


def is_crisis(counted: dict[str, questionnaire.Value]) -> bool:
    """Whether crisis words were written: then also somebody to talk to is shown."""
    return crisis_quote(counted) is not None


def crisis_quote(counted: dict[str, questionnaire.Value]) -> str | None:
    """The first text that holds a crisis word, whatever its question is called."""
    said = [value for value in counted.values() if isinstance(value, str)]
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


def raise_red(db: Session, check_in: CheckIn, asking: AskingAbout, now: datetime) -> None:
    """What must be seen the same day is a case as soon as it is answered; an answer changed before anybody has taken it is no
    case any more."""
    raise_reasons(db, check_in, asking, now, level="red")
    found = {(one.code, one.measure_id) for one in _reasons(db, check_in, asking, now) if one.level == "red"}
    taken_back = {
        code
        for code, measure_id in _flagged(db, check_in, level="red")
        if code in triage.RED and (code, str(measure_id) if measure_id else None) not in found
    }
    still = {code for code, _ in found}
    flag.no_longer_needed(db, check_in, taken_back - still, now=now)


def raise_reasons(
    db: Session,
    check_in: CheckIn,
    asking: AskingAbout,
    now: datetime,
    *,
    level: Literal["red"] | None = None,
) -> None:
    """A flag for each reason the answers give (of this level), once per check-in; what is added to one is added to it."""
    measures = {str(measure.id): measure for measure in asking.measures}
    raised = _flagged(db, check_in)
    for reason in _reasons(db, check_in, asking, now):
        measure = measures.get(reason.measure_id or "")
        before = raised.get((reason.code, measure.id if measure else None))
        if before is not None and reason.quote and before.quote != reason.quote and before.state != "closed":
            before.quote = reason.quote
        if (level and reason.level != level) or before is not None:
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


def _reasons(db: Session, check_in: CheckIn, asking: AskingAbout, now: datetime) -> tuple[triage.Reason, ...]:
    today = cadence.local_day(now)
    return triage.triage(
        _facts(db, check_in.patient, today),
        asking.counted,
        [triage.MeasureFacts(str(one.id), one.owner, one.due_on) for one in asking.measures],
        today,
        crisis_words=library.crisis_words(),
        written=_own_words(asking),
    ).reasons


def _own_words(asking: AskingAbout) -> list[str]:
    said = [asking.counted.get(one.link_id) for one in asking.visible if one.type in ("text", "string")]
    return [words for words in said if isinstance(words, str)]


def _flagged(db: Session, check_in: CheckIn, level: str | None = None) -> dict[tuple[str, UUID | None], Flag]:
    """What has been raised about a check-in and was not taken back."""
    found = select(Flag).where(
        Flag.check_in_id == check_in.id,
        or_(Flag.outcome.is_(None), Flag.outcome != "not_needed", Flag.claimed_by_id.is_not(None)),
    )
    if level:
        found = found.where(Flag.level == level)
    return {(one.code, one.measure_id): one for one in db.scalars(found)}


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
