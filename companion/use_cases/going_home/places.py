"""Municipalities, units and the people who work in them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from companion import library
from companion.errors import Conflict, Invalid, NotFound
from companion.models import Membership, Municipality, Professional, Unit
from companion.rules import names
from companion.rules import national_id as national_ids
from companion.rules.cadence import local_day
from companion.rules.names import folded
from companion.rules.places import ROLES, UNIT_KINDS
from companion.settings import Settings
from companion.use_cases.people.typed import clean, phone_number

# Where people are discharged from.
WARDS = ("ward", "private_rehab")
_LONGEST_KEY, _LONGEST_NAME, _LONGEST_TITLE, _LONGEST_HOURS = 60, 120, 60, 60


@dataclass(frozen=True)
class Place:
    """What the discharge of a patient needs to know of a unit."""

    id: UUID
    key: str
    kind: str
    name: str
    trust: str | None
    municipality_number: str | None


class Places:
    """All units and municipalities as they were when read; an import of thousands of rows asks here, not the database."""

    def __init__(self, units: Iterable[Place], municipalities: dict[str, str]) -> None:
        self._units = sorted(units, key=lambda unit: unit.key)
        self._by_key = {unit.key: unit for unit in self._units}
        self._trust_of = municipalities

    @classmethod
    def read(cls, db: Session) -> "Places":
        """What the database holds now."""
        units = db.execute(
            select(Unit.id, Unit.key, Unit.kind, Unit.name, Unit.trust, Unit.municipality_number)
        )
        trusts = db.execute(select(Municipality.number, Municipality.trust))
        return cls((Place(*row) for row in units), {number: trust for number, trust in trusts})

    def has_municipality(self, number: str) -> bool:
        """Whether it is one we know."""
        return number in self._trust_of

    def municipality_number(self, text: str) -> str:
        """The number of the municipality that is meant, by its number or by a name that only one has; else the text itself."""
        if self.has_municipality(text):
            return text
        meant = _named().get(folded(text), ())
        return meant[0] if len(meant) == 1 else text

    def unknown_municipality(self, text: str) -> str:
        """The problem code for what is no municipality we know, with the new number where it is an old one."""
        if now := library.former_municipalities().get(text):
            known = library.municipalities()
            return f"old_municipality:{' / '.join(f'{number} {known[number].name}' for number in now)}"
        return "two_municipalities" if len(_named().get(folded(text), ())) > 1 else "unknown_municipality"

    def ward_key(self, text: str) -> str:
        """The key of the ward that is meant, by its key or by a name that only one has; else the text itself."""
        if text in self._by_key:
            return text
        wards = [unit for unit in self._units if unit.kind in WARDS]
        meant = [unit.key for unit in wards if text.casefold() == unit.key.casefold()] or [
            unit.key for unit in wards if text and folded(text) == folded(unit.name)
        ]
        return meant[0] if len(meant) == 1 else text

    def ward(self, key: str) -> Place | None:
        """The unit people are discharged from, by its key."""
        unit = self._by_key.get(key)
        return unit if unit and unit.kind in WARDS else None

    def municipal(self, kind: str, municipality: str) -> Place | None:
        """The municipality's own unit of this kind."""
        return self._first(kind, lambda unit: unit.municipality_number == municipality)

    def art(self, municipality: str) -> Place | None:
        """The ambulatory team that serves the municipality: its own, or one of its trust's."""
        trust = self._trust_of.get(municipality)
        return self.municipal("art", municipality) or self._first(
            "art", lambda unit: bool(trust) and unit.trust == trust
        )

    def _first(self, kind: str, fits: Callable[[Place], bool]) -> Place | None:
        return next((unit for unit in self._units if unit.kind == kind and fits(unit)), None)


@cache
def _named() -> Mapping[str, tuple[str, ...]]:
    """The numbers of the municipalities of a name, in any official language, folded."""
    found: dict[str, tuple[str, ...]] = {}
    for number, one in library.municipalities().items():
        for called in {folded(name) for name in one.names}:
            found[called] = (*found.get(called, ()), number)
    return found


def load_municipalities(db: Session) -> int:
    """Writes the municipalities of the content into the database, new and changed ones; how many there are."""
    facts = library.municipalities()
    known = {one.number: one for one in db.scalars(select(Municipality))}
    for number, row in known.items():
        if one := facts.get(number):
            row.name, row.sami_name, row.trust = one.name, one.sami_name, one.trust
    if new := [_as_row(one) for number, one in facts.items() if number not in known]:
        db.execute(insert(Municipality), new)
    db.flush()
    return len(facts)


def _as_row(one: library.MunicipalityFacts) -> dict[str, str | None]:
    return {"number": one.number, "name": one.name, "sami_name": one.sami_name, "trust": one.trust}


def add_unit(
    db: Session,
    key: str,
    *,
    kind: str,
    name: str,
    phone: str | None = None,
    hours: str | None = None,
    municipality: str | None = None,
    trust: str | None = None,
) -> Unit:
    """A new unit. Raises `Invalid` with every problem; a key in use is `Conflict("key_in_use")`.

    Without `trust` the municipality's trust counts.
    """
    problems: dict[str, str] = {}
    key, name = clean(key), clean(name)
    if not key or not name:
        problems |= {field: "missing" for field, text in (("key", key), ("name", name)) if not text}
    if len(key) > _LONGEST_KEY or any(letter in ";,| \t" for letter in key):
        problems["key"] = "too_long" if len(key) > _LONGEST_KEY else "characters"
    if len(name) > _LONGEST_NAME:
        problems["name"] = "too_long"
    if hours and len(hours) > _LONGEST_HOURS:
        problems["hours"] = "too_long"
    if kind not in UNIT_KINDS:
        problems["kind"] = "unknown_kind"
    number = phone_number(phone) if phone else None
    if phone and number is None:
        problems["phone"] = "not_a_phone"
    facts = library.municipalities().get(municipality) if municipality else None
    if municipality and facts is None:
        problems["municipality"] = "unknown_municipality"
    if trust and trust not in library.trusts():
        problems["trust"] = "unknown_trust"
    if kind in ("municipal_rehab", "coordinating_unit") and not municipality:
        problems["municipality"] = "missing"
    if problems:
        raise Invalid(problems)
    if db.scalar(select(Unit.id).where(Unit.key == key)):
        raise Conflict("key_in_use")
    unit = Unit(
        key=key,
        kind=kind,
        name=name,
        phone=number.e164 if number else None,
        hours=clean(hours) if hours else None,
        municipality_number=municipality,
        trust=trust or (facts.trust or None if facts else None),
    )
    db.add(unit)
    db.flush()
    return unit


def change_unit(
    db: Session, key: str, *, name: str | None = None, phone: str | None = None, hours: str | None = None
) -> Unit:
    """What patients read and call, changed; an empty `phone` or `hours` takes it away. Raises `NotFound` or `Invalid`."""
    unit = _units(db, [key])[0]
    problems: dict[str, str] = {}
    for field, text, longest in (("name", name, _LONGEST_NAME), ("hours", hours, _LONGEST_HOURS)):
        if text is not None and len(clean(text)) > longest:
            problems[field] = "too_long"
    if name is not None and not clean(name):
        problems["name"] = "missing"
    number = phone_number(phone) if phone else None
    if phone and number is None:
        problems["phone"] = "not_a_phone"
    if problems:
        raise Invalid(problems)
    unit.name = clean(name) if name else unit.name
    if phone is not None:
        unit.phone = number.e164 if number else None
    if hours is not None:
        unit.hours = clean(hours) or None
    db.flush()
    return unit


def add_professional(
    db: Session,
    *,
    name: str,
    national_id: str,
    title: str,
    units: Iterable[str],
    role: str,
    settings: Settings,
    now: datetime,
    phone: str | None = None,
) -> Professional:
    """Somebody who works in units, by their keys. Somebody we know gets the new units added. Raises `Invalid` or `NotFound`."""
    problems: dict[str, str] = {}
    name, title = names.read(clean(name)).full, clean(title)
    for field, text, longest in (("name", name, 100), ("title", title, _LONGEST_TITLE)):
        if not text or len(text) > longest:
            problems[field] = "too_long" if text else "missing"
    if role not in ROLES:
        problems["role"] = "unknown_role"
    number = phone_number(phone) if phone else None
    if phone and number is None:
        problems["phone"] = "not_a_phone"
    try:
        digits = national_ids.parse(
            national_id, allow_synthetic=settings.allow_synthetic, today=local_day(now)
        ).digits
    except national_ids.InvalidNationalId as problem:
        problems["national_id"] = national_id_problem(problem)
    if problems:
        raise Invalid(problems)
    person = db.scalars(select(Professional).where(Professional.national_id_index == digits)).one_or_none()
    if person is None:
        person = Professional(name=name, national_id=digits, national_id_index=digits, created_at=now)
        db.add(person)
    person.name, person.title, person.left_at = name, title, None
    person.phone = number.e164 if number else person.phone
    db.flush()
    for unit in _units(db, units):
        _member(db, person, unit, role)
    db.flush()
    return person


def national_id_problem(problem: national_ids.InvalidNationalId) -> str:
    """The problem code a form or a list shows for a number that does not do."""
    return {"empty": "missing", "synthetic": "synthetic_not_allowed"}.get(problem.code, "not_a_national_id")


def _units(db: Session, keys: Iterable[str]) -> list[Unit]:
    found = []
    for key in keys:
        unit = db.scalars(select(Unit).where(Unit.key == key)).one_or_none()
        if unit is None:
            raise NotFound("unit")
        found.append(unit)
    return found


def _member(db: Session, person: Professional, unit: Unit, role: str) -> None:
    same = select(Membership.id).where(
        Membership.professional_id == person.id, Membership.unit_id == unit.id, Membership.role == role
    )
    if db.scalar(same) is None:
        db.add(Membership(professional_id=person.id, unit_id=unit.id, role=role))
