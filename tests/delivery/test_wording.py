"""Every word we send: renders in every language, fits, and tells a stranger nothing."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from companion import library
from companion.library import CONTENT
from companion.models import Meeting, Message, Patient, Professional
from companion.models.messages import MESSAGE_KINDS
from companion.rules import questionnaire
from companion.rules.questionnaire import Item
from companion.rules.replies import option_meant
from companion.use_cases.messages.letter import Letter
from companion.use_cases.sign_in import Words
from notifications import wording
from notifications.channels import Frame, To
from notifications.channels.sms.words import segments, word
from notifications.ways import Ways, discover
from tests.delivery.third_channel.way import Bell, Bells

LANGUAGES = ("nb", "nn", "en", "se")
SENT_AT = datetime(2026, 9, 23, 8, 0, tzinfo=UTC)  # a Wednesday in September: the longest words
TOKEN = "x7Kq-_x7Kq-_x7Kq-_x7Kq"
NAMES = ("Kari", "Bjørg-Christine", "Wilhelmina-Christoffersdatter", "Áilu")
# Whom to call this minute may cost more than the rest.
IN_TWO_PARTS = ("grave",)
ABOUT = (
    "call",
    "started",
    "not_understood",
    "stranger",
    "postponed",
    "often_postponed",
    "answered",
    *IN_TWO_PARTS,
)
LONGEST_DAY = SENT_AT.date().isoformat()
QUESTIONS = ("question", "question_again", "next_question")
ENDS = (
    {"urgent": False, "call": False, "read_by": None, "again": None, "by_call": False},
    {"urgent": False, "call": False, "read_by": LONGEST_DAY, "again": LONGEST_DAY, "by_call": True},
    {"urgent": False, "call": True, "read_by": LONGEST_DAY, "again": LONGEST_DAY, "by_call": False},
    {"urgent": True, "call": False, "read_by": LONGEST_DAY, "again": LONGEST_DAY, "by_call": False},
    {"urgent": True, "call": True, "read_by": LONGEST_DAY, "again": LONGEST_DAY, "by_call": True},
)
# Parts of words that tell what somebody suffers from, or that they are ill at all.
HEALTH = re.compile(
    r"slag|stroke|kreft|cancer|hjern|brain|syk|sjuk|\bill\b|diagno|pasient|patient|sykehus|hospital|rehab|"
    r"tiltak|measure|lege\b|doctor|smert|pain|fall|depr|medisin|medicine|behandl|treat|helse|health|buohcci|dearvva",
    re.IGNORECASE,
)


def neutral_questions() -> dict[str, Item]:
    """The questions an SMS may ask, by their short names."""
    parts = [library.questionnaire_part(path.stem) for path in (CONTENT / "questionnaires").glob("*.json")]
    return {
        item.link_id.removeprefix("measure."): item
        for part in parts
        for item in questionnaire.questions(part)
        if item.neutral
    }


def digits(item: Item) -> list[str]:
    return [option.code for option in item.options] or ["true", "false"]


def asking(ask: str, *, hint: bool = False) -> dict[str, Any]:
    """A question as the use-case hands it over, with the longest numbers there may be."""
    options = digits(neutral_questions()[ask])
    return {"ask": ask, "point": 12, "options": options, "number": 12, "total": 14, "hint": hint}


def some_params(kind: str, about: str) -> dict[str, Any]:
    if kind == "reply":
        return {"about": about, "again": LONGEST_DAY, "read_by": LONGEST_DAY, "phone": "+4777626000"}
    if kind in QUESTIONS:
        return asking("how")
    if kind == "duty":
        return {"what": "raised", "count": 3}
    if kind == "all_answered":
        return ENDS[0]
    return {"urgent": False} if kind == "rest_by_phone" else {}


def letter(
    kind: str, language: str, name: str = "Kari", about: str = "call", params: dict[str, Any] | None = None
) -> Message:
    meeting = Meeting(starts_at=SENT_AT, host=Professional(name="Bjørg-Kristin Nordgård"))
    return Message(
        kind=kind,
        language=language,
        params=params or some_params(kind, about),
        patient=Patient(name=f"{name} Nilsen"),
        meeting=meeting if kind.startswith("meeting") else None,
        created_at=SENT_AT,
        valid_until=SENT_AT + timedelta(days=1),
    )


def text(
    kind: str, language: str, name: str = "Kari", about: str = "call", params: dict[str, Any] | None = None
) -> str:
    words = Words(TOKEN, "481226") if kind in wording.WITH_LINK else None
    return word(
        letter(kind, language, name, about, params),
        words,
        public_url="http://127.0.0.1:8000",
        product="Følge",
        institution="UNN",
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("about", ABOUT)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", MESSAGE_KINDS)
def test_every_kind_renders_and_fits_whatever_the_name(
    kind: str, language: str, about: str, name: str
) -> None:
    said = text(kind, language, name, about)
    assert "{" not in said
    assert said == said.strip()
    parts = 2 if language == "se" or kind == "crisis" or (kind == "reply" and about in IN_TWO_PARTS) else 1
    assert segments(said) <= parts, (len(said), said)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", MESSAGE_KINDS)
def test_a_stranger_who_reads_it_learns_nothing_of_illness(kind: str, language: str) -> None:
    for about in ABOUT:
        assert not HEALTH.search(text(kind, language, about=about))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", sorted(wording.WITH_LINK - {"sign_in_code"}))
def test_there_is_a_link_and_a_way_to_type_it(kind: str, language: str) -> None:
    said = text(kind, language)
    assert f"127.0.0.1:8000/l#{TOKEN} " in said
    assert "127.0.0.1:8000/k" in said
    assert "481 226" in said


def test_the_check_in_as_it_was_drawn() -> None:
    assert text("check_in", "nb") == (
        "Hei Kari. Her er Følge fra UNN. Vi har noen korte spørsmål til deg: "
        f"127.0.0.1:8000/l#{TOKEN} Eller gå til 127.0.0.1:8000/k og skriv 481 226."
    )


def test_a_meeting_is_at_the_wall_clock_s_time() -> None:
    assert "onsdag 23. september kl. 10.00" in text("meeting", "nb")


# --- a check-in by SMS ------------------------------------------------------------------------------------------------


def test_these_questions_may_be_asked_in_an_sms() -> None:
    assert set(neutral_questions()) == {"how", "started", "why", "worse", "contact"}


@pytest.mark.parametrize("ask", ["how", "started", "why", "worse", "contact"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_question_has_one_digit_for_each_option_and_fits(language: str, ask: str) -> None:
    options = digits(neutral_questions()[ask])
    for kind in QUESTIONS:
        for hint in (False, True):
            said = text(kind, language, params=asking(ask, hint=hint))
            lines = [line for line in said.splitlines() if re.match(r"[1-9] ", line)]
            lines = [line for line in lines if not re.match(r"[0-9]+ (av|of) ", line)]
            assert [line.split()[0] for line in lines] == [str(n) for n in range(1, len(options) + 1)]
            assert len({line.split(maxsplit=1)[1] for line in lines}) == len(options)
            assert segments(said) <= (2 if language == "se" else 1), (len(said), said)
            assert said == said.strip()
            assert said.count("?") == 1
            assert not HEALTH.search(said), said


def test_the_digits_follow_the_options_of_the_questionnaire() -> None:
    """The words go by the option's code: turned round in the questionnaire, they are turned round in the message."""
    backwards = asking("how") | {"options": ["very_bad", "ok", "very_good"]}
    assert "1 svært dårlig\n2 passe\n3 svært bra\n" in text("next_question", "nb", params=backwards)
    with pytest.raises(UndefinedError):
        text("next_question", "nb", params=backwards | {"options": ["unheard_of"]})


@pytest.mark.parametrize("ask", ["how", "started", "why", "worse", "contact"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_who_writes_the_words_instead_of_the_digit_is_understood(language: str, ask: str) -> None:
    options = digits(neutral_questions()[ask])
    said = text("next_question", language, params=asking(ask, hint=True)).splitlines()[-len(options) :]
    for code, line in zip(options, said, strict=True):
        words = line.split(maxsplit=1)[1]
        for written in (words, words.upper(), f"{words}.", line, f"Takk, {words}"):
            assert option_meant(written, options) == code, written


def test_the_first_question_as_it_comes() -> None:
    assert text("question", "nb", name="Odd") == (
        "Hei Odd. Her er Følge fra UNN. Svar med ett tall.\nHvordan går det?\n"
        "1 svært bra\n2 bra\n3 passe\n4 dårlig\n5 svært dårlig\n0 = ikke i dag. RING = vi ringer deg"
    )


@pytest.mark.parametrize("params", ENDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_last_words_fit_and_name_the_numbers_where_it_was_grave(
    language: str, params: dict[str, Any]
) -> None:
    for kind in ("all_answered", "rest_by_phone"):
        said = text(kind, language, params=params)
        assert segments(said) <= (2 if language == "se" else 1), (len(said), said)
        assert ("116117" in said, "113" in said) == (params["urgent"], params["urgent"])
        assert not HEALTH.search(said)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_rest_can_be_typed_also_when_it_was_grave(language: str) -> None:
    said = text("rest_by_phone", language, params={"urgent": True})
    assert "127.0.0.1:8000/k" in said
    assert "481 226" in said


# --- every way there is ------------------------------------------------------------------------------------------------

WAYS = Ways([*discover(), Bell(Bells(), {})])
FRAME = Frame("https://folge.example", "Følge", "UNN")
CARRIED = sorted((kind, way.name) for way in WAYS for kind in wording.carried(way.words, way.name))


def files(name: str, kind: str, ending: str) -> list[str]:
    way = WAYS.get(name)
    assert way
    return sorted(file.name for file in (way.words / kind).glob(f"{name}.{ending}.txt"))


def test_every_kind_has_a_last_way() -> None:
    assert {kind for kind, way in CARRIED if way in WAYS.last} == set(MESSAGE_KINDS)
    assert {way for _kind, way in CARRIED} == {"sms", "push", "mail", "bell"}


@pytest.mark.parametrize(("kind", "name"), CARRIED)
def test_a_way_that_carries_a_kind_has_words_in_every_language_that_tell_nothing(
    kind: str, name: str
) -> None:
    assert kind in MESSAGE_KINDS
    assert files(name, kind, "*") == sorted(f"{name}.{language}.txt" for language in LANGUAGES)
    way = WAYS.get(name)
    assert way
    for language in LANGUAGES:
        words = Words(TOKEN, "481226") if kind in wording.WITH_LINK else None
        said = way.wrap(cast(Letter, letter(kind, language)), words, To("+4740000001"), "0" * 32, FRAME).body
        assert said == said.strip() != ""
        assert not HEALTH.search(said.replace(TOKEN, "")), said


def test_no_words_lie_about_of_a_way_there_is_not() -> None:
    house = {way.name for way in discover()}
    there = {path.name.split(".")[0] for path in wording.HERE.glob("*/*.txt")}
    assert there == house


def test_every_sami_sms_is_marked_as_a_draft() -> None:
    texts = list(wording.HERE.glob("*/sms.se.txt"))
    assert len(texts) == len(MESSAGE_KINDS)
    assert all(file.read_text(encoding="utf-8").startswith("{# Draft") for file in texts)


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("æøåÆØÅéö" * 20, 1),
        ("á" * 70, 1),
        ("á" * 71, 2),
        ("á" * 134, 2),
        ("á" * 135, 3),
        ("🙂" * 35, 1),
        ("🙂" * 36, 2),
        # 152 units and a two-unit letter: it does not fit in the first part.
        ("a" * 152 + "€" + "a" * 152, 3),
    ],
)
def test_parts_are_counted_as_the_networks_count_them(said: str, parts: int) -> None:
    assert segments(said) == parts


@given(st.text(alphabet="aæ€[á🙂đ ", max_size=400), st.text(alphabet="aæ€[á🙂đ ", max_size=40))
def test_more_text_never_takes_fewer_parts(said: str, more: str) -> None:
    assert segments(said + more) >= segments(said)
