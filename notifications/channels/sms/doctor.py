"""What is wrong with the account at Twilio, seen from here and asked there. No secret is ever shown."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

from companion.settings import Settings as CompanionSettings
from notifications.channels import BEGIN_WITHIN, LEASE
from notifications.channels.sms.settings import TwilioSettings
from notifications.finding import Finding, is_loopback, names_of, never, split
from notifications.settings import Settings

CLOCKS_DIFFER_AT_MOST = timedelta(minutes=5)
_OWN_SERVERS = ("twilio.com",)
_ACCOUNT = re.compile(r"AC[0-9a-fA-F]{32}")
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_TOKEN = re.compile(r"[0-9a-zA-Z]{32,}")
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
# What a network shows as the sender's name; it must have a letter.
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 +\-_&]{1,11}")


def look(
    companion: CompanionSettings, settings: Settings, twilio: TwilioSettings, names: Iterable[str]
) -> Iterator[Finding]:
    """Everything that can be seen without asking anybody."""
    yield from _provider(companion, settings, twilio)
    known = names_of(TwilioSettings) - {"TWILIO_SENDER"} | {"TWILIO_FROM"}
    for name in sorted(names):
        # Others read such names too.
        if name.startswith("TWILIO_") and name not in known:
            yield Finding("note", f"{name} is not a setting of ours")


def _provider(companion: CompanionSettings, settings: Settings, twilio: TwilioSettings) -> Iterator[Finding]:
    if settings.sms == "sandbox":
        if companion.environment == "production":
            yield never("NOTIFICATIONS_SMS is not set to twilio: in production nothing would reach anybody")
        else:
            yield Finding("note", "SMS: sandbox; nothing leaves this machine")
        return
    yield from _base(twilio)
    yield from _account(twilio)
    yield from _sender(twilio)


def _base(twilio: TwilioSettings) -> Iterator[Finding]:
    name = "TWILIO_API_BASE"
    address = split(twilio.api_base)
    if address is None or address.query or address.fragment:
        yield never(f"{name} is not an address; leave it out, or write https://api.twilio.com")
    elif address.scheme != "https" and not is_loopback(address.hostname or ""):
        yield never(f"{name} must begin with https: the token would travel in the clear")
    elif not _is_twilio(twilio):
        yield Finding("note", f"{name}: {address.hostname} is not Twilio's own server")


def _account(twilio: TwilioSettings) -> Iterator[Finding]:
    token, following = twilio.auth_token.get_secret_value(), twilio.auth_token_next.get_secret_value()
    where = "copy it from Twilio's console"
    if not twilio.account_sid:
        yield never(f"TWILIO_ACCOUNT_SID is not set; {where}")
    elif not _ACCOUNT.fullmatch(twilio.account_sid):
        yield _shape(twilio, f"TWILIO_ACCOUNT_SID must be AC and 32 hexadecimal digits; {where}")
    if not token:
        yield never(f"TWILIO_AUTH_TOKEN is not set; {where}")
    elif not _TOKEN.fullmatch(token):
        yield _shape(twilio, f"TWILIO_AUTH_TOKEN is not 32 letters and digits; {where}")
    if following and not _TOKEN.fullmatch(following):
        yield _shape(twilio, f"TWILIO_AUTH_TOKEN_NEXT is not 32 letters and digits; {where}, or leave it out")
    if twilio.connect_seconds + twilio.read_seconds >= (LEASE - BEGIN_WITHIN).total_seconds():
        longest = int((LEASE - BEGIN_WITHIN).total_seconds())
        yield never(
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
        yield never(
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
        yield never(
            "TWILIO_FROM must be a number such as +4759440000, or a name of at most 11 letters a-z, digits and spaces"
        )


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
        return never(
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


def _shape(twilio: TwilioSettings, said: str) -> Finding:
    """What Twilio would refuse for certain; what another server takes is its own affair."""
    return never(said) if _is_twilio(twilio) else Finding("note", said)


def _is_twilio(twilio: TwilioSettings) -> bool:
    host = urlsplit(twilio.api_base).hostname or ""
    return any(host == own or host.endswith(f".{own}") for own in _OWN_SERVERS)


def _masked(sid: str) -> str:
    return f"{sid[:4]}…{sid[-2:]}" if len(sid) > 8 else "…"
