"""Programs with an account: how they get in, and the discharges they hand in."""

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, selectinload

from companion.crypto import token_hash
from companion.errors import Conflict, Invalid, NotFound
from companion.models import HandedIn, Integration, Unit
from companion.rules.access import Actor, Level
from companion.settings import Settings
from companion.use_cases.going_home.import_ import Report, import_rows
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


class Refused(Invalid):
    """A list with bad rows; nothing of it was recorded. `report` says what is wrong with which."""

    def __init__(self, report: Report) -> None:
        super().__init__({"rows": "rejected"})
        self.report = report


def hand_in(
    db: Session,
    who: Actor,
    rows: Sequence[Mapping[str, str]],
    *,
    key: str | None = None,
    settings: Settings,
    now: datetime,
) -> dict[str, Any]:
    """Records discharges, all or none, and says how many were `created`, `moved` and `unchanged`.

    A `key` used before gives the answer of that time, `Conflict("key_in_use")` when something else was sent with it. `Refused`
    for bad rows; such a request is not kept, so the key may be used again.
    """
    sent = json.dumps([dict(row) for row in rows], sort_keys=True)
    if key and (before := _before(db, who, key)):
        return _same(db, before, sent)
    try:
        with db.begin_nested():
            kept = (
                HandedIn(integration_id=who.id, key=key, sent_index=sent, answer={}, at=now) if key else None
            )
            if kept:
                # First of all, so that the same request on its way twice is carried out once.
                db.add(kept)
                db.flush()
            report = import_rows(db, who, rows, settings=settings, now=now)
            if report.problems:
                raise Refused(report)
            if kept:
                kept.answer = report.counts
                db.flush()
    except IntegrityError:
        before = _before(db, who, key) if key else None
        if before is None:
            raise
        return _same(db, before, sent)
    return report.counts


def _before(db: Session, who: Actor, key: str) -> HandedIn | None:
    return db.scalars(
        select(HandedIn)
        .where(HandedIn.integration_id == who.id, HandedIn.key == key)
        .execution_options(populate_existing=True)
    ).one_or_none()


def _same(db: Session, before: HandedIn, sent: str) -> dict[str, Any]:
    again = select(HandedIn.id).where(HandedIn.id == before.id, HandedIn.sent_index == sent)
    if db.scalar(again) is None:
        raise Conflict("key_in_use")
    return before.answer
