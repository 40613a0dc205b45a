"""Patients, relatives and professionals. What points at a person is sealed; look-ups go by blind index."""

from datetime import date, datetime, time
from uuid import UUID

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from companion.models.base import Base, Identified
from companion.models.places import Municipality, Unit
from companion.models.types import BlindIndex, Encrypted
from companion.rules.names import called


class Patient(Identified, Base):
    """Somebody who goes home.

    `contact_by`: `sms`, `push` or `call` (no messages: a human phones). `phone_state`: `ok`, `dead`, `landline`, `opted_out`.
    `name` is shown whole; `given_name` and `family_name` are empty where nobody can know which is which.
    `birth_date` is ISO text, sealed; it is what a link asks for. `sms_agreed_at`: since when the person has agreed to
    answer check-ins by SMS itself, one question a message; the access log says with whom.
    """

    __tablename__ = "patient"

    name: Mapped[str] = mapped_column(Encrypted("patient.name"))
    given_name: Mapped[str | None] = mapped_column(Encrypted("patient.given_name"))
    family_name: Mapped[str | None] = mapped_column(Encrypted("patient.family_name"))
    national_id: Mapped[str] = mapped_column(Encrypted("patient.national_id"))
    national_id_index: Mapped[str] = mapped_column(BlindIndex("national_id"), unique=True)
    birth_date: Mapped[str] = mapped_column(Encrypted("patient.birth_date"))
    phone: Mapped[str | None] = mapped_column(Encrypted("patient.phone"))
    phone_index: Mapped[str | None] = mapped_column(BlindIndex("phone"), index=True)
    phone_state: Mapped[str] = mapped_column(String(12), default="ok")
    contact_by: Mapped[str] = mapped_column(String(8), default="sms")
    sms_agreed_at: Mapped[datetime | None]
    language: Mapped[str] = mapped_column(String(2), default="nb")
    municipality_number: Mapped[str] = mapped_column(ForeignKey("municipality.number"), index=True)
    hour: Mapped[time | None]
    died_on: Mapped[date | None]
    color_scheme: Mapped[str] = mapped_column(String(5), default="auto")
    text_size: Mapped[str] = mapped_column(String(2), default="md")
    created_at: Mapped[datetime]

    municipality: Mapped[Municipality] = relationship()

    @property
    def first_name(self) -> str:
        """What we call the person when speaking of them: the whole name where nobody can know the given one."""
        return called(self.name) or self.name

    @property
    def greeted_as(self) -> str:
        """What we call the person to their face; empty where nobody can know."""
        return called(self.name)

    @property
    def born(self) -> date:
        """Birth date."""
        return date.fromisoformat(self.birth_date)


class Relative(Identified, Base):
    """Somebody close to a patient; sees only what a grant opens (`models.grants`)."""

    __tablename__ = "relative"

    name: Mapped[str] = mapped_column(Encrypted("relative.name"))
    national_id: Mapped[str | None] = mapped_column(Encrypted("relative.national_id"))
    national_id_index: Mapped[str | None] = mapped_column(BlindIndex("national_id"), unique=True)
    birth_date: Mapped[str | None] = mapped_column(Encrypted("relative.birth_date"))
    phone: Mapped[str | None] = mapped_column(Encrypted("relative.phone"))
    phone_index: Mapped[str | None] = mapped_column(BlindIndex("phone"), index=True)
    phone_state: Mapped[str] = mapped_column(String(12), default="ok")
    language: Mapped[str] = mapped_column(String(2), default="nb")
    color_scheme: Mapped[str] = mapped_column(String(5), default="auto")
    text_size: Mapped[str] = mapped_column(String(2), default="md")
    created_at: Mapped[datetime]

    @property
    def first_name(self) -> str:
        """What we call the person when speaking of them: the whole name where nobody can know the given one."""
        return called(self.name) or self.name

    @property
    def greeted_as(self) -> str:
        """What we call the person to their face; empty where nobody can know."""
        return called(self.name)


class Professional(Identified, Base):
    """Staff and therapists. `title` is what patients read after the name: "fysioterapeut", "sykepleier".

    `away_from` to `away_until`, both included: on leave or ill; without an end until somebody says so.
    """

    __tablename__ = "professional"

    name: Mapped[str] = mapped_column(Encrypted("professional.name"))
    national_id: Mapped[str] = mapped_column(Encrypted("professional.national_id"))
    national_id_index: Mapped[str] = mapped_column(BlindIndex("national_id"), unique=True)
    title: Mapped[str] = mapped_column(String(60))
    phone: Mapped[str | None] = mapped_column(String(20))
    language: Mapped[str] = mapped_column(String(2), default="nb")
    left_at: Mapped[datetime | None]
    away_from: Mapped[date | None]
    away_until: Mapped[date | None]
    created_at: Mapped[datetime]

    memberships: Mapped[list["Membership"]] = relationship(
        back_populates="professional", order_by="Membership.id"
    )

    @property
    def first_name(self) -> str:
        """What patients call the person."""
        return called(self.name) or self.name


class Membership(Identified, Base):
    """A professional works in a unit, as `staff`, `therapist`, `leader` or `admin`."""

    __tablename__ = "membership"
    __table_args__ = (UniqueConstraint("professional_id", "unit_id", "role"),)

    professional_id: Mapped[UUID] = mapped_column(ForeignKey("professional.id"))
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("unit.id"), index=True)
    role: Mapped[str] = mapped_column(String(12))

    professional: Mapped[Professional] = relationship(back_populates="memberships")
    unit: Mapped[Unit] = relationship()
