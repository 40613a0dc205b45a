"""Whether the time suits: one tap by whoever is invited; a no is a task for the host's unit."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid
from companion.library import crisis_words
from companion.models import Flag, FlagEvent, Participant, SignIn
from companion.rules.access import Actor
from companion.rules.meetings import Phase, phase
from companion.rules.triage import crisis_quote
from companion.use_cases.meetings.door import invitation
from companion.use_cases.meetings.happenings import happened, still_standing
from companion.use_cases.meetings.telling import raise_flag

ANSWERS = ("yes", "no", "other")
LONGEST_TEXT = 500


def answer(
    db: Session, door: Actor | SignIn, meeting_id: UUID, said: str, text: str = "", *, now: datetime
) -> Participant:
    """`yes`, `no`, or `other`: another time is asked for, in `text`, in the person's own words. The same again changes nothing.

    Raises `NotFound` as `invitation` does, `Invalid` for `answer`, `text`, and `Conflict` when it was cancelled or is over.
    """
    place = invitation(db, door, meeting_id, now=now)
    written = text.strip()
    if said not in ANSWERS:
        raise Invalid({"answer": "unknown" if said else "missing"})
    if len(written) > LONGEST_TEXT:
        raise Invalid({"text": "too_long"})
    still_standing(place.meeting)
    if phase(place.meeting, now) is Phase.over:
        raise Conflict("over")
    if place.answer == said and not written:
        return place
    place.answer = said
    happened(place.meeting, "answered", now, place, how=said, text=written)
    if said == "yes":
        _suits_after_all(db, place, now)
    else:
        _does_not_suit(db, place, said, written, now)
    db.flush()
    return place


def _does_not_suit(db: Session, place: Participant, said: str, written: str, now: datetime) -> None:
    params = {"who": place.name, "role": place.role, "answer": said}
    raise_flag(db, place.meeting, "meeting_declined", "amber", params, now, quote=written)
    if grave := crisis_quote([written], crisis_words()):
        raise_flag(db, place.meeting, "crisis_words", "red", params, now, quote=grave)


def _suits_after_all(db: Session, place: Participant, now: datetime) -> None:
    """Nobody need ring any more, unless it does not suit somebody else or a colleague has begun."""
    if any(each.answer in ("no", "other") for each in place.meeting.participants):
        return
    open_still = select(Flag).where(
        Flag.patient_id == place.meeting.patient_id, Flag.code == "meeting_declined", Flag.state == "open"
    )
    for raised in db.scalars(open_still).all():
        if (raised.params or {}).get("meeting") == str(place.meeting_id):
            raised.state, raised.closed_at, raised.outcome = "closed", now, "not_needed"
            db.add(FlagEvent(flag_id=raised.id, kind="closed", at=now, outcome="not_needed"))
