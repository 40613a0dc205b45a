"""What happens in rooms, as it is said on the line between web processes."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, TypeAdapter
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class Invited:
    """Somebody expected: what the host and what the others read of them."""

    id: str
    role: str
    full_name: str
    short_name: str
    line: str


class Seated(BaseModel):
    """A browser has taken its seat, or says again that it has it. `since` and `order` are 0 where this very event gives them."""

    kind: Literal["seated"] = "seated"
    meeting: UUID
    invited: list[Invited]
    ticket: str
    id: str
    page: str
    host: bool
    admitted: bool
    camera: bool
    microphone: bool
    since: int
    order: int
    process: int


class Left(BaseModel):
    """A browser is gone."""

    kind: Literal["left"] = "left"
    meeting: UUID
    id: str
    ticket: str
    on_purpose: bool


class Admitted(BaseModel):
    """Somebody was let in."""

    kind: Literal["admitted"] = "admitted"
    meeting: UUID
    id: str


class Sending(BaseModel):
    """What a browser sends now."""

    kind: Literal["sending"] = "sending"
    meeting: UUID
    id: str
    ticket: str
    camera: bool
    microphone: bool


class Signalled(BaseModel):
    """A description or a candidate for one other person."""

    kind: Literal["signalled"] = "signalled"
    meeting: UUID
    id: str
    ticket: str
    to: str
    content: dict[str, Any]


class CallMe(BaseModel):
    """Somebody asks to be phoned."""

    kind: Literal["call_me"] = "call_me"
    meeting: UUID
    id: str
    phone: str


class Ended(BaseModel):
    """Over for everybody."""

    kind: Literal["ended"] = "ended"
    meeting: UUID


class WhoIsHere(BaseModel):
    """A process has come to the line and does not know yet who sits where."""

    kind: Literal["who_is_here"] = "who_is_here"
    process: int


Event = Seated | Left | Admitted | Sending | Signalled | CallMe | Ended | WhoIsHere

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
