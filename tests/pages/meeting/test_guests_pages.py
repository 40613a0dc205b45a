"""Guests on the pages: invited at the desk, come by the link alone, and learn whose meeting it is only if entitled to."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.models import Message
from companion.rules.access import Level
from companion.use_cases import meetings, sign_in
from tests import appointment as appointments
from tests.appointment import Appointment
from tests.pages.client import PageClient

DAY = timedelta(days=1)


@pytest.fixture
def offered(engine: Engine, clock: FixedClock) -> Appointment:
    """Tomorrow at ten."""
    with Session(engine, expire_on_commit=False) as db:
        made = appointments.make(db, clock.now())
        meetings.move(db, made.ward.johan, made.id, clock.now() + DAY, now=clock.now())
        db.commit()
    return made


@pytest.fixture
def at(offered: Appointment) -> str:
    return f"/staff/meetings/{offered.id}/participants"


def guest(browser: PageClient) -> PageClient:
    """The interpreter's telephone, with nothing but the link."""
    with browser.sessions() as db:
        letter = db.scalars(select(Message).where(Message.participant_id.is_not(None))).first()
        assert letter
        token = sign_in.issue_link(db, letter, now=browser.clock.now()).token
        return browser._carry(db, sign_in.redeem_link(db, token, now=browser.clock.now()))


def test_an_interpreter_is_invited_and_never_reads_whose_meeting_it_is(
    browser: PageClient, offered: Appointment, at: str
) -> None:
    browser.as_professional(offered.ward.johan)
    typed = {"name": "Tove Tolk", "phone": "400 00 077", "role": "interpreter"}
    page = browser.post(at, typed)
    assert "Tove Tolk" in page.text
    guest(browser).strangers = {"Kari", "Anne", "Nilsen"}
    page = browser.open(offered.path)
    assert page.h1 == "Møtet begynner i morgen kl. 10.00"
    assert "Du er invitert som tolk." in page.text
    assert "Med Johan Bakk, fysioterapeut." in page.text
    assert browser.post(f"{offered.path}/answer", {"answer": "yes"}).h1 == "Fint, da sees vi"
    for path in ("/patient", "/relative", "/staff"):
        assert browser.raw("GET", path, headers={"Accept": "text/html"}).status_code in (303, 403)
    assert browser.open(f"{offered.path}/other-time").h1 == "Når passer det bedre?"


def test_a_relative_and_an_invited_colleague_read_whose_meeting_it_is(
    browser: PageClient, offered: Appointment, at: str, engine: Engine
) -> None:
    browser.as_relative(offered.anne)
    assert "Møtet gjelder Kari." in browser.open(offered.path).text
    browser.as_professional(offered.ward.johan)
    page = browser.open(f"{at}?unit={offered.ward.art.id}")
    assert "Siri Myhre" in page.text
    invite = {"professional": str(offered.ward.siri.id), "unit": str(offered.ward.art.id)}
    browser.post(at, invite)
    browser.as_professional(offered.ward.siri)
    page = browser.open("/staff/meetings")
    assert "Du er invitert" in page.text
    assert page.links["Gå til møtet"] == offered.path
    assert at not in page.links.values()
    assert "Møtet gjelder Kari Nilsen." in browser.open(offered.path).text
    browser.open(at, 404)


def test_what_was_typed_stays_and_is_told_what_is_wrong(
    browser: PageClient, offered: Appointment, at: str
) -> None:
    browser.as_professional(offered.ward.johan)
    page = browser.post(at, {"name": "Tove Tolk", "phone": "77 62 60 00", "role": "interpreter"}, status=422)
    (form,) = [one for one in page.forms if "phone" in one.fields]
    assert (form.fields["name"], form.fields["phone"]) == ("Tove Tolk", "77 62 60 00")
    assert 'aria-invalid="true"' in page.html


def test_taken_off_on_the_page(browser: PageClient, offered: Appointment, at: str) -> None:
    browser.as_professional(offered.ward.johan)
    page = browser.open(at)
    (off,) = [form.action for form in page.forms if form.action.endswith("/remove")]
    page = browser.submit(page, off)
    assert "Pårørende med samtykke" in page.text, "Anne may be invited again"
    browser.as_relative(offered.anne, Level.code).open(offered.path, 404)
