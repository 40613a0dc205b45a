"""What came in, kept raw and once: what is said about an attempt, and the SMS people write. It is acted on afterwards."""

from datetime import datetime
from hashlib import sha256

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from companion.models.base import Base
from notifications.models import Inbound, ProviderEvent

LONGEST_INBOUND = 1600


def keep_event(
    db: Session, provider_id: str, status: str, code: str | None, attempt_id: str | None, now: datetime
) -> None:
    """Keeps what was said about an attempt, once however often it is said."""
    provider_id, status, code = provider_id[:64], status[:20], code[:16] if code else None
    said = "\0".join((provider_id, status, code or "", attempt_id or ""))
    _add_once(
        db,
        ProviderEvent,
        "digest",
        delivery_id=attempt_id[:32] if attempt_id else None,
        provider_id=provider_id,
        status=status,
        error_code=code,
        at=now,
        digest=sha256(said.encode()).hexdigest(),
    )


def keep_inbound(
    db: Session, provider_id: str, phone: str, body: str, *, obeyed: str | None = None, now: datetime
) -> None:
    """Keeps an SMS that came in, once per provider id. `obeyed`: `stop` or `start`, when the provider has done so by itself."""
    _add_once(
        db,
        Inbound,
        "provider_id",
        provider_id=provider_id[:64],
        phone=phone[:20],
        phone_index=phone[:20],
        body=body[:LONGEST_INBOUND],
        obeyed=obeyed,
        at=now,
    )


def plain(said: str | None) -> str:
    """Text that came in, as every database can keep it."""
    # A zero character is more than PostgreSQL can keep.
    return (said or "").replace("\0", "")


def _add_once(db: Session, table: type[Base], unique: str, **values: object) -> None:
    """One statement, so that the same thing arriving twice at once is neither an error nor a second row."""
    dialect = postgresql if db.get_bind().dialect.name == "postgresql" else sqlite
    db.execute(dialect.insert(table).values(**values).on_conflict_do_nothing(index_elements=[unique]))
