"""What is wrong with the mail server's settings, seen from here and asked there. No secret is ever shown."""

import asyncio
import re
from collections.abc import Iterable, Iterator

from companion.settings import Settings as CompanionSettings
from notifications.channels import Later
from notifications.channels.email import channel
from notifications.channels.email.settings import SmtpSettings
from notifications.finding import Finding, is_loopback, mistyped, names_of, never


def look(smtp: SmtpSettings, companion: CompanionSettings, names: Iterable[str]) -> Iterator[Finding]:
    """Everything that can be seen without asking anybody."""
    yield from _server(smtp, companion)
    yield from mistyped(names, "SMTP_", names_of(SmtpSettings) - {"SMTP_SENDER"} | {"SMTP_FROM"})


def _server(smtp: SmtpSettings, companion: CompanionSettings) -> Iterator[Finding]:
    if not smtp.host and not smtp.sender:
        yield Finding("note", "e-mail: no SMTP_HOST, so none of us can be told by e-mail")
    elif not smtp.ready:
        yield never("SMTP_HOST and SMTP_FROM go together: set both, or neither")
    elif not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", smtp.sender):
        yield never("SMTP_FROM must be an address such as folge@example.no")
    elif smtp.security == "none" and not is_loopback(smtp.host):
        yield never(
            "SMTP_SECURITY=none is only for a server on this machine: names and passwords would travel in the clear"
        )
    elif bool(smtp.user) != bool(smtp.password.get_secret_value()):
        yield never("SMTP_USER and SMTP_PASSWORD go together: set both, or neither")
    else:
        yield Finding("ok", f"e-mail: {smtp.host}, from {smtp.sender}")


async def ask_server(smtp: SmtpSettings) -> list[Finding]:
    """Signs in and writes nothing."""
    try:
        await asyncio.to_thread(channel.greet, smtp)
    except Later as wrong:
        said = {
            "refused_us": "does not accept SMTP_USER with SMTP_PASSWORD",
            "no_starttls": "offers no STARTTLS; set SMTP_SECURITY=tls and its port, or ask whoever runs it",
            "no_connection": "cannot be reached, or its certificate is not trusted; look at SMTP_HOST, SMTP_PORT, the firewall",
        }.get(wrong.code, f"answers {wrong.code}")
        return [Finding("FAIL", f"e-mail: {smtp.host} {said}. Those who chose e-mail hear nothing meanwhile")]
    return [Finding("ok", f"e-mail: {smtp.host} answers")]
