"""A provider in trouble: the batch lane stops before it multiplies doubts, tries again with one letter, and staff can see it."""

import asyncio
import json
from collections import Counter
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, sessionmaker
from starlette.testclient import TestClient

from companion.clock import FixedClock, SystemClock
from companion.models import Circuit, Flag, Heartbeat, Message, Patient
from companion.settings import Settings
from companion.use_cases.messages import message
from companion.worklists.post import Alarm, standing
from notifications import circuit
from notifications.channels import Later, News, Parcel, Uncertain
from notifications.dispatcher import Dispatcher
from tests.delivery.conftest import MakeDispatcher
from tests.use_cases.small_ward import SmallWard, at
from web.app import create_app
from web.house.settings import WebSettings

pytestmark = pytest.mark.timeout(60)


class Provider:
    """Answers plainly, or leaves every `doubt`-th call in doubt; the numbers called, in order."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.doubt = 0
        self.unreachable = False

    async def send(self, parcel: Parcel) -> str:
        if self.unreachable:
            raise Later("no_connection")
        self.called.append(parcel.address)
        in_doubt = self.doubt and len(self.called) % self.doubt == 0
        await asyncio.sleep(0)
        if in_doubt:
            raise Uncertain("read_timeout")
        return f"P{len(self.called)}"

    async def find(self, parcel: Parcel) -> list[str]:
        raise Later("list_failed")

    async def fetch(self, provider_id: str) -> News | None:
        return None

    async def close(self) -> None: ...


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def dispatcher(provider: Provider, make_dispatcher: MakeDispatcher) -> Dispatcher:
    return make_dispatcher(provider, in_flight=4)


def tick(ward: SmallWard, dispatcher: Dispatcher, now: datetime) -> Counter[str]:
    ward.db.commit()
    counts = asyncio.run(dispatcher.tick(FixedClock(now)))
    assert counts["errors"] == 0
    ward.db.expire_all()
    return counts


def letters(ward: SmallWard, patients: list[Patient], kind: str = "welcome") -> None:
    for patient in patients:
        assert message.write(
            ward.db,
            kind,
            to=patient,
            now=at(0),
            valid_until=at(2),
            dedupe_key=f"{kind}:{patient.id}",
        )
    ward.db.commit()


def state(ward: SmallWard) -> str:
    ward.db.expire_all()
    return ward.db.get_one(Circuit, "batch").state


def test_when_everything_is_in_doubt_the_lane_stops_and_the_rest_waits_untouched(
    ward: SmallWard, provider: Provider, dispatcher: Dispatcher
) -> None:
    letters(ward, [ward.patient() for _ in range(100)])
    provider.doubt = 1
    counts = tick(ward, dispatcher, at(0))
    assert state(ward) == "open"
    # Results are written after 20 ms or 64 of them: what was called until then is in doubt, and not one more.
    assert circuit.AT_LEAST <= counts["unknown"] <= 64 + 8
    assert counts["unknown"] == len(provider.called)
    assert len(set(ward.db.scalars(select(Flag.message_id)))) == counts["unknown"]
    before = len(provider.called)
    assert tick(ward, dispatcher, at(0) + timedelta(seconds=59))["claimed"] == 0
    assert len(provider.called) == before


def test_a_code_goes_out_all_the_same(ward: SmallWard, provider: Provider, dispatcher: Dispatcher) -> None:
    letters(ward, [ward.patient() for _ in range(12)])
    provider.doubt = 1
    tick(ward, dispatcher, at(0))
    assert state(ward) == "open"
    provider.doubt = 0
    letters(ward, [ward.patient()], "new_link")
    assert tick(ward, dispatcher, at(0) + timedelta(seconds=30))["accepted"] == 1
    assert state(ward) == "open"


def test_one_letter_tries_it_out_and_the_others_follow(
    ward: SmallWard, provider: Provider, make_dispatcher: MakeDispatcher, dispatcher: Dispatcher
) -> None:
    letters(ward, [ward.patient() for _ in range(12)])
    provider.doubt = 1
    tick(ward, dispatcher, at(0))
    letters(ward, [ward.patient() for _ in range(5)])
    # Still in trouble: one more in doubt, and a longer wait. Another dispatcher knows of it too.
    another = make_dispatcher(provider)
    assert tick(ward, another, at(0, 10, 1))["unknown"] == 1
    assert state(ward) == "open"
    assert tick(ward, dispatcher, at(0, 10, 2))["claimed"] == 0
    provider.doubt = 0
    assert tick(ward, dispatcher, at(0, 10, 3))["accepted"] == 1
    assert state(ward) == "closed"
    assert tick(ward, dispatcher, at(0, 10, 3))["accepted"] == 3


def test_a_probe_whose_dispatcher_died_is_followed_by_another(
    ward: SmallWard, dispatcher: Dispatcher
) -> None:
    ward.db.add(Circuit(lane="batch", state="probing", since=at(0), until=at(0, 10, 2), failures=0))
    letters(ward, [ward.patient()])
    assert tick(ward, dispatcher, at(0, 10, 1))["claimed"] == 0
    assert tick(ward, dispatcher, at(0, 10, 2))["accepted"] == 1
    assert state(ward) == "closed"


def test_some_doubt_or_few_calls_stop_nothing(
    ward: SmallWard, provider: Provider, dispatcher: Dispatcher
) -> None:
    letters(ward, [ward.patient() for _ in range(60)])
    provider.doubt = 3
    assert tick(ward, dispatcher, at(0))["unknown"] == 20
    provider.doubt = 1
    letters(ward, [ward.patient() for _ in range(9)])
    tick(ward, dispatcher, at(0, 10, 5))
    assert ward.db.get(Circuit, "batch") is None


def test_letters_a_dead_dispatcher_left_say_nothing_about_the_provider(
    ward: SmallWard, provider: Provider, dispatcher: Dispatcher
) -> None:
    letters(ward, [ward.patient() for _ in range(20)])
    for one in ward.db.scalars(select(Message)):
        one.state, one.lease_until = "sending", at(0)
    provider.doubt = 1
    letters(ward, [ward.patient() for _ in range(5)])
    tick(ward, dispatcher, at(0))
    assert ward.db.get(Circuit, "batch") is None


# --- how the post stands ----------------------------------------------------------------------------------------------


def test_nothing_due_is_no_alarm(ward: SmallWard) -> None:
    stood = standing(ward.db, at(0), ("sms",))
    assert (stood.due, stood.oldest_due, stood.alarm, stood.circuit) == (0, None, None, "closed")


def test_letters_nobody_carries_raise_the_alarm(ward: SmallWard, dispatcher: Dispatcher) -> None:
    letters(ward, [ward.patient() for _ in range(3)])
    assert standing(ward.db, at(0, 10, 9), ("sms",)).alarm is None
    stood = standing(ward.db, at(0, 10, 25), ("sms",))
    assert (stood.due, stood.oldest_due, stood.alarm) == (3, at(0), Alarm(3, 25))
    tick(ward, dispatcher, at(0, 10, 26))
    stood = standing(ward.db, at(0, 10, 26), ("sms",))
    assert (stood.due, stood.last_accepted, stood.alarm) == (0, at(0, 10, 26), None)


def test_letters_tried_in_vain_are_due_although_each_waits_for_its_next_try(
    ward: SmallWard, provider: Provider, dispatcher: Dispatcher
) -> None:
    letters(ward, [ward.patient() for _ in range(3)])
    provider.unreachable = True
    for minute in range(0, 21, 2):
        tick(ward, dispatcher, at(0, 10, minute))
    assert standing(ward.db, at(0, 10, 20), ("sms",)).alarm == Alarm(3, 20)


def test_letters_waiting_for_the_morning_are_not_due(
    ward: SmallWard, provider: Provider, dispatcher: Dispatcher
) -> None:
    letters(ward, [ward.patient()])
    provider.unreachable = True
    tick(ward, dispatcher, at(0, 19, 59))
    provider.unreachable = False
    tick(ward, dispatcher, at(0, 21))
    stood = standing(ward.db, at(0, 23), ("sms",))
    assert (stood.due, stood.alarm) == (0, None)


def test_a_check_in_nobody_asks_raises_it_too(ward: SmallWard) -> None:
    kari = ward.patient()
    due_at = ward.check_in(kari, 7).due_at
    assert standing(ward.db, due_at + timedelta(minutes=30), ("sms",)).alarm == Alarm(1, 30)


@pytest.mark.parametrize(("silent", "heard", "slow"), [(5, 45, 5), (5, 46, 0), (4, 0, 0), (20, 20, 20)])
def test_a_tenth_that_does_not_arrive_is_noticed_within_ten_minutes(
    ward: SmallWard, dispatcher: Dispatcher, silent: int, heard: int, slow: int
) -> None:
    letters(ward, [ward.patient() for _ in range(silent + heard)])
    tick(ward, dispatcher, at(0))
    arrived = ward.db.scalars(select(Message).order_by(Message.id).offset(silent)).all()
    for one in arrived:
        one.state, one.settled_at = "delivered", at(0) + timedelta(seconds=8)
    assert standing(ward.db, at(0, 10, 4), ("sms",)).slow == 0
    assert standing(ward.db, at(0, 10, 5), ("sms",)).slow == slow
    assert standing(ward.db, at(0, 10, 10), ("sms",)).slow == slow
    # By then the poller has asked about each of them.
    assert standing(ward.db, at(0, 10, 16), ("sms",)).slow == 0


def test_what_is_slow_is_not_counted_where_a_device_decides(ward: SmallWard, dispatcher: Dispatcher) -> None:
    letters(ward, [ward.patient() for _ in range(8)])
    tick(ward, dispatcher, at(0))
    for one in ward.db.scalars(select(Message)):
        one.channel = "push"
    assert standing(ward.db, at(0, 10, 6), ("sms",)).slow == 0


def test_readyz_tells_of_it_and_is_down_only_when_the_dispatcher_is_away(
    ward: SmallWard, settings: Settings, engine: Engine, sessions: sessionmaker[Session]
) -> None:
    letters(ward, [ward.patient() for _ in range(2)])
    clock = FixedClock(at(0, 10, 30))
    client = TestClient(create_app(WebSettings(), settings=settings, engine=engine, clock=clock))
    away = client.get("/readyz")
    assert away.status_code == 503
    with sessions.begin() as db:
        db.add(Heartbeat(name="dispatcher", at=SystemClock().now(), ticked_for=at(0)))
        db.add(Heartbeat(name="another", at=clock.now(), ticked_for=at(0)))
        db.add(Circuit(lane="batch", state="open", since=at(0), until=at(1), failures=0))
    here = client.get("/readyz")
    assert here.status_code == 200
    assert json.loads(here.text) == {
        "database": "ok",
        "dispatcher": "ok",
        "circuit": "open",
        "push_refused": False,
        "resting": [],
        "slow": 0,
        "due": 2,
        "alarm": {"due": 2, "none_sent_for_minutes": 30},
    }
