"""A stay, its measures, the plan after it, the check-ins of the plan and the answers to them."""

from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from companion.models.base import Base, Identified
from companion.models.people import Patient
from companion.models.places import Unit
from companion.models.types import Encrypted, JsonEncrypted

MEASURE_OWNERS = ("hospital", "art", "municipality", "gp", "nav", "patient")


class Stay(Identified, Base):
    """A rehabilitation stay at a ward. `state`: `open` until a readmission or a death ends what follows from it (`ended`)."""

    __tablename__ = "stay"

    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    ward_id: Mapped[UUID] = mapped_column(ForeignKey("unit.id"), index=True)
    discharged_on: Mapped[date] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(String(8), default="open")
    created_at: Mapped[datetime]

    patient: Mapped[Patient] = relationship()
    ward: Mapped[Unit] = relationship()
    measures: Mapped[list["Measure"]] = relationship(back_populates="stay", order_by="Measure.number")
    plan: Mapped["Plan"] = relationship(back_populates="stay", uselist=False)


class PatientUnit(Identified, Base):
    """A unit follows a patient, from a day until (perhaps) a day: the care relation every staff query starts from."""

    __tablename__ = "patient_unit"
    __table_args__ = (UniqueConstraint("patient_id", "unit_id"),)

    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"))
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("unit.id"), index=True)
    since: Mapped[date]
    until: Mapped[date | None]

    unit: Mapped[Unit] = relationship()


class Measure(Identified, Base):
    """A recommended measure: what, why, whose task, by when. `number` is its point on the sheet the person took home."""

    __tablename__ = "measure"
    __table_args__ = (UniqueConstraint("stay_id", "number"),)

    stay_id: Mapped[UUID] = mapped_column(ForeignKey("stay.id"))
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    number: Mapped[int]
    title: Mapped[str] = mapped_column(Encrypted("measure.title"))
    why: Mapped[str | None] = mapped_column(Encrypted("measure.why"))
    owner: Mapped[str] = mapped_column(String(12))
    owner_unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("unit.id"), index=True)
    due_on: Mapped[date]
    created_at: Mapped[datetime]

    stay: Mapped[Stay] = relationship(back_populates="measures")
    owner_unit: Mapped[Unit | None] = relationship()
    statuses: Mapped[list["MeasureStatus"]] = relationship(
        back_populates="measure",
        order_by="(MeasureStatus.at, MeasureStatus.id)",
        lazy="selectin",
    )

    @property
    def status(self) -> str:
        """The latest status; `recommended` before anybody has said anything."""
        return self.statuses[-1].status if self.statuses else "recommended"

    @property
    def open(self) -> bool:
        """Whether a check-in still asks about it."""
        return self.status not in ("started", "done", "declined", "cancelled")


class MeasureStatus(Identified, Base):
    """How far a measure is; never edited.

    `not_started` (with `reason`), `unknown`, `started`, `done`, `declined`, `cancelled`.
    """

    __tablename__ = "measure_status"

    measure_id: Mapped[UUID] = mapped_column(ForeignKey("measure.id"), index=True)
    status: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str | None] = mapped_column(String(24))
    at: Mapped[datetime]
    by_kind: Mapped[str] = mapped_column(String(12))
    by_id: Mapped[UUID | None]
    check_in_id: Mapped[UUID | None] = mapped_column(ForeignKey("check_in.id"))

    measure: Mapped[Measure] = relationship(back_populates="statuses")


class Plan(Identified, Base):
    """Which check-ins follow a stay.

    `state`: `active`, `paused` (readmitted, or on wish), `stopped` (died), `done` (a new stay).
    """

    __tablename__ = "plan"

    stay_id: Mapped[UUID] = mapped_column(ForeignKey("stay.id"), unique=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    template: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(8), default="active")
    created_at: Mapped[datetime]

    stay: Mapped[Stay] = relationship(back_populates="plan")
    patient: Mapped[Patient] = relationship()
    check_ins: Mapped[list["CheckIn"]] = relationship(back_populates="plan", order_by="CheckIn.day")
    events: Mapped[list["PlanEvent"]] = relationship(order_by="(PlanEvent.at, PlanEvent.id)")


class PlanEvent(Identified, Base):
    """What happened to a plan: `made`, `moved`, `paused`, `resumed`, `stopped`; `reason` such as `readmitted`, `died`."""

    __tablename__ = "plan_event"

    plan_id: Mapped[UUID] = mapped_column(ForeignKey("plan.id"), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    reason: Mapped[str | None] = mapped_column(String(16))
    at: Mapped[datetime]
    by_kind: Mapped[str] = mapped_column(String(12))
    by_id: Mapped[UUID | None]


class CheckIn(Identified, Base):
    """One asking. States `planned → asked → answered`, or `expired`, `skipped`, `postponed` (then asked again at `due_at`).

    Local date, time and zone are what was promised; `due_at` is derived from them. `heard_at`: the latest word in a
    conversation by SMS, from which the patience with the next one is counted.
    """

    __tablename__ = "check_in"
    __table_args__ = (
        UniqueConstraint("plan_id", "day"),
        Index(
            "ix_check_in_due",
            "due_at",
            postgresql_where=text("state IN ('planned', 'postponed')"),
            sqlite_where=text("state IN ('planned', 'postponed')"),
        ),
        Index(
            "ix_check_in_asked",
            "asked_at",
            postgresql_where=text("state = 'asked'"),
            sqlite_where=text("state = 'asked'"),
        ),
    )

    plan_id: Mapped[UUID] = mapped_column(ForeignKey("plan.id"))
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    day: Mapped[int]
    questionnaire: Mapped[str] = mapped_column(String(40))
    local_date: Mapped[date]
    local_time: Mapped[time]
    zone: Mapped[str] = mapped_column(String(32))
    due_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(10), default="planned")
    postponed: Mapped[int] = mapped_column(default=0)
    asked_at: Mapped[datetime | None]
    reminded_at: Mapped[datetime | None]
    heard_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    plan: Mapped[Plan] = relationship(back_populates="check_ins")
    patient: Mapped[Patient] = relationship()
    answers: Mapped[list["Answer"]] = relationship(order_by="(Answer.at, Answer.id)")


class Answer(Identified, Base):
    """One answer, saved as it was given; a changed mind is a new row, the latest for a `link_id` counts."""

    __tablename__ = "answer"

    check_in_id: Mapped[UUID] = mapped_column(ForeignKey("check_in.id"), index=True)
    link_id: Mapped[str] = mapped_column(String(80))
    value: Mapped[Any] = mapped_column(JsonEncrypted("answer.value"))
    at: Mapped[datetime]
    by_kind: Mapped[str] = mapped_column(String(12))
    by_id: Mapped[UUID | None]
