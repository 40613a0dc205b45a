"""One patient's case: taken, noted, rung, closed; the plan, the number, the relatives; and nobody else's business."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.models import AuditEvent, Flag, FlagEvent, Grant, Message, Patient, Plan
from companion.use_cases import check_in
from companion.use_cases.replies import heard as reply
from tests import cast
from tests.pages.at_the_desk import Desk, furnish, raise_flag, with_flag
from tests.pages.client import PageClient

A_LINE = "x" * 2001
POSTS = ("/plan", "/death", "/contact", "/relatives")


@pytest.fixture
def desk(engine: Engine, now: datetime) -> Desk:
    return furnish(engine, now)


@pytest.fixture
def johan(browser: PageClient, desk: Desk) -> PageClient:
    """Johan at the desk; Ola must never be seen there."""
    browser.as_professional(desk.ward.johan).strangers.add("Ola Hansen")
    return browser


@pytest.fixture
def case(desk: Desk) -> str:
    return f"/staff/patients/{desk.kari.id}"


def flag_form(found: Flag, verb: str) -> str:
    return f"/staff/flags/{found.id}/{verb}"


def the_events(engine: Engine, found: Flag) -> list[tuple[str, str | None, str | None]]:
    with Session(engine) as db:
        events = db.scalars(select(FlagEvent).where(FlagEvent.flag_id == found.id).order_by(FlagEvent.at))
        return [(one.kind, one.outcome, one.text) for one in events]


def test_who_it_is(johan: PageClient, case: str) -> None:
    page = johan.open(case)
    assert page.h1 == "Kari Nilsen"
    for said in ("68 år", "4. mai 1958", "400", "Tromsø", "Bokmål", "Hjerneslag", "Ingen åpne saker"):
        assert said in page.text
    assert f"{case}/passport" in page.links.values()
    assert f"{case}/meeting" in page.links.values()


def test_a_case_is_taken_noted_rung_and_closed(
    johan: PageClient, engine: Engine, desk: Desk, case: str, now: datetime
) -> None:
    found = raise_flag(engine, desk.kari, desk.ward.tromso, now, quote="Verre i hodet")
    page = johan.open("/staff")
    page = johan.submit(page, flag_form(found, "claim"))
    assert page.path == case
    assert "Du har saken." in page.text
    page = johan.submit(page, flag_form(found, "note"), {"text": "Skal ringe etter lunsj"})
    assert "Skal ringe etter lunsj" in page.text
    page = johan.submit(page, flag_form(found, "contact"), {"reached": "no", "text": "Ingen svar"})
    assert "Ringte – ikke svar: Ingen svar" in page.text
    page = johan.submit(page, flag_form(found, "contact"), {"reached": "yes"})
    assert "Ringte – fikk svar" in page.text
    page = johan.submit(page, flag_form(found, "close"), {"outcome": "helped", "text": "Time i morgen"})
    assert page.path == "/staff"
    assert "Ingen saker nå" in page.text
    page = johan.open(case)
    assert "Avsluttet saken: fikk hjelp" in page.text
    assert [kind for kind, _, _ in the_events(engine, found)] == [
        "opened",
        "claimed",
        "note",
        "contact",
        "contact",
        "closed",
    ]


def test_of_two_colleagues_one_gets_it_and_the_other_is_told_who(
    johan: PageClient, engine: Engine, desk: Desk, now: datetime
) -> None:
    found = raise_flag(engine, desk.kari, desk.ward.tromso, now)
    page = johan.open("/staff")
    with_flag(engine, found, "claim", desk.ward.marit, now)
    page = johan.submit(page, flag_form(found, "claim"), status=409)
    assert "Marit Solli har tatt saken." in page.text
    assert "Marit Solli har saken." in page.text
    page = johan.post(flag_form(found, "close"), {"outcome": "helped"}, status=409)
    assert "Marit Solli har tatt saken." in page.text


def test_a_case_is_put_back_and_moved(
    johan: PageClient, engine: Engine, desk: Desk, case: str, now: datetime
) -> None:
    found = raise_flag(engine, desk.kari, desk.ward.tromso, now)
    johan.post(flag_form(found, "claim"))
    page = johan.submit(johan.open(case), flag_form(found, "release"))
    assert "Ta saken" in page.form(flag_form(found, "claim")).buttons
    page = johan.submit(page, flag_form(found, "move"), {"unit": str(desk.ward.coordinating.id)})
    assert page.path == "/staff"
    assert "Kari Nilsen" not in page.text
    assert ("moved", None, "Koordinerende enhet, Tromsø") in the_events(engine, found)


@pytest.mark.parametrize(
    ("verb", "typed", "said"),
    [
        ("note", {"text": ""}, "Skriv noe før du lagrer."),
        ("note", {"text": " \n "}, "Skriv noe før du lagrer."),
        ("note", {"text": A_LINE}, "Teksten er for lang. Del den i to."),
        ("contact", {"reached": "yes", "text": A_LINE}, "Teksten er for lang. Del den i to."),
        ("close", {"outcome": "", "text": "<b>husk</b> 😀 ŋŧž"}, "Velg hvordan saken endte."),
        ("close", {"outcome": "magic"}, "Velg et av svarene."),
        ("move", {"unit": ""}, "Velg en enhet."),
        ("move", {"unit": "x"}, "Velg en enhet."),
        ("move", {"unit": str(uuid4())}, "Enheten følger ikke opp denne personen. Velg en fra lista."),
    ],
)
def test_what_does_not_do_is_said_at_the_field_and_what_was_typed_stays(
    johan: PageClient,
    engine: Engine,
    desk: Desk,
    now: datetime,
    verb: str,
    typed: dict[str, str],
    said: str,
) -> None:
    found = raise_flag(engine, desk.kari, desk.ward.tromso, now)
    page = johan.post(flag_form(found, verb), typed, status=422)
    assert page.text.count(said) == 2, "in the summary and at the field"
    name = next(iter(typed)) if verb != "contact" else "text"
    assert f'href="#f-flag-{found.id}-{verb}.{name}"' in page.html
    if text := typed.get("text", "").strip():
        assert page.form(flag_form(found, verb)).fields["text"] == text
    assert [kind for kind, _, _ in the_events(engine, found)] == ["opened"]


def test_markup_stays_text(johan: PageClient, engine: Engine, desk: Desk, now: datetime) -> None:
    found = raise_flag(engine, desk.kari, desk.ward.tromso, now, quote="<img src=x onerror=alert(1)>")
    page = johan.post(flag_form(found, "note"), {"text": "<script>alert(1)</script> áčđŋšŧž 😀"})
    assert "<script>alert(1)</script> áčđŋšŧž 😀" in page.text
    assert "«<img src=x onerror=alert(1)>»" in page.text


def test_the_timeline_tells_it_all_with_answers_to_be_read(
    johan: PageClient, engine: Engine, desk: Desk, case: str, now: datetime
) -> None:
    with Session(engine) as db:
        check_in.ask_due(db, now)
        kari = cast.actor(db.get_one(Patient, desk.kari.id))
        asked = check_in.current(db, kari, now=now)
        assert asked is not None
        link_id: str | None = check_in.page(db, kari, asked.id, None, now=now).item.link_id
        while link_id:
            item = check_in.page(db, kari, asked.id, link_id, now=now).item
            given = {
                "choice": item.options[-1].code if item.options else "",
                "integer": "4",
                "boolean": "false",
            }
            link_id = check_in.save(
                db, kari, asked.id, link_id, [given.get(item.type, "Åtte <b>timer</b>")], now=now
            )
        check_in.finish(db, kari, asked.id, now=now + timedelta(minutes=5))
        db.commit()
    page = johan.open(case)
    for said in (
        "Spurt hvordan det går",
        "Svarte",
        "Dag 14",
        "Se svarene",
        "Spørsmål: venter på å bli sendt",
        "4 av 10",
        "Nei",
    ):
        assert said in page.text, said
    assert re.search(r"Oppfølgingsplanen ble laget", page.text)


# --- plan, number, relatives ------------------------------------------------------------------------------------------


def plan_state(engine: Engine, desk: Desk) -> str:
    with Session(engine) as db:
        return db.scalars(select(Plan.state).where(Plan.patient_id == desk.kari.id)).one()


def test_the_plan_is_paused_and_started_again(
    johan: PageClient, engine: Engine, desk: Desk, case: str
) -> None:
    page = johan.post(f"{case}/plan", {"do": "pause", "reason": "wish"})
    assert "På pause" in page.text
    assert plan_state(engine, desk) == "paused"
    page = johan.post(f"{case}/plan", {"do": "resume"})
    assert "I gang" in page.text
    page = johan.post(f"{case}/plan", {"do": "resume"}, status=409)
    assert "Planen er ikke på pause." in page.text


def test_readmitted(johan: PageClient, engine: Engine, desk: Desk, case: str) -> None:
    page = johan.post(f"{case}/plan", {"do": "readmit"})
    assert plan_state(engine, desk) == "paused"
    assert "Innlagt på nytt" in page.text


def test_a_death_stops_everything(johan: PageClient, engine: Engine, desk: Desk, case: str) -> None:
    page = johan.post(f"{case}/death", {"died_on": "2026-11-09"})
    assert "Døde 9. november 2026" in page.text
    assert plan_state(engine, desk) == "stopped"
    assert not [form for form in page.forms if form.action.startswith(f"{case}/")]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "Velg dagen personen døde."),
        ("i går", "Skriv en dato som finnes."),
        ("2026-02-30", "Skriv en dato som finnes."),
        ("2026-11-11", "Datoen har ikke vært ennå."),
        ("1900-01-01", "Datoen er før personen ble født."),
    ],
)
def test_a_day_of_death_that_cannot_be(
    johan: PageClient, engine: Engine, desk: Desk, case: str, typed: str, said: str
) -> None:
    page = johan.post(f"{case}/death", {"died_on": typed}, status=422)
    assert page.text.count(said) == 2
    assert plan_state(engine, desk) == "active"


@pytest.mark.parametrize(
    ("do", "reason"), [("", ""), ("burn", ""), ("pause", ""), ("pause", "readmitted and more")]
)
def test_a_plan_is_not_changed_by_nonsense(
    johan: PageClient, engine: Engine, desk: Desk, case: str, do: str, reason: str
) -> None:
    johan.post(f"{case}/plan", {"do": do, "reason": reason}, status=422 if do == "pause" else 404)
    assert plan_state(engine, desk) == "active"


def test_the_number_is_put_right(johan: PageClient, engine: Engine, desk: Desk, case: str) -> None:
    page = johan.submit(
        johan.open(case), f"{case}/contact", {"phone": "+47 400 00 055", "contact.contact_by": "call"}
    )
    assert "400 00 055" in page.text.replace("\u00a0", " ")
    with Session(engine) as db:
        kari = db.get_one(Patient, desk.kari.id)
        assert (kari.phone, kari.contact_by) == ("+4740000055", "call")


def test_the_agreement_to_answer_by_sms_can_be_given_and_ended(
    johan: PageClient, engine: Engine, desk: Desk, case: str
) -> None:
    def save(**more: str) -> tuple[bool, list[str]]:
        fields = {"phone": "400 00 001", "contact.contact_by": "sms"}
        page = johan.post(f"{case}/contact", fields | more)
        with Session(engine) as db:
            logged = db.scalars(select(AuditEvent.action).where(AuditEvent.action.startswith("contact.sms")))
            stands = db.get_one(Patient, desk.kari.id).sms_agreed_at is not None
            assert ("svarer på SMS" in page.text) == stands
            return stands, list(logged)

    ticked = {"contact.answers_by_sms": "yes"}
    assert save() == (False, [])
    assert save(**ticked) == (True, ["contact.sms_agreed"])
    assert save(**ticked) == (True, ["contact.sms_agreed"])
    assert johan.open(case).form(f"{case}/contact").fields["contact.answers_by_sms"] == "yes"
    ended = ["contact.sms_agreed", "contact.sms_ended"]
    assert save(**ticked, **{"contact.contact_by": "call"}) == (False, ended)


@pytest.mark.parametrize(("way", "ticked"), [("sms", True), ("push", False), ("call", False)])
def test_the_form_shows_the_agreement_that_is_in_force_and_a_number_put_right_leaves_the_rest(
    johan: PageClient, engine: Engine, desk: Desk, case: str, now: datetime, way: str, ticked: bool
) -> None:
    with Session(engine) as db:
        kari = db.get_one(Patient, desk.kari.id)
        kari.contact_by, kari.sms_agreed_at, kari.phone_state = way, now, "dead"
        db.commit()
    form = johan.open(case).form(f"{case}/contact")
    assert (form.fields.get("contact.answers_by_sms") == "yes") == ticked
    johan.submit(johan.open(case), f"{case}/contact", {"phone": "400 00 055"})
    with Session(engine) as db:
        kari = db.get_one(Patient, desk.kari.id)
        assert (kari.phone, kari.contact_by, kari.sms_agreed_at) == ("+4740000055", way, now)
        logged = db.scalars(select(AuditEvent.action).where(AuditEvent.action.startswith("contact.sms")))
        assert logged.all() == []


def test_the_timeline_says_that_somebody_answered_by_sms(
    johan: PageClient, engine: Engine, desk: Desk, case: str, now: datetime
) -> None:
    """And the call list has what an SMS may not ask."""
    with Session(engine) as db:
        kari = db.get_one(Patient, desk.kari.id)
        kari.sms_agreed_at = now
        db.flush()
        check_in.ask_due(db, now)
        for n in range(30):
            hers = select(Message).where(Message.patient_id == desk.kari.id)
            asked = db.scalars(hers.order_by(Message.id.desc())).first()
            if asked is None or "ask" not in asked.params:
                break
            asked.state = "accepted"
            minute = now + timedelta(minutes=n + 1)
            reply.receive(db, cast.KARI_PHONE, "1", said_at=minute, now=minute)
        db.commit()
    assert "Første spørsmål på SMS: sendt" in johan.open(case).text
    johan.as_professional(desk.ward.sofia)
    assert "Har svart på SMS. Resten spørres på telefon" in johan.open("/staff/calls").text
    assert "Ring og still spørsmålene som er igjen." in johan.open(case).text
    with Session(engine) as db:
        me = cast.actor(db.get_one(Patient, desk.kari.id))
        asked_now = check_in.current(db, me, now=now)
        assert asked_now
        check_in.finish(db, me, asked_now.id, now=now + timedelta(hours=1))
        db.commit()
    read = johan.open(case).text
    assert "Svarte på SMS" in read
    assert "Takk, og beskjed om at vi ringer" in read
    assert "Har svart på SMS" not in johan.open("/staff/calls").text


@pytest.mark.parametrize(
    ("phone", "way", "said"),
    [
        ("", "sms", "Skriv telefonnummeret."),
        ("fire", "sms", "Dette er ikke et telefonnummer. Skriv for eksempel 400 00 000."),
        ("😀" * 20, "sms", "Dette er ikke et telefonnummer. Skriv for eksempel 400 00 000."),
        ("٤٠٠٠٠", "sms", "Dette er ikke et telefonnummer. Skriv for eksempel 400 00 000."),
        ("4" * 500, "sms", "Dette er ikke et telefonnummer. Skriv for eksempel 400 00 000."),
        ("<b>400</b>", "sms", "Dette er ikke et telefonnummer. Skriv for eksempel 400 00 000."),
        ("815 00 000", "sms", "Dette nummeret tar ikke imot SMS. Skriv et mobilnummer."),
        ("77 00 00 10", "sms", "Dette nummeret tar ikke imot SMS. Skriv et mobilnummer."),
        ("400 00 001", "pigeon", "Velg hvordan vi tar kontakt."),
    ],
)
def test_a_number_that_does_not_do(
    johan: PageClient, engine: Engine, desk: Desk, case: str, phone: str, way: str, said: str
) -> None:
    page = johan.post(f"{case}/contact", {"phone": phone, "contact.contact_by": way}, status=422)
    assert page.text.count(said) == 2
    assert page.form(f"{case}/contact").fields["phone"] == phone
    with Session(engine) as db:
        assert db.get_one(Patient, desk.kari.id).phone == cast.KARI_PHONE


ANNE = {
    "name": "Anne Nilsen",
    "relation": "datter",
    "phone": "400 00 002",
    "birth_date": "1986-10-09",
    "until": "2027-05-10",
    "relative.scopes": ["passport", "meetings"],
}


def test_consent_on_paper_is_registered_and_withdrawn(
    johan: PageClient, engine: Engine, desk: Desk, case: str
) -> None:
    page = johan.post(f"{case}/relatives", ANNE)
    assert "Anne Nilsen (datter)" in page.text
    assert "til 10. mai 2027" in page.text
    assert "Samtykke på papir i dag" in page.text
    with Session(engine) as db:
        grant = db.scalars(select(Grant)).one()
        assert (grant.given_how, grant.scope_set) == ("paper", frozenset({"passport", "meetings"}))
    page = johan.submit(page, f"{case}/relatives/{grant.id}/withdraw")
    assert "Trukket tilbake" in page.text


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("name", "", "Skriv navnet."),
        ("name", "x" * 101, "Navnet er for langt. Det kan ha 100 tegn."),
        ("relation", "", "Skriv hvem det er, for eksempel datter."),
        ("relation", "x" * 41, "Skriv kortere, for eksempel datter."),
        ("phone", "", "Skriv telefonnummeret."),
        ("phone", "abc", "Dette er ikke et telefonnummer. Skriv for eksempel 400 00 000."),
        ("phone", "77 00 00 10", "Dette nummeret tar ikke imot SMS. Skriv et mobilnummer."),
        ("birth_date", "", "Skriv fødselsdatoen."),
        ("birth_date", "9. oktober", "Skriv fødselsdatoen slik den er, for eksempel 09.10.1986."),
        ("birth_date", "2030-01-01", "Skriv fødselsdatoen slik den er, for eksempel 09.10.1986."),
        ("until", "", "Velg hvor lenge samtykket varer."),
        ("until", "2026-11-09", "Datoen er passert. Velg en senere."),
        ("until", "2036-11-09", "Samtykket kan vare i to år. Velg en tidligere dato."),
        ("relative.scopes", [], "Velg minst én ting den pårørende kan se."),
        ("relative.scopes", ["everything"], "Velg et av svarene."),
    ],
)
def test_a_consent_that_does_not_do(
    johan: PageClient, engine: Engine, case: str, field: str, typed: str | list[str], said: str
) -> None:
    page = johan.post(f"{case}/relatives", {**ANNE, field: typed}, status=422)
    assert page.text.count(said) == 2
    at = field if field.startswith("relative.") else f"relative.{field}"
    assert f'href="#f-{at}"' in page.html
    assert f'id="f-{at}"' in page.html
    kept = page.form(f"{case}/relatives").fields
    for name in ("name", "relation", "phone", "birth_date", "until"):
        assert kept[name] == {**ANNE, field: typed}[name]
    with Session(engine) as db:
        assert db.scalars(select(Grant)).all() == []


# --- whose business it is ---------------------------------------------------------------------------------------------


def test_somebody_elses_patient_is_not_there(
    johan: PageClient, engine: Engine, desk: Desk, now: datetime
) -> None:
    ola = f"/staff/patients/{desk.ola.id}"
    johan.open(ola, 404)
    for post in POSTS:
        johan.post(
            ola + post, {"do": "readmit", "died_on": "2026-11-01", "phone": "400 00 009", **ANNE}, status=404
        )
    found = raise_flag(engine, desk.ola, desk.ward.harstad, now)
    for verb in ("claim", "release", "note", "contact", "close", "move"):
        johan.post(flag_form(found, verb), {"text": "x", "outcome": "helped"}, status=404)
    assert [kind for kind, _, _ in the_events(engine, found)] == ["opened"]
    johan.open(f"/staff/patients/{uuid4()}", 404)
    johan.open("/staff/patients/me", 404)


def test_patients_and_relatives_have_no_desk(browser: PageClient, desk: Desk, case: str) -> None:
    browser.as_patient(desk.kari).open(case, 403)
    browser.post(f"{case}/plan", {"do": "readmit"}, status=403)


def test_every_deed_is_in_the_access_log(
    johan: PageClient, engine: Engine, desk: Desk, case: str, now: datetime
) -> None:
    found = raise_flag(engine, desk.kari, desk.ward.tromso, now)
    johan.post(flag_form(found, "claim"))
    johan.post(f"{case}/plan", {"do": "pause", "reason": "other"})
    with Session(engine) as db:
        seen = db.scalars(
            select(AuditEvent.action).where(AuditEvent.patient_id == desk.kari.id).order_by(AuditEvent.seq)
        ).all()
    assert seen == ["flag.claim", "case.read", "plan.pause", "case.read"]


def test_a_unit_with_a_flag_sees_the_case_but_changes_nothing_else(
    another_browser: Callable[[], PageClient], engine: Engine, desk: Desk, case: str, now: datetime
) -> None:
    raise_flag(engine, desk.kari, desk.ward.harstad, now)
    geir = another_browser().as_professional(desk.ward.geir)
    page = geir.open(case)
    assert not [form for form in page.forms if form.action.startswith(f"{case}/")]
    geir.post(f"{case}/plan", {"do": "readmit"}, status=404)


def test_whoever_has_the_case_may_offer_a_meeting_about_it(
    johan: PageClient, engine: Engine, desk: Desk, case: str, now: datetime
) -> None:
    found = raise_flag(engine, desk.kari, desk.ward.tromso, now)
    page = johan.post(flag_form(found, "claim"))
    assert f"{case}/meeting?flag={found.id}" in page.links.values()
