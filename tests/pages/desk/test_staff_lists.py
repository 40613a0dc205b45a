"""The desk's lists: true counts, red first, why in words, the next action, and nobody else's patients."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session

from companion.models import Patient, Professional
from companion.rules.national_id import make_synthetic
from companion.use_cases import meetings as meet
from companion.use_cases.cases import flag
from tests import cast
from tests.pages.at_the_desk import Desk, furnish, raise_flag, with_flag
from tests.pages.client import PageClient

LISTS = ("/staff", "/staff/patients", "/staff/calls", "/staff/coming-home", "/staff/meetings")


@pytest.fixture
def desk(engine: Engine, now: datetime) -> Desk:
    return furnish(engine, now)


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    """The statements a request sends."""
    sent: list[str] = []

    def note(_c: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


def names(html: str) -> list[str]:
    return re.findall(r'class="who"[^>]*>([^<,]+),', html)


def test_the_worklist_says_why_in_the_persons_own_words(
    browser: PageClient, engine: Engine, desk: Desk, now: datetime
) -> None:
    raise_flag(engine, desk.kari, desk.ward.tromso, now, quote="Verre i hodet")
    page = browser.as_professional(desk.ward.johan).open("/staff")
    assert page.h1 == "Arbeidsliste"
    assert "Ønsker å bli kontaktet. «Verre i hodet»" in page.text
    assert "1 sak · 1 rød · eldste fra i dag" in page.text
    assert "Tromsø · hjerneslag · dag 14" in page.text
    assert "Ta saken" in page.form("/staff/flags/").buttons


def test_red_comes_first_then_the_oldest_and_counts_are_true(
    browser: PageClient, engine: Engine, desk: Desk, now: datetime
) -> None:
    with Session(engine, expire_on_commit=False) as db:
        mari = cast.send_home(
            db,
            cast.IMPORT,
            now - cast.days(7),
            cast.kari_fields(
                now - cast.days(7), national_id=make_synthetic(cast.OLA_BORN, 7), name="Mari Eira"
            ),
        ).stay.patient
        db.commit()
    raise_flag(engine, mari, desk.ward.tromso, now - timedelta(hours=3), "no_answer", "amber")
    raise_flag(engine, mari, desk.ward.tromso, now, "clearly_worse", "red")
    raise_flag(engine, desk.kari, desk.ward.tromso, now - timedelta(hours=1), "wants_contact", "red")
    raise_flag(engine, desk.kari, desk.ward.post3, now, "passport_wrong", "amber")
    page = browser.as_professional(desk.ward.johan).open("/staff")
    assert names(page.html) == ["Kari Nilsen", "Mari Eira", "Mari Eira"]
    assert [
        word for word in page.links if word.startswith(("Alle", "Mine", "Rødt", "Stille", "Ikke levert"))
    ] == [
        "Alle 3",
        "Mine 0",
        "Rødt 2",
        "Stille 1",
        "Ikke levert 0",
    ]
    assert names(browser.open("/staff?show=silent").html) == ["Mari Eira"]
    assert "Arbeidsliste3" in page.text


@pytest.mark.parametrize(
    ("code", "action"),
    [("no_answer", "Ring"), ("undeliverable", "Rett nummer"), ("passport_wrong", "Ta saken")],
)
def test_the_next_action_is_the_button(
    browser: PageClient, engine: Engine, desk: Desk, now: datetime, code: str, action: str
) -> None:
    raise_flag(engine, desk.kari, desk.ward.tromso, now, code, "amber")
    page = browser.as_professional(desk.ward.johan).open("/staff")
    assert action in page.links or action in [word for form in page.forms for word in form.buttons]


def test_a_taken_case_names_the_colleague(
    browser: PageClient, engine: Engine, desk: Desk, now: datetime
) -> None:
    with_flag(engine, raise_flag(engine, desk.kari, desk.ward.tromso, now), "claim", desk.ward.johan, now)
    page = browser.as_professional(desk.ward.johan).open("/staff?show=mine")
    assert "Tatt av Johan" in page.text
    assert "Åpne" in page.links


def test_no_cases_is_said_kindly(browser: PageClient, desk: Desk) -> None:
    browser.as_professional(desk.ward.johan)
    assert "Ingen saker nå" in browser.open("/staff").text
    assert "Ingen å ringe nå" in browser.open("/staff/calls").text
    assert "Ingen på vei hjem nå" in browser.open("/staff/coming-home").text
    assert "Ingen møter nå" in browser.open("/staff/meetings").text


def test_a_long_list_has_pages(browser: PageClient, engine: Engine, desk: Desk, now: datetime) -> None:
    codes = [f"code_{number}" for number in range(51)]
    with Session(engine) as db:
        kari = db.get_one(Patient, desk.kari.id)
        for code in codes:
            flag.raise_flag(db, kari, code=code, level="amber", unit=desk.ward.tromso, now=now)
        db.commit()
    page = browser.as_professional(desk.ward.johan).open("/staff")
    assert len(names(page.html)) == 50
    rest = browser.open(page.links["Neste"])
    assert len(names(rest.html)) == 1
    assert "Til toppen av lista" in rest.links


@pytest.mark.parametrize("after", ["x", "1.2.3", "1.99999999999999999999.00000000000000000000000000000000"])
def test_a_page_that_does_not_exist_is_the_first(browser: PageClient, desk: Desk, after: str) -> None:
    browser.as_professional(desk.ward.johan).open(f"/staff?after={after}")
    browser.open(f"/staff/patients?after={after}")


def test_the_worklist_needs_few_queries_however_long_it_is(
    browser: PageClient, engine: Engine, desk: Desk, now: datetime
) -> None:
    browser.as_professional(desk.ward.johan)
    raise_flag(engine, desk.kari, desk.ward.tromso, now)
    with counted(engine) as one:
        browser.open("/staff")
    with Session(engine) as db:
        kari = db.get_one(Patient, desk.kari.id)
        for number in range(30):
            flag.raise_flag(db, kari, code=f"code_{number}", level="amber", unit=desk.ward.tromso, now=now)
        db.commit()
    with counted(engine) as many:
        browser.open("/staff")
    reads = [
        statement for statement in many if re.search(r"FROM (flag|stay|patient|relative_grant)\b", statement)
    ]
    assert len(one) == len(many)
    assert len(reads) <= 6


def test_patients_are_found_by_name_number_and_telephone_and_never_through_the_address(
    browser: PageClient, desk: Desk
) -> None:
    browser.as_professional(desk.ward.johan).strangers.add("Ola Hansen")
    page = browser.open("/staff/patients")
    assert "Kari Nilsen, 68" in page.links
    for typed in ("kari", "Nilsen, Kari", "KÀRI", "400 00 001", "+47 (0)400 00 001", cast.KARI_ID):
        found = browser.submit(page, "/staff/patients", {"search": typed})
        assert "Kari Nilsen, 68" in found.links
        assert found.came_by == ["/staff/patients"]
    for typed in ("Ola", cast.OLA_ID, "<script>", "x" * 5000, "😀"):
        assert "Ingen treff" in browser.submit(page, "/staff/patients", {"search": typed}).text


def test_coming_home_shows_what_is_recommended_and_what_is_ours(
    browser: PageClient, engine: Engine, desk: Desk, now: datetime
) -> None:
    with Session(engine) as db:
        fields = cast.kari_fields(
            now + cast.days(2), national_id=make_synthetic(cast.OLA_BORN, 9), name="Arne Johansen"
        )
        cast.send_home(db, cast.IMPORT, now, fields)
        db.commit()
    page = browser.as_professional(desk.ward.johan).open("/staff/coming-home")
    assert "Arne Johansen" in page.text
    assert "Fysioterapi to ganger i ukenHos dere" in page.text
    assert "Kari Nilsen" not in page.text


def test_the_call_list_has_the_number_to_ring(
    browser: PageClient, engine: Engine, desk: Desk, now: datetime
) -> None:
    raise_flag(engine, desk.kari, desk.ward.tromso, now, "call_due", "amber")
    page = browser.as_professional(desk.ward.johan).open("/staff/calls")
    assert "tel:+4740000001" in page.links.values()
    assert "Noter samtalen" in page.links


def test_meetings_have_a_door(browser: PageClient, engine: Engine, desk: Desk, now: datetime) -> None:
    with Session(engine, expire_on_commit=False) as db:
        meeting = meet.offer(db, desk.ward.johan, desk.kari.id, now + timedelta(minutes=5), now=now)
        db.commit()
    page = browser.as_professional(desk.ward.johan).open("/staff/meetings")
    assert page.links["Gå til møtet"] == f"/meeting/{meeting.id}"
    assert "Med Kari Nilsen. 30 minutter." in page.text


@pytest.mark.parametrize("path", LISTS)
def test_other_units_see_nothing_of_it(
    browser: PageClient, engine: Engine, desk: Desk, now: datetime, path: str
) -> None:
    raise_flag(engine, desk.kari, desk.ward.tromso, now, "no_answer", "amber")
    browser.as_professional(desk.ward.geir).strangers.add("Kari Nilsen")
    browser.open(path)


@pytest.mark.parametrize("path", LISTS)
def test_the_desk_is_for_professionals(browser: PageClient, desk: Desk, path: str) -> None:
    browser.as_patient(desk.kari)
    assert browser.open(path, 403).status == 403


def test_the_desk_speaks_english_to_those_who_read_it(
    browser: PageClient, engine: Engine, desk: Desk, now: datetime
) -> None:
    with Session(engine) as db:
        db.get_one(Professional, desk.ward.johan.id).language = "en"
        db.commit()
    raise_flag(engine, desk.kari, desk.ward.tromso, now)
    page = browser.as_professional(desk.ward.johan).open("/staff")
    assert page.h1 == "Worklist"
    assert "Ønsker" not in page.text
