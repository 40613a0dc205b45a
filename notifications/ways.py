"""The ways there are: one for each folder of `channels/`, in the order in which they are tried."""

import pkgutil
from collections.abc import Iterable, Iterator
from datetime import timedelta
from importlib import import_module

from companion.errors import Misconfigured
from notifications import channels
from notifications.channels import Way
from notifications.settings import Settings

# What `message.channel` and `circuit.lane` hold; the lanes have their rows there too.
LONGEST_NAME = 4
_LANES = ("batch", "code", "duty")


class Ways:
    """The ways, those tried first at the head. Raises `ValueError` for a name that does not do, and without a last way."""

    def __init__(self, ways: Iterable[Way]) -> None:
        self._in_turn = tuple(sorted(ways, key=lambda way: way.can.turn))
        self._by_name = {way.name: way for way in self._in_turn}
        if len(self._by_name) < len(self._in_turn) or any(
            len(name) > LONGEST_NAME or name in _LANES for name in self._by_name
        ):
            raise ValueError(f"ways need names of their own, of at most {LONGEST_NAME} letters")
        if not self._in_turn or not self._in_turn[-1].can.last:
            raise ValueError("the way tried last must be one after which there is none")
        self._turn = {way.name: turn for turn, way in enumerate(self._in_turn)}
        self.last = tuple(way.name for way in self._in_turn if way.can.last)
        # Whose doubts stop the letters to patients.
        self.last_for_patients = tuple(
            way.name for way in self._in_turn if way.can.last and "batch" in way.can.lanes
        )
        self.by_receipt = tuple(way.name for way in self._in_turn if way.can.acknowledged_by == "receipt")

    @property
    def heard_within(self) -> dict[str, timedelta]:
        """By way, how long it is until a letter that is not acknowledged goes by the next one."""
        return {way.name: way.can.next_way_after for way in self if way.can.next_way_after is not None}

    def __iter__(self) -> Iterator[Way]:
        return iter(self._in_turn)

    def get(self, name: str | None) -> Way | None:
        """The way of that name; None where there is none any more."""
        return self._by_name.get(name or "")

    def next(self, name: str | None) -> str | None:
        """How a letter goes that this way has not brought; None when it is a last one."""
        way = self.get(name)
        return None if way is None or way.can.last else self._in_turn[self._turn[way.name] + 1].name

    def may_try(self, way: Way, chosen: str | None) -> bool:
        """Whether a letter may go this way: any until one is `chosen`, then that one and those after it."""
        return self._turn.get(chosen or "", 0) <= self._turn[way.name]


def discover(settings: Settings | None = None) -> Ways:
    """The ways of this house, found by their folders. Raises `Misconfigured` with a sentence for each that cannot be read."""
    post = settings or Settings()
    folders = (found.name for found in pkgutil.iter_modules(channels.__path__) if found.ispkg)
    ways, problems = [], []
    for name in folders:
        try:
            ways.append(import_module(f"{channels.__name__}.{name}.way").way(post))
        except Misconfigured as wrong:
            problems.append(str(wrong))
    if problems:
        raise Misconfigured("\n".join(problems))
    return Ways(ways)
