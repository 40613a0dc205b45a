"""Serving, until told to stop: for a hospital, or the demo with its invented ward and the dispatcher beside it.

One process: who is in which video room is kept in memory. Several processes need that shared first.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import prometheus_client
import structlog
import uvicorn
from sqlalchemy import Engine, make_url, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from companion.db import make_engine, require_schema
from companion.errors import Misconfigured
from companion.models import Unit
from companion.settings import Settings, read
from notifications.channels.push import vapid
from notifications.channels.push.settings import VapidSettings
from notifications.channels.sms.settings import TwilioSettings
from web.app import create_app
from web.house.frame import Frame
from web.house.settings import WebSettings

_STORY = ("sofia", "kari", "johan", "anne")


def serve() -> None:
    """A hospital's server. Raises `Misconfigured` with a sentence when it cannot be one."""
    _log_lines(quiet=False)
    host, port = _address()
    web, settings = read(WebSettings), read(Settings)
    engine = make_engine(settings, pool_size=2 * web.in_flight)
    try:
        require_schema(engine)
    except DBAPIError as away:
        # It may come back; until then every page says so.
        structlog.get_logger("web").warning("database_away", error=type(away.orig).__name__)
    _run(_app(web, settings, engine), host, port, web)


def serve_demo() -> None:
    """The demo, filled when it is empty. Raises `Misconfigured` with a sentence; always in production."""
    _log_lines(quiet=True)
    host, port = _address()
    # The dispatcher words links, so it must know the same address and the same database.
    reachable = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    os.environ.setdefault("COMPANION_PUBLIC_URL", f"http://{reachable}:{port}")
    web, settings = read(WebSettings), read(Settings)
    if settings.environment == "production":
        raise Misconfigured("the demo never runs in production; set COMPANION_ENVIRONMENT=demo")
    engine = make_engine(settings, pool_size=2 * web.in_flight)
    try:
        require_schema(engine)
    except DBAPIError as away:
        raise Misconfigured(f"the database cannot be used ({type(away.orig).__name__})") from None
    if not os.environ.get("VAPID_PRIVATE_KEY"):
        os.environ["VAPID_PRIVATE_KEY"] = push_key(settings)
        os.environ.setdefault("VAPID_SUBJECT", "mailto:demo@folge.example")
    _fill(engine)
    app = _app(web, settings, engine, demo=True)
    with _dispatcher():
        _introduce(settings)
        _run(app, host, port, web)


def push_key(settings: Settings) -> str:
    """The demo's key for push, made once beside its database: with another one every browser would have to ask anew."""
    database = make_url(settings.database_url)
    beside = database.database if database.drivername.startswith("sqlite") else None
    kept = (Path(beside).parent if beside else Path("var/demo")) / "vapid.key"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.touch(mode=0o600)
    if not kept.read_text():
        kept.write_text(vapid.new_key())
    return kept.read_text()


def _app(web: WebSettings, settings: Settings, engine: Engine, *, demo: bool = False) -> Frame:
    # Imported late: a hospital's server has no invented people in it.
    if demo:
        from companion.demo import PERSONAS
    return create_app(
        web,
        settings=settings,
        engine=engine,
        demo=demo,
        personas=PERSONAS if demo else (),
        twilio=read(TwilioSettings),
        vapid=read(VapidSettings),
    )


def _address() -> tuple[str, int]:
    """Where to listen, tried out: whoever holds it would otherwise be found when everything else has been started."""
    host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8000")
    try:
        family = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, int(port)), family=family):
            return host, int(port)
    except (OSError, ValueError, OverflowError) as problem:
        said = getattr(problem, "strerror", None) or "no such port"
        raise Misconfigured(f"cannot listen on HOST={host} PORT={port} ({said}); set others") from None


def _fill(engine: Engine) -> None:
    """The invented ward, when it is not there already; a later start is quick."""
    with Session(engine) as db:
        if db.scalar(select(Unit.id).limit(1)) is not None:
            return
    if subprocess.run([sys.executable, "-m", "notifications", "rehearse"], check=False).returncode:
        raise Misconfigured("the invented ward could not be filled; 'make clean-demo' forgets what there is")


def _introduce(settings: Settings) -> None:
    """Who is there to be, and where."""
    from companion.demo import PERSONAS

    address = settings.public_url.rstrip("/")
    print(f"Prøverommet: {address}/demo")
    for persona in sorted(PERSONAS, key=lambda p: _STORY.index(p.key) if p.key in _STORY else len(_STORY)):
        door = "professional" if persona.audience == "professional" else "patient"
        print(
            f"  {persona.name} ({persona.role.lower()}): {address}/sign-in/{door}?hint={persona.key}",
            flush=True,
        )


@contextmanager
def _dispatcher() -> Iterator[None]:
    """The post, as a process of its own, for as long as we serve."""
    child = subprocess.Popen(
        [sys.executable, "-m", "notifications", "run"], stderr=subprocess.DEVNULL, start_new_session=True
    )
    # uvicorn stops on the first SIGTERM; until it listens, so do we.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _run(app: Frame, host: str, port: int, web: WebSettings) -> None:
    if web.metrics_port:
        try:
            prometheus_client.start_http_server(web.metrics_port, addr="127.0.0.1")
        except (OSError, OverflowError):
            raise Misconfigured(f"WEB_METRICS_PORT {web.metrics_port} is taken; set another one") from None
    uvicorn.run(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=bool(web.trusted_proxies),
        forwarded_allow_ips=web.trusted_proxies or None,
        timeout_graceful_shutdown=10,
    )


def _log_lines(*, quiet: bool) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
