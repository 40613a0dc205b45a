"""A push for those who asked for it; SMS when no device says in time that it has been shown."""

import asyncio
import json
import re
from collections import Counter
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from companion.clock import FixedClock
from companion.models import Flag, Meeting, Message, Patient, Professional
from companion.settings import Settings as CompanionSettings
from companion.use_cases.going_home import plan
from companion.use_cases.messages import message
from companion.worklists.post import standing
from notifications import circuit, outbox
from notifications.channels import Later, Never, News, Parcel, Uncertain
from notifications.channels.push import acks
from notifications.channels.push.way import Push
from notifications.dispatcher import Dispatcher
from notifications.models import Delivery, ProviderEvent, PushSubscription, SandboxMessage
from notifications.outbox import Outbox
from notifications.settings import Settings
from notifications.ways import discover
from tests.delivery.conftest import MakeDispatcher
from tests.use_cases.small_ward import SmallWard, at

WAYS = discover()

pytestmark = pytest.mark.timeout(30)


class PushService:
    """Takes every push, or fails as told."""

    def __init__(self) -> None:
        self.taken: list[Parcel] = []
        self.fails_with: Exception | None = None

    async def send(self, parcel: Parcel) -> str:
        if self.fails_with:
            raise self.fails_with
        self.taken.append(parcel)
        return f"P{len(self.taken)}"

    async def find(self, parcel: Parcel) -> list[str]:
        raise AssertionError("a push is never looked for")

    async def fetch(self, provider_id: str) -> News | None:
        raise AssertionError("a push is never asked about")

    async def close(self) -> None: ...


@pytest.fixture
def service() -> PushService:
    return PushService()


@pytest.fixture
def dispatcher(service: PushService, make_dispatcher: MakeDispatcher) -> Dispatcher:
    return make_dispatcher(push=service)


@pytest.fixture
def kari(ward: SmallWard) -> Patient:
    kari = ward.patient(contact_by="push")
    for number in (1, 2):
        endpoint = f"https://push.example/{number}"
        ward.db.add(
            PushSubscription(
                patient_id=kari.id,
                endpoint=endpoint,
                endpoint_index=endpoint,
                p256dh="p",
                auth="a",
                created_at=at(0, number),
                seen_at=at(0, number),
            )
        )
    ward.db.commit()
    return kari


def tick(ward: SmallWard, dispatcher: Dispatcher, now: datetime) -> Counter[str]:
    ward.db.commit()
    counts = asyncio.run(dispatcher.tick(FixedClock(now)))
    assert counts["errors"] == 0
    ward.db.expire_all()
    return counts


def letter(ward: SmallWard, kari: Patient, kind: str = "welcome", meeting: Meeting | None = None) -> Message:
    written = message.write(
        ward.db,
        kind,
        to=kari,
        now=at(0),
        meeting=meeting,
        valid_until=at(2),
        dedupe_key=f"{kind}:1",
    )
    assert written
    ward.db.commit()
    return written


def meeting(ward: SmallWard, kari: Patient, starts_at: datetime) -> Meeting:
    host = ward.db.get_one(Professional, ward.colleague("Ola Dahl", "post3").id)
    offered = Meeting(
        patient_id=kari.id,
        host_id=host.id,
        unit_id=ward.units["post3"].id,
        starts_at=starts_at,
        minutes=30,
        kind="follow_up",
        created_at=at(0),
    )
    ward.db.add(offered)
    ward.db.commit()
    return offered


def texts(ward: SmallWard, kari: Patient) -> list[str]:
    return list(ward.db.scalars(select(SandboxMessage.body).where(SandboxMessage.number == kari.phone)))


def acknowledge(ward: SmallWard, parcel: Parcel, now: datetime) -> None:
    acks.keep_ack(ward.db, parcel.attempt_id, now=now)
    ward.db.commit()


def test_a_push_goes_to_every_device_and_tells_nothing(
    ward: SmallWard, dispatcher: Dispatcher, service: PushService, kari: Patient
) -> None:
    written = letter(ward, kari)
    assert tick(ward, dispatcher, at(0))["accepted"] == 1
    (parcel,) = service.taken
    assert [device.endpoint[-1] for device in parcel.devices] == ["1", "2"]
    payload = json.loads(parcel.body)
    assert payload["ack"] == parcel.attempt_id
    assert re.fullmatch(r"/l#[\w-]{22}", payload["url"])
    assert payload["body"] == "Velkommen. Siden din er klar."
    assert parcel.valid_for == Push.can.next_way_after
    assert (written.state, written.channel, texts(ward, kari)) == ("accepted", "push", [])


def test_an_acknowledged_push_is_delivered_and_no_sms_follows(
    ward: SmallWard, dispatcher: Dispatcher, service: PushService, kari: Patient
) -> None:
    written = letter(ward, kari)
    tick(ward, dispatcher, at(0))
    acknowledge(ward, service.taken[0], at(0, 10, 1))
    acknowledge(ward, service.taken[0], at(0, 10, 2))
    tick(ward, dispatcher, at(0, 10, 20))
    assert written.state == "delivered"
    assert texts(ward, kari) == []


def test_an_unheard_push_is_sent_as_sms_after_a_quarter_of_an_hour(
    ward: SmallWard, dispatcher: Dispatcher, service: PushService, kari: Patient
) -> None:
    written = letter(ward, kari)
    tick(ward, dispatcher, at(0))
    assert tick(ward, dispatcher, at(0, 10, 14))["unheard"] == 0
    counts = tick(ward, dispatcher, at(0, 10, 15))
    assert (counts["unheard"], counts["claimed"]) == (1, 1)
    assert (len(service.taken), len(texts(ward, kari))) == (1, 1)
    assert (written.channel, written.state, written.attempt) == ("sms", "delivered", 2)
    assert tick(ward, dispatcher, at(0, 11))["claimed"] == 0


def test_an_acknowledgement_that_comes_before_the_sms_has_gone_stops_it(
    ward: SmallWard, dispatcher: Dispatcher, service: PushService, kari: Patient
) -> None:
    written = letter(ward, kari)
    tick(ward, dispatcher, at(0))
    outbox.fall_back(ward.db, at(0, 10, 15), WAYS)
    acknowledge(ward, service.taken[0], at(0, 10, 15))
    assert tick(ward, dispatcher, at(0, 10, 16))["claimed"] == 0
    assert (written.state, texts(ward, kari)) == ("delivered", [])


@pytest.mark.parametrize(
    "failure", [Never("410"), Never("413"), Later("429", timedelta(hours=1)), Later("no_connection")]
)
def test_a_push_that_was_certainly_not_taken_goes_as_sms_at_once(
    ward: SmallWard, dispatcher: Dispatcher, service: PushService, kari: Patient, failure: Exception
) -> None:
    written = letter(ward, kari)
    service.fails_with = failure
    counts = tick(ward, dispatcher, at(0))
    assert (counts["claimed"], counts["accepted"], counts["failed"]) == (2, 1, 0)
    assert (written.state, len(texts(ward, kari))) == ("delivered", 1)
    assert not ward.db.scalars(select(Flag)).all()


def test_a_busy_push_service_is_tried_again_within_the_time(
    ward: SmallWard, dispatcher: Dispatcher, service: PushService, kari: Patient
) -> None:
    letter(ward, kari)
    service.fails_with = Later("429", timedelta(seconds=30))
    assert tick(ward, dispatcher, at(0))["later"] == 1
    service.fails_with = None
    assert tick(ward, dispatcher, at(0, 10, 1))["accepted"] == 1
    assert (len(service.taken), texts(ward, kari)) == (1, [])


def test_a_push_in_doubt_is_no_case_for_a_human(
    ward: SmallWard, dispatcher: Dispatcher, service: PushService, kari: Patient
) -> None:
    written = letter(ward, kari)
    service.fails_with = Uncertain("read_timeout")
    tick(ward, dispatcher, at(0))
    assert written.state == "accepted"
    assert not ward.db.scalars(select(Flag)).all()
    tick(ward, dispatcher, at(0, 10, 15))
    assert (written.state, len(texts(ward, kari))) == ("delivered", 1)


def test_a_dispatcher_that_dies_in_a_push_loses_nothing(
    ward: SmallWard,
    sessions: sessionmaker[Session],
    settings: CompanionSettings,
    dispatcher: Dispatcher,
    kari: Patient,
) -> None:
    written = letter(ward, kari)
    with sessions.begin() as db:
        Outbox(settings, Settings()).claim(db, "batch", 10, at(0))
    tick(ward, dispatcher, at(0, 10, 2))
    assert (written.state, written.channel) == ("accepted", "push")
    tick(ward, dispatcher, at(0, 10, 17))
    assert (written.state, len(texts(ward, kari))) == ("delivered", 1)
    assert not ward.db.scalars(select(Flag)).all()


def test_before_a_meeting_the_sms_goes_two_hours_ahead(
    ward: SmallWard, dispatcher: Dispatcher, service: PushService, kari: Patient
) -> None:
    written = letter(ward, kari, "meeting", meeting(ward, kari, at(0, 12, 5)))
    tick(ward, dispatcher, at(0))
    (parcel,) = service.taken
    assert (parcel.valid_for, parcel.urgent) == (timedelta(minutes=5), True)
    assert tick(ward, dispatcher, at(0, 10, 4))["unheard"] == 0
    tick(ward, dispatcher, at(0, 10, 5))
    assert (written.channel, len(texts(ward, kari))) == ("sms", 1)


def test_a_meeting_that_is_near_is_told_by_sms_alone(
    ward: SmallWard, dispatcher: Dispatcher, service: PushService, kari: Patient
) -> None:
    letter(ward, kari, "meeting", meeting(ward, kari, at(0, 11, 30)))
    tick(ward, dispatcher, at(0))
    assert (service.taken, len(texts(ward, kari))) == ([], 1)


def test_an_unheard_push_of_the_evening_is_sent_in_the_morning(
    ward: SmallWard, dispatcher: Dispatcher, service: PushService, kari: Patient
) -> None:
    letter(ward, kari)
    tick(ward, dispatcher, at(0, 19, 50))
    assert tick(ward, dispatcher, at(0, 20, 5))["postponed"] == 1
    assert (len(service.taken), texts(ward, kari)) == (1, [])
    tick(ward, dispatcher, at(1, 7, 59))
    assert texts(ward, kari) == []
    tick(ward, dispatcher, at(1, 8, 30))
    assert len(texts(ward, kari)) == 1


def test_after_stop_neither_goes(
    ward: SmallWard, dispatcher: Dispatcher, service: PushService, kari: Patient
) -> None:
    written = letter(ward, kari)
    tick(ward, dispatcher, at(0))
    plan.opt_out(ward.db, kari, now=at(0, 10, 5))
    tick(ward, dispatcher, at(0, 10, 15))
    assert (written.state, texts(ward, kari)) == ("cancelled", [])


def test_a_refused_key_sends_everything_by_sms_for_an_hour(
    ward: SmallWard, dispatcher: Dispatcher, service: PushService, kari: Patient
) -> None:
    letter(ward, kari)
    circuit.rest(ward.db, "push", "403", at(0))
    ward.db.commit()
    tick(ward, dispatcher, at(0))
    assert (service.taken, len(texts(ward, kari))) == ([], 1)
    assert standing(ward.db, at(0), ("sms",)).resting == ("push",)
    assert not standing(ward.db, at(0, 11), ("sms",)).resting
    assert standing(ward.db, at(0), ("sms",)).circuit == "closed"


def test_codes_and_letters_to_relatives_never_go_by_push(
    ward: SmallWard, dispatcher: Dispatcher, service: PushService, kari: Patient
) -> None:
    letter(ward, kari, "new_link")
    tick(ward, dispatcher, at(0))
    assert (service.taken, len(texts(ward, kari))) == ([], 1)


def test_a_stranger_to_the_attempt_acknowledges_nothing(
    ward: SmallWard, dispatcher: Dispatcher, kari: Patient
) -> None:
    kari.contact_by = "sms"
    letter(ward, kari)
    tick(ward, dispatcher, at(0))
    sms = ward.db.scalars(select(Delivery)).one()
    before = len(ward.db.scalars(select(ProviderEvent)).all())
    for attempt_id in (sms.id, "f" * 32, "", "æ" * 4000):
        acks.keep_ack(ward.db, attempt_id, now=at(0, 11))
    assert len(ward.db.scalars(select(ProviderEvent)).all()) == before
