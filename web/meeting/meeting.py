"""A meeting's door, waiting room and room; the web socket by which the browsers in it find each other."""

import asyncio
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar, cast
from uuid import UUID

from fastapi import BackgroundTasks, Query, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from companion.errors import CompanionError, LevelTooLow
from companion.models import Meeting, Participant, SignIn
from companion.rules.access import Actor, Level
from companion.use_cases import meetings as meet
from companion.use_cases import sign_in
from companion.use_cases.keeping import privacy
from web.house.deps import (
    Db,
    House,
    MeetingDoor,
    Now,
    Page,
    Seen,
    SignInNeeded,
    Who,
    go,
    house_of,
    new_router,
    transaction,
)
from web.house.security import access, same_origin
from web.meeting import turn
from web.meeting.events import Invited
from web.meeting.rooms import NOT_OPEN, SIGNED_OUT, TOO_SLOW, Rooms, Seat, call
from web.meeting.watch import Present, Watch
from web.meeting.watch import Seen as Looked

router = new_router()

_HOMES = {
    "patient": "/patient",
    "relative": "/relative",
    "professional": "/staff/meetings",
    "therapist": "/staff",
}
# As everybody in the room reads them, whatever language their own pages are in: like what a relative is to the patient.
_ROLES = {"interpreter": "tolk", "partner": "samtalepartner", "guest": "gjest"}
_LONGEST_MESSAGE = 64_000
_T = TypeVar("_T")


# --- pages ------------------------------------------------------------------------------------------------------------


@router.get("/meeting/{meeting_id}")
@access("meeting", Level.link, patient_data=True)
def show(meeting_id: UUID, db: Db, door: MeetingDoor, now: Now, page: Page, seen: Seen) -> Response:
    """The waiting room while the door is open, else when it opens or that it is over."""
    mine = meet.invitation(db, door, meeting_id, now=now)
    meeting, phase = mine.meeting, meet.phase(mine.meeting, now)
    seen(meeting.patient_id, "meeting.read", f"meeting:{meeting_id}")
    if phase is meet.Phase.open:
        return page("meeting/room.html", **context(mine))
    if phase is meet.Phase.early:
        return page("meeting/early.html", opens_at=meeting.starts_at - meet.OPENS_BEFORE, **context(mine))
    return page("meeting/shut.html", phase=phase, **context(mine))


@router.post("/meeting/{meeting_id}/call-me")
@access("meeting", Level.link, patient_data=True)
def call_me(
    request: Request,
    meeting_id: UUID,
    db: Db,
    door: MeetingDoor,
    now: Now,
    seen: Seen,
    after: BackgroundTasks,
) -> RedirectResponse:
    """It does not work: somebody phones instead."""
    mine = meet.call_me(db, door, meeting_id, now=now)
    seen(mine.meeting.patient_id, "meeting.call_me", f"meeting:{meeting_id}")
    after.add_task(_in_the_loop, rooms_of(request).call_me, meeting_id, str(mine.id), _phone(mine))
    return go(f"/meeting/{meeting_id}/called")


@router.get("/meeting/{meeting_id}/called")
@access("meeting", Level.link, patient_data=True)
def called(meeting_id: UUID, db: Db, door: MeetingDoor, now: Now, page: Page, seen: Seen) -> Response:
    """Who phones, and on which number."""
    mine = meet.invitation(db, door, meeting_id, now=now)
    seen(mine.meeting.patient_id, "meeting.read", f"meeting:{meeting_id}")
    return page("meeting/called.html", **context(mine))


@router.post("/meeting/{meeting_id}/leave")
@access("meeting", Level.link, patient_data=True)
def leave(meeting_id: UUID, db: Db, door: MeetingDoor, now: Now, seen: Seen) -> RedirectResponse:
    """Hung up."""
    mine = meet.leave(db, door, meeting_id, now=now)
    seen(mine.meeting.patient_id, "meeting.leave", f"meeting:{meeting_id}")
    return go(f"/meeting/{meeting_id}/left")


@router.get("/meeting/{meeting_id}/left")
@access("meeting", Level.link, patient_data=True)
def left(meeting_id: UUID, db: Db, door: MeetingDoor, now: Now, page: Page, seen: Seen) -> Response:
    """What one can do after hanging up."""
    mine = meet.invitation(db, door, meeting_id, now=now)
    meeting, phase = mine.meeting, meet.phase(mine.meeting, now)
    seen(meeting.patient_id, "meeting.read", f"meeting:{meeting_id}")
    if phase is meet.Phase.open:
        closes_at = meet.ends_at(meeting) + meet.OPEN_AFTER
        return page("meeting/left.html", closes_at=closes_at, **context(mine))
    return page("meeting/shut.html", phase=phase, **context(mine))


@router.post("/meeting/{meeting_id}/end")
@access("professional", Level.high, patient_data=True)
def end(
    request: Request, meeting_id: UUID, db: Db, who: Who, now: Now, seen: Seen, after: BackgroundTasks
) -> RedirectResponse:
    """The host ends it for everybody."""
    meeting = meet.end(db, who, meeting_id, now=now)
    seen(meeting.patient_id, "meeting.end", f"meeting:{meeting_id}")
    after.add_task(_in_the_loop, rooms_of(request).end, meeting_id)
    return go(f"/meeting/{meeting_id}/left")


def context(mine: Participant) -> dict[str, Any]:
    """What every page of the meeting shows: which, with whom, who reads it, and where to go from here."""
    meeting, guest = mine.meeting, not mine.is_host
    host = meeting.host
    return {
        "meeting": meeting,
        "mine": mine,
        "guest": guest,
        "unit": meeting.unit,
        "host_name": host.name,
        "host_first_name": host.first_name,
        "others": host.name if guest else _others(meeting),
        "died": meeting.patient is not None and meeting.patient.died_on is not None,
        "phone": _phone(mine),
        "whose": _whose(mine),
        "home": _HOMES.get(mine.role, f"/meeting/{meeting.id}"),
        "room": f"/meeting/{meeting.id}",
        "case": f"/staff/patients/{meeting.patient_id}" if meeting.patient_id else "/staff/meetings",
    }


def rooms_of(connection: HTTPConnection) -> Rooms:
    """The rooms of the running application."""
    return cast(Rooms, connection.app.state.rooms)


def watch_of(connection: HTTPConnection) -> Watch:
    """The watch of the running application."""
    return cast(Watch, connection.app.state.watch)


def look(house: House, present: Collection[Present]) -> Looked:
    """What has become of the meetings and the sessions of those who are there."""
    now = house.clock.now()
    with (house.readers or house.sessions)() as db:
        return Looked(
            meet.changed(db, [one.sitting for one in present], now=now),
            sign_in.awake(db, {one.sign_in_id for one in present}, now=now),
        )


def _phone(mine: Participant) -> str:
    return ("" if mine.is_host else mine.phone) or ""


def _whose(mine: Participant) -> str:
    """Whom the meeting is about, as far as the one who reads may know before being let in; relatives may have several."""
    patient = mine.meeting.patient
    if patient is None or mine.is_host:
        return ""
    if mine.relative_id:
        return patient.first_name
    return patient.name if mine.professional_id else ""


def _others(meeting: Meeting) -> str:
    """Whom the host meets: the patient; in guidance the colleagues."""
    if meeting.patient:
        return meeting.patient.name
    return ", ".join(each.name for each in meeting.participants if not each.is_host)


async def _in_the_loop(tell: Callable[..., None], *what: object) -> None:
    # Rooms belong to the event loop; a background task runs there, after the commit.
    tell(*what)


# --- the web socket ---------------------------------------------------------------------------------------------------


class Admit(BaseModel):
    """The host lets somebody in."""

    type: Literal["admit"]
    id: UUID


class Signal(BaseModel):
    """A description or a candidate for one other person: all that passes between browsers here."""

    type: Literal["signal"]
    to: str = Field(max_length=40)
    description: dict[Literal["type", "sdp"], str] | None = None
    candidate: dict[str, str | int | None] | None = None


class Media(BaseModel):
    """What this browser sends now."""

    type: Literal["media"]
    camera: bool
    microphone: bool


class Plain(BaseModel):
    """`bye`: the page is being left. `here`: still in use, so that the session does not end in the middle of a talk."""

    type: Literal["bye", "here"]


_MESSAGE: TypeAdapter[Admit | Signal | Media | Plain] = TypeAdapter(
    Annotated[Admit | Signal | Media | Plain, Field(discriminator="type")]
)


@dataclass(frozen=True)
class Place:
    """What the database said about the person at the door."""

    seat: Seat
    present: Present
    invited: list[Invited]
    calls: list[tuple[str, str]]


class _Connection:
    """One browser's web socket, from the door until it is gone."""

    def __init__(self, socket: WebSocket, meeting_id: UUID, page: str) -> None:
        self._socket, self._meeting_id, self._page = socket, meeting_id, page
        self._house: House = house_of(socket)
        self._rooms, self._watch = rooms_of(socket), watch_of(socket)
        self._secret = socket.cookies.get(self._house.cookies.session, "")

    async def serve(self) -> None:
        """Accepts first, then perhaps refuses: a browser cannot tell an unaccepted socket from a broken line."""
        await self._socket.accept()
        # Every browser sends it with a web socket; without it this is no page of ours.
        if "origin" not in self._socket.headers or not same_origin(
            self._socket, self._house.settings.public_url
        ):
            return await self._socket.close(NOT_OPEN)
        try:
            place = await self._database(self._enter)
        except (SignInNeeded, LevelTooLow):
            return await self._socket.close(SIGNED_OUT)
        except CompanionError:
            return await self._socket.close(NOT_OPEN)
        seat = place.seat
        seat.tell({"type": "welcome", "ice": turn.ice_servers(self._house.web, seat.id, self._now())})
        self._rooms.join(self._meeting_id, seat, place.invited)
        self._watch.begin(seat, place.present)
        if seat.host:
            for person, phone in place.calls:
                seat.tell(call(person, phone))
        writing = asyncio.create_task(self._write(seat))
        on_purpose = False
        try:
            on_purpose = await self._read(seat)
        finally:
            self._watch.end(seat)
            self._rooms.leave(self._meeting_id, seat, on_purpose=on_purpose)
            writing.cancel()

    async def _write(self, seat: Seat) -> None:
        while True:
            message = await seat.outbox.get()
            if isinstance(message, int):
                return await self._socket.close(message)
            await self._socket.send_text(json.dumps(message))

    async def _read(self, seat: Seat) -> bool:
        """Until the line is gone; True when the page was left on purpose."""
        try:
            while True:
                text = await self._socket.receive_text()
                if len(text) > _LONGEST_MESSAGE:
                    seat.close(TOO_SLOW)
                    continue
                try:
                    message = _MESSAGE.validate_json(text)
                except ValidationError:
                    continue
                if isinstance(message, Plain) and message.type == "bye":
                    return True
                await self._hear(seat, message)
        except (WebSocketDisconnect, KeyError):
            return False

    async def _hear(self, seat: Seat, message: Admit | Signal | Media | Plain) -> None:
        if isinstance(message, Signal):
            content = message.model_dump(include={"description", "candidate"}, exclude_none=True)
            self._rooms.signal(self._meeting_id, seat, message.to, content)
        elif isinstance(message, Media):
            self._rooms.media(self._meeting_id, seat, camera=message.camera, microphone=message.microphone)
        elif isinstance(message, Admit):
            await self._admit(seat, message.id)
        else:
            await self._check(seat)

    async def _admit(self, seat: Seat, participant_id: UUID) -> None:
        def recorded(db: Session) -> None:
            signed = self._signed(db)
            guest = meet.admit(db, signed[1], participant_id, now=self._now())
            self._record(db, signed, guest.meeting, "meeting.admit")

        try:
            await self._database(recorded)
        except (CompanionError, SignInNeeded):
            seat.tell({"type": "not_admitted", "id": str(participant_id)})
        else:
            self._rooms.admit(self._meeting_id, str(participant_id))

    async def _check(self, seat: Seat) -> None:
        """Signed in still, and invited still."""

        def welcome(db: Session) -> None:
            found, actor = self._signed(db)
            door = found if actor.level is Level.link else actor
            meet.invitation(db, door, self._meeting_id, now=self._now())

        try:
            await self._database(welcome)
        except (SignInNeeded, LevelTooLow):
            seat.close(SIGNED_OUT)
        except CompanionError:
            seat.close(NOT_OPEN)

    def _enter(self, db: Session) -> Place:
        signed = found, actor = self._signed(db)
        door = found if actor.level is Level.link else actor
        now = self._now()
        mine = meet.enter(db, door, self._meeting_id, now=now)
        self._record(db, signed, mine.meeting, "meeting.enter")
        relations = meet.relations(db, mine.meeting, now)
        return Place(
            Seat(
                id=str(mine.id),
                page=self._page,
                host=mine.is_host,
                knows_whose=mine.knows_whose,
                admitted=mine.admitted_at is not None,
            ),
            Present(meet.Sitting(mine.id, mine.meeting.sequence), found.id),
            [_invited(each, relations) for each in mine.meeting.participants],
            [(str(each.id), _phone(each)) for each in meet.asked_to_be_called(mine.meeting)],
        )

    def _signed(self, db: Session) -> tuple[SignIn, Actor]:
        found = sign_in.actor(db, self._secret, now=self._now()) if self._secret else None
        if found is None:
            raise SignInNeeded("meeting")
        return found

    def _record(self, db: Session, signed: tuple[SignIn, Actor], meeting: Meeting, action: str) -> None:
        line = privacy.Line(
            self._now(),
            signed[1],
            meeting.patient_id,
            action,
            object=f"meeting:{meeting.id}",
            request_id=self._socket.state.id,
        )
        privacy.record(db, [line])

    def _now(self) -> datetime:
        return self._house.clock.now()

    async def _database(self, work: Callable[[Session], _T]) -> _T:
        def in_thread() -> _T:
            with transaction(self._socket) as db:
                return work(db)

        return await run_in_threadpool(in_thread)


@router.websocket("/meeting/{meeting_id}/ws")
@access("meeting", Level.link, patient_data=True)
async def room(
    socket: WebSocket, meeting_id: UUID, page: Annotated[str, Query(pattern=r"^\d{1,24}$")]
) -> None:
    """Who is here, letting in, and the signalling between those who were let in. `page` tells a reload from a broken line."""
    await _Connection(socket, meeting_id, page).serve()


def _invited(participant: Participant, relations: dict[UUID, str]) -> Invited:
    if participant.professional:
        line = participant.professional.title
    elif participant.relative_id:
        line = relations.get(participant.relative_id, "")
    else:
        line = _ROLES.get(participant.role, "")
    return Invited(
        id=str(participant.id),
        role=participant.role,
        full_name=participant.name,
        # Guests read each other's first names only: the link alone opens the waiting room.
        short_name=participant.name if participant.professional else participant.first_name,
        line=line,
    )
