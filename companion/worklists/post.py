"""How the post stands: what is due, when something was last sent, and the alarm when nothing gets away. Counts only."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from companion.models import CheckIn, Circuit, Heartbeat, Message, Plan

# The dispatcher looks every second; what has lain this long is not just late.
ALARM_AFTER = timedelta(minutes=10)


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
    """How the post stands at this moment; the same for everybody, nothing in it about anybody."""
    letters, oldest_letter = db.execute(
        select(func.count(), func.min(func.coalesce(Message.waiting_since, Message.next_attempt_at))).where(
            Message.state == "queued", or_(Message.next_attempt_at <= now, Message.waiting_since.is_not(None))
        )
    ).one()
    check_ins, oldest_check_in = db.execute(
        select(func.count(), func.min(CheckIn.due_at))
        .join(CheckIn.plan)
        .where(CheckIn.state.in_(("planned", "postponed")), CheckIn.due_at <= now, Plan.state == "active")
    ).one()
    oldest = min(filter(None, (oldest_letter, oldest_check_in)), default=None)
    last_accepted = db.scalar(select(func.max(Heartbeat.accepted_at)))
    lanes = {row.lane: row for row in db.scalars(select(Circuit))}
    circuit, push = lanes.get("batch"), lanes.get("push")
    due = letters + check_ins
    return PostStanding(
        due=due,
        oldest_due=oldest,
        last_accepted=last_accepted,
        circuit=circuit.state if circuit else "closed",
        circuit_since=circuit.since if circuit else None,
        push_refused=push is not None and push.until is not None and push.until > now,
        alarm=_alarm(due, oldest, last_accepted, now),
    )


def _alarm(due: int, oldest: datetime | None, last_accepted: datetime | None, now: datetime) -> Alarm | None:
    if oldest is None:
        return None
    quiet = now - (max(oldest, last_accepted) if last_accepted else oldest)
    return Alarm(due, int(quiet.total_seconds()) // 60) if quiet >= ALARM_AFTER else None
