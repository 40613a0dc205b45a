"""The passport as professionals write it."""

from datetime import datetime
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.models import PassportLine
from companion.use_cases.passport import lines as passport
from tests.pages.at_the_desk import Desk, furnish
from tests.pages.client import PageClient


@pytest.fixture
def desk(engine: Engine, now: datetime) -> Desk:
    return furnish(engine, now)


@pytest.fixture
def at(desk: Desk) -> str:
    return f"/staff/patients/{desk.kari.id}/passport"


@pytest.fixture
def johan(browser: PageClient, desk: Desk) -> PageClient:
    return browser.as_professional(desk.ward.johan)


def lines(engine: Engine) -> list[PassportLine]:
    with Session(engine, expire_on_commit=False) as db:
        return list(db.scalars(select(PassportLine).order_by(PassportLine.written_at)))


def test_a_line_is_written_changed_confirmed_and_taken_away(
    johan: PageClient, engine: Engine, at: str
) -> None:
    page = johan.post(
        f"{at}/lines", {"section": "important", "text": "Tåler ikke penicillin", "critical": "yes"}
    )
    assert "Tåler ikke penicillin" in page.text
    assert "Kritisk" in page.text
    assert "Johan Bakk, fysioterapeut, i dag." in page.text
    line = f"{at}/lines/{lines(engine)[0].id}"
    page = johan.post(line, {"do": "confirm"})
    page = johan.post(line, {"do": "change", "text": "Tåler ikke penicillin eller sulfa", "critical": "yes"})
    assert "penicillin eller sulfa" in page.text
    page = johan.post(line, {"do": "end"}, status=409)
    assert "En kollega har endret linja." in page.text
    current = next(one for one in lines(engine) if one.ended_at is None)
    page = johan.post(f"{at}/lines/{current.id}", {"do": "end"})
    assert "penicillin" not in page.text
    assert len(lines(engine)) == 2, "what was written stays on record"


@pytest.mark.parametrize(
    ("section", "text", "said"),
    [
        ("talk", "", "Skriv noe før du lagrer."),
        ("talk", " \n ", "Skriv noe før du lagrer."),
        ("important", "x" * 501, "Teksten er for lang. Del den i to."),
        ("important", "😀" * 501, "Teksten er for lang. Del den i to."),
    ],
)
def test_a_line_that_does_not_do(
    johan: PageClient, engine: Engine, at: str, section: str, text: str, said: str
) -> None:
    page = johan.post(f"{at}/lines", {"section": section, "text": text}, status=422)
    assert page.text.count(said) == 2
    assert f'href="#f-new-{section}.text"' in page.html
    assert text.strip() in page.html
    assert lines(engine) == []


def test_no_such_section(johan: PageClient, engine: Engine, at: str) -> None:
    johan.post(f"{at}/lines", {"section": "secrets", "text": "x"}, status=422)
    assert lines(engine) == []


def test_markup_stays_text(johan: PageClient, at: str) -> None:
    page = johan.post(f"{at}/lines", {"section": "matters", "text": "<script>alert(1)</script> ŋŧž 😀"})
    assert "<script>alert(1)</script> ŋŧž 😀" in page.text


def test_somebody_is_named_in_the_wheel(johan: PageClient, at: str) -> None:
    page = johan.open(at)
    assert "KoordinatorMangler" in page.text
    page = johan.submit(
        page, f"{at}/contacts", {"role": "coordinator", "name": "Marit Solli", "phone": "77 00 00 01"}
    )
    assert "KoordinatorMarit Solli" in page.text
    page = johan.submit(page, f"{at}/contacts", {"role": "coordinator"})
    assert "KoordinatorMangler" in page.text


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({"role": ""}, "role", "Velg en rolle fra lista."),
        ({"role": "king"}, "role", "Velg en rolle fra lista."),
        ({"role": "gp", "phone": "77 00 00 01"}, "name", "Skriv navnet."),
        ({"role": "gp", "name": "x" * 101}, "name", "Navnet er for langt. Det kan ha 100 tegn."),
        (
            {"role": "gp", "name": "Lege", "phone": "abc"},
            "phone",
            "Dette er ikke et telefonnummer. Skriv for eksempel 400 00 000.",
        ),
    ],
)
def test_a_person_that_does_not_do(
    johan: PageClient, at: str, typed: dict[str, str], field: str, said: str
) -> None:
    page = johan.post(f"{at}/contacts", typed, status=422)
    assert page.text.count(said) == 2
    assert f'href="#f-wheel.{field}"' in page.html


def test_somebody_elses_passport_is_not_there(
    johan: PageClient, engine: Engine, desk: Desk, at: str, now: datetime
) -> None:
    johan.strangers.add("Ola Hansen")
    ola = f"/staff/patients/{desk.ola.id}/passport"
    with Session(engine, expire_on_commit=False) as db:
        line = passport.write_line(db, desk.ward.geir, desk.ola.id, "talk", "Snakk sakte", now=now)
        db.commit()
    johan.open(ola, 404)
    johan.post(f"{ola}/lines", {"section": "talk", "text": "x"}, status=404)
    johan.post(f"{ola}/lines/{line.id}", {"do": "end"}, status=404)
    johan.post(f"{at}/lines/{line.id}", {"do": "end"}, status=409)
    johan.post(f"{at}/lines/{uuid4()}", {"do": "end"}, status=409)
    johan.post(f"{ola}/contacts", {"role": "gp", "name": "x"}, status=404)
    assert [one.ended_at for one in lines(engine)] == [None]


def test_patients_have_their_own_page(browser: PageClient, desk: Desk, at: str) -> None:
    browser.as_patient(desk.kari).open(at, 403)
