"""A third way that is nothing but a folder and words: the machine, the pages and the report take it as they take the others."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, sessionmaker

from companion import worklists
from companion.clock import FixedClock
from companion.models import Circuit, Flag, Meeting, Membership, Message, Patient
from companion.settings import Settings as CompanionSettings
from companion.use_cases.messages import message
from companion.worklists.post import standing
from notifications import circuit
from notifications.channels import Later, Never, Uncertain
from notifications.dispatcher import Dispatcher, Lane
from notifications.doctor import ask_providers, look_at_settings
from notifications.models import Delivery, PushSubscription, SandboxMessage
from notifications.settings import Settings
from notifications.ways import Ways, discover
from tests.delivery.conftest import MakeDispatcher
from tests.delivery.third_channel import receipts
from tests.delivery.third_channel.way import Bell, Bells
from tests.pages.client import PageClient
from tests.use_cases.small_ward import HOME, SmallWard, at
from web.app import create_app
from web.house.settings import WebSettings

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def kari(ward: SmallWard) -> Patient:
    """She has a bell."""
    kari = ward.patient()
    ward.db.commit()
    return kari


@pytest.fixture
def bells() -> Bells:
    return Bells()


@pytest.fixture
def ways(bells: Bells, kari: Patient) -> Ways:
    return Ways([*discover(), Bell(bells, {kari.phone or "": "Storgata 1"})])


@pytest.fixture
def dispatcher(bells: Bells, ways: Ways, make_dispatcher: MakeDispatcher) -> Dispatcher:
    return make_dispatcher(also={"bell": bells}, ways=ways)


def tick(ward: SmallWard, dispatcher: Dispatcher, now: datetime) -> Counter[str]:
    ward.db.commit()
    counts = asyncio.run(dispatcher.tick(FixedClock(now)))
    assert counts["errors"] == 0
    ward.db.expire_all()
    return counts


def letter(
    ward: SmallWard, to: Patient, kind: str = "welcome", meeting: Meeting | None = None, number: int = 1
) -> Message:
    written = message.write(
        ward.db,
        kind,
        to=to,
        now=at(0),
        meeting=meeting,
        valid_until=at(2),
        dedupe_key=f"{kind}:{to.id}:{number}",
    )
    assert written
    ward.db.commit()
    return written


def texts(ward: SmallWard) -> int:
    return len(ward.db.scalars(select(SandboxMessage.id)).all())


def tell(ward: SmallWard, bells: Bells, status: str, now: datetime) -> None:
    receipts.keep(ward.db, bells.rung[-1].attempt_id, status, now=now)
    ward.db.commit()


# --- first this way, then the others ----------------------------------------------------------------------------------


def test_a_letter_goes_this_way_first_and_by_the_next_after_its_own_time(
    ward: SmallWard, dispatcher: Dispatcher, bells: Bells, kari: Patient
) -> None:
    written = letter(ward, kari)
    assert tick(ward, dispatcher, at(0))["accepted"] == 1
    [rung] = bells.rung
    assert (rung.address, rung.body) == ("Storgata 1", "Følge: det ligger noe til deg.")
    assert (rung.valid_for, rung.next_way) == (timedelta(minutes=5), "push")
    assert (written.state, written.channel, texts(ward)) == ("accepted", "bell", 0)
    assert tick(ward, dispatcher, at(0, 10, 4))["unheard"] == 0
    counts = tick(ward, dispatcher, at(0, 10, 5))
    assert (counts["unheard"], counts["claimed"]) == (1, 1)
    assert (len(bells.rung), texts(ward)) == (1, 1)
    assert (written.state, written.channel) == ("delivered", "sms")


def test_it_is_acknowledged_by_its_own_receipts(
    ward: SmallWard, dispatcher: Dispatcher, bells: Bells, kari: Patient
) -> None:
    written = letter(ward, kari)
    tick(ward, dispatcher, at(0))
    tell(ward, bells, "rung", at(0, 10, 1))
    tick(ward, dispatcher, at(0, 10, 1))
    assert written.state == "sent"
    tell(ward, bells, "answered", at(0, 10, 2))
    tick(ward, dispatcher, at(0, 10, 2))
    assert tick(ward, dispatcher, at(0, 11))["claimed"] == 0
    assert (written.state, texts(ward)) == ("delivered", 0)


def test_a_word_of_another_way_s_provider_says_nothing_here(
    ward: SmallWard, dispatcher: Dispatcher, bells: Bells, kari: Patient
) -> None:
    """`read` is Twilio's for what has arrived."""
    written = letter(ward, kari)
    tick(ward, dispatcher, at(0))
    tell(ward, bells, "read", at(0, 10, 1))
    tick(ward, dispatcher, at(0, 10, 1))
    assert written.state == "accepted"


def test_told_that_nobody_opened_it_goes_by_the_next_way_at_once_and_is_no_case(
    ward: SmallWard, dispatcher: Dispatcher, bells: Bells, kari: Patient
) -> None:
    written = letter(ward, kari)
    tick(ward, dispatcher, at(0))
    tell(ward, bells, "nobody_home", at(0, 10, 1))
    assert tick(ward, dispatcher, at(0, 10, 1))["claimed"] == 1
    assert (written.state, written.channel, texts(ward)) == ("delivered", "sms", 1)
    assert ward.db.scalars(select(Flag)).all() == []


def test_told_so_after_nobody_wants_it_any_more_it_goes_nowhere(
    ward: SmallWard, dispatcher: Dispatcher, bells: Bells, kari: Patient
) -> None:
    written = letter(ward, kari)
    tick(ward, dispatcher, at(0))
    written.state = "cancelled"
    tell(ward, bells, "nobody_home", at(0, 10, 1))
    assert tick(ward, dispatcher, at(0, 10, 1))["claimed"] == 0
    assert texts(ward) == 0


@pytest.mark.parametrize("failure", [Never("no_such_door"), Later("engaged", timedelta(hours=1))])
def test_what_it_does_not_take_goes_by_the_next_way_at_once(
    ward: SmallWard, dispatcher: Dispatcher, bells: Bells, kari: Patient, failure: Exception
) -> None:
    written = letter(ward, kari)
    bells.fails_with = failure
    counts = tick(ward, dispatcher, at(0))
    assert (counts["claimed"], counts["next_way"], counts["accepted"]) == (2, 1, 1)
    assert (written.state, written.channel, texts(ward)) == ("delivered", "sms", 1)


def test_what_may_have_rung_is_waited_for_and_is_no_case(
    ward: SmallWard, dispatcher: Dispatcher, bells: Bells, kari: Patient
) -> None:
    written = letter(ward, kari)
    bells.fails_with = Uncertain("read_timeout")
    tick(ward, dispatcher, at(0))
    assert (written.state, ward.db.scalars(select(Flag)).all()) == ("accepted", [])
    tick(ward, dispatcher, at(0, 10, 5))
    assert (written.state, texts(ward)) == ("delivered", 1)


def test_what_its_provider_does_not_say_is_asked_for(
    ward: SmallWard, bells: Bells, kari: Patient, make_dispatcher: MakeDispatcher
) -> None:
    slow = Bell(bells, {kari.phone or "": "Storgata 1"}, next_way_after=timedelta(hours=2))
    dispatcher = make_dispatcher(also={"bell": bells}, ways=Ways([*discover(), slow]))
    written = letter(ward, kari)
    tick(ward, dispatcher, at(0))
    bells.said["B1"] = "answered"
    assert tick(ward, dispatcher, at(0, 10, 20))["polled"] == 1
    assert (written.state, texts(ward)) == ("delivered", 0)


def test_three_ways_are_tried_in_their_turn(
    ward: SmallWard, bells: Bells, ways: Ways, kari: Patient, make_dispatcher: MakeDispatcher
) -> None:
    phones = Bells()
    dispatcher = make_dispatcher(push=phones, also={"bell": bells}, ways=ways)
    kari.contact_by = "push"
    device = {"endpoint": "https://push.example/1", "endpoint_index": "https://push.example/1"}
    ward.db.add(
        PushSubscription(patient_id=kari.id, **device, p256dh="p", auth="a", created_at=at(0), seen_at=at(0))
    )
    written = letter(ward, kari)
    for minute, way in ((0, "bell"), (5, "push"), (20, "sms")):
        tick(ward, dispatcher, at(0, 10, minute))
        assert written.channel == way
    assert (len(bells.rung), len(phones.rung), texts(ward)) == (1, 1, 1)
    tried = ward.db.scalars(select(Delivery.channel).order_by(Delivery.attempt)).all()
    assert tried == ["bell", "push", "sms"]


def test_before_a_meeting_the_next_way_is_taken_in_its_own_good_time(
    ward: SmallWard, dispatcher: Dispatcher, bells: Bells, kari: Patient
) -> None:
    def invite(starts_at: datetime) -> Message:
        host = ward.colleague("Ola Dahl", "post3")
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
        return letter(ward, kari, "meeting", offered)

    invite(at(0, 11, 3))
    tick(ward, dispatcher, at(0))
    assert bells.rung[0].valid_for == timedelta(minutes=3)
    tick(ward, dispatcher, at(0, 10, 3))
    assert texts(ward) == 1


def test_who_has_none_gets_what_there_is(ward: SmallWard, dispatcher: Dispatcher, bells: Bells) -> None:
    letter(ward, ward.patient())
    tick(ward, dispatcher, at(0))
    assert (bells.rung, texts(ward)) == ([], 1)


def test_a_kind_without_words_of_this_way_s_goes_by_another(
    ward: SmallWard, dispatcher: Dispatcher, bells: Bells, kari: Patient
) -> None:
    written = letter(ward, kari, "new_link")
    tick(ward, dispatcher, at(0))
    assert (bells.rung, texts(ward), written.state) == ([], 1, "delivered")


def test_a_way_that_is_not_open_is_passed_over(
    ward: SmallWard, ways: Ways, kari: Patient, make_dispatcher: MakeDispatcher
) -> None:
    written = letter(ward, kari)
    tick(ward, make_dispatcher(ways=ways), at(0))
    assert (written.channel, texts(ward)) == ("sms", 1)


# --- its own circuit and pace -----------------------------------------------------------------------------------------


def test_its_own_circuit_stops_it_alone(
    ward: SmallWard, dispatcher: Dispatcher, ways: Ways, bells: Bells, kari: Patient
) -> None:
    written = letter(ward, kari)
    circuit.rest(ward.db, "bell", "403", at(0))
    tick(ward, dispatcher, at(0))
    assert (bells.rung, written.channel, texts(ward)) == ([], "sms", 1)
    post = standing(ward.db, at(0), ways.by_receipt)
    assert (post.resting, post.circuit) == (("bell",), "closed")
    assert not circuit.rests(ward.db, "push", at(0))
    letter(ward, kari, number=2)
    tick(ward, dispatcher, at(0, 12))
    assert len(bells.rung) == 1


def test_its_doubts_stop_nobody_else(ward: SmallWard, bells: Bells, make_dispatcher: MakeDispatcher) -> None:
    people = [ward.patient() for _ in range(2 * circuit.AT_LEAST)]
    homes = {one.phone or "": "Storgata 1" for one in people}
    dispatcher = make_dispatcher(also={"bell": bells}, ways=Ways([*discover(), Bell(bells, homes)]))
    for one in people:
        letter(ward, one)
    bells.fails_with = Uncertain("read_timeout")
    assert tick(ward, dispatcher, at(0))["accepted"] == len(people)
    assert ward.db.scalars(select(Circuit)).all() == [] or standing(ward.db, at(0), ()).circuit == "closed"


def test_each_way_has_a_pace_of_its_own(ways: Ways) -> None:
    lane = Lane("batch", 32, ways)
    assert set(lane.paces) == {"bell", "sms"}
    lane.paces["bell"].too_busy(0.0)
    turns = [lane.paces[way].wait(0.0) for way in ("bell", "sms") for _ in range(30)]
    assert turns[29] > turns[59]
    assert set(Lane("code", 32, ways).paces) == {"sms"}


# --- where people see it ----------------------------------------------------------------------------------------------


def test_staff_read_its_own_word(
    ward: SmallWard,
    dispatcher: Dispatcher,
    bells: Bells,
    ways: Ways,
    kari: Patient,
    engine: Engine,
    sessions: sessionmaker[Session],
    settings: CompanionSettings,
) -> None:
    letter(ward, kari)
    tick(ward, dispatcher, at(0))
    circuit.rest(ward.db, "bell", "403", at(0))
    johan, path = ward.colleague("Johan Berg", "post3"), f"/staff/patients/{kari.id}/messages"
    ward.db.add(Membership(professional_id=johan.id, unit_id=ward.units["post3"].id, role="staff"))
    ward.db.commit()
    clock = FixedClock(at(0, 10, 1))
    app = create_app(WebSettings(), settings=settings, clock=clock, engine=engine, ways=ways)
    desk = PageClient(app, sessions, clock).as_professional(johan)
    shown = desk.open(path).text
    assert "Ringeklokke hjemme" in shown
    assert "Åpner ingen, går den på en annen måte." in shown
    assert "Ringeklokkene er stoppet." in desk.open("/staff/messages").text


def test_it_is_counted_in_the_report(
    ward: SmallWard, dispatcher: Dispatcher, bells: Bells, kari: Patient
) -> None:
    letter(ward, kari)
    tick(ward, dispatcher, at(0))
    tell(ward, bells, "answered", at(0, 10, 1))
    tick(ward, dispatcher, at(0, 10, 1))
    [of_the_ward] = worklists.report(ward.db, [ward.units["post3"]], last=HOME, days=1)
    assert (of_the_ward.days[HOME].sent, of_the_ward.days[HOME].arrived) == (1, 1)


def test_the_doctor_looks_at_it(ways: Ways) -> None:
    said = [str(one) for one in look_at_settings(CompanionSettings(), Settings(), ways)]
    assert "ok    bells: 1" in said
    assert [str(one) for one in asyncio.run(ask_providers(ways, at(0)))] == [
        "ok    bells: the service answers"
    ]


# --- which ways there can be ------------------------------------------------------------------------------------------


def test_a_way_needs_a_short_name_of_its_own_and_somebody_to_come_last(bells: Bells) -> None:
    bell, too_long, lane = (Bell(bells, {}) for _ in range(3))
    too_long.name, lane.name = "doorbell", "code"
    house = list(discover())
    for wrong in ([*house, bell, bell], [*house, too_long], [*house, lane], [bell], []):
        with pytest.raises(ValueError, match="way"):
            Ways(wrong)
    last = Bell(bells, {})
    last.can = replace(last.can, next_way_after=None, turn=1000)
    assert Ways([*house, last]).last == ("sms", "mail", "bell")
