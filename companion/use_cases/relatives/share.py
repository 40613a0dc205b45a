"""Letting a relative in: given by the patient, or on paper and registered by staff; withdrawn at once; never edited."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from companion.errors import Conflict, Invalid, LevelTooLow, NotAllowed, NotFound
from companion.models import Grant, Patient, Relative
from companion.models.grants import SCOPES
from companion.rules import names
from companion.rules.access import Actor, Level
from companion.rules.cadence import local_day, to_local, to_utc
from companion.rules.national_id import NationalId
from companion.use_cases.messages import message
from companion.use_cases.people.reach import in_force, may_reach, patient_of
from companion.use_cases.people.typed import clean, phone_number

LONGEST_NAME = 100
LONGEST_RELATION = 40
LONGEST_GRANT = timedelta(days=731)
INVITATION_LASTS = timedelta(days=7)


@dataclass(frozen=True)
class GrantDraft:
    """Whom to let in, to what, until and including which day.

    The birth date is what the relative's link will ask for; with the national id BankID opens as well, and tells the birth date.
    """

    name: str
    phone: str
    birth_date: date | None
    relation: str
    scopes: Collection[str]
    until: date
    national_id: NationalId | None = None


def give(db: Session, who: Actor, patient_id: UUID, draft: GrantDraft, *, now: datetime) -> Grant:
    """Lets the relative in and sends the invitation. The same again changes nothing; another scope or day replaces the grant.

    Professionals register consent given on paper; the patient needs level high (`LevelTooLow`). Raises `Invalid` with every
    problem, `Conflict("died")` for somebody who can no longer consent.
    """
    patient = _consenting(db, who, patient_id, now=now)
    name, relation, phone = _checked(draft, now)
    relative = _relative(db, name, phone, draft, patient, now)
    scopes = ",".join(scope for scope in SCOPES if scope in draft.scopes)
    valid_until = to_utc(draft.until + timedelta(days=1), time(0))
    for earlier in _in_force(db, patient, relative, now):
        if (earlier.scopes, earlier.valid_until, earlier.relation) == (scopes, valid_until, relation):
            return earlier
        _end(earlier, who, now)
    grant = Grant(
        patient=patient,
        relative=relative,
        relation=relation,
        scopes=scopes,
        given_how="paper" if who.kind == "professional" else "self",
        given_by_kind=who.kind,
        given_by_id=who.id,
        given_at=now,
        valid_until=valid_until,
    )
    db.add(grant)
    db.flush()
    message.write(
        db,
        "relative_invited",
        to=relative,
        about=patient,
        now=now,
        valid_until=min(valid_until, now + INVITATION_LASTS),
        dedupe_key=f"relative_invited:{grant.id}",
    )
    return grant


def check(draft: GrantDraft, *, now: datetime) -> None:
    """Raises `Invalid` with every problem `give` would find: for a form that asks about more than the relative."""
    _checked(draft, now)


def withdraw(db: Session, who: Actor, grant_id: UUID, *, now: datetime) -> Grant:
    """Shuts the door at once: by the patient, by staff for the patient, or by the relative. Again changes nothing."""
    mine = Grant.relative_id == who.id if who.kind == "relative" else may_reach(who, now=now, scope=None)
    grant = db.scalars(
        select(Grant)
        .join(Patient, Patient.id == Grant.patient_id)
        .where(Grant.id == grant_id, mine)
        .options(joinedload(Grant.relative), joinedload(Grant.patient))
    ).one_or_none()
    if grant is None:
        raise NotFound("grant")
    # No letter to the relative is claimed meanwhile. Whoever adds a row that names the relative need not wait.
    held = select(Relative.id).where(Relative.id == grant.relative_id)
    db.execute(held.with_for_update(key_share=True))
    if grant.withdrawn_at is None:
        _end(grant, who, now)
        db.flush()
    return grant


def grants_of(db: Session, who: Actor, patient_id: UUID, *, now: datetime) -> list[Grant]:
    """Everybody the patient has let in, the latest first; ended ones too, for they are the patient's history."""
    patient = patient_of(db, who, patient_id, now=now)
    return list(
        db.scalars(
            select(Grant)
            .where(Grant.patient_id == patient.id)
            .options(joinedload(Grant.relative))
            .order_by(Grant.given_at.desc(), Grant.id)
        )
    )


def granted_patients(db: Session, who: Actor, *, now: datetime) -> list[Grant]:
    """What the relative has been let in to and still is, with the patients; one grant each."""
    if who.kind != "relative" or who.id is None:
        raise NotAllowed("for relatives")
    return list(
        db.scalars(
            select(Grant)
            .where(Grant.relative_id == who.id, in_force(now))
            .options(joinedload(Grant.patient).joinedload(Patient.municipality))
            .order_by(Grant.given_at, Grant.id)
        )
    )


def last_day(grant: Grant) -> date:
    """The last day on which the grant holds."""
    return to_local(grant.valid_until - timedelta(seconds=1)).date()


def _consenting(db: Session, who: Actor, patient_id: UUID, *, now: datetime) -> Patient:
    patient = patient_of(db, who, patient_id, now=now, lock=True)
    if who.kind not in ("patient", "professional"):
        raise NotAllowed("for the patient, or staff with the patient's signature")
    if who.kind == "patient" and who.level < Level.high:
        raise LevelTooLow("high")
    if patient.died_on:
        raise Conflict("died")
    return patient


def _checked(draft: GrantDraft, now: datetime) -> tuple[str, str, str]:
    name, relation = names.read(clean(draft.name)).full, clean(draft.relation)
    phone = phone_number(clean(draft.phone))
    today = local_day(now)
    problems: dict[str, str] = {}
    for field, text, longest in (("name", name, LONGEST_NAME), ("relation", relation, LONGEST_RELATION)):
        if not text or len(text) > longest:
            problems[field] = "too_long" if text else "missing"
    if names.spoiled(name):
        problems["name"] = "garbled"
    if phone is None:
        problems["phone"] = "not_a_phone" if draft.phone.strip() else "missing"
    elif phone.landline:
        problems["phone"] = "landline"
    if draft.birth_date and not date(1900, 1, 1) <= draft.birth_date <= today:
        problems["birth_date"] = "not_a_date"
    if not draft.scopes or not set(draft.scopes) <= set(SCOPES):
        problems["scopes"] = "unknown" if draft.scopes else "missing"
    if draft.until < today:
        problems["until"] = "in_the_past"
    elif draft.until - today > LONGEST_GRANT:
        problems["until"] = "too_far"
    if problems or phone is None:
        raise Invalid(problems)
    return name, relation, phone.e164


def _relative(
    db: Session, name: str, phone: str, draft: GrantDraft, patient: Patient, now: datetime
) -> Relative:
    """The same person as before, or a new one: a telephone may be shared, so the name counts too, and a known birth date."""
    digits = draft.national_id.digits if draft.national_id else None
    born = (draft.national_id.birth_date if draft.national_id else None) or draft.birth_date
    birth_date = born.isoformat() if born else None
    relative = _known_relative(db, name, phone, digits, birth_date)
    if relative is None:
        relative = Relative(
            name=name,
            phone=phone,
            phone_index=phone,
            phone_state="ok",
            language=patient.language,
            created_at=now,
        )
        db.add(relative)
    relative.birth_date = relative.birth_date or birth_date
    if digits and not relative.national_id:
        relative.national_id = relative.national_id_index = digits
    db.flush()
    return relative


def _known_relative(
    db: Session, name: str, phone: str, digits: str | None, birth_date: str | None
) -> Relative | None:
    if digits:
        same = db.scalars(select(Relative).where(Relative.national_id_index == digits)).one_or_none()
        if same is not None:
            return same
    for known in db.scalars(select(Relative).where(Relative.phone_index == phone)):
        born_same = birth_date is None or known.birth_date in (None, birth_date)
        another = digits is not None and known.national_id not in (None, digits)
        if names.folded(known.name) == names.folded(name) and born_same and not another:
            return known
    return None


def _in_force(db: Session, patient: Patient, relative: Relative, now: datetime) -> list[Grant]:
    return list(
        db.scalars(
            select(Grant).where(
                Grant.patient_id == patient.id, Grant.relative_id == relative.id, in_force(now)
            )
        )
    )


def _end(grant: Grant, who: Actor, now: datetime) -> None:
    grant.withdrawn_at, grant.withdrawn_by_kind = now, who.kind
