"""The try-out room: signing in by the provider's real path, phones, and a clock that brings what is due."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion import demo
from companion.clock import SystemClock
from companion.db import make_sessions
from companion.errors import Misconfigured
from companion.models import CheckIn, DemoClock, Patient
from companion.rules.cadence import local_day
from companion.settings import Settings
from companion.use_cases.going_home import discharge
from notifications.channels.push import devices
from notifications.channels.push.sandbox import invented_device
from tests.pages.client import Opened, PageClient
from web.app import create_app
from web.house.settings import WebSettings
from web.serving import push_key

SETTINGS_OF_THE_DEMO = Settings(environment="demo")


@pytest.fixture
def opened(engine: Engine) -> datetime:
    """The demo's units and people are there, and the clock stands at its first day."""
    real = SystemClock().now()
    opens = demo.opens_at(local_day(real))
    with Session(engine) as db:
        demo.found(db, SETTINGS_OF_THE_DEMO, now=opens)
        db.add(DemoClock(id=1, shift_seconds=int((opens - real).total_seconds())))
        db.commit()
    return opens


@pytest.fixture
def room(settings: Settings, engine: Engine, opened: datetime) -> PageClient:
    """A browser in the try-out room."""
    app = create_app(WebSettings(), settings=settings, engine=engine, demo=True, personas=demo.PERSONAS)
    return PageClient(app, make_sessions(engine), SystemClock())


@pytest.fixture
def dispatcher(database_url: str, opened: datetime) -> Iterator[None]:
    """The post, as a process of its own."""
    environment = {**os.environ, "COMPANION_ENVIRONMENT": "demo", "COMPANION_DATABASE_URL": database_url}
    child = subprocess.Popen(
        [sys.executable, "-m", "notifications", "run"], env=environment, stderr=subprocess.DEVNULL
    )
    yield
    child.send_signal(signal.SIGTERM)
    child.wait(20)


def send_kari_home(engine: Engine, opened: datetime) -> None:
    """What Sofia does in step 1."""
    fields = {
        "national_id": demo.KARI.national_id,
        "name": demo.KARI.name,
        "phone": demo.KARI.phone,
        "language": "nb",
        "municipality_number": "5501",
        "ward": "unn-post3",
        "discharged_on": local_day(opened).isoformat(),
        "template": "stroke",
        "hour": "",
    }
    measures = [discharge.MeasureDraft(title, owner, str(due)) for title, owner, due in demo.KARI_MEASURES]
    with Session(engine) as db:
        checked = discharge.check(
            db, fields, measures, settings=SETTINGS_OF_THE_DEMO, today=local_day(opened)
        )
        discharge.discharge(db, demo.actor_of(db, "sofia"), checked, now=opened)
        db.commit()


def tap(room: PageClient, page: Opened, key: str) -> Opened:
    """The page's own button to be somebody, which says where to go; the bar above has one without."""
    button = next(form for form in page.forms if form.action == f"/demo/be/{key}" and "next" in form.fields)
    return room.post(button.action, button.fields)


def test_being_sofia_takes_one_tap_and_the_real_way(room: PageClient) -> None:
    page = room.submit(room.open("/demo"), "/demo/be/sofia")
    assert [way.split("?")[0].removeprefix("http://127.0.0.1:8000") for way in page.came_by] == [
        "/demo/be/sofia",
        "/sign-in/professional",
        "/demo/idp/authorize",
        "/oidc/callback/professional",
        *page.came_by[4:],
    ]
    assert page.came_by[4] in ("/staff", "/staff/discharge")


def test_the_provider_asks_whom_to_be_and_lets_them_in(room: PageClient) -> None:
    page = room.open("/sign-in/professional?next=/privacy")
    assert page.h1 == "Hvem vil du være?"
    form = (
        page.forms[0] if page.forms[0].action == "/demo/idp/authorize" else page.form("/demo/idp/authorize")
    )
    landed = room.post(form.action, {**form.fields, "persona": "johan"})
    assert landed.path == "/privacy"
    assert room.open("/demo").html.count('aria-current="true"') == 1


def test_somebody_who_is_not_there_yet_is_told_what_is_first(
    room: PageClient, engine: Engine, opened: datetime
) -> None:
    for way in ("/demo/be/kari", "/demo/be/anne"):
        page = room.submit(room.open("/demo"), way)
        assert "Først skriver sykepleieren Sofia henne ut" in page.text
        assert tap(room, page, "sofia").path == "/staff/discharge"
    send_kari_home(engine, opened)
    page = room.submit(room.open("/demo"), "/demo/be/anne")
    assert page.h1 == "Anne er ikke sluppet inn ennå"
    assert tap(room, page, "kari").path == "/patient/passport/share"


def test_the_printed_address_of_somebody_who_is_not_there_yet_opens_what_is_first(
    room: PageClient, engine: Engine, opened: datetime
) -> None:
    assert room.open("/sign-in/patient?hint=kari").h1 == "Kari er ikke skrevet ut ennå"
    chosen = room.open("/sign-in/patient?next=/privacy").form("/demo/idp/authorize")
    page = room.post(chosen.action, {**chosen.fields, "persona": "anne"})
    assert page.h1 == "Anne er ikke sluppet inn ennå"
    send_kari_home(engine, opened)
    assert room.open("/sign-in/patient?hint=kari").path.startswith("/patient")
    assert room.open("/demo/not-yet/kari").path == "/demo"
    room.open("/demo/not-yet/nobody", status=404)


def test_the_story_says_how_far_it_is(room: PageClient, engine: Engine, opened: datetime) -> None:
    assert "0 av 4 steg er gjort. Nå: Sofia skriver Kari ut." in room.open("/demo").text
    send_kari_home(engine, opened)
    assert "1 av 4 steg er gjort. Nå: Kari svarer på SMS." in room.open("/demo").text


@pytest.mark.usefixtures("dispatcher")
def test_three_days_forward_bring_karis_check_in(room: PageClient, engine: Engine, opened: datetime) -> None:
    send_kari_home(engine, opened)
    before = datetime.fromisoformat(room.raw("GET", "/demo/clock").json()["now"])
    room.post("/demo/clock", {"step": "three_days"})
    after = datetime.fromisoformat(room.raw("GET", "/demo/clock").json()["now"])
    assert timedelta(days=3) <= after - before < timedelta(days=3, minutes=2)
    phones = {phone["number"]: phone for phone in room.raw("GET", "/demo/phones.json").json()}
    received = phones[demo.KARI.phone]["messages"]
    assert [message["direction"] for message in received] == ["out", "out"]
    assert {"id", "at", "direction", "channel", "body", "state"} == set(received[0])
    assert received[0]["at"] < received[1]["at"]
    with Session(engine) as db:
        asked = db.scalars(select(CheckIn).where(CheckIn.state == "asked")).one()
        assert asked.day == 3
    page = room.open("/demo")
    assert received[1]["body"].split()[0] in page.text
    assert any(link.startswith("/l#") for link in page.links.values())
    room.open("/demo/phones")


@pytest.mark.usefixtures("dispatcher")
def test_the_clock_answers_programs_when_everything_due_has_happened(
    room: PageClient, engine: Engine, opened: datetime
) -> None:
    send_kari_home(engine, opened)
    room.open("/sign-in/professional?hint=sofia&next=/privacy")
    before = datetime.fromisoformat(room.raw("GET", "/demo/clock").json()["now"])
    answer = room.raw("POST", "/demo/clock", json={"forward": "PT24H"})
    assert datetime.fromisoformat(answer.json()["now"]) - before >= timedelta(hours=24)
    assert room.open("/demo").html.count('aria-current="true"') == 1, "the clock signs nobody out"
    wrongs: list[object] = [
        {"forward": "P900D"},
        {"forward": "-PT1H"},
        {"forward": "soon"},
        {},
        [],
        {"forward": 3},
    ]
    for wrong in wrongs:
        assert room.raw("POST", "/demo/clock", json=wrong).status_code == 422, wrong


@pytest.mark.usefixtures("dispatcher")
def test_an_answer_by_sms_is_heard(room: PageClient, engine: Engine, opened: datetime) -> None:
    send_kari_home(engine, opened)
    assert (
        room.raw("POST", f"/demo/phones/{demo.KARI.phone}/reply", json={"body": "RING MEG"}).status_code
        == 200
    )
    messages = room.raw("GET", "/demo/phones.json").json()[0]["messages"]
    assert ("in", "RING MEG") in [(m["direction"], m["body"]) for m in messages]
    assert room.raw("POST", f"/demo/phones/{demo.KARI.phone}/reply", json={"body": " "}).status_code == 422
    page = room.open("/demo")
    room.submit(page, f"/demo/phones/{demo.KARI.phone}/reply", {"body": "STOPP"})
    with Session(engine) as db:
        assert db.scalars(select(Patient)).one().phone_state == "opted_out"


@pytest.mark.usefixtures("dispatcher")
def test_a_push_that_is_looked_at_is_all_and_otherwise_an_sms_follows(
    room: PageClient, engine: Engine, opened: datetime
) -> None:
    send_kari_home(engine, opened)
    with Session(engine) as db:
        kari = db.scalars(select(Patient)).one()
        devices.add(db, kari.id, invented_device(str(kari.id)), asked=True, now=opened)
        db.commit()
    room.post("/demo/clock", {"step": "three_days"})
    room.post("/demo/clock", {"step": "day"})
    # Nobody looked: the welcome and the check-in came both ways, the SMS a quarter of an hour later.
    came = room.raw("GET", "/demo/phones.json").json()[0]["messages"]
    assert [message["channel"] for message in came] == [
        "push",
        "sms",
        "push",
        "sms",
        *["push", "sms"] * (len(came) // 2 - 2),
    ]
    late = datetime.fromisoformat(came[1]["at"]) - datetime.fromisoformat(came[0]["at"])
    assert timedelta(minutes=15) <= late <= timedelta(minutes=31)
    # Somebody looks, at the very first: it is late, and still heard.
    page = room.submit(room.open("/demo/phones"), f"/demo/phones/{demo.KARI.phone}/see")
    assert "varsel, sett" in page.text
    came = room.raw("GET", "/demo/phones.json").json()[0]["messages"]
    assert sorted({(message["channel"], message["state"]) for message in came}) == [
        ("push", "delivered"), ("push", "sent"), ("sms", "delivered"),
    ]  # fmt: skip
    assert (
        room.raw("POST", f"/demo/phones/{demo.KARI.phone}/see", data={"id": "1' OR 1=1"}).status_code == 404
    )
    assert room.raw("POST", "/demo/phones/+4740000009/see", data={"id": "1"}).status_code == 404


@pytest.mark.usefixtures("dispatcher")
def test_whoever_looks_at_once_gets_no_sms(room: PageClient, engine: Engine, opened: datetime) -> None:
    send_kari_home(engine, opened)
    with Session(engine) as db:
        kari = db.scalars(select(Patient)).one()
        devices.add(db, kari.id, invented_device(str(kari.id)), asked=True, now=opened)
        db.commit()
    room.raw("POST", "/demo/clock", json={"forward": "PT1M"})
    room.submit(room.open("/demo/phones"), f"/demo/phones/{demo.KARI.phone}/see")
    room.post("/demo/clock", {"step": "hour"})
    came = room.raw("GET", "/demo/phones.json").json()[0]["messages"]
    assert [(message["channel"], message["state"]) for message in came] == [("push", "delivered")]


def test_the_demo_makes_its_key_once(tmp_path: Path) -> None:
    kept = f"sqlite:///{tmp_path}/companion.sqlite3"
    first = push_key(Settings(environment="demo", database_url=kept))
    assert push_key(Settings(environment="demo", database_url=kept)) == first
    assert (tmp_path / "vapid.key").stat().st_mode & 0o777 == 0o600


def test_the_demo_never_runs_in_production(engine: Engine, settings: Settings) -> None:
    production = settings.model_copy(update={"environment": "production"})
    with pytest.raises(Misconfigured):
        create_app(WebSettings(), settings=production, engine=engine, demo=True)
    room = PageClient(
        create_app(WebSettings(), settings=settings, engine=engine), make_sessions(engine), SystemClock()
    )
    for path in ("/demo", "/demo/clock", "/demo/phones", "/demo/idp/jwks"):
        assert room.raw("GET", path).status_code == 404


def test_the_door_refuses_the_demo_in_production() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COMPANION_")}
    refused = subprocess.run(
        [sys.executable, "-m", "web", "--demo"], env=environment, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "never runs in production" in refused.stderr
