"""An open worklist in a real browser: a new red case comes by itself, is heard and stands in the title."""

from collections.abc import Callable
from datetime import datetime

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from companion.clock import ShiftedClock
from companion.models import Professional, SignIn
from companion.use_cases import sign_in
from tests.browser.conftest import DESK, IN_A_BROWSER, Machines, until
from tests.pages.at_the_desk import Desk, furnish, raise_flag, with_flag

pytestmark = IN_A_BROWSER

# Counts what sounds; the page's own sound goes on.
LISTEN = """
window.rang = 0;
const Tone = OscillatorNode;
window.OscillatorNode = class extends Tone { start(...at) { window.rang += 1; super.start(...at); } };
"""


@pytest.fixture
def backend() -> str:
    """What a browser does does not depend on the database."""
    return "sqlite"


@pytest.fixture
def desk(engine: Engine, now: datetime) -> Desk:
    return furnish(engine, now)


@pytest.fixture
def johans(engine: Engine, desk: Desk, now: datetime, machines: Machines) -> Page:
    """Johan's window; its clock is moved by the test."""
    with Session(engine) as db:
        pid = db.get_one(Professional, desk.ward.johan.id).national_id
        opened = sign_in.from_identity(db, "professional", {"pid": pid}, now=now)
        db.commit()
    page = machines().window(DESK, session=opened.secret).new_page()
    page.add_init_script(LISTEN)
    page.clock.install()
    return page


def half_a_minute(page: Page) -> None:
    """The page asks once more, and is answered."""
    with page.expect_response(lambda answer: "/staff/fresh" in answer.url):
        page.clock.fast_forward(31_000)


def test_a_new_red_case_is_heard_and_seen_and_a_page_without_the_server_says_so(
    johans: Page, engine: Engine, desk: Desk, now: datetime, running_clock: ShiftedClock
) -> None:
    rang: Callable[[], int] = lambda: johans.evaluate("window.rang")  # noqa: E731
    raised = raise_flag(engine, desk.kari, desk.ward.tromso, now, "high_fatigue", "amber")
    johans.goto("/staff")
    expect(johans.locator("#fresh")).to_contain_text("Oppdatert kl. 10.0")
    johans.get_by_label("Lyd ved ny rød sak").check()
    until(johans, lambda: rang() == 1)
    half_a_minute(johans)
    assert rang() == 1

    raise_flag(engine, desk.kari, desk.ward.tromso, running_clock.now(), quote="Verre i hodet")
    half_a_minute(johans)
    expect(johans.get_by_role("alert").get_by_text("1 ny rød sak siden du åpnet lista.")).to_be_visible()
    expect(johans.get_by_text("«Verre i hodet»")).to_be_visible()
    expect(johans.get_by_text("2 saker · 1 rød")).to_be_visible()
    expect(johans).to_have_title("(1) Arbeidsliste – Rehabiliteringsteamet, Tromsø")
    until(johans, lambda: rang() == 2)

    with_flag(engine, raised, "claim", desk.ward.johan, running_clock.now())
    half_a_minute(johans)
    expect(johans.get_by_text("Tatt av Johan")).to_be_visible()
    assert rang() == 2

    johans.context.set_offline(True)
    johans.clock.fast_forward(31_000)
    expect(johans.get_by_text("Lista oppdateres ikke nå.")).to_be_visible()
    johans.context.set_offline(False)
    half_a_minute(johans)
    expect(johans.get_by_text("Lista oppdateres ikke nå.")).to_be_hidden()

    with Session(engine) as db:
        db.execute(update(SignIn).values(ended_at=now))
        db.commit()
    johans.clock.fast_forward(31_000)
    johans.wait_for_url("**/sign-in?**next=%2Fstaff")
