"""Nobody gets more messages than they can bear: the cap of a week, asked inside the claim, and what was held back is seen."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from companion.clock import FixedClock
from companion.models import Message, Patient, Relative
from companion.use_cases.messages import message
from notifications.channels import Channel, News, Parcel
from notifications.channels.push import acks, devices
from notifications.dispatcher import Dispatcher
from notifications.models import SandboxMessage
from tests.delivery.conftest import MakeDispatcher
from tests.use_cases.small_ward import SmallWard, at

pytestmark = pytest.mark.timeout(30)


def tick(ward: SmallWard, dispatcher: Dispatcher, now: datetime) -> None:
    ward.db.commit()
    assert asyncio.run(dispatcher.tick(FixedClock(now)))["errors"] == 0
    ward.db.expire_all()


class Silent(Channel):
    """Takes everything, and says of it only what it is told to."""

    def __init__(self) -> None:
        self.taken: list[Parcel] = []
        self.said: News | None = None

    async def send(self, parcel: Parcel) -> str:
        self.taken.append(parcel)
        return f"SM{parcel.attempt_id}"

    async def find(self, parcel: Parcel) -> list[str]:
        return []

    async def fetch(self, provider_id: str) -> News | None:
        return self.said

    async def close(self) -> None: ...


def letter(ward: SmallWard, to: Patient | Relative, kind: str, now: datetime, key: str = "") -> Message:
    check_in = None
    if kind in ("check_in", "reminder") and isinstance(to, Patient):
        check_in = ward.check_in(to, 60 if to.name.startswith("Mona") else 30)
        check_in.state, check_in.asked_at = "asked", at(60)
    written = message.write(
        ward.db,
        kind,
        to=to,
        now=now,
        check_in=check_in,
        valid_until=now + timedelta(days=20),
        dedupe_key=f"{kind}:{to.id}:{key}",
    )
    assert written
    return written


def received(ward: SmallWard) -> int:
    return ward.db.scalar(select(func.count()).where(SandboxMessage.direction == "out")) or 0


def test_one_message_a_week_where_the_plan_says_so(ward: SmallWard, make_dispatcher: MakeDispatcher) -> None:
    mona = ward.patient("Mona Berg", template="mecfs")
    first, second = letter(ward, mona, "check_in", at(0)), letter(ward, mona, "reminder", at(0))
    tick(ward, make_dispatcher(), at(0))
    assert (first.state, second.state, second.error_code) == ("delivered", "queued", "weekly_cap")
    tick(ward, make_dispatcher(), at(6))
    assert second.state == "queued"
    tick(ward, make_dispatcher(), at(7))
    assert (second.state, second.error_code, received(ward)) == ("delivered", None, 2)


def test_seven_a_week_for_everybody_and_codes_go_all_the_same(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    kari = ward.patient()
    for number in range(9):
        letter(ward, kari, "welcome", at(0), str(number))
    dispatcher = make_dispatcher()
    tick(ward, dispatcher, at(0))
    assert received(ward) == 7
    letter(ward, kari, "new_link", at(0))
    tick(ward, dispatcher, at(0, 11))
    assert received(ward) == 8
    tick(ward, dispatcher, at(7, 9))
    assert received(ward) == 8
    # The two that waited, and the check-in of that day.
    tick(ward, dispatcher, at(7, 11))
    assert received(ward) == 11


@pytest.mark.parametrize("kind", ["meeting", "meeting_moved", "meeting_cancelled", "relative_invited"])
def test_an_appointment_is_never_held_back(kind: str) -> None:
    a_lot = [at(0, 10, minute) for minute in range(30)]
    assert message.enough_until(Message(kind=kind), a_lot, 7, at(0, 11)) is None
    assert message.enough_until(Message(kind="welcome"), a_lot, 7, at(0, 11)) == at(7, 10, 23)


def test_the_week_begins_when_a_message_is_sent_not_when_it_is_heard_of(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    """Nothing is ever heard of the first one, which is noted three days later; the second was due long before it was sent."""
    mona = ward.patient("Mona Berg", template="mecfs")
    first, second = letter(ward, mona, "check_in", at(0)), letter(ward, mona, "reminder", at(0))
    silent = make_dispatcher(Silent())
    tick(ward, silent, at(1))
    tick(ward, silent, at(4, 11))
    assert (first.state, second.state) == ("delivery_unknown", "queued")
    tick(ward, silent, at(8, 8, 30))
    assert second.state == "queued"
    tick(ward, silent, at(8, 9))
    assert second.state == "accepted"


def test_what_did_not_arrive_does_not_count(ward: SmallWard, make_dispatcher: MakeDispatcher) -> None:
    mona = ward.patient("Mona Berg", template="mecfs")
    first = letter(ward, mona, "check_in", at(0))
    silent = Silent()
    tick(ward, make_dispatcher(silent), at(0))
    silent.said = News("undelivered", "30007")
    tick(ward, make_dispatcher(silent), at(0, 12))
    assert first.state == "undelivered"
    second = letter(ward, mona, "reminder", at(1))
    tick(ward, make_dispatcher(silent), at(1))
    assert second.state == "accepted"


def test_what_arrives_after_all_counts_from_when_it_was_sent(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    """A push that no device has acknowledged is to go as SMS, and is held back because others were sent meanwhile."""
    kari = ward.patient()
    kari.contact_by = "push"
    devices.add(
        ward.db, kari.id, devices.Subscription("https://push.example/1", "p", "a"), asked=True, now=at(0)
    )
    first, second = (letter(ward, kari, "welcome", at(0), key) for key in ("first", "second"))
    push = Silent()
    tick(ward, make_dispatcher(push=push), at(0))
    acks.keep_ack(ward.db, push.taken[1].attempt_id, now=at(0, 10, 1))
    dispatcher = make_dispatcher(push=push, messages_a_week=1)
    tick(ward, dispatcher, at(0, 10, 20))
    assert (second.state, first.state, first.next_attempt_at) == ("delivered", "queued", at(7))
    acks.keep_ack(ward.db, push.taken[0].attempt_id, now=at(0, 10, 30))
    tick(ward, dispatcher, at(0, 10, 30))
    assert (first.state, first.next_attempt_at) == ("delivered", at(0))


def test_another_person_s_messages_do_not_count(ward: SmallWard, make_dispatcher: MakeDispatcher) -> None:
    mona, moa = ward.patient("Mona Berg", template="mecfs"), ward.patient("Mona Lie", template="mecfs")
    for patient in (mona, moa):
        letter(ward, patient, "check_in", at(0))
    tick(ward, make_dispatcher(), at(0))
    assert received(ward) == 2


def test_the_number_is_a_setting(ward: SmallWard, make_dispatcher: MakeDispatcher) -> None:
    kari = ward.patient()
    for number in range(3):
        letter(ward, kari, "welcome", at(0), str(number))
    tick(ward, make_dispatcher(messages_a_week=2), at(0))
    assert received(ward) == 2
