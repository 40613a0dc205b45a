"""FIELD.md's red and amber rules, whose task each reason becomes, and what may be promised."""

from datetime import date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion import library
from companion.rules.cadence import to_local, to_utc
from companion.rules.questionnaire import Value
from companion.rules.quiet_hours import is_working_day
from companion.rules.scores import phq2, rankin
from companion.rules.triage import (
    CheckInFacts,
    MeasureFacts,
    Triage,
    crisis_quote,
    respond_by,
    triage,
)

TODAY = date(2026, 11, 24)
EVERY_UNIT = frozenset({"ward", "art", "municipal_rehab", "coordinating_unit"})
FOLLOWED_BY_ART = CheckInFacts(EVERY_UNIT, "art")
FOLLOWED_AT_HOME = CheckInFacts(EVERY_UNIT, "municipal_rehab")
NOT_FOLLOWED = CheckInFacts(EVERY_UNIT)
ONLY_WARD = CheckInFacts(frozenset({"ward"}))
PHYSIO = MeasureFacts("m1", "municipality", date(2026, 11, 22))
WORDS = library.crisis_words()


def judge(
    answers: dict[str, Value | None], *measures: MeasureFacts, facts: CheckInFacts = NOT_FOLLOWED
) -> Triage:
    return triage(facts, answers, measures, TODAY, crisis_words=WORDS)


def summary(result: Triage) -> list[tuple[str, str, str]]:
    return [(reason.code, reason.level, reason.owner_kind) for reason in result.reasons]


# --- the person


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, []),
        ({"contact": False, "worse": "a_little", "fall": True, "fall.injury": False}, []),
        ({"contact": True}, [("wants_contact", "red")]),
        ({"worse": "clearly"}, [("clearly_worse", "red")]),
        ({"fall": True, "fall.injury": True}, [("fall_with_injury", "red")]),
        ({"phq2.interest": "1", "phq2.down": "1"}, []),
        ({"phq2.interest": "1", "phq2.down": "2"}, [("low_mood", "red")]),
        ({"phq2.interest": "3", "phq2.down": "3"}, [("low_mood", "red")]),
        ({"phq2.interest": "3"}, []),
        ({"fatigue": 6, "pain": 6}, []),
        ({"how": "very_bad"}, [("feels_very_bad", "amber")]),
        ({"how": "bad"}, []),
        ({"fatigue": 7}, [("high_fatigue", "amber")]),
        ({"pain": 7}, [("high_pain", "amber")]),
        ({"pain": 10, "worse": "clearly"}, [("clearly_worse", "red"), ("high_pain", "amber")]),
        ({"worse.text": "Jeg orker ikke leve"}, [("crisis_words", "red")]),
    ],
)
@pytest.mark.parametrize(
    ("facts", "owner"),
    [
        (FOLLOWED_BY_ART, "art"),
        (FOLLOWED_AT_HOME, "municipal_rehab"),
        (NOT_FOLLOWED, "ward"),
        (ONLY_WARD, "ward"),
    ],
)
def test_what_concerns_the_person_goes_to_who_follows_them(
    answers: dict[str, Value | None], expected: list[tuple[str, str]], facts: CheckInFacts, owner: str
) -> None:
    assert summary(judge(answers, facts=facts)) == [(code, level, owner) for code, level in expected]


def test_the_persons_own_words_go_along() -> None:
    result = judge({"worse": "clearly", "worse.text": "Verre i hodet", "contact": True})
    assert {reason.code: reason.quote for reason in result.reasons} == {
        "wants_contact": None,
        "clearly_worse": "Verre i hodet",
    }
    assert judge({"fatigue": 8}).reasons[0].params == {"score": 8}


# --- the measures


@pytest.mark.parametrize(
    ("why", "owner"),
    [
        ("waiting_list", "municipal_rehab"),
        ("too_ill", "art"),
        ("no_transport", "coordinating_unit"),
        ("not_understood", "ward"),
        ("not_wanted", "ward"),
        ("other", "municipal_rehab"),
        (None, "municipal_rehab"),
    ],
)
def test_the_reason_decides_whose_task_it_is(why: str | None, owner: str) -> None:
    result = judge({"measure.m1.started": "not_yet", "measure.m1.why": why}, PHYSIO)
    assert summary(result) == [(f"not_started_{why or 'unsaid'}", "amber", owner)]
    assert result.reasons[0].measure_id == "m1"


@pytest.mark.parametrize(
    ("due_on", "code", "level"),
    [
        (date(2026, 11, 23), "nobody_contacted_overdue", "red"),
        (date(2026, 11, 24), "not_started_nobody_contacted", "amber"),
        (date(2026, 11, 25), "not_started_nobody_contacted", "amber"),
        (None, "not_started_nobody_contacted", "amber"),
    ],
)
@pytest.mark.parametrize(
    ("owner", "unit"),
    [
        ("municipality", "municipal_rehab"),
        ("art", "art"),
        ("hospital", "ward"),
        ("gp", "ward"),
        ("nav", "coordinating_unit"),
        ("patient", "ward"),
    ],
)
def test_nobody_has_contacted_me(due_on: date | None, code: str, level: str, owner: str, unit: str) -> None:
    answers: dict[str, Value | None] = {"measure.m1.started": "not_yet", "measure.m1.why": "nobody_contacted"}
    assert summary(judge(answers, MeasureFacts("m1", owner, due_on))) == [(code, level, unit)]


def test_where_there_is_no_municipal_rehab_the_coordinating_unit_has_it() -> None:
    answers: dict[str, Value | None] = {"measure.m1.started": "not_yet", "measure.m1.why": "nobody_contacted"}
    without = CheckInFacts(frozenset({"ward", "coordinating_unit"}))
    assert judge(answers, PHYSIO, facts=without).reasons[0].owner_kind == "coordinating_unit"
    assert judge(answers, PHYSIO, facts=ONLY_WARD).reasons[0].owner_kind == "ward"


@pytest.mark.parametrize(("due_on", "codes"), [(date(2026, 11, 23), ["measure_unknown"]), (TODAY, [])])
def test_not_knowing_is_a_task_only_after_the_due_date(due_on: date, codes: list[str]) -> None:
    result = judge({"measure.m1.started": "unknown"}, MeasureFacts("m1", "municipality", due_on))
    assert [reason.code for reason in result.reasons] == codes


def test_a_measure_that_has_started_needs_nobody() -> None:
    assert judge({"measure.m1.started": "yes", "measure.m1.why": "nobody_contacted"}, PHYSIO).level is None


def test_the_reason_in_own_words_is_quoted() -> None:
    answers: dict[str, Value | None] = {
        "measure.m1.started": "not_yet",
        "measure.m1.why": "other",
        "measure.m1.why.text": "Hunden er syk",
    }
    assert judge(answers, PHYSIO).reasons[0].quote == "Hunden er syk"


# --- wishes and silence


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"coordinator": "want"}, ("wants_coordinator", "amber", "coordinating_unit")),
        ({"individual_plan": "want"}, ("wants_individual_plan", "amber", "coordinating_unit")),
        ({"passport": "no"}, ("passport_wrong", "amber", "ward")),
    ],
)
def test_a_wish_is_a_task(answers: dict[str, Value | None], expected: tuple[str, str, str]) -> None:
    assert summary(judge(answers)) == [expected]


@pytest.mark.parametrize("said", ["have", "no_need", "unknown", "yes", "not_seen"])
def test_no_wish_is_no_task(said: str) -> None:
    assert judge({"coordinator": said, "individual_plan": said, "passport": said}).reasons == ()


# --- crisis words


@pytest.mark.parametrize(
    "said",
    [
        "jeg vil ikke leve",
        "JEG VIL IKKE LEVE!!!",
        "Alt er tungt. Jeg tenker på selvmord",
        "selvmordstanker hver natt",
        "Eg vil ikkje leve lenger",
        "I don't want to live anymore",
        "i dont want to live",
        "I feel suicidal",
        "vil  bare\nta livet av meg",
        "Jeg  orker   ikke mer",
        "kill-myself",
        # As it is written in distress.
        "jeg orker ikke lve lenger",
        "orker ikke lenger å leve",
        "selvmårdstanker",
        "vil døø",
        "vil doe",
        "selv mord",
        "i dont wanna live",
    ],
)
def test_crisis_words_are_found(said: str) -> None:
    assert crisis_quote(["noe annet", said], WORDS) == said


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Det går bra",
        "Jeg vil leve godt",
        "Livet er fint",
        "orker ikke gå tur",
        "vil døgnåpent tilbud",
        "vil ikke levere skjemaet",
        "orker ikke lese lenger",
        "det er ikke lett å leve med dette",
        "mormor døde i fjor",
        "I want to diet",
        "på en måte bedre",
    ],
)
def test_other_words_are_left_alone(said: str) -> None:
    assert crisis_quote([said], WORDS) is None


def test_every_crisis_word_finds_itself() -> None:
    assert [word for word in WORDS if crisis_quote([word.rstrip("*")], [word]) is None] == []


def test_codes_of_choices_are_not_free_text() -> None:
    assert triage(NOT_FOLLOWED, {"how": "død"}, [], TODAY, crisis_words=["død"]).reasons == ()


# --- promises


def at(text: str) -> datetime:
    local = datetime.fromisoformat(text)
    return to_utc(local.date(), local.time())


@pytest.mark.parametrize(
    ("level", "opened", "seen_by"),
    [
        ("red", "2026-11-24 10:07", "2026-11-24 15:00"),
        ("red", "2026-11-24 11:59", "2026-11-24 15:00"),
        ("red", "2026-11-24 12:00", "2026-11-25 15:00"),
        ("red", "2026-11-27 13:00", "2026-11-30 15:00"),
        ("red", "2026-11-28 09:00", "2026-11-30 15:00"),
        ("red", "2026-12-24 13:00", "2026-12-28 15:00"),
        ("amber", "2026-11-24 10:00", "2026-11-27 15:00"),
        ("amber", "2026-11-27 10:00", "2026-12-02 15:00"),
        ("amber", "2026-11-28 10:00", "2026-12-02 15:00"),
    ],
)
def test_by_when_a_human_has_seen_it(level: str, opened: str, seen_by: str) -> None:
    assert respond_by("red" if level == "red" else "amber", at(opened)) == at(seen_by)


@given(st.dates(date(2026, 1, 1), date(2029, 1, 1)), st.times())
def test_a_promise_is_later_on_a_working_day_and_red_is_not_after_amber(day: date, hour: time) -> None:
    opened = to_utc(day, hour)
    red, amber = respond_by("red", opened), respond_by("amber", opened)
    assert opened < red <= amber
    assert {to_local(red).time(), to_local(amber).time()} == {time(15)}
    assert is_working_day(to_local(red).date())
    assert is_working_day(to_local(amber).date())


any_answers = st.dictionaries(
    st.sampled_from(
        [
            *("how", "contact", "worse", "worse.text", "fatigue", "pain", "phq2.interest", "phq2.down"),
            *("fall.injury", "measure.m1.started", "measure.m1.why", "coordinator", "passport"),
        ]
    ),
    st.none()
    | st.booleans()
    | st.integers(0, 10)
    | st.sampled_from(["0", "3", "not_yet", "want", "clearly"]),
)


@given(any_answers, st.frozensets(st.sampled_from(sorted(EVERY_UNIT))))
def test_every_reason_has_an_owner_the_person_has_and_red_comes_first(
    answers: dict[str, Value | None], kinds: frozenset[str]
) -> None:
    answers = {
        key: value for key, value in answers.items() if not key.startswith("phq2") or value in ("0", "3")
    }
    result = judge(answers, PHYSIO, facts=CheckInFacts(kinds))
    assert all(reason.owner_kind in kinds | {"ward"} for reason in result.reasons)
    levels = [reason.level for reason in result.reasons]
    assert levels == sorted(levels, reverse=True)
    assert result.level == (levels[0] if levels else None)


# --- scores


@pytest.mark.parametrize(
    ("answers", "grade"),
    [
        ({}, None),
        ({"smrs.alone": True}, None),
        ({"smrs.alone": True, "smrs.everything": False}, 2),
        ({"smrs.alone": True, "smrs.everything": True}, None),
        ({"smrs.alone": True, "smrs.everything": True, "smrs.as_before": False}, 1),
        ({"smrs.alone": True, "smrs.everything": True, "smrs.as_before": True}, 0),
        ({"smrs.alone": False, "smrs.walk": True}, 3),
        ({"smrs.alone": False, "smrs.walk": False, "smrs.sit": True}, 4),
        ({"smrs.alone": False, "smrs.walk": False, "smrs.sit": False}, 5),
        ({"smrs.alone": False, "smrs.walk": False}, None),
    ],
)
def test_rankin(answers: dict[str, Value | None], grade: int | None) -> None:
    assert rankin(answers) == grade


def test_phq2_is_a_sum_of_two() -> None:
    assert phq2({"phq2.interest": "2", "phq2.down": "3"}) == 5
    assert phq2({"phq2.interest": "2", "phq2.down": None}) is None
