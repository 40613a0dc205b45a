"""What every channel promises the dispatcher: one `send`, and exactly three ways for it not to be taken."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

LaneName = Literal["code", "batch"]


@dataclass(frozen=True)
class Device:
    """Where a push goes, and the keys that only that browser can open it with."""

    id: UUID
    endpoint: str
    p256dh: str
    auth: str


@dataclass(frozen=True)
class Parcel:
    """One attempt to carry one message; `attempt_id` is what the provider tells us back.

    A push goes to all the person's `devices` and has no address; a later one on the same `topic` takes its place.
    `valid_for` is how long it is of use.
    """

    attempt_id: str
    message_id: int
    attempt: int
    fence: int
    address: str
    body: str
    started_at: datetime
    valid_for: timedelta
    lane: LaneName = "batch"
    channel: Literal["sms", "push"] = "sms"
    devices: tuple[Device, ...] = ()
    topic: str = ""
    urgent: bool = False


class Later(Exception):
    """Certainly not processed: it may be tried again. `after` is the provider's own wish for how long to wait."""

    def __init__(self, code: str, after: timedelta | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.after = after


class Never(Exception):
    """Refused for good; `code` is the provider's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Uncertain(Exception):
    """Nobody knows whether it was taken: it must not be sent again before that is known."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class News:
    """What the provider answers when asked about a message, in its own words."""

    status: str
    error_code: str | None


class Channel(Protocol):
    """A way to carry a text."""

    async def send(self, parcel: Parcel) -> str:
        """Hands it to the provider; the provider's id for it. Raises `Later`, `Never`, `Uncertain`."""
        ...

    async def find(self, parcel: Parcel) -> list[str]:
        """The provider's ids of messages with this address and body, sent since the attempt began. Raises `Later`."""
        ...

    async def fetch(self, provider_id: str) -> "News | None":
        """What the provider says became of a message it took; None when it knows of none. Raises `Later`."""
        ...

    async def close(self) -> None:
        """Lets go of its connections."""
        ...
