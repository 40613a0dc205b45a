"""The discharge form: all at once or nothing, what the person gets beside it, and the sheet that goes home."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.db import make_sessions
from companion.models import AuditEvent, Grant, Measure, PassportLine, Patient, Professional, Stay
from companion.settings import Settings
from tests import cast
from tests.pages.client import Opened, PageClient
from web.app import create_app
from web.house.settings import WebSettings

FORM = "/staff/discharge"
TYPED: Mapping[str, Any] = {
    "name": "Kari Nilsen",
    "national_id": cast.KARI_ID,
    "phone": "400 00 001",
    "language": "nb",
    "municipality_number": "5501",
    "ward": "unn-post3",
    "discharged_on": "2026-11-10",
    "template": "stroke",
    "hour": "10:00",
    "contact_by": "sms",
    "measures.1.title": "Fysioterapi to ganger i uken",
    "measures.1.owner": "municipality",
    "measures.1.due": "12",
    "measures.2.title": "Gå en tur hver dag",
    "measures.2.owner": "patient",
    "measures.2.due": "3",
    "relative.name": "Anne Nilsen",
    "relative.relation": "datter",
    "relative.phone": "400 00 002",
    "relative.birth_date": "1986-10-09",
    "relative.until": "2027-05-10",
    "relative.scopes": ["passport", "meetings"],
    "matters": "Å synge i koret igjen",
    "talk": "",
    "important": "Tåler ikke penicillin",
    "do": "save",
}


@pytest.fixture
def ward(engine: Engine, now: datetime) -> cast.Ward:
    with Session(engine, expire_on_commit=False) as db:
        made = cast.ward(db, now)
        db.commit()
    return made


@pytest.fixture
def sofia(browser: PageClient, ward: cast.Ward) -> PageClient:
    return browser.as_professional(ward.sofia)


def nothing_saved(engine: Engine) -> bool:
    with Session(engine) as db:
        return not any(
            db.scalar(select(func.count()).select_from(table)) for table in (Patient, Grant, PassportLine)
        )


def kept(page: Opened) -> dict[str, str]:
    return page.form(FORM).fields


def test_everything_is_saved_in_one_go_and_the_sheet_comes(sofia: PageClient, engine: Engine) -> None:
    page = sofia.post(FORM, TYPED)
    assert page.path.startswith("/staff/stays/")
    assert page.h1 == "Hjemreisearket til Kari"
    with Session(engine) as db:
        kari = db.scalars(select(Patient)).one()
        assert (kari.name, kari.phone, kari.contact_by) == ("Kari Nilsen", "+4740000001", "sms")
        titles = db.scalars(select(Measure).order_by(Measure.number)).all()
        assert [(one.number, one.title) for one in titles] == [
            (1, TYPED["measures.1.title"]),
            (2, TYPED["measures.2.title"]),
        ]
        assert db.scalars(select(Grant)).one().given_how == "paper"
        assert {line.section for line in db.scalars(select(PassportLine))} == {"matters", "important"}
        assert "discharged" in db.scalars(select(AuditEvent.action)).all()


def test_the_sheet_says_what_was_agreed_whom_to_call_and_what_is_genuine(sofia: PageClient) -> None:
    page = sofia.post(FORM, TYPED)
    for said in (
        "Du reiser hjem 10. november 2026",
        "Fysioterapi to ganger i uken",
        "I gang innen 22. november 2026",
        "Dette gjør du selv.",
        "13. november 2026 kl. 10.00",
        "Rehabiliteringsteamet, Tromsø",
        "800 300 61",
        "Hei Kari. Her er Følge",
        "Vi spør bare om fødselsdatoen din",
        "svar STOPP",
    ):
        assert said in page.text, said
    assert [item.get("value") for item in page.all("li") if item.get("value")] == ["1", "2"]
    assert "Til saken" in page.links


def test_the_sheet_is_in_the_persons_own_language(sofia: PageClient) -> None:
    page = sofia.post(FORM, {**TYPED, "language": "en"})
    article = next(iter(page.all("article")))
    assert article.get("lang") == "en"
    assert "Here is what we have agreed" in page.text
    assert page.h1 == "Hjemreisearket til Kari"


@pytest.mark.parametrize("way", ["sms", "call"])
def test_every_page_names_the_same_day_and_none_on_a_day_off(
    sofia: PageClient, another_browser: Callable[[], PageClient], engine: Engine, way: str
) -> None:
    """Three days after the eleventh is a Saturday."""
    typed = {**TYPED, "discharged_on": "2026-11-11", "contact_by": way, "measures.2.due": "1"}
    shown = sofia.raw(
        "POST",
        f"{FORM}/preview",
        data={**typed, "csrf_token": sofia.token},
        headers={"Sec-Fetch-Site": "same-origin"},
    ).text.replace("\xa0", " ")
    sheet = sofia.post(FORM, typed)
    with Session(engine) as db:
        kari = db.scalars(select(Patient)).one()
    case = sofia.open(f"/staff/patients/{kari.id}")
    today = another_browser().as_patient(kari).open("/patient")
    assert "Ma 16. nov" in shown
    assert "16. november 2026 kl. 10.00" in sheet.text.replace("\xa0", " ")
    assert "Ma 16. nov" in case.text.replace("\xa0", " ")
    assert "mandag 16. november kl. 10.00" in today.text.replace("\xa0", " ")
    for text in (shown, sheet.text, case.text, today.text):
        assert "14. nov" not in text.replace("\xa0", " ")


def test_somebody_who_wants_to_be_phoned_is_promised_a_phone_call(sofia: PageClient, engine: Engine) -> None:
    page = sofia.post(FORM, {**TYPED, "contact_by": "call"})
    assert "Vi ringer deg" in page.text
    assert "STOPP" not in page.text
    with Session(engine) as db:
        assert db.scalars(select(Patient)).one().contact_by == "call"


BY_SMS = {**TYPED, "answers_by_sms": "yes"}


def agreed(engine: Engine) -> tuple[bool, list[str]]:
    """Whether the agreement stands, and what the access log has of it."""
    with Session(engine) as db:
        logged = db.scalars(select(AuditEvent.action).where(AuditEvent.action.startswith("contact.sms")))
        return db.scalars(select(Patient)).one().sms_agreed_at is not None, list(logged)


def test_the_agreement_to_answer_by_sms_is_written_down_and_logged(sofia: PageClient, engine: Engine) -> None:
    assert "answers_by_sms" in sofia.open(FORM).form(FORM).fields
    sofia.post(FORM, BY_SMS)
    assert agreed(engine) == (True, ["contact.sms_agreed"])
    # The next discharge is asked anew.
    sofia.post(FORM, TYPED)
    assert agreed(engine) == (False, ["contact.sms_agreed", "contact.sms_ended"])


@pytest.mark.parametrize("changed", [{"contact_by": "call"}, {"phone": "77 00 00 99"}])
def test_whom_no_sms_reaches_does_not_answer_by_sms(
    sofia: PageClient, engine: Engine, changed: dict[str, str]
) -> None:
    page = sofia.post(FORM, {**BY_SMS, **changed})
    assert agreed(engine) == (False, [])
    assert "Slik svarer du på SMS" not in page.text


def test_the_sheet_tells_how_to_answer_by_sms(sofia: PageClient) -> None:
    page = sofia.post(FORM, BY_SMS)
    for said in (
        "Slik svarer du på SMS",
        "Hei Kari. Her er Følge fra UNN. Svar med ett tall. Hvordan går det? 1 svært bra",
        "2 av 5: Er punkt 1 på arket ditt i gang? 1 ja 2 ikke ennå 3 vet ikke",
        "punkt 1 Det som står som 1 i lista",
        "0 Ikke i dag.",
        "RING Vi ringer deg.",
        "STOPP Ingen flere SMS.",
        "Noe spør vi ikke om på SMS. Det ringer vi om.",
    ):
        assert said.replace(" ", "") in page.text.replace("\n", " ").replace(" ", ""), said
    assert "Slik ser en ekte melding ut" not in page.text
    assert [item.get("value") for item in page.all("li") if item.get("value")] == ["1", "2"]


def test_the_right_column_shows_the_questions_somebody_gets_by_sms(sofia: PageClient) -> None:
    page = sofia.post(FORM, {**BY_SMS, "do": "preview"})
    assert "Hei Kari. Her er Følge fra UNN. Svar med ett tall." in page.text
    assert "2 av 5: Er punkt 1 på arket ditt i gang?" in page.text
    assert "Vi har noen korte spørsmål" not in page.text
    assert kept(page)["answers_by_sms"] == "yes"
    without = sofia.post(FORM, {**TYPED, "do": "preview"})
    assert "Svar med ett tall" not in without.text


BAD: list[tuple[str, Any, str]] = [
    ("name", "", "Skriv navnet."),
    ("name", "x" * 101, "Navnet er for langt. Det kan ha 100 tegn."),
    ("name", "😀😀", "Skriv navnet med bokstaver."),
    ("name", "12345", "Skriv navnet med bokstaver."),
    ("name", "NORDMANN OLA", "Vi vet ikke hva som er fornavn. Skriv Ola Nordmann, eller Nordmann, Ola."),
    ("name", "BjÃ¸rk Nilsen", "Noen bokstaver er ødelagt. Skriv dem på nytt."),
    ("municipality_number", "5401", "Det er et gammelt kommunenummer. Nå er det 5501 Tromsø."),
    ("national_id", "", "Skriv fødselsnummeret."),
    ("national_id", "12345678901", "Dette er ikke et gyldig fødselsnummer. Det har 11 siffer."),
    ("national_id", "<b>04855</b>", "Dette er ikke et gyldig fødselsnummer. Det har 11 siffer."),
    ("national_id", "٠٤٨٥٥٨١٢٣٤٥", "Dette er ikke et gyldig fødselsnummer. Det har 11 siffer."),
    ("phone", "", "Skriv telefonnummeret."),
    ("phone", "ring meg", "Dette er ikke et telefonnummer. Skriv for eksempel 400 00 000."),
    ("phone", "9" * 60, "Dette er ikke et telefonnummer. Skriv for eksempel 400 00 000."),
    ("language", "", "Velg språket på meldingene."),
    ("language", "tlh", "Velg et språk fra lista."),
    ("municipality_number", "", "Velg kommunen personen skal hjem til."),
    ("municipality_number", "0999", "Vi kjenner ikke kommunen. Velg en fra lista."),
    ("ward", "", "Velg posten personen skrives ut fra."),
    ("ward", "unn-post9", "Du hører ikke til en slik post. Velg en fra lista."),
    ("discharged_on", "", "Velg dagen personen skrives ut."),
    ("discharged_on", "10.11.2026", "Skriv en dato som finnes."),
    ("discharged_on", "2026-02-30", "Skriv en dato som finnes."),
    ("discharged_on", "2030-01-01", "Utskrivingsdagen er mer enn et år unna."),
    ("template", "", "Velg en mal for oppfølgingen."),
    ("template", "flu", "Velg en mal fra lista."),
    ("hour", "midt på dagen", "Skriv et klokkeslett, for eksempel 10:00."),
    ("hour", "25:00", "Skriv et klokkeslett, for eksempel 10:00."),
    ("hour", "23:00", "Da sender vi ingen meldinger. Velg et klokkeslett fra 06.00 til 21.30."),
    ("contact_by", "pigeon", "Velg hvordan vi tar kontakt."),
    ("measures.1.title", "", "Skriv hva som anbefales."),
    ("measures.1.title", "ŋ" * 201, "Tiltaket er for langt. Det kan ha 200 tegn."),
    ("measures.1.owner", "", "Velg hvem som har ansvaret for tiltaket."),
    ("measures.1.owner", "nabo", "Velg hvem som har ansvaret."),
    ("measures.1.due", "", "Skriv hvor mange dager etter utskriving tiltaket skal være i gang."),
    ("measures.1.due", "snart", "Skriv antall dager som et tall, for eksempel 14."),
    ("measures.1.due", "-1", "Skriv antall dager som et tall, for eksempel 14."),
    ("measures.1.due", "731", "Fristen kan være fra 0 til 730 dager etter utskriving."),
    ("relative.name", "", "Skriv navnet."),
    ("relative.phone", "x", "Dette er ikke et telefonnummer. Skriv for eksempel 400 00 000."),
    ("relative.birth_date", "", "Skriv fødselsdatoen."),
    ("relative.relation", "", "Skriv hvem det er, for eksempel datter."),
    ("relative.until", "2020-01-01", "Datoen er passert. Velg en senere."),
    ("relative.scopes", [], "Velg minst én ting den pårørende kan se."),
    ("matters", "x" * 501, "Dette er for langt. Skriv kortere."),
    ("talk", "😀" * 501, "Dette er for langt. Skriv kortere."),
]


@pytest.mark.parametrize(("field", "typed", "said"), BAD)
def test_what_does_not_do_is_said_at_the_field(
    sofia: PageClient, engine: Engine, field: str, typed: Any, said: str
) -> None:
    page = sofia.post(FORM, {**TYPED, field: typed}, status=422)
    assert page.text.count(said) == 2, "in the summary and at the field"
    assert f'href="#f-{field}"' in page.html
    assert f'id="f-{field}"' in page.html
    assert nothing_saved(engine)
    now_there = kept(page)
    choosable = ("language", "municipality_number", "ward", "template", "owner", "contact_by", "scopes")
    for name, was in {**TYPED, field: typed}.items():
        if name.split(".")[-1] not in (*choosable, "do"):
            assert now_there[name] == was, name


def test_all_problems_come_at_once_in_the_order_of_the_form(sofia: PageClient, engine: Engine) -> None:
    wrong = {
        "name": "",
        "phone": "x",
        "template": "",
        "measures.2.due": "snart",
        "relative.phone": "",
        "matters": "x" * 501,
    }
    page = sofia.post(FORM, {**TYPED, **wrong}, status=422)
    summary = next(part for part in page.all("div") if part.get("data-faults") is not None)
    assert [a.get("href") for a in summary.iter("{http://www.w3.org/1999/xhtml}a")] == [
        f"#f-{name}" for name in wrong
    ]
    assert "Tiltak 2: Skriv antall dager" in page.text
    assert nothing_saved(engine)


def test_markup_and_other_letters_are_kept_as_text(sofia: PageClient, engine: Engine) -> None:
    name = "Nils-Ánte Šuorra <b>"
    page = sofia.post(FORM, {**TYPED, "name": name, "matters": "<script>alert(1)</script> ŋŧž 😀"})
    assert "Hjemreisearket til Nils-Ánte" in page.h1
    with Session(engine) as db:
        assert db.scalars(select(Patient)).one().name == name


def test_rows_are_added_and_taken_away_without_scripts(sofia: PageClient, engine: Engine) -> None:
    page = sofia.post(FORM, {**TYPED, "do": "add"})
    assert kept(page)["measures.3.title"] == ""
    assert kept(page)["measures.2.title"] == "Gå en tur hver dag"
    assert kept(page)["relative.name"] == "Anne Nilsen"
    fewer = {name: typed for name, typed in TYPED.items() if name != "do"}
    page = sofia.post(FORM, {**fewer, "remove": "1"})
    assert kept(page)["measures.1.title"] == "Gå en tur hver dag"
    assert "measures.2.title" not in kept(page)
    assert nothing_saved(engine)


def test_a_row_nobody_wrote_in_is_no_measure(sofia: PageClient, engine: Engine) -> None:
    blank = {"measures.1.title": " ", "measures.1.due": "", "measures.1.owner": "gp"}
    sofia.post(FORM, {**TYPED, **blank})
    with Session(engine) as db:
        assert [one.title for one in db.scalars(select(Measure))] == ["Gå en tur hver dag"]


def test_the_right_column_shows_real_dates_and_words(sofia: PageClient, engine: Engine) -> None:
    fragment = sofia.raw(
        "POST",
        f"{FORM}/preview",
        data={**TYPED, "csrf_token": sofia.token},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert fragment.status_code == 200
    text = fragment.text.replace("\u00a0", " ")
    assert "<html" not in text
    # Day 180 is a Sunday, so that one goes out on the Monday.
    for said in (
        "Dette får Kari",
        "Ti. 10. nov",
        "Fr. 13. nov",
        "Ma. 10. mai",
        "Alle kl. 10.00",
        "Hei Kari. Her er Følge",
        "1 SMS",
    ):
        assert said.replace(". ", " ").replace(".", "") in text.replace(". ", " ").replace(".", ""), said
    assert nothing_saved(engine)


def test_without_scripts_a_button_shows_it(sofia: PageClient) -> None:
    page = sofia.post(FORM, {**TYPED, "do": "preview"})
    assert "Dette får Kari" in page.text
    assert "trimånederskontroll" in page.text
    assert kept(page)["phone"] == "400 00 001"


def test_half_a_form_gives_half_a_preview(sofia: PageClient) -> None:
    for typed in (
        {},
        {"name": "Kari"},
        {"template": "stroke"},
        {"discharged_on": "x", "hour": "99"},
        {"language": "zz"},
    ):
        answer = sofia.raw(
            "POST",
            f"{FORM}/preview",
            data={**typed, "csrf_token": sofia.token},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert answer.status_code == 200


def test_a_landline_gets_phone_calls(sofia: PageClient, engine: Engine) -> None:
    page = sofia.post(FORM, {**TYPED, "phone": "77 00 00 99", "do": "preview"})
    assert "Ingen SMS." in page.text
    sofia.post(FORM, {**TYPED, "phone": "77 00 00 99"})
    with Session(engine) as db:
        assert db.scalars(select(Patient)).one().contact_by == "call"


def test_the_same_form_twice_changes_nothing(sofia: PageClient, engine: Engine) -> None:
    first = sofia.post(FORM, TYPED)
    assert sofia.post(FORM, TYPED).path == first.path
    with Session(engine) as db:
        assert db.scalar(select(func.count()).select_from(Stay)) == 1


def test_the_dead_are_not_sent_home(sofia: PageClient, engine: Engine) -> None:
    sofia.post(FORM, TYPED)
    with Session(engine) as db:
        kari = db.scalars(select(Patient)).one()
        case = f"/staff/patients/{kari.id}"
    sofia.post(f"{case}/death", {"died_on": "2026-11-10"})
    page = sofia.post(FORM, TYPED, status=409)
    assert "Personen er registrert død. Ingenting er lagret." in page.text
    assert kept(page)["name"] == "Kari Nilsen"


def test_only_wards_discharge(browser: PageClient, ward: cast.Ward, engine: Engine) -> None:
    page = browser.as_professional(ward.johan).open(FORM)
    assert "Her skriver postene ut" in page.text
    assert not [form for form in page.forms if form.action == FORM and form.method == "post"]
    browser.post(FORM, TYPED, status=403)
    assert nothing_saved(engine)


def test_a_foreign_sheet_is_not_there(
    sofia: PageClient, ward: cast.Ward, another_browser: Callable[[], PageClient]
) -> None:
    path = sofia.post(FORM, TYPED).path
    another_browser().as_professional(ward.johan).open(path)
    another_browser().as_professional(ward.geir).open(path, 404)
    sofia.open("/staff/stays/00000000-0000-0000-0000-000000000000/sheet", 404)


def test_patients_do_not_discharge(browser: PageClient, sofia: PageClient, engine: Engine) -> None:
    sofia.post(FORM, TYPED)
    with Session(engine, expire_on_commit=False) as db:
        kari = db.scalars(select(Patient)).one()
    browser.as_patient(kari).open(FORM, 403)


def test_no_filling_in_of_kari_outside_the_demo(sofia: PageClient) -> None:
    assert "Fyll inn Kari" not in sofia.open(FORM).text
    assert kept(sofia.post(FORM, {**TYPED, "name": "", "do": "fill"}, status=422))["name"] == ""


def test_in_the_demo_one_button_fills_in_kari(
    engine: Engine, settings: Settings, clock: FixedClock, ward: cast.Ward
) -> None:
    app = create_app(
        WebSettings(),
        settings=settings.model_copy(update={"environment": "demo"}),
        clock=clock,
        engine=engine,
        demo=True,
    )
    browser = PageClient(app, make_sessions(engine), clock)
    browser.as_professional(ward.sofia)
    assert "Fyll inn Kari" in browser.open(FORM).text
    page = browser.post(FORM, {"do": "fill"})
    filled = kept(page)
    assert (filled["name"], filled["relative.name"]) == ("Kari Nilsen", "Anne Nilsen")
    assert filled["measures.3.title"] == "Kontroll på slagpoliklinikken"
    answers = {name: typed for name, typed in filled.items() if name not in ("remove", "do")}
    saved = browser.post(
        FORM, {**answers, "relative.scopes": ["passport", "meetings"], "contact_by": "sms", "do": "save"}
    )
    assert saved.h1 == "Hjemreisearket til Kari"
    with Session(engine) as db:
        assert db.scalars(select(Professional)).first() is not None
        assert db.scalars(select(Grant)).one().relation == "datter"
