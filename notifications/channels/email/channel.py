"""One mail by SMTP: in which step it ended decides whether it may be tried again."""

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session, sessionmaker

from companion.clock import Clock, SystemClock
from notifications import circuit
from notifications.channels import Later, Never, News, Parcel, Uncertain
from notifications.channels.email.settings import SmtpSettings
from notifications.channels.email.words import letter

# So many calls in a row without a plain answer, and the server is left alone for a while.
FAILED = 3
RESTS = timedelta(minutes=2)
REFUSED = "mail_refused"

log = structlog.get_logger()


class MailChannel:
    """Carries mail, each over a connection of its own: it is a few a day."""

    def __init__(
        self, settings: SmtpSettings, sessions: sessionmaker[Session], clock: Clock | None = None
    ) -> None:
        self._settings, self._sessions, self._clock = settings, sessions, clock or SystemClock()
        self._in_a_row = 0
        self._rests_until: datetime | None = None

    async def send(self, parcel: Parcel) -> str:
        """To the server. Raises `Later` while it is away or will not have us, `Uncertain` when it fell silent at the end."""
        now = self._clock.now()
        if self._rests_until and now < self._rests_until:
            raise Later("resting", self._rests_until - now)
        try:
            await asyncio.to_thread(hand_over, self._settings, parcel)
        except Never:
            self._in_a_row = 0
            raise
        except (Later, Uncertain) as failed:
            self._failed(failed.code, now)
            raise
        self._in_a_row = 0
        return f"mail:{parcel.attempt_id}"

    async def find(self, _parcel: Parcel) -> list[str]:
        """A mail server keeps no list: what is in doubt goes once more, with the same Message-ID."""
        return []

    async def fetch(self, _provider_id: str) -> News | None:
        """Nor does it tell what became of one."""
        return None

    async def close(self) -> None:
        """Nothing to let go of."""

    def _failed(self, code: str, now: datetime) -> None:
        self._in_a_row += 1
        if self._in_a_row >= FAILED:
            self._rests_until = now + RESTS
            log.error("mail_rests", code=code)
        if code in ("refused_us", "no_starttls"):
            with self._sessions.begin() as db:
                circuit.rest(db, "mail", code, now)


def hand_over(settings: SmtpSettings, parcel: Parcel) -> None:
    """The whole conversation with the server. Raises `Later`, `Never`, `Uncertain`; never with the server's words in it."""
    server = _step(lambda: _connect(settings))
    try:
        _step(lambda: _sign_in(server, settings))
        _step(lambda: _address(server, settings.sender, parcel.address))
        _write(server, letter(parcel, settings.sender))
    finally:
        server.close()


def greet(settings: SmtpSettings) -> None:
    """Only the beginning of it: whether the server is there and takes our name. Raises `Later`."""
    server = _step(lambda: _connect(settings))
    try:
        _step(lambda: _sign_in(server, settings))
    finally:
        server.close()


def _step(do: Callable[[], smtplib.SMTP]) -> smtplib.SMTP:
    """A step before the mail itself: whatever goes wrong in it, certainly nothing was taken."""
    try:
        return do()
    except smtplib.SMTPNotSupportedError as plain:
        raise Later("no_starttls") from plain
    except (smtplib.SMTPAuthenticationError, smtplib.SMTPSenderRefused) as refused:
        raise Later("refused_us") from refused
    except smtplib.SMTPResponseException as said:
        raise Later(str(said.smtp_code)) from said
    except (OSError, smtplib.SMTPException) as away:
        raise Later("no_connection") from away


def _connect(settings: SmtpSettings) -> smtplib.SMTP:
    if settings.security == "tls":
        return smtplib.SMTP_SSL(
            settings.host, settings.port, timeout=settings.seconds, context=_trust(settings)
        )
    return smtplib.SMTP(settings.host, settings.port, timeout=settings.seconds)


def _sign_in(server: smtplib.SMTP, settings: SmtpSettings) -> smtplib.SMTP:
    server.ehlo_or_helo_if_needed()
    if settings.security == "starttls":
        server.starttls(context=_trust(settings))
        server.ehlo()
    if settings.user:
        server.login(settings.user, settings.password.get_secret_value())
    return server


def _trust(settings: SmtpSettings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.ca_file or None)


def _address(server: smtplib.SMTP, sender: str, to: str) -> smtplib.SMTP:
    code, said = server.mail(sender)
    if code != 250:
        raise smtplib.SMTPSenderRefused(code, said, sender)
    code, _ = server.rcpt(to)
    if code >= 500:
        raise Never(REFUSED)
    if code not in (250, 251):
        raise Later(str(code))
    return server


def _write(server: smtplib.SMTP, mail: bytes) -> None:
    try:
        code, _ = server.data(mail)
    except smtplib.SMTPDataError as not_now:
        # Refused before a byte of it was written.
        raise Later(str(not_now.smtp_code)) from not_now
    except TimeoutError as silence:
        raise Uncertain("read_timeout") from silence
    except (OSError, smtplib.SMTPException) as broken_off:
        raise Uncertain("broken_off") from broken_off
    if code >= 500:
        raise Never(REFUSED)
    if code != 250:
        raise Later(str(code))
