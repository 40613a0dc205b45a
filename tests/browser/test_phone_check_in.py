"""On the telephone in a real browser: a question that comes with an answer appears, and the keyboard stays where it was."""

from datetime import datetime

import pytest
from playwright.sync_api import expect
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from companion.models import Professional
from companion.rules.questionnaire import address
from companion.use_cases import sign_in
from tests.browser.conftest import DESK, IN_A_BROWSER, Machines
from tests.pages.at_home import at_home

pytestmark = IN_A_BROWSER


@pytest.fixture
def backend() -> str:
    """What a browser does with a question does not hang on the database's make."""
    return "sqlite"


def test_new_questions_appear_while_the_keyboard_stays(
    machines: Machines, engine: Engine, now: datetime
) -> None:
    home = at_home(engine, now)
    with Session(engine) as db:
        pid = db.get_one(Professional, home.ward.sofia.id).national_id
        opened = sign_in.from_identity(db, "professional", {"pid": pid}, now=now)
        db.commit()
    page = machines().window(DESK, session=opened.secret).new_page()
    page.goto(f"/staff/check-ins/{home.check_in.id}")
    page.get_by_role("group", name="Hvordan har du det nå?").get_by_label("Veldig bra", exact=True).check()
    worse, words = f"input[name='{address('worse')}']", f"textarea[name='{address('worse.text')}']"
    expect(page.locator(words)).to_have_count(0)
    page.locator(f"{worse}[value='a_little']").focus()
    page.keyboard.press("Space")
    expect(page.locator(words)).to_be_visible()
    expect(page.locator(f"{worse}[value='a_little']")).to_be_focused()
    expect(page.locator(f"{worse}[value='a_little']")).to_be_checked()
    expect(page.get_by_label("Veldig bra", exact=True)).to_be_checked()
    page.locator(words).fill("Mer hodepine")
    page.locator(f"input[name='{address('contact')}'][value='false']").check()
    for started in page.locator("input[value='yes']").all():
        started.check()
    page.get_by_role("button", name="Lagre svarene").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Svarene til Kari er lagret")
