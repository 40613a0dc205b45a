"""The rooms in which browsers find each other.

Each browser that comes has a seat. Everybody sees who is here; only those who were let in may send each other descriptions and
candidates, and the room says who a message is from. Nothing of picture or sound passes here.

What happens is said on a line, and happens when it is heard there: by this process alone, or by every process on the same
PostgreSQL (`web.meeting.line`). All hear the same in the same order, so all know the same rooms; each speaks to its own browsers.
"""

import asyncio
import secrets
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol
from uuid import UUID

from web.house import pages
from web.meeting.events import (
    Admitted,
    CallMe,
    Ended,
    Event,
    Invited,
    Left,
    Seated,
    Sending,
    Signalled,
    WhoIsHere,
)

SEATS = 6
WAITING_MESSAGES = 256

SIGNED_OUT, NOT_OPEN, ELSEWHERE, ENDED, MOVED, FULL, TOO_SLOW = 4401, 4403, 4409, 4410, 4411, 4429, 4408


@dataclass
class Seat:
    """One browser window in the room. `order` counts arrivals: the later of two offers, the earlier yields."""

    id: str
    page: str
    host: bool
    admitted: bool
    # Whether the others' names may be read before one is let in.
    knows_whose: bool = True
    order: int = 0
    camera: bool = False
    microphone: bool = False
    # Its first arrival: a line that broke gives it a new order, but does not make it a newer window.
    since: int = 0
    process: int = 0
    ticket: str = field(default_factory=lambda: secrets.token_hex(8))
    outbox: asyncio.Queue[dict[str, Any] | int] = field(
        default_factory=lambda: asyncio.Queue(WAITING_MESSAGES)
    )

    def tell(self, message: dict[str, Any]) -> None:
        """Queues a message; a browser that does not read is shown the door."""
        try:
            self.outbox.put_nowait(message)
        except asyncio.QueueFull:
            self.close(TOO_SLOW)

    def close(self, code: int) -> None:
        """Asks its connection to close, after what was already said unless that is stuck."""
        if self.outbox.full():
            while not self.outbox.empty():
                self.outbox.get_nowait()
        self.outbox.put_nowait(code)


class FarSeat(Seat):
    """A browser at another process, which hears what we hear and tells it."""

    def tell(self, message: dict[str, Any]) -> None:
        """Not ours to tell."""

    def close(self, code: int) -> None:
        """Not ours to close."""


@dataclass
class Room:
    """Who is expected and who is here."""

    invited: list[Invited] = field(default_factory=list)
    seats: dict[str, Seat] = field(default_factory=dict)

    def seat(self, person: str, ticket: str) -> Seat | None:
        """The person's seat, if it is still this window's."""
        seat = self.seats.get(person)
        return seat if seat and seat.ticket == ticket else None

    def show(self) -> None:
        """Everybody reads who is here."""
        for seat in self.seats.values():
            seat.tell(
                {
                    "type": "people",
                    "admitted": seat.admitted,
                    "order": seat.order,
                    "people": [
                        _view(self, person, seat) for person in self.invited if _may_see(seat, person)
                    ],
                }
            )


class Line(Protocol):
    """How processes hear of each other's rooms."""

    @property
    def process(self) -> int:
        """Who we are on the line, as long as it holds."""

    @property
    def full(self) -> bool:
        """Whether so much waits to be said that no browser should say more."""

    def say(self, event: Event) -> None:
        """To be heard by everybody, ourselves included, in the order in which we say it."""

    def open(self, rooms: "Rooms") -> AbstractAsyncContextManager[None]:
        """Holds it until left."""


@dataclass(frozen=True)
class _Own:
    """A browser of this process, and what it needs to take its seat."""

    meeting: UUID
    seat: Seat
    invited: list[Invited]


class Rooms:
    """All rooms, as this process knows them. Used from the event loop only. Without a line it is the only process."""

    def __init__(self, line: Line | None = None) -> None:
        self._line = line
        self._numbers = count(1)
        self._rooms: dict[UUID, Room] = {}
        self._own: dict[str, _Own] = {}

    def open(self) -> AbstractAsyncContextManager[None]:
        """Holds the line until left."""
        return self._line.open(self) if self._line else nullcontext()

    # --- said -----------------------------------------------------------------------------------------------------------

    def join(self, meeting: UUID, seat: Seat, invited: Iterable[Invited]) -> None:
        """The browser takes its seat; an older window of the same person is closed, or itself when the room is full."""
        own = self._own[seat.ticket] = _Own(meeting, seat, list(invited))
        self._take(own, order=0)

    def leave(self, meeting: UUID, seat: Seat, *, on_purpose: bool) -> None:
        """The browser is gone. On purpose: the others drop the picture at once; otherwise they keep it as long as it moves."""
        self._own.pop(seat.ticket, None)
        self._say(Left(meeting=meeting, id=seat.id, ticket=seat.ticket, on_purpose=on_purpose))

    def admit(self, meeting: UUID, person: str) -> None:
        """Somebody has been let in (and the record says so)."""
        self._say(Admitted(meeting=meeting, id=person))

    def media(self, meeting: UUID, seat: Seat, *, camera: bool, microphone: bool) -> None:
        """What the person sends now, so that the others can read it."""
        seat.camera, seat.microphone = camera, microphone
        said = {"id": seat.id, "ticket": seat.ticket, "camera": camera, "microphone": microphone}
        self._say_for(seat, Sending(meeting=meeting, **said))

    def signal(self, meeting: UUID, sender: Seat, to: str, content: Mapping[str, Any]) -> None:
        """Hands a description or a candidate to one other person; only between people who were let in."""
        self._say_for(
            sender,
            Signalled(meeting=meeting, id=sender.id, ticket=sender.ticket, to=to, content=dict(content)),
        )

    def call_me(self, meeting: UUID, person: str, phone: str) -> None:
        """The hosts read at once that somebody asks to be phoned."""
        self._say(CallMe(meeting=meeting, id=person, phone=phone))

    def end(self, meeting: UUID) -> None:
        """Over for everybody: ended, cancelled or moved."""
        self._say(Ended(meeting=meeting))

    def _say(self, event: Event) -> None:
        if self._line:
            self._line.say(event)
        else:
            self.hear(next(self._numbers), event)

    def _say_for(self, seat: Seat, event: Event) -> None:
        if self._line and self._line.full:
            seat.close(TOO_SLOW)
        else:
            self._say(event)

    def _take(self, own: _Own, *, order: int) -> None:
        seat = own.seat
        self._say(
            Seated(
                meeting=own.meeting,
                invited=own.invited,
                ticket=seat.ticket,
                id=seat.id,
                page=seat.page,
                host=seat.host,
                admitted=seat.admitted,
                camera=seat.camera,
                microphone=seat.microphone,
                since=seat.since,
                order=order,
                process=self._process,
            )
        )

    # --- heard ----------------------------------------------------------------------------------------------------------

    def hear(self, number: int, event: Event) -> None:
        """It happens. `number` is greater than that of whatever happened before in the same room."""
        if isinstance(event, Seated):
            self._seat(number, event)
        elif isinstance(event, WhoIsHere):
            self._answer(event)
        elif isinstance(event, Ended):
            self._end(event)
        elif room := self._rooms.get(event.meeting):
            self._happens(room, event)
            if not room.seats:
                del self._rooms[event.meeting]

    def _seat(self, number: int, event: Seated) -> None:
        seat, since = self._seat_of(event), event.since or number
        room = self._rooms.setdefault(event.meeting, Room())
        before = room.seats.get(seat.id)
        if before is None and len(room.seats) >= SEATS:
            return self._show_out(seat, FULL)
        if before and before.ticket != seat.ticket:
            older = seat if before.since > since else before
            self._show_out(older, ELSEWHERE)
            if older is seat:
                return
        seat.since, seat.order, seat.process = since, event.order or number, event.process
        room.invited, room.seats[seat.id] = event.invited, seat
        room.show()
        if seat.admitted and not event.admitted and (own := self._own.get(seat.ticket)):
            # Let in while this was on its way: whoever did not know the seat then must hear it.
            self._take(own, order=seat.order)

    def _seat_of(self, event: Seated) -> Seat:
        if own := self._own.get(event.ticket):
            return own.seat
        return FarSeat(
            id=event.id,
            page=event.page,
            host=event.host,
            admitted=event.admitted,
            camera=event.camera,
            microphone=event.microphone,
            process=event.process,
            ticket=event.ticket,
        )

    def _show_out(self, seat: Seat, code: int) -> None:
        self._own.pop(seat.ticket, None)
        seat.close(code)

    def _answer(self, event: WhoIsHere) -> None:
        """Whoever has just come hears of our browsers; those whose arrival is still to be heard need no second word."""
        if event.process != self._process:
            for own in self._own.values():
                if own.seat.order:
                    self._take(own, order=own.seat.order)

    def _end(self, event: Ended) -> None:
        room = self._rooms.pop(event.meeting, Room())
        for seat in room.seats.values():
            self._show_out(seat, ENDED)

    def _happens(self, room: Room, event: Left | Admitted | Sending | Signalled | CallMe) -> None:
        if isinstance(event, CallMe):
            for host in (seat for seat in room.seats.values() if seat.host):
                host.tell(call(event.id, event.phone))
        elif isinstance(event, Admitted):
            if seat := room.seats.get(event.id):
                seat.admitted = True
                room.show()
        elif seat := room.seat(event.id, event.ticket):
            self._does(room, seat, event)

    def _does(self, room: Room, seat: Seat, event: Left | Sending | Signalled) -> None:
        if isinstance(event, Signalled):
            receiver = room.seats.get(event.to)
            if receiver and receiver is not seat and seat.admitted and receiver.admitted:
                receiver.tell({"type": "signal", "from": seat.id, "page": seat.page, **event.content})
        elif isinstance(event, Sending):
            seat.camera, seat.microphone = event.camera, event.microphone
            room.show()
        else:
            del room.seats[seat.id]
            for other in room.seats.values() if event.on_purpose else ():
                other.tell({"type": "left", "id": seat.id})
            room.show()

    # --- the other processes --------------------------------------------------------------------------------------------

    @property
    def _process(self) -> int:
        return self._line.process if self._line else 0

    def connected(self) -> None:
        """The line holds, perhaps anew. Our browsers get a new order, so that a call whose signals got lost is begun again."""
        self.gone(self.far_processes())
        self._say(WhoIsHere(process=self._process))
        for own in self._own.values():
            self._take(own, order=0)

    def far_processes(self) -> set[int]:
        """Those with browsers in our rooms."""
        return {
            seat.process
            for room in self._rooms.values()
            for seat in room.seats.values()
            if isinstance(seat, FarSeat)
        }

    def gone(self, processes: Collection[int]) -> None:
        """They ended without a word: their browsers have lost their seats."""
        for meeting, room in list(self._rooms.items()):
            lost = [
                one for one in room.seats.values() if isinstance(one, FarSeat) and one.process in processes
            ]
            for seat in lost:
                del room.seats[seat.id]
            if not room.seats:
                del self._rooms[meeting]
            elif lost:
                room.show()


def call(person: str, phone: str) -> dict[str, Any]:
    """Somebody asks the host to be phoned: the number to dial, and as people write it."""
    return {"type": "call_me", "id": person, "phone": pages.tel(phone), "shown": pages.phone(phone)}


def _may_see(reader: Seat, person: Invited) -> bool:
    """Who only comes by a link reads before being let in who invites, not whom it is about."""
    if person.id == reader.id:
        return False
    return reader.admitted or reader.knows_whose or person.role in ("therapist", "professional")


def _view(room: Room, person: Invited, reader: Seat) -> dict[str, Any]:
    seat = room.seats.get(person.id)
    known = {
        "id": person.id,
        "role": person.role,
        "name": person.full_name if reader.host else person.short_name,
        "line": person.line,
        "state": "coming" if seat is None else "in" if seat.admitted else "waiting",
    }
    if seat is None or not (seat.admitted and reader.admitted):
        return known
    return known | {
        "page": seat.page,
        "order": seat.order,
        "camera": seat.camera,
        "microphone": seat.microphone,
    }
