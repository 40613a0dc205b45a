"""The outbox: claim letters and commit before any call, settle what came of it, never resend what may have arrived."""

import random
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
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
from companion.use_cases.cases import duty
from companion.use_cases.messages import letter as post
from companion.use_cases.messages import message as letters
from companion.use_cases.messages.letter import Letter
from companion.use_cases.sign_in import Words, issue_links
from notifications import circuit
from notifications.channels import LEASE, Frame, LaneName, Parcel, To, Way
from notifications.models import Delivery
from notifications.receipts import NOT_FOUND, by_next_way, tried_last
from notifications.settings import Settings
from notifications.ways import Ways, discover
from notifications.wording import WITH_LINK, carried

NO_WORDS = "no_words"
NO_WAY = "no_way"
UNREADABLE = "unreadable"
# Handed back untried: it says nothing about the provider.
NOT_BEGUN = "not_begun"
HELD_BACK = "weekly_cap"
FIRST_BACKOFF = timedelta(seconds=5)
LONGEST_BACKOFF = timedelta(minutes=5)
KEEP_BODY = timedelta(days=7)
# When we look for an uncertain attempt at the provider, counted from its beginning.
LOOK_AFTER = (timedelta(minutes=2), timedelta(minutes=10))
# And never before a call that may still be under way has come to its end, whatever a clock that jumped says.
CALLS_END_WITHIN = timedelta(minutes=1)
# However the clock jumps: the provider's list may lag behind, and another dispatcher may still be in the call.
BETWEEN_LOOKS = timedelta(minutes=5)

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
_NEXT_WAY = (
    _MESSAGE.update()
    .where(_MESSAGE.c.id.in_(_IDS), _MESSAGE.c.fence == bindparam("its_fence"), _MESSAGE.c.state == "sending")
    .values(
        state="queued",
        channel=bindparam("way"),
        next_attempt_at=bindparam("at"),
        waiting_since=None,
        lease_until=None,
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

    def __init__(self, companion: CompanionSettings, settings: Settings, ways: Ways | None = None) -> None:
        self.ways = ways or discover(settings)
        self._carried = {way.name: carried(way.words, way.name) for way in self.ways}
        self._frame = Frame(companion.public_url, companion.product_name, settings.institution)
        self._settings = settings

    def claim(
        self,
        db: Session,
        lane: LaneName,
        limit: int,
        now: datetime,
        *,
        by: Collection[str] | None = None,
    ) -> tuple[list[Parcel], Counter[str]]:
        """Takes up to `limit` due letters of a lane. The caller commits before it sends any of them.

        Each is asked once more how it stands; those no longer wanted, out of time or due at another hour leave the line here.
        Each goes the first way on which its person can be reached now, among those that are open (`by`; None: all).
        """
        room, probing = circuit.room(db, lane, limit, now)
        if not room:
            return [], Counter()
        loaded = _readable(db, _held(db, lane, room, now), now)
        sent = letters.sent_lately(db, loaded, now) if lane == "batch" else {}
        to_send, counts = self._sort(db, loaded, sent, now)
        # What tries out a last way has to go that way.
        open_ways = self.ways.last if probing else by
        routes = self._routes(db, to_send, lane, open_ways, now)
        linked = [one for one in to_send if one.kind in WITH_LINK and one.id in routes]
        words = issue_links(db, linked, now=now)
        for one in to_send:
            if one.professional_id and one.kind == duty.KIND:
                one.params = duty.said(db, one.id, one.professional_id)
        parcels = []
        for one in to_send:
            if one.id not in routes and one.professional_id:
                _no_way(db.get_one(Message, one.id), now)
                counts["failed"] += 1
                continue
            try:
                parcels.append(self._wrap(one, words.get(one.id), *routes[one.id], now))
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

    def _routes(
        self,
        db: Session,
        letters: Sequence[Letter],
        lane: LaneName,
        open_ways: Collection[str] | None,
        now: datetime,
    ) -> dict[int, tuple[Way, To]]:
        """Which way each letter goes, and where; a way is asked once about all of them."""
        routes: dict[int, tuple[Way, To]] = {}
        for way in self.ways:
            if lane not in way.can.lanes or (open_ways is not None and way.name not in open_ways):
                continue
            may = [one for one in letters if one.id not in routes and self._may_go(one, way, now)]
            reached = way.reaches(db, may, now) if may else {}
            if reached and not way.can.last and circuit.rests(db, way.name, now):
                continue
            routes |= {letter_id: (way, to) for letter_id, to in reached.items()}
        return routes

    def _may_go(self, letter: Letter, way: Way, now: datetime) -> bool:
        """There are words for it, it has not been tried in vain, and there is time to wait for it."""
        if letter.kind not in self._carried[way.name] or not self.ways.may_try(way, letter.channel):
            return False
        heard_by = _heard_by(letter, way, now)
        return heard_by is None or heard_by > now

    def _wrap(self, letter: Letter, words: Words | None, way: Way, to: To, now: datetime) -> Parcel:
        attempt_id = token_hex(16)
        wrapped = way.wrap(letter, words, to, attempt_id, self._frame)
        heard_by = _heard_by(letter, way, now)
        return Parcel(
            attempt_id=attempt_id,
            message_id=letter.id,
            attempt=letter.attempt + 1,
            fence=letter.fence + 1,
            address=to.address,
            body=wrapped.body,
            started_at=now,
            valid_for=(min(letter.valid_until, heard_by) if heard_by else letter.valid_until) - now,
            lane="code" if letter.lane == "code" else "batch",
            channel=way.name,
            devices=to.devices,
            topic=wrapped.topic,
            urgent=wrapped.urgent,
            next_way=self.ways.next(way.name),
        )


def _heard_by(letter: Letter, way: Way, now: datetime) -> datetime | None:
    """When a letter sent now goes by the next way, unless it is acknowledged."""
    return way.can.heard_by(letter.meeting.starts_at if letter.meeting else None, now)


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


def _without_words(db: Session, message: Message, now: datetime) -> None:
    message.state, message.error_code, message.settled_at = "failed", NO_WORDS, now
    letters.could_not_deliver(db, message, NO_WORDS, now=now)


def _no_way(message: Message, now: datetime) -> None:
    """The way somebody of ours has chosen is not open here, or leads nowhere: their page says so."""
    message.state, message.error_code, message.settled_at = "failed", NO_WAY, now


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
    by_way: dict[str, list[int]] = {}
    for parcel in parcels:
        by_way.setdefault(parcel.channel, []).append(parcel.message_id)
    for way, taken in by_way.items():
        values = {"ids": taken, "by": way, "at": now, "until": now + LEASE}
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

    What has a next way is never in doubt: if it may have arrived it is acknowledged, or goes that way (`fall_back`).
    """
    by_outcome: dict[str, list[Result]] = {}
    results = [_with_a_next_way(result) if result.parcel.next_way else result for result in results]
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
    for way in {result.parcel.next_way for result in by_outcome.get("next_way", [])}:
        going = [result for result in by_outcome["next_way"] if result.parcel.next_way == way]
        _move(db, _NEXT_WAY, going, now, way=way)
    for result in by_outcome.get("unknown", []):
        _park(db, result, now)
    for result in by_outcome.get("failed", []):
        _fail(db, result, now)
    db.flush()
    _close_attempts(db, results, now)
    return Counter(result.outcome for result in results)


def _with_a_next_way(result: Result) -> Result:
    """What the outcome means where there is a next way: taken (perhaps), later, or by that way now (`next_way`)."""
    if result.outcome == "unknown":
        return replace(result, outcome="accepted")
    waits_too_long = result.after is None or result.after > result.parcel.valid_for
    if result.outcome == "failed" or (
        result.outcome == "later" and result.code != NOT_BEGUN and waits_too_long
    ):
        return replace(result, outcome="next_way")
    return result


def fall_back(db: Session, now: datetime, ways: Ways, limit: int = 500) -> int:
    """Letters that were not acknowledged in time are queued for the next way; how many."""
    return sum(
        _fall_back(db, now, way, following, limit) for way in ways if (following := ways.next(way.name))
    )


def _fall_back(db: Session, now: datetime, way: Way, following: str, limit: int) -> int:
    after = way.can.next_way_after
    assert after is not None, "it has a next way"
    unheard = db.scalars(
        select(Message)
        .outerjoin(Meeting, Meeting.id == Message.meeting_id)
        .where(
            UNDERWAY,
            Message.channel == way.name,
            or_(
                Message.settled_at <= now - after,
                Meeting.starts_at <= now + way.can.next_way_before_meeting,
            ),
        )
        .order_by(Message.settled_at)
        .limit(limit)
        .with_for_update(of=Message, skip_locked=True)
    ).all()
    for message in unheard:
        by_next_way(message, following, now)
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
    words = {"later": "not_processed", "next_way": "failed"}
    ended: dict[tuple[str, str | None], dict[str, str | None]] = {}
    for result in results:
        outcome = words.get(result.outcome, result.outcome)
        ended.setdefault((outcome, result.code), {})[result.parcel.attempt_id] = result.provider_id
    close = _CLOSE[db.get_bind().dialect.name]
    for (outcome, code), told in ended.items():
        db.connection().execute(close, {"told": told, "became": outcome, "code": code, "at": now})


def _move(db: Session, change: Update, results: Sequence[Result], now: datetime, **more: str | None) -> None:
    """Changes the messages that are still as the change demands and have not been claimed anew since."""
    # Nearly all of them are at their first.
    by_fence: dict[int, list[int]] = {}
    for result in results:
        by_fence.setdefault(result.parcel.fence, []).append(result.parcel.message_id)
    for fence, ids in by_fence.items():
        db.connection().execute(change, {"ids": ids, "its_fence": fence, "at": now, **more})


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


def sweep(db: Session, now: datetime, ways: Ways, limit: int = 500) -> int:
    """Attempts whose lease ran out (their dispatcher died in the call) become uncertain; how many."""
    lost = db.scalars(
        select(Message)
        .where(Message.state == "sending", Message.lease_until <= now)
        .order_by(Message.lease_until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    for message in lost:
        outcome = "accepted" if ways.next(message.channel) else "unknown"
        until, message.state, message.lease_until = message.lease_until, outcome, None
        if outcome == "accepted":
            # Perhaps it was: it is acknowledged, or goes by the next way. After an outage that is at once.
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
            channel=delivery.channel,
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
    """It never left. A letter is queued once more; a code is asked for anew by the person."""
    times_not_found = db.scalars(
        select(Delivery.id).where(Delivery.message_id == message.id, Delivery.outcome == NOT_FOUND)
    ).all()
    message.lease_until = None
    if message.lane != "code" and len(times_not_found) <= 1:
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
