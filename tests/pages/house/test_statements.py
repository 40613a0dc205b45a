"""What a page asks of the database, counted: the person asking in one statement, the page in a few, the access log at the end."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, event

from companion.clock import FixedClock
from companion.rules.access import Level
from tests.pages.at_home import AtHome, at_home, sign_in
from tests.pages.client import PageClient


@pytest.fixture
def home(engine: Engine, clock: FixedClock) -> AtHome:
    return at_home(engine, clock.now())


@contextmanager
def everything_asked(engine: Engine) -> Iterator[list[str]]:
    """Every statement meanwhile, the access log's too, but what begins a transaction or waits for the chain's turn."""
    asked: list[str] = []

    def note(_c: object, _k: object, statement: str, *_rest: object) -> None:
        if not statement.startswith("BEGIN") and "pg_advisory" not in statement:
            asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize(("page", "most"), [("question", 5), ("/patient/measures", 6)])
def test_a_patients_page_asks_little(
    browser: PageClient, engine: Engine, home: AtHome, page: str, most: int
) -> None:
    sign_in(browser, home)
    with everything_asked(engine) as asked:
        assert browser.raw("GET", home.asks("how") if page == "question" else page).status_code == 200
    assert len(asked) <= most, asked


def test_an_answer_with_its_next_question_asks_little(
    browser: PageClient, engine: Engine, home: AtHome
) -> None:
    sign_in(browser, home, Level.code)
    page = browser.open(home.asks("how"))
    by_script = {"HX-Request": "true", "HX-Target": "div#page", "X-CSRF-Token": browser.token}
    with everything_asked(engine) as asked:
        answer = browser.raw("POST", page.path, data={"answer": "good"}, headers=by_script)
    assert answer.status_code == 200
    assert len(asked) <= 6, asked
