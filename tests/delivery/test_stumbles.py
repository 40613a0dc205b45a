"""What goes wrong in one place stays there: a row, a result, a slow provider, a late word of our own."""

import asyncio
from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from companion.clock import FixedClock
from companion.models import Circuit, Flag, Message, Patient
from companion.settings import Settings as CompanionSettings
from companion.use_cases.messages import message
from notifications import outbox, receipts
from notifications.channels import News, Parcel, Uncertain
from notifications.channels.sms import callbacks
from notifications.dispatcher import Dispatcher
from notifications.models import Delivery, PushSubscription, SandboxMessage
from notifications.outbox import Outbox, Result
from notifications.settings import Settings
from notifications.ways import discover
from tests.delivery.conftest import MakeDispatcher
from tests.use_cases.small_ward import SmallWard, at

WAYS = discover()

pytestmark = pytest.mark.timeout(60)


class Provider:
    """Takes what it gets; does as told."""

    def __init__(self) -> None:
        self.taken: list[Parcel] = []
        self.in_doubt = False
        self.asked = 0
        self.odd_answer_for: str | None = None

    async def send(self, parcel: Parcel) -> str:
        self.taken.append(parcel)
        if self.in_doubt:
            raise Uncertain("read_timeout")
        if parcel.address == self.odd_answer_for:
            return cast(str, object())
        return f"P{len(self.taken)}"

    async def find(self, parcel: Parcel) -> list[str]:
        return []

    async def fetch(self, provider_id: str) -> News | None:
        self.asked += 1
        await asyncio.sleep(0.05)
        return None

    async def close(self) -> None: ...


@pytest.fixture
def provider() -> Provider:
    return Provider()


def tick(ward: SmallWard, dispatcher: Dispatcher, now: datetime, **how: Any) -> Counter[str]:
    ward.db.commit()
    counts = asyncio.run(dispatcher.tick(FixedClock(now), **how))
    ward.db.expire_all()
    return counts


def letter(ward: SmallWard, patient: Patient, kind: str = "welcome", **more: Any) -> Message:
    asked: dict[str, Any] = {"valid_until": at(2), "dedupe_key": f"{kind}:{patient.id}"} | more
    written = message.write(ward.db, kind, to=patient, now=at(0), **asked)
    assert written
    ward.db.commit()
    return written


def box(settings: CompanionSettings) -> Outbox:
    return Outbox(settings, Settings())


def test_a_letter_nobody_wants_any_more_leaves_no_task_when_its_time_is_over(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    kari, ola = ward.patient(), ward.patient()
    letters = [letter(ward, one, valid_until=at(0, 11)) for one in (kari, ola)]
    kari.died_on = date(2026, 11, 9)
    counts = tick(ward, make_dispatcher(), at(0, 12))
    assert (counts["cancelled"], counts["expired"]) == (1, 1)
    assert [one.state for one in letters] == ["cancelled", "expired"]
    assert [one.patient_id for one in ward.db.scalars(select(Flag))] == [ola.id]


def test_a_lane_with_one_call_in_flight_is_stopped_and_opened_like_any_other(
    ward: SmallWard, provider: Provider, make_dispatcher: MakeDispatcher
) -> None:
    for _ in range(30):
        letter(ward, ward.patient())
    dispatcher = make_dispatcher(provider, in_flight=1)
    provider.in_doubt = True
    tick(ward, dispatcher, at(0))
    assert len(provider.taken) < 15
    stopped_after = len(provider.taken)
    tick(ward, dispatcher, at(0, 10, 1))
    assert len(provider.taken) == stopped_after + 1
    provider.in_doubt = False
    tick(ward, dispatcher, at(0, 10, 4))
    assert ward.db.get_one(Circuit, "batch").state == "closed"
    tick(ward, dispatcher, at(0, 10, 5))
    assert len({parcel.message_id for parcel in provider.taken}) == 30


def test_our_own_late_yes_does_not_swallow_the_second_try(
    ward: SmallWard,
    sessions: sessionmaker[Session],
    settings: CompanionSettings,
    make_dispatcher: MakeDispatcher,
) -> None:
    written = letter(ward, ward.patient())
    with sessions.begin() as db:
        ((parcel,), _) = box(settings).claim(db, "batch", 10, at(0))
    with sessions.begin() as db:
        told = {"MessageSid": ["SM1"], "MessageStatus": ["undelivered"], "ErrorCode": ["30003"]}
        callbacks.keep_status(db, told, parcel.attempt_id, now=at(0))
    with sessions.begin() as db:
        receipts.apply_events(db, at(0), WAYS)
    with sessions.begin() as db:
        outbox.settle(db, [Result(parcel, "accepted", provider_id="SM1")], at(0))
    ward.db.expire_all()
    assert written.state == "queued"
    tick(ward, make_dispatcher(), at(0, 10, 31))
    assert (written.state, written.attempt) == ("delivered", 2)


def test_a_late_yes_to_a_push_does_not_swallow_the_sms(
    ward: SmallWard,
    sessions: sessionmaker[Session],
    settings: CompanionSettings,
    make_dispatcher: MakeDispatcher,
) -> None:
    kari = ward.patient(contact_by="push")
    where = "https://push.example/1"
    ward.db.add(
        PushSubscription(
            patient_id=kari.id,
            endpoint=where,
            endpoint_index=where,
            p256dh="p",
            auth="a",
            created_at=at(0),
            seen_at=at(0),
        )
    )
    written = letter(ward, kari)
    with sessions.begin() as db:
        ((parcel,), _) = box(settings).claim(db, "batch", 10, at(0))
    with sessions.begin() as db:
        assert outbox.sweep(db, at(0, 10, 2), WAYS) == 1
    with sessions.begin() as db:
        assert outbox.fall_back(db, at(0, 10, 17), WAYS) == 1
    with sessions.begin() as db:
        outbox.settle(db, [Result(parcel, "accepted", provider_id="push:1")], at(0, 10, 17))
    tick(ward, make_dispatcher(), at(0, 10, 18))
    texts = ward.db.scalars(select(SandboxMessage).where(SandboxMessage.number == kari.phone)).all()
    assert (written.state, len(texts)) == ("delivered", 1)


def test_asking_what_became_of_many_holds_nothing_up(
    ward: SmallWard, provider: Provider, make_dispatcher: MakeDispatcher
) -> None:
    for _ in range(120):
        letter(ward, ward.patient())
    dispatcher = make_dispatcher(provider, in_flight=64)
    tick(ward, dispatcher, at(0))
    first = tick(ward, dispatcher, at(0, 10, 20), deliver_at_most=0.1)
    assert 0 < first["polled"] < 120
    later = [tick(ward, dispatcher, at(0, 10, 21 + n), deliver_at_most=0.1)["polled"] for n in range(30)]
    assert first["polled"] + sum(later) == provider.asked == 120


def test_a_letter_that_cannot_be_read_holds_up_no_other(
    ward: SmallWard, provider: Provider, make_dispatcher: MakeDispatcher
) -> None:
    kari, ola = ward.patient("Kari Nilsen"), ward.patient("Ola Hansen")
    letters = [letter(ward, one) for one in (kari, ola)]
    damaged = text("UPDATE patient SET name = :name WHERE phone_index = :index")
    ward.db.execute(damaged, {"name": b"k1:not what it was", "index": _index(ward, kari)})
    with capture_logs() as lines:
        counts = tick(ward, make_dispatcher(provider), at(0))
    assert (counts["errors"], counts["accepted"]) == (0, 1)
    states = dict(ward.db.execute(select(Message.id, Message.state)).all())
    assert [states[one.id] for one in letters] == ["failed", "accepted"]
    assert [(one["event"], one["log_level"]) for one in lines if one["event"] == "unreadable_letter"] == [
        ("unreadable_letter", "critical")
    ]


def _index(ward: SmallWard, patient: Patient) -> str:
    stored = text("SELECT phone_index FROM patient ORDER BY created_at, phone_index")
    ring = ward.db.get_bind().dialect.companion_keys  # type: ignore[attr-defined]
    index: str = ring.index(patient.phone, "phone")
    assert index in ward.db.scalars(stored).all()
    return index


def test_a_result_that_cannot_be_written_takes_no_other_with_it(
    ward: SmallWard, provider: Provider, make_dispatcher: MakeDispatcher
) -> None:
    people = [ward.patient() for _ in range(5)]
    letters = [letter(ward, one) for one in people]
    provider.odd_answer_for = people[2].phone
    tick(ward, make_dispatcher(provider), at(0))
    assert [one.state for one in letters] == ["accepted", "accepted", "sending", "accepted", "accepted"]
    tick(ward, make_dispatcher(provider), at(0) + timedelta(minutes=2))
    assert letters[2].state == "unknown"
    outcomes = ward.db.scalars(select(Delivery.outcome).where(Delivery.message_id == letters[2].id)).all()
    assert outcomes == ["unknown"]
    assert len(provider.taken) == 5


def test_a_letter_that_was_given_up_and_arrived_leaves_no_task(
    ward: SmallWard, provider: Provider, make_dispatcher: MakeDispatcher
) -> None:
    written = letter(ward, ward.patient())
    dispatcher = make_dispatcher(provider)
    provider.in_doubt = True
    for minutes in (0, 3, 12, 15, 24):
        tick(ward, dispatcher, at(0) + timedelta(minutes=minutes))
    assert (written.state, written.error_code) == ("failed", receipts.NOT_FOUND)
    open_flags = select(Flag.code).where(Flag.state != "closed")
    assert set(ward.db.scalars(open_flags)) == {"parked_message", "undeliverable"}
    last = provider.taken[-1].attempt_id
    callbacks.keep_status(
        ward.db, {"MessageSid": ["SM1"], "MessageStatus": ["delivered"]}, last, now=at(0, 11)
    )
    tick(ward, dispatcher, at(0, 11))
    assert written.state == "delivered"
    assert not ward.db.scalars(open_flags).all()
