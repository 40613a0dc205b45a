"""What is wrong with the settings, the database and the provider: a line each, with what to do. No secret is ever shown."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from math import isfinite

import structlog
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from companion.db import schema_problem, schema_state
from companion.errors import Misconfigured
from companion.models import Heartbeat
from companion.settings import Settings as CompanionSettings
from companion.use_cases.people.duty import units_nobody_is_told_of
from companion.worklists import standing
from companion.worklists.post import DISPATCHER_SEEN_WITHIN
from notifications.finding import Finding, is_loopback, mistyped, names_of, never, split
from notifications.settings import Settings
from notifications.status import failing_replies
from notifications.ways import Ways

MOST_PER_SECOND = 10_000.0
MOST_IN_FLIGHT = 1_000
LEASES_DIFFER_AT_MOST = timedelta(seconds=20)
SAY_EVERY = 60.0
SHOW_AT_MOST = 10
LOOK_EVERY = 2.0

log = structlog.get_logger()


def failures(problem: Misconfigured) -> list[Finding]:
    """What could not be read, a line each."""
    return [Finding("FAIL", said) for said in str(problem).splitlines()]


# --- settings ---------------------------------------------------------------------------------------------------------


def look_at_settings(
    companion: CompanionSettings, settings: Settings, ways: Ways, names: Iterable[str] = ()
) -> list[Finding]:
    """Everything that can be seen without asking anybody. `names` are those of the environment, to find mistyped ones."""
    given = tuple(names)
    return [
        *_public_url(companion),
        *_pace(settings),
        *mistyped(given, "NOTIFICATIONS_", names_of(Settings)),
        # First the one without which nothing goes.
        *(found for way in reversed(tuple(ways)) for found in way.look(companion, given)),
    ]


async def ask_providers(ways: Ways, now: datetime) -> list[Finding]:
    """What those who carry for us say, where there is somebody to ask."""
    return [found for way in ways for found in await way.ask(now)]


def _public_url(companion: CompanionSettings) -> Iterator[Finding]:
    name = "COMPANION_PUBLIC_URL"
    address = split(companion.public_url)
    if address is None:
        yield never(f"{name} is not an address; write for example https://folge.example.no")
        return
    production = companion.environment == "production"
    if address.path.strip("/") or address.query or address.fragment or address.username:
        yield never(
            f"{name} must be the bare address, without path or query: write https://{address.hostname}"
        )
    elif production and address.scheme != "https":
        yield never(
            f"{name} must begin with https: links in messages, and the provider's callbacks, would not be safe"
        )
    elif production and is_loopback(address.hostname or ""):
        yield never(f"{name} is this machine itself: nobody's phone can reach it; write the public address")
    else:
        yield Finding("ok", f"public address: {companion.public_url}")


def _pace(settings: Settings) -> Iterator[Finding]:
    for name in ("sms_per_second", "codes_per_second"):
        value: float = getattr(settings, name)
        if not isfinite(value) or value > MOST_PER_SECOND:
            yield never(f"NOTIFICATIONS_{name.upper()} must be at most {MOST_PER_SECOND:.0f}")
    for name in ("in_flight", "codes_in_flight"):
        if getattr(settings, name) > MOST_IN_FLIGHT:
            yield never(f"NOTIFICATIONS_{name.upper()} must be at most {MOST_IN_FLIGHT}")


# --- the database -----------------------------------------------------------------------------------------------------


def look_at_database(engine: Engine) -> Finding:
    """Whether there is one, of today's shape."""
    shown = engine.url.render_as_string(hide_password=True)
    try:
        with engine.connect() as connection:
            if problem := schema_problem(connection):
                # One that is not there yet may be on its way; one of another version stays as it is.
                return Finding("FAIL", problem, hopeless=schema_state(connection) != "none")
    except DBAPIError as away:
        kind = type(away.orig).__name__
        return Finding(
            "FAIL",
            f"database: {shown} cannot be reached ({kind}); look at COMPANION_DATABASE_URL and the server",
        )
    return Finding("ok", f"database: {shown}")


def look_at_leases(db: Session, real_now: datetime) -> Iterator[Finding]:
    """Whether a server's clock is ours: every dispatcher counts the others' leases by the clock of its own machine."""
    if db.get_bind().dialect.name != "postgresql":
        return
    off = abs(real_now - db.execute(select(func.now())).scalar_one())
    if off > LEASES_DIFFER_AT_MOST:
        yield Finding(
            "FAIL",
            f"database: its clock is {int(off.total_seconds())} seconds from this machine's, so another machine's dispatcher"
            " may take calls that still go on for lost. Set both clocks (NTP)",
        )


def look_at_duty(db: Session) -> Iterator[Finding]:
    """Which units have nobody who hears when a case waits."""
    if keys := units_nobody_is_told_of(db):
        shown = ", ".join(keys[:SHOW_AT_MOST]) + (
            f" and {more} more" if (more := len(keys) - SHOW_AT_MOST) > 0 else ""
        )
        yield Finding(
            "note",
            f"staff: nobody is told of urgent cases in {shown}; each chooses for themselves at /staff/told",
        )


def look_at_post(
    db: Session, now: datetime, real_now: datetime, by_receipt: Collection[str]
) -> Iterator[Finding]:
    """Whether a dispatcher is at work, and whether the letters get away."""
    last = db.scalar(select(func.max(Heartbeat.at)))
    if last is None:
        yield Finding("FAIL", "dispatcher: never seen; start it with 'python -m notifications run'")
    elif real_now - last > DISPATCHER_SEEN_WITHIN:
        yield Finding(
            "FAIL",
            f"dispatcher: not seen since {last:%Y-%m-%d %H:%M} UTC; start 'python -m notifications run'",
        )
    else:
        yield Finding("ok", "dispatcher: at work")
    post = standing(db, now, by_receipt)
    if post.alarm:
        yield Finding(
            "FAIL", f"post: {post.alarm.due} were due, none has been sent for {post.alarm.minutes} minutes"
        )
    if post.circuit != "closed":
        yield Finding("note", "post: the provider leaves calls in doubt; letters wait while one tries it out")
    if post.slow:
        yield Finding(
            "FAIL",
            f"post: {post.slow} were taken by the provider more than five minutes ago, and it has not said that they arrived."
            " Look at its status page, and at whether its callbacks reach COMPANION_PUBLIC_URL",
        )
    for name in post.resting:
        yield Finding(
            "FAIL",
            f"{name}: the provider does not accept who we are; letters go by the next way. Look at its settings",
        )
    if failing := failing_replies(db):
        yield Finding("note", f"replies: {failing} could not be handled yet; they are tried again")


# --- beginning --------------------------------------------------------------------------------------------------------


async def wait_for_database(engine: Engine, stop: asyncio.Event) -> None:
    """Returns when there is one, or it is time to stop; says once a minute what it waits for.

    Raises `Misconfigured` when it is one that waiting will not make ours.
    """
    said_at: float | None = None
    clock = asyncio.get_running_loop().time
    while not stop.is_set():
        found = await asyncio.to_thread(look_at_database, engine)
        if found.how == "ok":
            return
        if found.hopeless:
            raise Misconfigured(found.said)
        if said_at is None or clock() - said_at >= SAY_EVERY:
            said_at = clock()
            log.warning("waiting", said=found.said)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_EVERY)


def watch_providers(
    ways: Ways, found: Sequence[Finding], now: Callable[[], datetime], stop: asyncio.Event
) -> "asyncio.Task[None] | None":
    """Says what is wrong with a provider, and then once a minute until nothing is; None when nothing is to begin with."""
    return asyncio.create_task(_watch(ways, now, stop)) if _say_wrong(found) else None


async def _watch(ways: Ways, now: Callable[[], datetime], stop: asyncio.Event) -> None:
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), SAY_EVERY)
        if not stop.is_set() and not _say_wrong(await ask_providers(ways, now())):
            return


def _say_wrong(found: Sequence[Finding]) -> bool:
    wrong = [one.said for one in found if one.how == "FAIL"]
    for said in wrong:
        log.warning("provider", said=said)
    return bool(wrong)
