"""Drafts: what somebody has typed and not sent."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from companion.models.base import Base
from companion.models.messages import BigKey
from companion.models.types import JsonEncrypted


class Draft(Base):
    """The fields of one form as they were typed: a row for each person and form, gone when the form is sent.

    `owner_id` is the patient, relative or professional who typed; `patient_id` the same where it is a patient, for the person's
    rights. `place` is the address of the page, and after # which of its forms. `fields` are pairs of name and text.
    """

    __tablename__ = "draft"
    __table_args__ = (UniqueConstraint("owner_id", "place"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    owner_id: Mapped[UUID]
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patient.id"), index=True)
    place: Mapped[str] = mapped_column(String(300))
    fields: Mapped[list[list[str]]] = mapped_column(JsonEncrypted("draft.fields"))
    saved_at: Mapped[datetime] = mapped_column(index=True)
