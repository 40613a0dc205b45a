"""Flags: who may touch them, who gets them, and what is remembered."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, NotAllowed, NotFound
from companion.models import Flag, FlagEvent, Patient, PatientUnit
from companion.rules.access import Actor
from companion.use_cases.cases import flag
from tests.use_cases.small_ward import HOME, SmallWard, at, themselves


@pytest.fixture
def ward(db: Session) -> SmallWard:
    return SmallWard(db)


@pytest.fixture
def kari(ward: SmallWard) -> Patient:
    return ward.patient()


@pytest.fixture
def johan(ward: SmallWard) -> Actor:
    return ward.colleague("Johan Bakk", "tromso-rehab")


def raised_for(
    db: Session, ward: SmallWard, patient: Patient, unit: str = "tromso-rehab", code: str = "wants_contact"
) -> Flag:
    return flag.raise_flag(
        db,
        patient,
        code=code,
        level="red",
        unit=ward.units[unit],
        now=at(7),
        quote="Ring meg",
        params={"day": 7},
    )


def history(db: Session, raised: Flag) -> list[str]:
    events = db.scalars(select(FlagEvent).where(FlagEvent.flag_id == raised.id).order_by(FlagEvent.at))
    return [event.kind for event in events]


def test_the_same_thing_is_raised_once_until_it_is_closed(
    db: Session, ward: SmallWard, kari: Patient, johan: Actor
) -> None:
    first = raised_for(db, ward, kari)
    assert raised_for(db, ward, kari) is first
    assert raised_for(db, ward, kari, code="low_mood") is not first
    flag.close(db, johan, first.id, "helped", now=at(7, 11))
    assert raised_for(db, ward, kari) is not first


def test_by_when_it_is_to_be_seen(db: Session, ward: SmallWard, kari: Patient) -> None:
    assert raised_for(db, ward, kari).respond_by == at(7, 15)
    amber = flag.raise_flag(db, kari, code="no_answer", level="amber", unit=ward.units["post3"], now=at(7))
    assert amber.respond_by == at(10, 15)


def test_of_two_colleagues_one_gets_it(db: Session, ward: SmallWard, kari: Patient, johan: Actor) -> None:
    siri = ward.colleague("Siri Myhre", "tromso-rehab")
    raised = raised_for(db, ward, kari)
    flag.claim(db, johan, raised.id, now=at(7, 11))
    flag.claim(db, johan, raised.id, now=at(7, 12))
    with pytest.raises(Conflict) as refused:
        flag.claim(db, siri, raised.id, now=at(7, 12))
    assert (refused.value.code, refused.value.who) == ("claimed", "Johan Bakk")
    with pytest.raises(Conflict, match="claimed"):
        flag.close(db, siri, raised.id, "helped", now=at(7, 12))
    assert (raised.claimed_by_id, raised.claimed_at, raised.state) == (johan.id, at(7, 11), "claimed")
    assert history(db, raised) == ["opened", "claimed"]


def test_two_windows_that_both_saw_it_free(engine: Engine, db: Session) -> None:
    """The second transaction decides by what is in the database, not by what its page showed."""
    ward = SmallWard(db)
    raised = raised_for(db, ward, ward.patient())
    johan, siri = (ward.colleague(name, "tromso-rehab") for name in ("Johan Bakk", "Siri Myhre"))
    db.commit()
    with Session(engine) as window:
        stale = flag.find(window, siri, raised.id, now=at(7, 11))
        assert stale.state == "open"
        window.commit()
        flag.claim(db, johan, raised.id, now=at(7, 11))
        db.commit()
        with pytest.raises(Conflict) as refused:
            flag.claim(window, siri, raised.id, now=at(7, 11))
        assert refused.value.who == "Johan Bakk"


@pytest.mark.parametrize("unit", ["tromso-rehab", "post3"])
def test_the_owning_unit_and_those_who_follow_may_touch_it(
    db: Session, ward: SmallWard, kari: Patient, unit: str
) -> None:
    raised = raised_for(db, ward, kari)
    assert flag.claim(db, ward.colleague("Eva Lund", unit), raised.id, now=at(7)).state == "claimed"


def test_nobody_else_knows_that_it_is_there(db: Session, ward: SmallWard, kari: Patient) -> None:
    raised = raised_for(db, ward, kari)
    stranger = ward.colleague("Geir Nordgård", "post9")
    for touch in (flag.claim, flag.release, flag.find):
        with pytest.raises(NotFound):
            touch(db, stranger, raised.id, now=at(7))
    with pytest.raises(NotFound):
        flag.note(db, stranger, raised.id, "hei", now=at(7))
    with pytest.raises(NotAllowed):
        flag.claim(db, themselves(kari), raised.id, now=at(7))


def test_a_unit_that_no_longer_follows_is_out(db: Session, ward: SmallWard, kari: Patient) -> None:
    raised = raised_for(db, ward, kari)
    followed = db.scalars(
        select(PatientUnit).where(
            PatientUnit.patient_id == kari.id, PatientUnit.unit_id == ward.units["post3"].id
        )
    ).one()
    followed.until = HOME + timedelta(days=6)
    with pytest.raises(NotFound):
        flag.find(db, ward.colleague("Eva Lund", "post3"), raised.id, now=at(7))


def test_put_back_also_by_a_colleague_of_the_unit(
    db: Session, ward: SmallWard, kari: Patient, johan: Actor
) -> None:
    raised = raised_for(db, ward, kari)
    flag.claim(db, johan, raised.id, now=at(7))
    with pytest.raises(Conflict, match="claimed"):
        flag.release(db, ward.colleague("Eva Lund", "post3"), raised.id, now=at(8))
    flag.release(db, ward.colleague("Siri Myhre", "tromso-rehab"), raised.id, now=at(8))
    assert (raised.state, raised.claimed_by_id) == ("open", None)
    assert history(db, raised) == ["opened", "claimed", "released"]


def test_notes_and_contact_attempts_are_remembered(
    db: Session, ward: SmallWard, kari: Patient, johan: Actor
) -> None:
    raised = raised_for(db, ward, kari)
    flag.note(db, johan, raised.id, "  Ringer i morgen. ", now=at(7, 11))
    attempt = flag.contact(db, johan, raised.id, "phone", False, now=at(7, 12))
    assert (attempt.outcome, attempt.by_id) == ("phone:missed", johan.id)
    flag.close(db, johan, raised.id, "advice", "Snakket sammen.", now=at(7, 13))
    assert history(db, raised) == ["opened", "note", "contact", "closed"]
    assert (raised.outcome, raised.closed_at, raised.claimed_by_id) == ("advice", at(7, 13), johan.id)
    with pytest.raises(Conflict, match="closed"):
        flag.close(db, johan, raised.id, "helped", now=at(7, 14))
    with pytest.raises(Conflict, match="closed"):
        flag.claim(db, johan, raised.id, now=at(7, 14))


@pytest.mark.parametrize(
    ("outcome", "text", "problem"),
    [
        ("", "", {"outcome": "missing"}),
        ("forgot", "", {"outcome": "unknown"}),
        ("helped", "x" * 2001, {"text": "too_long"}),
    ],
)
def test_closing_needs_an_outcome_and_a_text_that_fits(
    db: Session,
    ward: SmallWard,
    kari: Patient,
    johan: Actor,
    outcome: str,
    text: str,
    problem: dict[str, str],
) -> None:
    raised = raised_for(db, ward, kari)
    with pytest.raises(Invalid) as refused:
        flag.close(db, johan, raised.id, outcome, text, now=at(7))
    assert refused.value.problems == problem
    assert raised.state == "open"


@pytest.mark.parametrize(("text", "problem"), [(" \n ", "missing"), ("x" * 2001, "too_long")])
def test_a_note_says_something_and_fits(
    db: Session, ward: SmallWard, kari: Patient, johan: Actor, text: str, problem: str
) -> None:
    with pytest.raises(Invalid) as refused:
        flag.note(db, johan, raised_for(db, ward, kari).id, text, now=at(7))
    assert refused.value.problems == {"text": problem}


def test_handed_to_another_unit_it_is_open_there(
    db: Session, ward: SmallWard, kari: Patient, johan: Actor
) -> None:
    raised = raised_for(db, ward, kari)
    flag.claim(db, johan, raised.id, now=at(7, 13))
    flag.move(db, johan, raised.id, ward.units["tromso-ke"].id, now=at(7, 13))
    assert (raised.unit.key, raised.state, raised.claimed_by_id) == ("tromso-ke", "open", None)
    assert raised.respond_by == at(7, 15)
    with pytest.raises(Invalid):
        flag.move(db, johan, raised.id, ward.units["post9"].id, now=at(7, 13))


@pytest.mark.parametrize(
    ("units", "kind", "owner"),
    [
        (("post3", "tromso-rehab", "tromso-ke"), "ward", "post3"),
        (("post3", "tromso-rehab", "tromso-ke"), "municipality", "tromso-rehab"),
        (("post3", "tromso-ke"), "municipality", "tromso-ke"),
        (("post3",), "municipality", "post3"),
        (("post3", "art-troms"), "art", "art-troms"),
        (("post3",), "art", "post3"),
        (("post3", "tromso-ke"), "nav", "tromso-ke"),
        (("post3",), "gp", "post3"),
        (("post3", "tromso-rehab"), "hospital", "post3"),
    ],
)
def test_every_task_has_an_owner(
    db: Session, ward: SmallWard, units: tuple[str, ...], kind: str, owner: str
) -> None:
    assert flag.owner_unit(db, ward.patient(units=units), kind).key == owner
