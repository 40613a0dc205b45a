"""The invented phones: whose, and what is on them."""

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.models import Patient, Relative
from notifications.models import SandboxMessage
from web.house.deps import House

# A link or the typed way, as a phone shows them: without `http://`.
_OURS = re.compile(r"((?:(?:https?://)?[\w.-]+(?::\d+)?)?/(?:l#[\w-]{22}|k\b))")


@dataclass(frozen=True)
class Handset:
    """An invented phone: whose, and what is on it, oldest first."""

    number: str
    name: str
    messages: list[dict[str, Any]]


def handsets(db: Session, house: House) -> list[Handset]:
    """The story's people first, then whoever heard from us last."""
    messages: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in db.scalars(select(SandboxMessage).order_by(SandboxMessage.at, SandboxMessage.id)):
        messages[row.number].append(
            {name: getattr(row, name) for name in ("id", "at", "direction", "channel", "body", "state")}
        )
    names: dict[str, str] = {p.phone: p.name for p in house.personas if p.audience != "professional"}
    first = list(names)
    numbers = list(messages)
    owners: list[Patient | Relative] = [*db.scalars(select(Patient).where(Patient.phone_index.in_(numbers)))]
    owners += db.scalars(select(Relative).where(Relative.phone_index.in_(numbers)))
    for person in owners:
        names.setdefault(person.phone or "", person.name)
    rest = sorted(set(messages) - set(first), key=lambda number: messages[number][-1]["at"], reverse=True)
    return [Handset(number, names.get(number, number), messages[number]) for number in (*first, *rest)]


def with_links(found: list[Handset]) -> list[Handset]:
    """Each text in parts, our own addresses as links, whatever host and port they were worded for."""
    for handset in found:
        for message in handset.messages:
            parts = _OURS.split(message["body"])
            message["parts"] = [
                {"text": text, "href": text[text.rindex("/") :] if number % 2 else None}
                for number, text in enumerate(parts)
                if text
            ]
    return found
