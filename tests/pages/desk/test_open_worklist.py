"""The worklist that stays open: overdue first and said, up to date for little, and honest about how fresh it is."""

import re
from datetime import date, timedelta

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.models import Flag, Professional
from companion.use_cases.cases import promise
from companion.use_cases.people import at_work
from tests.pages.at_the_desk import Desk, furnish, raise_flag, with_flag
from tests.pages.client import PageClient
from tests.pages.house.test_statements import everything_asked


@pytest.fixture
def desk(engine: Engine, clock: FixedClock) -> Desk:
    return furnish(engine, clock.now())


def poll(browser: PageClient, page: str) -> str:
    """What the page itself asks for every half minute."""
    [path] = re.findall(r'hx-get="([^"]+)"', page)
    known, since = (re.findall(rf'name="{name}" value="([^"]+)"', page)[0] for name in ("known", "since"))
    return f"{path}&known={known}&since={since}"


def test_an_overdue_case_is_first_counted_and_has_its_own_list(
    browser: PageClient, engine: Engine, desk: Desk, clock: FixedClock
) -> None:
    raised = raise_flag(engine, desk.kari, desk.ward.tromso, clock.now())
    with_flag(engine, raised, "claim", desk.ward.johan, clock.now())
    clock.at += timedelta(hours=6)
    page = browser.as_professional(desk.ward.johan).open("/staff")
    assert "1 over fristen" in page.text
    assert "Over fristen 1" in page.links
    assert "lovet sett i dag kl. 15.00" in page.text
    assert "Kari Nilsen" in browser.open("/staff?show=overdue").text


def test_a_quiet_poll_asks_little_and_leaves_no_line(
    browser: PageClient, engine: Engine, desk: Desk, clock: FixedClock
) -> None:
    page = browser.as_professional(desk.ward.johan).open("/staff")
    assert "Oppdatert kl. 10.00" in page.text
    clock.at += timedelta(seconds=30)
    with everything_asked(engine) as asked:
        answer = browser.raw("GET", poll(browser, page.html))
    assert (answer.status_code, answer.headers["X-Fresh"]) == (204, "kl. 10.00")
    assert len(asked) <= 4, asked


def test_a_new_red_case_comes_to_the_open_page_with_its_number(
    browser: PageClient, engine: Engine, desk: Desk, clock: FixedClock
) -> None:
    page = browser.as_professional(desk.ward.johan).open("/staff")
    clock.at += timedelta(minutes=2)
    raise_flag(engine, desk.kari, desk.ward.tromso, clock.now(), quote="Verre i hodet")
    answer = browser.raw("GET", poll(browser, page.html))
    assert answer.status_code == 200
    assert 'data-new-red="1"' in answer.text
    assert "Verre i hodet" in answer.text
    assert "10.02" in answer.text
    # Asked with what it knows now: nothing more to say.
    again = poll(browser, answer.text.replace("<p", '<p hx-get="/staff/fresh?show=all"><p', 1))
    assert browser.raw("GET", again).status_code == 204


@pytest.mark.parametrize("query", ["show=all&known=x&since=99999999999999", "show=all&since=-5", "show=mine"])
def test_nonsense_gets_the_list(browser: PageClient, desk: Desk, query: str) -> None:
    browser.as_professional(desk.ward.johan)
    assert browser.raw("GET", f"/staff/fresh?{query}").status_code == 200


def test_staff_read_why_a_case_came_and_every_step(
    browser: PageClient, engine: Engine, desk: Desk, clock: FixedClock
) -> None:
    raise_flag(engine, desk.kari, desk.ward.tromso, clock.now())
    for hours in (3, 5, 23):
        with Session(engine) as db:
            promise.climb_due(db, clock.now() + timedelta(hours=hours))
            db.commit()
    clock.at += timedelta(hours=23)
    browser.as_professional(desk.ward.sofia)
    assert "Kom hit fra Rehabiliteringsteamet, Tromsø: fristen gikk ut der." in browser.open("/staff").text
    text = browser.open(f"/staff/patients/{desk.kari.id}").text
    for step in (
        "Fristen går snart ut. Rehabiliteringsteamet, Tromsø har saken",
        "Fristen gikk ut. Alle ved Rehabiliteringsteamet, Tromsø kan ta saken",
        "Fristen gikk ut. Saken gikk videre til Post 3, UNN Tromsø",
    ):
        assert step in text


def test_staff_read_that_nobody_was_at_work_where_it_belongs(
    browser: PageClient, engine: Engine, desk: Desk, clock: FixedClock
) -> None:
    with Session(engine) as db:
        number = db.get_one(Professional, desk.ward.johan.id).national_id
        at_work.away(db, number, date(2026, 11, 1), now=clock.now())
        db.commit()
    raise_flag(engine, desk.kari, desk.ward.tromso, clock.now())
    browser.as_professional(desk.ward.sofia)
    assert "Kom hit fra Rehabiliteringsteamet, Tromsø: ingen er på jobb der." in browser.open("/staff").text
    text = browser.open(f"/staff/patients/{desk.kari.id}").text
    assert "Ingen er på jobb ved Rehabiliteringsteamet, Tromsø. Saken gikk videre" in text


def test_more_time_is_given_with_a_reason_and_kept_when_it_is_wrong(
    browser: PageClient, engine: Engine, desk: Desk, clock: FixedClock
) -> None:
    raised = raise_flag(engine, desk.kari, desk.ward.tromso, clock.now())
    browser.as_professional(desk.ward.johan).open(f"/staff/patients/{desk.kari.id}")
    more, why = f"/staff/flags/{raised.id}/renew", "Venter på fastlegen"
    wrong = browser.post(more, {"until": "2026-11-14", "reason": why}, status=422)
    assert "Velg en virkedag innen 30 dager." in wrong.text
    assert "Venter på fastlegen" in wrong.text
    page = browser.post(more, {"until": "2026-11-16", "reason": why})
    assert "Ny frist: Venter på fastlegen" in page.text
    with Session(engine) as db:
        assert db.get_one(Flag, raised.id).respond_by > clock.now() + timedelta(days=6)
