"""Ruth, the demo's person in the middle of it: a month home, a passport old and new, somebody let in, and things waiting."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from companion.models import Patient
from companion.rules.access import Actor, Level
from companion.use_cases.passport import lines as passport
from companion.use_cases.replies import heard

# Days before the demo opens: home, when she wrote herself, invited to a meeting, asked to be phoned. The last one lies over a
# working day, so that nobody has done what was promised.
HOME, WROTE, INVITED, ASKED_TO_BE_CALLED = 30, 12, 4, 1
# The ward wrote the first lines this long before she went home: nobody has looked at some of them since.
KNOWN = 20
SOON = timedelta(minutes=10)
# By the day of the check-in; the one on day 30 is waiting for her.
ANSWERS: Mapping[int, Mapping[str, str]] = {
    3: {"started": "not_yet", "why": "nobody_contacted"},
    14: {"started": "yes", "fatigue": "5"},
}


def going_home(db: Session, who: Actor, patient_id: UUID, *, now: datetime) -> None:
    """What the ward adds on the last day, and the one old line it looks at again."""
    for section in passport.read(db, who, patient_id, now=now).sections:
        for line in section.lines:
            if line.critical:
                passport.confirm_line(db, who, line.id, now=now)
    passport.write_line(db, who, patient_id, "aids", "Rullator ute. Dusjkrakk er søkt om.", now=now)


def writes_herself(db: Session, patient: Patient, *, now: datetime) -> None:
    """What only she can say."""
    who = Actor(kind="patient", id=patient.id, level=Level.high, name=patient.name)
    passport.write_line(db, who, patient.id, "talk", "Ring heller enn å sende SMS. Jeg leser sakte.", now=now)


def asks_to_be_called(db: Session, phone: str, *, now: datetime) -> None:
    """By SMS, early on the last working day before the demo opens."""
    heard.receive(db, phone, "Ring meg", said_at=now, now=now)
