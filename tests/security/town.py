"""Kari's whole story, everything that belongs to her with an address, and the people who have no business with it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from fastapi.routing import APIRoute
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.models import CheckIn, Grant, Message, Patient, Relative
from companion.rules.access import Level
from companion.rules.national_id import make_synthetic
from companion.use_cases import check_in
from companion.use_cases import meetings as meet
from companion.use_cases.cases import flag
from companion.use_cases.passport import lines as passport
from companion.use_cases.relatives import share
from tests import cast
from tests.pages.client import PageClient
from web.app import ROUTERS
from web.house.security import SAFE, Access, access_of

BERIT_PHONE = "+4740000009"


@dataclass(frozen=True)
class Town:
    """Kari with a check-in asked whose letter did not arrive, a flag, a meeting in five minutes, passport lines and
    two relatives; Lars on his way home; Ola far away.

    Anne may see everything; Berit's grant is withdrawn. `answered` is an earlier check-in, done.
    """

    ward: cast.Ward
    kari: Patient
    ola: Patient
    lars: Patient
    anne: Relative
    berit: Relative
    ids: dict[str, str]
    answered: str


def build(engine: Engine, now: datetime) -> Town:
    """Everybody and everything, by the real use-cases."""
    before = now - timedelta(days=30)
    with Session(engine, expire_on_commit=False) as db:
        ward = cast.ward(db, before)
        kari, ola = cast.kari(db, before), cast.ola(db, before)
        # Day 14 is a Sunday: asked on the Monday.
        answered = _answer_the_first(db, kari, before + timedelta(days=16))
        check_in.ask_due(db, now)
        asked = db.scalars(
            select(CheckIn).where(CheckIn.state == "asked", CheckIn.patient_id == kari.id)
        ).one()
        anne, grant = _let_in(db, ward, kari, "Anne Nilsen", cast.ANNE_PHONE, before)
        berit, ended = _let_in(db, ward, kari, "Berit Nilsen", BERIT_PHONE, before)
        share.withdraw(db, ward.sofia, ended.id, now=now - timedelta(minutes=1))
        raised = flag.raise_flag(
            db, kari, code="wants_contact", level="red", unit=ward.tromso, now=now, quote="Jeg er svimmel."
        )
        flag.raise_flag(db, kari, code="no_answer", level="amber", unit=ward.tromso, now=now)
        lars = _on_the_way_home(db, now)
        meeting = meet.offer(
            db, ward.johan, kari.id, now + timedelta(minutes=5), relatives=[anne.id], now=now
        )
        own = passport.write_line(
            db, cast.actor(kari), kari.id, "matters", "Å komme ut på tur igjen.", now=before
        )
        passport.write_line(db, ward.sofia, kari.id, "important", "Svelger tynt dårlig.", True, now=before)
        letter = db.scalars(select(Message).where(Message.check_in_id == asked.id)).one()
        letter.state, letter.error_code, letter.settled_at, letter.attempt = "undelivered", "30003", now, 1
        first = check_in.review(db, cast.actor(kari), asked.id, now=now).unanswered
        db.commit()
        ids = {
            "patient_id": kari.id,
            "check_in_id": asked.id,
            "question": first,
            "meeting_id": meeting.id,
            "participant_id": meeting.participants[-1].id,
            "flag_id": raised.id,
            "verb": "note",
            "grant_id": grant.id,
            "stay_id": asked.plan.stay_id,
            "line_id": own.id,
            "section": "matters",
            "provider": "patient",
            "message_id": letter.id,
            "unit_id": ward.tromso.id,
            "day": now.date(),
            "secret": "x" * 43,
            "group": "not_arrived",
        }
    return Town(
        ward, kari, ola, lars, anne, berit, {name: str(value) for name, value in ids.items()}, str(answered)
    )


def _on_the_way_home(db: Session, now: datetime) -> Patient:
    fields = cast.kari_fields(
        now,
        name="Lars Moen",
        national_id=make_synthetic(date(1950, 3, 3), 0),
        phone="+4740000007",
        discharged_on=(now.date() + timedelta(days=1)).isoformat(),
    )
    return cast.send_home(db, cast.IMPORT, now, fields).stay.patient


def _answer_the_first(db: Session, kari: Patient, now: datetime) -> object:
    check_in.ask_due(db, now)
    who = cast.actor(kari, Level.code)
    asked = db.scalars(select(CheckIn).where(CheckIn.state == "asked", CheckIn.patient_id == kari.id)).one()
    while link := check_in.review(db, who, asked.id, now=now).unanswered:
        well = {"how": "good", "worse": "no", "contact": "false"}
        said = well.get(link, "yes" if link.endswith(".started") else "")
        check_in.save(db, who, asked.id, link, [said], now=now)
    check_in.finish(db, who, asked.id, now=now)
    return asked.id


def _let_in(
    db: Session, ward: cast.Ward, kari: Patient, name: str, phone: str, now: datetime
) -> tuple[Relative, Grant]:
    serial = 0 if name.startswith("Anne") else 1
    draft = share.GrantDraft(
        name=name,
        phone=phone,
        birth_date=cast.ANNE_BORN,
        relation="datter",
        scopes={"passport", "measures", "meetings"},
        until=now.date() + timedelta(days=365),
    )
    grant = share.give(db, ward.sofia, kari.id, draft, now=now)
    relative = grant.relative
    relative.national_id = relative.national_id_index = make_synthetic(cast.ANNE_BORN, serial)
    db.flush()
    return relative, grant


# --- routes -----------------------------------------------------------------------------------------------------------

Walked = tuple[str, APIRoute]


def routes() -> Iterator[Walked]:
    """Every method of every route but those for programs, which `tests/pages/programs/test_api.py` and its fuzzer walk."""
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute) and access(route).audience != "integration":
                for method in sorted(route.methods or ()):
                    yield method, route


def access(route: APIRoute) -> Access:
    """What it declares."""
    return access_of(route.endpoint)


def address(town: Town, route: APIRoute) -> str:
    """The route's address about Kari."""
    ids = town.ids
    if route.path.endswith(("/ending", "/ending/now")):
        ids = ids | {"check_in_id": town.answered}
    return re.sub(r"\{(\w+)[^}]*\}", lambda name: ids[name[1]], route.path)


def entitled(browser: PageClient, town: Town, route: APIRoute) -> PageClient:
    """The browser of somebody the route is for."""
    audience = access(route).audience
    if audience == "professional":
        # Discharges are the ward's, everything else here is Johan's.
        return browser.as_professional(town.ward.sofia if "/discharge" in route.path else town.ward.johan)
    if audience == "relative":
        return browser.as_relative(town.anne, Level.high)
    return browser.as_patient(town.kari) if audience in ("patient", "any", "meeting") else browser.as_nobody()


def name(walked: Walked) -> str:
    """For reading in a test's name."""
    method, route = walked
    return f"{method} {route.path}"


def changes(method: str) -> bool:
    """Not only reading."""
    return method not in SAFE


DEVICE: dict[str, str | list[str]] = {
    "endpoint": "https://push.example/device",
    "p256dh": "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}
# What each route takes when everything is right; a new route must come here to be tested.
FORMS: dict[str, dict[str, str | list[str]]] = {
    "POST /sign-in/code": {"phone": "400 00 001", "next": ""},
    "POST /sign-in/code/enter": {
        "phone": "400 00 001", "code": "123456", "day": "4", "month": "5", "year": "1958", "next": "",
    },
    "POST /l": {"token": "x" * 22},
    "POST /l/new": {"token": "x" * 22},
    "POST /k": {"phone": "400 00 001", "code": "123456"},
    "POST /birth-date": {"day": "4", "month": "5", "year": "1958", "next": ""},
    "POST /sign-out": {},
    "POST /drafts": {"draft": "/patient/passport/write/matters", "text": "Å gå på"},
    "POST /drafts/drop": {"draft": "/patient/passport/write/matters"},
    "POST /stay": {},
    "POST /hooks/twilio/status": {"MessageSid": "SM1", "MessageStatus": "sent"},
    "POST /hooks/push/ack": {"id": "0" * 32},
    "POST /push/subscription": DEVICE,
    "DELETE /push/subscription": DEVICE,
    "POST /push/off": {},
    "POST /hooks/twilio/inbound": {"MessageSid": "SM1", "From": "+4740000001", "Body": "hei"},
    "POST /meeting/{meeting_id}/call-me": {},
    "POST /meeting/{meeting_id}/leave": {},
    "POST /meeting/{meeting_id}/answer": {"answer": "no", "text": "Helst etter lunsj."},
    "POST /meeting/{meeting_id}/end": {},
    "POST /calendar": {"do": "on"},
    "POST /staff/told": {"way": "sms", "phone": "400 00 001", "email": "", "hours": "duty"},
    "POST /staff/told/test": {},
    "POST /staff/told/device": DEVICE,
    "DELETE /staff/told/device": DEVICE,
    "POST /staff/told/off": {},
    "POST /staff/patients": {"search": cast.KARI_ID},
    "POST /staff/flags/{flag_id}/{verb}": {
        "text": "Ringer i morgen.", "how": "phone", "reached": "yes", "outcome": "helped", "unit": "",
    },
    "POST /staff/patients/{patient_id}/plan": {"do": "pause", "reason": "wish"},
    "POST /staff/patients/{patient_id}/death": {"died_on": "2026-11-09"},
    "POST /staff/patients/{patient_id}/contact": {"phone": "400 00 001", "contact.contact_by": "sms"},
    "POST /staff/patients/{patient_id}/messages/{message_id}/again": {},
    "POST /staff/patients/{patient_id}/relatives": {
        "name": "Per Nilsen", "phone": "400 00 008", "birth_date": "1960-01-01", "relation": "bror",
        "relative.scopes": ["passport"], "until": "2027-01-01",
    },
    "POST /staff/patients/{patient_id}/relatives/{grant_id}/withdraw": {},
    "POST /staff/discharge": {
        "name": "Kari Nilsen", "national_id": cast.KARI_ID, "phone": "400 00 001", "language": "nb",
        "municipality_number": "5501", "ward": "unn-post3", "discharged_on": "2026-11-10",
        "template": "stroke", "hour": "", "contact_by": "sms",
    },
    "POST /staff/discharge/preview": {"name": "Kari", "template": "stroke", "discharged_on": "2026-11-10"},
    "POST /staff/patients/{patient_id}/meeting": {
        "date": "2026-11-12", "time": "10:00", "minutes": "30", "kind": "follow_up", "flag": "",
        "relatives": [],
    },
    "POST /staff/meetings/{meeting_id}/move": {"date": "2026-11-13", "time": "10:00", "minutes": "30"},
    "POST /staff/meetings/{meeting_id}/cancel": {},
    "POST /staff/guidance": {"date": "2026-11-12", "time": "13:00", "minutes": "30"},
    "POST /staff/meetings/{meeting_id}/participants": {
        "name": "Tove Tolk", "phone": "400 00 077", "role": "interpreter",
    },
    "POST /staff/meetings/{meeting_id}/participants/{participant_id}/remove": {},
    "POST /staff/meetings/{meeting_id}/outcome": {"outcome": "phone", "text": "Ringte i stedet."},
    "POST /staff/patients/{patient_id}/passport/lines": {
        "section": "important", "text": "Bruker rullator.", "critical": "yes",
    },
    "POST /staff/patients/{patient_id}/passport/lines/{line_id}": {"do": "change", "text": "På tur.", "critical": ""},
    "POST /staff/patients/{patient_id}/passport/contacts": {
        "role": "gp", "name": "Dr. Lie", "phone": "77 00 00 00",
    },
    "POST /staff/check-ins/{check_in_id}": {
        "do": "show", "shown": "how worse contact words", "how": "good", "worse": "no", "contact": "false", "words": "Hei.",
    },
    "POST /patient/check-in/{check_in_id}/send": {},
    "POST /patient/check-in/{check_in_id}/postpone": {},
    "POST /patient/check-in/{check_in_id}/{question}": {"answer": "good", "to": "", "skip": ""},
    "POST /patient/settings": {"language": "nb", "text_size": "md", "color_scheme": "auto"},
    "POST /patient/write": {"text": "Jeg lurer på noe."},
    "POST /patient/passport/coordinator": {},
    "POST /patient/passport/lines/{line_id}/confirm": {},
    "POST /patient/passport/write/{section}": {"text": "Familien."},
    "POST /patient/passport/lines/{line_id}": {"text": "Å gå på ski."},
    "POST /patient/passport/lines/{line_id}/remove": {},
    "POST /patient/passport/share": {
        "name": "Per Nilsen", "phone": "400 00 008", "birth_date": "01.01.1960", "relation": "bror",
        "scopes": ["passport"], "until": "90",
    },
    "POST /patient/passport/grants/{grant_id}/withdraw": {},
    "POST /relative/settings": {"language": "nb", "text_size": "md", "color_scheme": "auto"},
}  # fmt: skip
