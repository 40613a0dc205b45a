"""The application: everything put in its place."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio.to_thread
import httpx
from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIWebSocketRoute
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from starlette.routing import BaseRoute

from companion.clock import Clock, ShiftedClock, SystemClock
from companion.crypto import KeyRing
from companion.db import make_engine, make_sessions
from companion.errors import Misconfigured
from companion.models import DemoClock
from companion.settings import Settings
from notifications.channels.email.settings import SmtpSettings
from notifications.channels.push import vapid as vapid_keys
from notifications.channels.push.settings import VapidSettings
from notifications.channels.sms.settings import TwilioSettings
from notifications.ways import Ways, discover
from web.demo import bar
from web.demo import routes as demo_routes
from web.demo.identity_provider import IdentityProvider, Inside
from web.desk import (
    case,
    discharge,
    held,
    invited,
    menu,
    messages,
    offer,
    phone_check_in,
    staff,
    staff_passport,
    told,
)
from web.door import entry, staying
from web.door.oidc import Client, Door
from web.house import errors, pages
from web.house.deps import GuardedRoute, House
from web.house.frame import Frame
from web.house.security import Cookies, access_of
from web.house.settings import WebSettings
from web.house.slots import Slots
from web.house.wire import Assets, Compressed
from web.meeting import answering, calendars, meeting
from web.meeting.line import PostgresLine
from web.meeting.rooms import Rooms
from web.meeting.watch import Watch
from web.patient import check_in, passport, patient, push, write
from web.programs import api, health, hooks
from web.relative import relative

_STATIC = Path(__file__).parent / "static"

ROUTERS: tuple[APIRouter, ...] = (
    entry.router,
    staying.router,
    health.router,
    hooks.router,
    push.router,
    api.router,
    meeting.router,
    answering.router,
    calendars.router,
    staff.router,
    case.router,
    messages.router,
    discharge.router,
    offer.router,
    held.router,
    invited.router,
    phone_check_in.router,
    staff_passport.router,
    told.router,
    check_in.router,
    patient.router,
    write.router,
    passport.router,
    relative.router,
)


def create_app(
    web: WebSettings | None = None,
    *,
    settings: Settings | None = None,
    clock: Clock | None = None,
    engine: Engine | None = None,
    demo: bool = False,
    personas: Sequence[Any] = (),
    http: httpx.AsyncClient | None = None,
    twilio: TwilioSettings | None = None,
    vapid: VapidSettings | None = None,
    smtp: SmtpSettings | None = None,
    seconds: Callable[[], float] = time.monotonic,
    ways: Ways | None = None,
) -> Frame:
    """The whole server as one ASGI application.

    What is not passed in comes from the environment. Raises `Misconfigured`, also when a route does not say who it is for,
    and when `demo` is asked for in production.
    """
    web, settings = web or WebSettings(), (settings or Settings()).require()
    if demo and settings.environment == "production":
        raise Misconfigured("the demo never runs in production; set COMPANION_ENVIRONMENT=demo")
    engine = engine or make_engine(settings, pool_size=2 * web.in_flight)
    real_clock = clock or SystemClock()
    vapid = vapid or VapidSettings()
    templates = pages.environment()
    house = House(
        settings=settings,
        web=web,
        clock=_demo_clock(engine, real_clock) if demo else real_clock,
        real_clock=real_clock,
        sessions=make_sessions(engine),
        readers=make_sessions(engine, reading=True) if engine.dialect.name == "sqlite" else None,
        ring=cast(KeyRing, engine.dialect.companion_keys),  # type: ignore[attr-defined]
        cookies=Cookies(settings.public_url),
        templates=templates,
        demo=demo,
        personas=tuple(personas),
        twilio=twilio or TwilioSettings(),
        ways=ways or discover(),
        mails=demo or (smtp or SmtpSettings()).ready,
        push_key=vapid_keys.public_key(vapid) if vapid.ready else "",
        service_worker=pages.asset_file(templates, "sw.js", _STATIC),
        additions={"menu": menu.menu, "push": push.offered, "demo": bar.bar if demo else _nothing},
    )
    # A redirect to the address without its slash would be to whatever host the request names.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=_lifespan)
    app.state.house = house
    app.state.rooms = Rooms(PostgresLine(engine, house.ring) if engine.dialect.name == "postgresql" else None)
    app.state.watch = Watch(partial(meeting.look, house))
    if demo:
        app.state.provider = provider = IdentityProvider(settings.public_url, house.personas, house.clock.now)
        inside = httpx.AsyncClient(transport=Inside(provider))
        app.state.doors = {a: Door(provider.client(a), inside) for a in ("patient", "professional")}
    else:
        app.state.doors = _doors(web, settings.public_url, http)
    for router in (*ROUTERS, *([demo_routes.router] if demo else [])):
        _check(router.routes)
        app.include_router(router)
    pages_at_once = Slots(web.in_flight, seconds)
    app.add_api_route("/healthz", health.healthz(pages_at_once), response_model=None)
    app.mount("/static", Assets(directory=_STATIC, check_dir=False))
    app.add_middleware(Compressed)
    errors.register(app)
    return Frame(
        app,
        clock=house.clock,
        https=settings.public_url.startswith("https:"),
        pages=pages_at_once,
        programs=Slots(1, seconds),
        max_body=web.max_body,
        failure=errors.failure,
    )


def _nothing(_request: Request, _db: Session | None) -> None:
    """What a frame shows besides, where there is nothing."""


def _check(routes: Sequence[BaseRoute]) -> None:
    for route in routes:
        if not isinstance(route, GuardedRoute | APIWebSocketRoute):
            raise Misconfigured(f"{route} is not made by web.house.deps.new_router")
        access_of(route.endpoint)


def _doors(web: WebSettings, public_url: str, http: httpx.AsyncClient | None) -> dict[str, Door]:
    doors = {}
    for audience in ("patient", "professional"):
        if issuer := getattr(web, f"oidc_{audience}_issuer"):
            # How long is waited, for everything together, is the door's.
            http = http or httpx.AsyncClient(timeout=None, follow_redirects=False)
            client = Client(
                issuer=issuer,
                client_id=getattr(web, f"oidc_{audience}_client_id"),
                client_key=getattr(web, f"oidc_{audience}_client_key"),
                acr=getattr(web, f"oidc_{audience}_acr"),
                scope=getattr(web, f"oidc_{audience}_scope"),
                pid_claim=getattr(web, f"oidc_{audience}_pid_claim"),
                redirect_uri=f"{public_url.rstrip('/')}/oidc/callback/{audience}",
            )
            doors[audience] = Door(client, http, timedelta(seconds=web.oidc_seconds))
    return doors


def _demo_clock(engine: Engine, base: Clock) -> ShiftedClock:
    with Session(engine) as db:
        row = db.get(DemoClock, 1)
    return ShiftedClock(timedelta(seconds=row.shift_seconds if row else 0), base)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    # A thread for every page in work and as many for web sockets and files (notes: 40, the default, is a third as fast).
    house: House = app.state.house
    anyio.to_thread.current_default_thread_limiter().total_tokens = 2 * house.web.in_flight
    rooms: Rooms = app.state.rooms
    async with rooms.open():
        yield
