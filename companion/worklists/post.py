"""How the post stands: what is due, when something was last sent, and the alarm when nothing gets away. Counts only."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, true
from sqlalchemy.orm import Session, aliased

from companion.models import CheckIn, Circuit, Heartbeat, Message, Plan

# The dispatcher looks every second; what has lain this long is not just late.
ALARM_AFTER = timedelta(minutes=10)
DISPATCHER_SEEN_WITHIN = timedelta(minutes=2)


@dataclass(frozen=True)
class Alarm:
    """So many were due, and none was sent for so many minutes."""

    due: int
    minutes: int


@dataclass(frozen=True)
class PostStanding:
    """`due`: letters and check-ins whose time has come. `circuit`: `closed`, `open` or `probing`, since when.

    `push_refused`: a push service does not accept our key, so everything goes by SMS for now.
    """

    due: int
    oldest_due: datetime | None
    last_accepted: datetime | None
    circuit: str
    circuit_since: datetime | None
    push_refused: bool
    alarm: Alarm | None


def standing(db: Session, now: datetime) -> PostStanding:
    """How the post stands at this moment, in one query; the same for everybody, nothing in it about anybody."""
    letters = (
        select(
            func.count().label("due"),
            func.min(func.coalesce(Message.waiting_since, Message.next_attempt_at)).label("oldest"),
        )
        .where(
            Message.state == "queued", or_(Message.next_attempt_at <= now, Message.waiting_since.is_not(None))
        )
        .subquery()
    )
    check_ins = (
        select(func.count().label("due"), func.min(CheckIn.due_at).label("oldest"))
        .join(CheckIn.plan)
        .where(CheckIn.state.in_(("planned", "postponed")), CheckIn.due_at <= now, Plan.state == "active")
        .subquery()
    )
    sent = select(func.max(Heartbeat.accepted_at).label("last")).subquery()
    batch, push = aliased(Circuit), aliased(Circuit)
    found = db.execute(
        select(
            letters.c.due + check_ins.c.due,
            letters.c.oldest,
            check_ins.c.oldest,
            sent.c.last,
            batch.state,
            batch.since,
            push.until,
        ).select_from(
            letters.join(check_ins, true())
            .join(sent, true())
            .outerjoin(batch, batch.lane == "batch")
            .outerjoin(push, push.lane == "push")
        )
    ).one()
    due, oldest_letter, oldest_check_in, last_accepted, circuit, circuit_since, push_stopped_until = found
    oldest = min(filter(None, (oldest_letter, oldest_check_in)), default=None)
    return PostStanding(
        due=due,
        oldest_due=oldest,
        last_accepted=last_accepted,
        circuit=circuit or "closed",
        circuit_since=circuit_since,
        push_refused=push_stopped_until is not None and push_stopped_until > now,
        alarm=_alarm(due, oldest, last_accepted, now),
    )


def _alarm(due: int, oldest: datetime | None, last_accepted: datetime | None, now: datetime) -> Alarm | None:
    if oldest is None:
        return None
    quiet = now - (max(oldest, last_accepted) if last_accepted else oldest)
    return Alarm(due, int(quiet.total_seconds()) // 60) if quiet >= ALARM_AFTER else None
