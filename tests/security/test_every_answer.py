"""Headers and cookies of every answer, the way out of production, and the rights of the person."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.db import make_sessions
from companion.errors import Misconfigured
from companion.models import LinkToken, Patient, SignIn
from companion.rules.access import SYSTEM, Level
from companion.settings import Settings
from companion.use_cases.keeping import privacy
from tests.pages.client import PageClient
from tests.security import town as towns
from tests.security.conftest import House
from web.app import create_app
from web.house.settings import WebSettings

WHOLE = {
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "permissions-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "x-frame-options",
    "strict-transport-security",
    "cache-control",
    "x-request-id",
}
ODD = (
    ("GET", "/nope"), ("DELETE", "/privacy"), ("TRACE", "/privacy"), ("OPTIONS", "/patient"), ("HEAD", "/"),
    ("GET", "/static/nope.js"), ("GET", "/static/%00"), ("POST", "/l"), ("GET", "/meeting/x"),
    ("GET", "/api/openapi.json"), ("POST", "/hooks/twilio/status"),
)  # fmt: skip


@pytest.fixture
def safely(house: House) -> PageClient:
    """A browser of the same house behind https."""
    house.put_back()
    settings = Settings(environment="test", public_url="https://folge.example")
    clock = FixedClock(house.now)
    app = create_app(WebSettings(), settings=settings, engine=house.engine, clock=clock)
    return PageClient(app, make_sessions(house.engine), clock)


def check(answer: Any) -> None:
    headers = answer.headers
    assert set(headers) >= WHOLE
    assert "unsafe" not in headers["content-security-policy"]
    assert "server" not in headers
    for cookie in headers.get_list("set-cookie"):
        assert cookie.startswith("__Host-"), cookie
        for flag in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"):
            assert flag in cookie, cookie
        assert "Domain" not in cookie


def test_headers_and_cookies_of_every_answer(safely: PageClient, house: House) -> None:
    here = "https://folge.example"
    for method, route in towns.routes():
        check(safely.raw(method, here + towns.address(house.town, route)))
    for method, path in ODD:
        check(safely.raw(method, here + path))
    check(safely.raw("POST", here + "/k", content=b"x" * 1_000_001))


def test_nothing_of_a_person_may_be_cached(house: House) -> None:
    house.put_back()
    for walked in towns.routes():
        method, route = walked
        if method == "GET" and towns.access(route).audience != "public":
            answer = towns.entitled(house.browser, house.town, route).raw(
                method, towns.address(house.town, route)
            )
            assert "no-store" in answer.headers["cache-control"], route.path


@pytest.mark.parametrize("site", ["cross-site", "same-site", None])
def test_no_answer_to_a_request_that_a_stranger_may_have_worded_is_compressed(
    house: House, site: str | None
) -> None:
    house.put_back()
    headers = {"Accept-Encoding": "gzip, br"} | ({"Sec-Fetch-Site": site} if site else {})
    for walked in towns.routes():
        method, route = walked
        if method == "GET":
            browser = towns.entitled(house.browser, house.town, route)
            address = towns.address(house.town, route) + "?next=/a-guess&show=a-guess"
            answer = browser.raw(method, address, headers=headers)
            assert "content-encoding" not in answer.headers, route.path


def test_every_page_of_our_own_comes_compressed(house: House) -> None:
    house.put_back()
    for walked in towns.routes():
        method, route = walked
        if method == "GET":
            answer = towns.entitled(house.browser, house.town, route).raw(
                method, towns.address(house.town, route), headers={"Sec-Fetch-Site": "same-origin"}
            )
            page = answer.headers.get("content-type", "").startswith("text/html") and answer.text
            assert not page or answer.headers["content-encoding"] == "gzip", route.path


@pytest.mark.parametrize("missing", ["keys", "index_key"])
def test_production_needs_its_own_keys(missing: str) -> None:
    key = "Rm9yIG9wcGRpa3RlZGUgcGVyc29uZXIsIGJhcmUgZiE="
    keys = {"keys": f"k1:{key}", "index_key": key} | {missing: ""}
    with pytest.raises(Misconfigured, match=f"COMPANION_{missing.upper()}"):
        create_app(WebSettings(), settings=Settings(environment="production", **keys))  # type: ignore[arg-type]


def test_production_has_no_demo() -> None:
    key = "Rm9yIG9wcGRpa3RlZGUgcGVyc29uZXIsIGJhcmUgZiE="
    settings = Settings(environment="production", keys=f"k1:{key}", index_key=key)
    with pytest.raises(Misconfigured, match="never runs in production"):
        create_app(WebSettings(), settings=settings, demo=True)


def test_the_demos_doors_are_not_there_without_it(house: House) -> None:
    for path in ("/demo", "/demo/phones", "/demo/phones.json", "/demo/clock", "/demo/idp/authorize"):
        assert house.browser.raw("GET", path).status_code == 404
    assert house.browser.raw("POST", "/demo/be/kari").status_code == 404


def test_erased_although_a_link_is_open(browser: PageClient, engine: Engine, clock: FixedClock) -> None:
    town = towns.build(engine, clock.now())
    browser.as_patient(town.kari, Level.link)
    with Session(engine) as db:
        privacy.erase_patient(db, SYSTEM, town.kari.id, now=clock.now())
        db.commit()
    with Session(engine) as db:
        assert db.get_one(Patient, town.kari.id).phone is None
        mine = select(func.count()).select_from(LinkToken).where(LinkToken.patient_id == town.kari.id)
        assert db.scalar(mine) == 0
        assert db.scalar(select(func.count()).where(SignIn.patient_id == town.kari.id)) == 0
    assert browser.raw("GET", "/birth-date").status_code == 303
    assert browser.raw("GET", f"/meeting/{town.ids['meeting_id']}").status_code in (303, 404)


def test_what_a_form_gave_may_not_be_posted_again_by_somebody_else(house: House) -> None:
    house.put_back()
    browser = house.browser.as_patient(house.town.kari)
    hers = browser.token
    browser.as_patient(house.town.ola)
    answer = browser.raw(
        "POST", "/patient/settings", data={"csrf_token": hers}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert answer.status_code == 403


def test_a_session_that_was_left_alone_opens_nothing(
    browser: PageClient, engine: Engine, clock: FixedClock
) -> None:
    town = towns.build(engine, clock.now())
    browser.as_patient(town.kari)
    clock.forward(timedelta(minutes=31))
    for walked in towns.routes():
        if towns.access(walked[1]).audience == "patient" and walked[0] == "GET":
            assert browser.raw("GET", towns.address(town, walked[1])).status_code == 303, towns.name(walked)
