"""One tap says whether the time suits; a no is a task for the host's unit."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, NotFound
from companion.models import Flag, Meeting, Message
from companion.rules.access import Actor, Level
from companion.use_cases import meetings
from companion.use_cases.cases import flag
from tests import appointment, cast
from tests.appointment import Appointment

DAY = timedelta(days=1)


@pytest.fixture
def offered(db: Session, now: datetime) -> Appointment:
    made = appointment.make(db, now)
    meetings.move(db, made.ward.johan, made.id, now + 3 * DAY, now=now)
    return made


@pytest.fixture
def kari(offered: Appointment) -> Actor:
    return cast.actor(offered.kari, Level.code)


def declined(db: Session) -> Flag:
    return db.scalars(select(Flag).where(Flag.code == "meeting_declined")).one()


def test_a_no_is_a_task_and_another_time_is_in_the_person_s_own_words(
    db: Session, offered: Appointment, kari: Actor, now: datetime
) -> None:
    meetings.answer(db, kari, offered.id, "other", "Helst etter lunsj.", now=now)
    raised = declined(db)
    assert (raised.level, raised.unit_id, raised.quote) == (
        "amber",
        offered.ward.tromso.id,
        "Helst etter lunsj.",
    )
    assert raised.params["who"] == "Kari Nilsen"


def test_yes_after_all_takes_the_task_away_unless_somebody_has_begun(
    db: Session, offered: Appointment, kari: Actor, now: datetime
) -> None:
    meetings.answer(db, kari, offered.id, "no", now=now)
    meetings.answer(db, kari, offered.id, "yes", now=now)
    assert declined(db).state == "closed"


def test_a_task_a_colleague_has_begun_stays(
    db: Session, offered: Appointment, kari: Actor, now: datetime
) -> None:
    meetings.answer(db, kari, offered.id, "no", now=now)
    flag.claim(db, offered.ward.johan, declined(db).id, now=now)
    meetings.answer(db, kari, offered.id, "yes", now=now)
    assert declined(db).state == "claimed"


@pytest.mark.parametrize("what", ["move", "cancel"])
def test_moved_or_cancelled_the_task_is_done(
    db: Session, offered: Appointment, kari: Actor, now: datetime, what: str
) -> None:
    meetings.answer(db, kari, offered.id, "no", now=now)
    if what == "move":
        meetings.move(db, offered.ward.johan, offered.id, now + 4 * DAY, now=now)
        assert {one.answer for one in db.get_one(Meeting, offered.id).participants} == {None}
    else:
        meetings.cancel(db, offered.ward.johan, offered.id, now=now)
    assert declined(db).state == "closed"


def test_who_has_said_no_is_not_reminded(
    db: Session, offered: Appointment, kari: Actor, now: datetime
) -> None:
    meetings.answer(db, kari, offered.id, "no", now=now)
    meetings.step(db, now + 2 * DAY)
    reminded = db.scalars(select(Message).where(Message.kind == "meeting_coming")).all()
    assert [letter.patient_id for letter in reminded] == [None]


def test_crisis_words_are_heard_here_too(
    db: Session, offered: Appointment, kari: Actor, now: datetime
) -> None:
    meetings.answer(db, kari, offered.id, "other", "Det er det samme, jeg vil ikke leve lenger.", now=now)
    assert db.scalars(select(Flag).where(Flag.code == "crisis_words")).one().level == "red"


def test_nonsense_strangers_and_what_is_over(
    db: Session, offered: Appointment, kari: Actor, now: datetime
) -> None:
    for said, text in (("maybe", ""), ("", ""), ("other", "x" * 501)):
        with pytest.raises(Invalid):
            meetings.answer(db, kari, offered.id, said, text, now=now)
    with pytest.raises(NotFound):
        meetings.answer(db, offered.ward.geir, offered.id, "yes", now=now)
    with pytest.raises(Conflict):
        meetings.answer(db, kari, offered.id, "yes", now=now + 4 * DAY)
    meetings.cancel(db, offered.ward.johan, offered.id, now=now)
    with pytest.raises(Conflict):
        meetings.answer(db, kari, offered.id, "yes", now=now)
