"""The rooms in which browsers find each other. They live in this process's memory, so meetings are served by one process.

Each browser that comes has a seat. Everybody sees who is here; only those who were let in may send each other descriptions and
candidates, and the room says who a message is from. Nothing of picture or sound passes here.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from web.house import pages

SEATS = 4
WAITING_MESSAGES = 256

SIGNED_OUT, NOT_OPEN, ELSEWHERE, ENDED, FULL, TOO_SLOW = 4401, 4403, 4409, 4410, 4429, 4408


@dataclass(frozen=True)
class Invited:
    """Somebody expected: what the host and what the others read of them."""

    id: str
    role: str
    full_name: str
    short_name: str
    line: str


@dataclass
class Seat:
    """One browser window in the room. `order` counts arrivals: the later of two offers, the earlier yields."""

    id: str
    page: str
    host: bool
    admitted: bool
    order: int = 0
    camera: bool = False
    microphone: bool = False
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


@dataclass
class Room:
    """Who is expected and who is here."""

    invited: list[Invited]
    seats: dict[str, Seat] = field(default_factory=dict)
    arrivals: int = 0


class Rooms:
    """All rooms of this process. Used from the event loop only."""

    def __init__(self) -> None:
        self._rooms: dict[UUID, Room] = {}

    def join(self, meeting: UUID, seat: Seat, invited: Iterable[Invited]) -> bool:
        """The browser takes its seat; an older window of the same person is closed. False when the room is full."""
        room = self._rooms.setdefault(meeting, Room([]))
        room.invited = list(invited)
        if seat.id not in room.seats and len(room.seats) >= SEATS:
            return False
        before = room.seats.get(seat.id)
        if before:
            before.close(ELSEWHERE)
        room.arrivals += 1
        seat.order = room.arrivals
        room.seats[seat.id] = seat
        self._show(room)
        return True

    def leave(self, meeting: UUID, seat: Seat, *, on_purpose: bool) -> None:
        """The browser is gone. On purpose: the others drop the picture at once; otherwise they keep it as long as it moves."""
        room = self._rooms.get(meeting)
        if room is None or room.seats.get(seat.id) is not seat:
            return
        del room.seats[seat.id]
        if on_purpose:
            for other in room.seats.values():
                other.tell({"type": "left", "id": seat.id})
        self._show(room)
        if not room.seats:
            del self._rooms[meeting]

    def admit(self, meeting: UUID, person: str) -> None:
        """Somebody has been let in (and the record says so)."""
        room = self._rooms.get(meeting)
        if room and person in room.seats:
            room.seats[person].admitted = True
            self._show(room)

    def media(self, meeting: UUID, seat: Seat, *, camera: bool, microphone: bool) -> None:
        """What the person sends now, so that the others can read it."""
        seat.camera, seat.microphone = camera, microphone
        if room := self._rooms.get(meeting):
            self._show(room)

    def signal(self, meeting: UUID, sender: Seat, to: str, content: Mapping[str, Any]) -> None:
        """Hands a description or a candidate to one other person; only between people who were let in."""
        room = self._rooms.get(meeting)
        receiver = room.seats.get(to) if room else None
        if receiver and receiver is not sender and sender.admitted and receiver.admitted:
            receiver.tell({"type": "signal", "from": sender.id, "page": sender.page, **content})

    def call_me(self, meeting: UUID, person: str, phone: str) -> None:
        """The hosts read at once that somebody asks to be phoned."""
        room = self._rooms.get(meeting)
        for seat in room.seats.values() if room else ():
            if seat.host:
                seat.tell(call(person, phone))

    def end(self, meeting: UUID) -> None:
        """Over for everybody: ended, cancelled or moved."""
        room = self._rooms.pop(meeting, None)
        for seat in room.seats.values() if room else ():
            seat.close(ENDED)

    def _show(self, room: Room) -> None:
        for seat in room.seats.values():
            seat.tell(
                {
                    "type": "people",
                    "admitted": seat.admitted,
                    "order": seat.order,
                    "people": [_view(room, person, seat) for person in room.invited if person.id != seat.id],
                }
            )


def call(person: str, phone: str) -> dict[str, Any]:
    """Somebody asks the host to be phoned: the number to dial, and as people write it."""
    return {"type": "call_me", "id": person, "phone": pages.tel(phone), "shown": pages.phone(phone)}


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
