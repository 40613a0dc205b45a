"""An invented region as large as wanted: people ninety days at home, each with measures, a passport, letters and a check-in.

Rows instead of use-cases, as in `bench.ward`. Everything is found again by a serial number; who sits in which ward, who has
answered and who has an open case follows from it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache, cached_property
from typing import Any
from uuid import UUID
from zlib import crc32

from sqlalchemy import Engine

from bench import letter, ward
from bench.ward import put
from companion.crypto import token_hash
from companion.models import (
    Answer,
    CareContact,
    CheckIn,
    Flag,
    FlagEvent,
    LinkToken,
    Measure,
    MeasureStatus,
    Membership,
    Message,
    Municipality,
    PassportConfirmation,
    PassportLine,
    Patient,
    PatientUnit,
    Plan,
    PlanEvent,
    Professional,
    Stay,
    Unit,
)
from companion.models.base import Base
from companion.rules.cadence import local_day, to_utc

PATIENTS_A_WARD = 1_000
SOUGHT, SOUGHT_NUMBER = "Ellen Ravna", letter.number(0)
# The questions of day 90 in the general plan, in order, and what somebody says who is well: six, none of which raises anything.
WELL = {"how": "good", "worse": "no", "contact": False, "passport": "yes"}
_DAYS = (7, 30, 90)
_TOGETHER = 2_000
_LINES = {
    "matters": "Jeg vil gå tur med hunden igjen.",
    "talk": "Gi meg tid. Ett spørsmål om gangen.",
    "important": "Tåler ikke penicillin.",
    "function": "Går med rullator ute, uten støtte inne.",
    "aids": "Rullator, badebrett.",
    "medication": "Egen liste, hos fastlegen.",
}
_AROUND = ("gp", "ward", "home_service", "physio", "coordinator")


@dataclass(frozen=True)
class Region:
    """How many, and what time it is there. `waiting`: nobody has begun to answer; otherwise some have answered or sent."""

    patients: int
    now: datetime
    waiting: bool = False

    @property
    def wards(self) -> int:
        """One for every thousand patients."""
        return max(1, self.patients // PATIENTS_A_WARD)

    def place(self, serial: int) -> int:
        """The how-manieth of their ward."""
        return serial // self.wards

    def state(self, serial: int) -> str:
        """How far with the check-in: `asked`, `answered` (not sent), `sent`."""
        return (
            "asked"
            if self.waiting
            else ("asked", "answered", "sent", "asked", "asked")[self.place(serial) % 5]
        )

    def ward_of(self, serial: int) -> UUID:
        """Which ward follows."""
        return row_id("ward", serial % self.wards)

    def some(self, state: str, count: int) -> list[int]:
        """People who are so far, spread over the whole region."""
        fitting = [serial for serial in range(self.patients) if self.state(serial) == state]
        return fitting[:: max(1, len(fitting) // count)][:count]

    def first_ward(self, count: int) -> list[int]:
        """People of the ward whose staff we follow."""
        theirs = range(0, self.patients, self.wards)
        return list(theirs[:: max(1, len(theirs) // count)][:count])


@dataclass(frozen=True)
class Person:
    """Somebody in the region, and when things happened to them."""

    region: Region
    serial: int

    @cached_property
    def home_since(self) -> date:
        """The day of discharge: ninety days ago, or up to a week before."""
        return local_day(self.region.now) - timedelta(days=90 + self.region.place(self.serial) % 7)

    def on_day(self, day: int) -> datetime:
        """Ten o'clock so many days later."""
        return _ten_o_clock(self.home_since + timedelta(days=day))

    def id(self, kind: str) -> UUID:
        """The id of one of their rows."""
        return row_id(kind, self.serial)


@cache
def _ten_o_clock(day: date) -> datetime:
    return to_utc(day, time(10))


Rows = Iterator[dict[str, Any]]


def row_id(kind: str, serial: int) -> UUID:
    """The id of a row; four million are wanted, so it is put together rather than digested."""
    return UUID(int=crc32(kind.encode()) << 64 | serial)


def fill(engine: Engine, region: Region) -> None:
    """Puts everybody in."""
    _places(engine, region)
    for begin in range(0, region.patients, _TOGETHER):
        people = [Person(region, serial) for serial in range(begin, min(begin + _TOGETHER, region.patients))]
        for entity, rows_of in _ROWS.items():
            put(engine, entity, [row for person in people for row in rows_of(person)])


def token(serial: int) -> str:
    """What stands after # in the link that somebody got by SMS."""
    return f"{serial:022d}"


def send_links(engine: Engine, region: Region, serials: Iterable[int]) -> None:
    """The links to their check-ins, sent now."""
    put(
        engine,
        LinkToken,
        [
            {
                "token_hash": token_hash(token(serial)),
                "purpose": "check_in",
                "patient_id": row_id("patient", serial),
                "check_in_id": row_id("check_in_90", serial),
                "created_at": region.now,
                "expires_at": region.now + timedelta(days=14),
                "tries": 0,
            }
            for serial in serials
        ],
    )


# --- places and who works there ---------------------------------------------------------------------------------------


def _places(engine: Engine, region: Region) -> None:
    tromso = {"municipality_number": "5501", "phone": "+4777000000", "hours": "kl. 8-15"}
    wards = [
        {
            "id": row_id("ward", serial),
            "key": f"ward{serial}",
            "kind": "ward",
            "name": f"Post {serial}",
            **tromso,
        }
        for serial in range(region.wards)
    ]
    rehab = {"id": row_id("rehab", 0), "key": "rehab", "kind": "municipal_rehab", "name": "Rehab", **tromso}
    put(engine, Municipality, [{"number": "5501", "name": "Tromsø", "trust": "unn"}])
    put(engine, Unit, [*wards, rehab])
    put(engine, Professional, [_professional(serial, region.now) for serial in (0, 1)])
    # The first works in one ward, the second in all of them.
    put(
        engine,
        Membership,
        [
            {
                "id": row_id(f"membership_{who}", serial),
                "professional_id": row_id("professional", who),
                "unit_id": row_id("ward", serial),
                "role": "staff",
            }
            for who, serials in ((0, range(1)), (1, range(region.wards)))
            for serial in serials
        ],
    )


def _professional(serial: int, now: datetime) -> dict[str, Any]:
    number = f"invented-professional-{serial}"
    return {
        "id": row_id("professional", serial),
        "name": "Anne Berg",
        "national_id": number,
        "national_id_index": number,
        "title": "sykepleier",
        "language": "nb",
        "created_at": now,
    }


# --- one person's rows ------------------------------------------------------------------------------------------------


def _patient(person: Person) -> Rows:
    row = ward.patient(person.serial, person.on_day(0)) | {"id": person.id("patient"), "language": "nb"}
    yield row | ({"name": SOUGHT} if person.serial == 0 else {})


def _followed(person: Person) -> Rows:
    for kind, unit in (("ward", person.region.ward_of(person.serial)), ("rehab", row_id("rehab", 0))):
        yield {
            "id": person.id(f"follows_{kind}"),
            "patient_id": person.id("patient"),
            "unit_id": unit,
            "since": person.home_since,
        }


def _stay(person: Person) -> Rows:
    yield {
        "id": person.id("stay"),
        "patient_id": person.id("patient"),
        "ward_id": person.region.ward_of(person.serial),
        "discharged_on": person.home_since,
        "state": "open",
        "created_at": person.on_day(0),
    }


def _plan(person: Person) -> Rows:
    yield {
        "id": person.id("plan"),
        "stay_id": person.id("stay"),
        "patient_id": person.id("patient"),
        "template": "general",
        "state": "active",
        "created_at": person.on_day(0),
    }


def _plan_events(person: Person) -> Rows:
    yield {
        "id": person.id("plan_event"),
        "plan_id": person.id("plan"),
        "kind": "made",
        "at": person.on_day(0),
        "by_kind": "professional",
        "by_id": row_id("professional", 0),
    }


def _measures(person: Person) -> Rows:
    """Two that have not begun, and one that has, which no check-in asks about any more."""
    for number, title, owner in (
        (1, "Fysioterapi to ganger i uka", "municipality"),
        (2, "Kontroll hos fastlegen", "gp"),
        (3, "Daglig gange", "patient"),
    ):
        yield {
            "id": person.id(f"measure_{number}"),
            "stay_id": person.id("stay"),
            "patient_id": person.id("patient"),
            "number": number,
            "title": title,
            "why": "For å bli sterkere og tryggere på beina.",
            "owner": owner,
            "owner_unit_id": row_id("rehab", 0) if owner == "municipality" else None,
            "due_on": person.home_since + timedelta(days=28 * number),
            "created_at": person.on_day(0),
        }


def _statuses(person: Person) -> Rows:
    for number, status in ((1, "not_started"), (2, "not_started"), (3, "started")):
        yield {
            "id": person.id(f"status_{number}"),
            "measure_id": person.id(f"measure_{number}"),
            "status": status,
            "reason": "waiting_list" if status == "not_started" else None,
            "at": person.on_day(30),
            "by_kind": "patient",
            "by_id": person.id("patient"),
            "check_in_id": person.id("check_in_30"),
        }


def _check_ins(person: Person) -> Rows:
    """The first came to nothing, the second was answered, the third has just been asked."""
    sent = person.region.state(person.serial) == "sent"
    for day, state in zip(_DAYS, ("expired", "answered", "answered" if sent else "asked"), strict=True):
        ended = None if state == "asked" else person.region.now if day == 90 else person.on_day(day)
        yield {
            "id": person.id(f"check_in_{day}"),
            "plan_id": person.id("plan"),
            "patient_id": person.id("patient"),
            "day": day,
            "questionnaire": f"general-{day}",
            "local_date": person.home_since + timedelta(days=day),
            "local_time": time(10),
            "zone": "Europe/Oslo",
            "due_at": person.on_day(day),
            "state": state,
            "postponed": 0,
            "asked_at": person.on_day(day),
            "answered_at": ended if state == "answered" else None,
            "ended_at": ended,
        }


def _answers(person: Person) -> Rows:
    not_yet = {
        f"measure.{person.id(f'measure_{number}')}.{part}": said
        for number in (1, 2)
        for part, said in (("started", "not_yet"), ("why", "waiting_list"))
    }
    yield from _said(person, 30, person.on_day(30), WELL | not_yet)
    if person.region.state(person.serial) != "asked":
        begun = {f"measure.{person.id(f'measure_{number}')}.started": "yes" for number in (1, 2)}
        yield from _said(person, 90, person.region.now, WELL | begun)


def _said(person: Person, day: int, at: datetime, answers: dict[str, Any]) -> Rows:
    for number, (link_id, value) in enumerate(answers.items()):
        yield {
            "id": person.id(f"answer_{day}_{number}"),
            "check_in_id": person.id(f"check_in_{day}"),
            "link_id": link_id,
            "value": value,
            "at": at + timedelta(seconds=number),
            "by_kind": "patient",
            "by_id": person.id("patient"),
        }


def _lines(person: Person) -> Rows:
    for position, (section, text) in enumerate(_LINES.items()):
        yield {
            "id": person.id(f"line_{section}"),
            "patient_id": person.id("patient"),
            "section": section,
            "position": position,
            "text": text,
            "critical": section == "important",
            "written_by_kind": "professional",
            "written_by_id": row_id("professional", 0),
            "written_by_name": "Anne Berg",
            "written_by_unit": "Post 0",
            "written_at": person.on_day(0),
        }


def _confirmations(person: Person) -> Rows:
    yield {
        "id": person.id("confirmation"),
        "line_id": person.id("line_matters"),
        "at": person.on_day(30),
        "by_kind": "patient",
        "by_id": person.id("patient"),
    }


def _contacts(person: Person) -> Rows:
    for role in _AROUND:
        yield {
            "id": person.id(f"contact_{role}"),
            "patient_id": person.id("patient"),
            "role": role,
            "name": None if role == "coordinator" else "Per Hansen",
            "phone": None if role == "coordinator" else "+4777000001",
            "since": person.on_day(0),
        }


def _letters(person: Person) -> Rows:
    for key, day in (("welcome", 0), ("check_in", 30), ("check_in", 90)):
        at = person.on_day(day)
        yield {
            "kind": key,
            "lane": "batch",
            "dedupe_key": f"{key}:{day}:{person.serial}",
            "patient_id": person.id("patient"),
            "check_in_id": person.id(f"check_in_{day}") if day else None,
            "language": "nb",
            "channel": "sms",
            "params": {},
            "created_at": at,
            "not_before": at,
            "valid_until": at + timedelta(hours=9),
            "state": "delivered",
            "next_attempt_at": at,
            "attempt": 1,
            "fence": 1,
            "settled_at": at,
        }


def _flags(person: Person) -> Rows:
    """Three of five are open cases, every fifth of them red."""
    place = person.region.place(person.serial)
    if place % 5 > 2:
        return
    red = place % 15 == 0
    opened_at = person.on_day(30) + timedelta(seconds=place)
    yield {
        "id": person.id("flag"),
        "patient_id": person.id("patient"),
        "unit_id": person.region.ward_of(person.serial),
        "check_in_id": person.id("check_in_30"),
        "measure_id": None if red else person.id("measure_1"),
        "code": "clearly_worse" if red else "not_started_waiting_list",
        "level": "red" if red else "amber",
        "rank": 0 if red else 1,
        "quote": "Det går tyngre i trapper." if red else None,
        "params": {},
        "state": "open",
        "opened_at": opened_at,
        "respond_by": opened_at + timedelta(days=1),
    }


def _flag_events(person: Person) -> Rows:
    for flag in _flags(person):
        yield {
            "id": person.id("flag_event"),
            "flag_id": flag["id"],
            "kind": "opened",
            "at": flag["opened_at"],
        }


_ROWS: dict[type[Base], Callable[[Person], Rows]] = {
    Patient: _patient,
    PatientUnit: _followed,
    Stay: _stay,
    Plan: _plan,
    PlanEvent: _plan_events,
    Measure: _measures,
    CheckIn: _check_ins,
    MeasureStatus: _statuses,
    Answer: _answers,
    PassportLine: _lines,
    PassportConfirmation: _confirmations,
    CareContact: _contacts,
    Message: _letters,
    Flag: _flags,
    FlagEvent: _flag_events,
}
