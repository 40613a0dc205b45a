"""Offering a video meeting, moving it, calling it off."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.models import Meeting, Message, Patient
from companion.use_cases import meetings as meet
from companion.use_cases.relatives import share
from tests import cast
from tests.pages.at_the_desk import Desk, furnish, raise_flag
from tests.pages.client import PageClient

GOOD = {"date": "2026-11-12", "time": "10:30", "minutes": "45", "kind": "follow_up"}


@pytest.fixture
def desk(engine: Engine, now: datetime) -> Desk:
    return furnish(engine, now)


@pytest.fixture
def at(desk: Desk) -> str:
    return f"/staff/patients/{desk.kari.id}/meeting"


@pytest.fixture
def johan(browser: PageClient, desk: Desk) -> PageClient:
    browser.as_professional(desk.ward.johan).strangers.add("Ola Hansen")
    return browser


def meetings(engine: Engine) -> list[Meeting]:
    with Session(engine, expire_on_commit=False) as db:
        return list(db.scalars(select(Meeting)))


def test_a_meeting_is_offered_with_a_relative(
    johan: PageClient, engine: Engine, desk: Desk, at: str, now: datetime
) -> None:
    draft = share.GrantDraft(
        "Anne Nilsen", cast.ANNE_PHONE, cast.ANNE_BORN, "datter", {"meetings"}, date(2027, 5, 10)
    )
    with Session(engine, expire_on_commit=False) as db:
        anne = share.give(db, desk.ward.sofia, desk.kari.id, draft, now=now).relative_id
        db.commit()
    page = johan.open(at)
    assert "Anne Nilsen (datter)" in page.text
    assert page.form(at).fields["date"] == "2026-11-11"
    page = johan.submit(page, at, {**GOOD, "relatives": str(anne)})
    assert page.h1 == "Kari Nilsen"
    assert "Videomøte tilbudt: torsdag 12. november kl. 10.30" in page.text.replace("\u00a0", " ")
    (meeting,) = meetings(engine)
    assert (meeting.starts_at, meeting.minutes) == (datetime(2026, 11, 12, 9, 30, tzinfo=UTC), 45)
    with Session(engine) as db:
        assert len(db.scalars(select(Message).where(Message.kind == "meeting")).all()) == 2


def test_a_meeting_about_a_case_is_noted_there(
    johan: PageClient, engine: Engine, desk: Desk, at: str, now: datetime
) -> None:
    found = raise_flag(engine, desk.kari, desk.ward.tromso, now)
    page = johan.open(f"{at}?flag={found.id}")
    assert "Gjelder: Ønsker å bli kontaktet" in page.text
    page = johan.submit(page, at, GOOD)
    assert "Tilbød et videomøte" in page.text


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("date", "", "Fyll ut dette feltet."),
        ("date", "i morgen", "Skriv en dato som finnes."),
        ("date", "2026-02-30", "Skriv en dato som finnes."),
        ("date", "2026-11-09", "Tidspunktet er passert. Velg et senere."),
        ("date", "2030-11-09", "Møtet er mer enn et år unna."),
        ("time", "", "Fyll ut dette feltet."),
        ("time", "halv ti", "Skriv et klokkeslett, for eksempel 10:00."),
        ("time", "25:00", "Skriv et klokkeslett, for eksempel 10:00."),
        ("minutes", "", "Velg hvor lenge møtet varer."),
        ("minutes", "5", "Velg hvor lenge møtet varer."),
        ("minutes", "٣٠", "Velg hvor lenge møtet varer."),
        ("kind", "party", "Velg et av svarene."),
    ],
)
def test_a_time_that_does_not_do(
    johan: PageClient, engine: Engine, at: str, field: str, typed: str, said: str
) -> None:
    page = johan.post(at, {**GOOD, field: typed}, status=422)
    assert page.text.count(said) == 2
    assert f'href="#f-{field}"' in page.html
    assert page.form(at).fields["time"] == {**GOOD, field: typed}["time"]
    assert meetings(engine) == []


def test_a_clash_is_told(johan: PageClient, engine: Engine, at: str) -> None:
    johan.post(at, GOOD)
    page = johan.post(at, {**GOOD, "time": "10:45"}, status=422)
    assert "Du har et annet møte da. Velg et annet tidspunkt." in page.text
    assert len(meetings(engine)) == 1


def test_a_relative_without_consent_is_not_invited(johan: PageClient, engine: Engine, at: str) -> None:
    page = johan.post(at, {**GOOD, "relatives": str(uuid4())}, status=422)
    assert "Den pårørende har ikke samtykke til møter på det tidspunktet." in page.text
    assert meetings(engine) == []


def test_somebody_without_sms_is_to_be_rung(johan: PageClient, engine: Engine, desk: Desk, at: str) -> None:
    with Session(engine) as db:
        db.get_one(Patient, desk.kari.id).contact_by = "call"
        db.commit()
    page = johan.open(at)
    assert "Kari tar ikke imot SMS." in page.text
    johan.submit(page, at, GOOD)
    assert "Ring og fortell om videomøtet" in johan.open("/staff").text


def test_a_meeting_is_moved_and_called_off(
    johan: PageClient, engine: Engine, desk: Desk, now: datetime
) -> None:
    with Session(engine, expire_on_commit=False) as db:
        meeting = meet.offer(db, desk.ward.johan, desk.kari.id, now + timedelta(days=1), now=now)
        db.commit()
    path = f"/staff/meetings/{meeting.id}"
    page = johan.open(path)
    assert page.form(f"{path}/move").fields["date"] == "2026-11-11"
    wrong = johan.post(f"{path}/move", {"date": "2026-11-01", "time": "10:00", "minutes": "30"}, status=422)
    assert "Tidspunktet er passert. Velg et senere." in wrong.text
    page = johan.submit(page, f"{path}/move", {"time": "13:15"})
    assert page.h1 == "Møter"
    assert "i morgen kl. 13.15" in page.text.lower().replace("\u00a0", " ")
    page = johan.submit(johan.open(path), f"{path}/cancel")
    assert "Ingen møter nå" in page.text
    assert "Møtet er avlyst" in johan.open(path).text


def test_other_units_meetings_are_not_there(
    johan: PageClient, engine: Engine, desk: Desk, at: str, now: datetime
) -> None:
    with Session(engine, expire_on_commit=False) as db:
        meeting = meet.offer(db, desk.ward.geir, desk.ola.id, now + timedelta(days=1), now=now)
        db.commit()
    ola = f"/staff/patients/{desk.ola.id}/meeting"
    johan.open(ola, 404)
    johan.post(ola, GOOD, status=404)
    for path in ("", "/move", "/cancel"):
        full = f"/staff/meetings/{meeting.id}{path}"
        if path:
            johan.post(full, GOOD, status=404)
        else:
            johan.open(full, 404)
    assert [one.state for one in meetings(engine)] == ["offered"]


def test_patients_do_not_offer(browser: PageClient, desk: Desk, at: str) -> None:
    browser.as_patient(desk.kari).open(at, 403)
