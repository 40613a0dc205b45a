"""Whether the time suits, on the pages: one tap from wherever the meeting is shown; and how it went, at the desk."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.models import Flag, Meeting
from companion.rules.access import Level
from companion.use_cases import meetings
from tests import appointment as appointments
from tests.appointment import Appointment
from tests.pages.client import PageClient

DAY = timedelta(days=1)


@pytest.fixture
def offered(engine: Engine, now: datetime) -> Appointment:
    """In three days."""
    with Session(engine, expire_on_commit=False) as db:
        made = appointments.make(db, now)
        meetings.move(db, made.ward.johan, made.id, now + 3 * DAY, now=now)
        db.commit()
    return made


def answers(engine: Engine) -> list[str | None]:
    with Session(engine) as db:
        return [one.answer for one in db.scalars(select(Meeting)).one().participants]


@pytest.mark.parametrize("at", ["/patient", "/patient/meetings", "the link alone"])
def test_one_tap_from_wherever_the_meeting_is_shown(
    browser: PageClient, engine: Engine, offered: Appointment, at: str
) -> None:
    browser.as_patient(offered.kari, Level.high)
    page = browser.open(offered.path if at == "the link alone" else at)
    said = [form for form in page.forms if form.action == f"{offered.path}/answer"]
    assert [form.buttons for form in said] == [["Passer"], ["Passer ikke"]]
    page = browser.post(said[1].action, said[1].fields)
    assert page.h1 == "Takk for beskjed"
    assert answers(engine) == [None, "no", None]
    page = browser.open(offered.path)
    assert "Du har svart: passer ikke" in page.text
    assert browser.post(f"{offered.path}/answer", {"answer": "yes"}).h1 == "Fint, da sees vi"


def test_another_time_in_the_person_s_own_words_reaches_the_desk(
    browser: PageClient, offered: Appointment, engine: Engine
) -> None:
    browser.as_relative(offered.anne)
    page = browser.open(f"{offered.path}/other-time")
    assert page.h1 == "Når passer det bedre?"
    page = browser.submit(page, f"{offered.path}/answer", {"text": "Etter klokka tolv."})
    assert page.h1 == "Takk for beskjed"
    assert answers(engine) == [None, None, "other"]
    browser.as_professional(offered.ward.johan)
    assert "Anne Nilsen: ber om en annen tid" in browser.open("/staff/meetings").text
    case = browser.open(f"/staff/patients/{offered.kari.id}").text
    assert "Tiden for videomøtet passer ikke for Anne Nilsen. «Etter klokka tolv.»" in case


def test_what_is_too_long_is_kept_and_said(browser: PageClient, offered: Appointment) -> None:
    browser.as_patient(offered.kari)
    written = "Kanskje. " * 60
    page = browser.post(f"{offered.path}/answer", {"answer": "other", "text": written}, status=422)
    assert "Skriv litt kortere, høyst 500 tegn." in page.text
    assert page.form(f"{offered.path}/answer").fields["text"].strip() == written.strip()


def test_of_a_cancelled_one_nothing_is_answered(
    browser: PageClient, offered: Appointment, engine: Engine, now: datetime
) -> None:
    browser.as_patient(offered.kari)
    with Session(engine) as db:
        meetings.cancel(db, offered.ward.johan, offered.id, now=now)
        db.commit()
    assert browser.post(f"{offered.path}/answer", {"answer": "yes"}).h1 == "Møtet er avlyst"


def test_how_it_went_is_written_with_one_tap_and_settles_ring_meg(
    browser: PageClient, offered: Appointment, clock: FixedClock, engine: Engine
) -> None:
    at = f"/staff/meetings/{offered.id}/outcome"
    browser.as_professional(offered.ward.johan)
    assert "Møtet har ikke vært ennå" in browser.open(at).text
    clock.forward(3 * DAY + timedelta(minutes=5))
    browser.as_patient(offered.kari).post(f"{offered.path}/call-me")
    browser.as_professional(offered.ward.johan)
    page = browser.open("/staff/meetings")
    assert at in page.links.values()
    page = browser.open(at)
    assert page.form(at).fields["outcome"] == "phone"
    page = browser.submit(page, at, {"text": "Ringte."})
    assert page.h1 == "Møter"
    assert "Holdt på telefon" in page.text
    with Session(engine) as db:
        assert db.scalars(select(Flag.state).where(Flag.code == "call_me")).one() == "closed"
    case = browser.open(f"/staff/patients/{offered.kari.id}").text
    assert "Videomøtet: holdt på telefon" in case
    assert "Ringte." in case


def test_nothing_chosen_is_asked_for(browser: PageClient, offered: Appointment, clock: FixedClock) -> None:
    clock.forward(3 * DAY)
    browser.as_professional(offered.ward.johan)
    page = browser.post(f"/staff/meetings/{offered.id}/outcome", {"text": "Hm."}, status=422)
    assert page.form(f"/staff/meetings/{offered.id}/outcome").fields["text"].strip() == "Hm."
