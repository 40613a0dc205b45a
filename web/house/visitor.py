"""Who is asking: the session behind the cookie, and the person in it as plain values."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from companion.models import Patient, Professional, Relative, SignIn, Stay, Unit
from companion.rules.access import Actor, Level
from companion.use_cases import sign_in
from web.house.house import Now, house_of
from web.house.posted import Db


@dataclass(frozen=True)
class Visitor:
    """Who is signed in, as plain values: readable after the transaction is over, also on an error page."""

    audience: str
    level: Level
    csrf: str
    lang: str
    name: str
    line: str
    scheme: str
    size: str
    national_id: str | None
    unit: "UnitLine | None"


@dataclass(frozen=True)
class UnitLine:
    """The unit to call."""

    name: str
    phone: str | None


@dataclass(frozen=True)
class Signed:
    """A session and the person in it."""

    sign_in: SignIn
    actor: Actor


class SignInNeeded(Exception):
    """Nobody is signed in, and the page is not for everybody."""

    def __init__(self, audience: str) -> None:
        super().__init__(audience)
        self.audience = audience


def signed_in(request: Request, db: Db, now: Now) -> Signed | None:
    """Whose session the cookie opens, looked up at most once per request."""
    state = request.state
    if not hasattr(state, "signed"):
        secret = request.cookies.get(house_of(request).cookies.session)
        found = sign_in.actor(db, secret, now=now) if secret else None
        state.signed = Signed(*found) if found else None
        state.visitor = _visitor(db, state.signed) if found else None
    return cast(Signed | None, state.signed)


def visitor_of(connection: HTTPConnection) -> Visitor | None:
    """Whoever is signed in, once that has been looked up; None before, and for strangers."""
    return cast(Visitor | None, getattr(connection.state, "visitor", None))


def signed_of(connection: HTTPConnection) -> Signed | None:
    """The session of whoever is signed in, once that has been looked up."""
    return cast(Signed | None, getattr(connection.state, "signed", None))


def who(request: Request, db: Db, now: Now) -> Actor:
    """The person asking. Only for routes whose audience is a person."""
    signed = signed_in(request, db, now)
    if signed is None:
        raise SignInNeeded("any")
    return signed.actor


def door(request: Request, db: Db, now: Now) -> Actor | SignIn:
    """At a meeting's door: the person, or the session of somebody who has only opened a link."""
    signed = signed_in(request, db, now)
    if signed is None:
        raise SignInNeeded("meeting")
    return signed.sign_in if signed.actor.level is Level.link else signed.actor


MaybeSigned = Annotated[Signed | None, Depends(signed_in)]
Who = Annotated[Actor, Depends(who)]
MeetingDoor = Annotated[Actor | SignIn, Depends(door)]


_KINDS: dict[str, type[Patient] | type[Relative] | type[Professional]] = {
    "patient": Patient,
    "relative": Relative,
    "professional": Professional,
}


def _visitor(db: Session, signed: Signed) -> Visitor:
    session, actor = signed.sign_in, signed.actor
    person: Patient | Relative | Professional | None = None
    if actor.level is not Level.link:
        person = cast(Patient | Relative | Professional, db.get_one(_KINDS[actor.kind], actor.id))
    unit = _unit(db, person, actor)
    return Visitor(
        audience=actor.kind,
        level=actor.level,
        csrf=session.csrf,
        lang=person.language if person else "nb",
        name=person.name if person else "",
        line=_line(person, unit),
        scheme=getattr(person, "color_scheme", "auto"),
        size=getattr(person, "text_size", "md"),
        national_id=person.national_id if person else None,
        unit=UnitLine(unit.name, unit.phone) if unit else None,
    )


def _unit(db: Session, person: object, actor: Actor) -> Unit | None:
    if isinstance(person, Patient):
        last = select(Unit).join(Stay, Stay.ward_id == Unit.id).where(Stay.patient_id == person.id)
        return db.scalar(last.order_by(Stay.discharged_on.desc()).limit(1))
    return db.get(Unit, actor.unit_id) if actor.unit_id else None


def _line(person: object, unit: Unit | None) -> str:
    if isinstance(person, Professional):
        return f"{person.title}, {unit.name}" if unit else person.title
    return ""
