"""What is wrong with the key for push. No secret is ever shown."""

import re
from collections.abc import Iterable, Iterator

from companion.errors import Misconfigured
from notifications.channels.push.settings import VapidSettings
from notifications.channels.push.vapid import public_key
from notifications.finding import Finding, mistyped, names_of, never


def look(vapid: VapidSettings, names: Iterable[str]) -> Iterator[Finding]:
    """Everything that can be seen without asking anybody."""
    yield from _vapid(vapid)
    yield from mistyped(names, "VAPID_", names_of(VapidSettings))


def _vapid(vapid: VapidSettings) -> Iterator[Finding]:
    key, subject = vapid.private_key.get_secret_value(), vapid.subject
    if not key and not subject:
        yield Finding("note", "push: no VAPID_PRIVATE_KEY, so everybody gets SMS")
        return
    unread = _unread(vapid)
    if unread:
        yield never(unread)
    if not re.fullmatch(r"mailto:[^@\s]+@[^@\s]+|https://[^\s/]+\S*", subject):
        yield never(
            "VAPID_SUBJECT must say whom push services can reach: mailto:drift@example.no, or an https address"
        )
    elif not unread:
        yield Finding("ok", f"push: key readable, {subject}")


def _unread(vapid: VapidSettings) -> str:
    """What is wrong with the key; empty when it does."""
    if not vapid.private_key.get_secret_value():
        return "VAPID_SUBJECT is set, VAPID_PRIVATE_KEY is not; make one with: python -m notifications vapid"
    try:
        public_key(vapid)
    except Misconfigured as error:
        return str(error)
    return ""
