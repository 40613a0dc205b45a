"""Questionnaires: which question comes next, and whether an answer does. `companion.exchange.questionnaire` reads them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from companion.rules.texts import SOURCE_LANGUAGE, Text

BASE_URL: Final = "https://folge.example/fhir"

QUESTION_TYPES: Final = ("choice", "boolean", "integer", "string", "text")
MEASURES_GROUP: Final = "measures"
LONGEST_TEXT: Final = 2000

Value = str | int | bool
Answers = Mapping[str, Value | None]
"""Answers by linkId: the code of a choice, a truth, a number or a text. None means: seen and passed by."""


class BadQuestionnaire(ValueError):
    """The resource is not one we can ask; the text says where."""


class AnswerProblem(ValueError):
    """An answer that does not do.

    `code` is one of required, not_an_option, not_a_number, too_small, too_large, too_long;
    `params` holds the limit where there is one.
    """

    def __init__(self, code: str, **params: int) -> None:
        super().__init__(code)
        self.code = code
        self.params = params


@dataclass(frozen=True)
class Option:
    """One answer card. `icon` is a name in the page's icon sprite."""

    code: str
    text: Text
    system: str
    icon: str | None = None


@dataclass(frozen=True)
class Condition:
    """One `enableWhen`: what an earlier question must be answered with."""

    question: str
    operator: str
    expected: Value


@dataclass(frozen=True)
class Item:
    """A group or a question. `neutral`: may be asked in an SMS, since it tells nothing of illness."""

    link_id: str
    type: str
    text: Text
    required: bool = False
    options: tuple[Option, ...] = ()
    conditions: tuple[Condition, ...] = ()
    any_condition: bool = False
    minimum: int | None = None
    maximum: int | None = None
    max_length: int | None = None
    hint: Text | None = None
    notices: tuple[Text, ...] = ()
    items: tuple["Item", ...] = ()
    neutral: bool = False
    hints_by_owner: Mapping[str, Text] | None = None

    def option(self, code: str) -> Option | None:
        """The card with this code."""
        return next((option for option in self.options if option.code == code), None)


@dataclass(frozen=True)
class Questionnaire:
    """What is asked at one check-in, or a part of it."""

    key: str
    url: str
    version: str
    title: Text
    items: tuple[Item, ...]

    def question(self, link_id: str) -> Item:
        """The question with this linkId; KeyError when it is not asked here."""
        for item in _walk(self.items):
            if item.link_id == link_id:
                return item
        raise KeyError(link_id)


@dataclass(frozen=True)
class MeasureToAsk:
    """An open measure as a check-in asks about it: `owner` as in measures, `owner_name` as the person knows them."""

    id: str
    title: str
    owner: str
    owner_name: str


# --- asking -------------------------------------------------------------------------------------------------------


def address(link_id: str) -> str:
    """The question's name in an address: it tells a log or a passer-by nothing of what is asked."""
    return sha256(link_id.encode()).hexdigest()[:10]


def questions(questionnaire: Questionnaire) -> list[Item]:
    """Every question it may come to ask, in order, without groups."""
    return list(_walk(questionnaire.items))


def steering(questionnaire: Questionnaire) -> frozenset[str]:
    """The linkIds of questions whose answer decides whether others are asked."""
    return frozenset(
        condition.question for item in _all(questionnaire.items) for condition in item.conditions
    )


def visible_questions(questionnaire: Questionnaire, answers: Answers) -> list[Item]:
    """The questions to be asked as things stand, in order, without groups. Answers to hidden questions do not count."""
    counted: dict[str, Value] = {}
    return list(_visible(questionnaire.items, answers, counted))


def next_question(questionnaire: Questionnaire, answers: Answers, after: str | None) -> Item | None:
    """The question after this one; with None the first; None at the end."""
    questions = visible_questions(questionnaire, answers)
    if after is None:
        return questions[0] if questions else None
    asked = {item.link_id for item in questions}
    order = [item.link_id for item in _walk(questionnaire.items)]
    later = order[order.index(after) + 1 :]
    return next((questionnaire.question(link_id) for link_id in later if link_id in asked), None)


def previous_question(questionnaire: Questionnaire, answers: Answers, before: str) -> Item | None:
    """The question before this one, or None at the first."""
    asked = {item.link_id for item in visible_questions(questionnaire, answers)}
    order = [item.link_id for item in _walk(questionnaire.items)]
    earlier = reversed(order[: order.index(before)])
    return next((questionnaire.question(link_id) for link_id in earlier if link_id in asked), None)


def first_unanswered(questionnaire: Questionnaire, answers: Answers) -> Item | None:
    """Where somebody who comes back goes on: the first question neither answered nor passed by; None when done."""
    return next(
        (item for item in visible_questions(questionnaire, answers) if item.link_id not in answers), None
    )


def progress(questionnaire: Questionnaire, answers: Answers, link_id: str) -> tuple[int, int]:
    """Number of this question, from 1, and how many there are as things stand."""
    asked = [item.link_id for item in visible_questions(questionnaire, answers)]
    return asked.index(link_id) + 1, len(asked)


def counted_answers(questionnaire: Questionnaire, answers: Answers) -> dict[str, Value]:
    """The answers that count: given, and to a question that is asked as things stand."""
    counted: dict[str, Value] = {}
    for _ in _visible(questionnaire.items, answers, counted):
        pass
    return counted


def is_complete(questionnaire: Questionnaire, answers: Answers) -> bool:
    """Whether every required question that is asked has an answer."""
    return all(
        answers.get(item.link_id) is not None
        for item in visible_questions(questionnaire, answers)
        if item.required
    )


def _walk(items: Sequence[Item]) -> Iterator[Item]:
    for item in items:
        if item.type == "group":
            yield from _walk(item.items)
        else:
            yield item


def _visible(items: Sequence[Item], answers: Answers, counted: dict[str, Value]) -> Iterator[Item]:
    for item in items:
        if not _enabled(item, counted):
            continue
        if item.type == "group":
            yield from _visible(item.items, answers, counted)
            continue
        given = answers.get(item.link_id)
        if given is not None:
            counted[item.link_id] = given
        yield item


def _enabled(item: Item, counted: Mapping[str, Value]) -> bool:
    if not item.conditions:
        return True
    met = (_met(condition, counted.get(condition.question)) for condition in item.conditions)
    return any(met) if item.any_condition else all(met)


def _met(condition: Condition, given: Value | None) -> bool:
    expected = condition.expected
    if condition.operator == "exists":
        return (given is not None) == expected
    if given is None:
        return False
    if condition.operator == "=":
        return given == expected
    if condition.operator == "!=":
        return given != expected
    if not isinstance(given, int) or not isinstance(expected, int):
        return False
    return {
        ">": given > expected,
        "<": given < expected,
        ">=": given >= expected,
        "<=": given <= expected,
    }[condition.operator]


# --- answering ----------------------------------------------------------------------------------------------------


def check_answer(item: Item, raw: str) -> Value | None:
    """What was typed or tapped, as a value; None for an empty answer that may be empty; else `AnswerProblem`."""
    typed = _clean(raw)
    if not typed:
        if item.required:
            raise AnswerProblem("required")
        return None
    if item.type == "choice":
        return _checked_choice(item, typed)
    if item.type == "boolean":
        return _checked_truth(typed)
    if item.type == "integer":
        return _checked_number(item, typed)
    longest = item.max_length or LONGEST_TEXT
    if len(typed) > longest:
        raise AnswerProblem("too_long", maximum=longest)
    return typed


def _clean(raw: str) -> str:
    """Without control characters, which PostgreSQL refuses or pages garble; line breaks stay."""
    unix = raw.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]", " ", unix).strip()


def _checked_choice(item: Item, typed: str) -> str:
    if item.option(typed) is None:
        raise AnswerProblem("not_an_option")
    return typed


def _checked_truth(typed: str) -> bool:
    if typed not in ("true", "false"):
        raise AnswerProblem("not_an_option")
    return typed == "true"


def _checked_number(item: Item, typed: str) -> int:
    if not re.fullmatch(r"[-+]?[0-9]{1,9}", typed):
        raise AnswerProblem("not_a_number")
    number = int(typed)
    if item.minimum is not None and number < item.minimum:
        raise AnswerProblem("too_small", minimum=item.minimum)
    if item.maximum is not None and number > item.maximum:
        raise AnswerProblem("too_large", maximum=item.maximum)
    return number


# --- putting together ---------------------------------------------------------------------------------------------


def assemble(key: str, title: Text, parts: Sequence[Questionnaire]) -> Questionnaire:
    """One questionnaire asking the parts in order; the same linkId twice is refused."""
    items = tuple(item for part in parts for item in part.items)
    refuse_duplicates(key, items)
    return Questionnaire(
        key=key,
        # A key may have an underscore, the id of a FHIR resource may not.
        url=f"{BASE_URL}/Questionnaire/{key.replace('_', '-')}",
        version="+".join(f"{part.key}.{part.version}" for part in parts),
        title=title,
        items=items,
    )


def for_check_in(
    base: Questionnaire, measure_items: Questionnaire, measures: Sequence[MeasureToAsk]
) -> Questionnaire:
    """The questionnaire with each open measure asked about, in the group `measures`; linkIds `measure.<id>.started`."""
    asked = tuple(_about(measure, item) for measure in measures for item in measure_items.items)
    items = tuple(
        replace(item, items=asked) if item.link_id == MEASURES_GROUP and item.type == "group" else item
        for item in base.items
    )
    return replace(base, items=items)


def _about(measure: MeasureToAsk, item: Item) -> Item:
    """The template's item `measure.started` as `measure.<id>.started`, with the measure's title and owner in it."""
    hint = (item.hints_by_owner or {}).get(measure.owner, item.hint)
    if hint and not measure.owner_name and "{owner}" in hint.in_(SOURCE_LANGUAGE):
        hint = None  # better nothing than a sentence without its subject
    filled = {"title": measure.title, "owner": measure.owner_name}
    return replace(
        item,
        link_id=_with_id(item.link_id, measure.id),
        text=item.text.fill(**filled),
        hint=hint.fill(**filled) if hint else None,
        hints_by_owner=None,
        conditions=tuple(
            replace(condition, question=_with_id(condition.question, measure.id))
            for condition in item.conditions
        ),
        items=tuple(_about(measure, inner) for inner in item.items),
    )


def _with_id(link_id: str, measure_id: str) -> str:
    return link_id.replace("measure.", f"measure.{measure_id}.", 1)


def refuse_duplicates(key: str, items: Sequence[Item]) -> None:
    """Raises `BadQuestionnaire` when a linkId stands twice."""
    seen: set[str] = set()
    for item in _all(items):
        if item.link_id in seen:
            raise BadQuestionnaire(f"{key}: linkId {item.link_id} twice")
        seen.add(item.link_id)


def refuse_forward_conditions(questionnaire: Questionnaire) -> None:
    """Raises `BadQuestionnaire` when a question depends on one that comes later."""
    seen: set[str] = set()
    for item in _all(questionnaire.items):
        for condition in item.conditions:
            if condition.question not in seen:
                raise BadQuestionnaire(
                    f"{questionnaire.key}: {item.link_id} depends on {condition.question}, which is not asked before it"
                )
        seen.add(item.link_id)


def _all(items: Sequence[Item]) -> Iterator[Item]:
    for item in items:
        yield item
        yield from _all(item.items)
