"""Who comes: the session behind a cookie and the person in it, read in one narrow statement."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, exists, func, select, update
from sqlalchemy.orm import Session

from companion.crypto import token_hash
from companion.errors import LinkUnknown
from companion.models import (
    Draft,
    LinkToken,
    Membership,
    Patient,
    Professional,
    Relative,
    SignIn,
    Stay,
    Unit,
)
from companion.rules.access import Actor, ActorKind, Level
from companion.use_cases.sign_in.sessions import IDLE

_SEEN_STEP = timedelta(minutes=1)
_PAGE_LIFE = timedelta(days=1)


@dataclass(frozen=True)
class UnitLine:
    """The unit to call, or where one works."""

    name: str
    phone: str | None


@dataclass(frozen=True)
class Visit:
    """Somebody's session and who it is, as plain values: what every page needs, and readable after the transaction."""

    id: int
    csrf: str
    seen_at: datetime
    expires_at: datetime
    actor: Actor
    language: str
    title: str
    scheme: str
    size: str
    national_id_index: str | None
    unit: UnitLine | None
    # Whether the person has typed something somewhere and not sent it.
    unsent: bool


def visit(db: Session, secret: str, *, now: datetime) -> Visit | None:
    """Whose session this is; None when it never was, has ended, was left alone for 30 minutes or is older than it may be.

    Read in one narrow statement; for a professional in two. Reading keeps nobody awake: `stay_awake` does.
    """
    row = db.execute(_VISIT, {"token_hash": token_hash(secret)}).one_or_none()
    if row is None or now >= row.expires_at or now >= row.seen_at + IDLE or row.died_on or row.left_at:
        return None
    level = Level[row.level]
    if level is Level.link:
        return _visit_by_link(row)
    if row.professional_id:
        return _visit_at_work(db, row, level)
    kind: ActorKind = "relative" if row.relative_id else "patient"
    name = row.relative_name or row.patient_name
    who = Actor(kind=kind, id=row.relative_id or row.patient_id, level=level, name=name)
    return _visit(row, who, UnitLine(row.ward_name, row.ward_phone) if row.ward_name else None)


def actor(db: Session, secret: str, *, now: datetime) -> tuple[SignIn, Actor] | None:
    """As `visit`, with the session itself, and kept awake."""
    found = visit(db, secret, now=now)
    if found is None:
        return None
    stay_awake(db, found, now=now)
    return db.get_one(SignIn, found.id, populate_existing=True), found.actor


def awake(db: Session, ids: Collection[int], *, now: datetime) -> frozenset[int]:
    """Which of these sessions still go on, by the rules of `visit`. Asking keeps nobody awake."""
    going_on = (
        select(SignIn.id)
        .outerjoin(Patient, Patient.id == SignIn.patient_id)
        .outerjoin(Professional, Professional.id == SignIn.professional_id)
        .where(
            SignIn.id.in_(ids),
            SignIn.ended_at.is_(None),
            SignIn.expires_at > now,
            SignIn.seen_at > now - IDLE,
            Patient.died_on.is_(None),
            Professional.left_at.is_(None),
        )
    )
    return frozenset(db.scalars(going_on))


def ends_at(visit: Visit) -> datetime:
    """When the session ends if nothing more is done."""
    return min(visit.seen_at + IDLE, visit.expires_at)


def stay_awake(db: Session, visit: Visit, *, now: datetime) -> None:
    """The session was used; written down at most once a minute."""
    if now - visit.seen_at >= _SEEN_STEP:
        db.execute(update(SignIn).where(SignIn.id == visit.id).values(seen_at=now))


def whose_page(db: Session, csrf: str, *, now: datetime) -> Actor | None:
    """To whom a page with that token was shown, up to a day after the session's longest end; None for nobody known by name.

    For keeping what they typed there: it opens nothing, whoever holds the browser now.
    """
    row = db.execute(_PAGES, {"csrf": csrf}).first()
    if row is None or now >= row.expires_at + _PAGE_LIFE:
        return None
    kind: ActorKind = "professional" if row.professional_id else "relative" if row.relative_id else "patient"
    return Actor(kind, row.professional_id or row.relative_id or row.patient_id, Level[row.level])


def _visit_by_link(row: Any) -> Visit:
    if row.link_participant_id:
        return _visit(row, Actor(kind="guest", id=row.link_participant_id, level=Level.link))
    if row.link_relative_id is None and row.link_patient_id is None:
        raise LinkUnknown
    kind: ActorKind = "relative" if row.link_relative_id else "patient"
    return _visit(row, Actor(kind=kind, id=row.link_relative_id or row.link_patient_id, level=Level.link))


def _visit_at_work(db: Session, row: Any, level: Level) -> Visit:
    mine = db.execute(_MEMBERSHIPS, {"professional_id": row.professional_id}).all()
    here = next((one for one in mine if one.unit_id == row.unit_id), mine[0] if mine else None)
    who = Actor(
        kind="professional",
        id=row.professional_id,
        level=level,
        name=row.professional_name,
        unit_id=here.unit_id if here else None,
        unit_ids=frozenset(one.unit_id for one in mine),
        roles=frozenset(one.role for one in mine),
    )
    return _visit(row, who, UnitLine(here.name, here.phone) if here else None)


def _visit(row: Any, who: Actor, unit: UnitLine | None = None) -> Visit:
    return Visit(
        id=row.id,
        csrf=row.csrf,
        seen_at=row.seen_at,
        expires_at=row.expires_at,
        actor=who,
        language=row.language or "nb",
        title=row.title or "",
        scheme=row.scheme or "auto",
        size=row.size or "md",
        national_id_index=row.national_id_index,
        unit=unit,
        unsent=row.unsent,
    )


# The ward of the latest stay.
_WARD_OF_PATIENT = (
    select(Stay.ward_id)
    .where(Stay.patient_id == SignIn.patient_id)
    .order_by(Stay.discharged_on.desc())
    .limit(1)
    .correlate(SignIn)
    .scalar_subquery()
)
_VISIT = (
    select(
        SignIn.id,
        SignIn.csrf,
        SignIn.level,
        SignIn.seen_at,
        SignIn.expires_at,
        SignIn.patient_id,
        SignIn.relative_id,
        SignIn.professional_id,
        SignIn.unit_id,
        LinkToken.patient_id.label("link_patient_id"),
        LinkToken.relative_id.label("link_relative_id"),
        LinkToken.participant_id.label("link_participant_id"),
        Patient.name.label("patient_name"),
        Relative.name.label("relative_name"),
        Professional.name.label("professional_name"),
        Patient.died_on,
        Professional.left_at,
        Professional.title,
        func.coalesce(Patient.language, Relative.language, Professional.language).label("language"),
        func.coalesce(Patient.color_scheme, Relative.color_scheme).label("scheme"),
        func.coalesce(Patient.text_size, Relative.text_size).label("size"),
        func.coalesce(
            Patient.national_id_index, Relative.national_id_index, Professional.national_id_index
        ).label("national_id_index"),
        Unit.name.label("ward_name"),
        Unit.phone.label("ward_phone"),
        exists()
        .where(Draft.owner_id == func.coalesce(SignIn.patient_id, SignIn.relative_id, SignIn.professional_id))
        .label("unsent"),
    )
    .outerjoin(LinkToken, LinkToken.id == SignIn.link_token_id)
    .outerjoin(Patient, Patient.id == SignIn.patient_id)
    .outerjoin(Relative, Relative.id == SignIn.relative_id)
    .outerjoin(Professional, Professional.id == SignIn.professional_id)
    .outerjoin(Unit, Unit.id == _WARD_OF_PATIENT)
    .where(SignIn.token_hash == bindparam("token_hash"), SignIn.ended_at.is_(None))
)
_PAGES = (
    select(SignIn.level, SignIn.expires_at, SignIn.patient_id, SignIn.relative_id, SignIn.professional_id)
    .where(SignIn.csrf == bindparam("csrf"), SignIn.level != Level.link.name)
    .order_by(SignIn.id.desc())
    .limit(1)
)
_MEMBERSHIPS = (
    select(Membership.unit_id, Membership.role, Unit.name, Unit.phone)
    .join(Membership.unit)
    .where(Membership.professional_id == bindparam("professional_id"))
    .order_by(Membership.id)
)
