"""Meetings in the person's own calendar: invitation, change and cancellation as RFC 5546 has them, and the address it fetches."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from icalendar import Calendar
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.models import CalendarFeed
from companion.rules.access import Level
from companion.use_cases import meetings
from companion.use_cases.relatives import share
from tests import appointment as appointments
from tests.appointment import Appointment
from tests.pages.client import PageClient

DAY = timedelta(days=1)


@pytest.fixture
def offered(engine: Engine, clock: FixedClock) -> Appointment:
    with Session(engine, expire_on_commit=False) as db:
        made = appointments.make(db, clock.now())
        db.commit()
    return made


def read(browser: PageClient, path: str) -> tuple[str, list[Any]]:
    answer = browser.raw("GET", path)
    assert answer.status_code == 200
    found = Calendar.from_ical(answer.content)
    return str(found["method"]), found.walk("VEVENT")


def change(engine: Engine, do: Callable[[Session], object]) -> None:
    with Session(engine) as db:
        do(db)
        db.commit()


def subscribe(browser: PageClient) -> str:
    page = browser.submit(browser.open("/calendar"), "/calendar")
    assert page.h1 == "Møtene i kalenderen din"
    (path,) = set(re.findall(r"/calendar/[\w-]{43}\.ics", page.html))
    return str(path)


def test_the_invitation_says_who_invites_where_it_is_and_whom_to_ring(
    browser: PageClient, offered: Appointment
) -> None:
    browser.as_patient(offered.kari, Level.code)
    method, (event,) = read(browser, f"{offered.path}/calendar.ics")
    assert (method, str(event["status"]), event["sequence"]) == ("REQUEST", "CONFIRMED", 0)
    assert str(event["organizer"]).startswith("mailto:")
    assert event["organizer"].params["CN"] == "Følge"
    assert str(event["attendee"]).startswith("urn:uuid:")
    assert str(event["location"]).endswith(offered.path)
    assert str(event["contact"]) == "77 00 00 00"
    assert "Passer det ikke? Ring 77 00 00 00." in str(event["description"])


def test_every_change_raises_the_sequence_and_the_cancellation_can_be_fetched_by_guest_and_host(
    browser: PageClient, engine: Engine, offered: Appointment, clock: FixedClock
) -> None:
    johan, now = offered.ward.johan, clock.now()
    uids, sequences = set(), []
    browser.as_patient(offered.kari, Level.code)
    steps: tuple[Callable[[Session], object], ...] = (
        lambda db: None,
        lambda db: meetings.move(db, johan, offered.id, now + DAY, now=now),
        lambda db: meetings.move(db, johan, offered.id, now + 2 * DAY, minutes=45, now=now),
        lambda db: meetings.cancel(db, johan, offered.id, now=now),
    )
    for do in steps:
        change(engine, do)
        method, (event,) = read(browser, f"{offered.path}/calendar.ics")
        uids.add(str(event["uid"]))
        sequences.append(event["sequence"])
    assert (len(uids), sequences) == (1, [0, 1, 2, 3])
    assert (method, str(event["status"])) == ("CANCEL", "CANCELLED")
    file = f"{offered.path}/calendar.ics"
    assert file in browser.open(offered.path).links.values()
    assert file in browser.open("/patient/meetings").links.values()
    browser.as_professional(johan)
    assert file in browser.open("/staff/meetings").links.values()
    assert read(browser, file)[0] == "CANCEL"


@pytest.mark.parametrize("person", ["kari", "anne", "johan"])
def test_each_has_an_address_that_a_calendar_fetches_without_signing_in(
    browser: PageClient, offered: Appointment, person: str
) -> None:
    if person == "johan":
        browser.as_professional(offered.ward.johan)
    elif person == "kari":
        browser.as_patient(offered.kari, Level.code)
    else:
        browser.as_relative(offered.anne)
    path = subscribe(browser)
    browser.as_nobody()
    method, events = read(browser, path)
    assert (method, len(events)) == ("PUBLISH", 1)
    said = browser.raw("GET", path).text
    for name in ("Kari", "Anne", "Johan", "fysio", "Rehab"):
        assert name.lower() not in said.lower()


def test_a_new_address_or_none_shuts_the_old_one_at_once(
    browser: PageClient, offered: Appointment, engine: Engine
) -> None:
    browser.as_patient(offered.kari, Level.code)
    first = subscribe(browser)
    second = subscribe(browser)
    assert browser.raw("GET", first).status_code == 404
    assert browser.raw("GET", second).status_code == 200
    assert "Du har en adresse" in browser.open("/calendar").text
    browser.post("/calendar", {"do": "off"})
    assert browser.raw("GET", second).status_code == 404
    with Session(engine) as db:
        kept = db.scalars(select(CalendarFeed.token_hash)).all()
    assert not any(first[10:-4] in one or second[10:-4] in one for one in kept), "only a hash is kept"


def test_what_ends_elsewhere_ends_in_the_calendar(
    browser: PageClient, offered: Appointment, engine: Engine, clock: FixedClock
) -> None:
    path = subscribe(browser.as_relative(offered.anne))
    assert len(read(browser, path)[1]) == 1
    sofia, now = offered.ward.sofia, clock.now()
    change(engine, lambda db: share.withdraw(db, sofia, offered.grant_id, now=now))
    assert read(browser, path)[1] == []


def test_the_link_alone_makes_no_address(browser: PageClient, offered: Appointment) -> None:
    assert browser.as_patient(offered.kari, Level.link).open("/calendar").path == "/birth-date"
    for guess in ("x", "x" * 43, "../../etc/passwd", "%00"):
        assert browser.raw("GET", f"/calendar/{guess}.ics").status_code == 404
