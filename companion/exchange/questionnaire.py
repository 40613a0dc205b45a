"""FHIR R4 Questionnaires, read.

The part of R4 that is understood: groups and questions of type choice, boolean, integer, string and text; `enableWhen`
looking back at earlier questions; `required`, `maxLength`, the extensions minValue and maxValue; `answerOption.valueCoding`;
texts with the standard translation extension. A `display` item inside a question is a hint when it is marked with the
item control `help`, otherwise a notice to be shown with that question. Anything else is refused when it is read.
"""

from collections.abc import Mapping
from typing import Any, Final

from companion.rules.questionnaire import (
    BASE_URL,
    QUESTION_TYPES,
    BadQuestionnaire,
    Condition,
    Item,
    Option,
    Questionnaire,
    refuse_duplicates,
    refuse_forward_conditions,
)
from companion.rules.texts import SOURCE_LANGUAGE, Text

TRANSLATION: Final = "http://hl7.org/fhir/StructureDefinition/translation"
MIN_VALUE: Final = "http://hl7.org/fhir/StructureDefinition/minValue"
MAX_VALUE: Final = "http://hl7.org/fhir/StructureDefinition/maxValue"
ITEM_CONTROL: Final = "http://hl7.org/fhir/StructureDefinition/questionnaire-itemControl"
ICON: Final = f"{BASE_URL}/StructureDefinition/icon"
NEUTRAL: Final = f"{BASE_URL}/StructureDefinition/neutral"


def read_questionnaire(resource: Mapping[str, Any]) -> Questionnaire:
    """The resource as something to ask, or `BadQuestionnaire` saying what and where."""
    key = resource.get("id", "?")
    if resource.get("resourceType") != "Questionnaire":
        raise BadQuestionnaire(f"{key}: resourceType is not Questionnaire")
    try:
        questionnaire = Questionnaire(
            key=resource["id"],
            url=resource["url"],
            version=resource["version"],
            title=_read_text(resource, "title"),
            items=tuple(_read_item(item) for item in resource["item"]),
        )
    except KeyError as missing:
        raise BadQuestionnaire(f"{key}: {missing.args[0]} is missing") from missing
    refuse_duplicates(questionnaire.key, questionnaire.items)
    refuse_forward_conditions(questionnaire)
    return questionnaire


def _read_item(raw: Mapping[str, Any]) -> Item:
    link_id, kind = raw["linkId"], raw["type"]
    if kind not in (*QUESTION_TYPES, "group"):
        raise BadQuestionnaire(f"{link_id}: items of type {kind} are not understood")
    if kind == "choice" and not raw.get("answerOption"):
        raise BadQuestionnaire(f"{link_id}: a choice without answerOption")
    children = raw.get("item", [])
    displays = [child for child in children if child["type"] == "display"]
    inner = tuple(_read_item(child) for child in children if child["type"] != "display")
    if inner and kind != "group":
        raise BadQuestionnaire(f"{link_id}: questions inside a question are not understood")
    hints = {child["linkId"]: _read_text(child, "text") for child in displays if _is_help(child)}
    return Item(
        link_id=link_id,
        type=kind,
        text=_read_text(raw, "text"),
        required=raw.get("required", False),
        options=tuple(_read_option(option) for option in raw.get("answerOption", [])),
        conditions=tuple(_read_condition(link_id, condition) for condition in raw.get("enableWhen", [])),
        any_condition=raw.get("enableBehavior") == "any",
        minimum=_extension(raw, MIN_VALUE, "valueInteger"),
        maximum=_extension(raw, MAX_VALUE, "valueInteger"),
        max_length=raw.get("maxLength"),
        hint=hints.get(f"{link_id}.hint"),
        notices=tuple(_read_text(child, "text") for child in displays if not _is_help(child)),
        items=inner,
        neutral=bool(_extension(raw, NEUTRAL, "valueBoolean")),
        hints_by_owner={
            name.removeprefix(f"{link_id}.hint."): hint
            for name, hint in hints.items()
            if name.startswith(f"{link_id}.hint.")
        }
        or None,
    )


def _read_option(raw: Mapping[str, Any]) -> Option:
    coding = raw["valueCoding"]
    return Option(
        code=coding["code"],
        text=_read_text(coding, "display"),
        system=coding["system"],
        icon=_extension(raw, ICON, "valueCode"),
    )


def _read_condition(link_id: str, raw: Mapping[str, Any]) -> Condition:
    operator = raw["operator"]
    if operator not in ("exists", "=", "!=", ">", "<", ">=", "<="):
        raise BadQuestionnaire(f"{link_id}: enableWhen operator {operator} is not understood")
    for kind in ("answerBoolean", "answerInteger", "answerString"):
        if kind in raw:
            return Condition(raw["question"], operator, raw[kind])
    return Condition(raw["question"], operator, raw["answerCoding"]["code"])


def _read_text(holder: Mapping[str, Any], field: str) -> Text:
    said = {SOURCE_LANGUAGE: holder[field]}
    for extension in holder.get(f"_{field}", {}).get("extension", []):
        if extension["url"] == TRANSLATION:
            parts = {part["url"]: part for part in extension["extension"]}
            said[parts["lang"]["valueCode"]] = parts["content"]["valueString"]
    return Text(said)


def _extension(raw: Mapping[str, Any], url: str, value: str) -> Any:
    return next((extension[value] for extension in raw.get("extension", []) if extension["url"] == url), None)


def _is_help(raw: Mapping[str, Any]) -> bool:
    control = _extension(raw, ITEM_CONTROL, "valueCodeableConcept") or {"coding": []}
    return any(coding["code"] == "help" for coding in control["coding"])
