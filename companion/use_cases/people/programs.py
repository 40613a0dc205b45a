"""Programs with an account: how they get in."""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from companion.crypto import token_hash
from companion.errors import Conflict, Invalid, NotFound
from companion.models import Integration, Unit
from companion.rules.access import Actor, Level
from companion.use_cases.people.typed import clean

_LONGEST_NAME = 60
_PREFIX = "folge_"


def add(db: Session, name: str, wards: Iterable[str], *, now: datetime) -> tuple[Integration, str]:
    """A new account for these wards, by key, and its token, which is told this once.

    Raises `Invalid` for `name` and `ward`, `Conflict("name_in_use")`.
    """
    name, keys = clean(name), set(wards)
    units = db.scalars(select(Unit).where(Unit.key.in_(keys), Unit.kind.in_(("ward", "private_rehab")))).all()
    problems = {}
    if not name or len(name) > _LONGEST_NAME:
        problems["name"] = "too_long" if name else "missing"
    if not keys or len(units) < len(keys):
        problems["ward"] = "unknown_ward" if keys else "missing"
    if problems:
        raise Invalid(problems)
    if db.scalar(select(Integration.id).where(Integration.name == name)):
        raise Conflict("name_in_use")
    token = _PREFIX + secrets.token_urlsafe(32)
    account = Integration(name=name, token_hash=token_hash(token), created_at=now, wards=list(units))
    db.add(account)
    db.flush()
    return account, token


def accounts(db: Session) -> Sequence[Integration]:
    """Every account, revoked ones too."""
    return db.scalars(
        select(Integration).order_by(Integration.name).options(selectinload(Integration.wards))
    ).all()


def revoke(db: Session, name: str, *, now: datetime) -> Integration:
    """Shuts an account for good; again: no change. Raises `NotFound`."""
    account = db.scalars(select(Integration).where(Integration.name == clean(name))).one_or_none()
    if account is None:
        raise NotFound("integration account")
    account.revoked_at = account.revoked_at or now
    db.flush()
    return account


def from_token(db: Session, token: str) -> Actor | None:
    """The program behind a token; None for one that opens nothing."""
    account = db.scalars(
        select(Integration)
        .where(Integration.token_hash == token_hash(token), Integration.revoked_at.is_(None))
        .options(selectinload(Integration.wards))
    ).one_or_none()
    if account is None:
        return None
    wards = frozenset(ward.id for ward in account.wards)
    return Actor("integration", account.id, Level.high, account.name, unit_ids=wards)
