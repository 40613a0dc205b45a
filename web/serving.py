"""Serving, until told to stop: for a hospital, or the demo with its invented ward and the dispatcher beside it.

On PostgreSQL several may serve the same port, started together (`WEB_PROCESSES`) or one by one.
"""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import uvicorn
from sqlalchemy import Engine, make_url, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from uvicorn.config import STARTUP_FAILURE

from companion.db import make_engine, require_schema
from companion.errors import Misconfigured
from companion.models import Unit
from companion.settings import Settings, read
from notifications.channels.push import vapid
from notifications.channels.push.settings import VapidSettings
from notifications.channels.sms.settings import TwilioSettings
from web import several
from web.alone import alone
from web.app import create_app
from web.house.frame import Frame
from web.house.settings import WebSettings

# The story first, then who is in the middle of it.
_STORY = ("sofia", "kari", "johan", "anne", "ruth", "ida")


def serve(*, beside: bool = False) -> int:
    """A hospital's server; the exit code. `beside`: one of several. Raises `Misconfigured` when it cannot be one."""
    _log_lines(quiet=False)
    web, settings = read(WebSettings), read(Settings)
    engine = make_engine(settings, pool_size=2 * web.in_flight)
    host, port = _address(engine)
    if web.processes > 1 and engine.dialect.name == "sqlite":
        raise Misconfigured(
            f"WEB_PROCESSES is {web.processes}, and on SQLite one process serves: leave it out, or use PostgreSQL"
        )
    try:
        require_schema(engine)
    except DBAPIError as away:
        # It may come back; until then every page says so.
        structlog.get_logger("web").warning("database_away", error=type(away.orig).__name__)
    if web.processes > 1:
        return several.serve(web.processes, host, port, web.metrics_port)
    if beside:
        several.end_with_parent()
    with alone(engine):
        return _run(_app(web, settings, engine), engine, host, port, web)


def serve_demo() -> None:
    """The demo, filled when it is empty. Raises `Misconfigured` with a sentence; always in production."""
    _log_lines(quiet=True)
    host, port = _given_address()
    # The dispatcher words links, so it must know the same address and the same database.
    reachable = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    os.environ.setdefault("COMPANION_PUBLIC_URL", f"http://{reachable}:{port}")
    web, settings = read(WebSettings), read(Settings)
    if settings.environment == "production":
        raise Misconfigured("the demo never runs in production; set COMPANION_ENVIRONMENT=demo")
    if web.processes > 1:
        raise Misconfigured("the demo is one process, its clock is in memory: leave WEB_PROCESSES out")
    engine = make_engine(settings, pool_size=2 * web.in_flight)
    try:
        require_schema(engine)
    except DBAPIError as away:
        raise Misconfigured(f"the database cannot be used ({type(away.orig).__name__})") from None
    with alone(engine, demo=True):
        _address(engine)
        _serve_ward(web, settings, engine, host, port)


def _serve_ward(web: WebSettings, settings: Settings, engine: Engine, host: str, port: int) -> None:
    if not os.environ.get("VAPID_PRIVATE_KEY"):
        os.environ["VAPID_PRIVATE_KEY"] = push_key(settings)
        os.environ.setdefault("VAPID_SUBJECT", "mailto:demo@folge.example")
    _fill(engine)
    app = _app(web, settings, engine, demo=True)
    with _dispatcher():
        _introduce(settings)
        _run(app, engine, host, port, web)


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


def _given_address() -> tuple[str, int]:
    host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8000")
    if not (port.isascii() and port.isdecimal() and int(port) < 65536):
        raise several.Taken(host, port, "no such port")
    return host, int(port)


def _address(engine: Engine) -> tuple[str, int]:
    """Where to listen, tried out: whoever holds it would otherwise be found when everything else has been started."""
    host, port = _given_address()
    several.listen(host, port, shared=_shared(engine)).close()
    return host, port


def _shared(engine: Engine) -> bool:
    """Whether others of us may have the port too."""
    return engine.dialect.name == "postgresql"


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


def _run(app: Frame, engine: Engine, host: str, port: int, web: WebSettings) -> int:
    if web.metrics_port:
        several.give_out_figures(web.metrics_port)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=bool(web.trusted_proxies),
        forwarded_allow_ips=web.trusted_proxies or None,
        timeout_graceful_shutdown=10,
    )
    server = uvicorn.Server(config)
    server.run([several.listen(host, port, shared=_shared(engine))])
    return 0 if server.started else STARTUP_FAILURE


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
