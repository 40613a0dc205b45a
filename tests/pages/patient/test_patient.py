"""The patient's own pages: today, measures, meetings, and how the pages look."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.models import AuditEvent, MeasureStatus, Patient
from companion.rules.access import Level
from companion.use_cases import meetings as meet
from tests.pages.at_home import AtHome, answer_all, at_home, let_anne_in, queries, sign_in
from tests.pages.client import PageClient


@pytest.fixture
def home(engine: Engine, now: datetime) -> AtHome:
    return at_home(engine, now)


@pytest.fixture
def kari(browser: PageClient, home: AtHome) -> PageClient:
    return sign_in(browser, home)


# --- today ------------------------------------------------------------------------------------------------------------


def test_today_is_first_the_one_thing_to_do(kari: PageClient, home: AtHome) -> None:
    page = kari.open("/patient")
    assert page.h1 == "Hei, Kari"
    assert "Tirsdag 10. november" in page.text
    order = ["Hvordan går det?", "Svar nå", "Ikke i dag", "Tiltakene dine", "Hvem kan jeg ringe?", "116"]
    places = [page.text.index(words) for words in order]
    assert places == sorted(places)
    assert "korte spørsmål. Tar rundt" in page.text
    assert page.links["Svar nå"] == home.way


def test_measures_tell_whose_task_and_by_when(kari: PageClient) -> None:
    page = kari.open("/patient")
    assert "Ansvar: Tromsø kommune · skulle vært i gang 8. november" in page.text
    assert "Ansvar: Post 3, UNN Tromsø · innen 25. januar 2027" in page.text
    assert page.links["Se alle"] == "/patient/measures"


def test_whom_to_call_has_real_numbers(kari: PageClient) -> None:
    links = kari.open("/patient").links
    assert links["Ring Rehabiliteringsteamet, Tromsø"] == "tel:+4777000000"
    assert links["113"] == "tel:113"
    assert "tel:116117" in links.values()


def test_a_code_shows_no_measures_but_the_way_to_them(kari: PageClient, home: AtHome) -> None:
    page = kari.as_patient(home.kari, Level.code).open("/patient")
    assert "Tiltakene dine" not in page.text
    assert "Fysioterapi to ganger" not in page.text
    assert page.links["Logg inn med BankID for å se pass og tiltak"] == "/patient/passport"
    for path in (
        "/patient/passport",
        "/patient/measures",
        "/patient/passport/who",
        "/patient/passport/share",
    ):
        assert kari.open(path).path == "/sign-in"


def test_when_there_is_nothing_to_do_it_says_so_and_when_we_ask(kari: PageClient, home: AtHome) -> None:
    answer_all(kari, home)
    kari.post(f"{home.way}/send")
    page = kari.open("/patient")
    assert "Ingenting å gjøre i dag" in page.text
    assert "Vi spør hvordan det går" in page.text
    assert home.way not in page.links.values()


def test_all_answered_but_not_sent_is_not_forgotten(kari: PageClient, home: AtHome) -> None:
    answer_all(kari, home)
    page = kari.open("/patient")
    assert "Du har svart på alt." in page.text
    assert kari.open(page.links["Se over og send"]).path == f"{home.way}/review"


def test_the_next_meeting_says_with_whom(
    kari: PageClient, home: AtHome, engine: Engine, clock: FixedClock, now: datetime
) -> None:
    anne, _grant = let_anne_in(engine, home, now)
    starts = now + timedelta(hours=3)
    with Session(engine) as db:
        found = meet.offer(db, home.ward.johan, home.kari.id, starts, relatives=[anne.id], now=now)
        room = f"/meeting/{found.id}"
        db.commit()
    page = kari.open("/patient")
    assert "Videomøte i dag kl. 13.00" in page.text
    assert "med Johan Bakk, fysioterapeut. Anne er invitert." in page.text
    assert page.links["Kalender"] == f"{room}/calendar.ics"
    assert "Bli med nå" not in page.links
    clock.forward(timedelta(hours=2, minutes=50))
    kari.as_patient(home.kari, Level.code)
    assert kari.open("/patient").links["Bli med nå"] == room


def test_every_look_is_written_down(kari: PageClient, home: AtHome, engine: Engine) -> None:
    for path in (
        "/patient",
        "/patient/measures",
        "/patient/meetings",
        "/patient/passport",
        home.asks("how"),
    ):
        kari.open(path)
    with Session(engine) as db:
        actions = [event.action for event in db.scalars(select(AuditEvent).order_by(AuditEvent.seq))]
    told = [one for one in actions if one.endswith(".read")]
    assert told == ["today.read", "measures.read", "meetings.read", "passport.read", "check_in.read"]


def test_today_needs_few_queries(kari: PageClient, home: AtHome, engine: Engine, now: datetime) -> None:
    anne, _grant = let_anne_in(engine, home, now)
    with Session(engine) as db:
        meet.offer(db, home.ward.johan, home.kari.id, now + timedelta(days=1), relatives=[anne.id], now=now)
        db.commit()
    assert queries(kari, engine, "/patient") <= 6


# --- measures and meetings --------------------------------------------------------------------------------------------


def test_measures_tell_why_and_what_was_said(
    kari: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    with Session(engine) as db:
        for day, status, reason in ((2, "not_started", "nobody_contacted"), (1, "started", None)):
            db.add(
                MeasureStatus(
                    measure_id=home.measures[0],
                    status=status,
                    reason=reason,
                    at=now - timedelta(days=day),
                    by_kind="patient",
                    by_id=home.kari.id,
                )
            )
        db.commit()
    page = kari.open("/patient/measures")
    assert "1. Fysioterapi to ganger i uken" in page.text
    assert "Vi ser på blodtrykket." in page.text
    assert "Ikke i gang: ingen har tatt kontakt" in page.text
    assert "I gang" in page.text
    assert "Tiden er ute" in page.text  # the walk was to begin after three days
    assert queries(kari, engine, "/patient/measures") <= 6


def test_meetings_to_come_and_those_that_were(
    kari: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    assert "Ingen møter på planen" in kari.open("/patient/meetings").text
    with Session(engine) as db:
        johan = home.ward.johan
        meet.offer(db, johan, home.kari.id, now + timedelta(days=2), now=now)
        gone = meet.offer(db, johan, home.kari.id, now + timedelta(days=3), now=now)
        meet.cancel(db, johan, gone.id, now=now)
        meet.offer(db, johan, home.kari.id, now - timedelta(days=3), now=now - timedelta(days=5))
        db.commit()
    page = kari.open("/patient/meetings")
    assert "torsdag 12. november" in page.text
    assert page.text.index("Tidligere møter") < page.text.index("Avlyst")
    assert "lørdag 7. november" in page.text.lower()
    assert queries(kari, engine, "/patient/meetings") <= 6


# --- how the pages look -----------------------------------------------------------------------------------------------


def test_the_look_is_kept_on_the_person(kari: PageClient, home: AtHome) -> None:
    wish = {"text_size": "lg", "color_scheme": "dark", "language": "nn"}
    page = kari.submit(kari.open("/patient/settings"), "/patient/settings", wish)
    assert page.tree is not None
    kept = [page.tree.get(name) for name in ("data-size", "data-color-scheme", "lang")]
    assert kept == ["lg", "dark", "nn"]
    chosen = {box.get("value") for box in page.all("input") if box.get("checked") is not None}
    assert chosen == {"lg", "dark", "nn"}


@pytest.mark.parametrize("wrong", [{"text_size": "huge"}, {"language": "de"}, {"color_scheme": ""}])
def test_a_choice_that_does_not_exist_changes_nothing(
    kari: PageClient, home: AtHome, engine: Engine, wrong: dict[str, str]
) -> None:
    right = {"text_size": "lg", "color_scheme": "dark", "language": "en"}
    assert "finnes ikke" in kari.post("/patient/settings", right | wrong, status=422).text
    with Session(engine) as db:
        stored = db.get_one(Patient, home.kari.id)
        assert (stored.text_size, stored.color_scheme, stored.language) == ("md", "auto", "nb")


def test_colleagues_have_no_business_here(browser: PageClient, home: AtHome) -> None:
    browser.as_professional(home.ward.sofia)
    for path in ("/patient", "/patient/passport", home.way):
        browser.open(path, 403)


# --- writing to us, and having said stop ------------------------------------------------------------------------------


def test_what_is_written_to_us_is_answered_with_by_when_it_is_read(kari: PageClient) -> None:
    assert kari.open("/patient").links["Skriv til oss"] == "/patient/write"
    page = kari.submit(kari.open("/patient/write"), "/patient/write", {"text": "Jeg lurer på medisinene"})
    assert "Takk. Vi har fått det" in page.text
    assert "En av oss leser det innen" in page.text


def test_nothing_written_is_said_and_keeps_the_form(kari: PageClient) -> None:
    page = kari.submit(kari.open("/patient/write"), "/patient/write", {"text": " "}, 422)
    assert "Skriv noe først." in page.text


@pytest.mark.parametrize("way", ["/patient/write", "/patient/passport/write/matters"])
def test_words_of_despair_are_answered_with_whom_to_call_wherever_they_are_written(
    kari: PageClient, way: str
) -> None:
    form = kari.open(way)
    page = kari.submit(form, way, {"text": "Jeg vil ikke leve lenger"})
    assert "Takk for at du skriver det. Et menneske leser det, men ikke med en gang." in page.text
    assert {"tel:113", "tel:116117", "tel:116123"} <= set(page.links.values())


def test_after_stop_today_does_not_invite(kari: PageClient, home: AtHome, engine: Engine) -> None:
    with Session(engine) as db:
        db.get_one(Patient, home.kari.id).phone_state = "opted_out"
        db.commit()
    page = kari.open("/patient")
    assert "Du har sagt stopp til SMS" in page.text
    assert "Svar nå" not in page.text
