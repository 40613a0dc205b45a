"""Who somebody is: the people behind a number, a link or an identity, and what a number and six digits look like."""

from datetime import date
from typing import Any, cast

import phonenumbers
from sqlalchemy import CursorResult, select
from sqlalchemy.orm import Session

from companion.models import (
    Patient,
    Professional,
    Relative,
)
from companion.rules.access import ActorKind


def e164(phone: str) -> str | None:
    """The number as it is kept, `+4740000000`, from any Norwegian or international notation; None when it is none."""
    try:
        parsed = phonenumbers.parse(phone, "NO")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def six_digits(code: str) -> str | None:
    """The code without its spaces; None when it is not six digits."""
    digits = "".join(code.split())
    return digits if len(digits) == 6 and digits.isascii() and digits.isdecimal() else None


def missing(**fields: object) -> dict[str, str]:
    """The fields that were not filled in, as problems."""
    return {name: "missing" for name, value in fields.items() if value is None}


def people_at(db: Session, number: str) -> list[Patient | Relative]:
    """Patients and relatives with that number, patients first."""
    patients = db.scalars(select(Patient).where(Patient.phone_index == number, Patient.died_on.is_(None)))
    relatives = db.scalars(select(Relative).where(Relative.phone_index == number))
    return [*patients, *relatives]


def birth_of(person: Patient | Relative) -> date | None:
    """The birth date, where it is known."""
    return date.fromisoformat(person.birth_date) if person.birth_date else None


def audience_of(person: Patient | Relative | Professional) -> ActorKind:
    """Which door the person comes in by."""
    if isinstance(person, Patient):
        return "patient"
    return "relative" if isinstance(person, Relative) else "professional"


def changed(db: Session, statement: Any) -> int:
    """Carries out a change; how many rows it met."""
    return cast(CursorResult[Any], db.execute(statement)).rowcount
