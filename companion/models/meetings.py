"""Video meetings: when, who is invited, and who came in when and how."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from companion.models.base import Base, Identified
from companion.models.people import Patient, Professional, Relative
from companion.models.places import Unit
from companion.models.types import Encrypted
from companion.rules.names import called

GUEST_ROLES = ("interpreter", "partner", "guest")
MEETING_KINDS = ("follow_up", "mid_stay", "discharge", "guidance")


class Meeting(Identified, Base):
    """A meeting offered to a patient or, without one, guidance between professionals.

    `state`: `offered`, `cancelled`, `ended`. `sequence` counts changes of time (RFC 5545).
    `next_at`: when something happens by itself next (a reminder; nobody came). `outcome`: how it was held (`video`, `audio`,
    `phone`) or why not (`no_show`, `ill`, `technical`, `other`); the event says who wrote so.
    """

    __tablename__ = "meeting"

    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patient.id"), index=True)
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("unit.id"), index=True)
    host_id: Mapped[UUID] = mapped_column(ForeignKey("professional.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10), default="follow_up")
    starts_at: Mapped[datetime] = mapped_column(index=True)
    minutes: Mapped[int] = mapped_column(default=30)
    state: Mapped[str] = mapped_column(String(10), default="offered")
    sequence: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    next_at: Mapped[datetime | None] = mapped_column(index=True)
    outcome: Mapped[str | None] = mapped_column(String(12))

    patient: Mapped[Patient | None] = relationship()
    unit: Mapped[Unit] = relationship()
    host: Mapped[Professional] = relationship()
    participants: Mapped[list["Participant"]] = relationship(
        back_populates="meeting",
        order_by="Participant.position",
        primaryjoin="and_(Meeting.id == Participant.meeting_id, Participant.removed_at.is_(None))",
    )
    everybody: Mapped[list["Participant"]] = relationship(viewonly=True, order_by="Participant.position")
    events: Mapped[list["MeetingEvent"]] = relationship(order_by="(MeetingEvent.at, MeetingEvent.id)")


class Participant(Identified, Base):
    """Somebody invited, with a role: `patient`, `therapist` (the host), `relative`, `professional`, or one of `GUEST_ROLES`.

    These come by the link in an SMS alone; their name and number are known only here. `unit_id`: where a professional
    who was invited works, when that is not the meeting's unit. `removed_at`: since when the person need not come after all.
    `answer`: whether the time suits, `yes`, `no` or `other` (another time is asked for); none until answered, and after a move.
    """

    __tablename__ = "participant"

    meeting_id: Mapped[UUID] = mapped_column(ForeignKey("meeting.id"), index=True)
    position: Mapped[int]
    role: Mapped[str] = mapped_column(String(12))
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patient.id"))
    relative_id: Mapped[UUID | None] = mapped_column(ForeignKey("relative.id"), index=True)
    professional_id: Mapped[UUID | None] = mapped_column(ForeignKey("professional.id"), index=True)
    admitted_at: Mapped[datetime | None]
    answer: Mapped[str | None] = mapped_column(String(5))
    unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("unit.id"))
    guest_name: Mapped[str | None] = mapped_column(Encrypted("participant.guest_name"))
    guest_phone: Mapped[str | None] = mapped_column(Encrypted("participant.guest_phone"))
    removed_at: Mapped[datetime | None]

    meeting: Mapped[Meeting] = relationship(back_populates="participants", foreign_keys=[meeting_id])
    patient: Mapped[Patient | None] = relationship()
    relative: Mapped[Relative | None] = relationship()
    professional: Mapped[Professional | None] = relationship()

    @property
    def name(self) -> str:
        """The name the others see."""
        person = self.patient or self.relative or self.professional
        return person.name if person else self.guest_name or ""

    @property
    def first_name(self) -> str:
        """What the person is called."""
        person = self.patient or self.relative or self.professional
        return person.first_name if person else called(self.guest_name or "") or self.name

    @property
    def phone(self) -> str | None:
        """The number to ring."""
        person = self.patient or self.relative or self.professional
        return person.phone if person else self.guest_phone

    @property
    def is_host(self) -> bool:
        """Who invites, and lets in."""
        return self.professional_id is not None and self.professional_id == self.meeting.host_id

    @property
    def knows_whose(self) -> bool:
        """Whether the person may know whom the meeting is about before they are let in: not who only comes by a link."""
        return self.guest_phone is None


class MeetingEvent(Identified, Base):
    """What happened around a meeting: `offered`, `moved`, `cancelled`, `waiting`, `admitted`, `left`, `call_me`, `ended`,
    `answered`, `outcome`, `added`, `removed`; `how` and `text` say more, `by` is the professional who did it.
    """

    __tablename__ = "meeting_event"

    meeting_id: Mapped[UUID] = mapped_column(ForeignKey("meeting.id"), index=True)
    participant_id: Mapped[UUID | None] = mapped_column(ForeignKey("participant.id"))
    kind: Mapped[str] = mapped_column(String(10))
    how: Mapped[str | None] = mapped_column(String(12))
    by_id: Mapped[UUID | None] = mapped_column(ForeignKey("professional.id"))
    text: Mapped[str | None] = mapped_column(Encrypted("meeting_event.text"))
    at: Mapped[datetime]

    by: Mapped[Professional | None] = relationship()


class CalendarFeed(Identified, Base):
    """The address by which somebody's calendar fetches their meetings; the secret in it is kept as a hash."""

    __tablename__ = "calendar_feed"

    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patient.id"), index=True)
    relative_id: Mapped[UUID | None] = mapped_column(ForeignKey("relative.id"), index=True)
    professional_id: Mapped[UUID | None] = mapped_column(ForeignKey("professional.id"), index=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
