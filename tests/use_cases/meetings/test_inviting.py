"""Relatives, colleagues of any unit, an interpreter, somebody to talk with, a guest: invited later, and taken off again."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, LevelTooLow, NotFound
from companion.models import Flag, Meeting, Message, Participant
from companion.rules.access import Actor
from companion.use_cases import meetings, sign_in
from companion.use_cases.meetings import GuestDraft
from companion.use_cases.messages import message
from companion.use_cases.relatives import share
from tests import appointment, cast
from tests.appointment import Appointment

TOVE = GuestDraft("Tove Tolk", "400 00 077", "interpreter")
LONG_AGO = timedelta(days=400)


@pytest.fixture
def appointed(db: Session, now: datetime) -> Appointment:
    return appointment.make(db, now)


@pytest.fixture
def johan(appointed: Appointment) -> Actor:
    return appointed.ward.johan


@pytest.fixture
def tove(db: Session, appointed: Appointment, johan: Actor, now: datetime) -> Participant:
    return meetings.add_guest(db, johan, appointed.id, TOVE, now=now)


def letters(db: Session, place: Participant) -> list[Message]:
    return list(db.scalars(select(Message).where(Message.participant_id == place.id).order_by(Message.id)))


def by_link(db: Session, place: Participant, now: datetime) -> sign_in.Opened:
    token = sign_in.issue_link(db, letters(db, place)[0], now=now).token
    return sign_in.redeem_link(db, token, now=now)


def test_a_guest_comes_by_the_link_in_an_sms_and_sees_no_other_meeting(
    db: Session, appointed: Appointment, tove: Participant, johan: Actor, now: datetime
) -> None:
    (letter,) = letters(db, tove)
    assert (letter.kind, letter.phone, letter.patient_id) == ("meeting", "+4740000077", None)
    assert message.standing(db, letter, now) == "send"
    opened = by_link(db, tove, now)
    assert opened.sign_in.audience == "guest"
    place = meetings.enter(db, opened.sign_in, appointed.id, now=now)
    assert (place.id, place.role, place.name) == (tove.id, "interpreter", "Tove Tolk")
    assert not place.knows_whose
    other = meetings.offer(db, johan, appointed.kari.id, now + timedelta(days=1), now=now)
    with pytest.raises(NotFound):
        meetings.enter(db, opened.sign_in, other.id, now=now)


def test_the_guest_s_session_is_nobody_else_s(db: Session, tove: Participant, now: datetime) -> None:
    opened = by_link(db, tove, now)
    found = sign_in.visit(db, opened.secret, now=now)
    assert found is not None
    assert (found.actor.kind, found.actor.level.name, found.actor.name) == ("guest", "link", "")
    with pytest.raises((Invalid, LevelTooLow)):
        sign_in.confirm_birth_date(db, opened.sign_in, cast.KARI_BORN, now=now)


def test_a_guest_is_reminded_and_told_of_every_change(
    db: Session, appointed: Appointment, tove: Participant, johan: Actor, now: datetime
) -> None:
    meetings.move(db, johan, appointed.id, now + timedelta(days=3), now=now)
    meetings.step(db, now + timedelta(days=2))
    meetings.cancel(db, johan, appointed.id, now=now + timedelta(days=2))
    assert [one.kind for one in letters(db, tove)] == [
        "meeting",
        "meeting_moved",
        "meeting_coming",
        "meeting_cancelled",
    ]


def test_taken_off_the_door_is_shut_and_only_that_is_told(
    db: Session, appointed: Appointment, tove: Participant, johan: Actor, now: datetime
) -> None:
    opened = by_link(db, tove, now)
    sitting = meetings.Sitting(tove.id, 0)
    assert meetings.changed(db, [sitting], now=now) == {}
    for _ in range(2):
        meetings.remove(db, johan, appointed.id, tove.id, now=now)
    with pytest.raises(NotFound):
        meetings.enter(db, opened.sign_in, appointed.id, now=now)
    assert meetings.changed(db, [sitting], now=now) == {sitting: "not_welcome"}
    said = {one.kind: message.standing(db, one, now) for one in letters(db, tove)}
    assert said == {"meeting": "cancel", "meeting_without_you": "send"}
    meetings.move(db, johan, appointed.id, now + timedelta(days=3), now=now)
    assert len(letters(db, tove)) == 2
    again = meetings.add_guest(db, johan, appointed.id, TOVE, now=now)
    assert again.id != tove.id


def test_a_relative_is_added_and_taken_off_and_needs_the_grant(
    db: Session, appointed: Appointment, johan: Actor, now: datetime
) -> None:
    anne = appointed.anne
    meeting = db.get_one(Meeting, appointed.id)
    place = next(one for one in meeting.participants if one.relative_id)
    meetings.remove(db, johan, appointed.id, place.id, now=now)
    with pytest.raises(NotFound):
        meetings.invitation(db, cast.actor(anne), appointed.id, now=now)
    meetings.add_relative(db, johan, appointed.id, anne.id, now=now)
    assert meetings.invitation(db, cast.actor(anne), appointed.id, now=now).relative_id == anne.id
    share.withdraw(db, appointed.ward.sofia, appointed.grant_id, now=now)
    later = meetings.offer(db, johan, appointed.kari.id, now + timedelta(days=1), now=now)
    with pytest.raises(Invalid):
        meetings.add_relative(db, johan, later.id, anne.id, now=now)


def test_colleagues_of_any_unit_come_from_where_they_were_invited(
    db: Session, appointed: Appointment, johan: Actor, now: datetime
) -> None:
    ward = appointed.ward
    for colleague, unit in ((ward.siri, ward.art), (ward.geir, ward.harstad)):
        assert colleague.id
        with pytest.raises(NotFound):
            meetings.invitation(db, colleague, appointed.id, now=now)
        meetings.add_professional(db, johan, appointed.id, colleague.id, unit.id, now=now)
        place = meetings.enter(db, colleague, appointed.id, now=now)
        assert (place.role, place.admitted_at, place.knows_whose) == ("professional", None, True)
        with pytest.raises(NotFound):
            meetings.cancel(db, colleague, appointed.id, now=now)
    assert ward.marit.id
    with pytest.raises(Invalid):
        meetings.add_professional(db, johan, appointed.id, ward.marit.id, ward.art.id, now=now)


def test_there_is_room_for_six_and_the_host_and_the_patient_stay(
    db: Session, appointed: Appointment, johan: Actor, now: datetime
) -> None:
    for number in range(3):
        draft = GuestDraft(f"Gjest {number}", f"400 00 08{number}", "guest")
        meetings.add_guest(db, johan, appointed.id, draft, now=now)
    with pytest.raises(Invalid) as full:
        meetings.add_guest(db, johan, appointed.id, TOVE, now=now)
    assert full.value.problems == {"places": "too_many"}
    for place in db.get_one(Meeting, appointed.id).participants[:2]:
        with pytest.raises(Conflict):
            meetings.remove(db, johan, appointed.id, place.id, now=now)


@pytest.mark.parametrize(
    ("draft", "problems"),
    [
        (GuestDraft("", "", ""), {"name": "missing", "phone": "missing", "role": "missing"}),
        (
            GuestDraft("x" * 101, "12", "therapist"),
            {"name": "too_long", "phone": "not_a_phone", "role": "unknown"},
        ),
        (GuestDraft("Tove", "77 62 60 00", "guest"), {"phone": "landline"}),
    ],
)
def test_nonsense_is_named_at_once(
    db: Session,
    appointed: Appointment,
    johan: Actor,
    now: datetime,
    draft: GuestDraft,
    problems: dict[str, str],
) -> None:
    with pytest.raises(Invalid) as refused:
        meetings.add_guest(db, johan, appointed.id, draft, now=now)
    assert refused.value.problems == problems


def test_a_guest_whose_message_cannot_be_delivered_reaches_a_human(
    db: Session, appointed: Appointment, tove: Participant, now: datetime
) -> None:
    message.could_not_deliver(db, letters(db, tove)[0], "30003", now=now)
    raised = db.scalars(select(Flag).where(Flag.code == "undeliverable")).one()
    assert (raised.patient_id, raised.params["to"]) == (appointed.kari.id, "guest")


def test_the_same_guest_twice_is_once(
    db: Session, appointed: Appointment, tove: Participant, johan: Actor, now: datetime
) -> None:
    assert meetings.add_guest(db, johan, appointed.id, TOVE, now=now) is tove
    assert len(letters(db, tove)) == 1


def test_a_strange_colleague_invites_nobody(db: Session, appointed: Appointment, now: datetime) -> None:
    with pytest.raises(NotFound):
        meetings.add_guest(db, appointed.ward.geir, appointed.id, TOVE, now=now)
    with pytest.raises(Conflict):
        meetings.add_guest(db, appointed.ward.johan, appointed.id, TOVE, now=now + LONG_AGO)
