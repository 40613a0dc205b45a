"""The passport: who reads, who writes, what is old, who is missing, whom to call."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, NotAllowed, NotFound
from companion.models import CareContact, MeasureStatus, PassportLine, Patient, Stay
from companion.rules.access import Actor
from companion.use_cases.passport import lines as passport
from companion.use_cases.relatives import share
from companion.use_cases.relatives.share import GrantDraft
from tests import cast


@pytest.fixture
def ward(db: Session, now: datetime) -> cast.Ward:
    return cast.ward(db, now)


@pytest.fixture
def kari(db: Session, ward: cast.Ward, now: datetime) -> Patient:
    return cast.kari(db, now)


def let_in(db: Session, ward: cast.Ward, kari: Patient, now: datetime, *scopes: str) -> Actor:
    until = (now + cast.days(180)).date()
    draft = GrantDraft("Anne Nilsen", cast.ANNE_PHONE, cast.ANNE_BORN, "datter", scopes, until)
    return cast.actor(share.give(db, ward.sofia, kari.id, draft, now=now).relative)


def test_kari_reads_her_passport(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    me = cast.actor(kari)
    passport.write_line(db, me, kari.id, "matters", "Å kunne gå til naustet igjen.", now=now)
    passport.write_line(db, ward.sofia, kari.id, "important", "Allergisk mot penicillin", True, now=now)

    read = passport.read(db, me, kari.id, now=now)

    assert (read.patient.name, read.patient.born, read.patient.municipality) == (
        "Kari Nilsen",
        cast.KARI_BORN,
        "Tromsø",
    )
    assert [section.key for section in read.sections] == [
        "matters",
        "talk",
        "important",
        "function",
        "aids",
        "medication",
    ]
    matters, important = read.sections[0].lines[0], read.sections[2].lines[0]
    assert (matters.written_by, matters.written_by_patient, matters.unit) == ("Kari Nilsen", True, None)
    assert (important.written_by, important.unit, important.critical) == (
        "Sofia Berg, sykepleier",
        "Post 3, UNN Tromsø",
        True,
    )
    assert [(one.number, one.owner, one.unit, one.status) for one in read.measures] == [
        (1, "municipality", "Rehabiliteringsteamet, Tromsø", "recommended"),
        (2, "patient", None, "recommended"),
        (3, "hospital", "Post 3, UNN Tromsø", "recommended"),
    ]
    assert read.measures[2].why == "Vi ser på blodtrykket."


def test_the_wheel_shows_who_is_missing(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    passport.set_contact(db, ward.sofia, kari.id, "gp", "Dr. Moen", "77 60 00 00", now=now)
    let_in(db, ward, kari, now, "passport")

    wheel = {spoke.role: spoke for spoke in passport.read(db, cast.actor(kari), kari.id, now=now).wheel}

    assert (wheel["gp"].name, wheel["gp"].phone) == ("Dr. Moen", "+4777600000")
    assert wheel["ward"].name == "Post 3, UNN Tromsø"
    assert wheel["coordinator"].missing
    assert (wheel["relative"].name, wheel["relative"].relation) == ("Anne Nilsen", "datter")


def test_whom_to_call_the_nearest_first(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    called = [one.role for one in passport.read(db, cast.actor(kari), kari.id, now=now).whom_to_call]
    assert called == ["physio", "coordinating_unit", "ward", "rehabilitation", "urgent", "emergency"]

    passport.set_contact(db, ward.marit, kari.id, "coordinator", "Marit Solli", "77000001", now=now)
    first = passport.read(db, cast.actor(kari), kari.id, now=now).whom_to_call[0]
    assert (first.role, first.name, first.phone) == ("coordinator", "Marit Solli", "+4777000001")


def test_who_reads_and_who_finds_nothing(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    ola = cast.ola(db, now)
    anne = let_in(db, ward, kari, now, "meetings")
    for reader in (cast.actor(kari), ward.sofia, ward.johan, ward.marit):
        assert passport.read(db, reader, kari.id, now=now).patient.id == kari.id
    for stranger in (cast.actor(ola), ward.geir, ward.siri, anne, Actor(kind="patient")):
        with pytest.raises(NotFound):
            passport.read(db, stranger, kari.id, now=now)


def test_a_relative_reads_what_the_scope_opens_and_writes_nothing(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    anne = let_in(db, ward, kari, now, "passport")
    read = passport.read(db, anne, kari.id, now=now)
    assert read.measures == ()
    assert {spoke.phone for spoke in read.wheel if spoke.role == "relative"} == {None}
    with pytest.raises(NotAllowed):
        passport.write_line(db, anne, kari.id, "talk", "Snakk høyt", now=now)

    let_in(db, ward, kari, now, "passport", "measures")
    assert len(passport.read(db, anne, kari.id, now=now).measures) == 3


def test_a_line_grows_old_and_is_confirmed(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    line = passport.write_line(db, ward.sofia, kari.id, "function", "Går med rullator", now=now)
    seven_weeks = now + timedelta(weeks=7)
    assert (
        passport.read(db, ward.sofia, kari.id, now=now + timedelta(weeks=6)).sections[3].lines[0].old is False
    )
    assert passport.read(db, ward.sofia, kari.id, now=seven_weeks).sections[3].lines[0].old is True

    passport.confirm_line(db, cast.actor(kari), line.id, now=seven_weeks)

    shown = passport.read(db, ward.sofia, kari.id, now=seven_weeks).sections[3].lines[0]
    assert (shown.old, shown.confirmed_at) == (False, seven_weeks)


def test_a_change_is_a_new_line_in_the_same_place(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    first = passport.write_line(db, ward.sofia, kari.id, "aids", "Rullator", now=now)
    passport.write_line(db, ward.sofia, kari.id, "aids", "Griper", now=now)

    changed = passport.change_line(db, ward.johan, first.id, "Krykker", now=now)

    assert (changed.replaces_id, first.ended_at) == (first.id, now)
    shown = passport.read(db, ward.sofia, kari.id, now=now).sections[4].lines
    assert [(line.text, line.written_by) for line in shown] == [
        ("Krykker", "Johan Bakk, fysioterapeut"),
        ("Griper", "Sofia Berg, sykepleier"),
    ]
    with pytest.raises(Conflict, match="changed"):
        passport.change_line(db, ward.sofia, first.id, "Stokk", now=now)
    passport.end_line(db, ward.sofia, changed.id, now=now)
    assert len(db.scalars(select(PassportLine)).all()) == 3


def test_the_same_words_again_confirm(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    line = passport.write_line(db, ward.sofia, kari.id, "aids", "Rullator", now=now)
    assert passport.change_line(db, ward.johan, line.id, " Rullator ", now=now + cast.days(1)) is line
    assert line.confirmed_at == now + cast.days(1)


def test_patients_change_their_own_lines_not_the_professionals(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    me = cast.actor(kari)
    theirs = passport.write_line(db, ward.sofia, kari.id, "important", "Allergi", True, now=now)
    mine = passport.write_line(db, me, kari.id, "talk", "Snakk rolig", now=now)
    assert (
        passport.change_line(db, me, mine.id, "Snakk rolig, én ting om gangen", now=now).written_by_id
        == kari.id
    )
    with pytest.raises(NotAllowed):
        passport.end_line(db, me, theirs.id, now=now)


def test_somebody_elses_line_is_not_there(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    line = passport.write_line(db, ward.sofia, kari.id, "talk", "Snakk rolig", now=now)
    ola = cast.ola(db, now)
    for stranger in (ward.geir, cast.actor(ola)):
        with pytest.raises(NotFound):
            passport.confirm_line(db, stranger, line.id, now=now)


@pytest.mark.parametrize(
    ("section", "text", "problems"),
    [
        ("diagnosis", "Hjerneslag", {"section": "unknown"}),
        ("talk", " \u200b\n ", {"text": "missing"}),
        ("talk", "a" * 501, {"text": "too_long"}),
    ],
)
def test_a_line_that_does_not_do(
    db: Session, kari: Patient, now: datetime, section: str, text: str, problems: dict[str, str]
) -> None:
    with pytest.raises(Invalid) as refused:
        passport.write_line(db, cast.actor(kari), kari.id, section, text, now=now)
    assert refused.value.problems == problems


def test_only_important_lines_are_critical(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    assert passport.write_line(db, ward.sofia, kari.id, "aids", "Rullator", True, now=now).critical is False


def test_a_contact_is_replaced_and_may_be_missing_again(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    for name, phone in (("Marit Solli", "77000001"), ("", "")):
        passport.set_contact(db, ward.marit, kari.id, "coordinator", name, phone, now=now)
    wheel = passport.read(db, ward.sofia, kari.id, now=now).wheel
    assert [spoke.missing for spoke in wheel if spoke.role == "coordinator"] == [True]
    history = db.scalars(select(CareContact).where(CareContact.role == "coordinator"))
    assert sorted(one.ended_at is None for one in history) == [False, False, True]
    with pytest.raises(Invalid) as refused:
        passport.set_contact(db, ward.marit, kari.id, "chef", "", "tolv", now=now)
    assert refused.value.problems == {"role": "unknown", "name": "missing", "phone": "not_a_phone"}


def test_a_named_person_is_not_pushed_out_by_the_next_discharge(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    passport.set_contact(db, ward.johan, kari.id, "physio", "Johan Bakk", "77000000", now=now)
    later = now + cast.days(60)
    cast.kari(db, later, discharged_on="2027-01-09")
    physio = [one for one in passport.read(db, ward.sofia, kari.id, now=later).wheel if one.role == "physio"]
    assert [(one.name, one.unit) for one in physio] == [("Johan Bakk", "Rehabiliteringsteamet, Tromsø")]


def test_measures_say_how_far_they_are(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    measure = db.scalars(select(Stay)).one().measures[0]
    measure.statuses.append(
        MeasureStatus(status="not_started", reason="no_contact", at=now, by_kind="patient", by_id=kari.id)
    )
    db.flush()
    first = passport.read(db, ward.sofia, kari.id, now=now).measures[0]
    assert (first.status, first.reason, first.open) == ("not_started", "no_contact", True)


def test_the_whole_passport_in_six_queries(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    anne = let_in(db, ward, kari, now, "passport", "measures")
    for text in ("Én", "To", "Tre"):
        line = passport.write_line(db, ward.sofia, kari.id, "talk", text, now=now)
        passport.confirm_line(db, ward.sofia, line.id, now=now)
    for reader in (cast.actor(kari), ward.johan, anne):
        db.flush()
        db.expunge_all()
        with cast.statements(db) as sent:
            passport.read(db, reader, kari.id, now=now)
        assert len(sent) <= 6
