"""The outbox: claim letters and commit before any call, settle what came of it, never resend what may have arrived."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any, cast
from uuid import UUID

import structlog
from jinja2 import TemplateError
from sqlalchemy import JSON, BindParameter, Table, Update, bindparam, func, or_, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from companion.models import CheckIn, Meeting, Message, Patient, Relative
from companion.models.messages import UNDERWAY
from companion.rules.delivery_codes import CODES
from companion.settings import Settings as CompanionSettings
from companion.use_cases.messages import letter as post
from companion.use_cases.messages import message as letters
from companion.use_cases.messages.letter import Letter
from companion.use_cases.sign_in import Words, issue_links
from notifications import circuit
from notifications.channels import Device, LaneName, Parcel
from notifications.models import Delivery, PushSubscription
from notifications.receipts import NOT_FOUND, tried_last
from notifications.settings import Settings
from notifications.wording import WITH_LINK, push_payload, topic, word

Devices = dict[UUID, tuple[Device, ...]]
NO_WORDS = "no_words"
UNREADABLE = "unreadable"
# Handed back untried: it says nothing about the provider.
NOT_BEGUN = "not_begun"
HELD_BACK = "weekly_cap"
LEASE = timedelta(seconds=90)
# A call that has not begun by then is handed back; one that has ends well within the lease.
BEGIN_WITHIN = timedelta(seconds=45)
FIRST_BACKOFF = timedelta(seconds=5)
LONGEST_BACKOFF = timedelta(minutes=5)
KEEP_BODY = timedelta(days=7)
# When we look for an uncertain attempt at the provider, counted from its beginning.
LOOK_AFTER = (timedelta(minutes=2), timedelta(minutes=10))
# And never before a call that may still be under way has come to its end, whatever a clock that jumped says.
CALLS_END_WITHIN = timedelta(minutes=1)
# However the clock jumps: the provider's list may lag behind, and another dispatcher may still be in the call.
BETWEEN_LOOKS = timedelta(minutes=5)
# A push that no device has acknowledged by then is sent as SMS; one about a meeting in good time before it.
PUSH_IS_HEARD_WITHIN = timedelta(minutes=15)
BEFORE_MEETING = timedelta(hours=2)

_MESSAGE, _DELIVERY, _PATIENT, _RELATIVE, _CHECK_IN, _MEETING = (
    cast(Table, each.__table__) for each in (Message, Delivery, Patient, Relative, CheckIn, Meeting)
)
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
# Made once: to build them anew for every batch would take longer than the database takes for them.
_DUE = (
    select(
        *(
            _MESSAGE.c[name]
            for name in ("id", "patient_id", "about_id", "relative_id", "check_in_id", "meeting_id")
        )
    )
    .where(
        _MESSAGE.c.state == "queued",
        _MESSAGE.c.lane == bindparam("lane"),
        _MESSAGE.c.next_attempt_at <= bindparam("now"),
    )
    .order_by(_MESSAGE.c.next_attempt_at, _MESSAGE.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
# What each letter rests on, by the letters' columns. A patient in one claim is in no other: both would count the same week.
_HOLD = tuple(
    (
        columns.split(),
        select(table.c.id)
        .where(table.c.id.in_(_IDS))
        .order_by(table.c.id)
        .with_for_update(read=table is not _PATIENT, key_share=table is _PATIENT, skip_locked=True),
    )
    for columns, table in (
        ("patient_id about_id", _PATIENT),
        ("relative_id", _RELATIVE),
        ("check_in_id", _CHECK_IN),
        ("meeting_id", _MEETING),
    )
)
_TAKE = (
    _MESSAGE.update()
    .where(_MESSAGE.c.id.in_(_IDS))
    .values(
        state="sending",
        channel=bindparam("by"),
        attempt=_MESSAGE.c.attempt + 1,
        fence=_MESSAGE.c.fence + 1,
        next_attempt_at=bindparam("at"),
        lease_until=bindparam("until"),
        error_code=None,
    )
)
_BEGIN = _DELIVERY.insert()
_LOCK = (
    select(_MESSAGE.c.id, _MESSAGE.c.state)
    .where(_MESSAGE.c.id.in_(_IDS))
    .order_by(_MESSAGE.c.id)
    .with_for_update()
)
_ACCEPTED = (
    _MESSAGE.update()
    .where(
        _MESSAGE.c.id.in_(_IDS),
        _MESSAGE.c.fence == bindparam("its_fence"),
        _MESSAGE.c.state.in_(("sending", "unknown", "queued")),
    )
    .values(state="accepted", settled_at=bindparam("at"), lease_until=None)
)
_BY_SMS_NOW = (
    _MESSAGE.update()
    .where(_MESSAGE.c.id.in_(_IDS), _MESSAGE.c.fence == bindparam("its_fence"), _MESSAGE.c.state == "sending")
    .values(
        state="queued", channel="sms", next_attempt_at=bindparam("at"), waiting_since=None, lease_until=None
    )
)


def _close(each: FunctionElement[Any]) -> Update:
    """Ends attempts; the provider's ids go in as one JSON value, by attempt, which `each` takes apart."""
    told = each.table_valued("key", "value", name="told")
    return (
        _DELIVERY.update()
        .where(
            _DELIVERY.c.id == told.c.key,
            or_(_DELIVERY.c.outcome.is_(None), _DELIVERY.c.outcome == "unknown"),
        )
        .values(
            outcome=bindparam("became"),
            provider_id=told.c.value,
            error_code=bindparam("code"),
            finished_at=bindparam("at"),
        )
    )


_TOLD: BindParameter[Any] = bindparam("told", type_=JSON)
_CLOSE = {"sqlite": _close(func.json_each(_TOLD)), "postgresql": _close(func.json_each_text(_TOLD))}

log = structlog.get_logger()


@dataclass(frozen=True)
class Result:
    """What came of one attempt: `accepted`, `later`, `failed` or `unknown`."""

    parcel: Parcel
    outcome: str
    provider_id: str | None = None
    code: str | None = None
    after: timedelta | None = None


class Outbox:
    """Claiming, wording and settling, with the settings that stand in the texts."""

    def __init__(self, companion: CompanionSettings, settings: Settings) -> None:
        self._companion = companion
        self._settings = settings

    def claim(
        self, db: Session, lane: LaneName, limit: int, now: datetime, *, by_push: bool = False
    ) -> tuple[list[Parcel], Counter[str]]:
        """Takes up to `limit` due letters of a lane. The caller commits before it sends any of them.

        Each is asked once more how it stands; those no longer wanted, out of time or due at another hour leave the line here.
        With `by_push` those who have asked for it get a push, to all their devices.
        """
        room, probing = circuit.room(db, lane, limit, now)
        if not room:
            return [], Counter()
        loaded = _readable(db, _held(db, lane, room, now), now)
        sent = letters.sent_lately(db, loaded, now) if lane == "batch" else {}
        # What tries out the SMS provider has to be an SMS.
        devices = _devices(db, loaded, now) if by_push and lane == "batch" and not probing else {}
        to_send, counts = self._sort(db, loaded, sent, now)
        words = issue_links(db, [one for one in to_send if one.kind in WITH_LINK and _number(one)], now=now)
        parcels = []
        for one in to_send:
            try:
                parcels.append(self._wrap(one, words.get(one.id), devices, now))
                counts["claimed"] += 1
            except (TemplateError, LookupError, ValueError) as error:
                # One letter without words must not hold up all the others.
                log.error("no_words", kind=one.kind, language=one.language, error=type(error).__name__)
                _without_words(db, db.get_one(Message, one.id), now)
                counts["failed"] += 1
        db.flush()
        _take(db, parcels, now)
        if parcels and probing:
            circuit.claimed(db, lane, now)
        return parcels, counts

    def _sort(
        self, db: Session, loaded: Sequence[Letter], sent: dict[UUID, list[datetime]], now: datetime
    ) -> tuple[list[Letter], Counter[str]]:
        """The letters that go now; the others leave the line here, counted by how."""
        to_send: list[Letter] = []
        aside: dict[int, tuple[str | datetime, str | None]] = {}
        for one in loaded:
            standing: str | datetime = letters.standing(db, one, now)
            if standing != "cancel" and now >= one.valid_until:
                standing = "expired"
            had = sent.get(one.patient_id, []) if one.patient_id else []
            if standing != "send":
                aside[one.id] = standing, None
            elif enough := letters.enough_until(one, had, self._settings.messages_a_week, now):
                aside[one.id] = enough, HELD_BACK
            else:
                to_send.append(one)
                if not one.relative_id:
                    had.append(now)
        counts: Counter[str] = Counter()
        if not aside:
            return to_send, counts
        for message in db.scalars(select(Message).where(Message.id.in_(aside)).order_by(Message.id)):
            standing, code = aside[message.id]
            message.error_code = code or message.error_code
            counts[_put_aside(db, message, standing, now)] += 1
        return to_send, counts

    def _wrap(self, letter: Letter, words: Words | None, devices: Devices, now: datetime) -> Parcel:
        address = _number(letter)
        if not address:
            raise LookupError("a letter to nowhere")
        attempt_id, product = token_hex(16), self._companion.product_name
        if theirs := _by_push(letter, devices, now):
            way: dict[str, Any] = {
                "channel": "push",
                "address": "",
                "devices": theirs,
                "body": push_payload(letter, words, attempt_id, product=product),
                "topic": topic(letter),
                "urgent": letter.meeting_id is not None,
                "valid_for": min(letter.valid_until, _heard_by(letter, now)) - now,
            }
        else:
            body = word(
                letter,
                words,
                public_url=self._companion.public_url,
                product=product,
                institution=self._settings.institution,
            )
            way = {"address": address, "body": body, "valid_for": letter.valid_until - now}
        return Parcel(
            attempt_id=attempt_id,
            message_id=letter.id,
            attempt=letter.attempt + 1,
            fence=letter.fence + 1,
            started_at=now,
            lane="code" if letter.lane == "code" else "batch",
            **way,
        )


def _readable(db: Session, ids: Sequence[int], now: datetime) -> list[Letter]:
    """The letters. One that cannot be read (a key that is gone, a damaged row) ends here, and must not hold up the others."""
    try:
        return post.load(db, ids)
    except ValueError:
        if len(ids) > 1:
            return [letter for one in ids for letter in _readable(db, [one], now)]
    failed = {"state": "failed", "error_code": UNREADABLE, "settled_at": now}
    db.execute(update(Message).where(Message.id.in_(ids)).values(failed))
    # Neither can its person be read, so no unit can be told: whoever reads the log has to be.
    log.critical("unreadable_letter", message=ids[0])
    return []


def _number(letter: Letter) -> str | None:
    person = letter.relative or letter.patient
    return letter.phone or (person.phone if person else None)


def _without_words(db: Session, message: Message, now: datetime) -> None:
    message.state, message.error_code, message.settled_at = "failed", NO_WORDS, now
    letters.could_not_deliver(db, message, NO_WORDS, now=now)


def _held(db: Session, lane: str, limit: int, now: datetime) -> list[int]:
    """Letters that are due, held together with the people they go to or are about, and the check-in or meeting: nobody says
    stop, shuts a relative out, dies, puts it off or moves it between our look at them and our commit. What another
    transaction has in hand waits for the next claim.
    """
    due = db.connection().execute(_DUE, {"lane": lane, "now": now, "most": limit}).all()
    if db.get_bind().dialect.name == "sqlite":
        # There a transaction holds everything.
        return [one.id for one in due]
    held: set[UUID | None] = {None}
    for columns, hold in _HOLD:
        ids = {getattr(one, column) for one in due for column in columns} - {None}
        if ids:
            held.update(db.connection().scalars(hold, {"ids": list(ids)}))
    return [one.id for one in due if held.issuperset(one[1:])]


def _devices(db: Session, loaded: Sequence[Letter], now: datetime) -> Devices:
    """The devices of those of the letters' people who have asked for push, by patient."""
    wish = {
        letter.patient_id
        for letter in loaded
        if letter.patient and letter.patient.contact_by == "push" and not letter.relative_id
    }
    if not wish or circuit.push_stopped(db, now):
        return {}
    found: dict[UUID, list[Device]] = {}
    theirs = select(PushSubscription).where(PushSubscription.patient_id.in_(wish))
    for one in db.scalars(theirs.order_by(PushSubscription.created_at)):
        found.setdefault(one.patient_id, []).append(Device(one.id, one.endpoint, one.p256dh, one.auth))
    return {patient_id: tuple(several) for patient_id, several in found.items()}


def _by_push(letter: Letter, devices: Devices, now: datetime) -> tuple[Device, ...]:
    """The devices this letter goes to; none when it goes by SMS: it has tried push before, or there is no time to wait."""
    if letter.channel == "sms" or letter.relative_id or not letter.patient_id:
        return ()
    return devices.get(letter.patient_id, ()) if _heard_by(letter, now) > now else ()


def _heard_by(letter: Letter, now: datetime) -> datetime:
    """When a push sent now is sent as SMS, unless a device has acknowledged it."""
    moment = now + PUSH_IS_HEARD_WITHIN
    return min(moment, letter.meeting.starts_at - BEFORE_MEETING) if letter.meeting else moment


def _put_aside(db: Session, letter: Message, standing: str | datetime, now: datetime) -> str:
    if isinstance(standing, datetime):
        # Never past its validity: there it is visited once more, and expires with a flag.
        letter.next_attempt_at, letter.waiting_since = min(standing, letter.valid_until), None
        return "postponed"
    letter.settled_at = now
    if standing == "cancel":
        letter.state = "cancelled"
        return "cancelled"
    letter.state = "expired"
    letters.expired(db, letter, now)
    return "expired"


def _take(db: Session, parcels: Sequence[Parcel], now: datetime) -> None:
    if not parcels:
        return
    for channel in ("sms", "push"):
        taken = [parcel.message_id for parcel in parcels if parcel.channel == channel]
        if taken:
            values = {"ids": taken, "by": channel, "at": now, "until": now + LEASE}
            db.connection().execute(_TAKE, values)
    db.connection().execute(
        _BEGIN,
        [
            {
                "id": parcel.attempt_id,
                "message_id": parcel.message_id,
                "attempt": parcel.attempt,
                "fence": parcel.fence,
                "channel": parcel.channel,
                "address": parcel.address,
                "body": parcel.body,
                "started_at": now,
                "reconciled": 0,
                "polled": 0,
            }
            for parcel in parcels
        ],
    )


def settle(db: Session, results: Sequence[Result], now: datetime) -> Counter[str]:
    """Records what came of attempts, in batches. What the provider has told us meanwhile stands; a late yes still counts.

    A push is never in doubt: one that may have arrived is acknowledged by a device, or goes as SMS (`fall_back`).
    """
    by_outcome: dict[str, list[Result]] = {}
    results = [
        _read_as_push(result, now) if result.parcel.channel == "push" else result for result in results
    ]
    for result in results:
        by_outcome.setdefault(result.outcome, []).append(result)
    doubted = lock(db, [result.parcel.message_id for result in results])
    if accepted := by_outcome.get("accepted"):
        arrived = doubted & {result.parcel.message_id for result in accepted}
        for message in db.scalars(select(Message).where(Message.id.in_(arrived))) if arrived else ():
            letters.found(db, message, now)
        _move(db, _ACCEPTED, accepted, now)
    if later := by_outcome.get("later"):
        _queue_again(db, later, now)
    if by_sms_now := by_outcome.get("not_pushed"):
        _move(db, _BY_SMS_NOW, by_sms_now, now)
    for result in by_outcome.get("unknown", []):
        _park(db, result, now)
    for result in by_outcome.get("failed", []):
        _fail(db, result, now)
    db.flush()
    _close_attempts(db, results, now)
    return Counter(result.outcome for result in results)


def _read_as_push(result: Result, now: datetime) -> Result:
    """What the outcome of a push means: taken (perhaps), later, or by SMS now (`not_pushed`)."""
    if result.outcome == "unknown":
        return replace(result, outcome="accepted")
    waits_too_long = result.after is None or result.after > result.parcel.valid_for
    if result.outcome == "failed" or (
        result.outcome == "later" and result.code != NOT_BEGUN and waits_too_long
    ):
        return replace(result, outcome="not_pushed")
    return result


def fall_back(db: Session, now: datetime, limit: int = 500) -> int:
    """Pushes that no device has acknowledged in time are queued as SMS; how many."""
    unheard = db.scalars(
        select(Message)
        .outerjoin(Meeting, Meeting.id == Message.meeting_id)
        .where(
            UNDERWAY,
            Message.channel == "push",
            or_(Message.settled_at <= now - PUSH_IS_HEARD_WITHIN, Meeting.starts_at <= now + BEFORE_MEETING),
        )
        .order_by(Message.settled_at)
        .limit(limit)
        .with_for_update(of=Message, skip_locked=True)
    ).all()
    for message in unheard:
        message.state, message.channel, message.settled_at = "queued", "sms", None
        message.next_attempt_at, message.waiting_since, message.error_code = now, None, None
        # A late word of the push service's own says nothing about the SMS.
        message.fence += 1
    return len(unheard)


def lock(db: Session, message_ids: Iterable[int]) -> set[int]:
    """Holds the messages until the end of the transaction: always these before their attempts, and in one order.

    Those of them that are in doubt.
    """
    ids = sorted(set(message_ids))
    held = db.connection().execute(_LOCK, {"ids": ids})
    return {message_id for message_id, state in held if state == "unknown"}


def _close_attempts(db: Session, results: Sequence[Result], now: datetime) -> None:
    """One statement for all that ended in the same way."""
    words = {"later": "not_processed", "not_pushed": "failed"}
    ended: dict[tuple[str, str | None], dict[str, str | None]] = {}
    for result in results:
        outcome = words.get(result.outcome, result.outcome)
        ended.setdefault((outcome, result.code), {})[result.parcel.attempt_id] = result.provider_id
    close = _CLOSE[db.get_bind().dialect.name]
    for (outcome, code), told in ended.items():
        db.connection().execute(close, {"told": told, "became": outcome, "code": code, "at": now})


def _move(db: Session, change: Update, results: Sequence[Result], now: datetime) -> None:
    """Changes the messages that are still as the change demands and have not been claimed anew since."""
    # Nearly all of them are at their first.
    by_fence: dict[int, list[int]] = {}
    for result in results:
        by_fence.setdefault(result.parcel.fence, []).append(result.parcel.message_id)
    for fence, ids in by_fence.items():
        db.connection().execute(change, {"ids": ids, "its_fence": fence, "at": now})


def _queue_again(db: Session, results: Sequence[Result], now: datetime) -> None:
    ids = [result.parcel.message_id for result in results]
    last_moments = dict(db.execute(select(Message.id, Message.valid_until).where(Message.id.in_(ids))).all())
    db.connection().execute(
        _MESSAGE.update()
        .where(
            _MESSAGE.c.id == bindparam("its_id"),
            _MESSAGE.c.fence == bindparam("its_fence"),
            _MESSAGE.c.state == "sending",
        )
        .values(
            state="queued",
            lease_until=None,
            next_attempt_at=bindparam("again_at"),
            error_code=bindparam("its_code"),
            waiting_since=func.coalesce(_MESSAGE.c.waiting_since, now),
        ),
        [
            {
                "its_id": result.parcel.message_id,
                "its_fence": result.parcel.fence,
                "its_code": result.code,
                "again_at": min(now + backoff(result), last_moments[result.parcel.message_id]),
            }
            for result in results
        ],
    )


def backoff(result: Result) -> timedelta:
    """How long to wait after a certain non-acceptance: doubling, with jitter, and never less than the provider asks for."""
    longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * float(2 ** min(result.parcel.attempt - 1, 10)))
    jittered = longest * random.uniform(0.5, 1)
    return max(jittered, result.after) if result.after else jittered


def _locked(db: Session, result: Result, states: tuple[str, ...]) -> Message | None:
    return db.scalars(
        select(Message)
        .where(
            Message.id == result.parcel.message_id,
            Message.fence == result.parcel.fence,
            Message.state.in_(states),
        )
        .with_for_update()
    ).one_or_none()


def _park(db: Session, result: Result, now: datetime) -> None:
    message = _locked(db, result, ("sending",))
    if message is None:
        return
    message.state, message.lease_until, message.error_code = "unknown", None, result.code
    letters.parked(db, message, now)


def _fail(db: Session, result: Result, now: datetime) -> None:
    message = _locked(db, result, ("sending", "unknown"))
    if message is None:
        return
    message.state, message.lease_until, message.settled_at = "failed", None, now
    message.error_code = result.code or "unspecified"
    if message.error_code not in CODES:
        log.error("unknown_code", code=message.error_code)
    letters.could_not_deliver(db, message, message.error_code, now=now)


def sweep(db: Session, now: datetime, limit: int = 500) -> int:
    """Attempts whose lease ran out (their dispatcher died in the call) become uncertain; how many."""
    lost = db.scalars(
        select(Message)
        .where(Message.state == "sending", Message.lease_until <= now)
        .order_by(Message.lease_until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    for message in lost:
        outcome = "accepted" if message.channel == "push" else "unknown"
        until, message.state, message.lease_until = message.lease_until, outcome, None
        if outcome == "accepted":
            # Perhaps it was: a device acknowledges it, or it goes as SMS. After an outage that is at once.
            message.settled_at = until
        else:
            message.error_code = "lease"
            letters.parked(db, message, now)
        db.execute(
            update(Delivery)
            .where(
                Delivery.message_id == message.id, Delivery.fence == message.fence, Delivery.outcome.is_(None)
            )
            .values(outcome=outcome, finished_at=now)
        )
    return len(lost)


def to_look_for(db: Session, now: datetime, limit: int = 50) -> list[Parcel]:
    """Uncertain attempts whose time to be looked for at the provider has come."""
    due = or_(
        *(
            (Delivery.reconciled == times) & (Delivery.started_at <= now - wait)
            for times, wait in enumerate(LOOK_AFTER)
        )
    )
    rows = db.execute(
        select(Delivery, Message.valid_until)
        .join(Message, Message.id == Delivery.message_id)
        .where(
            Delivery.outcome == "unknown",
            Delivery.finished_at <= now - CALLS_END_WITHIN,
            due,
            or_(Message.state != "unknown", Message.lease_until.is_(None), Message.lease_until <= now),
        )
        .order_by(Delivery.started_at)
        .limit(limit)
    )
    return [
        Parcel(
            attempt_id=delivery.id,
            message_id=delivery.message_id,
            attempt=delivery.attempt,
            fence=delivery.fence,
            address=delivery.address,
            body=delivery.body or "",
            started_at=delivery.started_at,
            valid_for=valid_until - now,
        )
        for delivery, valid_until in rows
    ]


def looked(db: Session, parcel: Parcel, provider_ids: Sequence[str], now: datetime) -> str:
    """Records a look at the provider: `accepted` when it is there, `unknown` until the last look, then `queued` or `failed`."""
    message = db.get_one(Message, parcel.message_id, with_for_update=True)
    delivery = db.get_one(Delivery, parcel.attempt_id, with_for_update=True)
    if delivery.outcome != "unknown":
        return "settled"
    others = select(Delivery.provider_id).where(Delivery.provider_id.in_(provider_ids))
    taken = set(db.scalars(others))
    ours = [provider_id for provider_id in provider_ids if provider_id not in taken]
    current = message.fence == parcel.fence
    if ours:
        delivery.outcome, delivery.provider_id, delivery.finished_at = "accepted", ours[0], now
        if message.state == "unknown" or (current and message.state in ("queued", "sending")):
            letters.found(db, message, now)
            tried_last(message, delivery)
            message.state, message.settled_at, message.lease_until, message.error_code = (
                "accepted",
                now,
                None,
                None,
            )
        return "accepted"
    rests = message.state == "unknown" and message.lease_until is not None and now < message.lease_until
    if rests or now < delivery.started_at + LOOK_AFTER[delivery.reconciled]:
        # Another dispatcher looked at the same time: that was one look, not two.
        return "unknown"
    delivery.reconciled += 1
    if delivery.reconciled < len(LOOK_AFTER):
        if message.state == "unknown":
            message.lease_until = now + BETWEEN_LOOKS
        return "unknown"
    delivery.outcome, delivery.finished_at = NOT_FOUND, now
    if not current or message.state != "unknown":
        return "settled"
    return _give_up_or_repeat(db, message, now)


def _give_up_or_repeat(db: Session, message: Message, now: datetime) -> str:
    """It never left. A letter of the batch lane is queued once more; a code is asked for anew by the person."""
    times_not_found = db.scalars(
        select(Delivery.id).where(Delivery.message_id == message.id, Delivery.outcome == NOT_FOUND)
    ).all()
    message.lease_until = None
    if message.lane == "batch" and len(times_not_found) <= 1:
        letters.found(db, message, now)
        message.state, message.next_attempt_at, message.error_code = "queued", now, None
        return "queued"
    message.state, message.settled_at, message.error_code = "failed", now, NOT_FOUND
    letters.could_not_deliver(db, message, NOT_FOUND, now=now)
    return "failed"


def wipe_bodies(db: Session, now: datetime, limit: int = 500) -> int:
    """Forgets what was written in attempts that ended a week ago; how many."""
    old = (
        select(Delivery.id)
        .where(
            Delivery.body.is_not(None), Delivery.finished_at < now - KEEP_BODY, Delivery.outcome != "unknown"
        )
        .limit(limit)
    )
    ids = db.scalars(old).all()
    db.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids))
        .values(body=None)
        .execution_options(synchronize_session=False)
    )
    return len(ids)
