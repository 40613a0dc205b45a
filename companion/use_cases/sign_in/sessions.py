"""Sessions: opened, looked up, ended."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from companion.crypto import token_hash
from companion.errors import LinkUnknown, NotAllowed
from companion.models import (
    LinkToken,
    Membership,
    Patient,
    Professional,
    Relative,
    SignIn,
)
from companion.rules.access import Actor, ActorKind, Level
from companion.use_cases.sign_in.people import changed

IDLE = timedelta(minutes=30)
LONGEST = {
    "patient": timedelta(hours=2),
    "relative": timedelta(hours=2),
    "professional": timedelta(hours=12),
}
_SEEN_STEP = timedelta(minutes=1)


@dataclass(frozen=True)
class Opened:
    """A session, and the secret for its cookie."""

    sign_in: SignIn
    secret: str


def open_session(
    db: Session,
    audience: str,
    level: Level,
    now: datetime,
    *,
    person_id: UUID | None = None,
    link_token_id: int | None = None,
) -> Opened:
    """A new session, and the secret for its cookie, which is kept as a hash only."""
    secret = secrets.token_urlsafe(32)
    sign_in = SignIn(
        token_hash=token_hash(secret),
        csrf=secrets.token_urlsafe(32),
        audience=audience,
        level=level.name,
        patient_id=person_id if audience == "patient" else None,
        relative_id=person_id if audience == "relative" else None,
        professional_id=person_id if audience == "professional" else None,
        link_token_id=link_token_id,
        created_at=now,
        seen_at=now,
        expires_at=now + LONGEST[audience],
    )
    db.add(sign_in)
    db.flush()
    return Opened(sign_in, secret)


def actor(db: Session, secret: str, *, now: datetime) -> tuple[SignIn, Actor] | None:
    """Whose session this is; None when it never was, has ended, was left alone for 30 minutes or is older than it may be."""
    sign_in = db.scalar(select(SignIn).where(SignIn.token_hash == token_hash(secret)))
    if sign_in is None or sign_in.ended_at is not None:
        return None
    if now >= sign_in.expires_at or now >= sign_in.seen_at + IDLE:
        return None
    found = _actor(db, sign_in)
    if found is None:
        return None
    if now - sign_in.seen_at >= _SEEN_STEP:
        sign_in.seen_at = now
    return sign_in, found


def end(db: Session, sign_in: SignIn, *, now: datetime) -> None:
    """Signed out."""
    sign_in.ended_at = sign_in.ended_at or now
    db.flush()


def end_at_provider(db: Session, issuer: str, sid: str, *, now: datetime) -> int:
    """The person signed out at the provider: ends the sessions that began there. How many."""
    began = (SignIn.idp_issuer == issuer, SignIn.idp_sid == sid, SignIn.ended_at.is_(None))
    return changed(db, update(SignIn).where(*began).values(ended_at=now))


def choose_unit(db: Session, sign_in: SignIn, unit_id: UUID, *, now: datetime) -> None:
    """From now on the professional works for another of their own units. Raises `NotAllowed` for any other unit."""
    mine = select(Membership.id).where(
        Membership.professional_id == sign_in.professional_id, Membership.unit_id == unit_id
    )
    if db.scalar(mine.limit(1)) is None:
        raise NotAllowed
    sign_in.unit_id = unit_id
    db.flush()


def move_sessions(db: Session, by: timedelta, *, now: datetime) -> None:
    """The demo's clock jumped: whoever is signed in stays so."""
    for sign_in in db.scalars(select(SignIn).where(SignIn.ended_at.is_(None), SignIn.expires_at > now)):
        sign_in.seen_at += by
        sign_in.expires_at += by
    db.flush()


def _actor(db: Session, sign_in: SignIn) -> Actor | None:
    level = Level[sign_in.level]
    if level is Level.link:
        link = link_of(db, sign_in)
        kind: ActorKind = "relative" if link.relative_id else "patient"
        return Actor(kind=kind, id=link.relative_id or link.patient_id, level=level)
    if sign_in.professional_id:
        return _professional(db, sign_in, level)
    if sign_in.relative_id:
        relative = db.get_one(Relative, sign_in.relative_id)
        return Actor(kind="relative", id=relative.id, level=level, name=relative.name)
    patient = db.get_one(Patient, sign_in.patient_id)
    return None if patient.died_on else Actor(kind="patient", id=patient.id, level=level, name=patient.name)


def _professional(db: Session, sign_in: SignIn, level: Level) -> Actor | None:
    person = db.get_one(Professional, sign_in.professional_id)
    if person.left_at is not None:
        return None
    units = frozenset(m.unit_id for m in person.memberships)
    here = sign_in.unit_id if sign_in.unit_id in units else next(iter(units), None)
    return Actor(
        kind="professional",
        id=person.id,
        level=level,
        name=person.name,
        unit_id=here,
        unit_ids=units,
        roles=frozenset(m.role for m in person.memberships),
    )


def link_of(db: Session, sign_in: SignIn) -> LinkToken:
    """The link a session began with. Raises `LinkUnknown`."""
    link = db.get(LinkToken, sign_in.link_token_id) if sign_in.link_token_id else None
    if link is None:
        raise LinkUnknown
    return link
