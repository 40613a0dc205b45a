"""Municipalities, and the units people work in: wards, ART teams, municipal rehab, coordinating units."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from companion.models.base import Base, Identified


class Municipality(Base):
    """A municipality by its four-digit number (map of 2024)."""

    __tablename__ = "municipality"

    number: Mapped[str] = mapped_column(String(4), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    sami_name: Mapped[str | None] = mapped_column(String(80))
    trust: Mapped[str] = mapped_column(String(40))


class Unit(Identified, Base):
    """A ward or a team. `key` is how lists and the command line name it.

    `phone` may be empty only until somebody fills it in; patients are shown it. `hours` is shown beside it.
    """

    __tablename__ = "unit"

    key: Mapped[str] = mapped_column(String(60), unique=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(120))
    phone: Mapped[str | None] = mapped_column(String(20))
    hours: Mapped[str | None] = mapped_column(String(60))
    trust: Mapped[str | None] = mapped_column(String(40))
    municipality_number: Mapped[str | None] = mapped_column(ForeignKey("municipality.number"), index=True)
