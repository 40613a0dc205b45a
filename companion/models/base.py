"""What every record shares: naming of constraints and random, opaque ids."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID, uuid4

from sqlalchemy import MetaData, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from companion.models.types import UtcDateTime


class Base(DeclarativeBase):
    """All records."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {UUID: Uuid(), datetime: UtcDateTime()}


class Identified:
    """A record with an opaque id that may stand in an address."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
