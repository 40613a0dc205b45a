"""What we give out of FHIR is what HL7 says R4 is: the questionnaires as they stand, and answers to every check-in."""

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from companion import library
from companion.exchange import questionnaire as reading
from companion.exchange.questionnaire_response import to_response
from companion.rules.questionnaire import BASE_URL, Item, Questionnaire, Value
from tests import r4

CONTENT = sorted((library.CONTENT / "questionnaires").glob("*.json"))
CHECK_INS = [
    template.questionnaire_key(check_in.day_offset)
    for template in library.plan_templates().values()
    for check_in in template.check_ins
]
# Inside a translation; everything else has an address.
PARTS_OF_A_TRANSLATION = {"lang", "content"}
EXTENSIONS = {
    reading.TRANSLATION,
    reading.MIN_VALUE,
    reading.MAX_VALUE,
    reading.ITEM_CONTROL,
    reading.ICON,
    reading.NEUTRAL,
    f"{BASE_URL}/StructureDefinition/draft-language",
}


def load(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def within(node: Any) -> Iterator[dict[str, Any]]:
    """Everything there is in a resource."""
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from within(inner)


@pytest.mark.parametrize("path", CONTENT, ids=lambda path: path.stem)
def test_a_questionnaire_is_r4(path: Path) -> None:
    resource = load(path)
    assert r4.problems(resource) == []
    used = {one["url"] for node in within(resource) for one in node.get("extension", ())}
    assert used <= EXTENSIONS | PARTS_OF_A_TRANSLATION


@pytest.mark.parametrize("key", CHECK_INS)
def test_answers_to_a_check_in_are_r4(key: str) -> None:
    asked = library.questionnaire(key)
    response = to_response(
        asked,
        dict(answers(asked.items)),
        authored=datetime(2026, 11, 10, 9, tzinfo=UTC),
        subject="Patient/8be9f7a0-0000-4000-8000-000000000000",
    )
    assert r4.problems(response) == []
    assert response["item"]


def answers(items: tuple[Item, ...]) -> Iterator[tuple[str, Value]]:
    """Something to every question."""
    for item in items:
        yield from answers(item.items)
        if item.type == "choice":
            yield item.link_id, item.options[0].code
        elif item.type != "group":
            given: dict[str, Value] = {"boolean": True, "integer": item.minimum or 0}
            yield item.link_id, given.get(item.type, "Det går fint.")


def test_what_a_check_in_asks_has_an_address_without_underscores() -> None:
    """Where it is given out under its own id, the address ends in it."""
    asked: list[Questionnaire] = [library.questionnaire(key) for key in CHECK_INS]
    assert "copd_heart-3" in {one.key for one in asked}, "stored check-ins are found by their key"
    assert not [one.url for one in asked if "_" in one.url]


def planted() -> Iterator[tuple[str, dict[str, Any]]]:
    """Sound questionnaires with one thing wrong, and answers."""
    sound = load(CONTENT[0])
    answered: dict[str, Any] = {"resourceType": "QuestionnaireResponse", "status": "completed"}
    for changes in (
        {"id": "under_score"},
        {"id": "x" * 65},
        {"url": "with a space"},
        {"status": "done"},
        {"status": None},
        {"surprise": 1},
        {"title": 7},
        {"date": "10.11.2026"},
        {"subjectType": "Patient"},
        {"item": [{"linkId": "a"}]},
        {"item": [{"type": "text"}]},
        {"item": [{"linkId": "a", "type": "long"}]},
        {"item": [{"linkId": "a", "type": "text", "answerOption": [{"value": "x"}]}]},
        {"item": [{"linkId": "a", "type": "text", "enableWhen": [{"question": "b"}]}]},
        {"item": [{"linkId": "a", "type": "text", "extension": [{"valueString": "x"}]}]},
    ):
        changed = {**deepcopy(sound), **changes}
        yield (
            f"Questionnaire {changes}",
            {name: value for name, value in changed.items() if value is not None},
        )
    for changes in (
        {"status": "finished"},
        {"authored": "yesterday"},
        {"item": [{"text": "no id"}]},
        {"item": [{"linkId": "a", "answer": [{"valueCodeable": "x"}]}]},
        {"item": [{"linkId": "a", "answer": [{"valueBoolean": "ja"}]}]},
    ):
        yield f"QuestionnaireResponse {changes}", {**answered, **changes}


@pytest.mark.parametrize("resource", [pytest.param(one, id=name) for name, one in planted()])
def test_the_check_finds_planted_defects(resource: dict[str, Any]) -> None:
    assert r4.problems(resource)
