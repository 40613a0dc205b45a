"""So many requests at the same time; a request's place among them; and whether they have come to a standstill."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from starlette.requests import Request

# A page takes milliseconds.
STUCK_AFTER = 10.0


class Slots:
    """So many places. `seconds` is a clock that never jumps."""

    def __init__(self, number: int, seconds: Callable[[], float]) -> None:
        self._free, self._number, self._seconds = asyncio.Semaphore(number), number, seconds
        self.taken, self._moved_at = 0, seconds()

    async def take(self) -> None:
        """Waits for a place."""
        await self._free.acquire()
        self.taken, self._moved_at = self.taken + 1, self._seconds()

    def give_back(self) -> None:
        """Lets the next one in."""
        self.taken, self._moved_at = self.taken - 1, self._seconds()
        self._free.release()

    @property
    def stuck(self) -> bool:
        """Whether all places are taken and none has been given back for ten seconds: nobody can be answered."""
        return self.taken == self._number and self._seconds() - self._moved_at >= STUCK_AFTER


class Slot:
    """A place among the requests that are worked on at once."""

    def __init__(self, slots: Slots) -> None:
        self._slots, self._held = slots, False

    async def __aenter__(self) -> "Slot":
        await self._slots.take()
        self._held = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    @asynccontextmanager
    async def left(self) -> AsyncIterator[None]:
        """Gives the place to others, while somebody outside is waited for, and takes one again afterwards."""
        self._leave()
        try:
            yield
        finally:
            await self.__aenter__()

    def _leave(self) -> None:
        if self._held:
            self._held = False
            self._slots.give_back()


def slot_of(request: Request) -> Slot:
    """The place of a request that has one."""
    return cast(Slot, request.state.slot)
