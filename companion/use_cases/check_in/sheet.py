"""A check-in as it lies before somebody who answers: read narrowly, in two statements, however long they have been at it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, Select, bindparam, select
from sqlalchemy.orm import Session, aliased

from companion.errors import NotFound
from companion.models import Answer, CheckIn, Measure, MeasureStatus, Municipality, Patient, Plan, Stay, Unit
from companion.rules import questionnaire
from companion.rules.access import Actor
from companion.use_cases.check_in.answerable import Closing, refuse_closed, theirs
from companion.use_cases.check_in.following import is_crisis, is_urgent
from companion.use_cases.check_in.questions import Asking, Spoken, asked_about, measure_to_ask, what_is_asked


@dataclass(frozen=True)
class QuestionPage:
    """One question as it is shown. `urgency`: something answered so far calls for the numbers to ring at once."""

    check_in: "Sheet"
    item: questionnaire.Item
    number: int
    total: int
    previous_link_id: str | None
    value: questionnaire.Value | None
    is_last: bool
    urgency: bool
    crisis: bool


@dataclass(frozen=True)
class Review:
    """The answers before they are sent. `unanswered` is the question to go on with; None when all have been seen."""

    check_in: "Sheet"
    lines: tuple[tuple[questionnaire.Item, questionnaire.Value | None], ...]
    unanswered: str | None
    urgency: bool
    crisis: bool


@dataclass(frozen=True)
class Sheet:
    """The check-in, what it asks and what has been answered. `answered_last`: when the latest answer was given."""

    id: UUID
    patient_id: UUID
    asking: Asking
    answered_last: datetime | None

    def question(self, name: str) -> questionnaire.Item:
        """The question by its linkId, or by its name in an address; `NotFound` when it is not asked as things stand."""
        for item in self.asking.visible:
            if name in (item.link_id, questionnaire.address(item.link_id)):
                return item
        raise NotFound("question")

    def page(self, name: str | None) -> QuestionPage:
        """A question as it is shown; with None the one to go on with, which after the last answer is the last."""
        questions, answers = self.asking.questions, self.asking.answers
        going_on = questionnaire.first_unanswered(questions, answers) or self.asking.visible[-1]
        item = going_on if name is None else self.question(name)
        number, total = questionnaire.progress(questions, answers, item.link_id)
        previous = questionnaire.previous_question(questions, answers, item.link_id)
        return QuestionPage(
            check_in=self,
            item=item,
            number=number,
            total=total,
            previous_link_id=previous.link_id if previous else None,
            value=answers.get(item.link_id),
            is_last=questionnaire.next_question(questions, answers, item.link_id) is None,
            urgency=is_urgent(self.asking.counted),
            crisis=is_crisis(self.asking.counted),
        )

    def review(self) -> Review:
        """Every question as things stand, with its answer."""
        going_on = questionnaire.first_unanswered(self.asking.questions, self.asking.answers)
        return Review(
            check_in=self,
            lines=tuple((item, self.asking.answers.get(item.link_id)) for item in self.asking.visible),
            unanswered=going_on.link_id if going_on else None,
            urgency=is_urgent(self.asking.counted),
            crisis=is_crisis(self.asking.counted),
        )


def open_sheet(db: Session, who: Actor, check_in_id: UUID, now: datetime, *, hold: bool = False) -> Sheet:
    """One's own, or that of a patient whom one's unit follows; `NotFound` for others, `Conflict` when it is closed.

    `hold`: nobody else answers it until the transaction ends.
    """
    statement = _answers_of_patient(hold) if who.kind == "patient" else _answers(who, now, hold)
    rows = db.execute(statement, {"id": check_in_id, "patient_id": who.id}).all()
    if not rows:
        raise NotFound("check-in")
    one = rows[0]
    refuse_closed(
        db, who, Closing(one.id, one.patient_id, one.state, one.due_at, one.ended_at, one.died_on), now
    )
    given = [row for row in rows if row.link_id is not None]
    return Sheet(
        id=one.id,
        patient_id=one.patient_id,
        asking=what_is_asked(
            one.questionnaire,
            _measures_to_ask(db, one),
            [(row.link_id, row.value) for row in given],
        ),
        answered_last=given[-1].at if given else None,
    )


def _measures_to_ask(db: Session, one: Any) -> list[questionnaire.MeasureToAsk]:
    rows: Sequence[Any] = db.execute(_MEASURES, {"stay_id": one.stay_id}).all()
    by_measure: dict[UUID, list[Any]] = {}
    for row in rows:
        by_measure.setdefault(row.id, []).append(row)
    return [
        measure_to_ask(
            each[0].id,
            each[0].title,
            each[0].owner,
            municipality=one.municipality,
            owner_unit=each[0].owner_unit,
            ward=one.ward,
        )
        for each in by_measure.values()
        if asked_about(one.id, one.ended_at, each[0].created_at, _statuses(each))
    ]


def _statuses(rows: Iterable[Any]) -> list[Spoken]:
    return [Spoken(row.status, row.at, row.check_in_id) for row in rows if row.status is not None]


_WARD = aliased(Unit)
_SHEET = (
    select(
        CheckIn.id,
        CheckIn.patient_id,
        CheckIn.questionnaire,
        CheckIn.state,
        CheckIn.due_at,
        CheckIn.ended_at,
        Plan.stay_id,
        Patient.died_on,
        _WARD.name.label("ward"),
        Municipality.name.label("municipality"),
        Answer.link_id,
        Answer.value,
        Answer.at,
    )
    .join(CheckIn.plan)
    .join(Plan.stay)
    .join(_WARD, Stay.ward)
    .join(CheckIn.patient)
    .join(Patient.municipality)
    .outerjoin(CheckIn.answers)
    .where(CheckIn.id == bindparam("id"), CheckIn.state != "planned")
    .order_by(Answer.at, Answer.id)
)
_MEASURES = (
    select(
        Measure.id,
        Measure.title,
        Measure.owner,
        Measure.created_at,
        Unit.name.label("owner_unit"),
        MeasureStatus.status,
        MeasureStatus.at,
        MeasureStatus.check_in_id,
    )
    .outerjoin(Measure.owner_unit)
    .outerjoin(Measure.statuses)
    .where(Measure.stay_id == bindparam("stay_id"))
    .order_by(Measure.number, MeasureStatus.at, MeasureStatus.id)
)


@cache
def _answers_of_patient(hold: bool) -> Executable:
    return _held(_SHEET.where(CheckIn.patient_id == bindparam("patient_id")), hold)


def _answers(who: Actor, now: datetime, hold: bool) -> Executable:
    return _held(_SHEET.where(theirs(who, now)), hold)


def _held(statement: Select[*tuple[Any, ...]], hold: bool) -> Executable:
    return statement.with_for_update(of=CheckIn, key_share=True) if hold else statement
