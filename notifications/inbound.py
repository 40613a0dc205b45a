"""SMS that came in: kept raw when they came, handed to the domain here."""

from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.use_cases.reply import receive
from notifications.models import Inbound

log = structlog.get_logger()


def handle(db: Session, now: datetime, limit: int = 100) -> int:
    """Lets the domain act on those not handled yet, in the order they came; how many."""
    waiting = db.scalars(
        select(Inbound)
        .where(Inbound.handled_at.is_(None))
        .order_by(Inbound.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    handled = 0
    for inbound in waiting:
        try:
            with db.begin_nested():
                receive(db, inbound.phone, inbound.body, now=now)
                inbound.handled_at = now
            handled += 1
        except Exception as error:
            # It stays, and is tried again; a STOP from somebody else must not wait behind it.
            log.error("inbound_failed", inbound=inbound.id, error=type(error).__name__)
    return handled
