"""What routes ask for: the database, the moment, who is asking, what was posted, a page to answer with.

The guard of every route runs first; see `web.house.security.access` for what a route declares.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, cast
from uuid import UUID

import jinja2
from fastapi import APIRouter, Depends, HTTPException, Request, Security
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from starlette.datastructures import UploadFile
from starlette.requests import HTTPConnection

from companion import worklists
from companion.clock import Clock
from companion.crypto import KeyRing
from companion.errors import LevelTooLow, NotAllowed
from companion.models import Patient, Professional, Relative, SignIn, Stay, Unit
from companion.rules.access import Actor, Level
from companion.settings import Settings
from companion.use_cases.keeping import privacy
from companion.use_cases.people import integration, sign_in
from notifications.settings import TwilioSettings
from web.door.oidc import Door
from web.house import pages
from web.house.security import (
    PERSONS,
    SAFE,
    WITHOUT_TOKEN,
    Access,
    Cookies,
    FormRefused,
    access_of,
    check_token,
    form_token,
    given_token,
    new_form_cookie,
    same_origin,
)
from web.house.settings import WebSettings
from web.meeting.rooms import Rooms


@dataclass
class House:
    """What every request finds in its place: `request.app.state.house`."""

    settings: Settings
    web: WebSettings
    clock: Clock
    real_clock: Clock
    sessions: sessionmaker[Session]
    ring: KeyRing
    cookies: Cookies
    templates: jinja2.Environment
    doors: dict[str, Door] = field(default_factory=dict)
    demo: bool = False
    personas: tuple[Any, ...] = ()
    twilio: TwilioSettings = field(default_factory=TwilioSettings)
    # Our public key for push; empty when nothing can go that way.
    push_key: str = ""
    service_worker: Path | None = None
    rooms: Rooms = field(default_factory=Rooms)


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


class Fields(dict[str, str]):
    """What a form posted: the last value of each field as it was typed; `all_of` for fields that may come many times."""

    def __init__(self, items: list[tuple[str, str]] | None = None) -> None:
        super().__init__(items or [])
        self._items = items or []

    def all_of(self, name: str) -> list[str]:
        """Every value of the field, in order."""
        return [value for key, value in self._items if key == name]


# --- the house, the moment, the database ------------------------------------------------------------------------------


def house_of(connection: HTTPConnection) -> House:
    """The running application's things."""
    return cast(House, connection.app.state.house)


def now_of(connection: HTTPConnection) -> datetime:
    """The moment of the request, read once."""
    return cast(datetime, connection.state.now)


def get_db(request: Request) -> Iterator[Session]:
    """One request, one transaction: committed before the answer leaves, rolled back when anything was raised."""
    with house_of(request).sessions() as db:
        yield db
        db.commit()


async def get_fields(request: Request) -> Fields:
    """The posted form, files left out. Hooks and programs read their own: the body as it came."""
    if request.method in SAFE or access_of(request.scope["endpoint"]).audience in ("hook", "integration"):
        return Fields()
    form = await request.form(max_files=0)
    return Fields(
        [
            (_text(name), _text(value))
            for name, value in form.multi_items()
            if not isinstance(value, UploadFile)
        ]
    )


async def get_json(request: Request) -> object:
    """What a program posted. 400 when it is not JSON; halves of characters and NUL are taken out, as from forms."""
    try:
        return _texts(json.loads(await request.body()))
    except (ValueError, RecursionError):
        raise HTTPException(400) from None


def _texts(sent: object) -> object:
    if isinstance(sent, str):
        return _text(sent)
    if isinstance(sent, list):
        return [_texts(one) for one in sent]
    if isinstance(sent, dict):
        return {_text(name): _texts(one) for name, one in sent.items()}
    return sent


def _text(typed: str) -> str:
    """What can be kept and shown: no halves of characters, which no answer could carry, and no NUL, which PostgreSQL refuses."""
    return typed.encode(errors="replace").decode().replace("\0", "")


TheHouse = Annotated[House, Depends(house_of)]
Now = Annotated[datetime, Depends(now_of)]
Db = Annotated[Session, Depends(get_db, scope="function")]
Posted = Annotated[Fields, Depends(get_fields)]
SentJson = Annotated[object, Depends(get_json)]


# --- who is asking ----------------------------------------------------------------------------------------------------


def signed_in(request: Request, db: Db, now: Now) -> Signed | None:
    """Whose session the cookie opens, looked up at most once per request."""
    state = request.state
    if not hasattr(state, "signed"):
        secret = request.cookies.get(house_of(request).cookies.session)
        found = sign_in.actor(db, secret, now=now) if secret else None
        state.signed = Signed(*found) if found else None
        state.visitor = _visitor(db, state.signed) if found else None
    return cast(Signed | None, state.signed)


def guard(request: Request, db: Db, now: Now, fields: Posted) -> None:
    """Lets the request through to its route, or raises `SignInNeeded`, `LevelTooLow` or `NotAllowed`."""
    house, access = house_of(request), access_of(request.scope["endpoint"])
    unsafe = request.method not in SAFE
    if unsafe and access.audience != "hook" and not same_origin(request, house.settings.public_url):
        raise FormRefused("posted from another site")
    if access.audience in PERSONS:
        signed = signed_in(request, db, now)
        if signed is None:
            raise SignInNeeded(access.audience)
        _check_person(access, signed, house.settings)
    if access.audience == "integration":
        request.state.program = _program(request, db)
    if unsafe and access.audience not in WITHOUT_TOKEN:
        _check_form(request, db, now, fields)


def _check_person(access: Access, signed: Signed, settings: Settings) -> None:
    if access.audience not in ("any", "meeting", signed.actor.kind):
        raise NotAllowed(f"for {access.audience}")
    if signed.actor.level < (level := access.needs(settings)):
        raise LevelTooLow(level.name)


def _program(request: Request, db: Db) -> Actor:
    kind, _space, token = request.headers.get("authorization", "").partition(" ")
    found = integration.from_token(db, token.strip()) if kind.lower() == "bearer" else None
    if found is None:
        raise SignInNeeded("integration")
    return found


def _check_form(request: Request, db: Db, now: Now, fields: Fields) -> None:
    house, given = house_of(request), given_token(request, fields)
    cookie = request.cookies.get(house.cookies.form)
    signed = signed_in(request, db, now)
    check_token(
        given, signed.sign_in.csrf if signed else None, form_token(house.ring, cookie) if cookie else None
    )


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


# The guard has read the token; here it is only told to the description of the door.
_token = HTTPBearer(auto_error=False, scheme_name="token", description="The token of an integration account")


def program(request: Request, _given: Annotated[object, Security(_token)]) -> Actor:
    """The program asking. Only for routes whose audience is integrations."""
    return cast(Actor, request.state.program)


Program = Annotated[Actor, Depends(program)]
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


# --- answering --------------------------------------------------------------------------------------------------------


class Pages:
    """Renders a template as the answer: `page("patient/today.html", today=today)`; `status=422` when a form is shown again."""

    def __init__(self, request: Request, db: Session | None = None) -> None:
        self._request = request
        self._db = db

    def __call__(self, template: str, /, *, status: int = 200, **context: Any) -> HTMLResponse:
        """The answer, with everything the frames need (`templates/base.html`) already in its context."""
        request, house = self._request, house_of(self._request)
        visitor: Visitor | None = getattr(request.state, "visitor", None)
        token, new_cookie = self._token(visitor)
        frame = {
            "lang": visitor.lang if visitor and visitor.name else language_of(request),
            "now": now_of(request),
            "csrf_token": token,
            "product": house.settings.product_name,
            "scheme": visitor.scheme if visitor else "auto",
            "size": visitor.size if visitor else "md",
            "demo": self._demo(visitor) if house.demo else None,
            "unit": visitor.unit if visitor else None,
            "user": visitor if visitor and visitor.name else None,
            "menu": self._menu(visitor),
            "push": self._push(visitor),
            "here": "",
        }
        response = HTMLResponse(pages.render(house.templates, template, frame | context), status)
        if new_cookie:
            house.cookies.put(response, house.cookies.form, new_cookie)
        return response

    def _token(self, visitor: Visitor | None) -> tuple[str, str | None]:
        if visitor:
            return visitor.csrf, None
        house = house_of(self._request)
        cookie = self._request.cookies.get(house.cookies.form)
        new = None if cookie else new_form_cookie()
        return form_token(house.ring, cookie or cast(str, new)), new

    def _push(self, visitor: Visitor | None) -> dict[str, str] | None:
        """For a patient's browser: our key, and a name for the person by which it knows whose device it is."""
        house, signed = house_of(self._request), getattr(self._request.state, "signed", None)
        if not (house.push_key and signed and visitor and visitor.name and visitor.audience == "patient"):
            return None
        return {"key": house.push_key, "owner": house.ring.index(str(signed.actor.id), "push owner")[:16]}

    def _demo(self, visitor: Visitor | None) -> dict[str, Any]:
        personas = [
            {
                "key": persona.key,
                "name": persona.name.split()[0],
                "role": persona.role,
                "current": bool(visitor) and cast(Visitor, visitor).national_id == persona.national_id,
            }
            for key in IN_THE_BAR
            for persona in house_of(self._request).personas
            if persona.key == key
        ]
        return {"now": now_of(self._request), "personas": personas}

    def _menu(self, visitor: Visitor | None) -> list[dict[str, Any]]:
        if visitor is None or visitor.audience != "professional":
            return []
        words = pages.translations(visitor.lang)
        signed: Signed | None = getattr(self._request.state, "signed", None)
        counts = (
            worklists.menu_counts(self._db, signed.actor, now_of(self._request))
            if self._db and signed
            else None
        )
        return [
            {
                "key": key,
                "href": href,
                "icon": icon,
                "word": words.gettext(word),
                "count": getattr(counts, key, None),
            }
            for key, href, icon, word in MENU
        ]


# Words are marked for the catalogue by `_`, which here only marks.
def _(text: str) -> str:
    return text


# The people of the demo's story; the others are on /demo.
IN_THE_BAR = ("sofia", "kari", "johan", "anne")
MENU = (
    ("worklist", "/staff", "worklist", _("Arbeidsliste")),
    ("patients", "/staff/patients", "person", _("Pasienter")),
    ("coming_home", "/staff/coming-home", "home", _("Kommer hjem")),
    ("meetings", "/staff/meetings", "meetings", _("Møter")),
    ("call_list", "/staff/calls", "call-list", _("Ringeliste")),
    ("messages", "/staff/messages", "message", _("Meldinger")),
)


def page(request: Request, db: Db, _signed: MaybeSigned) -> Pages:
    """Pages for this request, with whoever is signed in looked up."""
    return Pages(request, db)


Page = Annotated[Pages, Depends(page)]


def language_of(connection: HTTPConnection) -> str:
    """The first language of the browser that we have, else bokmål."""
    for part in connection.headers.get("accept-language", "").split(","):
        tag = part.split(";")[0].strip().lower().split("-")[0]
        tag = {"no": "nb", "sme": "se"}.get(tag, tag)
        if tag in pages.LANGUAGES:
            return tag
    return "nb"


def go(path: str) -> RedirectResponse:
    """After a POST: see there."""
    return RedirectResponse(path, 303)


# --- the audit log ----------------------------------------------------------------------------------------------------


class Audit:
    """Writes down whose data was seen or changed, in the request's own transaction."""

    def __init__(self, request: Request, db: Session, actor: Actor, now: datetime) -> None:
        self._request, self._db, self._actor, self._now = request, db, actor, now

    def __call__(self, patient_id: UUID, action: str, object: str = "", purpose: str = "") -> None:
        """One line of the patient's access log."""
        self.each([patient_id], action, object, purpose)

    def each(self, patient_ids: Iterable[UUID], action: str, object: str = "", purpose: str = "") -> None:
        """A line for everybody a list names; a list that names nobody still leaves the line that somebody looked."""
        privacy.record_accesses(
            self._db,
            self._actor,
            list(patient_ids) or [None],
            action,
            object=object,
            purpose=purpose,
            request_id=self._request.state.id,
            now=self._now,
        )


def seen(request: Request, db: Db, actor: Who, now: Now) -> Audit:
    """The audit log for this request."""
    return Audit(request, db, actor, now)


Seen = Annotated[Audit, Depends(seen)]


# --- routes -----------------------------------------------------------------------------------------------------------


class GuardedRoute(APIRoute):
    """A route that says who it is for (else it does not come into being) and lets nobody else in."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        access_of(endpoint)
        options["dependencies"] = [Depends(guard), *(options.get("dependencies") or [])]
        super().__init__(path, endpoint, **options)


def new_router(*, documented: bool = False) -> APIRouter:
    """A router whose routes are guarded. `documented`: they stand in the description for programs."""
    return APIRouter(route_class=GuardedRoute, include_in_schema=documented)


@contextlib.contextmanager
def transaction(connection: HTTPConnection) -> Iterator[Session]:
    """A transaction outside a request's own: for web sockets and the demo's clock. Open it inside one thread, close it there."""
    with house_of(connection).sessions() as db:
        yield db
        db.commit()
