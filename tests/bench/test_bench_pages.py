"""The benchmark of the pages still runs, on the product as it is: a few people, no verdict on time."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import web
from sqlalchemy import func, select

from bench import lighthouse, pages, server, ten, wire
from bench.databases import Sqlite, settings
from bench.phone import Phone, Stuck
from bench.region import Region
from companion.clock import SystemClock
from companion.db import make_engine
from companion.models import Patient

# They start servers, a browser and the phones' own process; how long that takes is no promise.
pytestmark = pytest.mark.timeout(300)
FORM = (
    '<form method="post" action="{action}"><input type="hidden" name="csrf_token" value="t">{inside}</form>'
)
DATES = "".join(f'<input name="{name}">' for name in ("day", "month", "year"))
CARDS = "".join(f'<input type="radio" name="answer" value="{value}">' for value in ("clearly", "no"))


@pytest.fixture
def posted() -> list[dict[str, Any]]:
    """What the pretended server was sent, with what htmx said about itself."""
    return []


def test_everybody_comes_from_the_sms_to_the_ending_and_is_counted(tmp_path: Path) -> None:
    part = ten.measure(Sqlite(tmp_path), None, people=3, rounds=1, at_once=(2,), bare_seconds=0.1)
    assert [figure.name for figure in part.figures] == [
        "bare route, 2 at once",
        "SQLite, 1 process, 2 at once: requests",
        "SQLite, 1 process, 2 at once: finished check-ins",
        "SQLite, 1 process: requests a check-in",
    ]
    # Everybody needed as many as everybody else.
    assert part.figures[-1].values[0].is_integer()


def test_a_server_that_cannot_be_so_many_processes_is_said_and_not_measured(tmp_path: Path) -> None:
    with pytest.raises(server.Refused), server.product(f"sqlite:///{tmp_path}/none/at/all.sqlite3", 2):
        pass


def test_pages_are_measured_small_and_grown_and_all_their_statements_counted(tmp_path: Path) -> None:
    part = pages.measure(
        [Sqlite(tmp_path)],
        (10, 20),
        rounds=1,
        seconds=0.1,
        shelf=tmp_path,
        only=("question",),
    )
    speeds = [figure.name for figure in part.figures if not figure.name.endswith("statements")]
    assert speeds == [
        "bare route, beside SQLite",
        "SQLite, question, 10 patients",
        "SQLite, question, 20 patients",
    ]
    counted = {figure.name: figure.median for figure in part.figures if figure.name.endswith("statements")}
    assert counted["link: statements"] == 0
    assert all(many for page, many in counted.items() if page != "link: statements")
    assert len(counted) == 15


def test_a_filled_region_is_kept_for_the_day_and_copied(tmp_path: Path) -> None:
    shelf, here = tmp_path / "shelf", Region(20, SystemClock().now())
    shelf.mkdir()
    sqlite = Sqlite(tmp_path)
    first, second = (pages.filled(sqlite, here, shelf, keep_from=20) for _ in range(2))
    assert first != second
    assert len(list(shelf.iterdir())) == 1
    for url in (first, second):
        engine = make_engine(settings(url))
        with engine.begin() as connection:
            assert connection.scalar(select(func.count()).select_from(Patient)) == 20
        engine.dispose()


@pytest.mark.browser
def test_a_page_is_weighed_as_a_browser_receives_it_and_weighs_less_when_seen_again(tmp_path: Path) -> None:
    part = wire.measure(Sqlite(tmp_path), only=("question",))
    assert [figure.name for figure in part.figures] == [
        "from the SMS to the birth date",
        "on to the first question",
        "an answer and the next question",
        "question, first view",
        "question, later view",
    ]
    *walk, first, later = (figure.median for figure in part.figures)
    assert min(walk) > 0
    assert first > later > 0


def test_points_are_read_from_what_lighthouse_says(tmp_path: Path) -> None:
    said = {"categories": {name: {"score": 0.97} for name in lighthouse.AT_LEAST}}
    node = tmp_path / "venv/bin/node"
    node.parent.mkdir(parents=True)
    node.write_text(f"#!/bin/sh\necho '{json.dumps(said)}'\n")
    node.chmod(0o755)
    part = lighthouse.measure(Sqlite(tmp_path), tmp_path, rounds=1)
    assert [figure.median for figure in part.figures] == [97.0] * 9
    assert not any(figure.met for figure in part.figures)


def test_a_phone_follows_forms_by_the_browser_and_by_htmx(posted: list[dict[str, Any]]) -> None:
    by_htmx = (
        '<main id="content"><form hx-post="{action}" hx-target="#content" id="ask">{inside}</form></main>'
    )
    requests = uvloop.run(
        _answered(
            {
                "/l": FORM.format(action="/l", inside='<input type="hidden" name="token">'),
                "/birth-date": FORM.format(action="/birth-date", inside=DATES),
                "/q1": by_htmx.format(action="/q1", inside=CARDS),
            },
            {
                "/l": "/birth-date",
                "/birth-date": "/q1",
                "/q1": FORM.format(action="/send", inside=""),
                "/send": "/ending",
            },
            posted,
        )
    )
    # The page of the link and every POST; three redirects are followed; what htmx got is the next page itself.
    assert requests == 1 + 4 + 3
    assert posted[0]["token"] == "secret"
    assert posted[1]["day"] == "4"
    assert posted[2] == {"answer": "no", "htmx": "main#content"}
    assert posted[3] == {"csrf_token": "t", "htmx": None}


def test_a_phone_that_finds_no_way_on_says_where(posted: list[dict[str, Any]]) -> None:
    with pytest.raises(Stuck, match="no way on from /l"):
        uvloop.run(_answered({"/l": "<p>Nothing to do.</p>"}, {}, posted))


async def _answered(shown: dict[str, str], after: dict[str, str], posted: list[dict[str, Any]]) -> int:
    """How many requests somebody needed on a pretended server: the pages `shown`, and what a POST to an address leads to."""
    took: list[float] = []
    async with _pretended(shown, after, posted) as url, aiohttp.ClientSession() as session:
        await Phone(session, url, took).answer_link("secret")
    return len(took)


@asynccontextmanager
async def _pretended(
    shown: dict[str, str], after: dict[str, str], posted: list[dict[str, Any]]
) -> AsyncIterator[str]:
    async def show(request: web.Request) -> web.Response:
        return web.Response(text=shown.get(request.path, "<p>Takk.</p>"), content_type="text/html")

    async def take(request: web.Request) -> web.Response:
        posted.append({**await request.post(), "htmx": request.headers.get("HX-Target")})
        leads_to = after[request.path]
        if leads_to.startswith("/"):
            return web.Response(status=303, headers={"Location": leads_to})
        return web.Response(text=leads_to, content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", show)
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
