"""The doors: links, typed codes, one-time codes, leaving; and that every route keeps out whoever it is not for."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.db import make_engine, make_sessions
from companion.models import CheckIn, Message, Patient, Relative, SignIn
from companion.rules.access import Level
from companion.rules.national_id import make_synthetic
from companion.settings import Settings
from companion.use_cases import sign_in
from tests import cast
from tests.pages.client import PageClient, without_token
from web.app import ROUTERS, create_app
from web.house.security import PERSONS, SAFE, Access, access_of
from web.house.settings import WebSettings

ANNE_ID = make_synthetic(cast.ANNE_BORN, 0)
BORN = {"day": "4", "month": "mai", "year": "1958"}


@dataclass
class People:
    """Who is there to come to a door."""

    ward: cast.Ward
    kari: Patient
    anne: Relative


@pytest.fixture
def people(engine: Engine, now: datetime) -> People:
    return make_people(engine, now)


def make_people(engine: Engine, now: datetime) -> People:
    """The ward, Kari at home, and Anne as somebody may have registered her."""
    with Session(engine, expire_on_commit=False) as db:
        ward = cast.ward(db, now)
        kari = cast.kari(db, now)
        anne = Relative(
            name="Anne Nilsen",
            national_id=ANNE_ID,
            national_id_index=ANNE_ID,
            birth_date=cast.ANNE_BORN.isoformat(),
            phone=cast.ANNE_PHONE,
            created_at=now,
        )
        db.add(anne)
        db.commit()
    return People(ward, kari, anne)


def letter(browser: PageClient, people: People) -> sign_in.Words:
    """What Kari's SMS carries."""
    with browser.sessions() as db:
        words = browser.link_for(db, db.get_one(Patient, people.kari.id))
        db.commit()
    return words


# --- links ------------------------------------------------------------------------------------------------------------


def test_a_link_asks_for_the_birth_date_and_opens_the_home_page(browser: PageClient, people: People) -> None:
    words = letter(browser, people)
    page = browser.submit(browser.open("/l"), "/l", {"token": words.token})
    assert page.h1 == "Er du Kari?"
    answer = browser.raw("POST", "/birth-date", data={**BORN, "csrf_token": browser.token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/patient")
    with browser.sessions() as db:
        levels = [(s.level, s.ended_at is None) for s in db.scalars(select(SignIn).order_by(SignIn.id))]
    assert levels == [("link", False), ("code", True)]


def test_opening_a_link_spends_nothing(browser: PageClient, people: People) -> None:
    words = letter(browser, people)
    for method in ("GET", "HEAD", "OPTIONS"):
        browser.raw(method, "/l")
    assert "session" not in browser.browser.cookies
    browser.submit(browser.open("/l"), "/l", {"token": words.token})
    assert browser.browser.cookies.get("session")


def test_a_wrong_birth_date_says_so_and_keeps_what_was_typed(browser: PageClient, people: People) -> None:
    browser.submit(browser.open("/l"), "/l", {"token": letter(browser, people).token})
    page = browser.post("/birth-date", {**BORN, "day": "5"}, status=422)
    assert "Datoen passer ikke" in page.text
    assert page.form("/birth-date").fields["month"] == "mai"


def test_what_is_no_date_costs_no_try(browser: PageClient, people: People) -> None:
    browser.submit(browser.open("/l"), "/l", {"token": letter(browser, people).token})
    for _ in range(9):
        browser.post("/birth-date", {"day": "", "month": "", "year": ""}, status=422)
    answer = browser.raw("POST", "/birth-date", data={**BORN, "csrf_token": browser.token})
    assert answer.status_code == 303


def test_a_locked_link_names_the_next_doors(browser: PageClient, people: People) -> None:
    browser.submit(browser.open("/l"), "/l", {"token": letter(browser, people).token})
    for _ in range(4):
        browser.post("/birth-date", {**BORN, "day": "5"}, status=422)
    page = browser.post("/birth-date", {**BORN, "day": "5"}, status=423)
    assert page.h1 == "Lenken er stengt"
    assert {"/k", "/sign-in"} <= set(page.links.values())
    sent = browser.submit(page, "/l/new")
    assert sent.h1 == "Vi sender en ny lenke"
    with browser.sessions() as db:
        kinds = [
            m.patient_id
            for m in db.scalars(select(Message).where(Message.dedupe_key.startswith("new_link:")))
        ]
    assert kinds == [people.kari.id]


def test_an_expired_link_offers_a_new_one(browser: PageClient, people: People, clock: FixedClock) -> None:
    words = letter(browser, people)
    clock.forward(sign_in.LINK_LIFE)
    page = browser.submit(browser.open("/l"), "/l", {"token": words.token}, status=410)
    assert page.h1 == "Lenken er for gammel"
    assert browser.submit(page, "/l/new").h1 == "Vi sender en ny lenke"


def test_an_unknown_link_is_a_kind_page(browser: PageClient, people: People) -> None:
    page = browser.submit(browser.open("/l"), "/l", {"token": "x" * 22}, status=404)
    assert page.h1 == "Lenken eller koden virker ikke"
    assert [form.action for form in page.forms] == []


def test_a_link_to_a_check_in_lands_there(browser: PageClient, people: People) -> None:
    with browser.sessions() as db:
        check_in = db.scalars(select(CheckIn).where(CheckIn.patient_id == people.kari.id)).first()
        words = browser.link_for(db, db.get_one(Patient, people.kari.id), check_in=check_in)
        db.commit()
        assert check_in is not None
    browser.submit(browser.open("/l"), "/l", {"token": words.token})
    answer = browser.raw("POST", "/birth-date", data={**BORN, "csrf_token": browser.token})
    assert answer.headers["location"] == f"/patient/check-in/{check_in.id}"


def test_the_typed_way_leads_to_the_same_question(browser: PageClient, people: People) -> None:
    words = letter(browser, people)
    page = browser.submit(browser.open("/k"), "/k", {"phone": "400 00 001", "code": words.code})
    assert (page.path, page.h1) == ("/birth-date", "Er du Kari?")


def test_a_wrong_typed_code_keeps_what_was_typed(browser: PageClient, people: People) -> None:
    words = letter(browser, people)
    wrong = "000000" if words.code != "000000" else "111111"
    page = browser.submit(browser.open("/k"), "/k", {"phone": "400 00 001", "code": wrong}, status=422)
    assert page.form("/k").fields["phone"] == "400 00 001"
    assert "passer ikke til dette nummeret" in page.text


# --- one-time codes ---------------------------------------------------------------------------------------------------


def test_a_code_by_sms_opens(browser: PageClient, people: People) -> None:
    asked = browser.submit(browser.open("/sign-in/code"), "/sign-in/code", {"phone": "400 00 001"})
    with browser.sessions() as db:
        sent = db.scalars(select(Message).where(Message.kind == "sign_in_code")).one()
        code = sign_in.issue_link(db, sent, now=browser.clock.now()).code
        db.commit()
    wrong = browser.submit(asked, "/sign-in/code/enter", {**BORN, "code": code, "day": "5"}, status=422)
    form = wrong.form("/sign-in/code/enter")
    answer = browser.raw("POST", form.action, data={**form.fields, **BORN, "code": code})
    assert (answer.status_code, answer.headers["location"]) == (303, "/patient")


def test_an_unknown_number_sees_the_same_page(browser: PageClient, people: People) -> None:
    known = browser.submit(browser.open("/sign-in/code"), "/sign-in/code", {"phone": "400 00 001"})
    unknown = browser.submit(browser.open("/sign-in/code"), "/sign-in/code", {"phone": "400 00 009"})
    assert without_token(known.html).replace("400 00 001", "400 00 009") == without_token(unknown.html)


# --- out --------------------------------------------------------------------------------------------------------------


def test_signing_out_ends_the_session_and_empties_the_browser(browser: PageClient, people: People) -> None:
    browser.as_professional(people.ward.sofia)
    kept = browser.browser.cookies["session"]
    answer = browser.raw("POST", "/sign-out", data={"csrf_token": browser.token})
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    assert answer.headers["location"] == "/signed-out"
    with browser.sessions() as db:
        assert sign_in.actor(db, kept, now=browser.clock.now()) is None


def test_the_way_back_stays_at_home(browser: PageClient, people: People) -> None:
    for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example", "/a\nb", "evil"):
        page = browser.open("/sign-in/code?next=" + quote(elsewhere))
        assert page.form("/sign-in/code").fields["next"] == ""
    assert browser.open("/sign-in/code?next=/patient").form("/sign-in/code").fields["next"] == "/patient"


# --- every route ------------------------------------------------------------------------------------------------------

EVERY = [
    (method, route)
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods or ())
]


def walk(wanted: Callable[[str, Access], bool]) -> pytest.MarkDecorator:
    """One test per route and method that is wanted."""
    chosen = [(method, route) for method, route in EVERY if wanted(method, access_of(route.endpoint))]
    return pytest.mark.parametrize(
        ("method", "route"), chosen, ids=[f"{method} {route.path}" for method, route in chosen]
    )


def for_people(_method: str, access: Access) -> bool:
    """Not for everybody."""
    return access.audience in PERSONS


def for_one_kind(_method: str, access: Access) -> bool:
    """For one kind of person only, so there is somebody it is not for."""
    return access.audience in ("patient", "relative", "professional")


def unsafe(method: str, _access: Access) -> bool:
    """Changes something."""
    return method not in SAFE


def address(route: APIRoute) -> str:
    """The route's address with ids that belong to nobody."""
    return re.sub(r"\{(\w+)[^}]*\}", lambda name: "1" if "number" in name[1] else str(uuid4()), route.path)


def refused(browser: PageClient, method: str, route: APIRoute) -> bool:
    """Whether the door stays shut: off to sign in, or not allowed. Anything the route itself says is not a refusal."""
    headers = {"Sec-Fetch-Site": "same-origin"}
    answer = browser.raw(
        method,
        address(route),
        headers=headers,
        data={"csrf_token": browser.token} if method != "GET" else None,
    )
    if answer.status_code == 303:
        return bool(re.match(r"/(sign-in|birth-date)(\?|$)", answer.headers["location"]))
    return bool(answer.status_code == 403)


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[tuple[PageClient, People]]:
    """One application for the whole walk: who gets in does not hang on the database's make."""
    own = tmp_path_factory.mktemp("walk") / "walk.sqlite3"
    shutil.copyfile(sqlite_template, own)
    settings = Settings(environment="test", database_url=f"sqlite:///{own}")
    engine = make_engine(settings)
    clock = FixedClock(datetime(2026, 11, 10, 9, 0, tzinfo=UTC))
    app = create_app(WebSettings(), settings=settings, engine=engine, clock=clock)
    yield PageClient(app, make_sessions(engine), clock), make_people(engine, clock.now())
    engine.dispose()


@walk(for_people)
def test_nobody_gets_in_without_signing_in(
    house: tuple[PageClient, People], method: str, route: APIRoute
) -> None:
    browser, _ = house
    browser.as_nobody().open("/privacy")
    assert refused(browser, method, route)


@walk(for_one_kind)
def test_nobody_gets_into_somebody_elses_pages(
    house: tuple[PageClient, People], method: str, route: APIRoute
) -> None:
    browser, people = house
    audience = access_of(route.endpoint).audience
    if audience != "professional":
        assert refused(browser.as_professional(people.ward.sofia), method, route)
    if audience != "patient":
        assert refused(browser.as_patient(people.kari), method, route)
    if audience != "relative":
        assert refused(browser.as_relative(people.anne), method, route)


@walk(for_people)
def test_nobody_gets_in_at_too_low_a_level(
    house: tuple[PageClient, People], method: str, route: APIRoute
) -> None:
    browser, people = house
    access = access_of(route.endpoint)
    needed = access.needs(Settings(environment="test"))
    for level in Level:
        if level >= needed:
            break
        if access.audience == "relative":
            assert refused(browser.as_relative(people.anne, level), method, route)
        elif access.audience in ("patient", "any", "meeting"):
            assert refused(browser.as_patient(people.kari, level), method, route)


@walk(unsafe)
def test_nothing_is_posted_from_elsewhere_or_without_our_token(
    house: tuple[PageClient, People], method: str, route: APIRoute
) -> None:
    browser, people = house
    access = access_of(route.endpoint)
    if access.audience in ("hook", "integration"):
        assert route.path.startswith(("/hooks/", "/api/"))
        return
    if access.audience == "relative":
        browser.as_relative(people.anne)
    elif access.audience == "professional":
        browser.as_professional(people.ward.sofia)
    else:
        browser.as_patient(people.kari)
    path, token = address(route), browser.token
    here = {"Sec-Fetch-Site": "same-origin"}
    assert browser.raw(method, path, headers=here, data={}).status_code in (403, 303)
    assert browser.raw(method, path, headers=here, data={"csrf_token": "x"}).status_code in (403, 303)
    for elsewhere in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        answer = browser.raw(method, path, headers=elsewhere, data={"csrf_token": token})
        assert answer.status_code == 403, elsewhere
