"""A way of reaching somebody: what it can, whom it reaches, one `send`, and exactly three ways for a letter not to be taken.

Each folder beside this file is one way; the rest of the house knows it only by what stands here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from companion.settings import Settings as CompanionSettings
    from companion.use_cases.messages.letter import Letter
    from companion.use_cases.sign_in import Words
    from notifications.finding import Finding
    from notifications.settings import Settings

LaneName = Literal["code", "batch", "duty"]
LEASE = timedelta(seconds=90)
# A call that has not begun by then is handed back; one that has ends well within the lease.
BEGIN_WITHIN = timedelta(seconds=45)


# Only marks a sentence for the catalogue.
def _(text: str) -> str:
    return text


@dataclass(frozen=True)
class Can:
    """What a way can.

    `turn`: those with a lower one are tried first. `acknowledged_by`: only the person's own `device` says that it arrived, or
    the provider gives a `receipt`, and can be asked for it, or `nobody` does. `next_way_after`: a letter not acknowledged by
    then goes by the next way, before a meeting by `next_way_before_meeting` at the latest; None: there is no next way, and what
    is in doubt is looked for. `per_second`: how many calls at most, by lane; a lane that is not named is not paced.
    `too_busy`: its code for our coming too fast. `lanes`: what it carries.
    """

    turn: int
    acknowledged_by: Literal["device", "receipt", "nobody"]
    next_way_after: timedelta | None = None
    next_way_before_meeting: timedelta = timedelta(hours=2)
    per_second: Mapping[LaneName, float] = field(default_factory=dict)
    too_busy: str = ""
    lanes: tuple[LaneName, ...] = ("batch", "code", "duty")

    @property
    def last(self) -> bool:
        """Whether there is no next way."""
        return self.next_way_after is None

    def heard_by(self, meeting_at: datetime | None, now: datetime) -> datetime | None:
        """When a letter sent now goes by the next way, unless it is acknowledged; None where there is none."""
        if self.next_way_after is None:
            return None
        moment = now + self.next_way_after
        return min(moment, meeting_at - self.next_way_before_meeting) if meeting_at else moment


@dataclass(frozen=True)
class Said:
    """What staff read of a way, in bokmål: what it is called, that it is stopped, and what happens when it is not heard."""

    called: str
    stopped: str = ""
    unheard: str = ""


@dataclass(frozen=True)
class Device:
    """Where a push goes, and the keys that only that browser can open it with."""

    id: UUID
    endpoint: str
    p256dh: str
    auth: str


@dataclass(frozen=True)
class To:
    """Where a letter goes: an address of this way's, or all the person's `devices`."""

    address: str = ""
    devices: tuple[Device, ...] = ()


@dataclass(frozen=True)
class Frame:
    """What stands in texts besides the letter's own."""

    public_url: str
    product: str
    institution: str


@dataclass(frozen=True)
class Wrapped:
    """A letter in words; one on the same `topic` takes the place of an earlier one."""

    body: str
    topic: str = ""
    urgent: bool = False


@dataclass(frozen=True)
class Parcel:
    """One attempt to carry one message; `attempt_id` is what the provider tells us back.

    `valid_for` is how long it is of use. `next_way`: how it goes when this way does not take it, or is not heard of in time.
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
    channel: str = "sms"
    devices: tuple[Device, ...] = ()
    topic: str = ""
    urgent: bool = False
    next_way: str | None = None


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
    """A way that is open: it carries a text."""

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


class Way(Protocol):
    """A way of reaching somebody, as its folder's `way.py` has it: made from the settings, good without any connection.

    `name` is what stands in the database: at most four letters. `words` is where its texts lie, by kind; it carries the kinds
    it has words for. `states` are our words for what its provider says.
    """

    name: str
    can: Can
    said: Said
    states: Mapping[str, str]
    words: Path

    def reaches(self, db: "Session", letters: "Sequence[Letter]", now: datetime, /) -> Mapping[int, To]:
        """Where those of the letters go whose people can be reached in this way now, by letter; in few statements."""
        ...

    def wrap(
        self, letter: "Letter", words: "Words | None", to: To, attempt_id: str, frame: Frame, /
    ) -> Wrapped:
        """The letter in words."""
        ...

    def look(self, companion: "CompanionSettings", names: Sequence[str], /) -> "Iterable[Finding]":
        """What can be seen to be wrong with its settings; `names` are those of the environment, to find mistyped ones."""
        ...

    async def ask(self, now: datetime, /) -> "Sequence[Finding]":
        """What its provider says when asked whether it knows us; nothing where there is nobody to ask."""
        ...

    def open(self, house: "Opening", /) -> Channel | None:
        """The channel; call it inside the loop. None when our settings do not allow it."""
        ...


@dataclass(frozen=True)
class Opening:
    """What a way finds when it is opened."""

    companion: "CompanionSettings"
    settings: "Settings"
    sessions: Any
