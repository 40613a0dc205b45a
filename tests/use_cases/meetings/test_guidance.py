"""Guidance between professionals: a meeting about no patient, with colleagues of any unit."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, NotAllowed, NotFound
from companion.models import Flag, Meeting, MeetingEvent, Message, Participant
from companion.use_cases import meetings
from tests import appointment, cast

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
ROOT = Path(__file__).parents[3]


def test_colleagues_meet_about_no_patient_from_offer_to_outcome(db: Session, now: datetime) -> None:
    ward = cast.ward(db, now)
    meeting = meetings.offer_guidance(db, ward.johan, now + DAY, now=now)
    assert ward.siri.id
    meetings.add_professional(db, ward.johan, meeting.id, ward.siri.id, ward.art.id, now=now)
    meetings.step(db, now + DAY - 30 * MINUTE)
    assert meetings.answer(db, ward.siri, meeting.id, "no", now=now).answer == "no"
    meetings.enter(db, ward.johan, meeting.id, now=now + DAY)
    place = meetings.enter(db, ward.siri, meeting.id, now=now + DAY)
    meetings.admit(db, ward.johan, place.id, now=now + DAY)
    assert meetings.suggested(meeting) == "video"
    meetings.step(db, now + DAY + 60 * MINUTE)
    meetings.record(db, ward.johan, meeting.id, "video", now=now + DAY + 60 * MINUTE)
    assert (meeting.patient, meeting.outcome, meeting.kind) == (None, "video", "guidance")
    assert db.scalars(select(Flag)).all() == []
    assert db.scalars(select(Message)).all() == []


def test_the_host_s_time_is_kept_free_and_strangers_see_nothing(db: Session, now: datetime) -> None:
    ward = cast.ward(db, now)
    meeting = meetings.offer_guidance(db, ward.johan, now + DAY, now=now)
    with pytest.raises(Invalid):
        meetings.offer_guidance(db, ward.johan, now + DAY, now=now)
    with pytest.raises(NotFound):
        meetings.cancel(db, ward.geir, meeting.id, now=now)
    with pytest.raises(NotAllowed):
        meetings.offer_guidance(db, cast.IMPORT, now + DAY, now=now)
    meetings.cancel(db, ward.johan, meeting.id, now=now)
    with pytest.raises(Conflict):
        meetings.record(db, ward.johan, meeting.id, "video", now=now + DAY)


def test_a_database_with_meetings_learns_of_guidance_and_loses_nothing(engine: Engine, now: datetime) -> None:
    with Session(engine) as db:
        appointment.make(db, now)
        db.commit()
    alembic = Config(toml_file=str(ROOT / "pyproject.toml"))
    counts = [select(func.count()).select_from(one) for one in (Meeting, Participant, MeetingEvent, Message)]
    with Session(engine) as db:
        before = [db.scalar(one) for one in counts]
    for to, do in (("0014", command.downgrade), ("head", command.upgrade)):
        with engine.begin() as connection:
            alembic.attributes["connection"] = connection
            do(alembic, to)
    with Session(engine) as db:
        assert [db.scalar(one) for one in counts] == before
        assert db.scalars(select(Meeting)).one().participants[1].name == "Kari Nilsen"
