"""The audit log: who saw or did what with whose data, as a chain in which a broken link shows."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from companion.models.base import Base
from companion.models.messages import BigKey


class AuditEvent(Base):
    """One access. No names, no health information: opaque ids only. Written by `keeping.privacy.record_access`."""

    __tablename__ = "audit_event"
    __table_args__ = (Index("ix_audit_event_patient", "patient_id", "at"),)

    seq: Mapped[int] = mapped_column(BigKey, primary_key=True)
    at: Mapped[datetime]
    actor_kind: Mapped[str] = mapped_column(String(12))
    actor_id: Mapped[UUID | None]
    unit_id: Mapped[UUID | None]
    level: Mapped[str] = mapped_column(String(5))
    patient_id: Mapped[UUID | None]
    action: Mapped[str] = mapped_column(String(40))
    object: Mapped[str] = mapped_column(String(80), default="")
    purpose: Mapped[str] = mapped_column(String(40), default="")
    request_id: Mapped[str] = mapped_column(String(36), default="")
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)


class DemoClock(Base):
    """How far the demo's clock has been moved; one row, only in `--demo`."""

    __tablename__ = "demo_clock"

    id: Mapped[int] = mapped_column(primary_key=True)
    shift_seconds: Mapped[int] = mapped_column(default=0)


class Heartbeat(Base):
    """The dispatcher was here: real time for `/readyz`, its own (perhaps shifted) time for the demo clock to wait for.

    `accepted_at` is when a provider last took a letter, in the dispatcher's own time.
    """

    __tablename__ = "heartbeat"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    at: Mapped[datetime]
    ticked_for: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
