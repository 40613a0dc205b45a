"""HEAD is GET without the body: the same answer, the same work, no more."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import Engine, event

from companion.clock import FixedClock
from companion.db import make_sessions
from companion.demo import PERSONAS
from companion.settings import Settings
from tests.pages.client import PageClient
from tests.security import town as towns
from tests.security.conftest import House
from tests.security.town import Walked
from web.app import create_app
from web.demo import routes as demo_routes
from web.house.settings import WebSettings

READ = [one for one in towns.routes() if one[0] == "GET"]
# A page holds a token that is new each time, so its compressed length would never be the same.
ASKED = {"Sec-Fetch-Site": "same-origin", "Accept-Language": "nb", "Accept-Encoding": "identity"}
# Made anew for every answer.
EACH_TIME = {"x-request-id", "set-cookie"}


@contextmanager
def overheard(engine: Engine) -> Iterator[list[str]]:
    """What is said to the database meanwhile."""
    said: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    event.listen(engine, "before_cursor_execute", hear)
    yield said
    event.remove(engine, "before_cursor_execute", hear)


def answered(
    house: House, method: str, walked: Walked
) -> tuple[int, list[tuple[str, str]], bytes, list[str]]:
    """Status, headers, body, and what was said to the database, each time from the first day on."""
    house.put_back()
    browser = towns.entitled(house.browser, house.town, walked[1])
    with overheard(house.engine) as said:
        answer = browser.raw(method, towns.address(house.town, walked[1]), headers=ASKED)
    return answer.status_code, told(answer), answer.content, said


def told(answer: Any) -> list[tuple[str, str]]:
    """Its headers, without the values of those that are never the same."""
    return [(name, "" if name in EACH_TIME else value) for name, value in answer.headers.multi_items()]


def alike(browser: PageClient, path: str) -> int:
    """Asks as two strangers, one each way; the status both got."""
    get, head = (browser.as_nobody().raw(method, path, headers=ASKED) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content, told(head)) == (get.status_code, b"", told(get)), path
    return int(head.status_code)


@pytest.mark.parametrize("walked", READ, ids=towns.name)
def test_head_answers_as_get_and_does_no_more(house: House, walked: Walked) -> None:
    status, headers, _body, work = answered(house, "GET", walked)
    assert answered(house, "HEAD", walked) == (status, headers, b"", work)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/api/openapi.json", 200),
        ("/nope", 404),
        ("/static/nope.js", 404),
        ("/sign-out", 405),
    ],
)
def test_so_does_what_is_for_everybody_or_not_there(house: House, path: str, status: int) -> None:
    assert alike(house.browser, path) == status


def test_so_does_a_file(house: House) -> None:
    script = next((Path(__file__).parents[2] / "web/static/dist").glob("*.js"))
    assert alike(house.browser, f"/static/dist/{script.name}") == 200


def test_so_does_the_demo(engine: Engine, settings: Settings, clock: FixedClock) -> None:
    app = create_app(
        WebSettings(), settings=settings, engine=engine, clock=clock, demo=True, personas=PERSONAS
    )
    paths = [
        route.path
        for route in demo_routes.router.routes
        if isinstance(route, APIRoute) and "GET" in (route.methods or ())
    ]
    assert "/demo" in paths
    for path in paths:
        alike(PageClient(app, make_sessions(engine), clock), path)
