"""Sign-in: server-side sessions, one-time codes, and the counters that slow guessing down."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from companion.models.base import Base
from companion.models.messages import BigKey
from companion.models.types import BlindIndex


class SignIn(Base):
    """A session on our side of the cookie; the cookie's random id is kept as a hash. `audience`: patient, relative, professional.

    `level` is `companion.rules.access.Level` by name. `ended_at` set means signed out. A `link` session knows only which link was
    opened (`link_token_id`) and nobody's name.
    """

    __tablename__ = "sign_in"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    csrf: Mapped[str] = mapped_column(String(44), index=True)
    audience: Mapped[str] = mapped_column(String(12))
    level: Mapped[str] = mapped_column(String(5))
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patient.id"), index=True)
    relative_id: Mapped[UUID | None] = mapped_column(ForeignKey("relative.id"), index=True)
    professional_id: Mapped[UUID | None] = mapped_column(ForeignKey("professional.id"), index=True)
    unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("unit.id"))
    link_token_id: Mapped[int | None] = mapped_column(ForeignKey("link_token.id"))
    idp_issuer: Mapped[str | None] = mapped_column(String(200))
    idp_sid: Mapped[str | None] = mapped_column(String(200), index=True)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class OneTimeCode(Base):
    """A six-digit sign-in code sent by SMS: at most ten minutes, at most five tries."""

    __tablename__ = "one_time_code"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    phone_index: Mapped[str] = mapped_column(BlindIndex("phone"), index=True)
    code_index: Mapped[str | None] = mapped_column(BlindIndex("one_time_code"))
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id"))
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patient.id"))
    relative_id: Mapped[UUID | None] = mapped_column(ForeignKey("relative.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    used_at: Mapped[datetime | None]


class Attempt(Base):
    """One try at a door, so that guessing slows down. `door`: `typed_code`, `new_link`; `subject_index`: what was tried on."""

    __tablename__ = "attempt"
    __table_args__ = (Index("ix_attempt_subject", "door", "subject_index", "at"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    door: Mapped[str] = mapped_column(String(12))
    subject_index: Mapped[str] = mapped_column(BlindIndex("attempt"))
    at: Mapped[datetime]
