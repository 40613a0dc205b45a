"""What stands in a message: it fits with the longest names, tells nothing of illness, and is counted as the provider counts."""

import json
import random
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, meta
from sqlalchemy.orm import Session

from companion.models import Meeting, Message, Patient, Professional
from companion.models.messages import MESSAGE_KINDS
from companion.settings import Settings as CompanionSettings
from companion.use_cases import meetings as meet
from companion.use_cases.messages import message
from companion.use_cases.sign_in import Words
from notifications import wording
from notifications.channels.push.words import push_payload
from notifications.channels.sms.words import LONGEST_HOST, plain_marks, segments, word
from notifications.outbox import Outbox
from notifications.settings import Settings
from tests import cast
from tests.delivery.test_wording import ABOUT, IN_TWO_PARTS, some_params

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = Path(wording.__file__).parent
LANGUAGES = ("nb", "nn", "se", "en")
SENT_AT = datetime(2026, 9, 23, 8, 0, tzinfo=UTC)  # a Wednesday in September: the longest words
LONGEST_NAMES = ("Kari", "Bjørg-Christine", "Wilhelmina-Christoffersdatter", "Áilu-Ánde", "Anne‑Marie", "")
INSTITUTIONS = ("UNN", "Helgelandssykehuset", "Universitetssykehuset Nord-Norge", "Finnmárkku buohcciviessu")
HOSTS = ("Kari", "Bjørg-Kristin", "Wilhelmina-Christoffersdatter", "Máhtte")
# What a template may speak of. None of it comes from a diagnosis, a ward, a measure or an answer.
MAY_NAME = {"name", "product", "institution", "when", "clock", "who", "link", "short", "code", "about"}
# Nor from these, in the questions and the last words by SMS: numbers, days, whether somebody calls; `ask` and `options` choose
# among words that stand in the templates.
MAY_NAME |= {
    "ask",
    "point",
    "options",
    "number",
    "total",
    "hint",
    "call",
    "urgent",
    "read_by",
    "read",
    "phone",
    "again",
    "by_call",
    # How many cases wait for somebody of ours; `what` chooses among words in the template.
    "what",
    "count",
}

# Parts of words that tell what somebody suffers from, that they are ill, or where they were for it.
TELLING = {
    "nb": """syk sjuk smert slag hjern hode(skade|pine) kreft svulst nevro parkinson alzheimer demens epilep utmatt
        lunge kols hjerte blodtr diabet depresj angst psyk rus avhengig selvmord ampu protese brudd hofte rygg(?!$) ledd
        muskel lamm afasi fall(?!e[rt] ut) svimmel søvn vekt spise pust diagno pasient innlagt utskr(iv|ev) opphold avdeling
        sengepost \\bpost\\b poliklin rehab habili trening fysio ergo logoped lege\\b sykepleier behandl medisin tablett resept
        operasjon undersøk prøvesvar henvis epikrise tiltak helse\\b trygd \\bnav\\b hjelpemid rullestol skade""",
    "nn": """sjuk smerte slag hjerne kreft svulst demens utmatta lunge hjarte depresjon angst psykisk rusmid amputer brot
        hofte afasi svimmel svevn pust diagnos pasient innlagd utskriv opphald avdeling sengepost poliklinikk rehabiliter
        opptrening lækjar lege\\b behandling medisin tiltak helse\\b hjelpemiddel rullestol skade""",
    "se": """buohcc buozal bávčč borasdáv vuoigŋaš váibmu dearvva divšš dikšu dálkk doavtt doaktár veajuid rehab diagno lápm""",
    "en": """\\bill\\b illness sick pain stroke brain cancer tumou?r neuro dement epilep fatigue lung copd heart blood diabet
        depress anxi psych drug addict suicid amputat fractur\\ hip\\b aphasi \\bfall dizz sleep breath diagnos patient admitted
        discharg ward\\b clinic rehab training physio therap doctor nurse treat medic prescri surg hospital referr measure
        \\bhealth disab wheelchair injur""",
}
PATTERNS = {
    language: re.compile("|".join(words.split()), re.IGNORECASE) for language, words in TELLING.items()
}


def telling(text: str) -> list[str]:
    """What in a text tells of illness, in whatever language."""
    return sorted({found.group() for pattern in PATTERNS.values() for found in pattern.finditer(text)})


def letter(kind: str, language: str, name: str = "Kari", host: str = "Kari", about: str = "call") -> Message:
    meeting = Meeting(starts_at=SENT_AT, host=Professional(name=f"{host} Nordgård"))
    return Message(
        kind=kind,
        language=language,
        params=some_params(kind, about),
        patient=Patient(name=f"{name} Nilsen"),
        meeting=meeting if kind.startswith("meeting") else None,
        valid_until=SENT_AT + timedelta(days=1),
    )


def text(one: Message, institution: str = "UNN", host: str = "h" * LONGEST_HOST) -> str:
    words = Words("x7Kq-_x7Kq-_x7Kq-_x7Kq", "481226") if one.kind in wording.WITH_LINK else None
    return word(one, words, public_url=f"https://{host}", product="Følge", institution=institution)


def source(path: Path) -> str:
    """A template, in all its branches, without its comments."""
    return re.sub(r"\{#.*?#\}", " ", path.read_text(encoding="utf-8"), flags=re.DOTALL)


# --- it fits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", MESSAGE_KINDS)
def test_with_the_longest_address_and_names_it_fits(kind: str, language: str) -> None:
    assert len("folge.helse-nord.no") == LONGEST_HOST
    for name in LONGEST_NAMES:
        for host in HOSTS:
            for about in ABOUT if kind == "reply" else ABOUT[:1]:
                for institution in INSTITUTIONS:
                    said = text(letter(kind, language, name, host, about), institution)
                    parts = 2 if language == "se" or kind == "crisis" or about in IN_TWO_PARTS else 1
                    assert segments(said) <= parts, (len(said), said)
                    assert not re.search(r"  |\(\)| [.,:]|[{}]", said), said


def test_one_letter_more_in_the_address_and_some_text_is_two() -> None:
    too_long = "h" * (LONGEST_HOST + 1)
    counts = {segments(text(letter(kind, "nb"), host=too_long)) for kind in MESSAGE_KINDS}
    assert counts == {1, 2}


def test_what_is_needed_least_is_left_out_first() -> None:
    assert text(letter("welcome", "nb"), host="folge.no").startswith("Hei Kari. Her er Følge fra UNN. ")
    name_too_long = text(letter("welcome", "nb", "Bjørg-Christine"), "Helgelandssykehuset", host="folge.no")
    assert name_too_long.startswith("Hei. Her er Følge fra Helgelandssykehuset. ")
    assert text(letter("welcome", "nb"), INSTITUTIONS[2]).startswith("Hei. Her er Følge. ")
    assert text(letter("meeting", "nb", host=HOSTS[2])).startswith(
        "Hei. Du har videomøte onsdag 23. september"
    )
    # Dearer anyway: then nothing is left out.
    assert text(letter("welcome", "se"), host="folge.no").startswith("Bures Kari. Dá lea Følge, UNN. ")


# --- no letter is changed ---------------------------------------------------------------------------------------------


@given(st.text(st.characters(categories=("L", "M", "N")), max_size=80))
def test_letters_and_figures_are_never_touched(said: str) -> None:
    assert plain_marks(said) == said


@given(st.text(alphabet="aæáčđŋšŧžÁČĐŊŠŦŽ«»“”’–—…\N{NO-BREAK SPACE}‑ .!\U0001f642", max_size=80))
def test_marks_become_plain_and_nothing_else(said: str) -> None:
    plain = plain_marks(said)
    assert not set(plain) & set("«»“”’–—…\N{NO-BREAK SPACE}‑")
    assert [one for one in plain if one.isalpha()] == [one for one in said if one.isalpha()]
    assert plain_marks(plain) == plain


def test_a_typographic_mark_in_a_name_costs_nothing() -> None:
    said = text(letter("check_in", "nb", "D’Arcy"), "«UNN» – Tromsø", host="folge.no")
    assert said.startswith('Hei D\'Arcy. Her er Følge fra "UNN" - Tromsø. ')
    assert segments(said) == 1


@pytest.mark.parametrize("kind", MESSAGE_KINDS)
def test_sami_letters_arrive_as_they_were_written(kind: str) -> None:
    """Every word of the text stands in the files, or in a name, letter for letter."""
    said = text(letter(kind, "se", "Áilu-Ánde", "Máhtte"), host="folge.no")
    written = source(TEMPLATES / kind / "sms.se.txt") + source(TEMPLATES / "asks.se.txt")
    stands = {one for one in re.findall(r"[^\W\d_]+", said.partition(" folge.no")[0]) if len(one) > 1}
    assert stands - {"Áilu", "Ánde", "Máhtte", "Følge", "UNN", "dii"} <= set(
        re.findall(r"[^\W\d_]+", written)
    )
    assert any(one in said for one in "áčđŋšŧž")


# --- it tells nothing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", sorted(TEMPLATES.rglob("*.txt")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_no_template_tells_of_illness_or_can(path: Path) -> None:
    assert telling(source(path)) == []
    named = meta.find_undeclared_variables(
        Environment(autoescape=True).parse(path.read_text(encoding="utf-8"))
    )
    assert named <= MAY_NAME


@pytest.mark.parametrize(
    "said",
    [
        "Hilsen Slagposten",
        "Hvordan går det med smertene?",
        "Har rehabiliteringen startet?",
        "Du er pasient hos oss",
        "Fysioterapi to ganger i uken",
        "Korleis er det etter hjerneslaget?",
        "Don leat buohccán",
        "How is the pain today?",
        "Your stay on the stroke ward",
    ],
)
def test_the_linter_sees_what_would(said: str) -> None:
    assert telling(said)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", sorted({path.parent.name for path in TEMPLATES.glob("*/push.nb.txt")}))
def test_a_push_is_rendered_strictly_and_tells_nothing(kind: str, language: str) -> None:
    words = Words("x7Kq-_x7Kq-_x7Kq-_x7Kq", "481226") if kind in wording.WITH_LINK else None
    payload = push_payload(letter(kind, language), words, "0" * 32, product="Følge")
    said = json.loads(payload)
    assert said["body"] == said["body"].strip() != ""
    assert len(said["body"]) <= 60
    assert telling(f"{said['title']} {said['body']}") == []
    assert "Kari" not in payload
    assert len(payload.encode()) < 3000


def test_not_even_what_the_ward_and_the_measures_are_called_gets_into_a_message(
    db: Session, settings: CompanionSettings, now: datetime
) -> None:
    """A ward called after the illness, measures that say it all: what stands in a message is the institution's name only."""
    ward = cast.ward(db, now)
    ward.post3.name = "Slagposten, UNN Tromsø"
    kari = cast.kari(db, now)
    sofia = db.get_one(Professional, ward.sofia.id)
    sofia.title = "slagsykepleier"
    meeting = meet.offer(db, ward.sofia, kari.id, now + timedelta(days=2), now=now)
    for kind in ("new_link", "sign_in_code", "welcome", "meeting_moved"):
        about = meeting if kind.startswith("meeting") else None
        assert message.write(
            db,
            kind,
            to=kari,
            now=now,
            params={
                "title": "Kontroll på slagpoliklinikken",
                "name": "Hjerneslag",
                "institution": "Slagposten",
            },
            meeting=about,
            valid_until=now + timedelta(hours=1),
            dedupe_key=f"telling:{kind}",
        )
    box = Outbox(settings, Settings())
    parcels = [*box.claim(db, "code", 20, now)[0], *box.claim(db, "batch", 20, now)[0]]
    assert len(parcels) >= 6
    for parcel in parcels:
        assert telling(parcel.body) == [], parcel.body
    assert any("UNN" in parcel.body for parcel in parcels)


# --- it is counted as the provider counts -----------------------------------------------------------------------------

COUNT = """
const { SegmentedMessage } = require("sms-segments-calculator");
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(texts.map((text) => new SegmentedMessage(text, "auto", false).segmentsCount)));
"""
GSM = "@£$¥èéùìòÇØøÅåΔ_ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCÄÖÑÜ§¿abcdäöñüà\n"
TWICE = "^{}\\[~]|€\f"
OTHERS = "áčđŋšŧžÁČĐŊŠŦŽâêôóï«»–’…\N{NO-BREAK SPACE}"
PAIRS = "\U0001f642\U0001f389\U0001d4f3"


def test_segments_are_the_provider_s_own_calculator_s() -> None:
    """Ten thousand texts, most of them around the lengths where a part ends."""
    chance = random.Random(20261126)
    texts = [
        "".join(
            chance.choices(chance.choice((GSM, GSM + TWICE, GSM + OTHERS, GSM + OTHERS + PAIRS)), k=length)
        )
        for around, several in ((0, 3300), (66, 5000), (129, 700), (156, 800), (302, 200))
        for length in chance.choices(range(around, around + 9), k=several)
    ]
    assert len(texts) >= 10_000
    node = shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))
    assert node, "`make setup` installs it"
    done = subprocess.run(
        [node, "-e", COUNT], input=json.dumps(texts), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    counted = json.loads(done.stdout)
    assert [one for one, parts in zip(texts, counted, strict=True) if segments(one) != parts] == []
