"""When something is due next, for a clock that is moved in hops so that things happen in their order."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session, contains_eager

from companion.models import CheckIn, Meeting, Message, Patient, Plan
from companion.use_cases.check_in import give_up_at, remind_at

# Then a push that no device has acknowledged goes as SMS (`notifications.outbox`).
PUSH_IS_HEARD_WITHIN = timedelta(minutes=15)


def next_due(db: Session, after: datetime) -> datetime | None:
    """The first moment later than `after` at which something happens by itself; None when nothing is to come.

    What was due at `after` or before is the business of the tick for that moment.
    """
    return min((moment for moment in _moments(db, after) if moment > after), default=None)


def _moments(db: Session, after: datetime) -> Iterator[datetime]:
    living = (Plan.state == "active", Patient.died_on.is_(None))
    firsts = (
        select(func.min(CheckIn.due_at))
        .join(CheckIn.plan)
        .join(CheckIn.patient)
        .where(CheckIn.state.in_(("planned", "postponed")), CheckIn.due_at > after, *living),
        select(func.min(Message.next_attempt_at)).where(
            Message.state == "queued", Message.next_attempt_at > after
        ),
        select(func.min(Meeting.starts_at)).where(Meeting.state == "offered", Meeting.starts_at > after),
    )
    pushed = select(func.min(Message.settled_at)).where(
        Message.channel == "push",
        Message.state.in_(("accepted", "sent")),
        Message.settled_at > after - PUSH_IS_HEARD_WITHIN,
    )
    if oldest := db.scalar(pushed):
        yield oldest + PUSH_IS_HEARD_WITHIN
    for first in firsts:
        if moment := db.scalar(first):
            yield moment
    asked = (
        select(CheckIn)
        .join(CheckIn.plan)
        .join(CheckIn.patient)
        .where(CheckIn.state == "asked", *living)
        .options(contains_eager(CheckIn.plan), contains_eager(CheckIn.patient))
    )
    for check_in in db.scalars(asked):
        yield from filter(None, (remind_at(check_in), give_up_at(check_in)))
