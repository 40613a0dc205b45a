"""Due letters as plain rows, with what `message.standing` and the wording look at.

At eight o'clock there are thousands: mapped objects would cost more than carrying the letters does. Attributes are named as
in the models, so that whoever reads a letter need not know which of the two it is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, bindparam, select
from sqlalchemy.orm import Session

from companion.models import CheckIn, Meeting, Message, Patient, Plan, Professional, Relative
from companion.models.base import Base
from companion.rules.names import called


@dataclass(slots=True)
class Person:
    """The patient or relative a letter is for; a relative has no wish about how, and no hour."""

    name: str
    phone: str | None
    phone_state: str
    contact_by: str = "sms"
    died_on: date | None = None
    hour: time | None = None
    sms_agreed_at: datetime | None = None

    @property
    def greeted_as(self) -> str:
        """What we call the person to their face; empty where nobody can know."""
        return called(self.name)


@dataclass(slots=True)
class ItsPlan:
    """The plan of the check-in a letter is about."""

    state: str
    template: str


@dataclass(slots=True)
class ItsCheckIn:
    """The check-in a letter is about."""

    plan: ItsPlan
    state: str
    postponed: int
    asked_at: datetime | None
    reminded_at: datetime | None


@dataclass(slots=True)
class Host:
    """Who invites to the meeting a letter is about."""

    name: str

    @property
    def first_name(self) -> str:
        """What patients call the person."""
        return called(self.name) or self.name


@dataclass(slots=True)
class ItsMeeting:
    """The meeting a letter is about."""

    patient_id: UUID
    state: str
    starts_at: datetime
    outcome: str | None
    host: Host


@dataclass(slots=True)
class Letter:
    """A row of `message` and what belongs to it; a change to it goes nowhere."""

    id: int
    kind: str
    lane: str
    language: str
    channel: str | None
    params: dict[str, Any]
    created_at: datetime
    valid_until: datetime
    attempt: int
    fence: int
    phone: str | None
    patient_id: UUID | None
    relative_id: UUID | None
    about_id: UUID | None
    check_in_id: UUID | None
    meeting_id: UUID | None
    professional_id: UUID | None
    participant_id: UUID | None
    patient: Person | None = None
    relative: Person | None = None
    check_in: ItsCheckIn | None = None
    meeting: ItsMeeting | None = None


def load(db: Session, ids: Sequence[int]) -> list[Letter]:
    """These letters, in the order in which they were written."""
    rows = db.connection().execute(_THESE, {"ids": ids}).all() if ids else []
    return [_read(tuple(row)) for row in rows]


def staff_of(letters: Iterable[Letter]) -> dict[int, UUID]:
    """By letter, whom of our own people it is for; the others are left out."""
    return {one.id: one.professional_id for one in letters if one.professional_id}


def _table(entity: type[Base]) -> Table:
    return cast(Table, entity.__table__)


_MESSAGE, _PATIENT, _RELATIVE, _CHECK_IN, _PLAN, _MEETING, _HOST = map(
    _table, (Message, Patient, Relative, CheckIn, Plan, Meeting, Professional)
)
_OF = {
    "letter": (
        _MESSAGE,
        "id kind lane language channel params created_at valid_until attempt fence phone"
        " patient_id relative_id about_id check_in_id meeting_id professional_id participant_id",
    ),
    "patient": (_PATIENT, "name phone phone_state contact_by died_on hour sms_agreed_at"),
    "relative": (_RELATIVE, "name phone phone_state"),
    "plan": (_PLAN, "state template"),
    "check_in": (_CHECK_IN, "state postponed asked_at reminded_at"),
    "meeting": (_MEETING, "patient_id state starts_at outcome"),
    "host": (_HOST, "name"),
}
# Made once: to build the statement anew would take longer than the database takes for it.
_THESE = (
    select(*(table.c[name] for table, names in _OF.values() for name in names.split()))
    .select_from(
        _MESSAGE.outerjoin(_PATIENT, _PATIENT.c.id == _MESSAGE.c.patient_id)
        .outerjoin(_RELATIVE, _RELATIVE.c.id == _MESSAGE.c.relative_id)
        .outerjoin(_CHECK_IN, _CHECK_IN.c.id == _MESSAGE.c.check_in_id)
        .outerjoin(_PLAN, _PLAN.c.id == _CHECK_IN.c.plan_id)
        .outerjoin(_MEETING, _MEETING.c.id == _MESSAGE.c.meeting_id)
        .outerjoin(_HOST, _HOST.c.id == _MEETING.c.host_id)
    )
    .where(_MESSAGE.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_MESSAGE.c.id)
)


def _read(row: tuple[Any, ...]) -> Letter:
    """One row, in the order of `_OF`."""
    letter = Letter(*row[:18])
    if letter.patient_id:
        letter.patient = Person(*row[18:25])
    if letter.relative_id:
        letter.relative = Person(*row[25:28])
    if letter.check_in_id:
        letter.check_in = ItsCheckIn(ItsPlan(*row[28:30]), *row[30:34])
    if letter.meeting_id:
        patient_id, state, starts_at, outcome, host = row[34:39]
        letter.meeting = ItsMeeting(patient_id, state, starts_at, outcome, Host(host))
    return letter
