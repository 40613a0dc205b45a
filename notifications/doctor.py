"""What is wrong with the settings, the database and the provider: a line each, with what to do. No secret is ever shown."""

import asyncio
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Literal
from urllib.parse import SplitResult, quote, urlsplit

import structlog
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from companion.db import schema_problem, schema_state
from companion.errors import Misconfigured
from companion.models import Heartbeat
from companion.settings import Settings as CompanionSettings
from companion.worklists import standing
from companion.worklists.post import DISPATCHER_SEEN_WITHIN
from notifications.channels.push.settings import VapidSettings
from notifications.channels.sms.settings import TwilioSettings
from notifications.settings import Settings
from notifications.status import failing_replies

MOST_PER_SECOND = 10_000.0
MOST_IN_FLIGHT = 1_000
CLOCKS_DIFFER_AT_MOST = timedelta(minutes=5)
LEASES_DIFFER_AT_MOST = timedelta(seconds=20)
SAY_EVERY = 60.0
LOOK_EVERY = 2.0
_OWN_SERVERS = ("twilio.com",)
_ACCOUNT = re.compile(r"AC[0-9a-fA-F]{32}")
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_TOKEN = re.compile(r"[0-9a-zA-Z]{32,}")
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
# What a network shows as the sender's name; it must have a letter.
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 +\-_&]{1,11}")

log = structlog.get_logger()


@dataclass(frozen=True)
class Finding:
    """What was looked at, and how it stands. `hopeless`: it will not mend by itself, so `run` and `tick` do not begin."""

    how: Literal["ok", "note", "FAIL"]
    said: str
    hopeless: bool = False

    def __str__(self) -> str:
        return f"{self.how:4}  {self.said}"


def failures(problem: Misconfigured) -> list[Finding]:
    """What could not be read, a line each."""
    return [Finding("FAIL", said) for said in str(problem).splitlines()]


# --- settings ---------------------------------------------------------------------------------------------------------


def look_at_settings(
    companion: CompanionSettings, settings: Settings, names: Iterable[str] = ()
) -> list[Finding]:
    """Everything that can be seen without asking anybody. `names` are those of the environment, to find mistyped ones."""
    return [
        *_public_url(companion),
        *(_sms(companion, settings)),
        *_pace(settings),
        *_vapid(settings.vapid),
        *_names(names),
    ]


def _public_url(companion: CompanionSettings) -> Iterator[Finding]:
    name = "COMPANION_PUBLIC_URL"
    address = _split(companion.public_url)
    if address is None:
        yield _never(f"{name} is not an address; write for example https://folge.example.no")
        return
    production = companion.environment == "production"
    if address.path.strip("/") or address.query or address.fragment or address.username:
        yield _never(
            f"{name} must be the bare address, without path or query: write https://{address.hostname}"
        )
    elif production and address.scheme != "https":
        yield _never(
            f"{name} must begin with https: links in messages, and the provider's callbacks, would not be safe"
        )
    elif production and _is_loopback(address.hostname or ""):
        yield _never(f"{name} is this machine itself: nobody's phone can reach it; write the public address")
    else:
        yield Finding("ok", f"public address: {companion.public_url}")


def _sms(companion: CompanionSettings, settings: Settings) -> Iterator[Finding]:
    if settings.sms == "sandbox":
        if companion.environment == "production":
            yield _never("NOTIFICATIONS_SMS is not set to twilio: in production nothing would reach anybody")
        else:
            yield Finding("note", "SMS: sandbox; nothing leaves this machine")
        return
    yield from _base(settings.twilio)
    yield from _account(settings.twilio)
    yield from _sender(settings.twilio)


def _base(twilio: TwilioSettings) -> Iterator[Finding]:
    name = "TWILIO_API_BASE"
    address = _split(twilio.api_base)
    if address is None or address.query or address.fragment:
        yield _never(f"{name} is not an address; leave it out, or write https://api.twilio.com")
    elif address.scheme != "https" and not _is_loopback(address.hostname or ""):
        yield _never(f"{name} must begin with https: the token would travel in the clear")
    elif not _is_twilio(twilio):
        yield Finding("note", f"{name}: {address.hostname} is not Twilio's own server")


def _account(twilio: TwilioSettings) -> Iterator[Finding]:
    from notifications.outbox import BEGIN_WITHIN, LEASE

    token, following = twilio.auth_token.get_secret_value(), twilio.auth_token_next.get_secret_value()
    where = "copy it from Twilio's console"
    if not twilio.account_sid:
        yield _never(f"TWILIO_ACCOUNT_SID is not set; {where}")
    elif not _ACCOUNT.fullmatch(twilio.account_sid):
        yield _shape(twilio, f"TWILIO_ACCOUNT_SID must be AC and 32 hexadecimal digits; {where}")
    if not token:
        yield _never(f"TWILIO_AUTH_TOKEN is not set; {where}")
    elif not _TOKEN.fullmatch(token):
        yield _shape(twilio, f"TWILIO_AUTH_TOKEN is not 32 letters and digits; {where}")
    if following and not _TOKEN.fullmatch(following):
        yield _shape(twilio, f"TWILIO_AUTH_TOKEN_NEXT is not 32 letters and digits; {where}, or leave it out")
    if twilio.connect_seconds + twilio.read_seconds >= (LEASE - BEGIN_WITHIN).total_seconds():
        longest = int((LEASE - BEGIN_WITHIN).total_seconds())
        yield _never(
            f"TWILIO_CONNECT_SECONDS and TWILIO_READ_SECONDS together must be less than {longest}: a slower call would be"
            " taken for lost while it still goes on"
        )


def _sender(twilio: TwilioSettings) -> Iterator[Finding]:
    service, sender = twilio.messaging_service_sid, twilio.sender
    if service and sender:
        yield Finding(
            "FAIL",
            "TWILIO_FROM and TWILIO_MESSAGING_SERVICE_SID are both set, and the service goes before: take one of them out",
        )
    if not service and not sender:
        yield _never(
            "there is no sender: set TWILIO_FROM to a number or a name, or TWILIO_MESSAGING_SERVICE_SID to a service"
        )
    elif service:
        if _SERVICE.fullmatch(service):
            yield Finding("ok", f"sender: messaging service {_masked(service)}")
        else:
            yield _shape(twilio, "TWILIO_MESSAGING_SERVICE_SID must be MG and 32 hexadecimal digits")
    elif _NUMBER.fullmatch(sender):
        yield Finding("ok", f"sender: {sender}")
    elif _NAME.fullmatch(sender) and sender.strip() == sender:
        yield Finding(
            "note",
            f"sender: {sender} is a name, and nobody can answer a name: STOPP, START and answers by SMS do not reach us."
            " Tell people to stop messages by phone or on the web, or use a number",
        )
    else:
        yield _never(
            "TWILIO_FROM must be a number such as +4759440000, or a name of at most 11 letters a-z, digits and spaces"
        )


def _pace(settings: Settings) -> Iterator[Finding]:
    for name in ("sms_per_second", "codes_per_second"):
        value: float = getattr(settings, name)
        if not isfinite(value) or value > MOST_PER_SECOND:
            yield _never(f"NOTIFICATIONS_{name.upper()} must be at most {MOST_PER_SECOND:.0f}")
    for name in ("in_flight", "codes_in_flight"):
        if getattr(settings, name) > MOST_IN_FLIGHT:
            yield _never(f"NOTIFICATIONS_{name.upper()} must be at most {MOST_IN_FLIGHT}")


def _vapid(vapid: VapidSettings) -> Iterator[Finding]:
    key, subject = vapid.private_key.get_secret_value(), vapid.subject
    if not key and not subject:
        yield Finding("note", "push: no VAPID_PRIVATE_KEY, so everybody gets SMS")
        return
    unread = _unread(vapid)
    if unread:
        yield _never(unread)
    if not re.fullmatch(r"mailto:[^@\s]+@[^@\s]+|https://[^\s/]+\S*", subject):
        yield _never(
            "VAPID_SUBJECT must say whom push services can reach: mailto:drift@example.no, or an https address"
        )
    elif not unread:
        yield Finding("ok", f"push: key readable, {subject}")


def _unread(vapid: VapidSettings) -> str:
    """What is wrong with the key; empty when it does."""
    from notifications.channels.push.vapid import public_key

    if not vapid.private_key.get_secret_value():
        return "VAPID_SUBJECT is set, VAPID_PRIVATE_KEY is not; make one with: python -m notifications vapid"
    try:
        public_key(vapid)
    except Misconfigured as error:
        return str(error)
    return ""


def _names(names: Iterable[str]) -> Iterator[Finding]:
    ours = {f"NOTIFICATIONS_{name.upper()}" for name in Settings.model_fields} - {
        "NOTIFICATIONS_TWILIO",
        "NOTIFICATIONS_VAPID",
    }
    twilio = {f"TWILIO_{name.upper()}" for name in TwilioSettings.model_fields} - {"TWILIO_SENDER"}
    vapid = {f"VAPID_{name.upper()}" for name in VapidSettings.model_fields}
    for name in sorted(names):
        if name.startswith("NOTIFICATIONS_") and name not in ours:
            yield Finding("FAIL", f"{name} is not a setting; known are {', '.join(sorted(ours))}")
        if name.startswith("TWILIO_") and name not in twilio | {"TWILIO_FROM"}:
            yield Finding("note", f"{name} is not a setting of ours")
        if name.startswith("VAPID_") and name not in vapid:
            yield Finding("FAIL", f"{name} is not a setting; known are {', '.join(sorted(vapid))}")


# --- the provider -----------------------------------------------------------------------------------------------------


async def ask_provider(twilio: TwilioSettings, now: datetime) -> list[Finding]:
    """Asks for a list of one message, of which nothing is read: whether the key is taken, and what the time is there."""
    # Where everything stays in the sandbox nobody is asked.
    import aiohttp

    url = f"{twilio.api_base.rstrip('/')}/2010-04-01/Accounts/{quote(twilio.account_sid, safe='')}/Messages.json"
    patience = aiohttp.ClientTimeout(total=5, sock_connect=3)
    key = aiohttp.encode_basic_auth(twilio.account_sid, twilio.auth_token.get_secret_value())
    try:
        async with (
            aiohttp.ClientSession(timeout=patience, headers={"Authorization": key}) as session,
            session.get(url, params={"PageSize": "1"}, allow_redirects=False) as answer,
        ):
            status, date = answer.status, answer.headers.get("Date", "")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
        host = urlsplit(twilio.api_base).hostname
        return [
            Finding(
                "FAIL",
                f"the provider cannot be reached at {host} ({type(problem).__name__}): letters wait. Look at the network,"
                " the firewall and TWILIO_API_BASE",
            )
        ]
    return [_answered(twilio, status), *_clock(date, now)]


def _answered(twilio: TwilioSettings, status: int) -> Finding:
    if status in (401, 403):
        return _never(
            f"the provider does not accept TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN ({status}): copy both anew from the"
            " console, and see there that the account is not suspended"
        )
    if status == 404:
        return Finding(
            "FAIL", "the provider knows no such account (404): look at TWILIO_API_BASE and TWILIO_ACCOUNT_SID"
        )
    if status != 200:
        return Finding("FAIL", f"the provider is in trouble ({status}): letters wait until it answers")
    return Finding("ok", f"provider: answers, and accepts the key of {_masked(twilio.account_sid)}")


def _clock(date: str, now: datetime) -> Iterator[Finding]:
    with suppress(ValueError, TypeError):
        theirs = parsedate_to_datetime(date)
        off = abs(now - theirs)
        if off > CLOCKS_DIFFER_AT_MOST:
            minutes = int(off.total_seconds() // 60)
            yield Finding(
                "FAIL",
                f"this machine's clock is {minutes} minutes from the provider's: messages go at the wrong hour, and"
                " uncertain ones are not found. Set the clock (NTP)",
            )


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


def look_at_post(db: Session, now: datetime, real_now: datetime) -> Iterator[Finding]:
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
    post = standing(db, now)
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
    if post.push_refused:
        yield Finding(
            "FAIL", "push: a push service does not accept our key; everything goes by SMS. Look at VAPID_*"
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


def watch_provider(
    twilio: TwilioSettings, found: Sequence[Finding], now: Callable[[], datetime], stop: asyncio.Event
) -> "asyncio.Task[None] | None":
    """Says what is wrong with the provider, and then once a minute until nothing is; None when nothing is to begin with."""
    return asyncio.create_task(_watch(twilio, now, stop)) if _say_wrong(found) else None


async def _watch(twilio: TwilioSettings, now: Callable[[], datetime], stop: asyncio.Event) -> None:
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), SAY_EVERY)
        if not stop.is_set() and not _say_wrong(await ask_provider(twilio, now())):
            return


def _say_wrong(found: Sequence[Finding]) -> bool:
    wrong = [one.said for one in found if one.how == "FAIL"]
    for said in wrong:
        log.warning("provider", said=said)
    return bool(wrong)


def _never(said: str) -> Finding:
    return Finding("FAIL", said, hopeless=True)


def _shape(twilio: TwilioSettings, said: str) -> Finding:
    """What Twilio would refuse for certain; what another server takes is its own affair."""
    return _never(said) if _is_twilio(twilio) else Finding("note", said)


def _is_twilio(twilio: TwilioSettings) -> bool:
    host = urlsplit(twilio.api_base).hostname or ""
    return any(host == own or host.endswith(f".{own}") for own in _OWN_SERVERS)


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname else None


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _masked(sid: str) -> str:
    return f"{sid[:4]}…{sid[-2:]}" if len(sid) > 8 else "…"
