"""What a check-in asks the person about their measures and themselves, and what has been answered."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, NamedTuple
from uuid import UUID

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
    """What a check-in asks and what has been answered."""

    questions: questionnaire.Questionnaire
    answers: dict[str, questionnaire.Value | None]

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


@dataclass(frozen=True)
class AskingAbout(Asking):
    """As `Asking`, with the measures it asks about."""

    measures: list[Measure]


class Spoken(NamedTuple):
    """What was said about a measure."""

    status: str
    at: datetime
    check_in_id: UUID | None


def asking_of(db: Session, check_in: CheckIn) -> AskingAbout:
    """What the check-in asks and what was answered, read afresh."""
    measures = db.scalars(
        select(Measure)
        .where(Measure.stay_id == check_in.plan.stay_id)
        .order_by(Measure.number)
        .options(joinedload(Measure.statuses), joinedload(Measure.owner_unit))
        .execution_options(populate_existing=True)
    )
    return asks(check_in, measures.unique().all())


def asks(check_in: CheckIn, measures: Iterable[Measure]) -> AskingAbout:
    """What the check-in asks about the measures of its stay, and what was answered; reads nothing that is loaded."""
    asked = [measure for measure in measures if _asked_about(measure, check_in)]
    found = what_is_asked(
        check_in.questionnaire,
        [_to_ask(measure, check_in) for measure in asked],
        [(answer.link_id, answer.value) for answer in check_in.answers],
    )
    return AskingAbout(found.questions, found.answers, asked)


def what_is_asked(
    key: str, measures: Sequence[questionnaire.MeasureToAsk], answers: Iterable[tuple[str, Any]]
) -> Asking:
    """What is asked about these measures, and the answers as they were kept, the latest last."""
    questions = questionnaire.for_check_in(library.questionnaire(key), library.measure_questions(), measures)
    return Asking(questions, {link_id: None if value == PASSED_BY else value for link_id, value in answers})


def asked_about(
    check_in_id: UUID, until: datetime | None, created_at: datetime, statuses: Iterable[Spoken]
) -> bool:
    """Whether a measure was open, leaving aside what this check-in itself said about it.

    Once the check-in has ended (`until`), it is what it asked then: later statuses change nothing.
    """
    if until and created_at > until:
        return False
    before = [
        spoken
        for spoken in statuses
        if spoken.check_in_id != check_in_id and (until is None or spoken.at <= until)
    ]
    return not before or before[-1].status not in ("started", "done", "declined", "cancelled")


def measure_to_ask(
    measure_id: UUID, title: str, owner: str, *, municipality: str, owner_unit: str | None, ward: str
) -> questionnaire.MeasureToAsk:
    """A measure with its owner as the person knows them: the municipality, not the name of its office."""
    known = f"{municipality} kommune" if owner == "municipality" else owner_unit or ward
    return questionnaire.MeasureToAsk(id=str(measure_id), title=title, owner=owner, owner_name=known)


def _asked_about(measure: Measure, check_in: CheckIn) -> bool:
    statuses = (Spoken(one.status, one.at, one.check_in_id) for one in measure.statuses)
    return asked_about(check_in.id, check_in.ended_at, measure.created_at, statuses)


def _to_ask(measure: Measure, check_in: CheckIn) -> questionnaire.MeasureToAsk:
    return measure_to_ask(
        measure.id,
        measure.title,
        measure.owner,
        municipality=check_in.patient.municipality.name,
        owner_unit=measure.owner_unit.name if measure.owner_unit else None,
        ward=check_in.plan.stay.ward.name,
    )


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
