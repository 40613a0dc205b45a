"""The line between web processes: what happens in rooms, said and heard through PostgreSQL's LISTEN and NOTIFY.

PostgreSQL tells every listener the same things in the same order, and keeps none of it. What is said is sealed with the columns'
keys, for it holds names, a telephone number, addresses of browsers. Each process holds a lock as long as its ears are open; when
the lock is gone, so are the process and its browsers.
"""

import asyncio
import base64
import contextlib
import secrets
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import structlog
from psycopg import AsyncConnection
from psycopg.sql import SQL
from sqlalchemy import Engine

from companion.crypto import KeyRing
from web.meeting.events import EVENT, Event, Seated
from web.meeting.rooms import Rooms

log = structlog.get_logger()

# The number only has to be ours.
_LOCK = 0x466F6C67
_CHANNEL = "folge_rooms"
_PLACE = "meeting.line"
# A notice takes 8000 bytes; what is longer goes in several, all in one statement.
_PART = 7_000
_WAITING_EVENTS = 1_000
_LOOK_EVERY = 1.0
_AGAIN_AFTER = (0.2, 0.5, 1.0, 2.0, 5.0)
_FAREWELL = 2.0
# The number of its transaction is the number of an event: it grows, and all processes agree on it.
_SAY = SQL("SELECT pg_notify(%s, concat(pg_current_xact_id(), ' ', part)) FROM unnest(%s::text[]) AS part")
_ALIVE = SQL(
    "SELECT objid::int FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
# A machine that loses its mains says nothing: both ends find out within half a minute.
_KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "connect_timeout": 5,
}


class PostgresLine:
    """One process's end of the line."""

    def __init__(self, engine: Engine, ring: KeyRing) -> None:
        _, self._address = engine.dialect.create_connect_args(engine.url)
        self._ring = ring
        self._unsaid: deque[Event] = deque()
        self._to_say, self._all_said = asyncio.Event(), asyncio.Event()
        self.process = 0

    @property
    def full(self) -> bool:
        """Whether so much waits to be said that no browser should say more."""
        return len(self._unsaid) >= _WAITING_EVENTS

    def say(self, event: Event) -> None:
        """To be heard by everybody; while the line is broken it waits."""
        self._unsaid.append(event)
        self._all_said.clear()
        self._to_say.set()

    @contextlib.asynccontextmanager
    async def open(self, rooms: Rooms) -> AsyncIterator[None]:
        """Holds the line, and takes it up again when it breaks; left when the last word is said."""
        self._to_say, self._all_said = asyncio.Event(), asyncio.Event()
        carrying = asyncio.create_task(self._carry(rooms))
        try:
            yield
            if self._unsaid:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._all_said.wait(), _FAREWELL)
        finally:
            carrying.cancel()
            await asyncio.wait([carrying])

    async def _carry(self, rooms: Rooms) -> None:
        tries = 0
        while True:
            try:
                async with await self._connect() as ears, await self._connect() as mouth:
                    await self._begin(ears, rooms)
                    tries = 0
                    async with asyncio.TaskGroup() as line:
                        line.create_task(self._listen(ears, rooms))
                        line.create_task(self._speak(mouth))
                        line.create_task(self._look(mouth, rooms))
            except* Exception as broken:
                log.warning(
                    "rooms_line_broken", errors=sorted({type(one).__name__ for one in broken.exceptions})
                )
            await asyncio.sleep(_AGAIN_AFTER[min(tries, len(_AGAIN_AFTER) - 1)])
            tries += 1

    async def _connect(self) -> AsyncConnection[Any]:
        return await AsyncConnection.connect(autocommit=True, **{**_KEEPALIVE, **self._address})

    async def _begin(self, ears: AsyncConnection[Any], rooms: Rooms) -> None:
        for name in ("idle = 10", "interval = 5", "count = 3"):
            await ears.execute(f"SET tcp_keepalives_{name}".encode())
        self.process = secrets.randbits(31)
        await ears.execute("SELECT pg_advisory_lock(%s, %s)", (_LOCK, self.process))
        await ears.execute(f"LISTEN {_CHANNEL}".encode())
        # First of all who is here, so that nobody answers a browser of ours before we know theirs.
        waited, self._unsaid = self._unsaid, deque[Event]()
        rooms.connected()
        self._unsaid.extend(event for event in waited if not isinstance(event, Seated))

    async def _listen(self, ears: AsyncConnection[Any], rooms: Rooms) -> None:
        parts: list[str] = []
        async for notice in ears.notifies():
            try:
                number, place, text = notice.payload.split(" ")
                at, of = place.split("/")
                # The parts of an event come together: they are one transaction's.
                parts = [text] if at == "1" else [*parts, text]
                if at == of:
                    rooms.hear(int(number), self._unsealed("".join(parts)))
            except ValueError as unreadable:
                log.warning("rooms_event_unreadable", error=type(unreadable).__name__)

    async def _speak(self, mouth: AsyncConnection[Any]) -> None:
        while True:
            while self._unsaid:
                await mouth.execute(_SAY, (_CHANNEL, self._sealed(self._unsaid[0])))
                self._unsaid.popleft()
            self._all_said.set()
            self._to_say.clear()
            await self._to_say.wait()

    async def _look(self, mouth: AsyncConnection[Any], rooms: Rooms) -> None:
        """Who has ended without a word. A process has its lock before its first browser is heard of."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            if far := rooms.far_processes():
                alive = await (await mouth.execute(_ALIVE, (_LOCK,))).fetchall()
                rooms.gone(far - {number for (number,) in alive})

    def _sealed(self, event: Event) -> list[str]:
        sealed = base64.b64encode(self._ring.encrypt(event.model_dump_json(), _PLACE)).decode()
        parts = [sealed[at : at + _PART] for at in range(0, len(sealed), _PART)]
        return [f"{at}/{len(parts)} {part}" for at, part in enumerate(parts, start=1)]

    def _unsealed(self, text: str) -> Event:
        return EVENT.validate_json(self._ring.decrypt(base64.b64decode(text), _PLACE))
