"""A check-in in a real browser: with scripts each answer brings the next question itself, without them nothing is missing."""

import re
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, Request, expect
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.models import CheckIn, Message
from companion.use_cases import sign_in
from tests.browser.conftest import IN_A_BROWSER, Machines
from tests.pages.at_home import AtHome, at_home

pytestmark = IN_A_BROWSER

# Somebody who is well, whose measures are under way.
WELL = ("Bra", "Ja, jeg er i gang", "Ja", "Nei", "0", "2")


@pytest.fixture
def backend() -> str:
    """What a browser does does not depend on the database."""
    return "sqlite"


@pytest.fixture
def home(engine: Engine, now: datetime) -> AtHome:
    return at_home(engine, now)


@pytest.fixture
def link(engine: Engine, home: AtHome, now: datetime) -> str:
    """The link of the message that asks Kari."""
    with Session(engine) as db:
        letter = db.scalars(select(Message).where(Message.check_in_id == home.check_in.id)).one()
        token = sign_in.issue_link(db, letter, now=now).token
        db.commit()
    return f"/l#{token}"


def documents(context: BrowserContext) -> list[str]:
    """What is asked of the server meanwhile, files left out."""
    asked: list[str] = []

    def note(request: Request) -> None:
        path = urlsplit(request.url).path
        if not path.startswith(("/static/", "/manifest", "/favicon")):
            asked.append(f"{request.method} {path}")

    context.on("request", note)
    return asked


def heading(page: Page) -> str:
    return page.get_by_role("heading", level=1).inner_text()


def come_in(page: Page, link: str) -> None:
    page.goto(link)
    for label, value in zip(("Dag", "Måned", "År"), ("4", "5", "1958"), strict=True):
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Fortsett").click()
    expect(page.get_by_role("progressbar")).to_be_visible()


def go_on(page: Page, button: str) -> None:
    """Taps the button; another page stands there afterwards."""
    before = heading(page)
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text(before)
    page.wait_for_load_state()


def say(page: Page, answers: tuple[str, ...] = WELL) -> None:
    """The first of the answers that the question offers."""
    for word in answers:
        card = page.get_by_role("radio", name=word, exact=True)
        if card.count():
            card.check()
            return go_on(page, "Neste")
    return go_on(page, "Hopp over" if page.get_by_role("button", name="Hopp over").count() else "Neste")


def say_everything(page: Page) -> int:
    """To the look over the answers; how many questions there were."""
    for asked in range(30):
        if heading(page) == "Se over svarene":
            return asked
        say(page)
    raise AssertionError("it never ends")


def test_with_scripts_an_answer_brings_the_next_question_and_a_check_in_costs_few_requests(
    machines: Machines, link: str, home: AtHome, engine: Engine
) -> None:
    context = machines().window()
    page, asked = context.new_page(), documents(context)
    come_in(page, link)
    questions = say_everything(page)
    go_on(page, "Send svarene")
    expect(page).to_have_url(re.compile("/ending$"))
    # Link, redeemed, birth date, checked, the first question; one for each answer; sent.
    assert len(asked) == 5 + questions + 1, asked
    assert [one for one in asked[5:] if one.startswith("GET")] == []
    with Session(engine) as db:
        assert db.get_one(CheckIn, home.check_in.id).state == "answered"


def test_a_question_that_came_in_place_is_a_page(machines: Machines, link: str) -> None:
    page = machines().window().new_page()
    came_from_elsewhere: list[str] = []
    page.on("console", lambda said: came_from_elsewhere.append(said.text))
    come_in(page, link)
    first, at_first = heading(page), page.url
    say(page)
    second, at_second = heading(page), page.url
    assert at_second != at_first
    assert page.evaluate("document.activeElement.tagName") == "H1"
    assert page.evaluate("scrollY") == 0
    expect(page).to_have_title(re.compile(re.escape(second)))
    say(page)
    assert heading(page) != second
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text(second)
    expect(page).to_have_url(at_second)
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text(first)
    expect(page.get_by_role("radio", checked=True)).to_have_count(1)
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text(first)
    assert came_from_elsewhere == []


def test_what_does_not_do_is_said_in_place(machines: Machines, link: str) -> None:
    context = machines().window()
    page = context.new_page()
    come_in(page, link)
    asked = documents(context)
    question, at = heading(page), page.url
    page.get_by_role("button", name="Neste").click()
    expect(page.locator("[data-faults]")).to_be_focused()
    assert heading(page) == question
    assert page.url == at
    assert len(asked) == 1
    say(page)


@pytest.mark.parametrize(
    ("change", "leads_to"),
    [
        (lambda check_in: setattr(check_in, "state", "answered"), "/ending"),
        (lambda check_in: setattr(check_in, "state", "expired"), ""),
    ],
    ids=["answered", "expired"],
)
def test_a_closed_check_in_leads_where_the_whole_page_would(
    machines: Machines,
    link: str,
    home: AtHome,
    engine: Engine,
    now: datetime,
    change: Callable[[CheckIn], None],
    leads_to: str,
) -> None:
    page = machines().window().new_page()
    come_in(page, link)
    with Session(engine) as db:
        row = db.get_one(CheckIn, home.check_in.id)
        change(row)
        row.answered_at = row.ended_at = now
        db.commit()
    say(page)
    expect(page).to_have_url(re.compile(f"{home.way}{leads_to}$"))


def test_who_is_signed_out_meanwhile_comes_to_the_door(machines: Machines, link: str) -> None:
    context = machines().window()
    page = context.new_page()
    come_in(page, link)
    context.clear_cookies()
    say(page)
    expect(page).to_have_url(re.compile("/sign-in"))
    expect(page.locator("main")).to_have_count(1)


def test_without_scripts_nothing_is_missing(
    machines: Machines, link: str, home: AtHome, engine: Engine
) -> None:
    machine = machines()
    page = machine.window().new_page()
    come_in(page, link)
    plain = machine.window(scripts=False)
    for cookie in page.context.cookies():
        plain.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": machine.url}])
    page, asked = plain.new_page(), documents(plain)
    page.goto(home.way)
    questions = say_everything(page)
    go_on(page, "Send svarene")
    expect(page).to_have_url(re.compile("/ending$"))
    assert len([one for one in asked if one.startswith("POST")]) == questions + 1
    with Session(engine) as db:
        assert db.get_one(CheckIn, home.check_in.id).state == "answered"
