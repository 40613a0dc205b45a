"""How we reach a patient, as a professional writes it down."""

from datetime import datetime

import pytest
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, NotAllowed, NotFound
from companion.models import Patient
from companion.use_cases.going_home import plan
from companion.use_cases.messages import contact
from tests import cast


@pytest.fixture
def ward(db: Session, now: datetime) -> cast.Ward:
    return cast.ward(db, now)


@pytest.fixture
def kari(db: Session, ward: cast.Ward, now: datetime) -> Patient:
    return cast.kari(db, now)


def change(
    db: Session, ward: cast.Ward, kari: Patient, phone: str, way: str, now: datetime
) -> tuple[str | None, str, str]:
    after = contact.change_contact(db, ward.johan, kari.id, phone, way, now=now)
    return after.phone, after.phone_state, after.contact_by


def test_a_new_number_is_in_use(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    kari.phone_state = "dead"
    assert change(db, ward, kari, "400 00 055", "sms", now) == ("+4740000055", "ok", "sms")


def test_a_landline_is_rung(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    assert change(db, ward, kari, "77 00 00 99", "call", now) == ("+4777000099", "landline", "call")
    with pytest.raises(Invalid) as refused:
        change(db, ward, kari, "77 00 00 98", "sms", now)
    assert refused.value.problems == {"phone": "landline"}


def test_a_number_that_was_dead_is_tried_again_when_somebody_says_it_is_right(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    kari.phone_state = "dead"
    assert change(db, ward, kari, cast.KARI_PHONE, "sms", now) == (cast.KARI_PHONE, "ok", "sms")


def test_who_said_stop_is_not_written_to_on_that_number(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    plan.opt_out(db, kari, now=now)
    with pytest.raises(Invalid) as refused:
        change(db, ward, kari, cast.KARI_PHONE, "sms", now)
    assert refused.value.problems == {"contact_by": "said_stop"}
    assert change(db, ward, kari, cast.KARI_PHONE, "call", now) == (cast.KARI_PHONE, "opted_out", "call")


def test_push_stays_push(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    kari.contact_by = "push"
    assert change(db, ward, kari, cast.KARI_PHONE, "sms", now)[2] == "push"


@pytest.mark.parametrize("way", ["sms", "push", "call"])
@pytest.mark.parametrize("agreed", [True, False])
def test_another_number_changes_the_number_alone(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime, way: str, agreed: bool
) -> None:
    """The form sent back as it was shown, but for the number; an agreement may rest, as after STOPP."""
    kari.contact_by, kari.sms_agreed_at = way, now if agreed else None
    ticked = contact.asked_by_sms(kari)
    assert ticked == (agreed and way == "sms")
    shown = "call" if way == "call" else "sms"
    contact.change_contact(db, ward.johan, kari.id, "400 00 055", shown, answers_by_sms=ticked, now=now)
    assert (kari.phone, kari.contact_by) == ("+4740000055", way)
    assert (kari.sms_agreed_at is not None) == agreed


@pytest.mark.parametrize(
    ("phone", "way", "problems"),
    [
        ("", "sms", {"phone": "missing"}),
        ("abc", "", {"phone": "not_a_phone", "contact_by": "not_a_way"}),
        ("400 00 001", "pigeon", {"contact_by": "not_a_way"}),
    ],
)
def test_every_problem_at_once(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime, phone: str, way: str, problems: dict[str, str]
) -> None:
    with pytest.raises(Invalid) as refused:
        change(db, ward, kari, phone, way, now)
    assert refused.value.problems == problems
    assert kari.phone == cast.KARI_PHONE


def test_only_those_who_follow_the_patient(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    with pytest.raises(NotFound):
        contact.change_contact(db, ward.geir, kari.id, "400 00 055", "sms", now=now)
    with pytest.raises(NotAllowed):
        contact.change_contact(db, cast.actor(kari), kari.id, "400 00 055", "sms", now=now)


def test_not_for_the_dead(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    plan.register_death(db, ward.johan, kari.id, now.date(), now=now)
    with pytest.raises(Conflict, match="died"):
        change(db, ward, kari, "400 00 055", "sms", now)
