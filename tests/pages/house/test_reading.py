"""Pages that only look do not wait for those that write; what they leave in the access log is there once, before the answer."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response
from sqlalchemy import Engine, event, func, select, text
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.db import make_sessions
from companion.models import AuditEvent, Heartbeat, Unit
from companion.settings import Settings
from tests.pages.at_home import AtHome, at_home, sign_in
from tests.pages.client import PageClient
from web.app import create_app
from web.house.deps import Db, Now, new_router
from web.house.frame import Frame
from web.house.security import access
from web.house.settings import WebSettings


@pytest.fixture
def backend() -> str:
    """PostgreSQL has no one lock for all."""
    return "sqlite"


@pytest.fixture
def home(engine: Engine, clock: FixedClock) -> AtHome:
    return at_home(engine, clock.now())


def lines(engine: Engine) -> int:
    with Session(engine) as db:
        return db.scalar(select(func.count()).select_from(AuditEvent)) or 0


def test_a_page_is_read_while_somebody_writes_and_its_line_waits_its_turn(
    browser: PageClient, engine: Engine, home: AtHome
) -> None:
    sign_in(browser, home)
    before, read = lines(engine), Event()

    def note(_c: object, _k: object, statement: str, *_rest: object) -> None:
        if "FROM measure" in statement:
            read.set()

    event.listen(engine, "after_cursor_execute", note)
    with ThreadPoolExecutor(1) as apart:
        with engine.begin() as writer:
            writer.execute(text("UPDATE unit SET hours = hours"))
            page = apart.submit(browser.raw, "GET", home.asks("how"))
            assert read.wait(10)
            assert not page.done()
        assert page.result().status_code == 200
    event.remove(engine, "after_cursor_execute", note)
    assert lines(engine) == before + 1


def test_a_page_without_a_line_waits_for_nobody(browser: PageClient, engine: Engine, home: AtHome) -> None:
    sign_in(browser, home)
    with engine.begin() as writer:
        writer.execute(text("UPDATE unit SET hours = hours"))
        assert browser.raw("GET", "/patient/settings").status_code == 200


def test_a_look_that_writes_too_late_is_begun_anew_and_done_once(
    settings: Settings, engine: Engine, home: AtHome, clock: FixedClock
) -> None:
    router, looks = new_router(), []

    @router.get("/counted")
    @access("public")
    def counted(db: Db, now: Now) -> Response:
        looks.append(db.scalars(select(Unit.key)).all())
        if len(looks) == 1:
            with engine.begin() as other:
                other.execute(text("UPDATE unit SET hours = 'changed'"))
        db.add(Heartbeat(name=f"look {len(looks)}", at=now, ticked_for=now))
        return PlainTextResponse("seen")

    frame: Frame = create_app(WebSettings(), settings=settings, engine=engine, clock=clock)
    app: FastAPI = frame._app  # type: ignore[assignment]
    app.include_router(router)
    browser = PageClient(frame, make_sessions(engine), clock)
    assert browser.raw("GET", "/counted").text == "seen"
    with Session(engine) as db:
        assert db.scalars(select(Heartbeat.name)).all() == ["look 2"]
