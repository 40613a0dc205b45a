"""What came of a meeting: held, and how, or not, and why; what nobody came to reaches a human."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid
from companion.models import Flag, FlagEvent, Meeting
from companion.rules.access import Actor
from companion.rules.meetings import Phase, phase
from companion.use_cases.cases import flag
from companion.use_cases.meetings.happenings import asked_to_be_called, came, happened, was_in
from companion.use_cases.meetings.participants import of_my_unit
from companion.use_cases.meetings.telling import raise_flag, write

HELD = ("video", "audio", "phone")
NOT_HELD = ("no_show", "ill", "technical", "other")
LONGEST_TEXT = 1000
KIND_WORD_HELPS = timedelta(days=2)
# What a meeting that was held leaves nothing of; all of it speaks of one meeting.
SETTLED_BY_HOLDING = ("call_me", "no_show", "not_let_in", "meeting_unsettled", "meeting_declined")
SETTLED_BY_KNOWING = ("no_show", "meeting_unsettled")


def record(
    db: Session, who: Actor, meeting_id: UUID, outcome: str, text: str = "", *, now: datetime
) -> Meeting:
    """How it was held (`HELD`) or why not (`NOT_HELD`); written anew it replaces what stood. The same again changes nothing.

    Held, it settles *Ring meg*. Not come: a case, and a kind message. Raises `Invalid` for `outcome`, `text`; `Conflict` for one
    that was `cancelled`, or has not begun (`early`).
    """
    if outcome not in (*HELD, *NOT_HELD):
        raise Invalid({"outcome": "unknown" if outcome else "missing"})
    if len(text.strip()) > LONGEST_TEXT:
        raise Invalid({"text": "too_long"})
    meeting = of_my_unit(db, who, meeting_id)
    if (where := phase(meeting, now)) in (Phase.cancelled, Phase.early):
        raise Conflict(where.value)
    if meeting.outcome == outcome and not text.strip():
        return meeting
    known_before = meeting.outcome
    meeting.state, meeting.outcome, meeting.next_at = "ended", outcome, None
    happened(meeting, "outcome", now, how=outcome, by=who, text=text.strip())
    settle(db, who, meeting, SETTLED_BY_HOLDING if outcome in HELD else SETTLED_BY_KNOWING, now)
    if outcome == "no_show" and known_before != "no_show" and meeting.patient:
        _nobody_came(db, meeting, now)
    db.flush()
    return meeting


def suggested(meeting: Meeting) -> str:
    """What it looks like from here: who came, and who asked to be phoned."""
    if asked_to_be_called(meeting):
        return "phone"
    host, *others = meeting.participants
    if any(was_in(each) for each in others if each.patient_id or meeting.patient is None):
        return "video"
    return "no_show" if was_in(host) and not any(came(each) for each in others) else ""


def close_door(db: Session, meeting: Meeting, now: datetime) -> None:
    """The door is shut and nobody has written what came of it: whoever waited in vain, or did not come, reaches a human."""
    if meeting.outcome or meeting.state == "cancelled" or asked_to_be_called(meeting):
        return
    if meeting.patient is None:
        return
    patient = next(each for each in meeting.participants if each.role == "patient")
    host_came = was_in(next(each for each in meeting.participants if each.role == "therapist"))
    if host_came and not came(patient):
        meeting.outcome = "no_show"
        happened(meeting, "outcome", now, how="no_show")
        _nobody_came(db, meeting, now)
    elif not host_came and came(patient):
        raise_flag(db, meeting, "not_let_in", "red", {}, now)
    elif not host_came:
        raise_flag(db, meeting, "meeting_unsettled", "amber", {}, now)


def settle(db: Session, who: Actor, meeting: Meeting, codes: Iterable[str], now: datetime) -> None:
    """Closes what was raised about this meeting; where a colleague has the case, they read there what happened."""
    raised = db.scalars(
        select(Flag).where(
            Flag.patient_id == meeting.patient_id, Flag.code.in_(tuple(codes)), Flag.state != "closed"
        )
    ).all()
    for one in raised:
        if (one.params or {}).get("meeting") != str(meeting.id):
            continue
        if one.claimed_by_id in (None, who.id):
            flag.close(db, who, one.id, "helped" if meeting.outcome in HELD else "not_needed", now=now)
        else:
            noted = f"meeting:{meeting.outcome or meeting.state}"
            db.add(FlagEvent(flag_id=one.id, kind="contact", at=now, by_id=who.id, outcome=noted))
    db.flush()


def _nobody_came(db: Session, meeting: Meeting, now: datetime) -> None:
    """A case, so that somebody rings; and a word to the patient that this is all right."""
    raise_flag(db, meeting, "no_show", "amber", {}, now)
    patient = next(each for each in meeting.participants if each.role == "patient")
    if patient.patient and patient.patient.died_on is None:
        write(db, patient, "meeting_missed", now, valid_until=now + KIND_WORD_HELPS)
