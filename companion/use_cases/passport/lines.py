"""The patient passport: read by the patient, by those who follow the patient and by relatives let in; written line by line."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, joinedload

from companion import library
from companion.errors import Conflict, Invalid, NotAllowed, NotFound
from companion.models import (
    CareContact,
    Grant,
    Measure,
    PassportConfirmation,
    PassportLine,
    Patient,
    Professional,
    Unit,
)
from companion.models.passport import SECTIONS, WHEEL_ROLES
from companion.rules.access import Actor
from companion.use_cases.cases.written_words import tell_of_despair
from companion.use_cases.people.reach import in_force, may_reach, patient_of
from companion.use_cases.people.typed import clean, clean_lines, phone_number

OLD_AFTER = timedelta(weeks=6)
LONGEST_LINE = 500
LONGEST_NAME = 100
MOST_LINES = 60
# Shown even where nobody has said a word about them: a missing coordinator is news.
ALWAYS_IN_WHEEL = ("gp", "ward", "physio", "coordinating_unit", "coordinator")
ASK_FIRST = ("coordinator", "physio", "occupational", "art", "coordinating_unit", "ward")


@dataclass(frozen=True)
class Line:
    """One line. `old`: nobody has confirmed it for six weeks."""

    id: UUID
    text: str
    critical: bool
    written_by: str
    written_by_patient: bool
    unit: str | None
    written_at: datetime
    confirmed_at: datetime
    old: bool


@dataclass(frozen=True)
class Section:
    """A part of the passport; `key` is one of `SECTIONS`."""

    key: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class MeasureLine:
    """A recommended measure and how far it is. `unit` is the name of the unit whose task it is, where one of ours has it."""

    id: UUID
    number: int
    title: str
    why: str | None
    owner: str
    unit: str | None
    due_on: date
    status: str
    reason: str | None
    open: bool


@dataclass(frozen=True)
class Spoke:
    """Somebody around the patient; without a name, somebody who is missing. `relation` only for relatives."""

    role: str
    name: str | None
    phone: str | None
    unit: str | None = None
    relation: str | None = None

    @property
    def missing(self) -> bool:
        """Nobody has this place yet."""
        return self.name is None


@dataclass(frozen=True)
class WhomToCall:
    """Whom to call: a spoke's role, or `rehabilitation`, `urgent`, `emergency` from the national numbers."""

    role: str
    name: str
    phone: str
    hours: str | None = None


@dataclass(frozen=True)
class Person:
    """The facts about the patient that stand on top."""

    id: UUID
    name: str
    first_name: str
    born: date
    municipality: str
    language: str


@dataclass(frozen=True)
class Passport:
    """Everything on the passport, as it is now."""

    patient: Person
    sections: tuple[Section, ...]
    measures: tuple[MeasureLine, ...]
    wheel: tuple[Spoke, ...]
    whom_to_call: tuple[WhomToCall, ...]


def read(db: Session, who: Actor, patient_id: UUID, *, now: datetime) -> Passport:
    """The passport. A relative needs a grant for it; everybody who has no business with the patient gets `NotFound`.

    A relative sees the measures only with that scope too, and never other relatives' telephone numbers.
    """
    patient = patient_of(db, who, patient_id, now=now, scope="passport")
    grants = _grants(db, patient, now)
    contacts = _contacts(db, patient)
    wheel = _wheel(contacts, grants, show_phones=who.kind != "relative")
    return Passport(
        patient=Person(
            id=patient.id,
            name=patient.name,
            first_name=patient.first_name,
            born=patient.born,
            municipality=patient.municipality.name,
            language=patient.language,
        ),
        sections=_sections(db, patient, now),
        measures=_measures(db, patient) if _sees_measures(who, grants) else (),
        wheel=wheel,
        whom_to_call=_whom_to_call(contacts, patient.language),
    )


def write_line(
    db: Session,
    who: Actor,
    patient_id: UUID,
    section: str,
    text: str,
    critical: bool = False,
    *,
    now: datetime,
) -> PassportLine:
    """Adds a line at the end of a section, in the writer's name. Only `important` lines may be critical. Raises `Invalid`."""
    patient = _writable(db, who, patient_id, now)
    if section not in SECTIONS:
        raise Invalid({"section": "unknown"})
    written = _line_text(text)
    count, last = db.execute(
        select(func.count(), func.max(PassportLine.position)).where(
            PassportLine.patient_id == patient.id, PassportLine.ended_at.is_(None)
        )
    ).one()
    if count >= MOST_LINES:
        raise Invalid({"text": "too_many"})
    _hear(db, who, patient, written, now)
    return _add_line(db, who, patient.id, section, (last or 0) + 1, written, critical, now)


def change_line(
    db: Session, who: Actor, line_id: UUID, text: str, critical: bool | None = None, *, now: datetime
) -> PassportLine:
    """Replaces a line by a new one in its place; the old one stays on record. The same words are a confirmation.

    Raises `Conflict("changed")` when somebody else has changed it meanwhile.
    """
    line = _line(db, who, line_id, now=now)
    _may_change(who, line)
    written = _line_text(text)
    critical = line.critical if critical is None else critical
    if (written, critical) == (line.text, line.critical):
        return confirm_line(db, who, line_id, now=now)
    line.ended_at = now
    _hear(db, who, db.get_one(Patient, line.patient_id), written, now)
    return _add_line(
        db, who, line.patient_id, line.section, line.position, written, critical, now, replaces=line.id
    )


def standing(db: Session, who: Actor, line_id: UUID, *, now: datetime) -> PassportLine:
    """What stands in a line's place now: the line itself, the last that replaced it, or one that was taken away."""
    line = _any_line(db, who, line_id, now=now)
    while line.ended_at is not None:
        newer = db.scalar(select(PassportLine).where(PassportLine.replaces_id == line.id))
        if newer is None:
            break
        line = newer
    return line


def end_line(db: Session, who: Actor, line_id: UUID, *, now: datetime) -> None:
    """Takes a line out of the passport; it stays on record."""
    line = _line(db, who, line_id, now=now)
    _may_change(who, line)
    line.ended_at = now
    db.flush()


def confirm_line(db: Session, who: Actor, line_id: UUID, *, now: datetime) -> PassportLine:
    """Somebody says that the line is still right."""
    line = _line(db, who, line_id, now=now)
    line.confirmations.append(PassportConfirmation(at=now, by_kind=who.kind, by_id=who.id))
    db.flush()
    return line


def set_contact(
    db: Session, who: Actor, patient_id: UUID, role: str, name: str, phone: str, *, now: datetime
) -> CareContact:
    """Names the person at a spoke of the wheel; the one before stays on record. With nothing typed the person is missing again.

    Raises `Invalid` with every problem.
    """
    patient = _writable(db, who, patient_id, now)
    name, phone = clean(name), clean(phone)
    number = phone_number(phone) if phone else None
    problems: dict[str, str] = {}
    if role not in WHEEL_ROLES or role == "relative":
        problems["role"] = "unknown"
    if len(name) > LONGEST_NAME:
        problems["name"] = "too_long"
    elif phone and not name:
        problems["name"] = "missing"
    if phone and number is None:
        problems["phone"] = "not_a_phone"
    if problems:
        raise Invalid(problems)
    unit_id = None
    for before in db.scalars(
        select(CareContact).where(
            CareContact.patient_id == patient.id, CareContact.role == role, CareContact.ended_at.is_(None)
        )
    ):
        before.ended_at, unit_id = now, before.unit_id
    contact = CareContact(
        patient_id=patient.id,
        role=role,
        name=name or None,
        phone=number.e164 if number else None,
        unit_id=unit_id,
        since=now,
    )
    db.add(contact)
    db.flush()
    return contact


def _hear(db: Session, who: Actor, patient: Patient, written: str, now: datetime) -> None:
    """Words of despair reach a human wherever a patient writes them."""
    if who.kind == "patient":
        tell_of_despair(db, patient, written, now=now, place="passport")


def _writable(db: Session, who: Actor, patient_id: UUID, now: datetime) -> Patient:
    """Relatives read; the patient and those who follow the patient write."""
    patient = patient_of(db, who, patient_id, now=now, scope="passport")
    if who.kind == "relative":
        raise NotAllowed("relatives read the passport")
    return patient


def _any_line(db: Session, who: Actor, line_id: UUID, *, now: datetime, held: bool = False) -> PassportLine:
    found = (
        select(PassportLine)
        .join(Patient, Patient.id == PassportLine.patient_id)
        .where(PassportLine.id == line_id, may_reach(who, now=now, scope=None))
    )
    line = db.scalars(found.with_for_update(of=PassportLine) if held else found).one_or_none()
    if line is None:
        raise NotFound("line")
    return line


def _line(db: Session, who: Actor, line_id: UUID, *, now: datetime) -> PassportLine:
    line = _any_line(db, who, line_id, now=now, held=True)
    if line.ended_at is not None:
        raise Conflict("changed")
    return line


def _may_change(who: Actor, line: PassportLine) -> None:
    if who.kind == "patient" and line.written_by_kind != "patient":
        raise NotAllowed("a line of the professionals'")


def _line_text(text: str) -> str:
    written = clean_lines(text)
    if not written or len(written) > LONGEST_LINE:
        raise Invalid({"text": "too_long" if written else "missing"})
    return written


def _add_line(
    db: Session,
    who: Actor,
    patient_id: UUID,
    section: str,
    position: int,
    text: str,
    critical: bool,
    now: datetime,
    replaces: UUID | None = None,
) -> PassportLine:
    name, unit = _signature(db, who)
    line = PassportLine(
        patient_id=patient_id,
        section=section,
        position=position,
        text=text,
        critical=critical and section == "important",
        written_by_kind=who.kind,
        written_by_id=who.id,
        written_by_name=name,
        written_by_unit=unit,
        written_at=now,
        replaces_id=replaces,
    )
    db.add(line)
    db.flush()
    return line


def _signature(db: Session, who: Actor) -> tuple[str, str | None]:
    """As the patient reads it: "Eva Lund, logoped", and the unit."""
    if who.kind != "professional":
        return who.name, None
    row = db.execute(
        select(Professional.title, Unit.name)
        .outerjoin(Unit, Unit.id == who.unit_id)
        .where(Professional.id == who.id)
    ).one_or_none()
    title, unit = row if row else ("", None)
    return (f"{who.name}, {title}" if title else who.name), unit


def _sections(db: Session, patient: Patient, now: datetime) -> tuple[Section, ...]:
    lines = (
        db.scalars(
            select(PassportLine)
            .where(PassportLine.patient_id == patient.id, PassportLine.ended_at.is_(None))
            .order_by(PassportLine.position, PassportLine.written_at)
            .options(joinedload(PassportLine.confirmations))
        )
        .unique()
        .all()
    )
    return tuple(
        Section(key, tuple(_shown(line, now) for line in lines if line.section == key)) for key in SECTIONS
    )


def _shown(line: PassportLine, now: datetime) -> Line:
    return Line(
        id=line.id,
        text=line.text,
        critical=line.critical,
        written_by=line.written_by_name,
        written_by_patient=line.written_by_kind == "patient",
        unit=line.written_by_unit,
        written_at=line.written_at,
        confirmed_at=line.confirmed_at,
        old=now - line.confirmed_at > OLD_AFTER,
    )


def _measures(db: Session, patient: Patient) -> tuple[MeasureLine, ...]:
    found = (
        db.scalars(
            select(Measure)
            .where(Measure.patient_id == patient.id)
            .order_by(Measure.created_at.desc(), Measure.number)
            .options(joinedload(Measure.owner_unit), joinedload(Measure.statuses))
        )
        .unique()
        .all()
    )
    return tuple(_shown_measure(measure) for measure in found if measure.status != "cancelled")


def _shown_measure(measure: Measure) -> MeasureLine:
    return MeasureLine(
        id=measure.id,
        number=measure.number,
        title=measure.title,
        why=measure.why,
        owner=measure.owner,
        unit=measure.owner_unit.name if measure.owner_unit else None,
        due_on=measure.due_on,
        status=measure.status,
        reason=measure.statuses[-1].reason if measure.statuses else None,
        open=measure.open,
    )


def _grants(db: Session, patient: Patient, now: datetime) -> list[Grant]:
    return list(
        db.scalars(
            select(Grant)
            .where(Grant.patient_id == patient.id, in_force(now))
            .options(joinedload(Grant.relative))
            .order_by(Grant.given_at, Grant.id)
        )
    )


def _sees_measures(who: Actor, grants: Iterable[Grant]) -> bool:
    if who.kind != "relative":
        return True
    return any(grant.relative_id == who.id and "measures" in grant.scope_set for grant in grants)


@dataclass(frozen=True)
class _Contact:
    """A spoke with what only the calling card needs."""

    spoke: Spoke
    hours: str | None


def _contacts(db: Session, patient: Patient) -> list[_Contact]:
    rows = db.execute(
        select(CareContact, Unit, Professional)
        .outerjoin(Unit, Unit.id == CareContact.unit_id)
        .outerjoin(
            Professional, and_(Professional.id == CareContact.professional_id, Professional.left_at.is_(None))
        )
        .where(CareContact.patient_id == patient.id, CareContact.ended_at.is_(None))
        .order_by(CareContact.since, CareContact.id)
    )
    return [_contact(contact, unit, professional) for contact, unit, professional in rows]


def _contact(contact: CareContact, unit: Unit | None, professional: Professional | None) -> _Contact:
    name = contact.name or (professional.name if professional else None) or (unit.name if unit else None)
    phone = contact.phone or (professional.phone if professional else None) or (unit.phone if unit else None)
    spoke = Spoke(role=contact.role, name=name, phone=phone, unit=unit.name if unit else None)
    return _Contact(spoke, unit.hours if unit else None)


def _wheel(contacts: Iterable[_Contact], grants: Iterable[Grant], *, show_phones: bool) -> tuple[Spoke, ...]:
    spokes = [contact.spoke for contact in contacts]
    there = {spoke.role for spoke in spokes}
    spokes += [Spoke(role, None, None) for role in ALWAYS_IN_WHEEL if role not in there]
    spokes += [
        Spoke(
            "relative",
            grant.relative.name,
            grant.relative.phone if show_phones else None,
            relation=grant.relation,
        )
        for grant in grants
    ]
    return tuple(sorted(spokes, key=lambda spoke: WHEEL_ROLES.index(spoke.role)))


def _whom_to_call(contacts: Iterable[_Contact], language: str) -> tuple[WhomToCall, ...]:
    """The nearest first, the national numbers last; nobody without a number."""
    ours = sorted(
        (contact for contact in contacts if contact.spoke.role in ASK_FIRST),
        key=lambda contact: ASK_FIRST.index(contact.spoke.role),
    )
    near = [
        WhomToCall(contact.spoke.role, contact.spoke.name, contact.spoke.phone, contact.hours)
        for contact in ours
        if contact.spoke.name and contact.spoke.phone
    ]
    national = [
        WhomToCall(phone.key, phone.name.in_(language), phone.shown) for phone in library.phones().values()
    ]
    return (*near, *national)
