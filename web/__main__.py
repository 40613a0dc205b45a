"""The server's door: `python -m web [--demo]`, on HOST and PORT.

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
from typing import Annotated

import prometheus_client
import structlog
import typer
import uvicorn
from pydantic import ValidationError
from sqlalchemy import Engine, make_url, select
from sqlalchemy.orm import Session

from companion.db import make_engine
from companion.errors import Misconfigured
from companion.models import Unit
from companion.settings import Settings
from notifications.channels.push import vapid
from web.app import create_app
from web.house.settings import WebSettings

_STORY = ("sofia", "kari", "johan", "anne")


def serve(
    demo: Annotated[
        bool, typer.Option("--demo", help="An invented ward, its phones, and the dispatcher beside it.")
    ] = False,
) -> None:
    """Serves until told to stop."""
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000"))
    _log_lines(quiet=demo)
    try:
        if demo:
            _serve_demo(host, port)
        else:
            _run(create_app(), host, port, WebSettings())
    except ValidationError as wrong:
        prefix = {"WebSettings": "WEB_", "TwilioSettings": "TWILIO_"}.get(wrong.title, "COMPANION_")
        for error in wrong.errors(include_input=False):
            print(f"{prefix}{'_'.join(map(str, error['loc'])).upper()}: {error['msg']}", file=sys.stderr)
        raise typer.Exit(2) from None
    except Misconfigured as problem:
        print(problem, file=sys.stderr)
        raise typer.Exit(2) from None


def _serve_demo(host: str, port: int) -> None:
    # The dispatcher words links, so it must know the same address and the same database.
    reachable = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    os.environ.setdefault("COMPANION_PUBLIC_URL", f"http://{reachable}:{port}")
    settings = Settings()
    if settings.environment == "production":
        raise Misconfigured("the demo never runs in production; set COMPANION_ENVIRONMENT=demo")
    # Imported late: a hospital's server has no invented people in it.
    from companion.demo import PERSONAS

    try:
        socket.create_server((host, port)).close()
    except OSError:
        raise Misconfigured(f"port {port} is taken; set PORT to another one") from None
    if not os.environ.get("VAPID_PRIVATE_KEY"):
        os.environ["VAPID_PRIVATE_KEY"] = push_key(settings)
        os.environ.setdefault("VAPID_SUBJECT", "mailto:demo@folge.example")
    engine = make_engine(settings, pool_size=2 * WebSettings().in_flight)
    if not _lived_in(engine):
        subprocess.run([sys.executable, "-m", "notifications", "rehearse"], check=True)
    app = create_app(settings=settings, engine=engine, demo=True, personas=PERSONAS)
    with _dispatcher():
        address = settings.public_url.rstrip("/")
        print(f"Prøverommet: {address}/demo")
        for persona in sorted(
            PERSONAS, key=lambda p: _STORY.index(p.key) if p.key in _STORY else len(_STORY)
        ):
            door = "professional" if persona.audience == "professional" else "patient"
            print(
                f"  {persona.name} ({persona.role.lower()}): {address}/sign-in/{door}?hint={persona.key}",
                flush=True,
            )
        _run(app, host, port, WebSettings())


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


def _lived_in(engine: Engine) -> bool:
    """Whether the invented ward is there already; a later start is then quick."""
    with Session(engine) as db:
        return db.scalar(select(Unit.id).limit(1)) is not None


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


def _run(app: object, host: str, port: int, web: WebSettings) -> None:
    if web.metrics_port:
        prometheus_client.start_http_server(web.metrics_port, addr="127.0.0.1")
    uvicorn.run(
        app,  # type: ignore[arg-type]
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


if __name__ == "__main__":
    typer.run(serve)
