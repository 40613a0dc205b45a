"""The content as the code sees it: plan templates, questionnaires, municipalities, telephones; read once, checked when read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from companion.errors import Misconfigured
from companion.exchange.questionnaire import read_questionnaire
from companion.rules.cadence import PlanTemplate, TemplateCheckIn
from companion.rules.questionnaire import BadQuestionnaire, Questionnaire, assemble
from companion.rules.texts import COMPLETE_LANGUAGES, Text

CONTENT = Path(__file__).parent / "content"
TEMPLATE_KEYS = (
    "stroke",
    "tbi",
    "cognitive",
    "cancer",
    "neuro",
    "mecfs",
    "musculoskeletal",
    "frail",
    "copd_heart",
    "amputation",
    "general",
)
MEASURE_QUESTIONS = "measure"


@dataclass(frozen=True)
class Trust:
    """A health trust of Northern Norway."""

    key: str
    name: str
    sami_name: str | None
    short_name: str


@dataclass(frozen=True)
class MunicipalityFacts:
    """A municipality as on the map of 2024. `trust` is empty outside Northern Norway.

    `sami_language`: it lies in the administrative area of that language.
    """

    number: str
    name: str
    sami_name: str | None
    county: str
    trust: str
    sami_language: str | None = None
    kven_name: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Its names in all its official languages."""
        return tuple(name for name in (self.name, self.sami_name, self.kven_name) if name)


@dataclass(frozen=True)
class Phone:
    """A national telephone number: `number` to call, `shown` to read."""

    key: str
    number: str
    shown: str
    name: Text
    when: Text


@cache
def plan_templates() -> Mapping[str, PlanTemplate]:
    """All plan templates by key, in the order of `FIELD.md`."""
    return MappingProxyType({key: _read_template(key) for key in TEMPLATE_KEYS})


def plan_template(key: str) -> PlanTemplate:
    """One plan template; KeyError when there is none of that name."""
    return plan_templates()[key]


@cache
def questionnaire_part(key: str) -> Questionnaire:
    """A part as it stands in its file, such as `mood` or `measure`; KeyError when there is none."""
    if key not in _part_keys():
        raise KeyError(key)
    try:
        return read_questionnaire(_load(Path("questionnaires") / f"{key}.json"))
    except BadQuestionnaire as problem:
        raise Misconfigured(f"content/questionnaires/{key}.json: {problem}") from problem


@cache
def questionnaire(key: str) -> Questionnaire:
    """What a check-in asks, by the key the plan gave it (`stroke-90`); the measures are put in by `for_check_in`."""
    template_key, _, day = key.rpartition("-")
    template = plan_template(template_key)
    for check_in in template.check_ins:
        if str(check_in.day_offset) == day:
            return assemble(key, Text(template.name), [questionnaire_part(part) for part in check_in.parts])
    raise KeyError(key)


def measure_questions() -> Questionnaire:
    """The questions asked about each open measure."""
    return questionnaire_part(MEASURE_QUESTIONS)


def check_in_label(template_key: str, day_offset: int) -> Text | None:
    """The name of that check-in, such as "trimånederskontroll"; None for most."""
    for check_in in plan_template(template_key).check_ins:
        if check_in.day_offset == day_offset and check_in.label:
            return Text(check_in.label)
    return None


@cache
def municipalities() -> Mapping[str, MunicipalityFacts]:
    """All municipalities of Norway, and Svalbard, by number."""
    rows = _load(Path("municipalities.json"))["municipalities"]
    found = {row["number"]: MunicipalityFacts(**row) for row in rows}
    unknown = sorted({one.trust for one in found.values() if one.trust} - trusts().keys())
    if unknown or len(found) != len(rows):
        raise Misconfigured(f"content/municipalities.json: unknown trusts {unknown}, or a number twice")
    return MappingProxyType(found)


@cache
def former_municipalities() -> Mapping[str, tuple[str, ...]]:
    """Numbers of earlier maps, each with those that its people live in now: more than one where it was divided."""
    numbers = _load(Path("former_municipalities.json"))["numbers"]
    if wrong := {one for now in numbers.values() for one in now} - municipalities().keys():
        raise Misconfigured(f"content/former_municipalities.json: unknown numbers {sorted(wrong)}")
    return MappingProxyType({number: tuple(now) for number, now in numbers.items()})


@cache
def trusts() -> Mapping[str, Trust]:
    """The four health trusts by key."""
    rows = _load(Path("municipalities.json"))["trusts"]
    return MappingProxyType({row["key"]: Trust(**{"short_name": row["name"], **row}) for row in rows})


@cache
def phones() -> Mapping[str, Phone]:
    """The national numbers: `rehabilitation` (800 300 61), `urgent` (116 117), `emergency` (113)."""
    rows = _load(Path("phones.json"))
    read = (Phone(**{**row, "name": Text(row["name"]), "when": Text(row["when"])}) for row in rows)
    return MappingProxyType({phone.key: phone for phone in read})


@cache
def crisis_words() -> tuple[str, ...]:
    """Words in free text that must reach a human at once, of all languages together: people mix them."""
    return _words("crisis_words.json")


@cache
def grave_words() -> tuple[str, ...]:
    """Words in a message that a human must read soon, of all languages together: a fall, breath, blood, a new stroke."""
    return _words("grave_words.json")


def _words(name: str) -> tuple[str, ...]:
    lists = _load(Path(name))["words"]
    return tuple(word for language in lists for word in lists[language])


def check_content() -> None:
    """Reads everything once; `Misconfigured` names the file and what is wrong with it."""
    for template in plan_templates().values():
        for check_in in template.check_ins:
            questionnaire(template.questionnaire_key(check_in.day_offset))
    measure_questions()
    former_municipalities()
    phones()
    crisis_words()
    grave_words()


def _part_keys() -> frozenset[str]:
    return frozenset(path.stem for path in (CONTENT / "questionnaires").glob("*.json"))


def _load(path: Path) -> Any:
    try:
        return json.loads((CONTENT / path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise Misconfigured(f"content/{path}: {problem}") from problem


def _read_template(key: str) -> PlanTemplate:
    raw = _load(Path("plan_templates") / f"{key}.json")
    try:
        template = PlanTemplate(
            key=raw["key"],
            name=raw["name"],
            hour=time.fromisoformat(raw["hour"]),
            remind_after_hours=raw["remind_after_hours"],
            give_up_after_hours=raw["give_up_after_hours"],
            days_between_messages=raw["days_between_messages"],
            check_ins=tuple(
                TemplateCheckIn(entry["day"], tuple(entry["asks"]), entry.get("label", {}))
                for entry in raw["check_ins"]
            ),
            what_to_expect=raw["what_to_expect"],
        )
    except (KeyError, ValueError) as problem:
        raise Misconfigured(f"content/plan_templates/{key}.json: {problem!r}") from problem
    if problems := template_problems(key, template):
        raise Misconfigured(f"content/plan_templates/{key}.json: {'; '.join(problems)}")
    return template


def template_problems(key: str, template: PlanTemplate) -> list[str]:
    """What would keep a template from being used, in sentences; empty when it will do."""
    problems = []
    if template.key != key:
        problems.append(f"is called {template.key}")
    days = [check_in.day_offset for check_in in template.check_ins]
    if not days or days != sorted(set(days)) or days[0] < 1:
        problems.append("days must rise and start after the discharge")
    if unknown := {part for one in template.check_ins for part in one.parts} - _part_keys():
        problems.append(f"unknown questionnaires {sorted(unknown)}")
    if missing := set(COMPLETE_LANGUAGES) - template.name.keys():
        problems.append(f"no name in {sorted(missing)}")
    if template.remind_after_hours < 24 * template.days_between_messages:
        problems.append("the reminder comes sooner than days_between_messages allows")
    return problems
