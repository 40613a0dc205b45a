"""A relative's pages: only what a grant opens, only while it holds, and never unseen."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.models import AuditEvent, Relative
from companion.rules.access import Level
from companion.use_cases import meetings as meet
from companion.use_cases.passport import lines as passport
from companion.use_cases.relatives import share
from tests import cast
from tests.pages.at_home import AtHome, at_home, let_anne_in, queries
from tests.pages.client import PageClient


@pytest.fixture
def home(engine: Engine, now: datetime) -> AtHome:
    found = at_home(engine, now)
    with Session(engine) as db:
        me, sofia = cast.actor(found.kari), found.ward.sofia
        passport.write_line(db, me, found.kari.id, "matters", "Å lese for barnebarna.", now=now)
        passport.write_line(db, sofia, found.kari.id, "important", "Allergisk mot penicillin", True, now=now)
        db.commit()
    return found


def as_anne(browser: PageClient, anne: Relative, level: Level = Level.high) -> PageClient:
    """Anne, who knows nothing of Ola."""
    browser.as_relative(anne, level).strangers.add("Ola Hansen")
    return browser


def test_home_says_who_let_her_in_and_until_when(
    browser: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    anne, _grant = let_anne_in(engine, home, now)
    page = as_anne(browser, anne, Level.code).open("/relative")
    assert page.h1 == "Hei, Anne"
    assert "Kari Nilsen" in page.text
    assert "Du er datter og har fått tilgang til 10. november 2027." in page.text
    assert page.links["Se passet"] == f"/relative/passport/{home.kari.id}"
    assert "Fysioterapi" not in page.text


def test_the_passport_needs_a_surer_sign_in(
    browser: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    anne, _grant = let_anne_in(engine, home, now)
    as_anne(browser, anne, Level.code)
    assert browser.open(f"/relative/passport/{home.kari.id}").path == "/sign-in"


def test_the_passport_is_for_reading_and_leaves_a_trace(
    browser: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    anne, _grant = let_anne_in(engine, home, now)
    page = as_anne(browser, anne).open(f"/relative/passport/{home.kari.id}")
    assert "Kari Nilsen · født 4. mai 1958" in page.text
    assert "Allergisk mot penicillin" in page.text
    assert "Fysioterapi to ganger i uken" in page.text
    assert "Rundt Kari" in page.text
    assert "Endre" not in page.text
    assert "Be om en koordinator" not in page.text
    assert {form.action for form in page.forms} == {"/sign-out"}
    assert "Kari kan se at du har lest passet." in page.text
    browser.open(f"/relative/passport/{home.kari.id}")
    with Session(engine) as db:
        looks = db.scalars(select(AuditEvent).where(AuditEvent.actor_id == anne.id)).all()
    assert [(one.action, one.patient_id) for one in looks] == [("passport.read", home.kari.id)] * 2


def test_without_the_scope_there_are_no_measures(
    browser: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    anne, _grant = let_anne_in(engine, home, now, {"passport"})
    page = as_anne(browser, anne).open(f"/relative/passport/{home.kari.id}")
    assert "Allergisk mot penicillin" in page.text
    assert "Fysioterapi to ganger i uken" not in page.text
    assert "Møter" not in browser.open("/relative").links


def test_a_grant_for_meetings_opens_no_passport(
    browser: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    anne, _grant = let_anne_in(engine, home, now, {"meetings"})
    as_anne(browser, anne)
    browser.open(f"/relative/passport/{home.kari.id}", 404)
    assert "Se passet" not in browser.open("/relative").links


def test_somebody_elses_passport_is_not_there(
    browser: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    anne, _grant = let_anne_in(engine, home, now)
    as_anne(browser, anne).open(f"/relative/passport/{home.ola.id}", 404)


def test_withdrawn_shuts_the_door_at_once(
    browser: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    anne, grant = let_anne_in(engine, home, now)
    with Session(engine) as db:
        meet.offer(db, home.ward.johan, home.kari.id, now + timedelta(days=1), relatives=[anne.id], now=now)
        db.commit()
    as_anne(browser, anne).open(f"/relative/passport/{home.kari.id}")
    with Session(engine) as db:
        share.withdraw(db, cast.actor(home.kari), grant, now=now)
        db.commit()
    browser.strangers.add("Kari Nilsen")
    browser.open(f"/relative/passport/{home.kari.id}", 404)
    assert "Ingen har gitt deg tilgang nå" in browser.open("/relative").text
    assert "Ingen møter på planen" in browser.open("/relative/meetings").text


def test_a_grant_that_ran_out_opens_nothing(
    browser: PageClient, home: AtHome, engine: Engine, clock: FixedClock, now: datetime
) -> None:
    anne, _grant = let_anne_in(engine, home, now, until=now.date())
    clock.forward(timedelta(days=1))
    as_anne(browser, anne).open(f"/relative/passport/{home.kari.id}", 404)
    assert "Ingen har gitt deg tilgang nå" in browser.open("/relative").text


def test_the_next_meeting_stands_first(
    browser: PageClient, home: AtHome, engine: Engine, clock: FixedClock, now: datetime
) -> None:
    anne, _grant = let_anne_in(engine, home, now)
    with Session(engine) as db:
        found = meet.offer(
            db, home.ward.johan, home.kari.id, now + timedelta(hours=1), relatives=[anne.id], now=now
        )
        without_her = meet.offer(db, home.ward.johan, home.kari.id, now + timedelta(hours=4), now=now)
        room, other = f"/meeting/{found.id}", f"/meeting/{without_her.id}"
        db.commit()
    as_anne(browser, anne, Level.code)
    for path in ("/relative", "/relative/meetings"):
        page = browser.open(path)
        assert "Kari Nilsen med Johan Bakk, fysioterapeut." in page.text
        assert other not in page.links.values()
    clock.forward(timedelta(minutes=50))
    browser.as_relative(anne, Level.code)
    assert browser.open("/relative").links["Bli med nå"] == room


def test_the_look_is_hers(browser: PageClient, home: AtHome, engine: Engine, now: datetime) -> None:
    anne, _grant = let_anne_in(engine, home, now)
    as_anne(browser, anne)
    wish = {"text_size": "lg", "color_scheme": "light", "language": "nb"}
    page = browser.submit(browser.open("/relative/settings"), "/relative/settings", wish)
    assert page.tree is not None
    assert (page.tree.get("data-size"), page.tree.get("data-color-scheme")) == ("lg", "light")
    browser.post("/relative/settings", {"text_size": "lg"}, status=422)


def test_pages_need_few_queries(browser: PageClient, home: AtHome, engine: Engine, now: datetime) -> None:
    anne, _grant = let_anne_in(engine, home, now)
    as_anne(browser, anne)
    for path in ("/relative", f"/relative/passport/{home.kari.id}", "/relative/meetings"):
        assert queries(browser, engine, path, light="/relative/settings") <= 6, path


def test_a_patient_has_no_business_here(browser: PageClient, home: AtHome) -> None:
    browser.as_patient(home.kari)
    browser.open("/relative", 403)
