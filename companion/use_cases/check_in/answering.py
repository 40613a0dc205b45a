"""Answering one question at a time, sending the answers, and saying not today."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from companion import library
from companion.errors import Conflict, Invalid, NotFound
from companion.exchange import questionnaire_response
from companion.models import Answer, CheckIn
from companion.rules import cadence, questionnaire, triage
from companion.rules.access import Actor
from companion.rules.quiet_hours import next_allowed
from companion.use_cases.cases import flag
from companion.use_cases.check_in.afterwards import Ending, ending
from companion.use_cases.check_in.answerable import closing, own, refuse_closed, who_phoned
from companion.use_cases.check_in.following import (
    SETTLED_BY_ANSWER,
    raise_reasons,
    raise_red,
    record_measures,
    tell_ward,
)
from companion.use_cases.check_in.questions import (
    PASSED_BY,
    Asking,
    asking_of,
    own_hour,
    required,
    template_of,
)
from companion.use_cases.check_in.sheet import QuestionPage, Review, Sheet, open_sheet

POSTPONE_AT_MOST = 2


@dataclass(frozen=True)
class Kept:
    """An answer was kept; `following` is the question after it, None after the last."""

    sheet: Sheet
    following: str | None


def current(db: Session, who: Actor, *, now: datetime) -> CheckIn | None:
    """The check-in the person is asked to answer now, if any."""
    if who.kind != "patient":
        return None
    return db.scalars(
        select(CheckIn)
        .where(CheckIn.patient_id == who.id, CheckIn.state == "asked")
        .order_by(CheckIn.asked_at.desc())
        .limit(1)
    ).first()


def page(db: Session, who: Actor, check_in_id: UUID, link_id: str | None, *, now: datetime) -> QuestionPage:
    """A question of the check-in; with None the one to go on with, which after the last answer is the last.

    `Conflict("answered")` or `Conflict("expired")` when it cannot be answered any more; `NotFound` for a question not asked.
    """
    return open_sheet(db, who, check_in_id, now).page(link_id)


def review(db: Session, who: Actor, check_in_id: UUID, *, now: datetime) -> Review:
    """Every question of the check-in as things stand, with its answer. `Conflict` as in `page`."""
    return open_sheet(db, who, check_in_id, now).review()


def save(
    db: Session, who: Actor, check_in_id: UUID, link_id: str, raw: list[str], *, now: datetime
) -> str | None:
    """Keeps an answer as given and says which question is next; None after the last. `Invalid({"answer": code})`."""
    return answer(db, who, check_in_id, link_id, raw, now=now).following


def answer(
    db: Session, who: Actor, check_in_id: UUID, link_id: str, raw: list[str], *, now: datetime
) -> Kept:
    """As `save`, with everything that is needed to show what comes next.

    What a human must see the same day reaches one at once, not when the last question is answered.
    """
    sheet = open_sheet(db, who, check_in_id, now, hold=True)
    item = sheet.question(link_id)
    if len(raw) > 1:
        raise Invalid({"answer": "not_an_option"})
    try:
        value = questionnaire.check_answer(item, raw[0] if raw else "")
    except questionnaire.AnswerProblem as problem:
        raise Invalid({"answer": problem.code}) from problem
    row = _answer(item.link_id, value, sheet.answered_last, who, now)
    db.execute(insert(Answer), [{"id": uuid4(), "check_in_id": sheet.id, **row}])
    before = sheet.asking.answers.get(item.link_id)
    sheet.asking.answers[item.link_id] = value
    if _alarming(item, before, value):
        check_in = own(db, who, check_in_id, now)
        db.refresh(check_in, ["answers"])
        raise_red(db, check_in, asking_of(db, check_in), now)
        db.flush()
    following = questionnaire.next_question(sheet.asking.questions, sheet.asking.answers, item.link_id)
    return Kept(sheet, following.link_id if following else None)


def finish(db: Session, who: Actor, check_in_id: UUID, *, now: datetime) -> Ending:
    """Sends the answers: measures get their status, flags are raised. Sent twice is sent once.

    `Invalid({link_id: "required"})` for each question that still needs an answer.
    """
    check_in = own(db, who, check_in_id, now, hold=True)
    if check_in.state == "answered":
        return ending(db, who, check_in_id, now=now)
    refuse_closed(db, who, closing(check_in), now)
    asking = asking_of(db, check_in)
    missing = [
        item.link_id for item in asking.visible if item.required and asking.answers.get(item.link_id) is None
    ]
    if missing:
        raise Invalid(dict.fromkeys(missing, "required"))
    check_in.state, check_in.answered_at = "answered", now
    # One that had expired keeps that moment: what it asked then is what was answered.
    check_in.ended_at = check_in.ended_at or now
    record_measures(db, check_in, asking, who.kind, who.id, now)
    raise_reasons(db, check_in, asking, now)
    flag.no_longer_needed(db, check_in, SETTLED_BY_ANSWER, now=now)
    return ending(db, who, check_in_id, now=now)


def postpone(db: Session, who: Actor, check_in_id: UUID, *, now: datetime) -> CheckIn:
    """Not today: asked again tomorrow at the same hour, or the first day after it when that may be.

    The second time the ward is told; a third is `Conflict("postponed")`.
    """
    if who.kind != "patient":
        raise NotFound("check-in")
    check_in = own(db, who, check_in_id, now, hold=True)
    if check_in.state == "postponed":
        return check_in
    refuse_closed(db, who, closing(check_in), now)
    if check_in.postponed >= POSTPONE_AT_MOST:
        raise Conflict("postponed")
    days = max(1, template_of(check_in).days_between_messages)
    check_in.local_date = cadence.local_day(now) + timedelta(days=days)
    check_in.due_at = next_allowed(
        "check_in", cadence.to_utc(check_in.local_date, check_in.local_time), own_hour(check_in)
    )
    check_in.state = "postponed"
    check_in.postponed += 1
    if check_in.postponed == POSTPONE_AT_MOST:
        tell_ward(db, check_in, "postponed_twice", now, day=check_in.day)
    db.flush()
    return check_in


def response(db: Session, check_in: CheckIn) -> dict[str, Any]:
    """The answers as a FHIR R4 QuestionnaireResponse, in the patient's language."""
    asking = asking_of(db, check_in)
    given = check_in.answers
    return questionnaire_response.to_response(
        asking.questions,
        asking.answers,
        authored=check_in.answered_at or (given[-1].at if given else required(check_in.asked_at)),
        completed=check_in.state == "answered",
        subject=f"Patient/{check_in.patient_id}",
        source=f"Patient/{check_in.patient_id}",
        author=_author(check_in),
        language=check_in.patient.language,
    )


def keep(
    check_in: CheckIn,
    asking: Asking,
    link_id: str,
    value: questionnaire.Value | None,
    who: Actor,
    now: datetime,
) -> None:
    """Keeps an answer as given; None is a question passed by."""
    latest = check_in.answers[-1].at if check_in.answers else None
    check_in.answers.append(Answer(**_answer(link_id, value, latest, who, now)))
    asking.answers[link_id] = value


def _alarming(
    item: questionnaire.Item, before: questionnaire.Value | None, value: questionnaire.Value | None
) -> bool:
    """Whether somebody may have to look today because of this answer, or no longer because it was changed."""
    texts = [said for said in (before, value) if isinstance(said, str)]
    if item.type in ("text", "string") and triage.crisis_quote(texts, library.crisis_words()):
        return True
    harmless = (None, "no", "a_little", False, "yes", "unknown")
    return triage.may_be_red(item.link_id) and not (before in harmless and value in harmless)


def _answer(
    link_id: str, value: questionnaire.Value | None, latest: datetime | None, who: Actor, now: datetime
) -> dict[str, Any]:
    # Two answers in one instant keep their order.
    at = max(now, latest + timedelta(microseconds=1)) if latest else now
    return {
        "link_id": link_id,
        "value": PASSED_BY if value is None else value,
        "at": at,
        "by_kind": who.kind,
        "by_id": who.id,
    }


def _author(check_in: CheckIn) -> str | None:
    phoned_by = who_phoned(check_in)
    return f"Practitioner/{phoned_by}" if phoned_by else None
