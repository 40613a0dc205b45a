"""How the people of a unit hear of what waits for them, and of what each has been told."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from companion.models.base import Base, Identified
from companion.models.flags import Flag
from companion.models.messages import BigKey, Message
from companion.models.people import Professional
from companion.models.types import BlindIndex, Encrypted


class Duty(Base):
    """How one professional wants to hear of cases; without a row not at all.

    `way`: `none`, `push`, `sms` or `mail`. `hours`: `duty` (working days 08–15.30) or `always`.
    """

    __tablename__ = "duty"

    professional_id: Mapped[UUID] = mapped_column(ForeignKey("professional.id"), primary_key=True)
    way: Mapped[str] = mapped_column(String(4))
    phone: Mapped[str | None] = mapped_column(Encrypted("duty.phone"))
    email: Mapped[str | None] = mapped_column(Encrypted("duty.email"))
    hours: Mapped[str] = mapped_column(String(6))
    chosen_at: Mapped[datetime]

    professional: Mapped[Professional] = relationship()


class Told(Base):
    """Somebody is told, by this message, of one step of one case: `what`, and `step` where it can come more than once."""

    __tablename__ = "told"
    __table_args__ = (UniqueConstraint("professional_id", "flag_id", "what", "step"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    professional_id: Mapped[UUID] = mapped_column(ForeignKey("professional.id"))
    flag_id: Mapped[UUID] = mapped_column(ForeignKey("flag.id"), index=True)
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("unit.id"))
    message_id: Mapped[int] = mapped_column(ForeignKey("message.id"), index=True)
    what: Mapped[str] = mapped_column(String(12))
    step: Mapped[str] = mapped_column(String(24))
    at: Mapped[datetime]

    professional: Mapped[Professional] = relationship()
    flag: Mapped[Flag] = relationship()
    message: Mapped[Message] = relationship()


class WorkDevice(Identified, Base):
    """A work phone that takes push; gone when its push service or its person says so."""

    __tablename__ = "work_device"

    professional_id: Mapped[UUID] = mapped_column(ForeignKey("professional.id"), index=True)
    endpoint: Mapped[str] = mapped_column(Encrypted("work_device.endpoint"))
    endpoint_index: Mapped[str] = mapped_column(BlindIndex("push_endpoint"), unique=True)
    p256dh: Mapped[str] = mapped_column(String(120))
    auth: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime]
