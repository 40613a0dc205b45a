"""SMS that came in: kept raw when they came, handed to the domain here."""

from datetime import datetime, timedelta
from typing import Literal, Protocol, cast

import structlog
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from companion.use_cases.replies import heard as reply
from notifications.models import Inbound

# How long after each failure it is tried again; the last one goes on for ever.
TRY_AGAIN_AFTER = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))

log = structlog.get_logger()


class Act(Protocol):
    """What the domain does about an SMS."""

    def __call__(self, db: Session, phone: str, text: str, *, said_at: datetime, now: datetime) -> bool: ...


def handle(db: Session, now: datetime, limit: int = 100, act: Act = reply.receive) -> int:
    """Lets the domain act on those not handled yet, in the order they came; how many.

    One that fails waits, and lets the others by. When it has failed for long, a human gets it as it stands.
    """
    waiting = db.scalars(
        select(Inbound)
        .where(Inbound.handled_at.is_(None), or_(Inbound.next_try_at.is_(None), Inbound.next_try_at <= now))
        .order_by(Inbound.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    return sum(_handled(db, inbound, now, act) for inbound in waiting)


def _handled(db: Session, inbound: Inbound, now: datetime, act: Act) -> bool:
    try:
        with db.begin_nested():
            if not _acted(db, inbound, now, act):
                log.error("grave_words_from_unknown_number", inbound=inbound.id)
        inbound.handled_at = now
        return True
    except Exception as error:
        inbound.tries += 1
        inbound.next_try_at = now + TRY_AGAIN_AFTER[min(inbound.tries, len(TRY_AGAIN_AFTER)) - 1]
        log.error("inbound_failed", inbound=inbound.id, tries=inbound.tries, error=type(error).__name__)
    return inbound.tries >= len(TRY_AGAIN_AFTER) and _handed_over(db, inbound, now)


def _acted(db: Session, inbound: Inbound, now: datetime, act: Act) -> bool:
    if not inbound.obeyed:
        return act(db, inbound.phone, inbound.body, said_at=inbound.at, now=now)
    obeyed = cast(Literal["stop", "start"], inbound.obeyed)
    return reply.receive(db, inbound.phone, inbound.body, said_at=inbound.at, now=now, obeyed=obeyed)


def _handed_over(db: Session, inbound: Inbound, now: datetime) -> bool:
    try:
        with db.begin_nested():
            if not reply.hand_over(db, inbound.phone, inbound.body, now=now):
                return False
        inbound.handled_at = now
        return True
    except Exception as error:
        # Nobody in the house can be told: whoever reads the log has to be.
        log.critical("inbound_reaches_nobody", inbound=inbound.id, error=type(error).__name__)
        return False
