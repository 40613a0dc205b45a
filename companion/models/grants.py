"""Grants: which relative may see or do what, until when."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from companion.models.base import Base, Identified
from companion.models.people import Patient, Relative

SCOPES = ("passport", "measures", "meetings")


class Grant(Identified, Base):
    """The patient lets a relative in. `scopes`: a comma list of `SCOPES`; `given_how`: `paper` (by staff) or `self`."""

    __tablename__ = "relative_grant"

    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    relative_id: Mapped[UUID] = mapped_column(ForeignKey("relative.id"), index=True)
    relation: Mapped[str] = mapped_column(String(40))
    scopes: Mapped[str] = mapped_column(String(60))
    given_how: Mapped[str] = mapped_column(String(8))
    given_by_kind: Mapped[str] = mapped_column(String(12))
    given_by_id: Mapped[UUID | None]
    given_at: Mapped[datetime]
    valid_until: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by_kind: Mapped[str | None] = mapped_column(String(12))

    patient: Mapped[Patient] = relationship()
    relative: Mapped[Relative] = relationship()

    @property
    def scope_set(self) -> frozenset[str]:
        """The scopes as a set."""
        return frozenset(self.scopes.split(","))
