"""Everybody invited hears of a meeting; where a letter cannot go, a human is told to ring."""

from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from companion.models import Meeting, Participant
from companion.rules.meetings import USEFUL_AFTER_START
from companion.use_cases.cases import flag
from companion.use_cases.meetings.participants import guest, welcome
from companion.use_cases.messages import message


def tell_guests(db: Session, meeting: Meeting, kind: str, now: datetime) -> None:
    """A message to each guest; whoever takes none must be phoned, so the unit gets a flag instead of silence."""
    untold = [each.name for each in guests(db, meeting, now) if not write(db, each, kind, now)]
    if untold:
        _ring_them(db, meeting, untold, kind, now)


def tell(db: Session, participant: Participant, kind: str, now: datetime) -> None:
    """A message to one guest; whoever takes none must be phoned."""
    if not write(db, participant, kind, now):
        _ring_them(db, participant.meeting, [participant.name], kind, now)


def _ring_them(db: Session, meeting: Meeting, untold: list[str], kind: str, now: datetime) -> None:
    raise_flag(db, meeting, "tell_by_phone", "amber", {"who": ", ".join(untold), "about": kind}, now)


def guests(db: Session, meeting: Meeting, now: datetime) -> list[Participant]:
    """Those who are told by letter, and whose invitation still holds."""
    return [each for each in meeting.participants if not each.professional_id and welcome(db, each, now)]


def write(
    db: Session, participant: Participant, kind: str, now: datetime, *, valid_until: datetime | None = None
) -> bool:
    """One letter about the meeting as it is now; False when the person takes none."""
    meeting = participant.meeting
    written = message.write(
        db,
        kind,
        to=guest(participant),
        now=now,
        params={"when": meeting.starts_at.isoformat(), "who": meeting.host.name},
        meeting=meeting,
        valid_until=valid_until or meeting.starts_at + USEFUL_AFTER_START,
        dedupe_key=f"{kind}:{meeting.id}:{meeting.sequence}:{participant.position}",
    )
    return written is not None


def raise_flag(
    db: Session,
    meeting: Meeting,
    code: str,
    level: Literal["red", "amber"],
    params: dict[str, str],
    now: datetime,
    *,
    quote: str | None = None,
) -> None:
    """One open flag per patient and code; it speaks of the latest. Of guidance, without a patient, the list tells."""
    if meeting.patient is None:
        return
    told = params | {
        "host": meeting.host.name,
        "when": meeting.starts_at.isoformat(),
        "meeting": str(meeting.id),
    }
    raised = flag.raise_flag(
        db, meeting.patient, code=code, level=level, unit=meeting.unit, params=told, now=now
    )
    raised.params, raised.quote = told, quote or raised.quote
    db.flush()
