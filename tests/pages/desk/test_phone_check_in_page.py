"""Staff ask the questions on the telephone: all on one page, nothing lost, and everybody is told truly who wrote the answers."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.models import Answer, CheckIn, Flag, Patient
from companion.rules.access import Level
from companion.rules.questionnaire import address
from companion.use_cases import check_in
from tests.pages.at_home import AtHome, at_home
from tests.pages.client import Opened, PageClient


@pytest.fixture
def home(engine: Engine, now: datetime) -> AtHome:
    return at_home(engine, now)


@pytest.fixture
def sofia(browser: PageClient, home: AtHome) -> PageClient:
    """Sofia of the ward, at the desk."""
    return browser.as_professional(home.ward.sofia)


def way(home: AtHome) -> str:
    """Where Kari's questions are asked."""
    return f"/staff/check-ins/{home.check_in.id}"


def call(page: Opened, home: AtHome, **said: str) -> dict[str, str]:
    """The form filled in: all is well but for what is said."""
    form = page.form(way(home)).fields
    well = {"how": "good", "worse": "no", "contact": "false"} | said
    well |= {f"measure.{one}.started": "yes" for one in home.measures}
    named = {address(link_id): value for link_id, value in well.items()}
    return {name: value for name, value in named.items() if name in form}


def expired(browser: PageClient, home: AtHome, clock: FixedClock) -> None:
    """Kari says nothing for as long as we wait."""
    with browser.sessions() as db:
        for step in (check_in.remind_due, check_in.give_up_due):
            clock.forward(timedelta(days=6))
            assert step(db, clock.now()) >= 1
        db.commit()
    clock.forward(timedelta(hours=1))


def test_all_questions_stand_on_one_page(sofia: PageClient, home: AtHome) -> None:
    page = sofia.open(way(home))
    assert page.h1 == "Spørsmål til Kari Nilsen"
    assert "Dette sa Kari" in page.text
    assert "Fysioterapi to ganger i uken" in page.text
    assert len(page.form(way(home)).fields["shown"].split()) > 10
    assert page.links["Ring 400 00 001"] == "tel:+4740000001"


def test_the_answers_of_a_call_are_kept_and_their_cases_shown(
    sofia: PageClient, home: AtHome, engine: Engine
) -> None:
    page = sofia.open(way(home))
    page = sofia.submit(page, way(home), call(page, home) | {address("fatigue"): "9"})
    assert page.came_by[-1] == f"{way(home)}/ending"
    assert page.h1 == "Svarene til Kari er lagret"
    assert "skrevet av Sofia Berg" in page.text
    assert "Svært sliten: 9 av 10" in page.text
    with Session(engine) as db:
        assert db.get_one(CheckIn, home.check_in.id).state == "answered"
        assert {row.by_kind for row in db.scalars(select(Answer))} == {"professional"}
    case = sofia.open(f"/staff/patients/{home.kari.id}")
    assert "Svarte på telefon, skrevet av Sofia Berg" in case.text
    listed = sofia.as_professional(home.ward.johan).open("/staff")
    assert "Svarte på telefon, skrevet av Sofia Berg." in listed.text


def test_what_is_missing_is_said_and_nothing_typed_is_lost(sofia: PageClient, home: AtHome) -> None:
    page = sofia.open(way(home))
    filled = call(page, home, how="", worse="clearly") | {address("fatigue"): "4"}
    page = sofia.submit(page, way(home), filled, status=422)
    form = page.form(way(home)).fields
    assert (form[address("worse")], form[address("fatigue")]) == ("clearly", "4")
    assert "Dette må ha et svar." in page.text
    assert "Nytt spørsmål etter det som ble svart." in page.text
    assert "Ved fare for liv: 113." in page.text
    more = {address("how"): "bad", address("worse.text"): "Mer hodepine <b>"}
    ending = sofia.submit(page, way(home), more)
    assert ending.h1 == "Svarene til Kari er lagret"
    assert "Klart verre enn før" in ending.text


def test_questions_that_come_with_an_answer_are_shown_before_anything_is_saved(
    sofia: PageClient, home: AtHome, engine: Engine
) -> None:
    page = sofia.open(way(home))
    assert address("worse.text") not in page.form(way(home)).fields
    page = sofia.submit(page, way(home), call(page, home, worse="a_little") | {"do": "show"})
    assert address("worse.text") in page.form(way(home)).fields
    with Session(engine) as db:
        assert db.scalars(select(Answer)).all() == []


def test_a_field_that_is_too_long_is_refused_and_kept(sofia: PageClient, home: AtHome) -> None:
    page = sofia.open(way(home))
    page = sofia.submit(page, way(home), call(page, home, worse="a_little"), status=422)
    page = sofia.submit(page, way(home), {address("worse.text"): "x" * 501}, status=422)
    assert "Det er plass til 500 tegn." in page.text
    assert page.form(way(home)).fields[address("worse.text")] == "x" * 501


def test_who_did_not_answer_is_phoned_from_the_list(
    sofia: PageClient, home: AtHome, clock: FixedClock, engine: Engine
) -> None:
    expired(sofia, home, clock)
    sofia.as_professional(home.ward.sofia)
    for listed in ("/staff", "/staff/calls"):
        assert sofia.open(listed).links["Still spørsmålene Kari Nilsen"] == way(home)
    case = sofia.open(f"/staff/patients/{home.kari.id}")
    assert case.links["Still spørsmålene nå"] == way(home)
    page = sofia.open(way(home))
    ending = sofia.submit(page, way(home), call(page, home))
    assert "Ingen nye saker" in ending.text
    assert "Ikke svart på melding og påminnelse" in ending.text  # still for a human to end
    case = sofia.open(f"/staff/patients/{home.kari.id}")
    assert "Svarte ikke" in case.text
    assert "Svarte på telefon, skrevet av Sofia Berg" in case.text
    assert "Still spørsmålene nå" not in case.links
    with Session(engine) as db:
        silent = db.scalars(
            select(Flag).where(Flag.patient_id == home.kari.id, Flag.code == "no_answer")
        ).one()
        assert silent.state == "open"


def test_an_old_one_says_why_it_cannot_be_asked(sofia: PageClient, home: AtHome, clock: FixedClock) -> None:
    expired(sofia, home, clock)
    clock.forward(check_in.BY_PHONE_WITHIN)
    sofia.as_professional(home.ward.sofia)
    page = sofia.open(way(home), status=409)
    assert page.h1 == "Disse spørsmålene kan ikke stilles nå"
    assert "Still spørsmålene" not in " ".join(sofia.open("/staff/calls").links)


def test_answers_that_came_meanwhile_are_not_overwritten(
    sofia: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    page = sofia.open(way(home))
    filled = call(page, home)
    typed = {name: filled.get(name, "") for name in page.form(way(home)).fields["shown"].split()}
    with Session(engine) as db:
        check_in.answer_by_phone(db, home.ward.johan, home.check_in.id, typed, now=now)
        db.commit()
    page = sofia.submit(page, way(home), filled | {address("how"): "bad"}, status=409)
    assert "Det du skrev nå, er ikke lagret." in page.text
    assert "skrevet av Johan Bakk" in page.text


def test_the_same_form_twice_is_kept_once(sofia: PageClient, home: AtHome, engine: Engine) -> None:
    page = sofia.open(way(home))
    filled = call(page, home)
    first = sofia.submit(page, way(home), filled)
    again = sofia.submit(page, way(home), filled)
    assert (again.h1, "ikke lagret" in again.text) == (first.h1, False)
    assert sofia.open(way(home)).h1 == first.h1


def test_nobody_elses_patients(browser: PageClient, home: AtHome) -> None:
    browser.as_professional(home.ward.geir)
    for path in (way(home), f"{way(home)}/ending"):
        browser.open(path, status=404)
    browser.post(way(home), {"shown": ""}, status=404)


def test_the_dead_are_not_asked(sofia: PageClient, home: AtHome, engine: Engine, now: datetime) -> None:
    with Session(engine) as db:
        db.execute(update(Patient).where(Patient.id == home.kari.id).values(died_on=now.date()))
        db.commit()
    assert "registrert død" in sofia.open(way(home), status=409).text


def test_kari_reads_that_she_answered_on_the_phone(
    sofia: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    page = sofia.open(way(home))
    sofia.submit(page, way(home), call(page, home))
    kari = sofia.as_patient(home.kari, Level.code)
    today = kari.open("/patient")
    assert "Du svarte på telefon i dag kl. 10.00." in today.text
    ending = kari.open(home.way)
    assert "Svarene er sendt" not in ending.text
    assert "Du svarte på telefon" in ending.text
    assert "Sofia Berg, sykepleier, skrev ned svarene" in ending.text
    log = kari.as_patient(home.kari).open("/patient/passport/who")
    assert "Stilte deg spørsmålene på telefon" in log.text


def test_what_a_stranger_posts_does_no_harm(sofia: PageClient, home: AtHome, engine: Engine) -> None:
    for fields in (
        {},
        {"shown": "x y z"},
        {"shown": address("how"), address("how"): "<script>"},
        {"do": "show"},
    ):
        status = 200 if fields.get("do") else 422
        sofia.open(way(home))
        sofia.post(way(home), fields, status=status)
    with Session(engine) as db:
        assert db.get_one(CheckIn, home.check_in.id).state == "asked"
