"""Readmitted, dead, tired of it: what is no longer asked, and what goes on again."""

from datetime import date, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, NotAllowed, NotFound
from companion.models import CheckIn, Meeting, MeetingEvent, Message, Patient, Plan, PlanEvent
from companion.rules.access import Actor
from companion.rules.cadence import local_day
from companion.use_cases.going_home import plan
from companion.use_cases.messages import message
from tests import cast


@pytest.fixture
def ward(db: Session, now: datetime) -> cast.Ward:
    return cast.ward(db, now)


@pytest.fixture
def kari(db: Session, ward: cast.Ward, now: datetime) -> Patient:
    return cast.kari(db, now)


def ask_first(db: Session, now: datetime) -> CheckIn:
    """As the dispatcher leaves it on the third day."""
    first = db.scalars(select(CheckIn).order_by(CheckIn.due_at)).first()
    assert first is not None
    first.state, first.asked_at = "asked", now
    db.flush()
    return first


def states(db: Session) -> list[str]:
    return [check_in.state for check_in in db.scalars(select(CheckIn).order_by(CheckIn.due_at))]


def test_readmitted_nothing_more_is_asked(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    ask_first(db, now + cast.days(3))
    plan.readmit(db, ward.johan, kari.id, now=now + cast.days(4))

    one = db.scalars(select(Plan)).one()
    assert (one.state, one.stay.state) == ("paused", "ended")
    assert states(db) == ["skipped", "planned", "planned", "planned", "planned", "planned"]
    last = db.scalars(select(PlanEvent).order_by(PlanEvent.at.desc())).first()
    assert last is not None
    assert (last.kind, last.reason, last.by_id) == ("paused", "readmitted", ward.johan.id)
    welcome = db.scalars(select(Message)).one()
    assert message.standing(db, welcome, now + cast.days(4)) == "cancel"


def test_readmitted_twice_is_once(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    for _ in range(2):
        plan.readmit(db, ward.sofia, kari.id, now=now)
    assert [one.kind for one in db.scalars(select(PlanEvent).order_by(PlanEvent.at))].count("paused") == 1


def test_resumed_only_the_future_is_asked(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    plan.pause(db, cast.actor(kari), kari.id, "wish", now=now)
    plan.resume(db, ward.sofia, kari.id, now=now + cast.days(20))

    assert db.scalars(select(Plan.state)).one() == "active"
    assert states(db) == ["skipped", "skipped", "planned", "planned", "planned", "planned"]
    with pytest.raises(Conflict, match="not_paused"):
        plan.resume(db, ward.sofia, kari.id, now=now + cast.days(20))


def test_on_the_day_itself_it_is_still_asked(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    plan.pause(db, ward.sofia, kari.id, "wish", now=now)
    plan.resume(db, ward.sofia, kari.id, now=datetime.fromisoformat("2026-11-13T15:00:00+01:00"))
    assert states(db)[0] == "planned"


def test_a_death_ends_everything_towards_the_patient(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    ask_first(db, now + cast.days(3))
    meeting = Meeting(
        patient=kari,
        unit_id=ward.tromso.id,
        host_id=ward.johan.id,
        starts_at=now + cast.days(9),
        created_at=now,
    )
    db.add(meeting)
    db.flush()
    later = now + cast.days(5)

    plan.register_death(db, ward.johan, kari.id, local_day(later), now=later)

    assert kari.died_on == date(2026, 11, 15)
    assert db.scalars(select(Plan.state)).one() == "stopped"
    assert set(states(db)) == {"skipped"}
    assert meeting.state == "cancelled"
    assert db.scalars(select(MeetingEvent.how)).one() == "died"
    letters = db.scalars(select(Message)).all()
    assert [message.standing(db, letter, later) for letter in letters] == ["cancel"]
    with pytest.raises(Conflict):
        plan.resume(db, ward.johan, kari.id, now=later)


def test_nobody_dies_tomorrow_or_before_birth(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    for day, code in ((date(2026, 11, 11), "in_the_future"), (date(1950, 1, 1), "before_birth")):
        with pytest.raises(Invalid) as refused:
            plan.register_death(db, ward.sofia, kari.id, day, now=now)
        assert refused.value.problems == {"died_on": code}
    with pytest.raises(NotAllowed):
        plan.register_death(db, cast.actor(kari), kari.id, local_day(now), now=now)


def test_stopp_ends_messages_not_the_plan(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    plan.opt_out(db, kari, now=now)
    assert (kari.phone_state, kari.contact_by) == ("opted_out", "call")
    assert db.scalars(select(Plan.state)).one() == "active"
    assert message.standing(db, db.scalars(select(Message)).one(), now) == "cancel"

    plan.opt_in(db, kari, now=now)
    assert (kari.phone_state, kari.contact_by) == ("ok", "sms")


def test_start_does_not_revive_a_dead_number(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    kari.phone_state = "dead"
    plan.opt_in(db, kari, now=now)
    assert kari.phone_state == "dead"


def test_strangers_change_nothing(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    ola = cast.ola(db, now)
    for stranger in (ward.geir, cast.actor(ola), Actor(kind="relative")):
        with pytest.raises(NotFound):
            plan.readmit(db, stranger, kari.id, now=now)
        with pytest.raises(NotFound):
            plan.pause(db, stranger, kari.id, "wish", now=now)
    with pytest.raises(Invalid):
        plan.pause(db, ward.sofia, kari.id, "bored", now=now)
