"""The tick on the demo's phones: what is due goes out once, and what became of it is known."""

import asyncio
import re
from collections import Counter
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from companion.clock import FixedClock
from companion.models import CheckIn, Flag, Heartbeat, Measure, Message, Patient, PatientUnit, Plan, Stay
from companion.rules.delivery_codes import explain
from companion.use_cases import sign_in
from companion.use_cases.going_home import plan
from companion.use_cases.messages import message
from notifications import heard, inbound
from notifications.channels.sms.sandbox import (
    ARRIVES_WITHOUT_ANSWER,
    BUSY,
    LOST_WITHOUT_ANSWER,
    REFUSED,
    UNREACHABLE,
)
from notifications.dispatcher import Dispatcher
from notifications.models import Delivery, SandboxMessage
from notifications.status import failing_replies
from tests.delivery.conftest import MakeDispatcher
from tests.use_cases.small_ward import SmallWard, at

pytestmark = pytest.mark.timeout(30)


def tick(ward: SmallWard, dispatcher: Dispatcher, now: datetime) -> Counter[str]:
    ward.db.commit()  # SQLite has one writer: the test's own session must not hold it
    counts = asyncio.run(dispatcher.tick(FixedClock(now)))
    assert counts["errors"] == 0
    return counts


def letter(
    ward: SmallWard, patient: Patient, kind: str = "new_link", minutes: int = 60, now: datetime | None = None
) -> Message:
    now = now or at(0)
    written = message.write(
        ward.db,
        kind,
        to=patient,
        now=now,
        valid_until=now + timedelta(minutes=minutes),
        dedupe_key=f"{kind}:{patient.id}:{now}",
    )
    assert written
    ward.db.commit()
    return written


def give_number(ward: SmallWard, patient: Patient, number: str) -> Patient:
    patient.phone, patient.phone_index = number, number
    ward.db.commit()
    return patient


def state(ward: SmallWard, written: Message) -> str:
    ward.db.expire_all()
    return written.state


def flag_codes(ward: SmallWard, patient: Patient) -> list[str]:
    return list(ward.db.scalars(select(Flag.code).where(Flag.patient_id == patient.id, Flag.state == "open")))


def received(ward: SmallWard, patient: Patient) -> list[str]:
    return list(
        ward.db.scalars(
            select(SandboxMessage.body)
            .where(SandboxMessage.number == patient.phone, SandboxMessage.direction == "out")
            .order_by(SandboxMessage.id)
        )
    )


def test_a_due_check_in_is_asked_and_arrives_with_a_link_that_opens(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    kari = ward.patient()
    ward.db.commit()
    due = ward.db.scalars(select(CheckIn).where(CheckIn.patient_id == kari.id).order_by(CheckIn.day)).first()
    assert due
    asked_at = due.due_at + timedelta(days=5)  # well past any weekend
    asked_at = asked_at if asked_at.weekday() < 5 else asked_at + timedelta(days=2)
    due.due_at = asked_at
    ward.db.commit()

    counts = tick(ward, make_dispatcher(), asked_at)

    assert (counts["asked"], counts["claimed"], counts["accepted"]) == (1, 1, 1)
    (text,) = received(ward, kari)
    assert text.startswith("Hei Kari. Her er Følge fra UNN.")
    found = re.search(r"/l#([\w-]{22}) .*/k og skriv (\d{3} \d{3})\.", text)
    assert found
    opened = sign_in.redeem_link(ward.db, found[1], now=asked_at)
    assert opened.sign_in.level == "link"
    sent = ward.db.scalars(select(Message).where(Message.patient_id == kari.id)).one()
    assert state(ward, sent) == "delivered"
    again = tick(ward, make_dispatcher(), asked_at)
    assert (again["asked"], again["claimed"]) == (0, 0)


def test_the_heartbeat_says_for_which_time_it_has_ticked(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    tick(ward, make_dispatcher(), at(1))
    tick(ward, make_dispatcher(), at(2))
    assert ward.db.get_one(Heartbeat, "dispatcher").ticked_for == at(2)


@pytest.mark.parametrize(("number", "code"), REFUSED.items())
def test_a_number_refused_for_good_is_marked_flagged_and_never_tried_again(
    ward: SmallWard, make_dispatcher: MakeDispatcher, number: str, code: str
) -> None:
    kari = give_number(ward, ward.patient(), number)
    written = letter(ward, kari)

    assert tick(ward, make_dispatcher(), at(0))["failed"] == 1
    assert tick(ward, make_dispatcher(), at(1))["claimed"] == 0

    assert state(ward, written) == "failed"
    assert written.error_code == code
    assert kari.phone_state == explain(code).phone_state
    assert flag_codes(ward, kari) == ["undeliverable"]
    refused = message.write(ward.db, "welcome", to=kari, now=at(1), valid_until=at(2), dedupe_key="another")
    assert refused is None


def test_an_unreachable_handset_reported_afterwards_is_flagged(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    kari = give_number(ward, ward.patient(), next(iter(UNREACHABLE)))
    written = letter(ward, kari)
    counts = tick(ward, make_dispatcher(), at(0))
    assert counts["accepted"] == 1
    assert state(ward, written) == "undelivered"
    assert flag_codes(ward, kari) == ["undeliverable"]


def test_a_busy_provider_is_tried_again_until_the_letter_is_of_no_use(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    kari = give_number(ward, ward.patient(), BUSY)
    written = letter(ward, kari, minutes=10)
    assert tick(ward, make_dispatcher(), at(0))["later"] == 1
    assert state(ward, written) == "queued"
    assert written.next_attempt_at >= at(0) + timedelta(seconds=30)
    assert tick(ward, make_dispatcher(), at(0, 10, 1))["later"] == 1
    assert tick(ward, make_dispatcher(), at(0, 10, 10))["expired"] == 1
    assert state(ward, written) == "expired"
    assert flag_codes(ward, kari) == ["undeliverable"]


def test_an_uncertain_letter_that_arrived_is_found_and_not_sent_again(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    kari = give_number(ward, ward.patient(), ARRIVES_WITHOUT_ANSWER)
    written = letter(ward, kari, "welcome", minutes=24 * 60)
    assert tick(ward, make_dispatcher(), at(0))["unknown"] == 1
    assert state(ward, written) == "unknown"
    assert flag_codes(ward, kari) == ["parked_message"]
    assert tick(ward, make_dispatcher(), at(0, 10, 1))["reconciled"] == 0
    assert tick(ward, make_dispatcher(), at(0, 10, 2))["reconciled"] == 1
    assert state(ward, written) == "accepted"
    assert flag_codes(ward, kari) == []
    assert len(received(ward, kari)) == 1


def test_an_uncertain_letter_that_never_left_is_queued_once_more_and_then_a_human_is_told(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    kari = give_number(ward, ward.patient(), LOST_WITHOUT_ANSWER)
    written = letter(ward, kari, "welcome", minutes=24 * 60)
    tick(ward, make_dispatcher(), at(0))
    assert tick(ward, make_dispatcher(), at(0, 10, 3))["reconciled"] == 0
    assert tick(ward, make_dispatcher(), at(0, 10, 9))["claimed"] == 0
    again = tick(ward, make_dispatcher(), at(0, 10, 10))
    assert (again["reconciled"], again["claimed"], again["unknown"]) == (1, 1, 1)
    tick(ward, make_dispatcher(), at(0, 10, 12))
    last = tick(ward, make_dispatcher(), at(0, 10, 20))
    assert (last["reconciled"], last["claimed"]) == (1, 0)
    assert state(ward, written) == "failed"
    assert set(flag_codes(ward, kari)) == {"parked_message", "undeliverable"}
    assert written.attempt == 2


def test_an_uncertain_code_is_never_sent_again(ward: SmallWard, make_dispatcher: MakeDispatcher) -> None:
    kari = give_number(ward, ward.patient(), LOST_WITHOUT_ANSWER)
    written = letter(ward, kari, "new_link")
    for minute in (0, 2, 10, 20):
        tick(ward, make_dispatcher(), at(0, 10, minute))
    assert state(ward, written) == "failed"
    assert written.attempt == 1


def test_nothing_is_sent_at_night_and_it_goes_in_the_morning(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    kari = ward.patient()
    written = letter(ward, kari, "welcome", minutes=3 * 24 * 60, now=at(0, 21))
    assert tick(ward, make_dispatcher(), at(0, 21))["postponed"] == 1
    assert state(ward, written) == "queued"
    assert tick(ward, make_dispatcher(), at(1, 7, 59))["claimed"] == 0
    # Not all of the night's in the same second.
    goes = written.next_attempt_at
    assert at(1, 8) <= goes < at(1, 8, 30)
    assert tick(ward, make_dispatcher(), goes)["accepted"] == 1


@pytest.mark.parametrize("what", ["opted_out", "died", "stopped", "by_phone"])
def test_what_was_decided_after_the_letter_was_written_holds_at_the_claim(
    ward: SmallWard, make_dispatcher: MakeDispatcher, what: str
) -> None:
    kari = ward.patient()
    written = letter(ward, kari, "welcome", minutes=24 * 60)
    if what == "opted_out":
        plan.opt_out(ward.db, kari, now=at(0))
    elif what == "died":
        kari.died_on = date(2026, 11, 9)
    elif what == "by_phone":
        kari.contact_by = "call"
    else:
        ward.db.scalars(select(Plan).where(Plan.patient_id == kari.id)).one().state = "paused"
    ward.db.commit()
    assert tick(ward, make_dispatcher(), at(0))["cancelled"] == 1
    assert state(ward, written) == "cancelled"
    assert received(ward, kari) == []


def test_the_same_letter_is_written_once(ward: SmallWard) -> None:
    kari = ward.patient()
    first = letter(ward, kari)
    assert letter(ward, kari) is first


def test_the_text_of_an_attempt_is_forgotten_after_a_week(
    ward: SmallWard, make_dispatcher: MakeDispatcher, sessions: sessionmaker[Session]
) -> None:
    kari = ward.patient()
    letter(ward, kari)
    ward.db.scalars(select(Plan).where(Plan.patient_id == kari.id)).one().state = "done"
    tick(ward, make_dispatcher(), at(0))
    assert tick(ward, make_dispatcher(), at(6))["wiped"] == 0
    assert tick(ward, make_dispatcher(), at(8))["wiped"] == 1
    with sessions() as db:
        assert db.scalars(select(Delivery.body)).all() == [None]


def test_a_letter_without_words_fails_alone(ward: SmallWard, make_dispatcher: MakeDispatcher) -> None:
    kari, ola = ward.patient("Kari Nilsen"), ward.patient("Ola Hansen")
    wordless = letter(ward, kari, "reply")  # a reply that does not say what about
    letter(ward, ola)
    counts = tick(ward, make_dispatcher(), at(0))
    assert (counts["failed"], counts["accepted"]) == (1, 1)
    assert state(ward, wordless) == "failed"
    assert flag_codes(ward, kari) == ["undeliverable"]


def test_an_inbound_that_cannot_be_handled_does_not_hold_up_a_stop(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    homeless, kari = ward.patient("Ola Hansen"), ward.patient("Kari Nilsen")
    for table in (Measure, CheckIn, Plan, PatientUnit, Stay):
        ward.db.execute(delete(table).where(table.patient_id == homeless.id))
    assert homeless.phone
    assert kari.phone
    heard.keep_inbound(ward.db, "1", homeless.phone, "Ring meg", now=at(0))
    heard.keep_inbound(ward.db, "2", kari.phone, "STOPP", now=at(0))
    dispatcher = make_dispatcher()
    assert tick(ward, dispatcher, at(0))["inbound"] == 1
    ward.db.expire_all()
    assert kari.phone_state == "opted_out"
    # Nobody follows this person: no flag can be raised, so the log says it, less and less often.
    with capture_logs() as logs:
        for minutes in range(1, 120):
            tick(ward, dispatcher, at(0) + timedelta(minutes=minutes))
    events = Counter(line["event"] for line in logs)
    assert (events["inbound_failed"], events["inbound_reaches_nobody"]) == (4, 2)
    assert failing_replies(ward.db) == 1


def test_an_inbound_our_rules_fail_on_reaches_a_human_as_it_stands(ward: SmallWard) -> None:
    kari = ward.patient()
    assert kari.phone
    heard.keep_inbound(ward.db, "1", kari.phone, "Hei på deg", now=at(0))

    def fails(db: Session, phone: str, text: str, *, said_at: datetime, now: datetime) -> bool:
        raise RuntimeError("our rules")

    handled = [
        inbound.handle(ward.db, at(0) + timedelta(minutes=minutes), act=fails)
        for minutes in (0, 0.5, 1, 6, 20, 21, 22)
    ]
    assert handled == [0, 0, 0, 0, 0, 1, 0]
    raised = ward.db.scalars(select(Flag).where(Flag.patient_id == kari.id)).one()
    assert (raised.code, raised.quote) == ("reply_not_understood", "Hei på deg")
