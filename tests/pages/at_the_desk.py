"""The desk's tests begin here: a ward whose patient has come home, and whoever sits down at the desk."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from companion.models import Flag, Patient, Unit
from companion.rules.access import Actor
from companion.use_cases.cases import flag
from tests import cast


@dataclass(frozen=True)
class Desk:
    """The ward, Kari who is home in Tromsø since 14 days, Ola in Harstad who is nobody's business here."""

    ward: cast.Ward
    kari: Patient
    ola: Patient


def furnish(engine: Engine, now: datetime) -> Desk:
    """Everybody, in the database."""
    with Session(engine, expire_on_commit=False) as db:
        ward = cast.ward(db, now)
        kari = cast.kari(db, now - cast.days(14))
        ola = cast.ola(db, now - cast.days(14))
        db.commit()
    return Desk(ward, kari, ola)


def raise_flag(
    engine: Engine,
    patient: Patient,
    unit: Unit,
    now: datetime,
    code: str = "wants_contact",
    level: str = "red",
    quote: str | None = None,
) -> Flag:
    """Something a human must see."""
    with Session(engine, expire_on_commit=False) as db:
        raised = flag.raise_flag(
            db, db.get_one(Patient, patient.id), code=code, level=level, unit=unit, now=now, quote=quote
        )
        db.commit()
    return raised


def with_flag(engine: Engine, found: Flag, do: str, who: Actor, now: datetime, *more: str) -> None:
    """A colleague does something about it in another window."""
    with Session(engine) as db:
        getattr(flag, do)(db, who, found.id, *more, now=now)
        db.commit()
