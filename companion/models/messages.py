"""Messages: the letters the domain writes. `notifications` words and carries them, and keeps `state` true."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, literal_column, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from companion.models.base import Base
from companion.models.people import Patient, Professional, Relative
from companion.models.types import BlindIndex, Encrypted, JsonEncrypted

if TYPE_CHECKING:
    from companion.models.care import CheckIn
    from companion.models.meetings import Meeting, Participant

MESSAGE_KINDS = (
    "welcome",
    "check_in",
    "reminder",
    "question",
    "question_again",
    "next_question",
    "rest_by_phone",
    "all_answered",
    "meeting",
    "meeting_moved",
    "meeting_cancelled",
    "meeting_coming",
    "meeting_now",
    "meeting_missed",
    "meeting_without_you",
    "sign_in_code",
    "new_link",
    "relative_invited",
    "reply",
    "duty",
    "duty_test",
    "stopped",
    "crisis",
)
MESSAGE_STATES = (
    "queued",
    "sending",
    "accepted",
    "sent",
    "delivered",
    "undelivered",
    "failed",
    "unknown",
    "delivery_unknown",
    "expired",
    "cancelled",
)
BigKey = BigInteger().with_variant(Integer, "sqlite")


class Message(Base):
    """One letter to one person (state machine: `DESIGN.md`, messages).

    A use-case adds the row in its own transaction with `use_cases.message.write`; from then on only `notifications` changes it.
    `not_before` is the earliest moment, `valid_until` the last useful one. Unique by `dedupe_key`.
    `lane`: `code` (somebody waits for it), `duty` (to our own people) or `batch`.
    `next_attempt_at`: when it is tried next; from its claim on, when it was tried last.
    `waiting_since`: the first time it was refused for now, while it is queued again.
    `channel`: the way it goes (`push`, `sms`), chosen when it is first claimed; the next one from the moment it was not heard of.
    `phone` is set only where the letter goes to a number that is no patient's or relative's record (an unknown number).
    `about_id`: the patient whom a letter to a relative, or to a guest at a meeting, is about, where it is about one.
    `professional_id`: whose of us it is, where staff hear of what waits (`models.duty`).
    `participant_id`: the guest at a meeting whom it is for, when they have no record of their own.
    """

    __tablename__ = "message"
    __table_args__ = (
        Index("ix_message_person", "patient_id", "next_attempt_at"),
        Index(
            "ix_message_queued",
            "lane",
            "next_attempt_at",
            postgresql_where=text("state = 'queued'"),
            sqlite_where=text("state = 'queued'"),
        ),
        Index(
            "ix_message_sending",
            "lease_until",
            postgresql_where=text("state = 'sending'"),
            sqlite_where=text("state = 'sending'"),
        ),
        Index(
            "ix_message_underway",
            "settled_at",
            postgresql_where=text("state IN ('accepted', 'sent')"),
            sqlite_where=text("state IN ('accepted', 'sent')"),
        ),
        Index(
            "ix_message_day",
            "lane",
            "next_attempt_at",
            postgresql_where=text("state <> 'queued'"),
            sqlite_where=text("state <> 'queued'"),
        ),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    lane: Mapped[str] = mapped_column(String(5), default="batch")
    dedupe_key: Mapped[str] = mapped_column(String(120), unique=True)
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patient.id"))
    relative_id: Mapped[UUID | None] = mapped_column(ForeignKey("relative.id"), index=True)
    about_id: Mapped[UUID | None] = mapped_column(ForeignKey("patient.id"), index=True)
    professional_id: Mapped[UUID | None] = mapped_column(ForeignKey("professional.id"), index=True)
    check_in_id: Mapped[UUID | None] = mapped_column(ForeignKey("check_in.id"), index=True)
    meeting_id: Mapped[UUID | None] = mapped_column(ForeignKey("meeting.id"), index=True)
    participant_id: Mapped[UUID | None] = mapped_column(ForeignKey("participant.id"), index=True)
    phone: Mapped[str | None] = mapped_column(Encrypted("message.phone"))
    language: Mapped[str] = mapped_column(String(2))
    channel: Mapped[str | None] = mapped_column(String(4))
    params: Mapped[Any] = mapped_column(JsonEncrypted("message.params"))
    created_at: Mapped[datetime]
    not_before: Mapped[datetime]
    valid_until: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16), default="queued")
    next_attempt_at: Mapped[datetime]
    attempt: Mapped[int] = mapped_column(default=0)
    fence: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    waiting_since: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    error_code: Mapped[str | None] = mapped_column(String(16))

    patient: Mapped[Patient | None] = relationship(foreign_keys=[patient_id])
    relative: Mapped[Relative | None] = relationship()
    about: Mapped[Patient | None] = relationship(foreign_keys=[about_id])
    professional: Mapped[Professional | None] = relationship()
    check_in: Mapped["CheckIn | None"] = relationship()
    meeting: Mapped["Meeting | None"] = relationship()
    participant: Mapped["Participant | None"] = relationship()


# Written out, not bound: only then can the database see that a partial index holds all that is wanted.
QUEUED = Message.state == literal_column("'queued'")
LEFT_THE_QUEUE = Message.state != literal_column("'queued'")
UNDERWAY = text("message.state IN ('accepted', 'sent')")


class Circuit(Base):
    """Whether a lane is being emptied: `closed` (it is), `open` (stopped, until `until`) or `probing` (one letter tries it out).

    All dispatchers share the row. One named after a way says that it rests until then.
    `since` is its last change; `failures` counts the probes in a row that failed too.
    """

    __tablename__ = "circuit"

    lane: Mapped[str] = mapped_column(String(5), primary_key=True)
    state: Mapped[str] = mapped_column(String(8), default="closed")
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)


class LinkToken(Base):
    """A link and its typed code, kept as a hash and a blind index (`DESIGN.md`, levels and doors).

    Made when the message is worded, so the words exist only there. Opens nothing but the question for the birth date;
    `tries` counts wrong birth dates and wrong codes together, for its lifetime. `purpose`: `check_in`, `meeting`, `home`.
    """

    __tablename__ = "link_token"
    __table_args__ = (Index("ix_link_token_code", "phone_index", "code_index"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    code_index: Mapped[str | None] = mapped_column(BlindIndex("link_code"))
    phone_index: Mapped[str | None] = mapped_column(BlindIndex("phone"))
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id"), index=True)
    purpose: Mapped[str] = mapped_column(String(10))
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patient.id"), index=True)
    relative_id: Mapped[UUID | None] = mapped_column(ForeignKey("relative.id"))
    check_in_id: Mapped[UUID | None] = mapped_column(ForeignKey("check_in.id"))
    meeting_id: Mapped[UUID | None] = mapped_column(ForeignKey("meeting.id"))
    participant_id: Mapped[UUID | None] = mapped_column(ForeignKey("participant.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    first_opened_at: Mapped[datetime | None]

    patient: Mapped[Patient | None] = relationship()
    relative: Mapped[Relative | None] = relationship()
