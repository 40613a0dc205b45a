"""Nobody gets more messages than they can bear: the cap of a week, asked inside the claim, and what was held back is seen."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from companion.clock import FixedClock
from companion.models import Message, Patient, Relative
from companion.use_cases.messages import message
from notifications.dispatcher import Dispatcher
from notifications.models import SandboxMessage
from tests.delivery.conftest import MakeDispatcher
from tests.use_cases.small_ward import SmallWard, at

pytestmark = pytest.mark.timeout(30)


def tick(ward: SmallWard, dispatcher: Dispatcher, now: datetime) -> None:
    ward.db.commit()
    assert asyncio.run(dispatcher.tick(FixedClock(now)))["errors"] == 0
    ward.db.expire_all()


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
