"""Slik får jeg beskjed: chosen by each, tried out, kept apart, and honest about the night."""

from datetime import datetime

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.models import Duty, Message
from tests.pages.at_the_desk import Desk, furnish
from tests.pages.client import PageClient

AT = "/staff/told"
GOOD = {"way": "sms", "phone": "400 00 099", "email": "", "hours": "duty"}


@pytest.fixture
def desk(engine: Engine, now: datetime) -> Desk:
    return furnish(engine, now)


@pytest.fixture
def johan(browser: PageClient, desk: Desk) -> PageClient:
    return browser.as_professional(desk.ward.johan)


def test_at_first_nobody_is_told_and_the_page_promises_no_watch(johan: PageClient) -> None:
    assert AT in johan.open("/staff").html
    page = johan.open(AT)
    form = page.form(AT)
    assert (form.fields["way"], form.fields["hours"]) == ("none", "duty")
    assert "Pasientene er ikke lovet at noen følger med hele døgnet" in page.text
    assert "Send meg en prøve" not in page.text


def test_a_choice_is_kept_tried_out_and_nobody_elses(
    johan: PageClient, browser: PageClient, engine: Engine, desk: Desk
) -> None:
    page = johan.submit(johan.open(AT), AT, GOOD)
    assert "Lagret." in page.text
    assert page.form(AT).fields["phone"] == "+4740000099"
    page = johan.submit(page, f"{AT}/test")
    assert "venter på å bli sendt" in page.text
    with Session(engine) as db:
        [duty] = db.scalars(select(Duty))
        [trial] = db.scalars(select(Message).where(Message.kind == "duty_test"))
    assert duty.professional_id == trial.professional_id == desk.ward.johan.id
    assert browser.as_professional(desk.ward.sofia).open(AT).form(AT).fields["way"] == "none"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"phone": ""}, "Skriv telefonnummeret."),
        ({"phone": "12"}, "Dette er ikke et telefonnummer."),
        ({"phone": "77 62 60 00"}, "Dette nummeret tar ikke imot SMS."),
        ({"way": "mail"}, "Skriv e-postadressen."),
        ({"email": "johan@unn"}, "Dette er ikke en e-postadresse."),
        ({"email": "johan@unn.no\r\nBcc: alle@unn.no"}, "Dette er ikke en e-postadresse."),
        ({"way": "due"}, "Velg et av svarene."),
        ({"hours": ""}, "Fyll ut dette feltet."),
    ],
)
def test_what_does_not_do_is_said_and_stays_typed(
    johan: PageClient, engine: Engine, typed: dict[str, str], said: str
) -> None:
    johan.open(AT)
    page = johan.post(AT, GOOD | typed, status=422)
    assert said in page.text
    with Session(engine) as db:
        assert db.scalars(select(Duty)).all() == []
