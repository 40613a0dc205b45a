"""What holds for every answer: headers, the commit before it, limits, and pages for what goes wrong."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog
from fastapi.responses import PlainTextResponse, Response
from sqlalchemy import Engine, event, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.db import make_sessions
from companion.errors import Misconfigured
from companion.models import Heartbeat, OneTimeCode
from companion.settings import Settings
from tests import cast
from tests.pages.client import PageClient
from web.app import create_app
from web.house import deps
from web.house.settings import WebSettings

FORM = {"phone": "400 00 001"}


@contextmanager
def a_disk_that_is_full() -> Iterator[None]:
    """Commits fail."""

    def refuse(_session: Session) -> None:
        raise RuntimeError("disk full")

    event.listen(Session, "before_commit", refuse)
    yield
    event.remove(Session, "before_commit", refuse)


def test_a_commit_that_fails_is_told(browser: PageClient, engine: Engine) -> None:
    browser.open("/sign-in/code")
    with a_disk_that_is_full():
        page = browser.post("/sign-in/code", FORM, status=500)
    assert page.h1 == "Noe gikk galt hos oss"
    assert "disk full" not in page.html
    with Session(engine) as db:
        assert db.scalars(select(OneTimeCode)).all() == []
    assert browser.post("/sign-in/code", FORM).h1 == "Skriv koden du fikk"


def test_every_answer_carries_the_headers(browser: PageClient) -> None:
    for method, path in (
        ("GET", "/healthz"),
        ("GET", "/nope"),
        ("GET", "/patient"),
        ("POST", "/"),
        ("GET", "/static/x.js"),
    ):
        answer = browser.raw(method, path)
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "camera=()" in answer.headers["permissions-policy"]
        assert "no-store" in answer.headers["cache-control"]
        assert "strict-transport-security" not in answer.headers
        assert len(answer.headers["x-request-id"]) == 32


def test_camera_and_microphone_only_in_the_meeting(browser: PageClient) -> None:
    assert (
        "camera=(self), microphone=(self)" in browser.raw("GET", "/meeting/x").headers["permissions-policy"]
    )


def test_behind_https_cookies_are_bound_to_the_host(
    settings: Settings, engine: Engine, clock: FixedClock
) -> None:
    public = settings.model_copy(update={"public_url": "https://folge.example"})
    browser = PageClient(
        create_app(WebSettings(), settings=public, engine=engine, clock=clock), make_sessions(engine), clock
    )
    answer = browser.raw("GET", "https://folge.example/k")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-form=")
    for flag in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"):
        assert flag in cookie
    assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


@pytest.mark.parametrize(
    ("method", "path", "status", "heading"),
    [
        ("GET", "/nope", 404, "Vi finner ikke denne siden"),
        ("GET", "/sign-in/somebody", 404, "Vi finner ikke denne siden"),
        ("DELETE", "/privacy", 405, "Vi finner ikke denne siden"),
    ],
)
def test_wrong_addresses_are_kind_pages(
    browser: PageClient, method: str, path: str, status: int, heading: str
) -> None:
    answer = browser.raw(method, path, headers={"Accept-Language": "nb"})
    assert answer.status_code == status
    assert f"<h1>{heading}</h1>" in answer.text


def test_too_much_is_refused_before_it_is_read(browser: PageClient) -> None:
    for body in (b"x" * 1_000_001, iter([b"x" * 600_000, b"x" * 600_000])):
        answer = browser.raw("POST", "/k", content=body)
        assert answer.status_code == 413
        assert "Det var for mye på en gang" in answer.text


@pytest.mark.parametrize(
    ("asked", "given"),
    [("en-GB,en;q=0.9", "en"), ("no", "nb"), ("fr, nn;q=0.5", "nn"), ("fr", "nb"), ("", "nb")],
)
def test_the_browsers_language_is_used(browser: PageClient, asked: str, given: str) -> None:
    assert f'<html lang="{given}"' in browser.raw("GET", "/sign-in", headers={"Accept-Language": asked}).text


def test_a_database_that_is_away_is_503(settings: Settings, clock: FixedClock, engine: Engine) -> None:
    app = create_app(WebSettings(), settings=settings, clock=clock, engine=engine)
    browser = PageClient(app, make_sessions(engine), clock)
    browser.open("/k")

    def refuse(*_: Any) -> None:
        raise OperationalError("select", {}, Exception("gone"))

    event.listen(engine, "before_cursor_execute", refuse)
    page = browser.post("/k", {"phone": "400 00 001", "code": "123456"}, status=503)
    ready = browser.raw("GET", "/readyz")
    event.remove(engine, "before_cursor_execute", refuse)
    assert page.h1 == "Vi er borte et øyeblikk"
    assert (ready.status_code, ready.json()["database"]) == (503, "away")


def test_ready_only_while_the_dispatcher_was_seen(
    browser: PageClient, clock: FixedClock, engine: Engine
) -> None:
    assert browser.raw("GET", "/readyz").json().items() >= {"database": "ok", "dispatcher": "away"}.items()
    with Session(engine) as db:
        db.add(Heartbeat(name="dispatcher", at=clock.now(), ticked_for=clock.now()))
        db.commit()
    assert browser.raw("GET", "/readyz").status_code == 200
    clock.forward(timedelta(minutes=3))
    assert browser.raw("GET", "/readyz").status_code == 503
    assert browser.raw("GET", "/healthz").json() == {"status": "ok"}


def test_a_route_that_does_not_say_who_it_is_for_does_not_come_into_being() -> None:
    def forgotten() -> Response:
        return PlainTextResponse("everybody's")

    with pytest.raises(Misconfigured, match="forgotten"):
        deps.new_router().get("/forgotten")(forgotten)


def test_the_log_names_routes_and_nobody(
    engine: Engine, settings: Settings, clock: FixedClock, now: datetime
) -> None:
    written = io.StringIO()
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(written),
        cache_logger_on_first_use=False,
    )
    try:
        browser = PageClient(
            create_app(WebSettings(), settings=settings, clock=clock, engine=engine),
            make_sessions(engine),
            clock,
        )
        with Session(engine, expire_on_commit=False) as db:
            cast.ward(db, now)
            kari = cast.kari(db, now)
            words = browser.link_for(db, kari)
            db.commit()
        browser.submit(browser.open("/l?next=" + words.token), "/l", {"token": words.token})
        browser.post("/k", {"phone": "400 00 001", "code": "12"}, status=422)
        browser.raw("GET", f"/meeting/{kari.id}")
    finally:
        structlog.configure(**before)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert {"/l", "/birth-date", "/k", "/meeting/{meeting_id}"} <= {line["route"] for line in lines}
    for secret in (words.token, "400", "Kari", str(kari.id), "1958"):
        assert secret not in re_without_ids(lines), secret


def re_without_ids(lines: list[dict[str, Any]]) -> str:
    """What was logged, without the request's own random id and its duration."""
    return json.dumps([{k: v for k, v in line.items() if k not in ("id", "ms")} for line in lines])


def test_public_files(browser: PageClient) -> None:
    assert "Contact: " in browser.raw("GET", "/.well-known/security.txt").text
    assert browser.raw("GET", "/manifest.webmanifest").json()["name"] == "Følge"
    for path in (
        "/privacy",
        "/accessibility",
        "/",
        "/sign-in",
        "/sign-in?level=high",
        "/sign-in?to=professional",
        "/signed-out",
    ):
        browser.open(path)


def test_a_script_is_told_where_to_go_and_never_led_there_unseen(browser: PageClient) -> None:
    asked = browser.raw("GET", "/patient", headers={"HX-Request": "true"})
    assert asked.status_code == 200
    assert asked.headers["HX-Redirect"].startswith("/sign-in")
    assert "location" not in asked.headers
    assert asked.text == ""
