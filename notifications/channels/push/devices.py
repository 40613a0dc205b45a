"""The devices that take push: kept when the person asks for it, forgotten when they or the push service say so."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from companion.errors import Invalid
from companion.models import WorkDevice
from companion.use_cases.messages import contact
from notifications.models import PushSubscription

MOST = 10
LONGEST_ENDPOINT = 1000
LOOPBACK = ("127.0.0.1", "localhost")
# Names that lead into somebody's own network.
_INWARD = (".local", ".localhost", ".internal", ".intranet", ".lan", ".home", ".corp", ".home.arpa")
_NAME = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE
)
# IPv4 written as IPv6 (RFC 6052, 8215).
_TRANSLATED, _TRANSLATED_LOCALLY = ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48")
_UNPRINTED = re.compile(r"[^\x21-\x7e]")


@dataclass(frozen=True)
class Subscription:
    """What a browser gave us, looked through: where its push service listens, and the keys only it can open."""

    endpoint: str
    p256dh: str
    auth: str


def read(endpoint: str, p256dh: str, auth: str, *, loopback: bool = False) -> Subscription:
    """The subscription, when it can be one. `loopback` lets a push service on this machine pass.

    Raises `Invalid`: `endpoint` not_public (it is we who will call it) · `p256dh`, `auth` not_a_key.
    """
    problems = {}
    if not is_public(endpoint, loopback=loopback):
        problems["endpoint"] = "not_public"
    if not _is_point(p256dh):
        problems["p256dh"] = "not_a_key"
    if len(_bytes(auth)) != 16:
        problems["auth"] = "not_a_key"
    if problems:
        raise Invalid(problems)
    return Subscription(endpoint, p256dh.rstrip("="), auth.rstrip("="))


def is_public(endpoint: str, *, loopback: bool = False) -> bool:
    """Whether an address leads to the open internet by https, as far as its letters tell; where its name leads is asked later."""
    if len(endpoint) > LONGEST_ENDPOINT or _UNPRINTED.search(endpoint):
        return False
    try:
        where = urlsplit(endpoint)
        host, port = where.hostname or "", where.port
    except ValueError:
        return False
    if where.username is not None or where.password is not None or where.fragment:
        return False
    if loopback and where.scheme == "http" and host in LOOPBACK:
        return True
    public_name = bool(_NAME.fullmatch(host)) and not f".{host}".endswith(_INWARD)
    return where.scheme == "https" and port in (None, 443) and public_name


def is_open_internet(address: str) -> bool:
    """Whether a number a name led to is outside every private, local and reserved network."""
    number = ip_address(address)
    if number.version == 6:
        if number in _TRANSLATED:
            number = ip_address(int(number) & 0xFFFFFFFF)
        elif number in _TRANSLATED_LOCALLY:
            return False
        else:
            number = number.ipv4_mapped or number.sixtofour or number
    return number.is_global and not number.is_multicast


def add(db: Session, patient_id: UUID, sent: Subscription, *, asked: bool, now: datetime) -> bool:
    """Keeps the device, or that it is still there; whether it is new to this person. `asked`: they have just asked for it.

    A device that was somebody else's is this person's from now on. The eleventh takes the place of the one longest unseen.
    Raises `Conflict` when the person takes no messages.
    """
    known = _by_endpoint(db, sent.endpoint)
    for each in sorted({patient_id, known.patient_id if known else patient_id}):
        contact.lock(db, each)
    contact.check_may_write(db, patient_id)
    known = _by_endpoint(db, sent.endpoint)
    if known is None:
        made = PushSubscription(
            patient_id=patient_id,
            endpoint=sent.endpoint,
            endpoint_index=sent.endpoint,
            p256dh=sent.p256dh,
            auth=sent.auth,
            created_at=now,
            seen_at=now,
        )
        try:
            with db.begin_nested():
                db.add(made)
                db.flush()
        except IntegrityError:
            # The same page was opened twice at once.
            known = _by_endpoint(db, sent.endpoint)
    before = known.patient_id if known else None
    if known:
        known.patient_id, known.p256dh, known.auth, known.seen_at = patient_id, sent.p256dh, sent.auth, now
    db.flush()
    new = before != patient_id
    if before and new:
        _without(db, before)
    _leave_out_the_oldest(db, patient_id)
    contact.takes_push(db, patient_id, asked=asked)
    return new


def remove(db: Session, endpoint: str) -> None:
    """The device takes no push any more. Whoever can name the endpoint holds the device."""
    if known := _by_endpoint(db, endpoint):
        forget(db, [known.id])


def forget(db: Session, ids: Sequence[UUID]) -> set[UUID]:
    """Devices that are gone; a person whose last one it was gets SMS again. Whose they were, our own people's work phones too."""
    at_work = delete(WorkDevice).where(WorkDevice.id.in_(ids)).returning(WorkDevice.professional_id)
    colleagues = set(db.scalars(at_work)) if ids else set()
    of = set(db.scalars(select(PushSubscription.patient_id).where(PushSubscription.id.in_(ids))))
    for patient_id in sorted(of):
        contact.lock(db, patient_id)
    db.execute(delete(PushSubscription).where(PushSubscription.id.in_(ids)))
    for patient_id in sorted(of):
        _without(db, patient_id)
    return of | colleagues


def forget_all(db: Session, patient_id: UUID) -> None:
    """None of the person's devices takes push any more."""
    forget(db, db.scalars(select(PushSubscription.id).where(PushSubscription.patient_id == patient_id)).all())


def count(db: Session, patient_id: UUID) -> int:
    """How many of the person's devices take push."""
    theirs = select(func.count()).where(PushSubscription.patient_id == patient_id)
    return db.scalar(theirs) or 0


def _by_endpoint(db: Session, endpoint: str) -> PushSubscription | None:
    mine = select(PushSubscription).where(PushSubscription.endpoint_index == endpoint)
    return db.scalars(mine.execution_options(populate_existing=True)).one_or_none()


def _leave_out_the_oldest(db: Session, patient_id: UUID) -> None:
    theirs = select(PushSubscription.id).where(PushSubscription.patient_id == patient_id)
    too_many = db.scalars(theirs.order_by(PushSubscription.seen_at.desc()).offset(MOST)).all()
    db.execute(delete(PushSubscription).where(PushSubscription.id.in_(too_many)))


def _without(db: Session, patient_id: UUID) -> None:
    """A device of the person's is gone; one of several changes nothing."""
    if not count(db, patient_id):
        contact.no_device_left(db, patient_id)


def _is_point(text: str) -> bool:
    point = _bytes(text)
    if len(point) != 65:
        return False
    try:
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except ValueError:
        return False
    return True


def _bytes(text: str) -> bytes:
    bare = text.rstrip("=")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,120}", bare):
        return b""
    try:
        return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except binascii.Error:
        return b""
