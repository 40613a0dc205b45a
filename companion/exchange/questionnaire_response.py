"""FHIR R4 QuestionnaireResponses, written."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from companion.rules.questionnaire import Answers, Item, Questionnaire, Value, counted_answers
from companion.rules.texts import SOURCE_LANGUAGE


def to_response(
    questionnaire: Questionnaire,
    answers: Answers,
    *,
    authored: datetime,
    completed: bool = True,
    subject: str | None = None,
    source: str | None = None,
    author: str | None = None,
    language: str = SOURCE_LANGUAGE,
) -> dict[str, Any]:
    """A FHIR R4 QuestionnaireResponse with the answers that count, texts in the language they were asked in.

    `subject`, `source` (who answered) and `author` (who wrote it down) are FHIR references such as `Patient/…`.
    """
    response: dict[str, Any] = {
        "resourceType": "QuestionnaireResponse",
        "language": language,
        "questionnaire": f"{questionnaire.url}|{questionnaire.version}",
        "status": "completed" if completed else "in-progress",
        "authored": authored.isoformat(),
    }
    if subject:
        response["subject"] = {"reference": subject}
    if source:
        response["source"] = {"reference": source}
    if author:
        response["author"] = {"reference": author}
    items = _response_items(questionnaire.items, counted_answers(questionnaire, answers), language)
    if items:
        response["item"] = items
    return response


def _response_items(
    items: Sequence[Item], counted: Mapping[str, Value], language: str
) -> list[dict[str, Any]]:
    entries = []
    for item in items:
        entry: dict[str, Any] = {"linkId": item.link_id, "text": item.text.in_(language)}
        if item.type == "group":
            if inner := _response_items(item.items, counted, language):
                entries.append(entry | {"item": inner})
        elif item.link_id in counted:
            entries.append(entry | {"answer": [_response_answer(item, counted[item.link_id], language)]})
    return entries


def _response_answer(item: Item, value: Value, language: str) -> dict[str, Any]:
    if item.type == "choice":
        option = item.option(str(value))
        if option is None:  # the card was taken away after it was chosen
            return {"valueCoding": {"code": value}}
        return {
            "valueCoding": {
                "system": option.system,
                "code": option.code,
                "display": option.text.in_(language),
            }
        }
    kind = {"boolean": "valueBoolean", "integer": "valueInteger"}.get(item.type, "valueString")
    return {kind: value}
