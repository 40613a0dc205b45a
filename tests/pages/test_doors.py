"""The doors: links, typed codes, one-time codes, leaving; and that every route keeps out whoever it is not for."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import Engine, event, select
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.models import CheckIn, Message, Patient, Relative, SignIn
from companion.rules.access import Level
from companion.settings import Settings
from companion.use_cases import sign_in
from tests import cast
from tests.pages.client import PageClient
from web.app import ROUTERS
from web.security import PERSONS, SAFE, access_of

BORN = {"day": "4", "month": "mai", "year": "1958"}


@dataclass
class People:
    """Who is there to come to a door."""

    ward: cast.Ward
    kari: Patient
    anne: Relative


@pytest.fixture
def people(engine: Engine, now: datetime) -> People:
    with Session(engine, expire_on_commit=False) as db:
        ward = cast.ward(db, now)
        kari = cast.kari(db, now)
        anne = Relative(
            name="Anne Nilsen", birth_date=cast.ANNE_BORN.isoformat(), phone=cast.ANNE_PHONE, created_at=now
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
