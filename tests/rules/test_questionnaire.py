"""The questionnaire engine: what is asked next, which answers do, and the FHIR that comes out."""

from copy import deepcopy
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion import library
from companion.exchange.questionnaire import read_questionnaire
from companion.exchange.questionnaire_response import to_response
from companion.rules.questionnaire import (
    AnswerProblem,
    BadQuestionnaire,
    Condition,
    Item,
    MeasureToAsk,
    Option,
    Questionnaire,
    Value,
    check_answer,
    counted_answers,
    first_unanswered,
    for_check_in,
    is_complete,
    next_question,
    previous_question,
    progress,
    visible_questions,
)
from companion.rules.texts import Text

NOW = datetime(2026, 11, 24, 9, 7, tzinfo=UTC)
PHYSIO = MeasureToAsk("m1", "Fysioterapi to ganger i uken", "municipality", "Tromsø kommune")
WALK = MeasureToAsk("m2", "Gå en tur hver dag", "patient", "Kari selv")


def asked(key: str = "stroke-14", *measures: MeasureToAsk) -> Questionnaire:
    return for_check_in(library.questionnaire(key), library.measure_questions(), measures)


def link_ids(questionnaire: Questionnaire, answers: dict[str, Value | None] | None = None) -> list[str]:
    return [item.link_id for item in visible_questions(questionnaire, answers or {})]


def one_question(**fields: Any) -> dict[str, Any]:
    return {
        "resourceType": "Questionnaire",
        "id": "q",
        "url": "https://folge.example/fhir/Questionnaire/q",
        "version": "1",
        "title": "Q",
        "status": "active",
        "item": [{"linkId": "a", "text": "Hvordan?", "type": "integer", **fields}],
    }


# --- what is asked


def test_a_stroke_check_in_asks_the_core_the_measures_and_the_group() -> None:
    assert link_ids(asked("stroke-14", PHYSIO, WALK)) == [
        "how",
        "measure.m1.started",
        "measure.m2.started",
        "fatigue",
        "fall",
        "stroke.speech",
        "stroke.reading",
        "stroke.vision",
        "phq2.interest",
        "phq2.down",
        "worse",
        "contact",
        "coordinator",
        "individual_plan",
    ]


def test_not_started_asks_why_and_other_asks_for_words() -> None:
    questionnaire = asked("general-7", PHYSIO, WALK)
    answers: dict[str, Value | None] = {"measure.m1.started": "not_yet"}
    assert link_ids(questionnaire, answers)[1:4] == [
        "measure.m1.started",
        "measure.m1.why",
        "measure.m2.started",
    ]
    answers["measure.m1.why"] = "other"
    assert "measure.m1.why.text" in link_ids(questionnaire, answers)
    answers["measure.m1.started"] = "yes"
    assert link_ids(questionnaire, answers)[1:3] == ["measure.m1.started", "measure.m2.started"]


def test_a_measure_is_asked_about_in_the_words_staff_wrote() -> None:
    item = asked("general-7", PHYSIO).question("measure.m1.started")
    assert item.text.in_("nb") == "Har du kommet i gang med «Fysioterapi to ganger i uken»?"
    assert item.text.in_("en") == "Have you started with “Fysioterapi to ganger i uken”?"
    assert item.hint is not None
    assert item.hint.in_("nb") == "Tromsø kommune skulle kontakte deg om dette."


def test_without_a_name_nothing_is_said_of_the_owner() -> None:
    nameless = [MeasureToAsk("m1", "Gange", "art", ""), MeasureToAsk("m2", "Tur", "patient", "")]
    questionnaire = asked("general-7", *nameless)
    assert questionnaire.question("measure.m1.started").hint is None
    assert questionnaire.question("measure.m2.started").hint is not None


@pytest.mark.parametrize("title", ["{owner}", "{", "}{title}", "100 % {0}", "a\\b", "<b>"])
def test_braces_in_a_title_are_only_braces(title: str) -> None:
    item = asked("general-7", MeasureToAsk("m1", title, "gp", "Fastlegen")).question("measure.m1.started")
    assert item.text.in_("nb") == f"Har du kommet i gang med «{title}»?"


def test_the_way_back_and_forth() -> None:
    questionnaire = asked("general-7", PHYSIO)
    answers: dict[str, Value | None] = {"how": "good", "measure.m1.started": "not_yet"}
    first = next_question(questionnaire, answers, None)
    assert first is not None
    assert first.link_id == "how"
    after = next_question(questionnaire, answers, "measure.m1.started")
    assert after is not None
    assert after.link_id == "measure.m1.why"
    before = previous_question(questionnaire, answers, "measure.m1.why")
    assert before is not None
    assert before.link_id == "measure.m1.started"
    assert previous_question(questionnaire, answers, "how") is None
    assert next_question(questionnaire, answers, "contact") is None
    assert progress(questionnaire, answers, "measure.m1.why") == (3, 5)


def test_from_a_question_that_was_hidden_meanwhile_the_way_still_leads_on() -> None:
    questionnaire = asked("general-7", PHYSIO)
    answers: dict[str, Value | None] = {"measure.m1.started": "yes"}
    following = next_question(questionnaire, answers, "measure.m1.why")
    assert following is not None
    assert following.link_id == "worse"


def test_coming_back_goes_on_at_the_first_that_was_not_seen() -> None:
    questionnaire = asked("general-7")
    answers: dict[str, Value | None] = {"how": "bad", "worse": "a_little", "worse.text": None}
    following = first_unanswered(questionnaire, answers)
    assert following is not None
    assert following.link_id == "contact"
    answers["contact"] = False
    assert first_unanswered(questionnaire, answers) is None
    assert is_complete(questionnaire, answers)
    assert not is_complete(questionnaire, {**answers, "how": None})


def test_answers_to_hidden_questions_do_not_count() -> None:
    questionnaire = asked("frail-2")
    answers: dict[str, Value | None] = {
        "fall": False,
        "fall.injury": True,
        "worse": "no",
        "worse.text": "hodet",
    }
    assert counted_answers(questionnaire, answers) == {"fall": False, "worse": "no"}


def test_clearly_worse_shows_whom_to_call_at_once() -> None:
    questionnaire = asked("general-7")
    following = next_question(questionnaire, {"worse": "clearly"}, "worse")
    assert following is not None
    assert following.link_id == "worse.text"
    for language in ("nb", "nn", "en"):
        shown = " ".join(notice.in_(language) for notice in following.notices)
        assert "116 117" in shown
        assert "113" in shown


@pytest.mark.parametrize(
    ("operator", "expected", "given", "met"),
    [
        ("=", 3, 3, True),
        ("=", 3, 4, False),
        ("=", 3, None, False),
        ("!=", 3, 4, True),
        ("!=", 3, 3, False),
        ("!=", 3, None, False),
        (">", 3, 4, True),
        (">", 3, 3, False),
        ("<", 3, 2, True),
        ("<", 3, 3, False),
        (">=", 3, 3, True),
        (">=", 3, 2, False),
        ("<=", 3, 3, True),
        ("<=", 3, 4, False),
        ("exists", True, 0, True),
        ("exists", True, None, False),
        ("exists", False, None, True),
        ("exists", False, 0, False),
        (">", 3, "4", False),
    ],
)
def test_every_operator(operator: str, expected: Value, given: Value | None, met: bool) -> None:
    said = Text({"nb": "?"})
    questionnaire = Questionnaire(
        "q",
        "u",
        "1",
        said,
        (
            Item("a", "integer", said),
            Item("b", "text", said, conditions=(Condition("a", operator, expected),)),
        ),
    )
    assert ("b" in link_ids(questionnaire, {"a": given})) is met


@pytest.mark.parametrize(("any_condition", "shown"), [(True, True), (False, False)])
def test_any_or_all_conditions(any_condition: bool, shown: bool) -> None:
    said = Text({"nb": "?"})
    conditions = (Condition("a", "=", 1), Condition("a", "=", 2))
    group = Item(
        "g",
        "group",
        said,
        conditions=conditions,
        any_condition=any_condition,
        items=(Item("b", "text", said),),
    )
    questionnaire = Questionnaire("q", "u", "1", said, (Item("a", "integer", said), group))
    assert ("b" in link_ids(questionnaire, {"a": 2})) is shown


# --- answers

SAID = Text({"nb": "?"})
NUMBER = Item("n", "integer", SAID, required=True, minimum=0, maximum=10)
CHOICE = Item("c", "choice", SAID, options=(Option("yes", SAID, "s"), Option("no", SAID, "s")))
TRUTH = Item("b", "boolean", SAID)
WORDS = Item("t", "text", SAID, max_length=10)


@pytest.mark.parametrize(
    ("item", "raw", "value"),
    [
        (NUMBER, "7", 7),
        (NUMBER, " 0 ", 0),
        (NUMBER, "10", 10),
        (CHOICE, "yes", "yes"),
        (CHOICE, "", None),
        (TRUTH, "true", True),
        (TRUTH, "false", False),
        (WORDS, "  vondt i\r\nå ", "vondt i\nå"),
        (WORDS, "   ", None),
        (WORDS, "a\x00b\x1bc", "a b c"),
        (WORDS, "😀" * 10, "😀" * 10),
        (WORDS, "<b>", "<b>"),
    ],
)
def test_answers_that_do(item: Item, raw: str, value: Value | None) -> None:
    assert check_answer(item, raw) == value


@pytest.mark.parametrize(
    ("item", "raw", "code", "params"),
    [
        (NUMBER, "", "required", {}),
        (NUMBER, "\x00", "required", {}),
        (NUMBER, "syv", "not_a_number", {}),
        (NUMBER, "7.5", "not_a_number", {}),
        (NUMBER, "٧", "not_a_number", {}),
        (NUMBER, "9" * 5000, "not_a_number", {}),
        (NUMBER, "-1", "too_small", {"minimum": 0}),
        (NUMBER, "11", "too_large", {"maximum": 10}),
        (CHOICE, "maybe", "not_an_option", {}),
        (TRUTH, "ja", "not_an_option", {}),
        (WORDS, "x" * 11, "too_long", {"maximum": 10}),
    ],
)
def test_answers_that_do_not(item: Item, raw: str, code: str, params: dict[str, int]) -> None:
    with pytest.raises(AnswerProblem) as refused:
        check_answer(item, raw)
    assert (refused.value.code, refused.value.params) == (code, params)


def outcome(item: Item, raw: str) -> Value | None:
    try:
        return check_answer(item, raw)
    except AnswerProblem as refused:
        return refused.code


@given(st.sampled_from([NUMBER, CHOICE, TRUTH, WORDS]), st.text(max_size=40))
def test_any_text_is_a_value_or_a_problem(item: Item, raw: str) -> None:
    value = outcome(item, raw)
    assert not isinstance(value, str) or value.encode("utf-8").strip()


# --- FHIR out


def test_the_response_holds_what_counts_in_the_language_asked() -> None:
    answers: dict[str, Value | None] = {
        "how": "bad",
        "measure.m1.started": "not_yet",
        "measure.m1.why": "nobody_contacted",
        "pain": 8,
        "worse": "no",
        "worse.text": "hodet",
        "contact": True,
        "contact.text": "Beinet",
    }
    response = to_response(
        asked("musculoskeletal-7", PHYSIO), answers, authored=NOW, subject="Patient/1", language="en"
    )
    assert response["resourceType"] == "QuestionnaireResponse"
    assert response["status"] == "completed"
    assert response["authored"] == "2026-11-24T09:07:00+00:00"
    assert response["subject"] == {"reference": "Patient/1"}
    assert response["questionnaire"].startswith("https://folge.example/fhir/Questionnaire/musculoskeletal-7|")
    items = {item["linkId"]: item for item in response["item"]}
    assert list(items) == ["how", "measures", "pain", "worse", "contact", "contact.text"]
    assert items["how"]["answer"] == [
        {
            "valueCoding": {
                "system": "https://folge.example/fhir/CodeSystem/how",
                "code": "bad",
                "display": "Not well",
            }
        }
    ]
    assert [inner["linkId"] for inner in items["measures"]["item"]] == [
        "measure.m1.started",
        "measure.m1.why",
    ]
    assert items["pain"]["answer"] == [{"valueInteger": 8}]
    assert items["contact"]["answer"] == [{"valueBoolean": True}]
    assert items["contact.text"]["answer"] == [{"valueString": "Beinet"}]


def test_an_unfinished_response_says_so_and_empty_groups_are_left_out() -> None:
    response = to_response(asked("general-7", PHYSIO), {"how": "ok"}, authored=NOW, completed=False)
    assert response["status"] == "in-progress"
    assert [item["linkId"] for item in response["item"]] == ["how"]
    assert "item" not in to_response(asked("general-7"), {}, authored=NOW)


answer_sets = st.dictionaries(
    st.sampled_from(
        [item.link_id for item in visible_questions(asked("stroke-90", PHYSIO), {})]
        + ["measure.m1.why", "measure.m1.why.text", "fall.injury", "worse.text", "contact.text", "smrs.walk"]
    ),
    st.none()
    | st.booleans()
    | st.integers(0, 10)
    | st.sampled_from(["yes", "not_yet", "other", "clearly", "no"]),
)


@given(answer_sets)
def test_walking_forward_meets_every_visible_question_once(answers: dict[str, Value | None]) -> None:
    questionnaire = asked("stroke-90", PHYSIO)
    walked: list[str] = []
    item = next_question(questionnaire, answers, None)
    while item is not None:
        walked.append(item.link_id)
        item = next_question(questionnaire, answers, item.link_id)
    assert walked == link_ids(questionnaire, answers)
    for earlier, later in pairwise(walked):
        before = previous_question(questionnaire, answers, later)
        assert before is not None
        assert before.link_id == earlier


# --- FHIR in


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"type": "attachment"}, "attachment"),
        ({"type": "choice"}, "answerOption"),
        ({"enableWhen": [{"question": "b", "operator": "=", "answerInteger": 1}]}, "not asked before"),
        ({"enableWhen": [{"question": "a", "operator": "~", "answerInteger": 1}]}, "operator"),
        ({"item": [{"linkId": "b", "text": "?", "type": "text"}]}, "inside a question"),
    ],
)
def test_what_we_cannot_ask_is_refused_with_the_place(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(BadQuestionnaire, match=said):
        read_questionnaire(one_question(**fields))


@pytest.mark.parametrize("field", ["url", "version", "title", "item"])
def test_a_missing_field_is_named(field: str) -> None:
    resource = one_question()
    del resource[field]
    with pytest.raises(BadQuestionnaire, match=field):
        read_questionnaire(resource)


def test_the_same_link_id_twice_is_refused() -> None:
    resource = one_question()
    resource["item"].append(deepcopy(resource["item"][0]))
    with pytest.raises(BadQuestionnaire, match="twice"):
        read_questionnaire(resource)


def test_another_resource_is_refused() -> None:
    with pytest.raises(BadQuestionnaire, match="resourceType"):
        read_questionnaire({**one_question(), "resourceType": "Patient"})
