"""The same questions asked by a professional on the telephone.

A professional whose unit follows the person may ask them and write down the answers; for `BY_PHONE_WITHIN` also those of a
check-in that has expired. It is then `answered`; its `ended_at` still tells when it expired.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from companion.errors import Invalid
from companion.models import Answer, CheckIn
from companion.rules import questionnaire
from companion.rules.access import Actor
from companion.use_cases.check_in.afterwards import Ending
from companion.use_cases.check_in.answerable import open_one
from companion.use_cases.check_in.answering import finish, keep
from companion.use_cases.check_in.following import is_urgent
from companion.use_cases.check_in.questions import Asking, AskingAbout, asking_of


@dataclass(frozen=True)
class PhoneForm:
    """All questions to be asked as things stand, each with its answer as typed, for one who asks them on the telephone.

    `steering` are those whose answer decides whether others are asked; `titles` are those of the measures, by id.
    """

    check_in: CheckIn
    lines: tuple[tuple[questionnaire.Item, str], ...]
    steering: frozenset[str]
    titles: dict[UUID, str]
    urgency: bool


def phone_form(
    db: Session, who: Actor, check_in_id: UUID, typed: Mapping[str, str] | None = None, *, now: datetime
) -> PhoneForm:
    """The questions for somebody who asks them on the telephone, with what was typed, else with what is saved.

    `typed` goes by the questions' names in addresses. `Conflict` as in `page`.
    """
    check_in = open_one(db, who, check_in_id, now)
    asking = asking_of(db, check_in)
    if typed is not None:
        read, _problems = _read(asking, typed)
        asking = AskingAbout(asking.questions, read, asking.measures)
    return PhoneForm(
        check_in=check_in,
        lines=tuple((item, _typed(asking, item, typed or {})) for item in asking.visible),
        steering=questionnaire.steering(asking.questions),
        titles={measure.id: measure.title for measure in asking.measures},
        urgency=is_urgent(asking.counted),
    )


def answer_by_phone(
    db: Session, who: Actor, check_in_id: UUID, typed: Mapping[str, str], *, now: datetime
) -> Ending:
    """Keeps all answers of a telephone call and sends them; what was answered before and is the same stays as it was given.

    `typed` goes by the questions' names in addresses and holds every question that was shown. `Invalid` by the same names:
    `required` and the like, `new` for a question that came with these answers and has not been shown.
    """
    check_in = open_one(db, who, check_in_id, now, hold=True)
    asking = asking_of(db, check_in)
    read, problems = _read(asking, typed)
    now_asked = questionnaire.visible_questions(asking.questions, read)
    names = [questionnaire.address(item.link_id) for item in now_asked]
    found = {name: problems.get(name, "") if name in typed else "new" for name in names}
    if any(found.values()):
        raise Invalid({name: code for name, code in found.items() if code})
    for item in now_asked:
        value = read[item.link_id]
        if item.link_id not in asking.answers or asking.answers[item.link_id] != value:
            keep(check_in, asking, item.link_id, value, who, now)
    db.flush()
    return finish(db, who, check_in_id, now=now)


def written_by(check_in_id: ColumnElement[UUID] | InstrumentedAttribute[UUID]) -> ScalarSelect[UUID | None]:
    """The id of the professional who wrote down answers on the telephone; null where the person answered alone."""
    return (
        select(Answer.by_id)
        .where(Answer.check_in_id == check_in_id, Answer.by_kind == "professional")
        .order_by(Answer.at.desc(), Answer.id)
        .limit(1)
        .correlate(CheckIn)
        .scalar_subquery()
    )


def _read(
    asking: Asking, typed: Mapping[str, str]
) -> tuple[dict[str, questionnaire.Value | None], dict[str, str]]:
    """What was typed as answers by linkId, and what does not do, by the question's name in an address."""
    answers: dict[str, questionnaire.Value | None] = {}
    problems: dict[str, str] = {}
    for item in questionnaire.questions(asking.questions):
        name = questionnaire.address(item.link_id)
        if name in typed:
            try:
                answers[item.link_id] = questionnaire.check_answer(item, typed[name])
            except questionnaire.AnswerProblem as problem:
                problems[name] = problem.code
    return answers, problems


def _typed(asking: Asking, item: questionnaire.Item, typed: Mapping[str, str]) -> str:
    name = questionnaire.address(item.link_id)
    if name in typed:
        return typed[name]
    value = asking.answers.get(item.link_id)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
