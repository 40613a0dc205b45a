"""The tick: everybody invited is reminded the day before and half an hour before; afterwards it is seen who came.

What was to be said at a moment when nobody looked is said later only if it still helps, and never together with the next.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.models import Meeting
from companion.rules.meetings import USEFUL_AFTER_START, half_an_hour_before, next_step_at, step_due
from companion.use_cases.meetings.outcome import close_door
from companion.use_cases.meetings.telling import guests, write

BATCH = 100


def step(db: Session, now: datetime, limit: int = BATCH) -> int:
    """What is due at meetings happens; says at how many."""
    due = db.scalars(
        select(Meeting)
        .where(Meeting.next_at <= now)
        .order_by(Meeting.next_at, Meeting.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Meeting)
        .execution_options(populate_existing=True)
    ).all()
    for meeting in due:
        _happen(db, meeting, now)
        meeting.next_at = next_step_at(meeting, now)
    db.flush()
    return len(due)


def _happen(db: Session, meeting: Meeting, now: datetime) -> None:
    what = step_due(meeting, now)
    if what == "close":
        close_door(db, meeting, now)
    elif what != "wait" and meeting.state == "offered":
        _remind(db, meeting, what, now)


def _remind(db: Session, meeting: Meeting, kind: str, now: datetime) -> None:
    """A letter to each who is still invited and has not said that it does not suit.

    Whoever takes no letters was phoned when the meeting was offered.
    """
    begins = meeting.starts_at
    useful = half_an_hour_before(begins) if kind == "meeting_coming" else begins + USEFUL_AFTER_START
    for participant in guests(db, meeting, now):
        if participant.answer not in ("no", "other"):
            write(db, participant, kind, now, valid_until=useful)
