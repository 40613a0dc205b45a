"""Identities that ID-porten and HelseID vouch for."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import NotFound
from companion.models import (
    Patient,
    Professional,
    Relative,
    SignIn,
)
from companion.rules import national_id as national_ids
from companion.rules.access import ActorKind, Level
from companion.rules.cadence import local_day
from companion.use_cases.sign_in.people import audience_of, birth_of
from companion.use_cases.sign_in.sessions import Opened, open_session


def from_identity(
    db: Session,
    audience: ActorKind,
    claims: Mapping[str, Any],
    *,
    before: SignIn | None = None,
    now: datetime,
) -> Opened:
    """A session of level `high` for the person whose national id (`pid`) the provider vouches for.

    At the patients' door a relative may come in too. A relative whose national id nobody wrote down is recognised when the
    session `before` was theirs, by link or code, and the birth dates agree. Raises `NotFound` for somebody we do not know.
    """
    pid = str(claims["pid"])
    person = _identified(db, audience, pid)
    if person is None and audience != "professional":
        person = _recognised(db, before, pid, now)
    if person is None:
        raise NotFound
    opened = open_session(db, audience_of(person), Level.high, now, person_id=person.id)
    opened.sign_in.idp_issuer = str(claims.get("iss", "")) or None
    opened.sign_in.idp_sid = str(claims.get("sid", "")) or None
    if isinstance(person, Professional):
        opened.sign_in.unit_id = next((m.unit_id for m in person.memberships), None)
    db.flush()
    return opened


def _identified(db: Session, audience: ActorKind, pid: str) -> Patient | Relative | Professional | None:
    if audience == "professional":
        working = (Professional.national_id_index == pid, Professional.left_at.is_(None))
        return db.scalar(select(Professional).where(*working))
    patient = db.scalar(select(Patient).where(Patient.national_id_index == pid, Patient.died_on.is_(None)))
    relative = db.scalar(select(Relative).where(Relative.national_id_index == pid))
    return (relative or patient) if audience == "relative" else (patient or relative)


def _recognised(db: Session, before: SignIn | None, pid: str, now: datetime) -> Relative | None:
    if before is None or before.relative_id is None or Level[before.level] < Level.code:
        return None
    relative = db.get_one(Relative, before.relative_id)
    # The provider has vouched for the number, so whether it is synthetic is not ours to judge here.
    try:
        born = national_ids.parse(pid, allow_synthetic=True, today=local_day(now)).birth_date
    except national_ids.InvalidNationalId:
        return None
    if relative.national_id is not None or born is None or birth_of(relative) != born:
        return None
    relative.national_id = relative.national_id_index = pid
    return relative
