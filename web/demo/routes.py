"""The room's machinery: the phones, the clock, and the provider's door."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, cast

from fastapi import Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from companion.errors import Invalid, NotFound
from companion.use_cases import sign_in
from notifications import heard
from notifications.channels.push import acks
from notifications.models import SandboxMessage
from web.demo import clock, story
from web.demo.handsets import handsets, with_links
from web.demo.identity_provider import PATH, IdentityProvider, Refused, answer
from web.demo.story import router as router
from web.house.deps import (
    Db,
    House,
    Now,
    Page,
    Posted,
    TheHouse,
    go,
    now_of,
)
from web.house.security import access, local_path

STEPS: Mapping[str, timedelta] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "three_days": timedelta(days=3),
}
_NUMBER = re.compile(r"[0-9]{1,9}")
_DURATION = TypeAdapter(timedelta)


# --- the phones -------------------------------------------------------------------------------------------------------


@router.get("/demo/phones")
@access("demo")
def phones(page: Page, db: Db, house: TheHouse) -> Response:
    """Every invented handset with what it received, and a field to answer by SMS."""
    return page("demo/phones.html", handsets=with_links(handsets(db, house)))


@router.get("/demo/phones.json")
@access("demo")
def phones_json(db: Db, house: TheHouse) -> Response:
    """The same for programs."""
    phones = [asdict(handset) for handset in handsets(db, house)]
    for phone in phones:
        for message in phone["messages"]:
            message["at"] = message["at"].isoformat()
    return JSONResponse(phones)


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
def authorize(request: Request, page: Page, db: Db) -> Response:
    """Whom to sign in as; nobody is asked when our own server said whom it expects. Who has not come yet learns what is first."""
    provider = _provider(request)
    try:
        asked = provider.check(request.query_params)
    except Refused:
        raise NotFound from None
    if persona := provider.hinted(asked):
        if not story.is_here(db, persona):
            return go(story.not_yet_path(persona))
        return _back(request, provider.approve(asked, persona))
    return page("demo/provider.html", people=provider.choices(asked), query=dict(request.query_params))


@router.post(PATH + "/authorize")
@access("demo")
def authorized(request: Request, fields: Posted, db: Db) -> Response:
    """Logg inn som …"""
    provider = _provider(request)
    try:
        asked = provider.check(fields)
    except Refused:
        raise NotFound from None
    persona = next((p for p in provider.choices(asked) if p.key == fields.get("persona")), None)
    if persona is None:
        raise NotFound
    if not story.is_here(db, persona):
        return go(story.not_yet_path(persona))
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
