"""The patient passport: lines in sections, who confirmed them when, and the people around the patient."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from companion.models.base import Base, Identified
from companion.models.types import Encrypted

# In the order they are read. `important` lines may be critical (an allergy).
SECTIONS = ("matters", "talk", "important", "function", "aids", "medication")
# The spokes of the care wheel (FIELD.md, actors around a patient).
WHEEL_ROLES = (
    "gp",
    "ward",
    "art",
    "physio",
    "occupational",
    "home_service",
    "coordinating_unit",
    "coordinator",
    "speech",
    "nav",
    "employer",
    "school",
    "private_rehab",
    "aids_centre",
    "healthy_life",
    "relative",
    "user_organisation",
)


class PassportLine(Identified, Base):
    """One line, as somebody wrote it. A change is a new line that `replaces_id` the old one, whose `ended_at` is set."""

    __tablename__ = "passport_line"

    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    section: Mapped[str] = mapped_column(String(12))
    position: Mapped[int]
    text: Mapped[str] = mapped_column(Encrypted("passport_line.text"))
    critical: Mapped[bool] = mapped_column(default=False)
    written_by_kind: Mapped[str] = mapped_column(String(12))
    written_by_id: Mapped[UUID | None]
    written_by_name: Mapped[str] = mapped_column(Encrypted("passport_line.written_by_name"))
    written_by_unit: Mapped[str | None] = mapped_column(String(120))
    written_at: Mapped[datetime]
    replaces_id: Mapped[UUID | None] = mapped_column(ForeignKey("passport_line.id"))
    ended_at: Mapped[datetime | None]

    confirmations: Mapped[list["PassportConfirmation"]] = relationship(
        order_by="(PassportConfirmation.at, PassportConfirmation.id)", lazy="selectin"
    )

    @property
    def confirmed_at(self) -> datetime:
        """When somebody last said that it is right; writing it counts."""
        return self.confirmations[-1].at if self.confirmations else self.written_at


class PassportConfirmation(Identified, Base):
    """Somebody said that a line is still right."""

    __tablename__ = "passport_confirmation"

    line_id: Mapped[UUID] = mapped_column(ForeignKey("passport_line.id"), index=True)
    at: Mapped[datetime]
    by_kind: Mapped[str] = mapped_column(String(12))
    by_id: Mapped[UUID | None]


class CareContact(Identified, Base):
    """Somebody around the patient. A contact without a name is a missing person, and is shown as one."""

    __tablename__ = "care_contact"

    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    role: Mapped[str] = mapped_column(String(20))
    name: Mapped[str | None] = mapped_column(Encrypted("care_contact.name"))
    phone: Mapped[str | None] = mapped_column(Encrypted("care_contact.phone"))
    unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("unit.id"))
    professional_id: Mapped[UUID | None] = mapped_column(ForeignKey("professional.id"))
    since: Mapped[datetime]
    ended_at: Mapped[datetime | None]
