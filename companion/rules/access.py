"""Who is asking, how sure we are, and what follows from it."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal
from uuid import UUID

ActorKind = Literal["patient", "relative", "professional", "integration", "system"]


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
