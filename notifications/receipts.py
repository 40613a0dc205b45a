"""What we are told of letters under way: kept raw as it came, and applied afterwards by rank; asked for where nothing came."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, exists, func, or_, select, update
from sqlalchemy.orm import Session

from companion.models import Message
from companion.models.messages import UNDERWAY
from companion.rules.delivery_codes import CODES, explain
from companion.use_cases.messages import again
from companion.use_cases.messages import message as letters
from notifications.heard import keep_event
from notifications.models import Delivery, ProviderEvent
from notifications.ways import Ways

KEEP_UNMATCHED = timedelta(days=7)
# What the provider knows of a message beats what we feared or gave up.
_RANK = {
    "queued": 0,
    "sending": 1,
    "unknown": 1,
    "expired": 1,
    "cancelled": 1,
    "accepted": 2,
    "sent": 3,
    "delivery_unknown": 3,
    "undelivered": 4,
    "failed": 4,
    "delivered": 4,
}
NOT_FOUND = "not_found"
_STILL_WANTED = ("queued", "sending", "unknown", "accepted", "sent")
# A handset that could not be reached is tried once more after this long.
RESEND_AFTER = timedelta(minutes=30)
# When we ask what became of a letter, counted from its sending, and when we stop expecting to hear.
POLL_AFTER = (timedelta(minutes=15), timedelta(hours=2), timedelta(hours=24))
WAIT_AT_MOST = timedelta(hours=72)

log = structlog.get_logger()


def apply_events(db: Session, now: datetime, ways: Ways, limit: int = 500) -> int:
    """Lets what the provider said change the messages, in whatever order it came; how many events were used up.

    An event whose message is not known yet (it can overtake our own commit) waits, at most a week.
    """
    known = exists().where(
        or_(Delivery.id == ProviderEvent.delivery_id, Delivery.provider_id == ProviderEvent.provider_id)
    )
    events = db.scalars(
        select(ProviderEvent)
        .where(ProviderEvent.applied_at.is_(None), or_(known, ProviderEvent.at < now - KEEP_UNMATCHED))
        .order_by(ProviderEvent.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    meant = _deliveries(db, events)
    ids = {delivery.message_id for delivery in meant.values() if delivery}
    # In the order everybody else locks them, so that two processes never wait for each other.
    locked = select(Message).where(Message.id.in_(ids)).order_by(Message.id).with_for_update()
    messages = {
        message.id: message for message in db.scalars(locked.execution_options(populate_existing=True))
    }
    for event in events:
        if delivery := meant[event.id]:
            apply_event(db, messages[delivery.message_id], delivery, event, now, ways)
        event.applied_at = now
    return len(events)


def beats(state: str, error_code: str | None, told: str) -> bool:
    """Whether what was told replaces the state: only a higher rank does, and *delivered* after *undelivered*."""
    if state == "failed" and error_code == NOT_FOUND:
        return True
    if state == "undelivered" and told == "delivered":
        return True
    return _RANK[told] > _RANK[state]


def _deliveries(db: Session, events: Sequence[ProviderEvent]) -> dict[int, Delivery | None]:
    """The attempt each event is about: by our own id, else by the provider's."""
    own = {event.delivery_id for event in events if event.delivery_id}
    theirs = {event.provider_id for event in events}
    found = db.scalars(
        select(Delivery).where(or_(Delivery.id.in_(own), Delivery.provider_id.in_(theirs)))
    ).all()
    by_own = {delivery.id: delivery for delivery in found}
    by_theirs = {delivery.provider_id: delivery for delivery in found}
    return {
        event.id: by_own.get(event.delivery_id or "") or by_theirs.get(event.provider_id) for event in events
    }


def apply_event(
    db: Session, message: Message, delivery: Delivery, event: ProviderEvent, now: datetime, ways: Ways
) -> None:
    """Lets one thing the provider said about an attempt change it and its message, if it is news."""
    way = ways.get(delivery.channel)
    told = way.states.get(event.status) if way else None
    if told is None:
        log.warning("unknown_status", status=event.status)
        return
    # Whatever else it says: the provider has it.
    delivery.provider_id = delivery.provider_id or event.provider_id
    if delivery.outcome == "undelivered" and told != "delivered":
        return
    if told in ("undelivered", "failed"):
        _not_delivered(db, message, delivery, event, told, now, ways)
        return
    if delivery.outcome != "accepted":
        delivery.outcome, delivery.finished_at = "accepted", now
    if not beats(message.state, message.error_code, told):
        return
    letters.found(db, message, now)
    if told == "delivered":
        again.arrived(db, message, now)
    tried_last(message, delivery)
    message.state, message.settled_at, message.lease_until = told, now, None
    message.error_code = None


def tried_last(message: Message, delivery: Delivery) -> None:
    """A letter that arrives although it was to be tried again, or not at all, was tried last by this attempt."""
    if message.state in ("queued", "cancelled", "expired"):
        message.next_attempt_at = delivery.started_at


def _not_delivered(
    db: Session,
    message: Message,
    delivery: Delivery,
    event: ProviderEvent,
    told: str,
    now: datetime,
    ways: Ways,
) -> None:
    newer_attempt = delivery.attempt < message.attempt
    if not newer_attempt and not beats(message.state, message.error_code, told):
        delivery.outcome = "accepted"
        return
    code = event.error_code or "unspecified"
    delivery.outcome, delivery.error_code, delivery.finished_at = "undelivered", code, now
    if newer_attempt:
        # Another one is under way or has ended: what became of that one counts.
        return
    if message.state in ("unknown", "delivery_unknown"):
        # In doubt no more: it goes once more, or somebody is told what is certain.
        letters.settle_doubts(db, message.id, now)
    following = ways.next(delivery.channel)
    if following and message.state in _STILL_WANTED:
        by_next_way(message, following, now)
        return
    if code not in CODES:
        log.error("unknown_code", code=code)
    may_resend = _worth_another_try(db, message, code, now)
    message.lease_until, message.error_code = None, code
    if may_resend:
        message.state, message.next_attempt_at, message.waiting_since = "queued", now + RESEND_AFTER, None
        # Our own late "yes" to the earlier attempt says nothing about this one.
        message.fence += 1
        return
    message.state, message.settled_at = told, now
    letters.could_not_deliver(db, message, code, now=now)


def by_next_way(message: Message, way: str, now: datetime) -> None:
    """Queues a letter that one way has not brought for the next one."""
    message.state, message.channel, message.settled_at = "queued", way, None
    message.next_attempt_at, message.waiting_since, message.error_code = now, None, None
    message.lease_until = None
    # A late word about the earlier way says nothing about this one.
    message.fence += 1


def _worth_another_try(db: Session, message: Message, code: str, now: datetime) -> bool:
    """Once, where the handset could not be reached and the letter will still be of use; a code never."""
    if not explain(code).resend or message.lane == "code" or now + RESEND_AFTER >= message.valid_until:
        return False
    if message.state not in ("sending", "unknown", "accepted", "sent"):
        return False
    db.flush()
    tries = select(func.count()).where(Delivery.message_id == message.id, Delivery.outcome == "undelivered")
    return db.scalar(tries) == 1


# --- asking ourselves ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Underway:
    """An attempt of which we have not heard the end."""

    message_id: int
    attempt_id: str
    channel: str
    provider_id: str
    age: timedelta


def to_ask_about(db: Session, now: datetime, limit: int, ways: Collection[str]) -> list[Underway]:
    """Attempts by these ways that the provider took a while ago without telling the end; the longest waiting first."""
    due = or_(
        *(
            and_(Delivery.polled <= times, Delivery.started_at <= now - wait)
            for times, wait in enumerate(POLL_AFTER)
        )
    )
    rows = db.execute(
        select(Delivery.message_id, Delivery.id, Delivery.channel, Delivery.provider_id, Delivery.started_at)
        .join(Message, Message.id == Delivery.message_id)
        .where(
            UNDERWAY,
            Delivery.channel.in_(ways),
            Delivery.outcome == "accepted",
            Delivery.provider_id.is_not(None),
            due,
        )
        .order_by(Delivery.started_at)
        .limit(limit)
    )
    return [
        Underway(message_id, attempt_id, channel, provider_id, now - started_at)
        for message_id, attempt_id, channel, provider_id, started_at in rows
        if provider_id
    ]


def keep_answer(db: Session, asked: Underway, status: str, error_code: str | None, now: datetime) -> None:
    """Keeps what the provider answered (`status` empty: it knows of none), and that we have asked at this age."""
    if status:
        keep_event(db, asked.provider_id, status, error_code, asked.attempt_id, now)
    times = sum(asked.age >= wait for wait in POLL_AFTER)
    db.execute(update(Delivery).where(Delivery.id == asked.attempt_id).values(polled=times))


def stop_waiting(db: Session, now: datetime, limit: int = 500) -> int:
    """Letters of which nothing final is known three days after their last sending: nobody will tell us now; how many."""
    old = Delivery.started_at <= now - WAIT_AT_MOST
    ended = (
        select(Message.id)
        .join(Delivery, and_(Delivery.message_id == Message.id, Delivery.attempt == Message.attempt))
        .where(UNDERWAY, old)
        .limit(limit)
    )
    never_known = (
        select(Message.id)
        .join(Delivery, Delivery.message_id == Message.id)
        .where(Delivery.outcome == "unknown", old, Message.state == "unknown")
        .limit(limit)
    )
    ids = {*db.scalars(ended), *db.scalars(never_known)}
    locked = select(Message).where(Message.id.in_(ids)).order_by(Message.id).with_for_update()
    stopped = 0
    for message in db.scalars(locked.execution_options(populate_existing=True)).all():
        if message.state not in ("accepted", "sent", "unknown"):
            continue
        message.state, message.settled_at, message.lease_until = "delivery_unknown", now, None
        letters.never_confirmed(db, message, now)
        stopped += 1
    db.execute(
        update(Delivery)
        .where(Delivery.message_id.in_(ids), Delivery.outcome == "unknown")
        .values(outcome="given_up", finished_at=now)
        .execution_options(synchronize_session=False)
    )
    return stopped
