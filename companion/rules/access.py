"""Who is asking, how sure we are, and what follows from it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Literal
from uuid import UUID

ActorKind = Literal["patient", "relative", "professional", "guest", "integration", "system"]
Scope = Literal["passport", "measures", "meetings"]

DOORS_OPEN_BEFORE = timedelta(minutes=30)
DOORS_OPEN_AFTER = timedelta(hours=1)


class Level(IntEnum):
    """How sure we are of who it is (`DESIGN.md`, levels and doors)."""

    link = 1
    code = 2
    high = 3


@dataclass(frozen=True)
class Actor:
    """The person or program asking. Every use-case and every read starts from one."""

    kind: ActorKind
    id: UUID | None = None
    level: Level = Level.link
    name: str = ""
    unit_id: UUID | None = None
    unit_ids: frozenset[UUID] = field(default_factory=frozenset)
    roles: frozenset[str] = field(default_factory=frozenset)


SYSTEM = Actor(kind="system", level=Level.high, name="system")


@dataclass(frozen=True)
class GrantFacts:
    """What a patient has let a relative see or do, and for how long."""

    scopes: frozenset[str]
    given_at: datetime
    valid_until: datetime
    withdrawn_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it is in force at this moment."""
        return self.given_at <= now < self.valid_until and (
            self.withdrawn_at is None or now < self.withdrawn_at
        )


def relative_may(grants: Iterable[GrantFacts], what: Scope, now: datetime) -> bool:
    """Whether one of the grants in force opens this to the relative."""
    return any(what in grant.scopes and grant.holds(now) for grant in grants)


@dataclass(frozen=True)
class MeetingFacts:
    """What the door of a meeting depends on; `state` is offered, cancelled or ended."""

    state: str
    starts_at: datetime
    minutes: int


class Door(StrEnum):
    """How somebody who was invited meets the door of a meeting."""

    too_early = "too_early"
    waiting_room = "waiting_room"
    open = "open"
    over = "over"
    cancelled = "cancelled"
    not_invited = "not_invited"


def may_enter_meeting(
    who: Actor,
    meeting: MeetingFacts,
    *,
    now: datetime,
    admitted: bool,
    grants: Iterable[GrantFacts] = (),
) -> Door:
    """How the door stands for somebody on the list of participants.

    The door opens half an hour before and closes an hour after the planned end. Professionals walk in; everybody else
    waits until let in, whatever the level; a relative needs a grant for meetings that is still in force.
    """
    if who.kind == "relative" and not relative_may(grants, "meetings", now):
        return Door.not_invited
    if who.kind not in ("patient", "relative", "professional"):
        return Door.not_invited
    if meeting.state == "cancelled":
        return Door.cancelled
    ends_at = meeting.starts_at + timedelta(minutes=meeting.minutes)
    if meeting.state == "ended" or now >= ends_at + DOORS_OPEN_AFTER:
        return Door.over
    if now < meeting.starts_at - DOORS_OPEN_BEFORE:
        return Door.too_early
    return Door.open if admitted or who.kind == "professional" else Door.waiting_room
