"""How the post stands, in numbers."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from companion.models import Message
from companion.models.messages import MESSAGE_STATES
from notifications.models import Inbound


def count_by_state(db: Session) -> dict[str, int]:
    """How many messages are in each state; states without any are 0."""
    found = dict(db.execute(select(Message.state, func.count()).group_by(Message.state)).all())
    return {state: found.get(state, 0) for state in MESSAGE_STATES}


def failing_replies(db: Session) -> int:
    """How many SMS that came in have failed to be handled, and wait to be tried again."""
    waiting = select(func.count()).where(Inbound.handled_at.is_(None), Inbound.tries > 0)
    return db.scalar(waiting) or 0
