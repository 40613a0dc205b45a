"""The least that check-ins, flags and worklists need: a town with its units, two colleagues, patients with plans.

Rows, not use-cases: a test here says exactly which states it starts from.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from uuid import UUID

from sqlalchemy.orm import Session

from companion import library
from companion.models import (
    CheckIn,
    Measure,
    Municipality,
    Patient,
    PatientUnit,
    Plan,
    Professional,
    Stay,
    Unit,
)
from companion.rules.access import Actor, Level
from companion.rules.cadence import schedule
from companion.rules.national_id import make_synthetic

HOME = date(2026, 11, 9)
TEN = time(10)


def at(day: int, hour: int = 10, minute: int = 0) -> datetime:
    """A wall-clock time in Tromsø that many days after everybody came home; winter time."""
    return datetime(2026, 11, 9, hour - 1, minute, tzinfo=UTC) + timedelta(days=day)


@dataclass
class SmallWard:
    """Puts rows in and hands them out."""

    db: Session
    units: dict[str, Unit] = field(default_factory=dict)
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.db.add(Municipality(number="5501", name="Tromsø", sami_name="Romsa", trust="unn"))
        self.db.flush()
        for key, kind, phone in (
            ("post3", "ward", "+4777000010"),
            ("tromso-rehab", "municipal_rehab", "+4777000000"),
            ("tromso-ke", "coordinating_unit", "+4777000001"),
            ("art-troms", "art", "+4777000020"),
            ("post9", "ward", None),
        ):
            self.units[key] = Unit(
                key=key, kind=kind, name=key, phone=phone, municipality_number="5501", trust="unn"
            )
        self.db.add_all(self.units.values())
        self.db.flush()

    def colleague(self, name: str, *unit_keys: str) -> Actor:
        """A professional of these units, signed in."""
        national_id = self._national_id()
        person = Professional(
            name=name,
            national_id=national_id,
            national_id_index=national_id,
            title="fysioterapeut",
            created_at=at(-30),
        )
        self.db.add(person)
        self.db.flush()
        units = frozenset(self.units[key].id for key in unit_keys)
        return Actor("professional", person.id, Level.high, name, self.units[unit_keys[0]].id, units)

    def patient(
        self,
        name: str = "Kari Nilsen",
        *,
        template: str = "general",
        contact_by: str = "sms",
        measures: tuple[tuple[str, str, int], ...] = (),
        units: tuple[str, ...] = ("post3", "tromso-rehab", "tromso-ke"),
        hour: time = TEN,
    ) -> Patient:
        """Somebody who came home, with the whole plan of the template."""
        national_id = self._national_id()
        number = f"+4740{next(self.numbers):06d}"
        patient = Patient(
            name=name,
            national_id=national_id,
            national_id_index=national_id,
            birth_date="1958-05-04",
            phone=number,
            phone_index=number,
            contact_by=contact_by,
            municipality_number="5501",
            created_at=at(-30),
        )
        self.db.add(patient)
        self.db.flush()
        stay = Stay(
            patient_id=patient.id, ward_id=self.units[units[0]].id, discharged_on=HOME, created_at=at(-3)
        )
        self.db.add(stay)
        self.db.add_all(
            PatientUnit(patient_id=patient.id, unit_id=self.units[key].id, since=HOME - timedelta(days=3))
            for key in units
        )
        self.db.flush()
        plan = Plan(stay_id=stay.id, patient_id=patient.id, template=template, created_at=at(-3))
        self.db.add(plan)
        self.db.flush()
        self.db.add_all(self._measures(stay, measures, units))
        self.db.add_all(
            CheckIn(
                plan_id=plan.id,
                patient_id=patient.id,
                day=planned.day_offset,
                questionnaire=planned.questionnaire,
                local_date=planned.local_date,
                local_time=planned.local_time,
                zone=planned.zone,
                due_at=planned.due_at,
            )
            for planned in schedule(library.plan_template(template), HOME, hour)
        )
        self.db.flush()
        return patient

    def check_in(self, patient: Patient, day: int) -> CheckIn:
        """The patient's check-in of that day."""
        return self.db.query(CheckIn).filter_by(patient_id=patient.id, day=day).one()

    def _measures(
        self, stay: Stay, measures: tuple[tuple[str, str, int], ...], units: tuple[str, ...]
    ) -> list[Measure]:
        owners = {"hospital": units[0], "municipality": "tromso-rehab", "art": "art-troms"}
        return [
            Measure(
                stay_id=stay.id,
                patient_id=stay.patient_id,
                number=number,
                title=title,
                owner=owner,
                owner_unit_id=self.units[owners[owner]].id if owner in owners else None,
                due_on=HOME + timedelta(days=due),
                created_at=at(-3),
            )
            for number, (title, owner, due) in enumerate(measures, 1)
        ]

    def _national_id(self) -> str:
        return make_synthetic(date(1958, 5, 4) + timedelta(days=next(self.numbers)), 0)


def themselves(patient: Patient) -> Actor:
    """The patient, signed in by link and birth date."""
    return Actor("patient", patient.id, Level.code, patient.name)


def measure_id(patient: Patient, db: Session, number: int = 1) -> UUID:
    """The id of the measure with that number."""
    return db.query(Measure).filter_by(patient_id=patient.id, number=number).one().id
