"""Who is asking: the session behind the cookie, and the person in it as plain values."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from companion.models import SignIn
from companion.rules.access import Actor, Level
from companion.use_cases import sign_in
from companion.use_cases.sign_in import UnitLine, Visit
from web.house.house import Now, house_of, now_of
from web.house.posted import Db


@dataclass(frozen=True)
class Visitor:
    """Who is signed in, as pages and error pages show them."""

    audience: str
    level: Level
    csrf: str
    lang: str
    name: str
    line: str
    scheme: str
    size: str
    national_id_index: str | None
    unit: UnitLine | None


@dataclass(frozen=True)
class Signed:
    """A session and the person in it."""

    visit: Visit
    db: Session

    @property
    def actor(self) -> Actor:
        """The person."""
        return self.visit.actor

    @property
    def csrf(self) -> str:
        """What the forms of this session carry."""
        return self.visit.csrf

    @property
    def sign_in(self) -> SignIn:
        """The session itself, for those who change it."""
        return self.db.get_one(SignIn, self.visit.id)


class SignInNeeded(Exception):
    """Nobody is signed in, and the page is not for everybody."""

    def __init__(self, audience: str, *, over: bool = False) -> None:
        super().__init__(audience)
        # `over`: somebody was, in this browser.
        self.audience, self.over = audience, over


def signed_in(request: Request, db: Db, now: Now) -> Signed | None:
    """Whose session the cookie opens, looked up at most once per request."""
    state = request.state
    if not hasattr(state, "signed"):
        secret = request.cookies.get(house_of(request).cookies.session)
        found = sign_in.visit(db, secret, now=now) if secret else None
        state.signed = Signed(found, db) if found else None
        state.visitor = _visitor(found) if found else None
    return cast(Signed | None, state.signed)


def forget(request: Request) -> None:
    """Before a request is worked on anew: nobody has been looked up."""
    for name in ("signed", "visitor", "drafts"):
        if hasattr(request.state, name):
            delattr(request.state, name)


def keep_nobody_awake(request: Request) -> None:
    """A page asks by itself, without anybody having done anything."""
    request.state.by_itself = True


def stay_awake(request: Request, db: Session) -> None:
    """The session of whoever asked goes on; at the end of the request, like everything it writes beside its own business."""
    if (signed := signed_of(request)) and not getattr(request.state, "by_itself", False):
        sign_in.stay_awake(db, signed.visit, now=now_of(request))


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


def _visitor(visit: Visit) -> Visitor:
    who, unit = visit.actor, visit.unit
    return Visitor(
        audience=who.kind,
        level=who.level,
        csrf=visit.csrf,
        lang=visit.language,
        name=who.name,
        line=f"{visit.title}, {unit.name}" if visit.title and unit else visit.title,
        scheme=visit.scheme,
        size=visit.size,
        national_id_index=visit.national_id_index,
        unit=unit,
    )
