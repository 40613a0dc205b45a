"""Flags: what a human must see, and everything that was done about it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from companion.models.base import Base, Identified
from companion.models.people import Patient, Professional
from companion.models.places import Unit
from companion.models.types import Encrypted, JsonEncrypted


def _as(other: str) -> Callable[[Any], Any]:
    """A new row's value of another column."""

    def value(context: Any) -> Any:
        return context.get_current_parameters()[other]

    return value


class Flag(Identified, Base):
    """Something a human must see. `level` red or amber; `state` open, claimed, closed; `code` says why.

    `code` is a triage reason (`companion.rules.triage`) or another code the pages have words for. `quote` is the person's own
    words; `params` what the sentence needs.

    `respond_by`: by when a human is to have seen it, or to do something about it again; passed, the case is overdue, whoever has
    taken it. `promised_by` is what the person was told first and never moves; `seen_at`, `seen_by` the first who took it.
    `rung`: how far it has climbed (`companion.rules.promises`), `next_step_at` when it climbs on. `arrived_at`: since when it
    lies with its unit; `because` why it came there from `from_unit` by itself: `nobody` works there, or `overdue`.
    """

    __tablename__ = "flag"
    __table_args__ = (
        Index(
            "ix_flag_worklist",
            "unit_id",
            "rank",
            "opened_at",
            postgresql_where=text("state <> 'closed'"),
            sqlite_where=text("state <> 'closed'"),
        ),
        Index(
            "ix_flag_next_step_at",
            "next_step_at",
            postgresql_where=text("state <> 'closed'"),
            sqlite_where=text("state <> 'closed'"),
        ),
    )

    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("unit.id"))
    check_in_id: Mapped[UUID | None] = mapped_column(ForeignKey("check_in.id"), index=True)
    measure_id: Mapped[UUID | None] = mapped_column(ForeignKey("measure.id"))
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id"), index=True)
    code: Mapped[str] = mapped_column(String(40))
    level: Mapped[str] = mapped_column(String(6))
    rank: Mapped[int]
    quote: Mapped[str | None] = mapped_column(Encrypted("flag.quote"))
    params: Mapped[Any] = mapped_column(JsonEncrypted("flag.params"))
    state: Mapped[str] = mapped_column(String(8), default="open")
    opened_at: Mapped[datetime]
    respond_by: Mapped[datetime]
    promised_by: Mapped[datetime] = mapped_column(default=_as("respond_by"))
    seen_at: Mapped[datetime | None]
    seen_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("professional.id"))
    rung: Mapped[str] = mapped_column(String(20), default="")
    next_step_at: Mapped[datetime | None] = mapped_column(default=_as("respond_by"))
    arrived_at: Mapped[datetime] = mapped_column(default=_as("opened_at"))
    from_unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("unit.id"))
    because: Mapped[str | None] = mapped_column(String(12))
    claimed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("professional.id"), index=True)
    claimed_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(24))

    patient: Mapped[Patient] = relationship()
    unit: Mapped[Unit] = relationship(foreign_keys=[unit_id])
    from_unit: Mapped[Unit | None] = relationship(foreign_keys=[from_unit_id])
    claimed_by: Mapped[Professional | None] = relationship(foreign_keys=[claimed_by_id])
    seen_by: Mapped[Professional | None] = relationship(foreign_keys=[seen_by_id])
    events: Mapped[list["FlagEvent"]] = relationship(
        back_populates="flag", order_by="(FlagEvent.at, FlagEvent.id)"
    )


class FlagEvent(Identified, Base):
    """One thing done about a flag: `opened`, `claimed`, `released`, `note`, `contact`, `moved`, `renewed`, `closed`.

    By nobody: `soon` and `overdue`, with the rung; `moved` and `released` because nobody is at work there (`nobody`, `away`).
    """

    __tablename__ = "flag_event"

    flag_id: Mapped[UUID] = mapped_column(ForeignKey("flag.id"), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    at: Mapped[datetime]
    by_id: Mapped[UUID | None] = mapped_column(ForeignKey("professional.id"))
    outcome: Mapped[str | None] = mapped_column(String(24))
    text: Mapped[str | None] = mapped_column(Encrypted("flag_event.text"))

    flag: Mapped[Flag] = relationship(back_populates="events")
    by: Mapped[Professional | None] = relationship()
