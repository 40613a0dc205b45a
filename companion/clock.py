"""The clock the rim reads, once per request and once per tick; nobody inside does."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Something that knows what time it is."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.now(UTC)


class ShiftedClock:
    """The machine's clock plus a shift: the demo's and the tests' clock that can be moved."""

    def __init__(self, shift: timedelta = timedelta(0), base: Clock | None = None) -> None:
        self.shift = shift
        self._base = base or SystemClock()

    def now(self) -> datetime:
        """The shifted moment, aware, in UTC."""
        return self._base.now() + self.shift


class FixedClock:
    """Stands still until moved."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """The moment it was set to."""
        return self.at

    def forward(self, by: timedelta) -> datetime:
        """Moves on and says where it now stands."""
        self.at += by
        return self.at
