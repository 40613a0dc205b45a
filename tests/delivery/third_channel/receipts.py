"""What the bells' service tells us."""

from datetime import datetime

from sqlalchemy.orm import Session

from notifications import heard


def keep(db: Session, attempt_id: str, status: str, *, now: datetime) -> None:
    """Keeps what came of a ringing."""
    heard.keep_event(db, f"bell:{attempt_id}", status, None, attempt_id, now)
