"""The content: FIELD.md's days, FHIR R4's structure, every language, plain words."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from companion import library
from companion.errors import Misconfigured
from companion.rules.cadence import TemplateCheckIn
from companion.rules.questionnaire import MEASURES_GROUP, Item, visible_questions
from companion.rules.texts import COMPLETE_LANGUAGES, LANGUAGES, Text

QUESTIONNAIRES = sorted((library.CONTENT / "questionnaires").glob("*.json"))
TEMPLATES = sorted((library.CONTENT / "plan_templates").glob("*.json"))
OFFSETS = {
    "stroke": [3, 14, 30, 90, 180, 365],
    "tbi": [3, 14, 42, 90, 180, 365],
    "cognitive": [7, 30, 90, 180],
    "cancer": [7, 30, 90, 180],
    "neuro": [14, 60, 180, 365],
    "mecfs": [14, 60, 120],
    "musculoskeletal": [7, 30, 90],
    "frail": [2, 7, 30, 90],
    "copd_heart": [3, 14, 30, 90],
    "amputation": [3, 14, 42, 90, 180],
    "general": [7, 30, 90],
}
ASKED = {
    "stroke": ["phq2.down", "fatigue", "stroke.speech", "stroke.reading", "fall", "stroke.vision"],
    "tbi": ["tbi.headache", "tbi.memory", "fatigue", "tbi.senses", "tbi.sight", "tbi.work", "tbi.late"],
    "cognitive": ["cognitive.daily", "cognitive.driving", "cognitive.relatives"],
    "cancer": ["fatigue", "cancer.swelling", "cancer.work", "cancer.worry"],
    "neuro": ["neuro.walking", "fall", "neuro.hands", "fatigue"],
    "mecfs": ["mecfs.drains.text", "mecfs.helps.text"],
    "musculoskeletal": [
        "pain",
        "musculoskeletal.sleep",
        "musculoskeletal.activity",
        "musculoskeletal.work",
    ],
    "frail": ["fall", "frail.walking", "frail.eating", "frail.help"],
    "copd_heart": ["copd_heart.breath", "copd_heart.training", "copd_heart.weight"],
    "amputation": ["amputation.wound", "amputation.prosthesis", "pain", "phq2.interest"],
    "general": [],
}
CHECK_INS = [(key, day) for key, days in OFFSETS.items() for day in days]


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def questions(key: str, day: int) -> list[str]:
    return [item.link_id for item in visible_questions(library.questionnaire(f"{key}-{day}"), {})]


# --- plans


def test_the_days_are_those_of_the_field() -> None:
    found = {
        key: [one.day_offset for one in template.check_ins]
        for key, template in library.plan_templates().items()
    }
    assert found == OFFSETS
    assert list(found) == list(OFFSETS)


def test_everything_loads() -> None:
    library.check_content()


@pytest.mark.parametrize(("key", "day"), CHECK_INS)
def test_every_check_in_asks_the_common_core(key: str, day: int) -> None:
    asked = questions(key, day)
    assert asked[0] == "how"
    assert {"worse", "contact"} <= set(asked)
    assert ("passport" in asked) == (day >= 30)
    assert any(item.link_id == MEASURES_GROUP for item in library.questionnaire(f"{key}-{day}").items)
    assert ("smrs.alone" in asked) == ((key, day) == ("stroke", 90))


@pytest.mark.parametrize("key", OFFSETS)
def test_every_group_is_asked_about_what_the_field_names(key: str) -> None:
    asked = {link_id for day in OFFSETS[key] for link_id in questions(key, day)}
    assert set(ASKED[key]) <= asked


@pytest.mark.parametrize("key", OFFSETS)
def test_the_wish_for_a_coordinator_is_asked_once_and_early(key: str) -> None:
    days = [day for day in OFFSETS[key] if "coordinator" in questions(key, day)]
    assert len(days) == 1
    assert 14 <= days[0] <= 30


def test_me_cfs_is_short_and_rare() -> None:
    assert all(len(questions("mecfs", day)) <= 7 for day in OFFSETS["mecfs"])
    assert library.plan_template("mecfs").remind_after_hours == 7 * 24


def test_the_control_after_stroke_has_its_name() -> None:
    label = library.check_in_label("stroke", 90)
    assert label is not None
    assert label.in_("nb") == "trimånederskontroll"
    assert library.check_in_label("stroke", 30) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": "tbi"}, "is called tbi"),
        ({"check_ins": ()}, "days must rise"),
        ({"check_ins": (TemplateCheckIn(7, ()), TemplateCheckIn(7, ()))}, "days must rise"),
        ({"check_ins": (TemplateCheckIn(0, ()),)}, "days must rise"),
        (
            {"check_ins": (TemplateCheckIn(7, ("how", "unheard_of")),)},
            r"unknown questionnaires \['unheard_of'\]",
        ),
        ({"name": {"nb": "Hjerneslag"}}, r"no name in \['en', 'nn'\]"),
        ({"days_between_messages": 7}, "reminder comes sooner"),
    ],
)
def test_a_template_that_will_not_do_is_named_with_what_is_wrong(changes: dict[str, Any], said: str) -> None:
    template = replace(library.plan_template("stroke"), **changes)
    assert any(re.search(said, problem) for problem in library.template_problems("stroke", template))
    assert library.template_problems("stroke", library.plan_template("stroke")) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_plan_texts_stand_in_every_complete_language(path: Path) -> None:
    raw = load(path)
    for texts in [
        raw["name"],
        raw["what_to_expect"],
        *(c["label"] for c in raw["check_ins"] if "label" in c),
    ]:
        assert set(COMPLETE_LANGUAGES) <= texts.keys() <= set(LANGUAGES)
        assert all(said.strip() == said != "" for said in texts.values())


@pytest.mark.parametrize("key", ["stroke", "stroke-4", "-3", "nothing-7", "stroke-90 "])
def test_an_unknown_questionnaire_is_a_key_error(key: str) -> None:
    with pytest.raises(KeyError):
        library.questionnaire(key)


@pytest.mark.parametrize("key", ["nothing", "../phones", ""])
def test_an_unknown_part_or_template_is_a_key_error(key: str) -> None:
    with pytest.raises(KeyError):
        library.questionnaire_part(key)
    with pytest.raises(KeyError):
        library.plan_template(key)


# --- FHIR R4


def items_of(raw: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in raw.get("item", []):
        yield item
        yield from items_of(item)


ITEM_FIELDS = {
    "linkId", "extension", "text", "_text", "type", "enableWhen", "enableBehavior", "required",
    "maxLength", "answerOption", "item",
}  # fmt: skip
ROOT_FIELDS = {
    "resourceType", "id", "extension", "language", "url", "version", "name", "title", "_title", "status",
    "subjectType", "publisher", "item",
}  # fmt: skip


def extension_problems(extensions: list[dict[str, Any]]) -> Iterator[str]:
    for extension in extensions:
        values = [field for field in extension if field.startswith("value")]
        if not re.fullmatch(r"https?://[^\s]+|lang|content", extension.get("url", "")):
            yield "extension without a url"
        if len(values) + ("extension" in extension) != 1:
            yield f"{extension.get('url')}: either one value or extensions (ext-1)"
        yield from extension_problems(extension.get("extension", []))


def structure_problems(raw: dict[str, Any]) -> Iterator[str]:
    """R4's structure and invariants que-0 to que-12 as far as they touch what we use."""
    if raw.get("resourceType") != "Questionnaire" or raw.get("status") not in ("draft", "active", "retired"):
        yield "resourceType or status"
    if not re.fullmatch(r"[A-Z][A-Za-z0-9_]{0,254}", raw.get("name", "")):
        yield "que-0: name"
    if unknown := raw.keys() - ROOT_FIELDS:
        yield f"fields {unknown}"
    yield from extension_problems(raw.get("extension", []))
    ids = [item["linkId"] for item in items_of(raw)]
    if len(ids) != len(set(ids)):
        yield "que-2: linkId twice"
    for item in items_of(raw):
        yield from (f"{item['linkId']}: {said}" for said in item_problems(item, ids))


def item_problems(item: dict[str, Any], ids: list[str]) -> Iterator[str]:
    kind = item["type"]
    if unknown := item.keys() - ITEM_FIELDS:
        yield f"fields {unknown}"
    if kind not in ("group", "display", "boolean", "integer", "string", "text", "choice"):
        yield f"type {kind}"
    if kind == "display" and ("item" in item or "required" in item):
        yield "que-1, que-6: display with items or required"
    if "answerOption" in item and kind != "choice":
        yield "que-5: answerOption"
    if "maxLength" in item and kind not in ("string", "text", "boolean", "integer"):
        yield "que-10: maxLength"
    conditions = item.get("enableWhen", [])
    if len(conditions) > 1 and "enableBehavior" not in item:
        yield "que-12: enableBehavior"
    for condition in conditions:
        answers = [field for field in condition if field.startswith("answer")]
        if len(answers) != 1 or condition["question"] not in ids:
            yield "enableWhen"
        if condition["operator"] == "exists" and "answerBoolean" not in condition:
            yield "que-7: exists"
    codes = [option["valueCoding"]["code"] for option in item.get("answerOption", [])]
    if len(codes) != len(set(codes)) or not all(re.fullmatch(r"[^\s]+", code) for code in codes):
        yield "codes"
    for holder in [item, *item.get("answerOption", [])]:
        yield from extension_problems(holder.get("extension", []))
    for holder in [
        item.get("_text", {}),
        *(o["valueCoding"]["_display"] for o in item.get("answerOption", [])),
    ]:
        yield from extension_problems(holder.get("extension", []))


@pytest.mark.parametrize("path", QUESTIONNAIRES, ids=lambda path: path.stem)
def test_questionnaires_are_fhir_r4(path: Path) -> None:
    raw = load(path)
    assert list(structure_problems(raw)) == []
    assert raw["id"] == path.stem
    assert raw["url"] == f"https://folge.example/fhir/Questionnaire/{path.stem}"


def broken(**changes: Any) -> dict[str, Any]:
    return {**load(library.CONTENT / "questionnaires/mood.json"), **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "done"},
        {"name": "a b"},
        {"surprise": 1},
        {"extension": [{"url": "https://a"}]},
        {"item": [{"linkId": "a", "type": "open-choice"}]},
        {"item": [{"linkId": "a", "type": "text"}, {"linkId": "a", "type": "text"}]},
        {"item": [{"linkId": "a", "type": "display", "required": True}]},
        {"item": [{"linkId": "a", "type": "text", "enableWhen": [{"question": "b", "operator": "="}]}]},
    ],
)
def test_the_check_of_structure_finds_planted_defects(changes: dict[str, Any]) -> None:
    assert list(structure_problems(broken(**changes)))


# --- languages and words


def texts_of(items: tuple[Item, ...]) -> Iterator[Text]:
    for item in items:
        yield item.text
        yield from (option.text for option in item.options)
        yield from (hint for hint in [item.hint, *(item.hints_by_owner or {}).values()] if hint)
        yield from item.notices
        yield from texts_of(item.items)


PARTS = [library.questionnaire_part(path.stem) for path in QUESTIONNAIRES]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.key)
def test_every_sentence_stands_in_every_complete_language(part: Any) -> None:
    for text in [part.title, *texts_of(part.items)]:
        assert set(COMPLETE_LANGUAGES) <= text.by_language.keys() <= set(LANGUAGES), text
        assert all(said.strip() == said != "" for said in text.by_language.values())
        assert len({frozenset(re.findall(r"\{\w+\}", said)) for said in text.by_language.values()}) == 1, text


def test_sami_is_marked_as_draft_wherever_it_stands() -> None:
    for path in QUESTIONNAIRES:
        raw = path.read_text(encoding="utf-8")
        marks = raw.count("/StructureDefinition/draft-language")
        assert marks == (raw.count('"valueCode": "se"') > marks), path


def test_every_owner_of_a_measure_has_a_sentence() -> None:
    hints = library.measure_questions().question("measure.started").hints_by_owner
    assert hints is not None
    assert set(hints) == {"hospital", "art", "municipality", "gp", "nav", "patient"}


def test_free_text_is_known_by_its_link_id() -> None:
    for part in PARTS:
        for item in part.items:
            assert item.link_id.endswith(".text") == (item.type in ("text", "string")), item.link_id


def test_link_ids_fit_their_column() -> None:
    longest = max(len(item.link_id) for part in PARTS for item in part.items)
    assert longest + 36 + 1 <= 80


def test_cards_are_short_and_few() -> None:
    for part in PARTS:
        for item in part.items:
            assert len(item.options) <= 7, item.link_id
            for option in item.options:
                assert all(len(said) <= 40 for said in option.text.by_language.values()), option
                assert option.icon, f"{item.link_id}: {option.code} has no picture"


def test_every_picture_is_in_the_sprite() -> None:
    sprite = load(Path(__file__).parents[2] / "web/assets/icons.json")
    icons = {option.icon for part in PARTS for item in part.items for option in item.options}
    assert icons <= sprite["person"].keys()


def test_patient_texts_have_the_right_tone() -> None:
    for part in PARTS:
        for text in texts_of(part.items):
            for said in text.by_language.values():
                assert "!" not in said
                assert not re.search(r"vennligst|pasient|please|\bpatient\b", said, re.IGNORECASE), said


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.key)
def test_a_question_is_one_sentence_and_short(part: Any) -> None:
    for item in part.items:
        if item.type != "group":
            for said in item.text.by_language.values():
                assert said.endswith("?"), said
                assert said.count("?") == 1
                assert len(said.split()) <= 13, said


def lix(text: str) -> float:
    """Words per sentence plus percentage of words longer than six letters."""
    words = re.findall(r"[^\W\d_]+", text)
    sentences = len(re.findall(r"[.?:](?:\s|$)|\n", text + "\n"))
    return len(words) / sentences + 100 * sum(len(word) > 6 for word in words) / len(words)


def test_lix_knows_hard_from_easy() -> None:
    assert lix("Du kan gå hjem. Det går bra.") < 10
    assert lix("Rehabiliteringsinstitusjonen koordinerer individuelle oppfølgingstiltak.") > 60


@pytest.mark.parametrize("language", COMPLETE_LANGUAGES)
@pytest.mark.parametrize(("key", "day"), CHECK_INS)
def test_a_whole_check_in_is_easy_to_read(key: str, day: int, language: str) -> None:
    """LIX of everything that may be read in one check-in, the questions about a measure included; at most 35."""
    items = library.questionnaire(f"{key}-{day}").items + library.measure_questions().items
    said = "\n".join(text.in_(language) for text in texts_of(items))
    assert lix(said) <= 35


@pytest.mark.parametrize("language", COMPLETE_LANGUAGES)
@pytest.mark.parametrize(("key", "day"), CHECK_INS)
def test_the_sentences_of_a_check_in_are_easy_to_read(key: str, day: int, language: str) -> None:
    """The same without the answer cards, whose few words make any text look easy."""
    items = library.questionnaire(f"{key}-{day}").items + library.measure_questions().items
    questions_alone = [replace(item, options=()) for item in items]
    said = "\n".join(text.in_(language) for text in texts_of(tuple(questions_alone)))
    assert lix(said) <= 35


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.key)
def test_every_question_is_easy_to_read(part: Any) -> None:
    """Question and hint by themselves; a single long word weighs much there, hence a little more room."""
    for item in part.items:
        for text in [item.text, item.hint]:
            if text and item.type != "group":
                assert lix(text.in_("nb").replace("{title}", "gåtur")) <= 45, text.in_("nb")


@pytest.mark.parametrize("key", OFFSETS)
@pytest.mark.parametrize("language", COMPLETE_LANGUAGES)
def test_what_to_expect_is_easy_to_read(key: str, language: str) -> None:
    assert lix(library.plan_template(key).what_to_expect[language]) <= 35


# --- the rest


def test_everybody_in_norway_has_a_municipality() -> None:
    found = library.municipalities()
    by_county = Counter(one.county for one in found.values())
    assert by_county == {
        "Oslo": 1,
        "Rogaland": 23,
        "Møre og Romsdal": 27,
        "Nordland": 41,
        "Østfold": 12,
        "Akershus": 21,
        "Buskerud": 18,
        "Innlandet": 46,
        "Vestfold": 6,
        "Telemark": 17,
        "Agder": 25,
        "Vestland": 43,
        "Trøndelag": 38,
        "Troms": 21,
        "Finnmark": 18,
        "Svalbard": 1,
    }
    assert by_county.total() == 357 + 1
    # Another county is another beginning of the number.
    assert len({(number[:2], one.county) for number, one in found.items()}) == 15 + 1


def test_municipalities_bear_their_names_in_all_official_languages() -> None:
    found = library.municipalities()
    assert found["5540"].names == ("Kåfjord", "Gáivuotna", "Kaivuono")
    assert found["5622"].names == ("Porsanger", "Porsáŋgu", "Porsanki")
    assert found["5041"].names == ("Snåsa", "Snåase")
    assert (found["0301"].names, found["5501"].names) == (("Oslo", "Oslove"), ("Tromsø",))
    assert sum(len(one.names) > 1 for one in found.values()) == 29


def test_the_trusts_are_those_of_the_north() -> None:
    trust_of = {one.county: one.trust for one in library.municipalities().values()}
    assert {county for county, trust in trust_of.items() if trust} == {
        "Nordland",
        "Troms",
        "Finnmark",
        "Svalbard",
    }
    assert {one.trust for one in library.municipalities().values() if one.trust} == set(library.trusts())
    assert len(library.trusts()) == 4


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ("5401", ("5501",)),
        ("1902", ("5501",)),
        ("0101", ("3101",)),
        ("3005", ("3301",)),
        ("1931", ("5530",)),
        ("1201", ("4601",)),
        ("1507", ("1508", "1580")),
        ("1850", ("1806", "1875")),
    ],
)
def test_a_number_of_an_earlier_map_leads_to_where_its_people_live_now(
    former: str, now: tuple[str, ...]
) -> None:
    assert library.former_municipalities()[former] == now


def test_no_number_of_today_is_called_an_old_one() -> None:
    assert not library.former_municipalities().keys() & library.municipalities().keys()


def test_the_sami_administrative_area() -> None:
    area = {one.name: one.sami_language for one in library.municipalities().values() if one.sami_language}
    northern = ["Kautokeino", "Karasjok", "Tana", "Nesseby", "Porsanger", "Kåfjord", "Lavangen", "Tjeldsund"]
    southern = ["Hattfjelldal", "Røros", "Snåsa", "Røyrvik"]
    assert area == {
        **dict.fromkeys(northern, "northern"),
        "Hamarøy": "lule",
        **dict.fromkeys(southern, "southern"),
    }


def test_the_three_national_numbers() -> None:
    assert [(key, phone.number, phone.shown) for key, phone in library.phones().items()] == [
        ("rehabilitation", "80030061", "800 300 61"),
        ("urgent", "116117", "116 117"),
        ("emergency", "113", "113"),
    ]
    for phone in library.phones().values():
        for text in (phone.name, phone.when):
            assert set(COMPLETE_LANGUAGES) <= text.by_language.keys()


def test_crisis_words_stand_in_every_language() -> None:
    lists = load(library.CONTENT / "crisis_words.json")["words"]
    assert set(lists) == set(LANGUAGES)
    assert all(lists.values())


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(Misconfigured, match=r"content/nothing\.json"):
        library._load(Path("nothing.json"))
