"""What a check-in asks the person about their measures and themselves, and what has been answered."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from companion import library
from companion.models import CheckIn, Measure
from companion.rules import cadence, questionnaire

ANSWERABLE = ("asked", "postponed")
# An answer passed by is kept as the empty text: seen, and left open on purpose.
PASSED_BY = ""


@dataclass(frozen=True)
class Asking:
    """A check-in with what it asks and what has been answered."""

    questions: questionnaire.Questionnaire
    answers: dict[str, questionnaire.Value | None]
    measures: list[Measure]

    @property
    def counted(self) -> dict[str, questionnaire.Value]:
        """The answers that count."""
        return questionnaire.counted_answers(self.questions, self.answers)

    @property
    def visible(self) -> list[questionnaire.Item]:
        """The questions to be asked as things stand."""
        return questionnaire.visible_questions(self.questions, self.answers)

    @property
    def said(self) -> list[tuple[questionnaire.Item, questionnaire.Value]]:
        """Each question that was answered, with its answer, in order."""
        counted = self.counted
        return [(item, counted[item.link_id]) for item in self.visible if item.link_id in counted]


def asking_of(db: Session, check_in: CheckIn) -> Asking:
    """What the check-in asks and what was answered, read afresh."""
    measures = db.scalars(
        select(Measure)
        .where(Measure.stay_id == check_in.plan.stay_id)
        .order_by(Measure.number)
        .options(joinedload(Measure.statuses), joinedload(Measure.owner_unit))
        .execution_options(populate_existing=True)
    )
    return asks(check_in, measures.unique().all())


def asks(check_in: CheckIn, measures: Iterable[Measure]) -> Asking:
    """What the check-in asks about the measures of its stay, and what was answered; reads nothing that is loaded.

    Once it has ended, it is what it asked then: later statuses change nothing.
    """
    asked = [measure for measure in measures if _asked_about(measure, check_in)]
    questions = questionnaire.for_check_in(
        library.questionnaire(check_in.questionnaire),
        library.measure_questions(),
        [_to_ask(measure, check_in) for measure in asked],
    )
    answers = {
        answer.link_id: None if answer.value == PASSED_BY else answer.value for answer in check_in.answers
    }
    return Asking(questions, answers, asked)


def _asked_about(measure: Measure, check_in: CheckIn) -> bool:
    """Whether the measure was open, leaving aside what this check-in itself said about it."""
    until = check_in.ended_at
    if until and measure.created_at > until:
        return False
    before = [
        status
        for status in measure.statuses
        if status.check_in_id != check_in.id and (until is None or status.at <= until)
    ]
    return not before or before[-1].status not in ("started", "done", "declined", "cancelled")


def _to_ask(measure: Measure, check_in: CheckIn) -> questionnaire.MeasureToAsk:
    return questionnaire.MeasureToAsk(
        id=str(measure.id),
        title=measure.title,
        owner=measure.owner,
        owner_name=_owner_name(measure, check_in),
    )


def _owner_name(measure: Measure, check_in: CheckIn) -> str:
    """The owner as the person knows them: the municipality, not the name of its office."""
    if measure.owner == "municipality":
        return f"{check_in.patient.municipality.name} kommune"
    if measure.owner_unit:
        return measure.owner_unit.name
    return check_in.plan.stay.ward.name


def template_of(check_in: CheckIn) -> cadence.PlanTemplate:
    """The plan template the check-in comes from."""
    return library.plan_template(check_in.plan.template)


def own_hour(check_in: CheckIn) -> time:
    """The person's hour for it."""
    return check_in.patient.hour or check_in.local_time


def required(moment: datetime | None) -> datetime:
    """A moment that is there, as the state says."""
    assert moment is not None
    return moment
