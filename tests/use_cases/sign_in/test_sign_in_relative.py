"""A relative who was let in by link and birth date comes back with BankID, though nobody wrote down the national id."""

from datetime import date, datetime

import pytest
from sqlalchemy.orm import Session

from companion.errors import NotFound
from companion.models import Grant, Relative
from companion.rules.access import Level
from companion.rules.national_id import make_synthetic, parse
from companion.use_cases import sign_in
from companion.use_cases.relatives import share
from companion.use_cases.sign_in import sessions
from tests import cast

ANNE_ID = make_synthetic(cast.ANNE_BORN, 0)


def give(db: Session, now: datetime, **changed: object) -> Grant:
    ward = cast.ward(db, now)
    kari = cast.kari(db, now)
    draft = {
        "name": "Anne Nilsen",
        "phone": cast.ANNE_PHONE,
        "birth_date": cast.ANNE_BORN,
        "relation": "datter",
        "scopes": {"passport"},
        "until": date(2027, 5, 10),
    }
    return share.give(db, ward.sofia, kari.id, share.GrantDraft(**(draft | changed)), now=now)  # type: ignore[arg-type]


def session_of(db: Session, relative: Relative, level: Level, now: datetime) -> sign_in.Opened:
    return sessions.open_session(db, "relative", level, now, person_id=relative.id)


def test_the_birth_date_binds_the_identity(db: Session, now: datetime) -> None:
    anne = give(db, now).relative
    before = session_of(db, anne, Level.code, now).sign_in
    opened = sign_in.from_identity(db, "patient", {"pid": ANNE_ID}, before=before, now=now)
    assert (opened.sign_in.relative_id, opened.sign_in.level) == (anne.id, "high")
    again = sign_in.from_identity(db, "patient", {"pid": ANNE_ID}, now=now)
    assert again.sign_in.relative_id == anne.id


def test_another_birth_date_does_not(db: Session, now: datetime) -> None:
    anne = give(db, now).relative
    before = session_of(db, anne, Level.code, now).sign_in
    stranger = make_synthetic(date(1990, 1, 1), 0)
    with pytest.raises(NotFound):
        sign_in.from_identity(db, "patient", {"pid": stranger}, before=before, now=now)


def test_nor_does_a_mere_birthday_twin_without_the_link(db: Session, now: datetime) -> None:
    give(db, now)
    with pytest.raises(NotFound):
        sign_in.from_identity(db, "patient", {"pid": ANNE_ID}, now=now)


def test_a_national_id_on_the_consent_is_enough(db: Session, now: datetime) -> None:
    known = parse(ANNE_ID, allow_synthetic=True, today=now.date())
    anne = give(db, now, birth_date=None, national_id=known).relative
    assert anne.birth_date == cast.ANNE_BORN.isoformat()
    assert sign_in.from_identity(db, "patient", {"pid": ANNE_ID}, now=now).sign_in.relative_id == anne.id


def test_not_at_the_professionals_door(db: Session, now: datetime) -> None:
    anne = give(db, now).relative
    before = session_of(db, anne, Level.code, now).sign_in
    with pytest.raises(NotFound):
        sign_in.from_identity(db, "professional", {"pid": ANNE_ID}, before=before, now=now)
