"""What came of a meeting is written down; what nobody came to reaches a human; *Ring meg* is settled by the call."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, NotFound
from companion.models import Flag, FlagEvent, Meeting, Message
from companion.rules.access import Level
from companion.use_cases import meetings
from companion.use_cases.cases import flag
from companion.use_cases.messages import message
from tests import appointment, cast
from tests.appointment import Appointment

MINUTE = timedelta(minutes=1)


@pytest.fixture
def appointed(db: Session, now: datetime) -> Appointment:
    return appointment.make(db, now)


def flags(db: Session) -> dict[str, Flag]:
    return {one.code: one for one in db.scalars(select(Flag))}


def enter(db: Session, appointed: Appointment, *people: str) -> None:
    at = appointed.starts_at
    for person in people:
        who = appointed.ward.johan if person == "johan" else cast.actor(appointed.kari, Level.code)
        meetings.enter(db, who, appointed.id, now=at)


def tick(db: Session, at: datetime) -> None:
    while meetings.step(db, at):
        pass


@pytest.mark.parametrize("how", meetings.HELD)
def test_held_by_whatever_means_settles_ring_meg(db: Session, appointed: Appointment, how: str) -> None:
    at = appointed.starts_at
    meetings.call_me(db, cast.actor(appointed.kari, Level.code), appointed.id, now=at)
    meetings.record(db, appointed.ward.johan, appointed.id, how, "Ringte.", now=at + 5 * MINUTE)
    meeting = db.get_one(Meeting, appointed.id)
    assert (meeting.outcome, meeting.state) == (how, "ended")
    settled = flags(db)["call_me"]
    assert (settled.state, settled.outcome, settled.claimed_by_id) == (
        "closed",
        "helped",
        appointed.ward.johan.id,
    )
    last = meeting.events[-1]
    assert (last.kind, last.how, last.by_id, last.text) == (
        "outcome",
        how,
        appointed.ward.johan.id,
        "Ringte.",
    )


def test_not_held_ring_meg_still_waits_for_a_call(db: Session, appointed: Appointment) -> None:
    at = appointed.starts_at
    meetings.call_me(db, cast.actor(appointed.kari, Level.code), appointed.id, now=at)
    meetings.record(db, appointed.ward.johan, appointed.id, "technical", now=at + MINUTE)
    assert flags(db)["call_me"].state == "open"


def test_where_a_colleague_has_ring_meg_they_read_that_it_was_held(
    db: Session, appointed: Appointment
) -> None:
    at = appointed.starts_at
    colleague = cast.professional(db, "Berit Moen", "ergoterapeut", appointed.ward.tromso, now=at)
    meetings.call_me(db, cast.actor(appointed.kari, Level.code), appointed.id, now=at)
    flag.claim(db, colleague, flags(db)["call_me"].id, now=at)
    meetings.record(db, appointed.ward.johan, appointed.id, "phone", now=at + MINUTE)
    raised = flags(db)["call_me"]
    assert (raised.state, raised.claimed_by_id) == ("claimed", colleague.id)
    noted = db.scalars(select(FlagEvent.outcome).where(FlagEvent.kind == "contact")).all()
    assert noted == ["meeting:phone"]


def test_who_did_not_come_becomes_a_case_and_gets_a_kind_word_once(
    db: Session, appointed: Appointment
) -> None:
    at = appointed.starts_at + 20 * MINUTE
    for _ in range(2):
        meetings.record(db, appointed.ward.johan, appointed.id, "no_show", now=at)
    raised = flags(db)["no_show"]
    assert (raised.level, raised.unit_id) == ("amber", appointed.ward.tromso.id)
    letter = db.scalars(select(Message).where(Message.kind == "meeting_missed")).one()
    assert letter.patient_id == appointed.kari.id
    assert message.standing(db, letter, at) == "send"
    # It was a mistake: they had spoken after all.
    meetings.record(db, appointed.ward.johan, appointed.id, "phone", now=at)
    assert flags(db)["no_show"].state == "closed"
    assert message.standing(db, letter, at) == "cancel"


def test_when_only_the_host_came_it_is_a_no_show_by_itself(db: Session, appointed: Appointment) -> None:
    enter(db, appointed, "johan")
    tick(db, appointed.starts_at + 60 * MINUTE)
    assert db.get_one(Meeting, appointed.id).outcome == "no_show"
    assert "no_show" in flags(db)
    assert db.scalars(select(Message).where(Message.kind == "meeting_missed")).one()


def test_who_waited_in_vain_is_rung_at_once(db: Session, appointed: Appointment) -> None:
    enter(db, appointed, "kari")
    tick(db, appointed.starts_at + 60 * MINUTE)
    assert flags(db)["not_let_in"].level == "red"
    assert db.scalars(select(Message).where(Message.kind == "meeting_missed")).all() == []


def test_when_nobody_came_somebody_must_write_what_happened(db: Session, appointed: Appointment) -> None:
    tick(db, appointed.starts_at + 59 * MINUTE)
    assert "meeting_unsettled" not in flags(db)
    tick(db, appointed.starts_at + 60 * MINUTE)
    assert flags(db)["meeting_unsettled"].level == "amber"
    meetings.record(db, appointed.ward.johan, appointed.id, "ill", now=appointed.starts_at + 90 * MINUTE)
    assert flags(db)["meeting_unsettled"].state == "closed"


def test_what_was_held_or_written_before_raises_nothing(db: Session, appointed: Appointment) -> None:
    enter(db, appointed, "johan", "kari")
    tick(db, appointed.starts_at + 60 * MINUTE)
    assert flags(db) == {}


def test_it_cannot_be_written_before_it_was_nor_of_one_called_off_nor_by_strangers(
    db: Session, appointed: Appointment, now: datetime
) -> None:
    johan = appointed.ward.johan
    with pytest.raises(Invalid):
        meetings.record(db, johan, appointed.id, "danced", now=now)
    with pytest.raises(NotFound):
        meetings.record(db, appointed.ward.geir, appointed.id, "video", now=now)
    with pytest.raises(Conflict):
        meetings.record(db, johan, appointed.id, "video", now=now - timedelta(hours=1))
    meetings.cancel(db, johan, appointed.id, now=now)
    with pytest.raises(Conflict):
        meetings.record(db, johan, appointed.id, "video", now=now)


@pytest.mark.parametrize(
    ("came", "looks_like"),
    [((), ""), (("johan",), "no_show"), (("kari",), "")],
)
def test_what_it_looks_like_is_offered(
    db: Session, appointed: Appointment, came: tuple[str, ...], looks_like: str
) -> None:
    enter(db, appointed, *came)
    assert meetings.suggested(db.get_one(Meeting, appointed.id)) == looks_like
