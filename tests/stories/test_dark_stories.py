"""What happens when it does not go well: silence, dead numbers, moved days, a readmission, a death. A human always hears."""

from datetime import date

import pytest

from companion.models import Patient
from companion.use_cases.going_home import plan
from companion.use_cases.messages import contact
from tests import cast
from tests.stories.conftest import World

DEAD, LANDLINE = "+4799900001", "+4799900002"
POST3 = "Post 3, UNN Tromsø"


def kari(world: World, **changed: str) -> Patient:
    return world.do(lambda db: cast.kari(db, world.now, **changed))


def kinds(world: World) -> list[str]:
    return [kind for kind, _ in world.letters()]


def test_silence_is_asked_once_reminded_once_and_then_reaches_the_ward(world: World) -> None:
    kari(world)
    world.until(date(2026, 11, 13))
    assert [one.at.date() for one in world.sms(cast.KARI_PHONE)] == [date(2026, 11, 10), date(2026, 11, 13)]
    assert world.flags() == []
    # Reminded on the Saturday at the earliest, which waits for Monday; given up 48 hours after that.
    world.until(date(2026, 11, 19))
    assert kinds(world) == ["welcome", "check_in", "reminder"]
    assert world.sms(cast.KARI_PHONE)[-1].at.date() == date(2026, 11, 16)
    assert world.flags() == [("no_answer", POST3)]
    assert world.check_ins()[3] == "expired"
    # Silence once is not silence for ever: the next one is asked all the same.
    world.until(date(2026, 11, 24))
    assert kinds(world)[-1] == "check_in"
    assert world.check_ins()[14] == "asked"


@pytest.mark.parametrize(("number", "state"), [(DEAD, "dead"), (LANDLINE, "landline")])
def test_a_number_that_takes_no_sms_becomes_a_phone_call(world: World, number: str, state: str) -> None:
    patient = kari(world, phone=number)
    world.until(date(2026, 11, 12))
    assert world.letters() == [("welcome", "failed")]
    assert world.flags() == [("undeliverable", POST3)]
    with world.sessions() as db:
        assert db.get_one(Patient, patient.id).phone_state == state
    # Nothing more is tried on that number; the check-in is put before the ward as a call to make.
    world.until(date(2026, 11, 13))
    assert kinds(world) == ["welcome"]
    assert ("call_due", POST3) in world.flags()
    # With the number put right, the reminder of the open check-in arrives, and the next check-in too.
    world.do(
        lambda db: contact.change_contact(
            db, world.ward.sofia, patient.id, cast.KARI_PHONE, "sms", now=world.now
        )
    )
    world.until(date(2026, 11, 24))
    assert [one.at.date() for one in world.sms(cast.KARI_PHONE)] == [date(2026, 11, 16), date(2026, 11, 24)]


def test_a_moved_discharge_moves_what_is_not_yet_asked(world: World) -> None:
    kari(world, discharged_on="2026-11-11")
    world.until(date(2026, 11, 10))
    assert world.sms(cast.KARI_PHONE) == []
    kari(world, discharged_on="2026-11-17")
    world.until(date(2026, 11, 16))
    assert world.sms(cast.KARI_PHONE) == []
    world.until(date(2026, 11, 20))
    assert [one.at.date() for one in world.sms(cast.KARI_PHONE)] == [date(2026, 11, 17), date(2026, 11, 20)]
    assert world.flags() == []


def test_a_moved_discharge_leaves_what_was_asked(world: World) -> None:
    kari(world)
    world.until(date(2026, 11, 13))
    kari(world, discharged_on="2026-11-16")
    assert world.check_ins()[3] == "asked"
    world.until(date(2026, 11, 30))
    assert kinds(world).count("check_in") == 2
    assert [one.at.date() for one in world.sms(cast.KARI_PHONE)][-1] == date(2026, 11, 30)


def test_after_a_readmission_nothing_more_is_sent(world: World) -> None:
    patient = kari(world)
    world.until(date(2026, 11, 13))
    sent = len(world.sms(cast.KARI_PHONE))
    world.do(lambda db: plan.readmit(db, world.ward.sofia, patient.id, now=world.now))
    world.until(date(2027, 3, 1))
    assert len(world.sms(cast.KARI_PHONE)) == sent
    assert world.flags() == []
    assert world.check_ins()[3] == "skipped"


def test_after_a_readmission_the_next_discharge_is_a_new_stay(world: World) -> None:
    patient = kari(world)
    world.until(date(2026, 11, 13))
    world.do(lambda db: plan.readmit(db, world.ward.sofia, patient.id, now=world.now))
    world.until(date(2026, 11, 20))
    kari(world, discharged_on="2026-11-23")
    world.until(date(2026, 11, 26))
    assert world.sms(cast.KARI_PHONE)[-1].at.date() == date(2026, 11, 26)


def test_after_a_death_nothing_more_is_sent(world: World) -> None:
    patient = kari(world)
    # The letter is queued for Monday when the ward is told on Sunday: it stops at the claim.
    world.until(date(2026, 11, 14))
    sent = len(world.sms(cast.KARI_PHONE))
    world.do(
        lambda db: plan.register_death(db, world.ward.sofia, patient.id, date(2026, 11, 14), now=world.now)
    )
    world.until(date(2027, 11, 30))
    assert len(world.sms(cast.KARI_PHONE)) == sent
    assert "asked" not in world.check_ins().values()
