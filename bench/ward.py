"""An invented ward as large as wanted: patients home from a stay, each with a check-in that is asked and its letter due.

Rows instead of use-cases: 20,000 discharges would take longer than all the measuring.
"""

from datetime import date, datetime, time, timedelta
from typing import Any, cast
from uuid import UUID, uuid5

from sqlalchemy import Engine, Table, insert

from bench.letter import number
from companion.clock import SystemClock
from companion.models import CheckIn, Message, Municipality, Patient, Plan, Stay, Unit
from companion.models.base import Base
from companion.rules.cadence import local_day, to_utc
from companion.rules.quiet_hours import is_working_day

# Every other person in the invented north is called one of these.
_FIRST = ("Kari", "Ola", "Anne", "Per", "Inger", "Bjørn", "Solveig", "Odd-Arne", "Ingebjørg", "Máret")
_LANGUAGES = ("nb",) * 17 + ("nn", "en", "se")
_SPACE = UUID("f0195e00-0000-4000-8000-000000000000")


def office_hours() -> tuple[datetime, timedelta]:
    """Ten o'clock on a working day not before today, and how far that is from the real now."""
    now = SystemClock().now()
    day = local_day(now)
    while not is_working_day(day):
        day += timedelta(days=1)
    ten = to_utc(day, time(10))
    return ten, ten - now


def fill(engine: Engine, patients: int, due: datetime, letters: int | None = None) -> None:
    """Puts the ward in: one letter per patient (or for the first `letters` of them), all due at the same moment."""
    ids = [row_id("patient", serial) for serial in range(patients)]
    ward = row_id("unit", 0)
    long_ago = due - timedelta(days=10)
    put(engine, Municipality, [{"number": "5501", "name": "Tromsø", "trust": "unn"}])
    put(
        engine,
        Unit,
        [{"id": ward, "key": "post3", "kind": "ward", "name": "Post 3", "municipality_number": "5501"}],
    )
    put(engine, Patient, [patient(serial, long_ago) for serial in range(patients)])
    put(
        engine,
        Stay,
        [
            {
                "id": row_id("stay", serial),
                "patient_id": ids[serial],
                "ward_id": ward,
                "discharged_on": local_day(long_ago),
                "state": "open",
                "created_at": long_ago,
            }
            for serial in range(patients)
        ],
    )
    put(
        engine,
        Plan,
        [
            {
                "id": row_id("plan", serial),
                "stay_id": row_id("stay", serial),
                "patient_id": ids[serial],
                "template": "stroke",
                "state": "active",
                "created_at": long_ago,
            }
            for serial in range(patients)
        ],
    )
    put(
        engine,
        CheckIn,
        [
            {
                "id": row_id("check_in", serial),
                "plan_id": row_id("plan", serial),
                "patient_id": ids[serial],
                "day": 10,
                "questionnaire": "check-in",
                "local_date": local_day(due),
                "local_time": time(10),
                "zone": "Europe/Oslo",
                "due_at": due,
                "state": "asked",
                "postponed": 0,
                "asked_at": due,
            }
            for serial in range(patients)
        ],
    )
    if letters != 0:
        put(
            engine,
            Message,
            [letter(serial, due) for serial in range(patients if letters is None else letters)],
        )


def patient(serial: int, now: datetime) -> dict[str, Any]:
    """Somebody invented; the national id is no number at all."""
    phone = number(serial)
    return {
        "id": row_id("patient", serial),
        "name": f"{_FIRST[serial % len(_FIRST)]} Nilsen",
        "national_id": f"invented-{serial}",
        "national_id_index": f"invented-{serial}",
        "birth_date": date(1958, 5, 4).isoformat(),
        "phone": phone,
        "phone_index": phone,
        "phone_state": "ok",
        "contact_by": "sms",
        "language": _LANGUAGES[serial % len(_LANGUAGES)],
        "municipality_number": "5501",
        "color_scheme": "auto",
        "text_size": "md",
        "created_at": now,
    }


def letter(serial: int, due: datetime) -> dict[str, Any]:
    """The letter about that patient's check-in."""
    return {
        "kind": "check_in",
        "lane": "batch",
        "dedupe_key": f"check_in:{serial}",
        "patient_id": row_id("patient", serial),
        "check_in_id": row_id("check_in", serial),
        "language": _LANGUAGES[serial % len(_LANGUAGES)],
        "params": {},
        "created_at": due,
        "not_before": due,
        "valid_until": due + timedelta(hours=9),
        "state": "queued",
        "next_attempt_at": due,
        "attempt": 0,
        "fence": 0,
    }


def put(engine: Engine, entity: type[Base], rows: list[dict[str, Any]]) -> None:
    """Many rows (or none) in one transaction, sealed as always."""
    if not rows:
        return
    with engine.begin() as connection:
        connection.execute(insert(cast(Table, entity.__table__)), rows)


def row_id(kind: str, serial: int) -> UUID:
    """The id of somebody's row, so that everybody can be found again."""
    return uuid5(_SPACE, f"{kind}{serial}")
