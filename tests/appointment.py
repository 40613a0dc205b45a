"""Kari's meeting with Johan in five minutes, her daughter Anne invited; made by the real use-cases."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.models import Message, Patient, Relative
from companion.rules.cadence import local_day
from companion.use_cases import meetings as meet
from companion.use_cases import sign_in
from companion.use_cases.relatives import share
from tests import cast


@dataclass(frozen=True)
class Appointment:
    """The meeting and its people."""

    id: UUID
    starts_at: datetime
    ward: cast.Ward
    kari: Patient
    anne: Relative
    grant_id: UUID

    @property
    def path(self) -> str:
        """Where it takes place."""
        return f"/meeting/{self.id}"


def make(db: Session, now: datetime) -> Appointment:
    """The ward, Kari at home, Anne with a grant, and the meeting."""
    ward = cast.ward(db, now)
    kari = cast.kari(db, now)
    draft = share.GrantDraft(
        name="Anne Nilsen",
        phone=cast.ANNE_PHONE,
        birth_date=cast.ANNE_BORN,
        relation="datter",
        scopes=["meetings"],
        until=local_day(now + timedelta(days=90)),
    )
    grant = share.give(db, ward.sofia, kari.id, draft, now=now)
    starts_at = now + timedelta(minutes=5)
    meeting = meet.offer(db, ward.johan, kari.id, starts_at, relatives=[grant.relative_id], now=now)
    return Appointment(meeting.id, starts_at, ward, kari, grant.relative, grant.id)


def by_link(
    db: Session, appointment: Appointment, person: Patient | Relative, now: datetime
) -> sign_in.Opened:
    """The session of somebody who tapped the link in the letter about the meeting, and did nothing more."""
    mine = Message.patient_id if isinstance(person, Patient) else Message.relative_id
    letter = db.scalars(
        select(Message).where(Message.meeting_id == appointment.id, mine == person.id)
    ).first()
    assert letter, "everybody invited gets a letter"
    return sign_in.redeem_link(db, sign_in.issue_link(db, letter, now=now).token, now=now)
