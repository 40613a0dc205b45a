"""The meeting's pages at every hour, the calendar file, and who may sit down at the web socket and say what."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from icalendar import Calendar
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from companion.clock import FixedClock
from companion.db import make_sessions
from companion.models import AuditEvent, Flag, Grant, Meeting, MeetingEvent, Patient, Relative, SignIn
from companion.rules.access import Level
from companion.rules.cadence import local_day
from companion.use_cases import meetings as meet
from companion.use_cases.going_home import plan
from companion.use_cases.relatives import share
from tests import appointment as appointments
from tests.appointment import Appointment
from tests.pages.client import HERE, PageClient
from web.house.frame import Frame
from web.meeting.rooms import ELSEWHERE, ENDED, MOVED, NOT_OPEN, SIGNED_OUT


@pytest.fixture
def appointment(engine: Engine, clock: FixedClock) -> Appointment:
    with Session(engine, expire_on_commit=False) as db:
        made = appointments.make(db, clock.now())
        db.commit()
    return made


@pytest.fixture
def come(app: Frame, engine: Engine, clock: FixedClock) -> Iterator[Callable[[], PageClient]]:
    """Browsers on one event loop, as in a real server: the rooms live there."""
    with TestClient(app) as first:

        def start() -> PageClient:
            browser = PageClient(app, make_sessions(engine), clock)
            browser.browser.portal = first.portal
            return browser

        yield start


@pytest.fixture
def browser(come: Callable[[], PageClient]) -> PageClient:
    return come()


@pytest.fixture
def kari(browser: PageClient, appointment: Appointment) -> PageClient:
    """Kari, who has opened the link and nothing more."""
    return with_link(browser, appointment, appointment.kari)


@pytest.fixture
def johan(come: Callable[[], PageClient], appointment: Appointment) -> PageClient:
    return come().as_professional(appointment.ward.johan)


def with_link(browser: PageClient, appointment: Appointment, person: Patient | Relative) -> PageClient:
    with browser.sessions() as db:
        return browser._carry(db, appointments.by_link(db, appointment, person, browser.clock.now()))


# --- pages ------------------------------------------------------------------------------------------------------------


def test_the_link_alone_opens_the_waiting_room(kari: PageClient, appointment: Appointment) -> None:
    page = kari.open(appointment.path)
    assert page.h1 == "Du er på venterommet"
    assert "Møte med Johan Bakk kl.\xa010.05".replace("\xa0", " ") in page.text
    assert "Video trenger JavaScript" in page.text
    assert [form.buttons for form in page.forms if form.action.endswith("/call-me")] == [
        ["Ring meg på 400 00 001"]
    ]


@pytest.mark.parametrize(
    ("later", "heading"),
    [
        (timedelta(minutes=-11), "Møtet begynner i dag kl. 10.05"),
        (timedelta(days=-1), "Møtet begynner i morgen kl. 10.05"),
        (timedelta(minutes=65), "Du er på venterommet"),
        (timedelta(minutes=66), "Møtet er slutt"),
    ],
)
def test_the_page_knows_the_hour(
    browser: PageClient, clock: FixedClock, appointment: Appointment, later: timedelta, heading: str
) -> None:
    clock.forward(later)
    browser.as_patient(appointment.kari)
    assert browser.open(appointment.path).h1 == heading


def test_a_cancelled_meeting_says_so_and_whom_to_call(
    kari: PageClient, engine: Engine, clock: FixedClock, appointment: Appointment
) -> None:
    with Session(engine) as db:
        meet.cancel(db, appointment.ward.johan, appointment.id, now=clock.now())
        db.commit()
    page = kari.open(appointment.path)
    assert page.h1 == "Møtet er avlyst"
    assert "tel:+4777000000" in page.links.values()


def test_nobody_else_knows_that_there_is_a_meeting(
    come: Callable[[], PageClient], appointment: Appointment
) -> None:
    for stranger in (appointment.ward.geir, appointment.ward.siri):
        come().as_professional(stranger).open(appointment.path, 404)


def test_a_withdrawn_grant_closes_every_page(
    browser: PageClient, engine: Engine, clock: FixedClock, appointment: Appointment
) -> None:
    anne = with_link(browser, appointment, appointment.anne)
    anne.strangers = {"Kari Nilsen"}
    assert anne.open(appointment.path).h1 == "Du er på venterommet"
    with Session(engine) as db:
        share.withdraw(db, appointment.ward.sofia, appointment.grant_id, now=clock.now())
        db.commit()
    anne.open(appointment.path, 404)
    anne.post(f"{appointment.path}/call-me", status=404)


def test_the_calendar_file_says_nothing_about_health(
    kari: PageClient, engine: Engine, clock: FixedClock, appointment: Appointment
) -> None:
    answer = kari.raw("GET", f"{appointment.path}/calendar.ics")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    (event,) = Calendar.from_ical(answer.content).walk("VEVENT")
    assert (event.decoded("dtstart"), event["sequence"]) == (appointment.starts_at, 0)
    assert str(event["summary"]) == "Videomøte (Følge)"
    assert str(event["url"]).endswith(appointment.path)
    for word in ("Johan", "Kari", "fysio", "rehab"):
        assert word.lower() not in answer.text.lower()
    with Session(engine) as db:
        meet.move(
            db,
            appointment.ward.johan,
            appointment.id,
            appointment.starts_at + timedelta(days=1),
            now=clock.now(),
        )
        db.commit()
    (moved,) = Calendar.from_ical(kari.raw("GET", f"{appointment.path}/calendar.ics").content).walk("VEVENT")
    assert (str(moved["uid"]), moved["sequence"]) == (str(event["uid"]), 1)


def test_ring_me_raises_a_flag_and_says_who_was_told(
    kari: PageClient, engine: Engine, appointment: Appointment
) -> None:
    page = kari.submit(kari.open(appointment.path), f"{appointment.path}/call-me")
    assert page.h1 == "Vi har gitt beskjed"
    assert "Johan Bakk har fått beskjed om å ringe deg på 400 00 001." in page.text
    with Session(engine) as db:
        flag = db.scalars(select(Flag).where(Flag.code == "call_me")).one()
        assert (flag.level, flag.unit_id) == ("red", appointment.ward.tromso.id)


def test_hung_up_and_ended(kari: PageClient, johan: PageClient, appointment: Appointment) -> None:
    left = kari.submit(kari.open(appointment.path), f"{appointment.path}/leave")
    assert (left.h1, left.links["Gå inn igjen"]) == ("Du har lagt på", appointment.path)
    ended = johan.submit(johan.open(appointment.path), f"{appointment.path}/end")
    assert ended.h1 == "Møtet er slutt"
    assert kari.open(f"{appointment.path}/left").h1 == "Møtet er slutt"
    kari.post(f"{appointment.path}/end", status=403)


# --- the web socket ---------------------------------------------------------------------------------------------------


@contextmanager
def seated(
    browser: PageClient, appointment: Appointment, *, origin: str | None = HERE, page: str = "1"
) -> Iterator[WebSocketTestSession]:
    headers = {"Origin": origin} if origin else {}
    with browser.browser.websocket_connect(
        f"{HERE.replace('http', 'ws')}{appointment.path}/ws?page={page}", headers=headers
    ) as socket:
        yield socket


def refused(browser: PageClient, appointment: Appointment, **how: Any) -> int:
    with seated(browser, appointment, **how) as socket, pytest.raises(WebSocketDisconnect) as closed:
        until(socket, lambda message: False)
    return int(closed.value.code)


def until(socket: WebSocketTestSession, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = socket.receive_json()
        if found(message):
            return message


def state_of(name: str, state: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: any(
        person["name"] == name and person["state"] == state for person in message.get("people", [])
    )


def person(message: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in message["people"] if each["name"] == name)
    return found


def test_the_socket_is_accepted_and_then_refused(
    browser: PageClient,
    come: Callable[[], PageClient],
    appointment: Appointment,
    clock: FixedClock,
) -> None:
    assert refused(browser, appointment) == SIGNED_OUT
    assert refused(come().as_professional(appointment.ward.geir), appointment) == NOT_OPEN
    kari = come().as_patient(appointment.kari)
    assert refused(kari, appointment, origin="https://evil.example") == NOT_OPEN
    assert refused(kari, appointment, origin=None) == NOT_OPEN
    clock.forward(timedelta(minutes=-20))
    assert refused(come().as_patient(appointment.kari), appointment) == NOT_OPEN


def test_a_link_to_something_else_does_not_open_the_room(
    browser: PageClient, appointment: Appointment
) -> None:
    kari = browser.as_patient(appointment.kari, Level.link)
    assert refused(kari, appointment) == SIGNED_OUT
    assert kari.open(appointment.path).path == "/birth-date"


def test_nothing_passes_before_one_is_let_in(
    kari: PageClient, johan: PageClient, appointment: Appointment, engine: Engine
) -> None:
    offer = {"description": {"type": "offer", "sdp": "v=0"}}
    with seated(johan, appointment) as host, seated(kari, appointment, page="7") as guest:
        seen = until(host, state_of("Kari Nilsen", "waiting"))
        waiting = person(seen, "Kari Nilsen")
        assert "page" not in waiting, "nothing of her browser is shown before she is let in"
        view = until(guest, state_of("Johan Bakk", "in"))
        assert view["admitted"] is False
        assert [each["name"] for each in view["people"]] == ["Johan Bakk", "Anne"]
        host_id = person(view, "Johan Bakk")["id"]

        guest.send_json({"type": "signal", "to": host_id, **offer})
        host.send_json({"type": "signal", "to": waiting["id"], **offer})
        guest.send_json({"type": "admit", "id": waiting["id"]})
        assert until(guest, lambda message: message["type"] == "not_admitted")

        host.send_json({"type": "admit", "id": waiting["id"]})
        let_in = until(
            host, lambda message: message["type"] != "people" or state_of("Kari Nilsen", "in")(message)
        )
        assert let_in["type"] == "people", "what she sent while waiting was not passed on"
        assert person(let_in, "Kari Nilsen")["page"] == "7"
        assert until(guest, lambda message: message["type"] in ("people", "signal"))["admitted"] is True

        guest.send_json({"type": "signal", "to": host_id, "from": "somebody", "secret": 1, **offer})
        passed = until(host, lambda message: message["type"] == "signal")
        assert passed == {"type": "signal", "from": waiting["id"], "page": "7", **offer}
    with Session(engine) as db:
        kinds = set(db.scalars(select(MeetingEvent.kind).where(MeetingEvent.meeting_id == appointment.id)))
        assert {"waiting", "admitted"} <= kinds
        actions = set(db.scalars(select(AuditEvent.action)))
        assert {"meeting.enter", "meeting.admit"} <= actions


def test_rubbish_changes_nothing(kari: PageClient, johan: PageClient, appointment: Appointment) -> None:
    with seated(johan, appointment) as host, seated(kari, appointment) as guest:
        until(host, state_of("Kari Nilsen", "waiting"))
        for rubbish in (
            "",
            "{",
            "[]",
            '{"type":"chat"}',
            '{"type":"admit","id":"x"}',
            '{"type":"signal","to":7}',
        ):
            guest.send_text(rubbish)
        guest.send_json({"type": "media", "camera": True, "microphone": False})
        assert until(host, state_of("Kari Nilsen", "waiting"))


def test_a_second_window_closes_the_first(kari: PageClient, appointment: Appointment) -> None:
    with seated(kari, appointment, page="1") as first:
        until(first, lambda message: message["type"] == "people")
        with seated(kari, appointment, page="2") as second:
            until(second, lambda message: message["type"] == "people")
            with pytest.raises(WebSocketDisconnect) as closed:
                until(first, lambda message: False)
    assert closed.value.code == ELSEWHERE


def test_the_host_ends_it_for_everybody(
    kari: PageClient, johan: PageClient, appointment: Appointment, engine: Engine
) -> None:
    with seated(kari, appointment) as guest:
        until(guest, lambda message: message["type"] == "people")
        johan.post(f"{appointment.path}/end")
        with pytest.raises(WebSocketDisconnect) as closed:
            until(guest, lambda message: False)
    assert closed.value.code == ENDED
    assert refused(kari, appointment) == NOT_OPEN
    with Session(engine) as db:
        assert db.get_one(Meeting, appointment.id).state == "ended"


def test_a_withdrawn_grant_takes_the_seat_away(
    browser: PageClient, appointment: Appointment, engine: Engine, clock: FixedClock
) -> None:
    anne = with_link(browser, appointment, appointment.anne)
    with seated(anne, appointment) as guest:
        until(guest, lambda message: message["type"] == "people")
        with Session(engine) as db:
            share.withdraw(db, appointment.ward.sofia, appointment.grant_id, now=clock.now())
            db.commit()
        assert shown_out(guest) == NOT_OPEN


# --- told at once, by the server: nothing is done in the browser, and what happened was done by somebody else ------------


def shown_out(guest: WebSocketTestSession) -> int:
    with pytest.raises(WebSocketDisconnect) as closed:
        until(guest, lambda message: False)
    return int(closed.value.code)


@pytest.fixture
def both(
    kari: PageClient, johan: PageClient, appointment: Appointment
) -> Iterator[tuple[WebSocketTestSession, WebSocketTestSession]]:
    """Johan in the room, Kari in the waiting room."""
    with seated(johan, appointment) as host, seated(kari, appointment) as guest:
        until(host, state_of("Kari Nilsen", "waiting"))
        yield host, guest


def elsewhere(engine: Engine, do: Callable[[Session], object]) -> None:
    """By another process."""
    with Session(engine) as db:
        do(db)
        db.commit()


def test_who_waits_hears_at_once_that_it_is_cancelled(
    both: tuple[WebSocketTestSession, WebSocketTestSession],
    kari: PageClient,
    appointment: Appointment,
    engine: Engine,
    clock: FixedClock,
) -> None:
    siri = replace(appointment.ward.johan, id=appointment.ward.siri.id)
    elsewhere(engine, lambda db: meet.cancel(db, siri, appointment.id, now=clock.now()))
    assert [shown_out(each) for each in both] == [ENDED, ENDED]
    assert "Møtet er avlyst" in kari.open(f"{appointment.path}/left").text


def test_who_waits_hears_at_once_that_it_is_moved(
    both: tuple[WebSocketTestSession, WebSocketTestSession],
    kari: PageClient,
    appointment: Appointment,
    engine: Engine,
    clock: FixedClock,
) -> None:
    later = clock.now() + timedelta(hours=3)
    elsewhere(
        engine, lambda db: meet.move(db, appointment.ward.johan, appointment.id, later, now=clock.now())
    )
    assert [shown_out(each) for each in both] == [MOVED, MOVED]
    assert "kl. 13.00" in kari.open(appointment.path).text


def test_a_death_ends_it_for_everybody_also_when_it_has_begun(
    both: tuple[WebSocketTestSession, WebSocketTestSession],
    appointment: Appointment,
    engine: Engine,
    clock: FixedClock,
) -> None:
    clock.forward(timedelta(minutes=10))
    died_on = local_day(clock.now())
    elsewhere(
        engine,
        lambda db: plan.register_death(
            db, appointment.ward.sofia, appointment.kari.id, died_on, now=clock.now()
        ),
    )
    assert [shown_out(each) for each in both] == [ENDED, ENDED]


def test_a_session_that_ends_elsewhere_ends_the_talk(
    both: tuple[WebSocketTestSession, WebSocketTestSession],
    johan: PageClient,
    engine: Engine,
    clock: FixedClock,
) -> None:
    host, _guest = both
    johans = update(SignIn).where(SignIn.professional_id.is_not(None)).values(ended_at=clock.now())
    elsewhere(engine, lambda db: db.execute(johans))
    assert shown_out(host) == SIGNED_OUT


def test_a_grant_that_runs_out_takes_the_seat_away(
    browser: PageClient, appointment: Appointment, engine: Engine, clock: FixedClock
) -> None:
    anne = with_link(browser, appointment, appointment.anne)
    soon = update(Grant).values(valid_until=clock.now() + timedelta(minutes=2))
    elsewhere(engine, lambda db: db.execute(soon))
    with seated(anne, appointment) as guest:
        until(guest, lambda message: message["type"] == "people")
        clock.forward(timedelta(minutes=3))
        assert shown_out(guest) == NOT_OPEN
