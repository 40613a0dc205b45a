"""People who have no business with Kari: a colleague of another unit, another patient, relatives without a grant, a link."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.models import Flag, Grant, Membership, Patient, PatientUnit
from companion.rules.access import Level
from tests import cast
from tests.pages.client import PageClient
from tests.security import town as towns
from tests.security.conftest import House
from tests.security.test_access_log import rows
from tests.security.town import FORMS, Walked

HERS = ("Kari", "Svelger", "svimmel", "tur igjen", "Fysioterapi", "400 00 001", cast.KARI_ID)


def about_kari(audience: str) -> list[Walked]:
    """Routes of an audience whose address names something of Kari's; the others are about whoever asks."""
    return [
        one
        for one in towns.routes()
        if towns.access(one[1]).audience in (audience, "meeting")
        and towns.access(one[1]).patient_data
        and "{" in one[1].path
        and not one[1].path.endswith("/write/{section}")
    ]


def turned_away(house: House, browser: PageClient, walked: Walked) -> None:
    """Not there, whatever is tried; nothing of hers in the answer, nothing done, nothing in her log."""
    method, route = walked
    before = rows(house.engine)
    form = {"csrf_token": browser.token, **FORMS[towns.name(walked)]} if towns.changes(method) else None
    answer = browser.raw(
        method,
        towns.address(house.town, route),
        data=form,
        headers={"Sec-Fetch-Site": "same-origin", "Accept-Language": "nb"},
    )
    assert answer.status_code == 404, f"{towns.name(walked)}: {answer.status_code}"
    for hers in HERS:
        assert hers not in answer.text, f"{towns.name(walked)} tells {hers!r}"
    assert rows(house.engine) == before, towns.name(walked)


@pytest.mark.parametrize("walked", about_kari("professional"), ids=towns.name)
def test_a_colleague_of_another_unit(house: House, walked: Walked) -> None:
    house.put_back()
    turned_away(house, house.browser.as_professional(house.town.ward.geir), walked)


@pytest.mark.parametrize("walked", about_kari("patient"), ids=towns.name)
def test_another_patient(house: House, walked: Walked) -> None:
    house.put_back()
    turned_away(house, house.browser.as_patient(house.town.ola), walked)


@pytest.mark.parametrize("walked", about_kari("relative"), ids=towns.name)
def test_a_relative_whose_grant_is_withdrawn(house: House, walked: Walked) -> None:
    house.put_back()
    turned_away(house, house.browser.as_relative(house.town.berit, Level.high), walked)


@pytest.mark.parametrize("walked", about_kari("relative"), ids=towns.name)
def test_a_relative_whose_grant_has_run_out(house: House, walked: Walked) -> None:
    house.put_back()
    with Session(house.engine) as db:
        grant = db.scalars(select(Grant).where(Grant.relative_id == house.town.anne.id)).one()
        grant.valid_until = house.now - timedelta(seconds=1)
        db.commit()
    turned_away(house, house.browser.as_relative(house.town.anne, Level.high), walked)


@pytest.mark.parametrize("walked", about_kari("relative"), ids=towns.name)
def test_a_relative_with_a_grant_for_something_else(house: House, walked: Walked) -> None:
    house.put_back()
    with Session(house.engine) as db:
        grant = db.scalars(select(Grant).where(Grant.relative_id == house.town.anne.id)).one()
        grant.scopes = "measures"
        db.commit()
    turned_away(house, house.browser.as_relative(house.town.anne, Level.high), walked)


def test_a_colleague_of_another_unit_finds_nobody(house: House) -> None:
    house.put_back()
    browser = house.browser.as_professional(house.town.ward.geir)
    for typed in (cast.KARI_ID, "400 00 001", "+4740000001", "Kari Nilsen", "kari", "4740000001"):
        page = browser.post("/staff/patients", {"search": typed})
        assert "Kari Nilsen" not in page.text
        assert str(house.town.kari.id) not in page.html
    for path in (
        "/staff",
        "/staff?show=mine",
        "/staff/calls",
        "/staff/coming-home",
        "/staff/meetings",
        "/staff/patients",
    ):
        page = browser.open(path)
        assert "Kari Nilsen" not in page.text
        assert "Lars Moen" not in page.text


def test_whoever_has_left_the_unit_sees_no_case_they_once_took(house: House) -> None:
    house.put_back()
    town = house.town
    browser = house.browser.as_professional(town.ward.johan)
    flag = town.ids["flag_id"]
    browser.post(f"/staff/flags/{flag}/claim")
    with Session(house.engine) as db:
        here = db.scalars(select(Membership).where(Membership.professional_id == town.ward.johan.id)).one()
        here.unit_id = town.ward.harstad.id
        db.commit()
    browser.as_professional(town.ward.johan)
    for path in ("/staff?show=mine", "/staff", "/staff/meetings"):
        assert "Kari Nilsen" not in browser.open(path).text, path
    for path in (
        f"/staff/patients/{town.kari.id}",
        f"/staff/meetings/{town.ids['meeting_id']}",
        f"/meeting/{town.ids['meeting_id']}",
    ):
        assert browser.raw("GET", path).status_code == 404, path


def test_a_unit_that_stopped_following_sees_no_meeting_of_hers(house: House) -> None:
    house.put_back()
    town = house.town
    with Session(house.engine) as db:
        for one in db.scalars(select(PatientUnit).where(PatientUnit.unit_id == town.ward.tromso.id)):
            one.until = house.now.date() - timedelta(days=1)
        for raised in db.scalars(select(Flag)):
            raised.state = "closed"
        db.commit()
    browser = house.browser.as_professional(town.ward.johan)
    for path in (f"/staff/patients/{town.kari.id}", f"/staff/stays/{town.ids['stay_id']}/sheet"):
        assert browser.raw("GET", path).status_code == 404, path


def test_the_dead_sign_in_no_more(house: House) -> None:
    house.put_back()
    browser = house.browser.as_patient(house.town.kari, Level.link)
    with Session(house.engine) as db:
        db.get_one(Patient, house.town.kari.id).died_on = house.now.date()
        db.commit()
    answer = browser.raw("GET", f"/meeting/{house.town.ids['meeting_id']}")
    assert answer.status_code in (303, 404)
    form = {"csrf_token": browser.token, "day": "4", "month": "5", "year": "1958"}
    browser.raw("POST", "/birth-date", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert browser.raw("GET", "/patient").status_code == 303
