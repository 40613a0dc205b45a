"""Answering one question at a time, sending the answers, and saying not today."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, NotFound
from companion.exchange import questionnaire_response
from companion.models import Answer, CheckIn
from companion.rules import cadence, questionnaire
from companion.rules.access import Actor
from companion.use_cases.cases import flag
from companion.use_cases.check_in.afterwards import Ending, ending
from companion.use_cases.check_in.answerable import open_one, own, refuse_closed, who_phoned
from companion.use_cases.check_in.following import (
    SETTLED_BY_ANSWER,
    is_urgent,
    raise_reasons,
    record_measures,
    tell_ward,
)
from companion.use_cases.check_in.questions import PASSED_BY, Asking, asking_of, required, template_of

POSTPONE_AT_MOST = 2


@dataclass(frozen=True)
class QuestionPage:
    """One question as it is shown. `urgency`: something answered so far calls for the numbers to ring at once."""

    check_in: CheckIn
    item: questionnaire.Item
    number: int
    total: int
    previous_link_id: str | None
    value: questionnaire.Value | None
    is_last: bool
    urgency: bool


@dataclass(frozen=True)
class Review:
    """The answers before they are sent. `unanswered` is the question to go on with; None when all have been seen."""

    check_in: CheckIn
    lines: tuple[tuple[questionnaire.Item, questionnaire.Value | None], ...]
    unanswered: str | None
    urgency: bool


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
    check_in = open_one(db, who, check_in_id, now)
    asking = asking_of(db, check_in)
    questions, answers = asking.questions, asking.answers
    going_on = questionnaire.first_unanswered(questions, answers) or asking.visible[-1]
    item = going_on if link_id is None else _visible(asking, link_id)
    number, total = questionnaire.progress(questions, answers, item.link_id)
    previous = questionnaire.previous_question(questions, answers, item.link_id)
    return QuestionPage(
        check_in=check_in,
        item=item,
        number=number,
        total=total,
        previous_link_id=previous.link_id if previous else None,
        value=answers.get(item.link_id),
        is_last=questionnaire.next_question(questions, answers, item.link_id) is None,
        urgency=is_urgent(asking.counted),
    )


def review(db: Session, who: Actor, check_in_id: UUID, *, now: datetime) -> Review:
    """Every question of the check-in as things stand, with its answer. `Conflict` as in `page`."""
    check_in = open_one(db, who, check_in_id, now)
    asking = asking_of(db, check_in)
    going_on = questionnaire.first_unanswered(asking.questions, asking.answers)
    return Review(
        check_in=check_in,
        lines=tuple((item, asking.answers.get(item.link_id)) for item in asking.visible),
        unanswered=going_on.link_id if going_on else None,
        urgency=is_urgent(asking.counted),
    )


def save(
    db: Session, who: Actor, check_in_id: UUID, link_id: str, raw: list[str], *, now: datetime
) -> str | None:
    """Keeps an answer as given and says which question is next; None after the last. `Invalid({"answer": code})`.

    Crisis words reach a human at once, not when the last question is answered.
    """
    check_in = open_one(db, who, check_in_id, now, hold=True)
    asking = asking_of(db, check_in)
    item = _visible(asking, link_id)
    link_id = item.link_id
    if len(raw) > 1:
        raise Invalid({"answer": "not_an_option"})
    try:
        value = questionnaire.check_answer(item, raw[0] if raw else "")
    except questionnaire.AnswerProblem as problem:
        raise Invalid({"answer": problem.code}) from problem
    keep(check_in, asking, link_id, value, who, now)
    if item.type == "text":
        raise_reasons(db, check_in, asking, now, only="crisis_words")
    db.flush()
    following = questionnaire.next_question(asking.questions, asking.answers, link_id)
    return following.link_id if following else None


def finish(db: Session, who: Actor, check_in_id: UUID, *, now: datetime) -> Ending:
    """Sends the answers: measures get their status, flags are raised. Sent twice is sent once.

    `Invalid({link_id: "required"})` for each question that still needs an answer.
    """
    check_in = own(db, who, check_in_id, now, hold=True)
    if check_in.state == "answered":
        return ending(db, who, check_in_id, now=now)
    refuse_closed(db, who, check_in, now)
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
    """Not today: asked again tomorrow at the same hour. The second time the ward is told; a third is `Conflict("postponed")`."""
    if who.kind != "patient":
        raise NotFound("check-in")
    check_in = own(db, who, check_in_id, now, hold=True)
    if check_in.state == "postponed":
        return check_in
    refuse_closed(db, who, check_in, now)
    if check_in.postponed >= POSTPONE_AT_MOST:
        raise Conflict("postponed")
    days = max(1, template_of(check_in).days_between_messages)
    check_in.local_date = cadence.local_day(now) + timedelta(days=days)
    check_in.due_at = cadence.to_utc(check_in.local_date, check_in.local_time)
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
    # Two answers in one instant keep their order.
    latest = check_in.answers[-1].at if check_in.answers else now
    check_in.answers.append(
        Answer(
            link_id=link_id,
            value=PASSED_BY if value is None else value,
            at=max(now, latest + timedelta(microseconds=1)),
            by_kind=who.kind,
            by_id=who.id,
        )
    )
    asking.answers[link_id] = value


def _author(check_in: CheckIn) -> str | None:
    phoned_by = who_phoned(check_in)
    return f"Practitioner/{phoned_by}" if phoned_by else None


def _visible(asking: Asking, name: str) -> questionnaire.Item:
    """The question by its linkId, or by its name in an address."""
    for item in asking.visible:
        if name in (item.link_id, questionnaire.address(item.link_id)):
            return item
    raise NotFound("question")
