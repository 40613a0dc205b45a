"""Who has a case: the steps an overdue one climbs, and the unit nearest to the one in which nobody is at work."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

Rung = Literal["person", "unit", "ward", "coordinating_unit", "leader"]
LADDER: tuple[Rung, ...] = ("person", "unit", "ward", "coordinating_unit", "leader")
_NEXT_KINDS = ("coordinating_unit", "municipal_rehab", "art", "ward", "private_rehab")


@dataclass(frozen=True)
class Workplace:
    """A unit as one that may own a case."""

    id: UUID
    key: str
    kind: str
    trust: str | None
    municipality_number: str | None


def rungs_after(rung: str, ladder: Collection[str]) -> tuple[Rung, ...]:
    """What is left of the ladder; all of it for a case that has not begun to climb."""
    left = LADDER[LADDER.index(rung) + 1 :] if rung in LADDER else LADDER
    return tuple(one for one in left if one in ladder)


def next_owner(
    at_work: Iterable[Workplace],
    following: Sequence[UUID],
    ward: UUID | None,
    municipality: str,
    trust: str | None,
) -> UUID | None:
    """Who has a case when nobody works in the unit it belongs to; None when nobody works anywhere.

    The ward, the coordinating unit, others that follow the person; then those of the municipality, of the trust, anybody.
    """

    def place(unit: Workplace) -> tuple[int, int, str]:
        if unit.id == ward:
            return 0, 0, unit.key
        near = (
            unit.id in following,
            unit.municipality_number == municipality,
            trust is not None and unit.trust == trust,
            True,
        ).index(True)
        return near + 1, _NEXT_KINDS.index(unit.kind), unit.key

    nearest = min(at_work, key=place, default=None)
    return nearest.id if nearest else None
