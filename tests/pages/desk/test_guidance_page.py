"""Guidance on the pages: from the list of meetings to the room, about nobody."""

from datetime import datetime

import pytest
from sqlalchemy import Engine

from tests.pages.at_the_desk import Desk, furnish
from tests.pages.client import PageClient


@pytest.fixture
def desk(engine: Engine, now: datetime) -> Desk:
    return furnish(engine, now)


def test_from_the_list_to_the_room(browser: PageClient, desk: Desk) -> None:
    browser.as_professional(desk.ward.johan)
    page = browser.open(browser.open("/staff/meetings").links["Nytt veiledningsmøte med kolleger"])
    page = browser.submit(page, "/staff/guidance", {"date": "2026-11-11", "time": "10:00"})
    assert page.h1 == "Hvem blir med?"
    browser.post(page.path, {"professional": str(desk.ward.siri.id), "unit": str(desk.ward.art.id)})
    listed = browser.open("/staff/meetings")
    assert "Veiledning, uten pasient. Med Siri Myhre. 30 minutter." in listed.text
    meeting = page.path.removesuffix("/participants")
    assert browser.open(meeting).h1 == "Flytt eller avlys møtet"
    browser.as_professional(desk.ward.siri)
    room = browser.open("/staff/meetings").links["Gå til møtet"]
    assert browser.open(room).h1 == "Møtet begynner i morgen kl. 10.00"
    browser.as_professional(desk.ward.johan)
    browser.post(f"{meeting}/cancel")
    assert "Veiledning, med Johan Bakk" in browser.open("/staff/meetings").text


def test_a_time_that_cannot_be_is_said_and_kept(browser: PageClient, desk: Desk) -> None:
    browser.as_professional(desk.ward.johan)
    page = browser.post(
        "/staff/guidance", {"date": "2026-11-01", "time": "10:00", "minutes": "30"}, status=422
    )
    assert page.form("/staff/guidance").fields["date"] == "2026-11-01"
