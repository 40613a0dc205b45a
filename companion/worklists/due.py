"""When something is due next, for a clock that is moved in hops so that things happen in their order."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from sqlalchemy import func, select
from sqlalchemy.orm import Session, contains_eager

from companion.models import CheckIn, Flag, Meeting, Message, Patient, Plan
from companion.use_cases.check_in import give_up_at, remind_at


def next_due(
    db: Session, after: datetime, heard_within: Mapping[str, timedelta] = MappingProxyType({})
) -> datetime | None:
    """The first moment later than `after` at which something happens by itself; None when nothing is to come.

    What was due at `after` or before is the business of the tick for that moment. `heard_within`: by way, how long it is until
    a letter that is not acknowledged goes by the next one.
    """
    return min((moment for moment in _moments(db, after, heard_within) if moment > after), default=None)


def _moments(db: Session, after: datetime, heard_within: Mapping[str, timedelta]) -> Iterator[datetime]:
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
        select(func.min(Meeting.next_at)).where(Meeting.next_at > after),
        select(func.min(Flag.next_step_at)).where(Flag.state != "closed", Flag.next_step_at > after),
    )
    for way, within in heard_within.items():
        unheard = select(func.min(Message.settled_at)).where(
            Message.channel == way,
            Message.state.in_(("accepted", "sent")),
            Message.settled_at > after - within,
        )
        if oldest := db.scalar(unheard):
            yield oldest + within
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
