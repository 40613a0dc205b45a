"""What is wrong with the settings, the content and the database: a line each, with what to do. No secret is ever shown."""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from companion import library
from companion.clock import SystemClock
from companion.crypto import KeyRing
from companion.db import make_engine, schema_problem
from companion.errors import Misconfigured
from companion.models import Membership, Municipality, Unit
from companion.rules.cadence import local_day
from companion.settings import Settings, read
from companion.use_cases.cases.owner import has_people

FINE, NOTE, BAD = "ok", "note", "FAIL"


def examine() -> Iterator[tuple[str, str]]:
    """What was looked at and how it stands; a failed one says what to do."""
    try:
        settings = read(Settings)
    except Misconfigured as problem:
        for said in str(problem).splitlines():
            yield BAD, said
        return
    yield FINE, f"environment: {settings.environment}"
    yield from _check_names()
    keys = _check_keys(settings)
    yield keys
    yield _check_address(settings)
    try:
        library.check_content()
        yield FINE, "content: plan templates, questionnaires, municipalities"
    except Misconfigured as problem:
        yield BAD, f"content: {problem}"
    if keys[0] != BAD:
        yield from _check_database(settings)
    yield (
        NOTE,
        "the post: 'python -m notifications doctor' looks at its settings, the provider and the dispatcher",
    )


def _check_names() -> Iterator[tuple[str, str]]:
    known = {f"COMPANION_{name.upper()}" for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.startswith("COMPANION_") and name not in known:
            yield BAD, f"{name} is not a setting; known are {', '.join(sorted(known))}"


def _check_keys(settings: Settings) -> tuple[str, str]:
    try:
        ready = settings.require()
        KeyRing.parse(ready.keys.get_secret_value(), ready.index_key.get_secret_value())
    except Misconfigured as problem:
        return BAD, f"keys: {problem}"
    if settings.keys.get_secret_value() == "":
        return FINE, "keys: those of the demo, for invented people only"
    return FINE, f"keys: {_masked(settings.keys)}"


def _masked(keys: SecretStr) -> str:
    """Key ids without the keys."""
    return ", ".join(f"{part.partition(':')[0].strip()}:***" for part in keys.get_secret_value().split(","))


def _check_address(settings: Settings) -> tuple[str, str]:
    try:
        address = urlsplit(settings.public_url)
    except ValueError:
        address = urlsplit("")
    if address.scheme not in ("http", "https") or not address.hostname:
        return BAD, "COMPANION_PUBLIC_URL is not an address; write for example https://folge.example.no"
    if settings.environment == "production" and address.scheme != "https":
        return BAD, "COMPANION_PUBLIC_URL must begin with https: links in messages would not be safe"
    return FINE, f"public address: {settings.public_url}"


def _check_database(settings: Settings) -> Iterator[tuple[str, str]]:
    try:
        engine = make_engine(settings)
    except Misconfigured as problem:
        yield BAD, str(problem)
        return
    shown = engine.url.render_as_string(hide_password=True)
    try:
        with Session(engine) as db:
            connection = db.connection()
            yield FINE, f"database: {shown}"
            if wrong := schema_problem(connection):
                yield BAD, wrong
                return
            yield from _check_places(db)
    except DBAPIError as away:
        yield BAD, f"database: {shown} cannot be reached ({type(away.orig).__name__})"
    finally:
        engine.dispose()


def _check_places(db: Session) -> Iterator[tuple[str, str]]:
    if not db.scalar(select(func.count()).select_from(Municipality)):
        yield BAD, "municipalities: none; run 'python -m companion migrate'"
    if not db.scalar(select(func.count()).select_from(Unit).where(Unit.kind == "ward")):
        yield NOTE, "units: no ward yet; add one with 'python -m companion unit add'"
    yield from _check_people(db)


def _check_people(db: Session) -> Iterator[tuple[str, str]]:
    """Silence must reach a human: a unit in which nobody is at work can have no case."""
    today = local_day(SystemClock().now())
    empty = db.scalars(select(Unit.key).where(~has_people(Unit.id, today)).order_by(Unit.key)).all()
    if empty:
        yield (
            BAD,
            f"units: nobody is at work in {', '.join(empty)}; their cases go to the next unit. Add somebody with"
            " 'python -m companion professional add', or say 'professional back' when somebody is",
        )
    led = select(Membership.id).where(Membership.unit_id == Unit.id, Membership.role == "leader").exists()
    wards = db.scalars(select(Unit.key).where(Unit.kind == "ward", ~led).order_by(Unit.key)).all()
    if wards:
        yield (
            NOTE,
            f"units: no leader in {', '.join(wards)}; a case that climbs stops before them (--role leader)",
        )
