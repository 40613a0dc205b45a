"""Staff hear of what waits: once, in their own way and hours, of nothing somebody has seen, and never at a patient's cost."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from companion.clock import FixedClock
from companion.models import CheckIn, Flag, Membership, Message, Patient, Professional, Told, WorkDevice
from companion.rules.access import Actor
from companion.use_cases.cases import duty as telling
from companion.use_cases.cases import flag
from companion.use_cases.people import duty as choice
from notifications.channels.push import devices, work
from notifications.channels.push.devices import Subscription
from notifications.dispatcher import Dispatcher
from notifications.doctor import look_at_duty
from notifications.models import SandboxMessage
from tests.delivery.conftest import MakeDispatcher
from tests.delivery.third_channel.way import Bells
from tests.use_cases.small_ward import SmallWard, at

pytestmark = pytest.mark.timeout(30)
JOHAN = "+4790000001"


def colleague(ward: SmallWard, name: str = "Johan Berg", *, phone: str = JOHAN, hours: str = "duty") -> Actor:
    """Works in the ward, and wants to hear by SMS."""
    person = ward.colleague(name, "post3")
    ward.db.add(Membership(professional_id=person.id, unit_id=ward.units["post3"].id, role="staff"))
    choice.choose(ward.db, person, way="sms", phone=phone, email="", hours=hours, now=at(0))
    ward.db.commit()
    return person


def raised(
    ward: SmallWard, patient: Patient, now: datetime, code: str = "wants_contact", level: str = "red"
) -> Flag:
    case = flag.raise_flag(
        ward.db, patient, code=code, level=level, unit=ward.units["post3"], now=now, quote="Jeg blør"
    )
    ward.db.commit()
    return case


def tick(ward: SmallWard, dispatcher: Dispatcher, now: datetime) -> Counter[str]:
    ward.db.commit()
    counts = asyncio.run(dispatcher.tick(FixedClock(now)))
    assert counts["errors"] == 0
    ward.db.expire_all()
    return counts


def received(ward: SmallWard, number: str = JOHAN) -> Sequence[str]:
    texts = select(SandboxMessage.body).where(SandboxMessage.number == number).order_by(SandboxMessage.id)
    return ward.db.scalars(texts).all()


@pytest.fixture
def dispatcher(make_dispatcher: MakeDispatcher) -> Dispatcher:
    return make_dispatcher()


@pytest.fixture
def kari(ward: SmallWard) -> Patient:
    return ward.patient()


def test_a_red_case_is_told_at_once_without_a_name_or_a_word_of_health(
    ward: SmallWard, dispatcher: Dispatcher, kari: Patient
) -> None:
    colleague(ward)
    raised(ward, kari, at(0))
    tick(ward, dispatcher, at(0))
    assert received(ward) == ["Ny hastesak i Følge."]


def test_nobody_is_told_of_a_unit_without_choices_or_of_what_can_wait(
    ward: SmallWard, dispatcher: Dispatcher, kari: Patient
) -> None:
    colleague(ward)
    siri = ward.colleague("Siri Myhre", "tromso-rehab")
    ward.db.add(Membership(professional_id=siri.id, unit_id=ward.units["tromso-rehab"].id, role="staff"))
    raised(ward, kari, at(0), "high_pain", "amber")
    flag.raise_flag(
        ward.db, kari, code="wants_contact", level="red", unit=ward.units["tromso-rehab"], now=at(0)
    )
    assert ward.db.scalars(select(Told)).all() == []
    assert "tromso-rehab" in choice.units_nobody_is_told_of(ward.db)
    assert "post3" not in choice.units_nobody_is_told_of(ward.db)


def test_what_comes_within_ten_minutes_of_a_message_is_one_message(
    ward: SmallWard, dispatcher: Dispatcher, kari: Patient
) -> None:
    colleague(ward)
    raised(ward, kari, at(0))
    raised(ward, kari, at(0), "low_mood")
    tick(ward, dispatcher, at(0))
    assert received(ward) == ["2 nye hastesaker i Følge."]
    for minute in (3, 5):
        raised(ward, ward.patient(), at(0, 10, minute))
        tick(ward, dispatcher, at(0, 10, minute))
    assert len(received(ward)) == 1
    tick(ward, dispatcher, at(0, 10, 10))
    assert received(ward)[1:] == ["2 nye hastesaker i Følge."]


def test_a_case_is_told_once_for_each_step(ward: SmallWard, dispatcher: Dispatcher, kari: Patient) -> None:
    colleague(ward)
    case = raised(ward, kari, at(0))
    tick(ward, dispatcher, at(0))
    telling.tell(ward.db, case, "raised", now=at(0, 11))
    for now in (at(0, 13), at(0, 13, 20), at(0, 15), at(0, 15, 20), at(1, 9), at(1, 13)):
        tick(ward, dispatcher, now)
    soon, overdue = "En sak i Følge må ses snart.", "En sak i Følge er over tiden."
    assert received(ward) == ["Ny hastesak i Følge.", soon, overdue]


def test_nobody_is_told_of_a_case_already_seen(
    ward: SmallWard, dispatcher: Dispatcher, kari: Patient
) -> None:
    johan = colleague(ward)
    case = raised(ward, kari, at(0))
    flag.claim(ward.db, johan, case.id, now=at(0))
    assert tick(ward, dispatcher, at(0))["cancelled"] == 1
    assert received(ward) == []
    telling.tell(ward.db, case, "overdue", now=at(1))
    tick(ward, dispatcher, at(1))
    assert received(ward) == ["En sak i Følge er over tiden."]


def test_who_is_off_duty_hears_at_the_next_start_and_then_once(
    ward: SmallWard, dispatcher: Dispatcher, kari: Patient
) -> None:
    """From Friday afternoon until Monday at eight; a colleague who wants to hear always hears at once."""
    colleague(ward)
    colleague(ward, "Siri Dahl", phone="+4790000002", hours="always")
    for day, hour in ((4, 16), (5, 11), (6, 23)):
        raised(ward, ward.patient(), at(day, hour))
        tick(ward, dispatcher, at(day, hour))
    assert (len(received(ward)), len(received(ward, "+4790000002"))) == (0, 3)
    tick(ward, dispatcher, at(7, 7, 59))
    assert received(ward) == []
    tick(ward, dispatcher, at(7, 8))
    assert received(ward) == ["3 nye hastesaker i Følge."]


def test_a_choice_taken_back_or_a_colleague_who_left_is_told_nothing(
    ward: SmallWard, dispatcher: Dispatcher, kari: Patient
) -> None:
    johan = colleague(ward)
    siri = colleague(ward, "Siri Dahl", phone="+4790000002")
    raised(ward, kari, at(0))
    choice.choose(ward.db, johan, way="none", phone=JOHAN, email="", hours="duty", now=at(0))
    ward.db.get_one(Professional, siri.id).left_at = at(0)
    assert tick(ward, dispatcher, at(0))["cancelled"] == 2


def test_what_staff_are_told_never_uses_up_a_patient_s_week(
    ward: SmallWard, make_dispatcher: MakeDispatcher, kari: Patient
) -> None:
    colleague(ward, hours="always")
    dispatcher = make_dispatcher(messages_a_week=1)
    asked_at = min(one.due_at for one in ward.db.scalars(select(CheckIn)))
    raised(ward, kari, asked_at - timedelta(hours=1))
    assert tick(ward, dispatcher, asked_at - timedelta(hours=1))["accepted"] == 1
    counts = tick(ward, dispatcher, asked_at)
    assert (counts["asked"], counts["accepted"], counts["postponed"]) == (1, 1, 0)


def test_a_message_that_does_not_arrive_is_no_patient_s_case(
    ward: SmallWard, dispatcher: Dispatcher, kari: Patient
) -> None:
    colleague(ward, phone="+4799900001")
    colleague(ward, "Siri Dahl", phone="+4799900006")
    case = raised(ward, kari, at(0))
    counts = tick(ward, dispatcher, at(0))
    assert (counts["failed"], counts["unknown"]) == (1, 1)
    assert ward.db.scalars(select(Flag)).all() == [case]


def test_a_refused_one_is_tried_again_and_grows_meanwhile(
    ward: SmallWard, dispatcher: Dispatcher, kari: Patient
) -> None:
    johan = colleague(ward, phone="+4799900007")
    raised(ward, kari, at(0))
    assert tick(ward, dispatcher, at(0))["later"] == 1
    raised(ward, ward.patient(), at(0, 10, 1))
    choice.choose(ward.db, johan, way="sms", phone=JOHAN, email="", hours="duty", now=at(0))
    tick(ward, dispatcher, at(0, 10, 6))
    assert received(ward) == ["2 nye hastesaker i Følge."]


def test_a_work_phone_gets_push_and_sms_when_it_does_not_show_it(
    ward: SmallWard, make_dispatcher: MakeDispatcher, kari: Patient
) -> None:
    johan, phones = colleague(ward), Bells()
    assert johan.id
    choice.choose(ward.db, johan, way="push", phone=JOHAN, email="", hours="duty", now=at(0))
    work.add(ward.db, johan.id, Subscription("https://push.example/1", "p", "a"), now=at(0))
    dispatcher = make_dispatcher(push=phones)
    raised(ward, kari, at(0))
    tick(ward, dispatcher, at(0))
    [pushed] = phones.rung
    assert [one.endpoint for one in pushed.devices] == ["https://push.example/1"]
    shown = json.loads(pushed.body)
    assert (shown["body"], shown["url"], pushed.urgent) == ("Ny hastesak i Følge.", "/staff", True)
    assert received(ward) == []
    tick(ward, dispatcher, at(0, 10, 15))
    assert received(ward) == ["Ny hastesak i Følge."]


def test_a_work_phone_that_is_gone_is_forgotten_and_the_next_way_taken(
    ward: SmallWard, dispatcher: Dispatcher, kari: Patient
) -> None:
    johan, siri = colleague(ward), colleague(ward, "Siri Dahl", phone="+4790000002")
    assert johan.id
    assert siri.id
    choice.choose(ward.db, johan, way="push", phone=JOHAN, email="", hours="duty", now=at(0))
    for person in (johan.id, siri.id):
        work.add(ward.db, person, Subscription("https://push.example/1", "p", "a"), now=at(0))
    [phone] = ward.db.scalars(select(WorkDevice))
    assert phone.professional_id == siri.id
    assert devices.forget(ward.db, [phone.id]) == {siri.id}
    raised(ward, kari, at(0))
    tick(ward, dispatcher, at(0))
    assert (len(received(ward)), len(received(ward, "+4790000002"))) == (1, 1)


def test_a_way_that_leads_nowhere_says_so(ward: SmallWard, dispatcher: Dispatcher, kari: Patient) -> None:
    johan = colleague(ward)
    choice.choose(ward.db, johan, way="push", phone="", email="", hours="duty", now=at(0))
    raised(ward, kari, at(0))
    assert tick(ward, dispatcher, at(0))["failed"] == 1
    assert [one.error_code for one in ward.db.scalars(select(Message))] == ["no_way"]


def test_a_trial_comes_at_any_hour_and_once(ward: SmallWard, dispatcher: Dispatcher) -> None:
    johan = colleague(ward)
    assert johan.id
    night = at(5, 3)
    assert telling.send_test(ward.db, johan.id, now=night) is telling.send_test(ward.db, johan.id, now=night)
    tick(ward, dispatcher, night)
    assert received(ward) == ["Dette er en prøve fra Følge. Slik får du beskjed når en sak venter."]
    shown = choice.chosen(ward.db, johan).test
    assert shown
    assert shown.state == "delivered"


def test_the_report_says_who_was_told_of_what_and_names_no_patient(
    ward: SmallWard, dispatcher: Dispatcher, kari: Patient
) -> None:
    colleague(ward)
    case = raised(ward, kari, at(0))
    tick(ward, dispatcher, at(0))
    telling.tell(ward.db, case, "overdue", now=at(1))
    [told] = choice.told_on(ward.db, at(0, 1), at(1, 1))
    assert told == choice.WasTold("post3", "Johan Berg", "raised", "sms", "delivered", 1)
    assert choice.told_on(ward.db, at(1, 1), at(2, 1)) == []
    [found] = look_at_duty(ward.db)
    assert (found.how, "tromso-ke" in found.said, "post3" in found.said) == ("note", True, False)


def test_a_letter_s_words_hold_nothing_of_the_case(ward: SmallWard, kari: Patient) -> None:
    colleague(ward)
    raised(ward, kari, at(0))
    [letter] = ward.db.scalars(select(Message).where(Message.kind == telling.KIND))
    assert (letter.params, letter.patient_id, letter.lane) == ({}, None, "duty")
    assert letter.valid_until - letter.not_before == timedelta(days=7)
