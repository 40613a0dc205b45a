"""Two stories in a real browser: a patient whose session ends while writing, and a nurse whose machine dies over a long form."""

from datetime import datetime, timedelta

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.clock import ShiftedClock
from companion.models import Draft, Patient, Professional
from companion.rules.access import Actor, ActorKind, Level
from companion.use_cases import check_in, sign_in
from tests import cast
from tests.browser.conftest import DESK, IN_A_BROWSER, Machines, go
from tests.pages.at_home import AtHome, at_home

pytestmark = IN_A_BROWSER

WORDS = "Jeg er redd for å falle i trappa når ingen er hjemme."


@pytest.fixture
def backend() -> str:
    """What a browser does with a form does not hang on the database's make."""
    return "sqlite"


@pytest.fixture
def home(engine: Engine, now: datetime) -> AtHome:
    return at_home(engine, now)


def session(engine: Engine, person: Patient | Actor, audience: ActorKind, clock: ShiftedClock) -> str:
    """The person signs in at this moment."""
    with Session(engine) as db:
        patient = audience == "patient"
        found = db.get_one(Patient, person.id) if patient else db.get_one(Professional, person.id)
        pid = found.national_id
        secret = sign_in.from_identity(db, audience, {"pid": pid}, now=clock.now()).secret
        db.commit()
    return secret


def sign_in_again(context: BrowserContext, url: str, secret: str) -> None:
    context.add_cookies([{"name": "session", "value": secret, "url": url}])


def kept(page: Page) -> None:
    """Waits until the server has what was typed last."""
    expect(page.locator("[data-draft-line]")).to_have_text("Det du skriver, blir tatt vare på.")


def look_again(page: Page) -> None:
    """Whoever comes back to a page that stood open."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_a_patient_is_warned_stays_is_signed_out_while_writing_and_loses_nothing(
    machines: Machines, home: AtHome, engine: Engine, running_clock: ShiftedClock
) -> None:
    who = cast.actor(home.kari, Level.code)
    with Session(engine) as db:
        check_in.save(db, who, home.check_in.id, "worse", ["a_little"], now=running_clock.now())
        db.commit()
    machine = machines()
    context = machine.window(session=session(engine, home.kari, "patient", running_clock))
    page = context.new_page()
    page.goto(home.asks("worse.text"))
    box = page.get_by_role("textbox")
    box.press_sequentially(WORDS[:20])
    kept(page)
    running_clock.shift += timedelta(minutes=27)
    look_again(page)
    expect(page.get_by_text("minutter blir du logget ut")).to_be_visible()
    with page.expect_response("**/stay") as answered:
        page.get_by_role("button", name="Bli her").click()
    assert answered.value.status == 204
    expect(page.get_by_text("minutter blir du logget ut")).to_be_hidden()
    running_clock.shift += timedelta(minutes=31)
    box.press_sequentially(WORDS[20:])
    page.get_by_role("button", name="Neste").click()
    expect(page.get_by_text("Det du skrev, er tatt vare på")).to_be_visible()
    assert "next=" in page.url
    sign_in_again(context, machine.url, session(engine, home.kari, "patient", running_clock))
    page.goto("/patient")
    go(page.get_by_role("link", name="Fortsett der du var"))
    expect(page.get_by_role("textbox")).to_have_value(WORDS)
    page.get_by_role("button", name="Neste").click()
    expect(page.get_by_role("textbox")).to_have_count(0)
    with Session(engine) as db:
        assert db.scalars(select(Draft)).all() == []


def test_a_nurses_form_survives_a_dead_machine_and_going_back(
    machines: Machines, home: AtHome, engine: Engine, running_clock: ShiftedClock
) -> None:
    machine = machines()
    first = machine.window(DESK, session=session(engine, home.ward.sofia, "professional", running_clock))
    page = first.new_page()
    page.goto("/staff/discharge")
    typed = {"Navn": "Per Olsen", "Hva anbefales?": "Trening", "Hva er viktig for deg?": "Båten på fjorden."}
    for label, words in typed.items():
        page.get_by_label(label, exact=label == "Navn").fill(words)
    kept(page)
    first.close()
    second = machine.window(DESK, session=session(engine, home.ward.sofia, "professional", running_clock))
    page = second.new_page()
    page.goto("/staff")
    go(page.get_by_role("link", name="Fortsett der du var"))
    for label, words in typed.items():
        expect(page.get_by_label(label, exact=label == "Navn")).to_have_value(words)
    go(page.get_by_role("button", name="Lagre og skriv ut hjemreisearket"))
    expect(page.locator("[data-faults]")).to_be_visible()
    go(page.get_by_role("link", name="Pasienter", exact=True))
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ny utskriving")
    expect(page.get_by_label("Hva er viktig for deg?")).to_have_value("Båten på fjorden.")
    page.get_by_role("button", name="Kast det").click()
    expect(page.get_by_label("Hva er viktig for deg?")).to_have_value("")
