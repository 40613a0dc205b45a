"""The clock the rim reads, once per request and once per tick; nobody inside does."""

from datetime import UTC, datetime, timedelta
from typing import Protocol

# No letter is older than the house, and no house stands for ever.
_FIRST_YEAR, _LAST_YEAR = 2020, 2199


def moment(text: str) -> datetime:
    """What somebody typed for a moment. Raises `ValueError` with what to write instead."""
    example = "write for example 2026-11-10T09:00:00+01:00"
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"is not a moment; {example}") from None
    if read.tzinfo is None:
        raise ValueError(f"has no time zone; {example}")
    if not _FIRST_YEAR <= read.year <= _LAST_YEAR:
        raise ValueError(f"is not between {_FIRST_YEAR} and {_LAST_YEAR}; {example}")
    return read


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
