"""The people the tests speak of: a ward, its town, and Kari who goes home. Invented, and made by the real use-cases."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from companion.models import Patient, Professional, Relative, Unit
from companion.rules.access import Actor, Level
from companion.rules.cadence import local_day
from companion.rules.national_id import make_synthetic
from companion.settings import Settings
from companion.use_cases.going_home import discharge, places
from companion.use_cases.going_home.discharge import MeasureDraft, Outcome

SETTINGS = Settings(environment="test")
KARI_BORN = date(1958, 5, 4)
KARI_ID = make_synthetic(KARI_BORN, 0)
KARI_PHONE = "+4740000001"
OLA_BORN = date(1992, 2, 6)
OLA_ID = make_synthetic(OLA_BORN, 0)
ANNE_BORN = date(1986, 10, 9)
ANNE_PHONE = "+4740000002"

IMPORT = Actor(kind="integration", level=Level.high, name="import")
PHYSIO = MeasureDraft("Fysioterapi to ganger i uken", "municipality", "12")
WALK = MeasureDraft("Gå en tur hver dag", "patient", "3")
CLINIC = MeasureDraft("Kontroll på slagpoliklinikken", "hospital", "90", why="Vi ser på blodtrykket.")
ART_VISIT = MeasureDraft("Hjemmebesøk av ART", "art", "14")


@dataclass(frozen=True)
class Ward:
    """Post 3, the teams around it, and one professional in each. Sofia works on the ward, Johan in Tromsø, Siri in ART."""

    post3: Unit
    art: Unit
    tromso: Unit
    coordinating: Unit
    harstad: Unit
    sofia: Actor
    johan: Actor
    siri: Actor
    marit: Actor
    geir: Actor


def ward(db: Session, now: datetime) -> Ward:
    """The units and their people."""
    places.load_municipalities(db)
    post3 = _unit(db, "unn-post3", "ward", "Post 3, UNN Tromsø", "77000010", "5501")
    art = _unit(db, "art-troms", "art", "ART Troms", "77000020", None)
    tromso = _unit(db, "tromso-rehab", "municipal_rehab", "Rehabiliteringsteamet, Tromsø", "77000000", "5501")
    coordinating = _unit(
        db, "tromso-ke", "coordinating_unit", "Koordinerende enhet, Tromsø", "77000001", "5501"
    )
    harstad = _unit(
        db, "harstad-rehab", "municipal_rehab", "Fysio- og ergoterapi, Harstad", "77000030", "5503"
    )
    return Ward(
        post3=post3,
        art=art,
        tromso=tromso,
        coordinating=coordinating,
        harstad=harstad,
        sofia=professional(db, "Sofia Berg", "sykepleier", post3, now=now),
        johan=professional(db, "Johan Bakk", "fysioterapeut", tromso, role="therapist", now=now),
        siri=professional(db, "Siri Myhre", "ergoterapeut", art, role="therapist", now=now),
        marit=professional(db, "Marit Solli", "koordinator", coordinating, now=now),
        geir=professional(db, "Geir Nordgård", "fysioterapeut", harstad, role="therapist", now=now),
    )


def professional(
    db: Session, name: str, title: str, unit: Unit, *, role: str = "staff", now: datetime
) -> Actor:
    """A colleague, signed in at the unit."""
    serial = len(db.scalars(select(Professional.id)).all())
    person = places.add_professional(
        db,
        name=name,
        national_id=make_synthetic(date(1980, 1, 15), serial),
        title=title,
        units=[unit.key],
        role=role,
        settings=SETTINGS,
        now=now,
    )
    return Actor(
        kind="professional",
        id=person.id,
        level=Level.high,
        name=person.name,
        unit_id=unit.id,
        unit_ids=frozenset({unit.id}),
        roles=frozenset({role}),
    )


def kari_fields(now: datetime, **changed: str) -> dict[str, str]:
    """Kari's discharge as typed: home today after a stroke, to Tromsø."""
    fields = {
        "national_id": KARI_ID,
        "name": "Kari Nilsen",
        "phone": "400 00 001",
        "language": "nb",
        "municipality_number": "5501",
        "ward": "unn-post3",
        "discharged_on": local_day(now).isoformat(),
        "template": "stroke",
        "hour": "",
    }
    return fields | changed


def send_home(
    db: Session,
    who: Actor,
    now: datetime,
    fields: Mapping[str, str],
    measures: Sequence[MeasureDraft] = (PHYSIO, WALK, CLINIC),
) -> Outcome:
    """A discharge, checked and recorded as the pages do it."""
    checked = discharge.check(db, fields, measures, settings=SETTINGS, today=local_day(now))
    return discharge.discharge(db, who, checked, now=now)


def kari(db: Session, now: datetime, **changed: str) -> Patient:
    """Kari, home today with three measures, sent home by the hospital's list. The ward must be there first."""
    return send_home(db, IMPORT, now, kari_fields(now, **changed)).stay.patient


def ola(db: Session, now: datetime) -> Patient:
    """Ola, home in Harstad after a head injury; Johan and Marit in Tromsø have nothing to do with him."""
    fields = kari_fields(
        now,
        national_id=OLA_ID,
        name="Ola Hansen",
        phone="+4740000003",
        municipality_number="5503",
        template="tbi",
    )
    return send_home(db, IMPORT, now, fields, (WALK,)).stay.patient


def actor(person: Patient | Relative, level: Level = Level.high) -> Actor:
    """The person, signed in."""
    kind = "patient" if isinstance(person, Patient) else "relative"
    return Actor(
        kind="patient" if kind == "patient" else "relative", id=person.id, level=level, name=person.name
    )


@contextmanager
def statements(db: Session) -> Iterator[list[str]]:
    """The SQL sent to the database inside the block."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(db.get_bind(), "before_cursor_execute", note)
    yield sent
    event.remove(db.get_bind(), "before_cursor_execute", note)


def days(count: float) -> timedelta:
    """For reading: `now + days(3)`."""
    return timedelta(days=count)


def _unit(db: Session, key: str, kind: str, name: str, phone: str, municipality: str | None) -> Unit:
    return places.add_unit(
        db,
        key,
        kind=kind,
        name=name,
        phone=phone,
        hours="hverdager 8–15",
        municipality=municipality,
        trust=None if municipality else "unn",
    )
