"""From the answers of a check-in to what a human must see: how urgent, why, and whose task it is.

The rules are `FIELD.md`'s. Red: asks for contact, clearly worse, PHQ-2 of 3 or more, a fall with injury, crisis words
in free text, "nobody has contacted me" after the measure's due date. Amber: a measure not started, fatigue or pain of 7
or more, no answer. Besides: the worst of the five faces, a wish for a coordinator or a plan, a passport that is wrong, and
"I don't know" about a measure whose due date has passed are amber tasks, since an answer nobody acts on is a broken promise.

What concerns the person goes to the therapist who follows them (ART or municipal), else to the ward. What concerns a
measure goes by the reason given. A unit the person does not have is replaced by the nearest one, in the end the ward.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Literal

from companion.rules import scores
from companion.rules.cadence import to_local, to_utc
from companion.rules.finding import found
from companion.rules.questionnaire import Value
from companion.rules.quiet_hours import add_working_days, is_working_day

Level = Literal["red", "amber"]
OwnerKind = Literal["ward", "art", "municipal_rehab", "coordinating_unit"]
Answered = Mapping[str, Value | None]

HIGH_RATING = 7
RED_SEEN_SAME_DAY_BEFORE = time(12)
SEEN_BY_HOUR = time(15)
AMBER_WORKING_DAYS = 3
RANK = {"red": 0, "amber": 1}
# What one answer alone can make red.
RED = frozenset(
    (
        "crisis_words",
        "wants_contact",
        "clearly_worse",
        "low_mood",
        "fall_with_injury",
        "nobody_contacted_overdue",
    )
)


@dataclass(frozen=True)
class CheckInFacts:
    """What triage must know of the person: which kinds of unit they have, and who follows them as therapist."""

    unit_kinds: frozenset[str]
    therapist_kind: Literal["art", "municipal_rehab"] | None = None


@dataclass(frozen=True)
class MeasureFacts:
    """A measure that was asked about; `owner` is one of hospital, art, municipality, gp, nav, patient."""

    id: str
    owner: str
    due_on: date | None


@dataclass(frozen=True)
class Reason:
    """One thing a human must see. `quote` is the person's own words where there are any."""

    code: str
    level: Level
    owner_kind: OwnerKind
    measure_id: str | None = None
    quote: str | None = None
    params: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Triage:
    """The reasons, red first; `level` is that of the gravest, None when nothing needs a human."""

    reasons: tuple[Reason, ...] = ()

    @property
    def level(self) -> Level | None:
        """The gravest level among the reasons."""
        return self.reasons[0].level if self.reasons else None


def triage(
    facts: CheckInFacts,
    answers: Answered,
    measures: Sequence[MeasureFacts],
    today: date,
    *,
    crisis_words: Iterable[str],
    written: Iterable[str] | None = None,
) -> Triage:
    """Everything in the answers a human must see. Pass the answers that count (`questionnaire.counted_answers`).

    `written`: what was said in the person's own words; without it, what stands under linkIds that end in `.text`.
    """
    own_words = list(_free_texts(answers) if written is None else written)
    reasons = [
        *_about_the_person(facts, answers, own_words, crisis_words),
        *(reason for measure in measures for reason in _about_measure(facts, answers, measure, today)),
        *_wishes(facts, answers),
    ]
    return Triage(tuple(sorted(reasons, key=lambda reason: RANK[reason.level])))


def respond_by(level: Level, opened_at: datetime) -> datetime:
    """By when a human is to have seen it, which is what the patient is told.

    Red: 15.00 the same day when it came before 12.00 on a working day, else 15.00 the next working day.
    Amber: 15.00 on the third working day after.
    """
    local = to_local(opened_at)
    day = local.date()
    if level == "amber":
        return to_utc(add_working_days(day, AMBER_WORKING_DAYS), SEEN_BY_HOUR)
    if is_working_day(day) and local.time() < RED_SEEN_SAME_DAY_BEFORE:
        return to_utc(day, SEEN_BY_HOUR)
    return to_utc(add_working_days(day, 1), SEEN_BY_HOUR)


def may_be_red(link_id: str) -> bool:
    """Whether an answer to this question can be what makes somebody look the same day (crisis words apart)."""
    return link_id.startswith(("contact", "worse", "fall", "phq2")) or link_id.endswith(
        (".why", ".why.text", ".started")
    )


def crisis_quote(texts: Iterable[str], words: Iterable[str]) -> str | None:
    """The first text that holds a crisis word, whole; misspelt ones count (`companion.rules.finding`)."""
    phrases = tuple(words)
    return next((said for said in texts if found(said, phrases, loosely=True)), None)


# --- the person ---------------------------------------------------------------------------------------------------


def _about_the_person(
    facts: CheckInFacts, answers: Answered, own_words: Iterable[str], crisis_words: Iterable[str]
) -> Iterator[Reason]:
    follower = _follower(facts)
    if said := crisis_quote(own_words, crisis_words):
        yield Reason("crisis_words", "red", follower, quote=said)
    if answers.get("contact") is True:
        yield Reason("wants_contact", "red", follower, quote=_text(answers, "contact.text"))
    if answers.get("worse") == "clearly":
        yield Reason("clearly_worse", "red", follower, quote=_text(answers, "worse.text"))
    mood = scores.phq2(answers)
    if mood is not None and mood >= scores.PHQ2_POSITIVE:
        yield Reason("low_mood", "red", follower, params={"score": mood})
    if answers.get("fall.injury") is True:
        yield Reason("fall_with_injury", "red", follower)
    if answers.get("how") == "very_bad":
        yield Reason("feels_very_bad", "amber", follower)
    for code in ("fatigue", "pain"):
        rating = answers.get(code)
        if isinstance(rating, int) and rating >= HIGH_RATING:
            yield Reason(f"high_{code}", "amber", follower, params={"score": rating})


def _free_texts(answers: Answered) -> Iterator[str]:
    return (
        value for link_id, value in answers.items() if link_id.endswith(".text") and isinstance(value, str)
    )


def _text(answers: Answered, link_id: str) -> str | None:
    value = answers.get(link_id)
    return value if isinstance(value, str) else None


# --- the measures -------------------------------------------------------------------------------------------------


def _about_measure(
    facts: CheckInFacts, answers: Answered, measure: MeasureFacts, today: date
) -> Iterator[Reason]:
    started = answers.get(f"measure.{measure.id}.started")
    late = measure.due_on is not None and measure.due_on < today
    if started == "unknown" and late:
        yield Reason("measure_unknown", "amber", _owner(facts, measure), measure.id)
    if started != "not_yet":
        return
    why = answers.get(f"measure.{measure.id}.why")
    overdue = why == "nobody_contacted" and late
    yield Reason(
        "nobody_contacted_overdue" if overdue else f"not_started_{why or 'unsaid'}",
        "red" if overdue else "amber",
        _owner_by_reason(facts, measure, why),
        measure.id,
        quote=_text(answers, f"measure.{measure.id}.why.text"),
    )


def _owner_by_reason(facts: CheckInFacts, measure: MeasureFacts, why: Value | None) -> OwnerKind:
    if why == "too_ill":
        return _nearest(facts, "art", "ward")
    if why == "no_transport":
        return _nearest(facts, "coordinating_unit", "municipal_rehab")
    if why in ("not_understood", "not_wanted"):
        return _nearest(facts, "ward")
    return _owner(facts, measure)


def _owner(facts: CheckInFacts, measure: MeasureFacts) -> OwnerKind:
    """The unit that answers for the measure. GP and Nav are no units here: those who can call them stand in."""
    if measure.owner == "municipality":
        return _nearest(facts, "municipal_rehab", "coordinating_unit")
    if measure.owner == "nav":
        return _nearest(facts, "coordinating_unit")
    if measure.owner == "art":
        return _nearest(facts, "art")
    if measure.owner == "patient":
        return _follower(facts)
    return _nearest(facts, "ward")


# --- wishes -------------------------------------------------------------------------------------------------------


def _wishes(facts: CheckInFacts, answers: Answered) -> Iterator[Reason]:
    for link_id in ("coordinator", "individual_plan"):
        if answers.get(link_id) == "want":
            yield Reason(f"wants_{link_id}", "amber", _nearest(facts, "coordinating_unit", "municipal_rehab"))
    if answers.get("passport") == "no":
        yield Reason("passport_wrong", "amber", _nearest(facts, "ward"))


def _follower(facts: CheckInFacts) -> OwnerKind:
    return facts.therapist_kind or "ward"


def _nearest(facts: CheckInFacts, *kinds: OwnerKind) -> OwnerKind:
    """The first kind of unit the person has; the ward that discharged them is always there."""
    return next((kind for kind in kinds if kind in facts.unit_kinds), "ward")
