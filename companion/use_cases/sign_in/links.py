"""Links and typed codes: made while a letter is worded, redeemed, confirmed by the birth date."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, insert, select, update
from sqlalchemy.orm import Session

from companion.crypto import token_hash
from companion.errors import Invalid, LinkExpired, LinkLocked, LinkUnknown
from companion.models import (
    Attempt,
    CheckIn,
    LinkToken,
    Meeting,
    Message,
    OneTimeCode,
    Patient,
    Relative,
    SignIn,
)
from companion.rules.access import Level
from companion.use_cases.messages import message
from companion.use_cases.messages.letter import Letter
from companion.use_cases.sign_in.people import audience_of, birth_of, e164, missing, six_digits
from companion.use_cases.sign_in.sessions import Opened, link_of, open_session
from companion.use_cases.sign_in.tries import TRIES, slow_down, take_a_try, too_many

LINK_LIFE = timedelta(days=14)


@dataclass(frozen=True)
class Words:
    """What goes into a letter and exists nowhere else: the link's token and the code to type."""

    token: str
    code: str


@dataclass(frozen=True)
class Landing:
    """Where a session that began with a link leads: `check_in`, `meeting` or `home`, and which one."""

    purpose: str
    id: UUID | None


def issue_links(db: Session, letters: Iterable[Message | Letter], *, now: datetime) -> dict[int, Words]:
    """The links and typed codes of letters, by letter, made while they are worded; only their hashes are kept.

    A `sign_in_code` letter has no link: its `token` is empty and its code opens `enter_code`.
    """
    issued: dict[int, Words] = {}
    links = []
    for letter in letters:
        code = f"{secrets.randbelow(1_000_000):06d}"
        if letter.kind == "sign_in_code":
            db.execute(update(OneTimeCode).where(OneTimeCode.message_id == letter.id).values(code_index=code))
            issued[letter.id] = Words(token="", code=code)
            continue
        token = secrets.token_urlsafe(16)
        issued[letter.id] = Words(token=token, code=code)
        links.append(_link_row(letter, token, code, now))
    if links:
        db.connection().execute(_KEEP_LINKS, links)
    return issued


def issue_link(db: Session, letter: Message, *, now: datetime) -> Words:
    """The link and typed code of one letter."""
    return issue_links(db, [letter], now=now)[letter.id]


_KEEP_LINKS = insert(cast(Table, LinkToken.__table__))


def _link_row(letter: Message | Letter, token: str, code: str, now: datetime) -> dict[str, Any]:
    return {
        "token_hash": token_hash(token),
        "code_index": code,
        "phone_index": _phone_of(letter),
        "message_id": letter.id,
        "purpose": "meeting" if letter.meeting_id else "check_in" if letter.check_in_id else "home",
        "patient_id": letter.patient_id,
        "relative_id": letter.relative_id,
        "check_in_id": letter.check_in_id,
        "meeting_id": letter.meeting_id,
        "participant_id": letter.participant_id,
        "created_at": now,
        "expires_at": max(letter.valid_until, now + LINK_LIFE),
        "tries": 0,
    }


def _phone_of(letter: Message | Letter) -> str | None:
    person = letter.patient or letter.relative
    return person.phone if person else letter.phone


def redeem_link(db: Session, token: str, *, now: datetime) -> Opened:
    """A session of level `link`: it may be asked for the birth date, and nothing else.

    Raises `LinkUnknown`, `LinkExpired`, `LinkLocked`.
    """
    link = db.scalar(select(LinkToken).where(LinkToken.token_hash == token_hash(token)))
    if link is None:
        raise LinkUnknown
    return _open_link(db, link, now)


def redeem_typed(db: Session, phone: str, code: str, *, now: datetime) -> Opened:
    """As `redeem_link`, for the number and the six digits of the same letter.

    A wrong code counts as a try at every open link of that number. Raises `Invalid` (not a number, not six digits),
    `LinkUnknown`, `LinkExpired`, `LinkLocked`.
    """
    number, digits = e164(phone), six_digits(code)
    if problems := missing(phone=number, code=digits):
        raise Invalid(problems)
    # Held until the transaction ends: guesses in parallel are looked at one after the other, as guesses in a row are.
    still_open = db.scalars(
        select(LinkToken.id)
        .where(LinkToken.phone_index == number, LinkToken.expires_at > now, LinkToken.tries < TRIES)
        .order_by(LinkToken.id)
        .with_for_update()
    ).all()
    meant = select(LinkToken).where(LinkToken.phone_index == number, LinkToken.code_index == digits)
    link = db.scalars(meant.order_by(LinkToken.id.desc()).limit(1)).first()
    if link is not None:
        return _open_link(db, link, now)
    slow_down(db, "typed_code", number, now)
    db.execute(update(LinkToken).where(LinkToken.id.in_(still_open)).values(tries=LinkToken.tries + 1))
    raise LinkUnknown


def first_name(db: Session, sign_in: SignIn) -> str:
    """What the letter that brought the link already called the person."""
    person = _person_of(db, link_of(db, sign_in))
    return person.greeted_as if person else ""


def confirm_birth_date(db: Session, sign_in: SignIn, birth: date | None, *, now: datetime) -> Opened:
    """The link's person is there: a new session of level `code`, the old one ended.

    Five wrong dates shut the link for its lifetime. Raises `Invalid` (`missing`, `wrong`), `LinkExpired`, `LinkLocked`.
    """
    link = link_of(db, sign_in)
    _check_open(link, now)
    if birth is None:
        raise Invalid({"birth": "missing"})
    if not take_a_try(db, LinkToken, link.id):
        raise LinkLocked
    person = _person_of(db, link)
    if person is None or birth_of(person) != birth:
        db.refresh(link)
        if link.tries >= TRIES:
            raise LinkLocked
        raise Invalid({"birth": "wrong"})
    db.execute(update(LinkToken).where(LinkToken.id == link.id).values(tries=LinkToken.tries - 1))
    sign_in.ended_at = now
    return open_session(db, audience_of(person), Level.code, now, person_id=person.id, link_token_id=link.id)


def send_new_link(
    db: Session, *, token: str | None = None, sign_in: SignIn | None = None, now: datetime
) -> None:
    """Sends a fresh link for the same matter to the registered number; silent when there is nobody to send it to.

    At most three in ten minutes and ten a day for one person.
    """
    link = (
        link_of(db, sign_in)
        if sign_in is not None
        else db.scalar(select(LinkToken).where(LinkToken.token_hash == token_hash(token or "")))
    )
    person = _person_of(db, link) if link else None
    if link is None or person is None or person.phone is None:
        return
    if too_many(db, Attempt.at, now, Attempt.door == "new_link", Attempt.subject_index == person.phone):
        return
    db.add(Attempt(door="new_link", subject_index=person.phone, at=now))
    message.write(
        db,
        "new_link",
        to=person,
        check_in=db.get(CheckIn, link.check_in_id) if link.check_in_id else None,
        meeting=db.get(Meeting, link.meeting_id) if link.meeting_id else None,
        valid_until=now + timedelta(hours=1),
        dedupe_key=f"new_link:{link.id}:{now.isoformat()}",
        now=now,
    )
    db.flush()


def landing(db: Session, sign_in: SignIn) -> Landing:
    """Where the link led, or home."""
    link = db.get(LinkToken, sign_in.link_token_id) if sign_in.link_token_id else None
    if link is None:
        return Landing("home", None)
    return Landing(link.purpose, link.meeting_id or link.check_in_id)


def _open_link(db: Session, link: LinkToken, now: datetime) -> Opened:
    _check_open(link, now)
    link.first_opened_at = link.first_opened_at or now
    audience = "guest" if link.participant_id else "relative" if link.relative_id else "patient"
    return open_session(db, audience, Level.link, now, link_token_id=link.id)


def _check_open(link: LinkToken, now: datetime) -> None:
    if link.tries >= TRIES:
        raise LinkLocked
    if link.expires_at <= now:
        raise LinkExpired


def _person_of(db: Session, link: LinkToken) -> Patient | Relative | None:
    if link.relative_id:
        return db.get(Relative, link.relative_id)
    return db.get(Patient, link.patient_id) if link.patient_id else None
