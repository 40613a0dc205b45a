"""Sessions: opened, moved, ended."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from companion.crypto import token_hash
from companion.errors import LinkUnknown, NotAllowed
from companion.models import LinkToken, Membership, SignIn
from companion.rules.access import Level
from companion.use_cases.sign_in.people import changed

IDLE = timedelta(minutes=30)
LONGEST = {
    "patient": timedelta(hours=2),
    "relative": timedelta(hours=2),
    "guest": timedelta(hours=2),
    "professional": timedelta(hours=12),
}
# Ten times the two hours of a patient, by a tap each time; then everybody signs in again.
STAYS_AT_MOST = timedelta(hours=20)


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


def stay(db: Session, sign_in: SignIn, *, now: datetime) -> timedelta:
    """The person has been warned and says that they are still here: how long the session now lasts at least."""
    at_most = sign_in.created_at + STAYS_AT_MOST
    sign_in.seen_at = now
    sign_in.expires_at = max(sign_in.expires_at, min(now + IDLE, at_most))
    db.flush()
    return min(IDLE, sign_in.expires_at - now)


def carry_on(db: Session, opened: Opened, before: str | None) -> None:
    """The same person in the same browser again: what their pages of the session `before` carry is still theirs to send."""
    old = db.scalar(select(SignIn).where(SignIn.token_hash == token_hash(before))) if before else None
    if old is not None and same_person(db, old, opened.sign_in):
        opened.sign_in.csrf = old.csrf
        db.flush()


def same_person(db: Session, one: SignIn, other: SignIn) -> bool:
    """Whether two sessions are one person's, as far as they know; for one that has only opened a link, the link's."""
    return (found := _person(db, one)) is not None and found == _person(db, other)


def _person(db: Session, sign_in: SignIn) -> UUID | None:
    known = sign_in.professional_id or sign_in.relative_id or sign_in.patient_id
    link = db.get(LinkToken, sign_in.link_token_id) if known is None and sign_in.link_token_id else None
    return (link.relative_id or link.patient_id) if link else known


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
        sign_in.created_at += by
        sign_in.seen_at += by
        sign_in.expires_at += by
    db.flush()


def link_of(db: Session, sign_in: SignIn) -> LinkToken:
    """The link a session began with. Raises `LinkUnknown`."""
    link = db.get(LinkToken, sign_in.link_token_id) if sign_in.link_token_id else None
    if link is None:
        raise LinkUnknown
    return link
