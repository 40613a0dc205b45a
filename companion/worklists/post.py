"""How the post stands: what is due, when something was last sent, and the alarm when nothing gets away. Counts only."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, func, or_, select, true
from sqlalchemy.orm import Session, aliased

from companion.models import CheckIn, Circuit, Heartbeat, Message, Plan
from companion.models.messages import LEFT_THE_QUEUE, UNDERWAY

# The dispatcher looks every second; what has lain this long is not just late.
ALARM_AFTER = timedelta(minutes=10)
DISPATCHER_SEEN_WITHIN = timedelta(minutes=2)
# A letter of which nothing is heard by then is slow. When a tenth is, of what was heard of or should have been in the last
# quarter of an hour, it is not the phones; fewer than `AT_LEAST_SLOW` may well be.
SLOW_AFTER = timedelta(minutes=5)
LATELY = timedelta(minutes=15)
SLOW_SHARE = 10
AT_LEAST_SLOW = 5
# What is sent later than this after its time was held up by ourselves.
DUE_WITHIN = timedelta(hours=1)


@dataclass(frozen=True)
class Alarm:
    """So many were due, and none was sent for so many minutes."""

    due: int
    minutes: int


@dataclass(frozen=True)
class PostStanding:
    """`due`: letters and check-ins whose time has come. `circuit`: `closed`, `open` or `probing`, since when.

    `resting`: the ways whose provider does not accept who we are, so that letters go by the next way for now. `slow`: so many
    were taken by a provider lately and have not arrived, when that is a tenth or more of all; else 0.
    """

    due: int
    oldest_due: datetime | None
    last_accepted: datetime | None
    circuit: str
    circuit_since: datetime | None
    resting: tuple[str, ...]
    slow: int
    alarm: Alarm | None


def standing(db: Session, now: datetime, by_receipt: Collection[str]) -> PostStanding:
    """How the post stands at this moment, in one query; the same for everybody, nothing in it about anybody.

    `by_receipt`: the ways on which a provider says what has arrived; only there can it be slow.
    """
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
    underway, arrived = _underway(now, by_receipt).subquery(), _arrived(now, by_receipt).subquery()
    # Beside the lane's own row there is one for each way that rests.
    lane, way = aliased(Circuit), aliased(Circuit)
    resting = (
        select(func.aggregate_strings(way.lane, ",").label("ways"))
        .where(way.lane != "batch", way.until > now)
        .subquery()
    )
    found = db.execute(
        select(
            (letters.c.due + check_ins.c.due).label("due"),
            letters.c.oldest.label("oldest_letter"),
            check_ins.c.oldest.label("oldest_check_in"),
            sent.c.last,
            lane.state,
            lane.since,
            resting.c.ways,
            underway.c.slow,
            arrived.c.arrived,
        ).select_from(
            letters.join(check_ins, true())
            .join(sent, true())
            .join(underway, true())
            .join(arrived, true())
            .join(resting, true())
            .outerjoin(lane, lane.lane == "batch")
        )
    ).one()
    oldest = min(filter(None, (found.oldest_letter, found.oldest_check_in)), default=None)
    return PostStanding(
        due=found.due,
        oldest_due=oldest,
        last_accepted=found.last,
        circuit=found.state or "closed",
        circuit_since=found.since,
        resting=tuple(sorted(found.ways.split(","))) if found.ways else (),
        slow=_slow(found.slow, found.arrived),
        alarm=_alarm(found.due, oldest, found.last, now),
    )


def _underway(now: datetime, ways: Collection[str]) -> Select[int]:
    return select(func.count().label("slow")).where(
        UNDERWAY,
        Message.channel.in_(ways),
        Message.settled_at > now - LATELY,
        Message.settled_at <= now - SLOW_AFTER,
    )


def _arrived(now: datetime, ways: Collection[str]) -> Select[int]:
    return select(func.count().label("arrived")).where(
        LEFT_THE_QUEUE,
        Message.lane.in_(("batch", "code", "duty")),
        Message.next_attempt_at > now - DUE_WITHIN,
        Message.state == "delivered",
        Message.channel.in_(ways),
        Message.settled_at > now - LATELY,
    )


def _slow(underway: int, arrived: int) -> int:
    enough = underway >= AT_LEAST_SLOW and underway * SLOW_SHARE >= underway + arrived
    return underway if enough else 0


def _alarm(due: int, oldest: datetime | None, last_accepted: datetime | None, now: datetime) -> Alarm | None:
    if oldest is None:
        return None
    quiet = now - (max(oldest, last_accepted) if last_accepted else oldest)
    return Alarm(due, int(quiet.total_seconds()) // 60) if quiet >= ALARM_AFTER else None
