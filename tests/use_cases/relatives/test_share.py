"""Relatives: let in for what, until when; shut out at once; and nobody else's door."""

from dataclasses import replace
from datetime import date, datetime
from uuid import uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, LevelTooLow, NotAllowed, NotFound
from companion.models import Message, Patient, Relative
from companion.rules.access import Actor, Level
from companion.rules.cadence import local_day
from companion.use_cases.going_home import plan
from companion.use_cases.messages import letter, message
from companion.use_cases.passport import lines as passport
from companion.use_cases.relatives import share
from companion.use_cases.relatives.share import GrantDraft
from tests import cast

ANNE = GrantDraft(
    name="Anne Nilsen",
    phone="40000002",
    birth_date=cast.ANNE_BORN,
    relation="datter",
    scopes=("passport", "meetings"),
    until=date(2027, 5, 10),
)


@pytest.fixture
def ward(db: Session, now: datetime) -> cast.Ward:
    return cast.ward(db, now)


@pytest.fixture
def kari(db: Session, ward: cast.Ward, now: datetime) -> Patient:
    return cast.kari(db, now)


def test_staff_registers_consent_on_paper(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    grant = share.give(db, ward.sofia, kari.id, ANNE, now=now)

    assert (grant.given_how, grant.given_by_id, grant.scope_set) == (
        "paper",
        ward.sofia.id,
        frozenset({"passport", "meetings"}),
    )
    assert grant.relative.phone == cast.ANNE_PHONE
    assert share.last_day(grant) == date(2027, 5, 10)
    invited = db.scalars(select(Message).where(Message.kind == "relative_invited")).one()
    assert invited.relative_id == grant.relative_id
    anne = cast.actor(grant.relative)
    assert [one.patient.name for one in share.granted_patients(db, anne, now=now)] == ["Kari Nilsen"]


def test_the_patient_gives_at_level_high_only(db: Session, kari: Patient, now: datetime) -> None:
    with pytest.raises(LevelTooLow):
        share.give(db, cast.actor(kari, Level.code), kari.id, ANNE, now=now)
    assert share.give(db, cast.actor(kari), kari.id, ANNE, now=now).given_how == "self"


def test_giving_again_changes_nothing_and_giving_otherwise_replaces(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    first = share.give(db, ward.sofia, kari.id, ANNE, now=now)
    assert share.give(db, ward.sofia, kari.id, ANNE, now=now) is first

    later = now + cast.days(1)
    second = share.give(db, ward.sofia, kari.id, replace(ANNE, scopes=("meetings",)), now=later)

    assert first.withdrawn_at == later
    assert share.grants_of(db, ward.sofia, kari.id, now=later) == [second, first]
    assert db.scalar(select(func.count()).select_from(Relative)) == 1


def test_withdrawn_is_shut_at_once(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    grant = share.give(db, ward.sofia, kari.id, ANNE, now=now)
    anne = cast.actor(grant.relative)
    assert passport.read(db, anne, kari.id, now=now).patient.name == "Kari Nilsen"

    share.withdraw(db, cast.actor(kari), grant.id, now=now)

    assert grant.withdrawn_by_kind == "patient"
    assert share.granted_patients(db, anne, now=now) == []
    with pytest.raises(NotFound):
        passport.read(db, anne, kari.id, now=now)


def test_an_invitation_is_cancelled_also_where_another_patient_still_lets_the_relative_in(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    given = [share.give(db, ward.sofia, who.id, ANNE, now=now) for who in (kari, cast.ola(db, now))]
    share.withdraw(db, cast.actor(kari), given[0].id, now=now)
    invitations = db.scalars(
        select(Message).where(Message.kind == "relative_invited").order_by(Message.id)
    ).all()
    assert [message.standing(db, one, now) for one in invitations] == ["cancel", "send"]
    rows = letter.load(db, [one.id for one in invitations])
    assert [message.standing(db, one, now) for one in rows] == ["cancel", "send"]


def test_over_at_midnight_of_the_last_day(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    share.give(db, ward.sofia, kari.id, replace(ANNE, until=date(2026, 11, 12)), now=now)
    anne = cast.actor(db.scalars(select(Relative)).one())

    assert share.granted_patients(db, anne, now=datetime.fromisoformat("2026-11-12T23:59:00+01:00"))
    assert not share.granted_patients(db, anne, now=datetime.fromisoformat("2026-11-13T00:00:00+01:00"))


def test_the_relative_may_give_it_back_but_strangers_may_not(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    grant = share.give(db, ward.sofia, kari.id, ANNE, now=now)
    ola = cast.ola(db, now)
    for stranger in (ward.geir, cast.actor(ola), Actor(kind="relative", id=uuid4(), level=Level.high)):
        with pytest.raises(NotFound):
            share.withdraw(db, stranger, grant.id, now=now)
    assert share.withdraw(db, cast.actor(grant.relative), grant.id, now=now).withdrawn_by_kind == "relative"


def test_others_patients_are_not_there(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    anne = cast.actor(share.give(db, ward.sofia, kari.id, ANNE, now=now).relative)
    for stranger in (ward.geir, anne):
        with pytest.raises(NotFound):
            share.give(db, stranger, kari.id, ANNE, now=now)
        with pytest.raises(NotFound):
            share.grants_of(db, stranger, kari.id, now=now)
    with pytest.raises(NotAllowed):
        share.granted_patients(db, ward.sofia, now=now)


def test_two_people_with_one_telephone_are_two(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    share.give(db, ward.sofia, kari.id, ANNE, now=now)
    share.give(db, ward.sofia, kari.id, replace(ANNE, name="Jan Nilsen", birth_date=None), now=now)
    assert db.scalar(select(func.count()).select_from(Relative)) == 2


def test_the_dead_consent_to_nothing(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    plan.register_death(db, ward.sofia, kari.id, local_day(now), now=now)
    with pytest.raises(Conflict, match="died"):
        share.give(db, ward.sofia, kari.id, ANNE, now=now)


def test_every_field_checked_at_once(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    wrong = GrantDraft("", "x", date(2030, 1, 1), "r" * 41, ("journal",), date(2026, 11, 9))
    with pytest.raises(Invalid) as refused:
        share.give(db, ward.sofia, kari.id, wrong, now=now)
    assert refused.value.problems == {
        "name": "missing",
        "phone": "not_a_phone",
        "birth_date": "not_a_date",
        "relation": "too_long",
        "scopes": "unknown",
        "until": "in_the_past",
    }
    late = replace(ANNE, phone="", scopes=(), until=date(2036, 1, 1))
    with pytest.raises(Invalid) as refused:
        share.give(db, ward.sofia, kari.id, late, now=now)
    assert refused.value.problems == {"phone": "missing", "scopes": "missing", "until": "too_far"}
