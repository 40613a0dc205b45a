"""Programs that hand in discharges: their accounts, and what each request was answered, for when it comes again."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from companion.models.base import Base, Identified
from companion.models.places import Unit
from companion.models.types import BlindIndex


class Integration(Identified, Base):
    """A program's account, with the wards it may discharge from. The token is kept as a hash; `revoked_at` shuts it."""

    __tablename__ = "integration"

    name: Mapped[str] = mapped_column(String(60), unique=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    wards: Mapped[list[Unit]] = relationship(secondary="integration_ward", order_by=Unit.key)


class IntegrationWard(Base):
    """A ward the program may discharge from."""

    __tablename__ = "integration_ward"

    integration_id: Mapped[UUID] = mapped_column(ForeignKey("integration.id"), primary_key=True)
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("unit.id"), primary_key=True)


class HandedIn(Identified, Base):
    """A request that was carried out, by its `Idempotency-Key`: the fingerprint of what was sent, and the answer it got."""

    __tablename__ = "handed_in"
    __table_args__ = (UniqueConstraint("integration_id", "key"),)

    integration_id: Mapped[UUID] = mapped_column(ForeignKey("integration.id"))
    key: Mapped[str] = mapped_column(String(200))
    # Keyed, since what was sent holds national ids.
    sent_index: Mapped[str] = mapped_column(BlindIndex("handed_in"))
    answer: Mapped[dict[str, Any]] = mapped_column(JSON)
    at: Mapped[datetime]
