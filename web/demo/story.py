"""The room's front page: the story in four steps and how far it is, a person in the middle of it, and being somebody else."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from companion.errors import NotFound
from companion.models import AuditEvent, CheckIn, Flag, Grant, Meeting, Patient, Professional, Relative
from companion.use_cases import sign_in
from web.demo.handsets import handsets, with_links
from web.house import pages
from web.house.deps import Db, MaybeSigned, Now, Page, Posted, TheHouse, go, language_of, new_router
from web.house.security import access, local_path

router = new_router()


@dataclass(frozen=True)
class Midway:
    """Where to look at somebody in the middle of it; `meeting` is when she meets her therapist, while that is to come."""

    patient_id: UUID
    phone: str
    meeting: datetime | None


@router.get("/demo")
@access("demo")
def story(request: Request, page: Page, db: Db, house: TheHouse, now: Now, away: bool = False) -> Response:
    """Who is who, one tap to be them, the story in four steps, and Ruth who is in the middle of it."""
    people = {persona.key: persona for persona in house.personas}
    kari = people.get("kari")
    phones = with_links(handsets(db, house))
    return page(
        "demo/story.html",
        people=people,
        at=_step(db, people),
        kari_phone=next((p for p in phones if kari and p.number == kari.phone), None),
        midway=_midway(db, people.get("ruth"), now),
        # Seen from two days before, so that the day is named instead of called today.
        today=pages.say_day(now, lang=language_of(request), now=now - timedelta(days=2)),
        away=away,
    )


@router.post("/demo/be/{key}")
@access("demo")
def be(key: str, db: Db, now: Now, house: TheHouse, signed: MaybeSigned, fields: Posted) -> Response:
    """Somebody else in one tap, by the provider's door as everybody."""
    persona = _persona(house.personas, key)
    if not is_here(db, persona):
        return go(not_yet_path(persona))
    if signed:
        sign_in.end(db, signed.sign_in, now=now)
    provider = "professional" if persona.audience == "professional" else "patient"
    after = local_path(fields.get("next"))
    return go(f"/sign-in/{provider}?hint={key}" + (f"&next={after}" if after else ""))


@router.get("/demo/not-yet/{key}")
@access("demo")
def not_yet(key: str, page: Page, db: Db, house: TheHouse) -> Response:
    """Somebody the story has not come to: what to do first, one tap away."""
    people = {persona.key: persona for persona in house.personas}
    persona = _persona(house.personas, key)
    if is_here(db, persona):
        return go("/demo")
    kari = people.get("kari")
    return page("demo/not_yet.html", persona=persona, kari_is_home=kari is not None and is_here(db, kari))


def not_yet_path(persona: Any) -> str:
    """The page for somebody the story has not come to."""
    return f"/demo/not-yet/{persona.key}"


def is_here(db: Session, persona: Any) -> bool:
    """Whether the story has come to them. An invented relative is known to the provider as soon as somebody has let them in."""
    if persona.audience == "relative":
        let_in = select(Relative).join(Grant, Grant.relative_id == Relative.id)
        relative = db.scalar(let_in.where(Relative.phone_index == persona.phone).limit(1))
        if relative is not None and relative.national_id is None:
            relative.national_id = relative.national_id_index = persona.national_id
            db.flush()
        return relative is not None
    kind: type[Patient] | type[Professional] = Patient if persona.audience == "patient" else Professional
    return bool(db.scalar(select(exists().where(kind.national_id_index == persona.national_id))))


def _persona(personas: Any, key: str) -> Any:
    persona = next((p for p in personas if p.key == key), None)
    if persona is None:
        raise NotFound
    return persona


def _step(db: Session, people: Mapping[str, Any]) -> int:
    """Which of the four steps comes next; 5 when all have been taken."""
    kari = _patient(db, people.get("kari"))
    if kari is None:
        return 1
    answered = exists().where(CheckIn.patient_id == kari.id, CheckIn.state == "answered")
    seen = exists().where(Flag.patient_id == kari.id, Flag.state != "open")
    read = exists().where(AuditEvent.patient_id == kari.id, AuditEvent.actor_kind == "relative")
    done = (answered, seen, read)
    return 2 + next((n for n, step in enumerate(done) if not db.scalar(select(step))), len(done))


def _midway(db: Session, persona: Any, now: datetime) -> Midway | None:
    patient = _patient(db, persona)
    if patient is None:
        return None
    coming = select(Meeting.starts_at).where(
        Meeting.patient_id == patient.id, Meeting.state == "offered", Meeting.starts_at > now
    )
    return Midway(patient.id, persona.phone, db.scalar(coming.order_by(Meeting.starts_at).limit(1)))


def _patient(db: Session, persona: Any) -> Patient | None:
    if persona is None:
        return None
    return db.scalar(select(Patient).where(Patient.national_id_index == persona.national_id))
