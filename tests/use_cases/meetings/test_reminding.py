"""Everybody invited is reminded the day before and half an hour before; of nothing that was moved, cancelled or withdrawn."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.models import Meeting, Message, Relative
from companion.use_cases import meetings
from companion.use_cases.messages import message
from companion.use_cases.relatives import share
from companion.worklists.due import next_due
from tests import appointment
from tests.appointment import Appointment

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


@pytest.fixture
def offered(db: Session, now: datetime) -> Appointment:
    """Kari, Anne and Johan; then moved to the same hour three days on."""
    made = appointment.make(db, now)
    meetings.move(db, made.ward.johan, made.id, now + 3 * DAY, now=now)
    return made


def reminders(db: Session, offered: Appointment) -> list[tuple[str, str]]:
    rows = db.scalars(
        select(Message)
        .where(Message.meeting_id == offered.id, Message.kind.in_(("meeting_coming", "meeting_now")))
        .order_by(Message.id)
    )
    return [(row.kind, "patient" if row.patient_id else "relative") for row in rows]


def tick(db: Session, at: datetime) -> None:
    while meetings.step(db, at):
        pass


def test_patient_and_relative_are_reminded_twice_each_and_no_more(
    db: Session, offered: Appointment, now: datetime
) -> None:
    tick(db, now + 2 * DAY - MINUTE)
    assert reminders(db, offered) == []
    for _ in range(2):
        tick(db, now + 2 * DAY)
    assert reminders(db, offered) == [("meeting_coming", "patient"), ("meeting_coming", "relative")]
    for late in range(29, 0, -7):
        tick(db, now + 3 * DAY - late * MINUTE)
    assert reminders(db, offered)[2:] == [("meeting_now", "patient"), ("meeting_now", "relative")]


def test_a_reminder_is_of_use_until_the_next_one(db: Session, offered: Appointment, now: datetime) -> None:
    tick(db, now + 2 * DAY)
    tick(db, now + 3 * DAY - 30 * MINUTE)
    of_use = {
        row.kind: row.valid_until
        for row in db.scalars(select(Message).where(Message.patient_id.is_not(None)))
    }
    assert of_use["meeting_coming"] == now + 3 * DAY - 30 * MINUTE
    assert of_use["meeting_now"] == now + 3 * DAY + 30 * MINUTE


def test_a_tick_that_comes_too_late_says_one_thing_or_nothing(
    db: Session, offered: Appointment, now: datetime
) -> None:
    tick(db, now + 3 * DAY - 20 * MINUTE)
    assert [kind for kind, _ in reminders(db, offered)] == ["meeting_now", "meeting_now"]
    meetings.move(db, offered.ward.johan, offered.id, now + 9 * DAY, now=now + 3 * DAY)
    tick(db, now + 9 * DAY + 31 * MINUTE)
    assert len(reminders(db, offered)) == 2


def test_of_a_cancelled_meeting_nobody_is_reminded(db: Session, offered: Appointment, now: datetime) -> None:
    meetings.cancel(db, offered.ward.johan, offered.id, now=now)
    tick(db, now + 2 * DAY)
    tick(db, now + 3 * DAY)
    assert reminders(db, offered) == []


def test_cancelled_or_moved_after_the_reminder_was_written_it_does_not_go(
    db: Session, offered: Appointment, now: datetime
) -> None:
    tick(db, now + 2 * DAY)
    letters = db.scalars(select(Message).where(Message.kind == "meeting_coming")).all()
    assert {message.standing(db, letter, now + 2 * DAY) for letter in letters} == {"send"}
    meetings.move(db, offered.ward.johan, offered.id, now + 5 * DAY, now=now + 2 * DAY)
    assert {message.standing(db, letter, now + 2 * DAY) for letter in letters} == {"cancel"}


def test_a_moved_meeting_is_reminded_of_at_its_new_time(
    db: Session, offered: Appointment, now: datetime
) -> None:
    tick(db, now + 2 * DAY)
    meetings.move(db, offered.ward.johan, offered.id, now + 7 * DAY, now=now + 2 * DAY)
    tick(db, now + 3 * DAY)
    assert len(reminders(db, offered)) == 2
    tick(db, now + 6 * DAY)
    assert len(reminders(db, offered)) == 4


def test_who_is_no_longer_let_in_is_not_reminded(db: Session, offered: Appointment, now: datetime) -> None:
    share.withdraw(db, offered.ward.sofia, offered.grant_id, now=now)
    tick(db, now + 2 * DAY)
    assert reminders(db, offered) == [("meeting_coming", "patient")]


def test_who_takes_no_letters_gets_none(db: Session, offered: Appointment, now: datetime) -> None:
    offered.kari.contact_by = "call"
    db.get_one(Relative, offered.anne.id).phone_state = "dead"
    db.flush()
    tick(db, now + 2 * DAY)
    assert reminders(db, offered) == []


def test_the_demo_s_clock_stops_where_a_reminder_is_due(
    db: Session, offered: Appointment, now: datetime
) -> None:
    meeting = db.get_one(Meeting, offered.id)
    assert meeting.next_at == now + 2 * DAY
    assert next_due(db, now + 2 * DAY - MINUTE) == now + 2 * DAY
