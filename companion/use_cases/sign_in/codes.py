"""One-time codes by SMS."""

import secrets
from datetime import date, datetime
from typing import cast

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from companion.errors import Invalid, LinkLocked
from companion.models import (
    OneTimeCode,
    Patient,
    Relative,
)
from companion.rules.access import Level
from companion.use_cases.messages import message
from companion.use_cases.sign_in.people import (
    audience_of,
    birth_of,
    changed,
    e164,
    missing,
    people_at,
    six_digits,
)
from companion.use_cases.sign_in.sessions import Opened, open_session
from companion.use_cases.sign_in.tries import CODE_LIFE, take_a_try, too_many


def ask_for_code(db: Session, phone: str, *, now: datetime) -> None:
    """Sends a six-digit code to a known number. An unknown number, or one that asks too often, gets the same answer and no SMS.

    Raises `Invalid` when it is not a phone number at all.
    """
    number = e164(phone)
    if number is None:
        raise Invalid({"phone": "not_a_phone" if phone.strip() else "missing"})
    if too_many(db, OneTimeCode.created_at, now, OneTimeCode.phone_index == number):
        return
    person = next(iter(people_at(db, number)), None)
    letter = None
    if person is not None:
        letter = message.write(
            db,
            "sign_in_code",
            to=person,
            valid_until=now + CODE_LIFE,
            dedupe_key=f"sign_in_code:{secrets.token_hex(8)}",
            now=now,
        )
    db.add(
        OneTimeCode(
            phone_index=number,
            message_id=letter.id if letter else None,
            patient_id=person.id if isinstance(person, Patient) else None,
            relative_id=person.id if isinstance(person, Relative) else None,
            created_at=now,
            expires_at=now + CODE_LIFE,
        )
    )
    db.flush()


def enter_code(db: Session, phone: str, code: str, birth: date | None, *, now: datetime) -> Opened:
    """A session of level `code` for whoever at that number has the code and the birth date.

    A relative whose birth date nobody has written down needs the code alone. Raises `Invalid` (`wrong` without saying which) and,
    after five tries at the same code, `LinkLocked`.
    """
    number, digits = e164(phone), six_digits(code)
    if problems := missing(phone=number, code=digits, birth=birth):
        raise Invalid(problems)
    asked = db.scalar(
        select(OneTimeCode).where(OneTimeCode.phone_index == number).order_by(OneTimeCode.id.desc()).limit(1)
    )
    if asked is None or asked.expires_at <= now or asked.used_at is not None:
        raise Invalid({"code": "wrong"})
    if not take_a_try(db, OneTimeCode, asked.id):
        raise LinkLocked
    fits = asked.code_index is not None and db.scalar(
        select(OneTimeCode.id).where(OneTimeCode.id == asked.id, OneTimeCode.code_index == digits)
    )
    person = next((p for p in people_at(db, cast(str, number)) if birth_of(p) in (birth, None)), None)
    if not fits or person is None:
        raise Invalid({"code": "wrong"})
    unused = update(OneTimeCode).where(OneTimeCode.id == asked.id, OneTimeCode.used_at.is_(None))
    if not changed(db, unused.values(used_at=now)):
        raise Invalid({"code": "wrong"})
    return open_session(db, audience_of(person), Level.code, now, person_id=person.id)
