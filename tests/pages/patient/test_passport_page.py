"""The passport in the patient's browser: read, written in, confirmed, shown to others, and who has looked."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.models import Flag, Grant, Message, PassportLine
from companion.rules.access import Level
from companion.use_cases.cases import flag
from companion.use_cases.passport import lines as passport
from tests import cast
from tests.pages.at_home import AtHome, at_home, let_anne_in, queries, sign_in
from tests.pages.client import PageClient

ANNE = {
    "name": "Anne Nilsen",
    "relation": "datter",
    "phone": "400 00 002",
    "birth_date": "9.10.1986",
    "scopes": ["passport", "meetings"],
    "until": "365",
}


@pytest.fixture
def home(engine: Engine, now: datetime) -> AtHome:
    return at_home(engine, now)


@pytest.fixture
def kari(browser: PageClient, home: AtHome) -> PageClient:
    return sign_in(browser, home)


def line(engine: Engine, home: AtHome, now: datetime, text: str, **about: object) -> UUID:
    """A line in Kari's passport: in her words, or, with `by`, in a colleague's."""
    who = about.pop("by", None) or cast.actor(home.kari)
    section, critical = str(about.get("section", "matters")), bool(about.get("critical"))
    with Session(engine) as db:
        found = passport.write_line(db, who, home.kari.id, section, text, critical, now=now)  # type: ignore[arg-type]
        db.commit()
        return found.id


# --- reading ----------------------------------------------------------------------------------------------------------


def test_what_matters_comes_first_with_who_and_when(
    kari: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    line(engine, home, now, "Å kunne gå til naustet igjen.")
    line(
        engine, home, now, "Allergisk mot penicillin", by=home.ward.sofia, section="important", critical=True
    )
    page = kari.open("/patient/passport")
    assert page.h1 == "Pasientpass"
    assert "Kari Nilsen · født 4. mai 1958" in page.text
    assert "«Å kunne gå til naustet igjen.»" in page.text
    assert "Skrevet av deg · bekreftet 10. november" in page.text
    assert "Sofia Berg, sykepleier, Post 3, UNN Tromsø · bekreftet 10. november" in page.text
    assert page.text.index("Hva er viktig for meg") < page.text.index("Viktig å vite")
    assert "Stemmer det ennå?" not in page.text
    assert page.links["Vis til andre"] == "/patient/passport/share"
    assert page.links["Hvem ser?"] == "/patient/passport/who"


def test_an_empty_passport_invites_to_write(kari: PageClient) -> None:
    page = kari.open("/patient/passport")
    assert "Skriv med dine egne ord." in page.text
    assert "Viktig å vite" not in page.text  # nothing there to read
    assert "Fysioterapi to ganger i uken" in page.text


def test_an_old_line_asks_whether_it_still_holds(
    kari: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    old = line(engine, home, now, "Svelger tynn drikke dårlig", by=home.ward.sofia, section="important")
    with Session(engine) as db:
        db.get_one(PassportLine, old).written_at = now - timedelta(weeks=7)
        db.commit()
    page = kari.open("/patient/passport")
    assert "sist bekreftet 22. september" in page.text
    page = kari.submit(page, f"/patient/passport/lines/{old}/confirm")
    assert "bekreftet 10. november" in page.text
    assert "Stemmer det ennå?" not in page.text


def test_a_passport_needs_few_queries(kari: PageClient, home: AtHome, engine: Engine, now: datetime) -> None:
    for number in range(5):
        line(engine, home, now, f"Linje {number}", by=home.ward.sofia, section="important")
    let_anne_in(engine, home, now)
    assert queries(kari, engine, "/patient/passport") <= 6


# --- the people around ------------------------------------------------------------------------------------------------


def test_a_missing_coordinator_can_be_asked_for(
    kari: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    page = kari.open("/patient/passport")
    assert "Du har ingen koordinator ennå." in page.text
    page = kari.submit(page, "/patient/passport/coordinator")
    assert "Du har bedt om en koordinator. Koordinerende enhet, Tromsø ser det senest" in page.text
    kari.post("/patient/passport/coordinator")
    with Session(engine) as db:
        raised = db.scalars(select(Flag).where(Flag.code == "wants_coordinator")).one()
        assert raised.unit_id == home.ward.coordinating.id
        flag.claim(db, home.ward.marit, raised.id, now=now)
        db.commit()
    assert "Marit Solli har sett at du vil ha en koordinator." in kari.open("/patient/passport").text


def test_a_coordinator_who_is_there_is_not_asked_for(
    kari: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    with Session(engine) as db:
        sofia = home.ward.sofia
        passport.set_contact(db, sofia, home.kari.id, "coordinator", "Marit Solli", "77000001", now=now)
        db.commit()
    page = kari.open("/patient/passport")
    assert "Be om en koordinator" not in page.text
    assert "Marit Solli" in page.text


# --- writing ----------------------------------------------------------------------------------------------------------


def test_the_patient_writes_changes_and_takes_away(kari: PageClient) -> None:
    write = kari.open("/patient/passport").links["Skriv her"]
    words = "Snakk rolig & tydelig <3 😀"
    page = kari.submit(kari.open(write), write, {"text": words})
    assert words in page.text
    change = next(href for word, href in page.links.items() if word.startswith("Endre"))
    page = kari.submit(kari.open(change), change, {"text": "Ett spørsmål om gangen"})
    assert "Ett spørsmål om gangen" in page.text
    assert words not in page.text
    change = next(href for word, href in page.links.items() if word.startswith("Endre"))
    page = kari.submit(kari.open(change), f"{change}/remove")
    assert "Ett spørsmål om gangen" not in page.text
    assert kari.post(f"{change}/remove").path == "/patient/passport"  # tapped twice
    late = kari.post(change, {"text": "Igjen"})
    assert "Linja er tatt bort" in late.text
    assert late.form("/patient/passport/write/talk").fields["text"].strip() == "Igjen"


@pytest.mark.parametrize(("typed", "said"), [("", "Skriv noe først."), ("x" * 501, "Skriv høyst 500 tegn.")])
def test_what_does_not_do_is_kept_and_explained(kari: PageClient, typed: str, said: str) -> None:
    page = kari.post("/patient/passport/write/talk", {"text": typed}, status=422)
    assert said in page.text
    assert page.form("/patient/passport/write/talk").fields["text"].strip() == typed


def test_only_the_own_parts_are_the_patients_to_write(
    kari: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    kari.open("/patient/passport/write/important", 404)
    kari.post("/patient/passport/write/medication", {"text": "Noe"}, status=404)
    theirs = line(engine, home, now, "Går med rullator", by=home.ward.sofia, section="function")
    kari.open(f"/patient/passport/lines/{theirs}", 404)
    kari.post(f"/patient/passport/lines/{theirs}", {"text": "Løper"}, status=403)
    kari.post(f"/patient/passport/lines/{theirs}/remove", status=403)
    with Session(engine) as db:
        assert db.get_one(PassportLine, theirs).ended_at is None


def test_somebody_elses_line_is_not_there(
    kari: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    with Session(engine) as db:
        olas = passport.write_line(db, cast.actor(home.ola), home.ola.id, "matters", "Ro", now=now).id
        db.commit()
    kari.open(f"/patient/passport/lines/{olas}", 404)
    for what in ("", "/confirm", "/remove"):
        kari.post(f"/patient/passport/lines/{olas}{what}", {"text": "Mitt"}, status=404)


# --- showing it to others ---------------------------------------------------------------------------------------------


def test_letting_a_relative_in_and_out_again(kari: PageClient, engine: Engine) -> None:
    for _ in range(2):  # sent twice is sent once
        page = kari.post("/patient/passport/share", ANNE)
    assert page.h1 == "Hvem ser?"
    assert "Tilgangen er gitt." in page.text
    assert "Anne Nilsen (datter) Lese passet, være med på møter · til 10. november 2027" in page.text
    with Session(engine) as db:
        assert len(db.scalars(select(Grant)).all()) == 1
        assert db.scalars(select(Message).where(Message.kind == "relative_invited")).one()
    withdraw = next(form.action for form in page.forms if form.action.endswith("/withdraw"))
    page = kari.submit(page, withdraw)
    assert "Ingen pårørende ser noe." in page.text
    assert "De som hadde tilgang før" in page.text


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": ""}, "Skriv navnet."),
        ({"phone": "123"}, "Dette er ikke et telefonnummer."),
        ({"phone": "77 64 40 00"}, "Dette nummeret tar ikke imot SMS."),
        ({"birth_date": ""}, "Skriv fødselsdatoen."),
        ({"birth_date": "31.2.1986"}, "Skriv fødselsdatoen slik den er"),
        ({"relation": "x" * 60}, "Skriv kortere"),
        ({"scopes": []}, "Velg minst én ting."),
        ({"scopes": ["everything"]}, "Dette ble ikke riktig."),
        ({"until": "99999"}, "Velg hvor lenge det skal vare."),
    ],
)
def test_a_faulty_form_is_explained_and_kept(
    kari: PageClient, engine: Engine, wrong: dict[str, object], said: str
) -> None:
    page = kari.post("/patient/passport/share", ANNE | wrong, status=422)
    assert said in page.text
    fields = page.form("/patient/passport/share").fields
    assert fields["name"] == (ANNE | wrong)["name"]
    with Session(engine) as db:
        assert db.scalars(select(Grant)).all() == []


def test_who_has_looked_stands_in_plain_words(
    kari: PageClient, home: AtHome, engine: Engine, now: datetime, browser: PageClient
) -> None:
    assert "Ingen andre har sett" in kari.open("/patient/passport/who").text
    anne, _grant = let_anne_in(engine, home, now)
    browser.as_relative(anne, Level.high).open(f"/relative/passport/{home.kari.id}")
    browser.open(f"/relative/passport/{home.kari.id}")
    page = sign_in(browser, home).open("/patient/passport/who")
    assert page.text.count("Leste passet kl. 10.00") == 1
    assert "Anne Nilsen" in page.text


def test_somebody_elses_grant_is_not_there(
    kari: PageClient, home: AtHome, engine: Engine, now: datetime, browser: PageClient
) -> None:
    _anne, grant = let_anne_in(engine, home, now)
    browser.as_patient(home.ola)
    browser.strangers = {"Kari Nilsen"}
    browser.post(f"/patient/passport/grants/{grant}/withdraw", status=404)
    with Session(engine) as db:
        assert db.get_one(Grant, grant).withdrawn_at is None
