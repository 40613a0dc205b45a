"""The watch over the rooms: whoever sits in one is told at once when what they came to no longer stands.

A meeting is cancelled, moved or ended, a grant withdrawn, a death registered, a session ended: by any process, by a program, or
by the hour alone. So it is not left to whoever does it to say so: as long as browsers of this process are in rooms, it looks.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import structlog
from starlette.concurrency import run_in_threadpool

from companion.use_cases.meetings import News, Sitting
from web.meeting.rooms import ENDED, MOVED, NOT_OPEN, SIGNED_OUT, Seat

log = structlog.get_logger()

LOOK_EVERY = 1.0
_CODES: Mapping[News, int] = {
    "ended": ENDED,
    "cancelled": ENDED,
    "moved": MOVED,
    "not_welcome": NOT_OPEN,
}


@dataclass(frozen=True)
class Present:
    """A browser in a room: which place it has, and by whose session."""

    sitting: Sitting
    sign_in_id: int


@dataclass(frozen=True)
class Seen:
    """What a look at the database told: what has changed, and which sessions still go on."""

    news: Mapping[Sitting, News]
    awake: frozenset[int]


Look = Callable[[Collection[Present]], Seen]


class Watch:
    """One process's. Used from the event loop only; it looks in a thread, and only while somebody is there."""

    def __init__(self, look: Look, every: float = LOOK_EVERY) -> None:
        self._look, self._every = look, every
        self._present: dict[str, tuple[Seat, Present]] = {}
        self._watching: asyncio.Task[None] | None = None

    def begin(self, seat: Seat, present: Present) -> None:
        """From now on this browser is told."""
        self._present[seat.ticket] = seat, present
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())

    def end(self, seat: Seat) -> None:
        """It is gone."""
        self._present.pop(seat.ticket, None)

    async def _watch(self) -> None:
        while self._present:
            try:
                await self._tell()
            except Exception as failed:
                log.warning("rooms_watch_failed", error=type(failed).__name__)
            await asyncio.sleep(self._every)

    async def _tell(self) -> None:
        there = list(self._present.values())
        seen = await run_in_threadpool(self._look, [present for _seat, present in there])
        for seat, present in there:
            if code := _code(seen, present):
                self.end(seat)
                seat.close(code)


def _code(seen: Seen, present: Present) -> int | None:
    if news := seen.news.get(present.sitting):
        return _CODES[news]
    return None if present.sign_in_id in seen.awake else SIGNED_OUT
