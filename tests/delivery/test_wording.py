"""Every word we send: renders in every language, fits, and tells a stranger nothing."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.models import Meeting, Message, Patient, Professional
from companion.models.messages import MESSAGE_KINDS
from companion.use_cases.sign_in import Words
from notifications import wording
from notifications.wording import segments, word

LANGUAGES = ("nb", "nn", "en", "se")
SENT_AT = datetime(2026, 9, 23, 8, 0, tzinfo=UTC)  # a Wednesday in September: the longest words
TOKEN = "x7Kq-_x7Kq-_x7Kq-_x7Kq"
NAMES = ("Kari", "Bjørg-Christine", "Wilhelmina-Christoffersdatter", "Áilu")
ABOUT = ("call", "started", "not_understood", "stranger")
# Parts of words that tell what somebody suffers from, or that they are ill at all.
HEALTH = re.compile(
    r"slag|stroke|kreft|cancer|hjern|brain|syk|sjuk|\bill\b|diagno|pasient|patient|sykehus|hospital|rehab|"
    r"tiltak|measure|lege\b|doctor|smert|pain|fall|depr|medisin|medicine|behandl|treat|helse|health|buohcci|dearvva",
    re.IGNORECASE,
)


def letter(kind: str, language: str, name: str = "Kari", about: str = "call") -> Message:
    meeting = Meeting(starts_at=SENT_AT, host=Professional(name="Bjørg-Kristin Nordgård"))
    return Message(
        kind=kind,
        language=language,
        params={"about": about} if kind == "reply" else {},
        patient=Patient(name=f"{name} Nilsen"),
        meeting=meeting if kind.startswith("meeting") else None,
        valid_until=SENT_AT + timedelta(days=1),
    )


def text(kind: str, language: str, name: str = "Kari", about: str = "call") -> str:
    words = Words(TOKEN, "481226") if kind in wording.WITH_LINK else None
    return word(
        letter(kind, language, name, about),
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
    assert segments(said) <= (2 if language == "se" else 1), (len(said), said)


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


def test_every_sami_text_is_marked_as_a_draft() -> None:
    files = list(Path(wording.__file__).parent.glob("*/sms.se.txt"))
    assert len(files) == len(MESSAGE_KINDS)
    assert all(file.read_text(encoding="utf-8").startswith("{# Draft") for file in files)


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
