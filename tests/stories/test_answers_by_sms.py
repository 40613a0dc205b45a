"""Odd has a button phone: agreed at the discharge, asked by SMS, answered by digits, and the desk reads the same as of Kari."""

from collections.abc import Callable
from datetime import date, time
from urllib.parse import urlencode

from pydantic import SecretStr
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from twilio.request_validator import RequestValidator

from companion import worklists
from companion.db import make_sessions
from companion.models import AuditEvent, Message, Patient
from companion.rules.national_id import make_synthetic
from companion.settings import Settings
from companion.use_cases import check_in
from notifications.channels.sms.settings import TwilioSettings
from tests import cast
from tests.pages.client import PageClient
from tests.stories.conftest import World
from web.app import create_app
from web.house.settings import WebSettings

ODD_PHONE = "+4740000078"
FORM = {
    "language": "nb",
    "municipality_number": "5501",
    "ward": "unn-post3",
    "discharged_on": "2026-11-10",
    "template": "general",
    "hour": "10:00",
    "contact_by": "sms",
    "measures.1.title": "Fysioterapi to ganger i uken",
    "measures.1.owner": "municipality",
    "measures.1.due": "3",
    "do": "save",
}
PEOPLE = {
    "Odd Hansen": {"national_id": make_synthetic(date(1948, 6, 6), 0), "phone": ODD_PHONE},
    "Kari Nilsen": {"national_id": cast.KARI_ID, "phone": cast.KARI_PHONE},
}
# how, started, why, worse, contact
DIGITS = ("5", "2", "1", "3", "1")
TYPED = ("very_bad", "not_yet", "nobody_contacted", "clearly", "", "true", "")


def test_the_digits_of_a_button_phone_lead_where_the_cards_on_the_web_lead(
    world: World, engine: Engine, settings: Settings
) -> None:
    account = TwilioSettings(auth_token=SecretStr("now"))
    app = create_app(WebSettings(), settings=settings, engine=engine, clock=world.clock, twilio=account)
    sofia = PageClient(app, make_sessions(engine), world.clock).as_professional(world.ward.sofia)
    for name, known in PEOPLE.items():
        agreed = {"answers_by_sms": "yes"} if name.startswith("Odd") else {}
        page = sofia.post("/staff/discharge", {**FORM, **known, **agreed, "name": name})
        assert ("Slik svarer du på SMS" in page.text) == bool(agreed)
    world.until(date(2026, 11, 17), time(10, 30))
    assert world.sms(ODD_PHONE)[-1].body.startswith("Hei Odd. Her er Følge fra UNN. Svar med ett tall.")
    assert "/l#" in world.sms(cast.KARI_PHONE)[-1].body

    for number, digit in enumerate(DIGITS):
        told = {"MessageSid": f"SM{number}", "From": ODD_PHONE, "Body": digit}
        url = f"{settings.public_url}/hooks/twilio/inbound"
        signed = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": RequestValidator("now").compute_signature(url, told),
        }
        answered = sofia.raw("POST", "/hooks/twilio/inbound", content=urlencode(told), headers=signed)
        assert answered.status_code == 200
        world.until(date(2026, 11, 17), time(10, 31 + number))
    assert world.sms(ODD_PHONE)[-1].body == (
        "Takk for svarene. Vi har gitt beskjed om at du vil bli oppringt. "
        "Haster det: Ring 116117. Er det fare for liv: Ring 113."
    )
    world.do(answer_on_the_web(world))
    assert desk(world, "Odd Hansen") == desk(world, "Kari Nilsen")
    assert {code for code, *_ in desk(world, "Odd Hansen")} == {
        "clearly_worse",
        "wants_contact",
        "feels_very_bad",
        "nobody_contacted_overdue",
    }
    # The desk sees how he answered, and that somebody wrote down the agreement.
    with Session(engine) as db:
        odd = person(db, "Odd Hansen")
        assert odd.sms_agreed_at
        logged = db.scalars(select(AuditEvent.action).where(AuditEvent.patient_id == odd.id)).all()
        assert "contact.sms_agreed" in logged
        assert (
            db.scalars(select(Message.state).where(Message.patient_id == odd.id)).all().count("queued") == 0
        )
        case = f"/staff/patients/{odd.id}"
    assert "Svarte på SMS" in sofia.as_professional(world.ward.sofia).open(case).text


def person(db: Session, name: str) -> Patient:
    return next(one for one in db.scalars(select(Patient)) if one.name == name)


def answer_on_the_web(world: World) -> Callable[[Session], None]:
    def step(db: Session) -> None:
        kari = cast.actor(person(db, "Kari Nilsen"))
        asked = check_in.current(db, kari, now=world.now)
        assert asked
        link_id: str | None = "how"
        for said in TYPED:
            assert link_id
            link_id = check_in.save(db, kari, asked.id, link_id, [said], now=world.now)
        assert link_id is None
        check_in.finish(db, kari, asked.id, now=world.now)

    return step


def desk(world: World, name: str) -> set[tuple[str, str, int, str]]:
    """What the ward and the town read of the person on their worklists."""
    with world.sessions() as db:
        rows = [
            row
            for who in (world.ward.sofia, world.ward.johan)
            for row in worklists.worklist(db, who, now=world.now).rows
        ]
        flags = [
            (one.code, one.level, row.day, row.unit.name)
            for row in rows
            if row.patient.name == name
            for one in (row.flag, *(also.flag for also in row.also))
        ]
    return set(flags)
