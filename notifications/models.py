"""Records of the carrying: attempts, devices that take push, what came in, and what the provider told us."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from companion.models.base import Base, Identified
from companion.models.messages import BigKey
from companion.models.types import BlindIndex, Encrypted


class Delivery(Base):
    """One attempt to carry one message. `id` is random: it stands in the callback address as our attempt id.

    `outcome`: empty while in flight, then `accepted`, `not_processed`, `failed`, `unknown`, `not_found` (it never left),
    `undelivered` (told so afterwards) or `given_up` (72 hours without a word). `polled` counts the times we have asked
    what became of it. `body` is what was sent, kept so that an uncertain attempt can be recognised at the provider;
    wiped seven days after the end.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("message_id", "attempt"),
        Index(
            "ix_delivery_unknown",
            "started_at",
            postgresql_where=text("outcome = 'unknown'"),
            sqlite_where=text("outcome = 'unknown'"),
        ),
        Index(
            "ix_delivery_body",
            "finished_at",
            postgresql_where=text("body IS NOT NULL"),
            sqlite_where=text("body IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("message.id"))
    attempt: Mapped[int]
    fence: Mapped[int]
    channel: Mapped[str] = mapped_column(String(8))
    address: Mapped[str] = mapped_column(Encrypted("delivery.address"))
    body: Mapped[str | None] = mapped_column(Encrypted("delivery.body"))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(16))
    provider_id: Mapped[str | None] = mapped_column(String(64), index=True)
    error_code: Mapped[str | None] = mapped_column(String(16))
    reconciled: Mapped[int] = mapped_column(default=0)
    polled: Mapped[int] = mapped_column(default=0)


class ProviderEvent(Base):
    """What the provider told us about an attempt, as it came; applied afterwards, by rank."""

    __tablename__ = "provider_event"
    __table_args__ = (
        Index(
            "ix_provider_event_new",
            "id",
            postgresql_where=text("applied_at IS NULL"),
            sqlite_where=text("applied_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    delivery_id: Mapped[str | None] = mapped_column(String(32), index=True)
    provider_id: Mapped[str] = mapped_column(String(64), index=True)
    status: Mapped[str] = mapped_column(String(20))
    error_code: Mapped[str | None] = mapped_column(String(16))
    at: Mapped[datetime]
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    applied_at: Mapped[datetime | None]


class Inbound(Base):
    """An SMS that came in, once per provider id; answered or passed on afterwards.

    `tries` counts the times that failed; `next_try_at` is when it is tried again. `obeyed`: `stop` or `start`, when the provider
    has read it as that by itself.
    """

    __tablename__ = "inbound"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    provider_id: Mapped[str] = mapped_column(String(64), unique=True)
    phone: Mapped[str] = mapped_column(Encrypted("inbound.phone"))
    phone_index: Mapped[str] = mapped_column(BlindIndex("phone"), index=True)
    body: Mapped[str] = mapped_column(Encrypted("inbound.body"))
    obeyed: Mapped[str | None] = mapped_column(String(5))
    at: Mapped[datetime]
    handled_at: Mapped[datetime | None] = mapped_column(index=True)
    tries: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None]


class PushSubscription(Identified, Base):
    """A device that takes push, after the person asked for it; deleted when its push service says that it is gone.

    `seen_at`: the last time the device itself told us that it is still there.
    """

    __tablename__ = "push_subscription"

    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    endpoint: Mapped[str] = mapped_column(Encrypted("push_subscription.endpoint"))
    endpoint_index: Mapped[str] = mapped_column(BlindIndex("push_endpoint"), unique=True)
    p256dh: Mapped[str] = mapped_column(String(120))
    auth: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class SandboxMessage(Base):
    """What an invented handset received or wrote (channel `sandbox`; only in demo and tests)."""

    __tablename__ = "sandbox_message"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    provider_id: Mapped[str | None] = mapped_column(String(64))
    number: Mapped[str] = mapped_column(String(20), index=True)
    direction: Mapped[str] = mapped_column(String(3))
    channel: Mapped[str] = mapped_column(String(4))
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime]
