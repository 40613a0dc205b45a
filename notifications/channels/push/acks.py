"""What a person's device tells us: that it has shown a push."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from notifications.heard import keep_event
from notifications.models import Delivery


def keep_ack(db: Session, attempt_id: str, *, now: datetime) -> None:
    """A device says that it has shown a push. Whoever knows the attempt's id was there; of others nothing is kept."""
    pushed = select(Delivery.id).where(Delivery.id == attempt_id[:32], Delivery.channel == "push")
    if known := db.scalar(pushed):
        keep_event(db, f"push:{known}", "delivered", None, known, now)
