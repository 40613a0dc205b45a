"""From a letter to the device, through the real channel and a service that opens what it gets; by SMS where that fails."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from companion.clock import FixedClock
from companion.models import Flag, Message, Patient
from companion.use_cases.going_home import plan
from companion.use_cases.messages import message
from companion.worklists import due
from notifications.channels.push import acks, devices, vapid
from notifications.channels.push.channel import PushChannel
from notifications.channels.push.settings import VapidSettings
from notifications.channels.push.way import Push
from notifications.dispatcher import Dispatcher
from notifications.models import Delivery, PushSubscription, SandboxMessage
from notifications.ways import discover
from tests.delivery.conftest import MakeDispatcher
from tests.delivery.test_push_or_sms import meeting
from tests.rig import push_service, twilio_like
from tests.rig.push_service import Mode, PushService
from tests.rig.twilio_like import TwilioLike
from tests.use_cases.small_ward import SmallWard, at

pytestmark = pytest.mark.timeout(90)

KEY = VapidSettings(private_key=SecretStr(vapid.new_key()), subject="mailto:drift@folge.example")
LATE = timedelta(minutes=15)


@pytest.fixture
def service() -> Iterator[PushService]:
    with push_service.running(PushService()) as running:
        yield running


class Post:
    """The dispatcher with its real way to devices, one tick at a time."""

    def __init__(
        self, ward: SmallWard, make: MakeDispatcher, sessions: sessionmaker[Session], service: PushService
    ) -> None:
        self.ward, self.service = ward, service
        self._make, self._sessions = make, sessions
        self.kari = ward.patient()
        ward.db.commit()

    def another(self, name: str) -> Patient:
        """One more of those who get letters."""
        patient = self.ward.patient(name)
        self.ward.db.commit()
        return patient

    def subscribe(self, mode: Mode | None = None, *, whose: Patient | None = None) -> None:
        """One more device of Kari's, or of another."""
        one = self.service.subscribe(mode)
        sent = devices.Subscription(one.endpoint, one.p256dh, one.auth)
        devices.add(self.ward.db, (whose or self.kari).id, sent, asked=True, now=at(0))
        self.ward.db.commit()

    def write(self, *, to: Patient | None = None, **about: object) -> Message:
        """A letter to Kari, or to another."""
        given: dict[str, object] = {"valid_until": at(2), "dedupe_key": "one", "now": at(0), **about}
        written = message.write(self.ward.db, str(given.pop("kind", "welcome")), to=to or self.kari, **given)  # type: ignore[arg-type]
        assert written
        self.ward.db.commit()
        return written

    def tick(self, now: datetime) -> Counter[str]:
        """Everything due then."""
        self.ward.db.commit()

        async def inside() -> Counter[str]:
            push = PushChannel(KEY, self._sessions, loopback=True, read_seconds=0.5)
            try:
                dispatcher: Dispatcher = self._make(push=push)
                return await dispatcher.tick(FixedClock(now))
            finally:
                await push.close()

        counts = asyncio.run(inside())
        assert (counts["errors"], self.service.faults) == (0, [])
        self.ward.db.expire_all()
        return counts

    def acknowledge(self, now: datetime) -> None:
        """What the service worker of the device does with what it got."""
        payload = json.loads(self.service.texts()[-1])
        acks.keep_ack(self.ward.db, payload["ack"], now=now)
        self.ward.db.commit()

    def sms(self, whose: Patient | None = None) -> int:
        """How many Kari has received, or another."""
        mine = select(SandboxMessage).where(SandboxMessage.number == (whose or self.kari).phone)
        return len(self.ward.db.scalars(mine).all())


@pytest.fixture
def post(
    ward: SmallWard, make_dispatcher: MakeDispatcher, sessions: sessionmaker[Session], service: PushService
) -> Post:
    return Post(ward, make_dispatcher, sessions, service)


def test_acknowledged_it_is_delivered_and_no_sms_follows(post: Post) -> None:
    post.subscribe()
    post.subscribe()
    written = post.write()
    post.tick(at(0))
    # One word for both devices.
    assert len(post.service.shown) == 2
    assert len({shown.text for shown in post.service.shown}) == 1
    payload = json.loads(post.service.texts()[0])
    assert set(payload) == {"title", "body", "lang", "url", "tag", "ack"}
    assert post.service.shown[0].headers["TTL"] == "900"
    post.acknowledge(at(0, 10, 2))
    post.tick(at(0, 10, 3))
    assert (written.state, written.channel) == ("delivered", "push")
    post.tick(at(0) + LATE)
    post.tick(at(1))
    assert (post.sms(), len(post.service.shown)) == (0, 2)


def test_unheard_it_goes_as_sms_after_a_quarter_of_an_hour_once(post: Post) -> None:
    post.subscribe()
    written = post.write()
    post.tick(at(0))
    post.tick(at(0) + LATE - timedelta(seconds=1))
    assert (written.state, post.sms()) == ("accepted", 0)
    post.tick(at(0) + LATE)
    assert (written.channel, post.sms()) == ("sms", 1)
    # The word comes after all: nothing more goes out.
    post.acknowledge(at(0, 11))
    for hour in (11, 12, 13):
        post.tick(at(0, hour))
    assert (written.state, post.sms(), post.service.posts) == ("delivered", 1, 1)


@pytest.mark.parametrize("mode", ["404", "410", "413", "400"])
def test_refused_it_goes_as_sms_at_once(post: Post, mode: Mode) -> None:
    post.subscribe(mode)
    written = post.write()
    post.tick(at(0))
    assert (written.channel, post.sms(), post.service.posts) == ("sms", 1, 1)
    left = post.ward.db.scalars(select(PushSubscription)).all()
    gone = mode in ("404", "410")
    assert (len(left), post.kari.contact_by) == ((0, "sms") if gone else (1, "push"))
    assert post.ward.db.scalars(select(Flag)).all() == []


def test_the_demos_clock_looks_ahead_to_when_an_unheard_push_goes_as_sms(post: Post) -> None:
    post.subscribe("ok")
    post.write()
    post.tick(at(0))
    assert Push.can.next_way_after is not None
    heard_by = at(0) + Push.can.next_way_after
    assert due.next_due(post.ward.db, at(0), discover().heard_within) == heard_by
    post.tick(heard_by)
    assert post.sms() == 1


def test_a_service_that_is_away_does_not_keep_the_letter(post: Post) -> None:
    nowhere = post.service.subscribe()
    sent = devices.Subscription("http://127.0.0.1:9/push/x", nowhere.p256dh, nowhere.auth)
    devices.add(post.ward.db, post.kari.id, sent, asked=True, now=at(0))
    written = post.write()
    post.tick(at(0))
    assert (written.channel, post.sms()) == ("sms", 1)


@pytest.mark.parametrize("mode", ["401", "403"])
def test_who_we_are_is_refused_so_nobody_else_is_tried_for_an_hour(post: Post, mode: Mode) -> None:
    refused = [post.kari, post.another("Ola Hansen"), post.another("Berit Olsen")]
    believed = post.another("Per Berg")
    for one in refused:
        post.subscribe(mode, whose=one)
        post.write(to=one, dedupe_key=f"to {one.name}")
    post.tick(at(0))
    assert [post.sms(one) for one in refused] == [1, 1, 1]
    assert post.service.posts == 3
    post.subscribe(whose=believed)
    post.write(to=believed, dedupe_key="two")
    post.tick(at(0, 10, 30))
    assert (post.sms(believed), post.service.posts) == (1, 3)
    post.write(to=believed, dedupe_key="three")
    post.tick(at(0, 11, 1))
    assert (post.sms(believed), post.service.posts) == (1, 4)


@pytest.mark.parametrize("mode", ["401", "403"])
def test_one_odd_device_costs_its_owner_the_push_and_nobody_else(post: Post, mode: Mode) -> None:
    ola = post.another("Ola Hansen")
    post.subscribe(mode)
    post.subscribe(whose=ola)
    post.write()
    post.tick(at(0))
    post.write(to=ola, dedupe_key="two")
    post.tick(at(0, 10, 1))
    assert (post.sms(), post.sms(ola), len(post.service.shown)) == (1, 0, 1)
    # It is asked once.
    post.write(dedupe_key="three")
    post.tick(at(0, 10, 2))
    assert (post.sms(), post.service.posts) == (2, 2)


def test_busy_it_is_asked_again_when_it_said_and_not_before(post: Post) -> None:
    post.subscribe()
    post.service.mode, post.service.retry_after = "429", "300"
    written = post.write()
    post.tick(at(0))
    post.service.mode = "ok"
    post.tick(at(0, 10, 4))
    assert (post.service.posts, written.state) == (1, "queued")
    post.tick(at(0, 10, 6))
    assert (post.service.posts, len(post.service.shown), post.sms()) == (2, 1, 0)


@pytest.mark.parametrize("mode", ["500", "hang", "reset", "accept_then_hang"])
def test_in_doubt_the_missing_word_decides(post: Post, mode: Mode) -> None:
    post.subscribe(mode)
    written = post.write()
    post.tick(at(0))
    assert (written.state, post.sms()) == ("accepted", 0)
    post.tick(at(0) + LATE)
    assert (post.sms(), post.service.posts) == (1, 1)


def test_whoever_says_stopp_gets_neither(post: Post) -> None:
    post.subscribe()
    unsent, pushed = post.write(dedupe_key="later", not_before=at(0, 12)), post.write()
    post.tick(at(0))
    assert pushed.state == "accepted"
    plan.opt_out(post.ward.db, post.ward.db.get_one(Patient, post.kari.id), now=at(0, 10, 5))
    post.tick(at(0) + LATE)
    post.tick(at(0, 13))
    assert (unsent.state, post.sms(), post.service.posts) == ("cancelled", 0, 1)


def test_a_meeting_is_told_by_sms_two_hours_before(post: Post) -> None:
    post.subscribe()
    offered = meeting(post.ward, post.kari, at(0, 12, 5))
    post.write(kind="meeting", meeting=offered)
    post.tick(at(0))
    (shown,) = post.service.shown
    assert (shown.headers["Urgency"], shown.headers["TTL"]) == ("high", "300")
    post.tick(at(0, 10, 4))
    assert post.sms() == 0
    post.tick(at(0, 10, 5))
    assert post.sms() == 1


def test_killed_in_the_middle_of_a_push_nothing_is_lost_and_nothing_is_doubled(
    post: Post, database_url: str
) -> None:
    post.subscribe("accept_then_hang")
    written = post.write()
    with twilio_like.running(TwilioLike(clock_at=at(0))) as sms:
        killed = start(sms, database_url, at(0))
        post.service.wait_for(lambda: post.service.texts() != [])
        killed.kill()
        killed.communicate()
        for now in (at(0, 10, 2), at(0, 10, 20)):
            sms.clock_at = now
            process = start(sms, database_url, now)
            _, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
        assert sms.per_number() == {post.kari.phone: 1}
    post.ward.db.expire_all()
    assert (written.state, written.channel, post.service.posts) == ("accepted", "sms", 1)
    attempts = post.ward.db.execute(
        select(Delivery.channel, Delivery.outcome).order_by(Delivery.attempt)
    ).all()
    assert [tuple(one) for one in attempts] == [("push", "accepted"), ("sms", "accepted")]


def start(sms: TwilioLike, database_url: str, now: datetime) -> "subprocess.Popen[str]":
    """One tick of a dispatcher of its own."""
    environment = {
        "PATH": os.environ["PATH"],
        "COMPANION_ENVIRONMENT": "test",
        "COMPANION_DATABASE_URL": database_url,
        "NOTIFICATIONS_SMS": "twilio",
        "TWILIO_ACCOUNT_SID": "AC1",
        "TWILIO_AUTH_TOKEN": "secret",
        "TWILIO_FROM": "Folge",
        "TWILIO_API_BASE": sms.url,
        "VAPID_PRIVATE_KEY": KEY.private_key.get_secret_value(),
        "VAPID_SUBJECT": KEY.subject,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "notifications", "tick", "--now", now.isoformat()],
        cwd=Path(__file__).resolve().parents[2],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
