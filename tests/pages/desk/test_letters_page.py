"""What staff see of the post: each letter's end in words, one sent again, the days in numbers, and the alarm."""

import re
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.models import AuditEvent, Circuit, FlagEvent, Heartbeat, Message, Patient, Professional
from companion.models.messages import MESSAGE_STATES
from companion.use_cases import check_in
from companion.use_cases.messages import message
from tests import cast
from tests.pages.at_the_desk import Desk, furnish
from tests.pages.client import Opened, PageClient

NEVER_SHOWN = re.compile(r"/l#|http|[0-9]{6}|Hei Kari")


@pytest.fixture
def desk(engine: Engine, now: datetime) -> Desk:
    return furnish(engine, now)


@pytest.fixture
def letter(engine: Engine, desk: Desk, now: datetime) -> Message:
    """The question of day 14, which did not reach the telephone; staff have a case about it."""
    with Session(engine, expire_on_commit=False) as db:
        check_in.ask_due(db, now)
        found = db.scalars(
            select(Message).where(Message.kind == "check_in", Message.patient_id == desk.kari.id)
        ).one()
        found.state, found.error_code, found.settled_at, found.attempt = "undelivered", "30003", now, 1
        message.could_not_deliver(db, found, "30003", now=now)
        db.commit()
    return found


@pytest.fixture
def johan(browser: PageClient, desk: Desk) -> PageClient:
    browser.as_professional(desk.ward.johan).strangers.add("Ola Hansen")
    return browser


@pytest.fixture
def path(desk: Desk) -> str:
    return f"/staff/patients/{desk.kari.id}/messages"


def again(engine: Engine) -> list[Message]:
    with Session(engine, expire_on_commit=False) as db:
        return list(db.scalars(select(Message).where(Message.dedupe_key.startswith("again:"))))


def set_state(engine: Engine, letter: Message, **values: object) -> None:
    with Session(engine) as db:
        one = db.get_one(Message, letter.id)
        for name, value in values.items():
            setattr(one, name, value)
        db.commit()


def plain(page: Opened) -> str:
    return page.text.replace("\N{NO-BREAK SPACE}", " ")


# --- each letter -------------------------------------------------------------------------------------------------------


def test_the_case_leads_to_the_letters_and_the_words_stand_there(
    johan: PageClient, desk: Desk, letter: Message, path: str
) -> None:
    case = johan.open(f"/staff/patients/{desk.kari.id}")
    assert "Kom ikke fram: telefonen er slått av eller uten dekning." in case.text
    assert case.links["Se hva som ble av meldingen"] == f"{path}#message-{letter.id}"
    page = johan.open(case.links["Se alle"])
    assert page.h1 == "Meldinger til Kari Nilsen"
    for said in ("Spørsmål", "Dag 14", "SMS", "Send på nytt, eller ring.", "Velkomst"):
        assert said in page.text
    assert "Send på nytt" in page.form(f"{path}/{letter.id}/again").buttons[0]


@pytest.mark.parametrize("state", MESSAGE_STATES)
def test_in_no_state_is_the_text_a_link_or_a_code_shown(
    johan: PageClient, engine: Engine, letter: Message, path: str, state: str
) -> None:
    set_state(engine, letter, state=state)
    page = johan.open(path)
    rows = re.search("<tbody>.*</tbody>", page.html, re.S)
    assert rows
    assert not NEVER_SHOWN.search(re.sub(r"/staff/patients/[^\"]*|csrf_token[^>]*", "", rows[0]))
    may = state in ("failed", "undelivered", "expired", "delivery_unknown")
    assert (f"{path}/{letter.id}/again" in [form.action for form in page.forms]) == may


def test_a_letter_to_a_relative_names_her(
    johan: PageClient, engine: Engine, desk: Desk, path: str, now: datetime
) -> None:
    johan.post(
        f"/staff/patients/{desk.kari.id}/relatives",
        {
            "name": "Anne Nilsen",
            "phone": cast.ANNE_PHONE,
            "birth_date": "1986-10-09",
            "relation": "datter",
            "relative.scopes": ["meetings"],
            "until": "2027-01-01",
        },
    )
    page = johan.open(path)
    assert "Invitasjon til pårørende" in page.text
    assert "Anne Nilsen pårørende" in page.text.replace("Nilsenp", "Nilsen p")


def test_old_letters_stand_on_the_next_page(
    johan: PageClient, engine: Engine, desk: Desk, path: str, now: datetime
) -> None:
    with Session(engine) as db:
        kari = db.get_one(Patient, desk.kari.id)
        for number in range(30):
            message.write(
                db, "welcome", to=kari, now=now, valid_until=now + cast.days(1), dedupe_key=f"test:{number}"
            )
        db.commit()
    page = johan.open(path)
    assert page.html.count('id="message-') == 25
    older = johan.open(page.links["Eldre"])
    assert older.html.count('id="message-') == 6
    assert "Til toppen av lista" in older.links
    for nonsense in ("x", "-1", "9" * 40, "²"):
        assert johan.open(f"{path}?before={nonsense}").html.count('id="message-') == 25


# --- sent again ----------------------------------------------------------------------------------------------------------


def test_the_button_sends_it_once_however_often(
    johan: PageClient, engine: Engine, letter: Message, path: str
) -> None:
    before = johan.open(path)
    page = johan.submit(before, f"{path}/{letter.id}/again")
    assert page.path == path
    assert "Meldingen sendes på nytt nå." in page.text
    assert "Den er sendt på nytt." in page.text
    assert f"{path}/{letter.id}/again" not in [form.action for form in page.forms]
    # The old page in another window still has the button.
    twice = johan.submit(before, f"{path}/{letter.id}/again")
    assert "Meldingen sendes på nytt nå." in twice.text
    assert len(again(engine)) == 1
    with Session(engine) as db:
        told = db.scalars(select(FlagEvent.outcome).where(FlagEvent.outcome == "again")).all()
        assert len(told) == 1
        lines = db.scalars(select(AuditEvent.object).where(AuditEvent.action == "message.again")).all()
        assert set(lines) == {f"message:{letter.id}"}
    case = johan.open(f"/staff/patients/{letter.patient_id}")
    assert "Sendte meldingen på nytt" in case.text
    assert "Melding ikke levert" in case.text


def test_in_the_evening_it_says_when_it_goes(
    johan: PageClient, desk: Desk, letter: Message, path: str
) -> None:
    johan.clock.forward(timedelta(hours=11))  # type: ignore[attr-defined]
    johan.as_professional(desk.ward.johan)
    page = johan.submit(johan.open(path), f"{path}/{letter.id}/again")
    assert "Meldingen er lagt i køen. Den går i morgen kl. 08.00." in plain(page)
    assert "Venter til i morgen kl. 08.00." in plain(page)


def test_where_it_may_not_be_the_page_says_why(
    johan: PageClient, engine: Engine, desk: Desk, letter: Message, path: str
) -> None:
    before = johan.open(path)
    with Session(engine) as db:
        kari = db.get_one(Patient, desk.kari.id)
        kari.phone_state, kari.contact_by = "opted_out", "call"
        db.commit()
    assert "Personen har svart STOPP. Avtal om vi skal ringe." in johan.open(path).text
    page = johan.submit(before, f"{path}/{letter.id}/again", status=409)
    assert "Ingenting er sendt" in page.text
    assert page.text.count("Personen har svart STOPP. Avtal om vi skal ringe.") == 2
    assert again(engine) == []


def test_a_stranger_finds_no_letter_and_sends_none(
    browser: PageClient, engine: Engine, desk: Desk, letter: Message, path: str
) -> None:
    browser.as_professional(desk.ward.geir).strangers.add("Kari Nilsen")
    browser.open(path, 404)
    browser.post(f"{path}/{letter.id}/again", status=404)
    # Not through the stranger's own patient either.
    browser.post(f"/staff/patients/{desk.ola.id}/messages/{letter.id}/again", status=404)
    assert again(engine) == []


def test_without_our_form_nothing_is_sent(
    johan: PageClient, engine: Engine, letter: Message, path: str
) -> None:
    answer = johan.raw("POST", f"{path}/{letter.id}/again", headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 403
    assert again(engine) == []


# --- the days ------------------------------------------------------------------------------------------------------------


def test_the_days_add_up_and_lead_to_the_people(
    johan: PageClient, engine: Engine, desk: Desk, letter: Message
) -> None:
    page = johan.open("/staff/messages")
    assert page.h1 == "Meldinger"
    assert "Rehabiliteringsteamet, Tromsø" in page.text
    assert "Post 3" not in page.text
    with Session(engine) as db:
        states = db.scalars(select(Message.state).where(Message.patient_id == desk.kari.id)).all()
    assert sorted(states) == ["queued", "undelivered"]
    assert "I dag: 1 sendt (1 kom ikke fram), 1 venter." in page.text
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", page.html.split("<tbody>")[1], re.S)
    assert len(rows) == 14
    for row in rows:
        cells = [
            re.sub(r"<span.*?</span>|<[^>]+>", "", cell) for cell in re.findall("<td.*?</td>", row, re.S)
        ]
        sent, arrived, on_the_way, not_arrived, uncertain, _waiting, _not_sent = map(int, cells)
        assert sent == arrived + on_the_way + not_arrived + uncertain
    [address] = [href for word, href in page.links.items() if "Kom ikke fram" in word]
    people = johan.open(address)
    assert people.h1 == "Kom ikke fram, i dag"
    assert people.links["Kari Nilsen"] == f"/staff/patients/{desk.kari.id}/messages"


@pytest.mark.parametrize(
    "where",
    [
        "{0}/2026-11-10/nothing",
        "{0}/yesterday/not_arrived",
        "x/2026-11-10/not_arrived",
        "{0}/9999-12-31/not_arrived",
        "{0}/0001-01-01/not_arrived",
        "{0}/2026-11-11/waiting",
    ],
)
def test_a_number_that_is_not_there(johan: PageClient, desk: Desk, where: str) -> None:
    johan.open("/staff/messages/" + where.format(desk.ward.tromso.id), 404)


def test_the_people_of_another_unit_are_not_there(johan: PageClient, desk: Desk, letter: Message) -> None:
    johan.open(f"/staff/messages/{desk.ward.post3.id}/2026-11-10/not_arrived", 404)


def test_nobody_behind_a_number_any_more_is_said_kindly(johan: PageClient, desk: Desk) -> None:
    page = johan.open(f"/staff/messages/{desk.ward.tromso.id}/2026-11-01/uncertain")
    assert "Ingen her lenger" in page.text


# --- the alarm -----------------------------------------------------------------------------------------------------------

PAGES = ("/staff", "/staff/messages")


@pytest.mark.parametrize("path", PAGES)
def test_nothing_sent_for_long_is_shown_also_when_no_dispatcher_ever_was(
    johan: PageClient, desk: Desk, path: str
) -> None:
    # Kari's welcome and her check-in have been due for two weeks and an hour.
    page = johan.open(path)
    assert re.search(r"\d+ skulle vært sendt[.] Ingen er sendt på \d+ dager[.]", page.text)
    assert "Ring dem det haster for. Si fra til den som drifter løsningen." in page.text


@pytest.mark.parametrize("path", PAGES)
def test_no_alarm_while_letters_get_away(
    johan: PageClient, engine: Engine, desk: Desk, path: str, now: datetime
) -> None:
    with Session(engine) as db:
        db.add(Heartbeat(name="dispatcher", at=now, ticked_for=now, accepted_at=now))
        db.commit()
    assert "skulle vært sendt" not in johan.open(path).text
    johan.clock.forward(timedelta(minutes=9))  # type: ignore[attr-defined]
    assert "skulle vært sendt" not in johan.open(path).text
    johan.clock.forward(timedelta(minutes=5))  # type: ignore[attr-defined]
    assert "Ingen er sendt på 14 minutter." in johan.open(path).text


@pytest.mark.parametrize("path", PAGES)
def test_a_provider_that_does_not_answer_is_shown(
    johan: PageClient, engine: Engine, desk: Desk, path: str, now: datetime
) -> None:
    with Session(engine) as db:
        db.add(Heartbeat(name="dispatcher", at=now, ticked_for=now, accepted_at=now))
        db.add(Circuit(lane="batch", state="open", since=now, until=now + timedelta(minutes=1), failures=0))
        db.commit()
    assert "Leverandøren svarer ikke." in johan.open(path).text


def test_the_menu_has_the_days(johan: PageClient) -> None:
    assert johan.open("/staff").links["Meldinger"] == "/staff/messages"


def test_the_pages_can_be_read_in_other_languages(
    johan: PageClient, engine: Engine, desk: Desk, letter: Message, path: str
) -> None:
    for language in ("nn", "en", "se"):
        with Session(engine) as db:
            db.get_one(Professional, desk.ward.johan.id).language = language
            db.commit()
        for where in (path, *PAGES):
            assert "%(" not in johan.open(where).text
