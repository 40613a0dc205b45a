"""Doors: links and typed codes, one-time codes, BankID and HelseID identities, and the sessions behind them.

Wrong tries are counted in the caller's transaction: a caller that shows a `wrong` answer commits.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import phonenumbers
from sqlalchemy import CursorResult, Table, func, insert, select, update
from sqlalchemy.orm import Session

from companion.crypto import token_hash
from companion.errors import Invalid, LinkExpired, LinkLocked, LinkUnknown, NotAllowed, NotFound
from companion.models import (
    Attempt,
    CheckIn,
    LinkToken,
    Meeting,
    Membership,
    Message,
    OneTimeCode,
    Patient,
    Professional,
    Relative,
    SignIn,
)
from companion.rules import national_id as national_ids
from companion.rules.access import Actor, ActorKind, Level
from companion.rules.cadence import local_day
from companion.use_cases.messages import message
from companion.use_cases.messages.letter import Letter

TRIES = 5
LINK_LIFE = timedelta(days=14)
CODE_LIFE = timedelta(minutes=10)
CODES_IN_TEN_MINUTES, CODES_IN_A_DAY = 3, 10
IDLE = timedelta(minutes=30)
LONGEST = {
    "patient": timedelta(hours=2),
    "relative": timedelta(hours=2),
    "professional": timedelta(hours=12),
}
_SEEN_STEP = timedelta(minutes=1)


@dataclass(frozen=True)
class Words:
    """What goes into a letter and exists nowhere else: the link's token and the code to type."""

    token: str
    code: str


@dataclass(frozen=True)
class Opened:
    """A session, and the secret for its cookie."""

    sign_in: SignIn
    secret: str


@dataclass(frozen=True)
class Landing:
    """Where a session that began with a link leads: `check_in`, `meeting` or `home`, and which one."""

    purpose: str
    id: UUID | None


# --- letters ----------------------------------------------------------------------------------------------------------


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
        "created_at": now,
        "expires_at": max(letter.valid_until, now + LINK_LIFE),
        "tries": 0,
    }


# --- links and typed codes --------------------------------------------------------------------------------------------


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
    number, digits = e164(phone), _six_digits(code)
    if problems := _missing(phone=number, code=digits):
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
    _slow_down(db, "typed_code", number, now)
    db.execute(update(LinkToken).where(LinkToken.id.in_(still_open)).values(tries=LinkToken.tries + 1))
    raise LinkUnknown


def first_name(db: Session, sign_in: SignIn) -> str:
    """What the letter that brought the link already called the person."""
    person = _person(db, _link(db, sign_in))
    return person.first_name if person else ""


def confirm_birth_date(db: Session, sign_in: SignIn, birth: date | None, *, now: datetime) -> Opened:
    """The link's person is there: a new session of level `code`, the old one ended.

    Five wrong dates shut the link for its lifetime. Raises `Invalid` (`missing`, `wrong`), `LinkExpired`, `LinkLocked`.
    """
    link = _link(db, sign_in)
    _check_open(link, now)
    if birth is None:
        raise Invalid({"birth": "missing"})
    if not _take_a_try(db, LinkToken, link.id):
        raise LinkLocked
    person = _person(db, link)
    if person is None or _born(person) != birth:
        db.refresh(link)
        if link.tries >= TRIES:
            raise LinkLocked
        raise Invalid({"birth": "wrong"})
    db.execute(update(LinkToken).where(LinkToken.id == link.id).values(tries=LinkToken.tries - 1))
    sign_in.ended_at = now
    return _open(db, _audience(person), Level.code, now, person_id=person.id, link_token_id=link.id)


def send_new_link(
    db: Session, *, token: str | None = None, sign_in: SignIn | None = None, now: datetime
) -> None:
    """Sends a fresh link for the same matter to the registered number; silent when there is nobody to send it to.

    At most three in ten minutes and ten a day for one person.
    """
    link = (
        _link(db, sign_in)
        if sign_in is not None
        else db.scalar(select(LinkToken).where(LinkToken.token_hash == token_hash(token or "")))
    )
    person = _person(db, link) if link else None
    if link is None or person is None or person.phone is None:
        return
    if _too_many(db, Attempt.at, now, Attempt.door == "new_link", Attempt.subject_index == person.phone):
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


# --- one-time codes ---------------------------------------------------------------------------------------------------


def ask_for_code(db: Session, phone: str, *, now: datetime) -> None:
    """Sends a six-digit code to a known number. An unknown number, or one that asks too often, gets the same answer and no SMS.

    Raises `Invalid` when it is not a phone number at all.
    """
    number = e164(phone)
    if number is None:
        raise Invalid({"phone": "not_a_phone" if phone.strip() else "missing"})
    if _too_many(db, OneTimeCode.created_at, now, OneTimeCode.phone_index == number):
        return
    person = next(iter(_people_at(db, number)), None)
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
    number, digits = e164(phone), _six_digits(code)
    if problems := _missing(phone=number, code=digits, birth=birth):
        raise Invalid(problems)
    asked = db.scalar(
        select(OneTimeCode).where(OneTimeCode.phone_index == number).order_by(OneTimeCode.id.desc()).limit(1)
    )
    if asked is None or asked.expires_at <= now or asked.used_at is not None:
        raise Invalid({"code": "wrong"})
    if not _take_a_try(db, OneTimeCode, asked.id):
        raise LinkLocked
    fits = asked.code_index is not None and db.scalar(
        select(OneTimeCode.id).where(OneTimeCode.id == asked.id, OneTimeCode.code_index == digits)
    )
    person = next((p for p in _people_at(db, cast(str, number)) if _born(p) in (birth, None)), None)
    if not fits or person is None:
        raise Invalid({"code": "wrong"})
    unused = update(OneTimeCode).where(OneTimeCode.id == asked.id, OneTimeCode.used_at.is_(None))
    if not _changed(db, unused.values(used_at=now)):
        raise Invalid({"code": "wrong"})
    return _open(db, _audience(person), Level.code, now, person_id=person.id)


# --- identities -------------------------------------------------------------------------------------------------------


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
    opened = _open(db, _audience(person), Level.high, now, person_id=person.id)
    opened.sign_in.idp_issuer = str(claims.get("iss", "")) or None
    opened.sign_in.idp_sid = str(claims.get("sid", "")) or None
    if isinstance(person, Professional):
        opened.sign_in.unit_id = next((m.unit_id for m in person.memberships), None)
    db.flush()
    return opened


# --- sessions ---------------------------------------------------------------------------------------------------------


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
    return _changed(db, update(SignIn).where(*began).values(ended_at=now))


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


# --- what a phone number and six digits look like ---------------------------------------------------------------------


def e164(phone: str) -> str | None:
    """The number as it is kept, `+4740000000`, from any Norwegian or international notation; None when it is none."""
    try:
        parsed = phonenumbers.parse(phone, "NO")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def _six_digits(code: str) -> str | None:
    digits = "".join(code.split())
    return digits if len(digits) == 6 and digits.isascii() and digits.isdecimal() else None


def _missing(**fields: object) -> dict[str, str]:
    return {name: "missing" for name, value in fields.items() if value is None}


# --- inside -----------------------------------------------------------------------------------------------------------


def _open(
    db: Session,
    audience: str,
    level: Level,
    now: datetime,
    *,
    person_id: UUID | None = None,
    link_token_id: int | None = None,
) -> Opened:
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


def _open_link(db: Session, link: LinkToken, now: datetime) -> Opened:
    _check_open(link, now)
    link.first_opened_at = link.first_opened_at or now
    audience = "relative" if link.relative_id else "patient"
    return _open(db, audience, Level.link, now, link_token_id=link.id)


def _check_open(link: LinkToken, now: datetime) -> None:
    if link.tries >= TRIES:
        raise LinkLocked
    if link.expires_at <= now:
        raise LinkExpired


def _link(db: Session, sign_in: SignIn) -> LinkToken:
    link = db.get(LinkToken, sign_in.link_token_id) if sign_in.link_token_id else None
    if link is None:
        raise LinkUnknown
    return link


def _person(db: Session, link: LinkToken) -> Patient | Relative | None:
    if link.relative_id:
        return db.get(Relative, link.relative_id)
    return db.get(Patient, link.patient_id) if link.patient_id else None


def _people_at(db: Session, number: str) -> list[Patient | Relative]:
    patients = db.scalars(select(Patient).where(Patient.phone_index == number, Patient.died_on.is_(None)))
    relatives = db.scalars(select(Relative).where(Relative.phone_index == number))
    return [*patients, *relatives]


def _born(person: Patient | Relative) -> date | None:
    return date.fromisoformat(person.birth_date) if person.birth_date else None


def _audience(person: Patient | Relative | Professional) -> ActorKind:
    if isinstance(person, Patient):
        return "patient"
    return "relative" if isinstance(person, Relative) else "professional"


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
    if relative.national_id is not None or born is None or _born(relative) != born:
        return None
    relative.national_id = relative.national_id_index = pid
    return relative


def _phone_of(letter: Message | Letter) -> str | None:
    person = letter.patient or letter.relative
    return person.phone if person else letter.phone


def _take_a_try(db: Session, kind: type[LinkToken] | type[OneTimeCode], row_id: int) -> bool:
    """Counts first and looks afterwards, in one statement: guesses in parallel get no more tries than guesses in a row."""
    counted = update(kind).where(kind.id == row_id, kind.tries < TRIES).values(tries=kind.tries + 1)
    return _changed(db, counted) == 1


def _slow_down(db: Session, door: str, subject: str | None, now: datetime) -> None:
    """Counts a wrong try at a number, whether or not anybody is there. Raises `LinkLocked` after ten in ten minutes."""
    recent = select(func.count()).where(
        Attempt.door == door, Attempt.subject_index == subject, Attempt.at > now - CODE_LIFE
    )
    if (db.scalar(recent) or 0) >= 2 * TRIES:
        raise LinkLocked
    db.add(Attempt(door=door, subject_index=subject, at=now))
    db.flush()


def _too_many(db: Session, at: Any, now: datetime, *same: Any) -> bool:
    def since(ago: timedelta) -> int:
        return db.scalar(select(func.count()).where(at > now - ago, *same)) or 0

    return since(timedelta(minutes=10)) >= CODES_IN_TEN_MINUTES or since(timedelta(days=1)) >= CODES_IN_A_DAY


def _changed(db: Session, statement: Any) -> int:
    return cast(CursorResult[Any], db.execute(statement)).rowcount


def _actor(db: Session, sign_in: SignIn) -> Actor | None:
    level = Level[sign_in.level]
    if level is Level.link:
        link = _link(db, sign_in)
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
