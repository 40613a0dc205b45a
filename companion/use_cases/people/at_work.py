"""Who is at work: leave, absence and return, and what becomes of the cases of those who go."""

from datetime import date, datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from companion.errors import Invalid, NotFound
from companion.models import Membership, Professional, Unit
from companion.use_cases.cases import promise


def leave(db: Session, national_id: str, unit_key: str | None = None, *, now: datetime) -> Professional:
    """Somebody works here no longer, or no longer in one unit. What they had goes back to those who are left, at once."""
    person = _known(db, national_id)
    if unit_key is None:
        person.left_at = person.left_at or now
    else:
        unit = db.scalars(select(Unit).where(Unit.key == unit_key)).one_or_none()
        if unit is None:
            raise NotFound("unit")
        db.execute(
            delete(Membership).where(Membership.professional_id == person.id, Membership.unit_id == unit.id)
        )
    _hand_on(db, now)
    return person


def away(
    db: Session, national_id: str, since: date, until: date | None = None, *, now: datetime
) -> Professional:
    """Somebody is on leave or ill from one day to another, both included; without an end until `back`."""
    if until and until < since:
        raise Invalid({"until": "before_since"})
    person = _known(db, national_id)
    person.away_from, person.away_until = since, until
    _hand_on(db, now)
    return person


def back(db: Session, national_id: str) -> Professional:
    """Somebody is at work again; their cases stay with those who took them."""
    person = _known(db, national_id)
    person.away_from = person.away_until = None
    db.flush()
    return person


def _hand_on(db: Session, now: datetime) -> None:
    db.flush()
    while promise.hand_on(db, now):
        pass


def _known(db: Session, national_id: str) -> Professional:
    digits = "".join(national_id.split())
    person = db.scalars(select(Professional).where(Professional.national_id_index == digits)).one_or_none()
    if person is None:
        raise NotFound("professional")
    return person
