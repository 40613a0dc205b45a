"""The room's pages: the story, the phones, the clock, and the provider's door."""

import re
import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from fastapi import Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import exists, select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from companion.errors import Invalid, NotFound
from companion.models import CheckIn, Flag, Grant, Patient, Professional, Relative
from companion.use_cases import sign_in
from notifications import heard
from notifications.channels.push import acks
from notifications.models import SandboxMessage
from web.demo import clock
from web.demo.identity_provider import PATH, IdentityProvider, Refused, answer
from web.house import pages
from web.house.deps import (
    Db,
    House,
    MaybeSigned,
    Now,
    Page,
    Posted,
    TheHouse,
    go,
    language_of,
    new_router,
    now_of,
)
from web.house.security import access, local_path

router = new_router()

STEPS: Mapping[str, timedelta] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "three_days": timedelta(days=3),
}
# A link or the typed way, as a phone shows them: without `http://`.
_OURS = re.compile(r"((?:(?:https?://)?[\w.-]+(?::\d+)?)?/(?:l#[\w-]{22}|k\b))")
_NUMBER = re.compile(r"[0-9]{1,9}")
_DURATION = TypeAdapter(timedelta)


@dataclass(frozen=True)
class Handset:
    """An invented phone: whose, and what is on it, oldest first."""

    number: str
    name: str
    messages: list[dict[str, Any]]


# --- the story --------------------------------------------------------------------------------------------------------


@router.get("/demo")
@access("demo")
def story(
    request: Request, page: Page, db: Db, house: TheHouse, now: Now, away: bool = False, missing: str = ""
) -> Response:
    """Who is who, one tap to be them, and the story in four steps."""
    people = {persona.key: persona for persona in house.personas}
    kari = people.get("kari")
    return page(
        "demo/story.html",
        people=people,
        at=_step(db, kari),
        kari_phone=next(
            (p for p in _with_links(_handsets(db, house)) if kari and p.number == kari.phone), None
        ),
        # Seen from two days before, so that the day is named instead of called today.
        today=pages.say_day(now, lang=language_of(request), now=now - timedelta(days=2)),
        away=away,
        missing=people.get(missing),
    )


@router.post("/demo/be/{key}")
@access("demo")
def be(key: str, db: Db, now: Now, house: TheHouse, signed: MaybeSigned, fields: Posted) -> Response:
    """Somebody else in one tap, by the provider's door as everybody."""
    persona = next((p for p in house.personas if p.key == key), None)
    if persona is None:
        raise NotFound
    if not _is_here(db, persona):
        return go(f"/demo?missing={key}")
    if signed:
        sign_in.end(db, signed.sign_in, now=now)
    provider = "professional" if persona.audience == "professional" else "patient"
    after = local_path(fields.get("next"))
    return go(f"/sign-in/{provider}?hint={key}" + (f"&next={after}" if after else ""))


def _step(db: Session, kari: Any) -> int:
    """Which of the four steps comes next."""
    patient = (
        db.scalar(select(Patient).where(Patient.national_id_index == kari.national_id)) if kari else None
    )
    if patient is None:
        return 1
    answered = exists().where(CheckIn.patient_id == patient.id, CheckIn.state == "answered")
    seen = exists().where(Flag.patient_id == patient.id, Flag.state != "open")
    if not db.scalar(select(answered)):
        return 2
    return 4 if db.scalar(select(seen)) else 3


def _is_here(db: Session, persona: Any) -> bool:
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


# --- the phones -------------------------------------------------------------------------------------------------------


@router.get("/demo/phones")
@access("demo")
def phones(page: Page, db: Db, house: TheHouse) -> Response:
    """Every invented handset with what it received, and a field to answer by SMS."""
    return page("demo/phones.html", handsets=_with_links(_handsets(db, house)))


def _with_links(handsets: list[Handset]) -> list[Handset]:
    """Each text in parts, our own addresses as links, whatever host and port they were worded for."""
    for handset in handsets:
        for message in handset.messages:
            parts = _OURS.split(message["body"])
            message["parts"] = [
                {"text": text, "href": text[text.rindex("/") :] if number % 2 else None}
                for number, text in enumerate(parts)
                if text
            ]
    return handsets


@router.get("/demo/phones.json")
@access("demo")
def phones_json(db: Db, house: TheHouse) -> Response:
    """The same for programs."""
    handsets = [asdict(handset) for handset in _handsets(db, house)]
    for handset in handsets:
        for message in handset["messages"]:
            message["at"] = message["at"].isoformat()
    return JSONResponse(handsets)


@router.post("/demo/phones/{number}/reply")
@access("demo")
async def reply(request: Request, number: str, fields: Posted, house: TheHouse) -> Response:
    """An SMS from the handset to us; answered when the dispatcher has handled it."""
    program = _is_json(request)
    body = str((await _json(request)).get("body", "")) if program else fields.get("body", "")
    sender = sign_in.e164(number)
    if sender is None or not body.strip():
        raise Invalid({"body" if sender else "number": "missing"})
    now = now_of(request)
    await run_in_threadpool(_write, house, sender, body.strip()[:1600], now)
    try:
        await clock.forward(house, now)
    except clock.DispatcherAway:
        return JSONResponse({"error": "dispatcher_away"}, 503) if program else go("/demo?away=true")
    return (
        JSONResponse({"number": sender}) if program else go(local_path(fields.get("next")) or "/demo/phones")
    )


@router.post("/demo/phones/{number}/see")
@access("demo")
async def see(number: str, fields: Posted, house: TheHouse, request: Request) -> Response:
    """Somebody has looked at the handset: the device acknowledges the push, as a service worker would."""
    now = now_of(request)
    await run_in_threadpool(_acknowledge, house, number, fields.get("id", ""), now)
    try:
        await clock.forward(house, now)
    except clock.DispatcherAway:
        return go("/demo?away=true")
    return go(local_path(fields.get("next")) or "/demo/phones")


def _acknowledge(house: House, number: str, message_id: str, now: datetime) -> None:
    with house.sessions() as db:
        row = db.get(SandboxMessage, int(message_id)) if _NUMBER.fullmatch(message_id) else None
        if row is None or row.number != number or row.channel != "push" or not row.provider_id:
            raise NotFound
        row.state = "delivered"
        acks.keep_ack(db, row.provider_id, now=now)
        db.commit()


def _write(house: House, number: str, body: str, now: datetime) -> None:
    with house.sessions() as db:
        db.add(
            SandboxMessage(number=number, direction="in", channel="sms", body=body, state="received", at=now)
        )
        heard.keep_inbound(db, f"SB{secrets.token_hex(16)}", number, body, now=now)
        db.commit()


def _handsets(db: Session, house: House) -> list[Handset]:
    """The story's people first, then whoever heard from us last."""
    messages: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in db.scalars(select(SandboxMessage).order_by(SandboxMessage.at, SandboxMessage.id)):
        messages[row.number].append(
            {name: getattr(row, name) for name in ("id", "at", "direction", "channel", "body", "state")}
        )
    names: dict[str, str] = {p.phone: p.name for p in house.personas if p.audience != "professional"}
    first = list(names)
    numbers = list(messages)
    owners: list[Patient | Relative] = [*db.scalars(select(Patient).where(Patient.phone_index.in_(numbers)))]
    owners += db.scalars(select(Relative).where(Relative.phone_index.in_(numbers)))
    for person in owners:
        names.setdefault(person.phone or "", person.name)
    rest = sorted(set(messages) - set(first), key=lambda number: messages[number][-1]["at"], reverse=True)
    return [Handset(number, names.get(number, number), messages[number]) for number in (*first, *rest)]


# --- the clock --------------------------------------------------------------------------------------------------------


@router.get("/demo/clock")
@access("demo")
def read_clock(now: Now) -> Response:
    """What time it is in the ward."""
    return JSONResponse({"now": now.isoformat()})


@router.post("/demo/clock")
@access("demo")
async def move_clock(request: Request, house: TheHouse, fields: Posted) -> Response:
    """Time passes: `{"forward": "PT24H"}`, or a button's `step`. What became due has happened when it answers."""
    program, here = _is_json(request), now_of(request)
    to = (
        here + _duration((await _json(request)).get("forward"))
        if program
        else await _button(house, fields, here)
    )
    if to < here or to - here > clock.FARTHEST:
        raise Invalid({"forward": "too_far"})
    try:
        await clock.forward(house, to)
    except clock.DispatcherAway:
        return JSONResponse({"error": "dispatcher_away"}, 503) if program else go("/demo?away=true")
    if program:
        return JSONResponse({"now": house.clock.now().isoformat()})
    return go(local_path(fields.get("next")) or "/demo")


async def _button(house: House, fields: Mapping[str, str], here: datetime) -> datetime:
    """Where a button leads. The ward's clock never goes back: `now` catches up with the real one if that is ahead."""
    match fields.get("step"):
        case "next":
            return await clock.next_event(house) or here
        case "now":
            return max(here, house.real_clock.now())
        case step:
            return here + STEPS.get(step or "", timedelta(0))


def _duration(text: object) -> timedelta:
    try:
        return _DURATION.validate_python(text, strict=False) if isinstance(text, str) else timedelta(-1)
    except ValidationError:
        raise Invalid({"forward": "not_a_duration"}) from None


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/json")


async def _json(request: Request) -> dict[str, Any]:
    try:
        document = await request.json()
    except ValueError:
        raise Invalid({"body": "not_json"}) from None
    return document if isinstance(document, dict) else {}


# --- the provider's door ----------------------------------------------------------------------------------------------


@router.get(PATH + "/authorize")
@access("demo")
def authorize(request: Request, page: Page) -> Response:
    """Whom to sign in as; nobody is asked when our own server said whom it expects."""
    provider = _provider(request)
    try:
        asked = provider.check(request.query_params)
    except Refused:
        raise NotFound from None
    if persona := provider.hinted(asked):
        return _back(request, provider.approve(asked, persona))
    return page("demo/provider.html", people=provider.choices(asked), query=dict(request.query_params))


@router.post(PATH + "/authorize")
@access("demo")
def authorized(request: Request, fields: Posted) -> Response:
    """Logg inn som …"""
    provider = _provider(request)
    try:
        asked = provider.check(fields)
    except Refused:
        raise NotFound from None
    persona = next((p for p in provider.choices(asked) if p.key == fields.get("persona")), None)
    if persona is None:
        raise NotFound
    return _back(request, provider.approve(asked, persona))


@router.api_route(PATH + "/{path:path}", methods=["GET", "POST"])
@access("demo")
def machine(request: Request, path: str, fields: Posted) -> Response:
    """Discovery, keys and tokens."""
    status, body = answer(_provider(request), f"/{path}", fields)
    return JSONResponse(body, status)


def _provider(request: Request) -> IdentityProvider:
    return cast(IdentityProvider, request.app.state.provider)


def _back(request: Request, address: str) -> Response:
    """To our own callback by whatever name the browser knows us."""
    return RedirectResponse(
        address.removeprefix(request.app.state.house.settings.public_url.rstrip("/")), 303
    )
