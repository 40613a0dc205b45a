"""A third way, for the tests: a bell at people's homes, rung by a service that tells when somebody has answered it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from companion.settings import Settings as CompanionSettings
from companion.use_cases.messages.letter import Letter
from companion.use_cases.sign_in import Words
from notifications import wording
from notifications.channels import (
    Can,
    Channel,
    Frame,
    Later,
    Never,
    News,
    Opening,
    Parcel,
    Said,
    To,
    Uncertain,
    Wrapped,
)
from notifications.finding import Finding


class Bell:
    """To patients who have a bell (`homes`: its address, by telephone number)."""

    name = "bell"
    can = Can(
        turn=1,
        acknowledged_by="receipt",
        next_way_after=timedelta(minutes=5),
        next_way_before_meeting=timedelta(hours=1),
        per_second={"batch": 4.0},
        too_busy="engaged",
        lanes=("batch",),
    )
    said = Said(
        called="Ringeklokke hjemme",
        stopped="Ringeklokkene er stoppet.",
        unheard="Åpner ingen, går den på en annen måte.",
    )
    states: Mapping[str, str] = {"rung": "sent", "answered": "delivered", "nobody_home": "undelivered"}
    words = Path(__file__).parent / "wording"

    def __init__(
        self, service: "Bells", homes: Mapping[str, str], next_way_after: timedelta | None = None
    ) -> None:
        self._service, self._homes = service, homes
        if next_way_after:
            self.can = replace(self.can, next_way_after=next_way_after)

    def reaches(self, _db: Session, letters: Sequence[Letter], _now: datetime) -> Mapping[int, To]:
        """Those who have one."""
        return {
            letter.id: To(self._homes[letter.patient.phone])
            for letter in letters
            if letter.patient and letter.patient.phone and letter.patient.phone in self._homes
        }

    def wrap(self, letter: Letter, _words: Words | None, _to: To, _attempt_id: str, frame: Frame) -> Wrapped:
        """A sentence for whoever opens."""
        text = wording.template(self.words, letter.kind, self.name, letter.language)
        return Wrapped(text.render(wording.values(letter, frame.product)))

    def look(self, _companion: CompanionSettings, _names: Sequence[str]) -> Iterable[Finding]:
        """Whether anybody has one."""
        return [Finding("ok" if self._homes else "note", f"bells: {len(self._homes)}")]

    async def ask(self, _now: datetime) -> Sequence[Finding]:
        """The service always answers."""
        return [Finding("ok", "bells: the service answers")]

    def open(self, _house: Opening) -> Channel | None:
        """The service, when anybody has one."""
        return self._service if self._homes else None


@dataclass
class Bells:
    """Rings, or fails as told: by the address, or all of them by `fails_with`."""

    refused: Mapping[str, str] = field(default_factory=dict)
    busy: str | None = None
    lost: str | None = None
    rings_in_silence: str | None = None
    fails_with: Exception | None = None
    rung: list[Parcel] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)

    async def send(self, parcel: Parcel) -> str:
        """Rings once."""
        if self.fails_with:
            raise self.fails_with
        if parcel.address in self.refused:
            raise Never(self.refused[parcel.address])
        if parcel.address == self.busy:
            raise Later("engaged", timedelta(seconds=30))
        if parcel.address == self.lost:
            raise Uncertain("read_timeout")
        self.rung.append(parcel)
        self.said[f"B{len(self.rung)}"] = "rung"
        if parcel.address == self.rings_in_silence:
            raise Uncertain("read_timeout")
        return f"B{len(self.rung)}"

    async def find(self, parcel: Parcel) -> list[str]:
        """What it has rung."""
        return [
            f"B{number}"
            for number, one in enumerate(self.rung, 1)
            if (one.address, one.body) == (parcel.address, parcel.body)
            and one.started_at >= parcel.started_at
        ]

    async def fetch(self, provider_id: str) -> News | None:
        """What came of one."""
        return News(self.said[provider_id], None) if provider_id in self.said else None

    async def close(self) -> None:
        """Nothing to let go of."""
