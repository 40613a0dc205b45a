"""Going home: what is recorded, what the same list again changes (nothing), what a later day moves."""

from dataclasses import replace
from datetime import date, datetime, time

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, NotAllowed
from companion.models import (
    CareContact,
    CheckIn,
    Measure,
    Message,
    Patient,
    PatientUnit,
    Plan,
    PlanEvent,
    Stay,
    Unit,
)
from companion.models.base import Base
from companion.rules.cadence import local_day
from companion.settings import Settings
from companion.use_cases.check_in import coming
from companion.use_cases.going_home import discharge, places, plan
from companion.use_cases.going_home.discharge import MeasureDraft
from companion.use_cases.passport import lines as passport
from tests import cast


@pytest.fixture
def ward(db: Session, now: datetime) -> cast.Ward:
    return cast.ward(db, now)


def counts(db: Session) -> dict[str, int]:
    return {
        name: db.scalar(select(func.count()).select_from(table)) or 0
        for name, table in Base.metadata.tables.items()
    }


def problems(
    db: Session, now: datetime, measures: tuple[MeasureDraft, ...] = (), **changed: str
) -> dict[str, str]:
    fields = cast.kari_fields(now, **changed)
    try:
        discharge.check(db, fields, measures, settings=cast.SETTINGS, today=local_day(now))
    except Invalid as invalid:
        return invalid.problems
    return {}


def test_kari_goes_home(db: Session, ward: cast.Ward, now: datetime) -> None:
    outcome = cast.send_home(
        db, ward.sofia, now, cast.kari_fields(now), (cast.PHYSIO, cast.WALK, cast.CLINIC)
    )

    assert outcome.what == "created"
    stay = outcome.stay
    kari = stay.patient
    assert (kari.name, kari.phone, kari.born, kari.contact_by) == (
        "Kari Nilsen",
        cast.KARI_PHONE,
        cast.KARI_BORN,
        "sms",
    )
    assert [(one.number, one.title, one.owner_unit_id, one.due_on) for one in stay.measures] == [
        (1, "Fysioterapi to ganger i uken", ward.tromso.id, date(2026, 11, 22)),
        (2, "Gå en tur hver dag", None, date(2026, 11, 13)),
        (3, "Kontroll på slagpoliklinikken", ward.post3.id, date(2027, 2, 8)),
    ]
    assert [(one.day, one.local_date, one.local_time, one.state) for one in stay.plan.check_ins] == [
        (3, date(2026, 11, 13), time(10), "planned"),
        (14, date(2026, 11, 24), time(10), "planned"),
        (30, date(2026, 12, 10), time(10), "planned"),
        (90, date(2027, 2, 8), time(10), "planned"),
        (180, date(2027, 5, 9), time(10), "planned"),
        (365, date(2027, 11, 10), time(10), "planned"),
    ]
    following = db.scalars(
        select(Unit.key).join(PatientUnit).where(PatientUnit.patient_id == kari.id).order_by(Unit.key)
    )
    assert list(following) == ["tromso-ke", "tromso-rehab", "unn-post3"]
    wheel = dict(
        db.execute(
            select(CareContact.role, CareContact.unit_id).where(CareContact.patient_id == kari.id)
        ).all()
    )
    assert wheel == {
        "ward": ward.post3.id,
        "physio": ward.tromso.id,
        "coordinating_unit": ward.coordinating.id,
        "gp": None,
        "coordinator": None,
    }
    welcome = db.scalars(select(Message)).one()
    assert (welcome.kind, welcome.patient_id) == ("welcome", kari.id)


def test_art_follows_only_where_it_has_a_task(db: Session, ward: cast.Ward, now: datetime) -> None:
    stay = cast.send_home(db, ward.sofia, now, cast.kari_fields(now), (cast.ART_VISIT,)).stay

    assert stay.measures[0].owner_unit_id == ward.art.id
    assert db.scalar(select(PatientUnit.id).where(PatientUnit.unit_id == ward.art.id))


def test_the_same_discharge_again_changes_nothing(db: Session, ward: cast.Ward, now: datetime) -> None:
    first = cast.send_home(db, ward.sofia, now, cast.kari_fields(now))
    before = counts(db)

    again = cast.send_home(db, ward.sofia, now + cast.days(1), cast.kari_fields(now))
    by_list = cast.send_home(db, cast.IMPORT, now + cast.days(1), cast.kari_fields(now))

    assert (again.what, by_list.what) == ("unchanged", "unchanged")
    assert again.stay is first.stay
    assert counts(db) == before


def test_a_new_measure_is_numbered_on_and_the_old_ones_stay(
    db: Session, ward: cast.Ward, now: datetime
) -> None:
    cast.send_home(db, ward.sofia, now, cast.kari_fields(now), (cast.PHYSIO, cast.WALK))
    changed = replace(cast.WALK, due="30")

    stay = cast.send_home(db, cast.IMPORT, now, cast.kari_fields(now), (changed, cast.ART_VISIT)).stay

    assert [(one.number, one.title) for one in stay.measures] == [
        (1, cast.PHYSIO.title),
        (2, cast.WALK.title),
        (3, cast.ART_VISIT.title),
    ]
    assert stay.measures[1].due_on == date(2026, 11, 13)
    assert db.scalar(select(PatientUnit.id).where(PatientUnit.unit_id == ward.art.id))


def test_a_later_day_moves_the_plan_but_not_what_was_asked(
    db: Session, ward: cast.Ward, now: datetime
) -> None:
    stay = cast.send_home(db, cast.IMPORT, now, cast.kari_fields(now)).stay
    asked = stay.plan.check_ins[0]
    asked.state, asked.asked_at = "asked", now + cast.days(3)
    db.flush()

    later = cast.kari_fields(now, discharged_on="2026-11-17")
    outcome = cast.send_home(db, cast.IMPORT, now + cast.days(4), later)

    assert (outcome.what, outcome.stay) == ("moved", stay)
    assert [one.local_date for one in stay.plan.check_ins][:3] == [
        date(2026, 11, 13),
        date(2026, 12, 1),
        date(2026, 12, 17),
    ]
    assert asked.state == "asked"
    assert stay.measures[0].due_on == date(2026, 11, 29)
    assert [event.kind for event in db.scalars(select(PlanEvent).order_by(PlanEvent.at))] == ["made", "moved"]
    assert db.scalar(select(func.count()).select_from(Stay)) == 1


def test_the_welcome_moves_with_the_day_until_it_is_claimed(
    db: Session, ward: cast.Ward, now: datetime
) -> None:
    tomorrow = cast.kari_fields(now, discharged_on="2026-11-11")
    cast.send_home(db, ward.sofia, now, tomorrow)
    welcome = db.scalars(select(Message)).one()
    assert welcome.not_before == datetime.fromisoformat("2026-11-11T09:00:00+00:00")

    cast.send_home(db, ward.sofia, now, tomorrow | {"discharged_on": "2026-11-13"})
    db.refresh(welcome)
    assert welcome.next_attempt_at == datetime.fromisoformat("2026-11-13T09:00:00+00:00")

    welcome.state = "sending"
    db.flush()
    cast.send_home(db, ward.sofia, now, tomorrow | {"discharged_on": "2026-11-18"})
    db.refresh(welcome)
    assert welcome.next_attempt_at == datetime.fromisoformat("2026-11-13T09:00:00+00:00")


def test_an_old_list_changes_nothing_but_a_nurse_may_move_back(
    db: Session, ward: cast.Ward, now: datetime
) -> None:
    cast.send_home(db, cast.IMPORT, now, cast.kari_fields(now, discharged_on="2026-11-17"))
    earlier = cast.kari_fields(now, discharged_on="2026-11-12", phone="+4740000009")

    by_list = cast.send_home(db, cast.IMPORT, now, earlier)
    assert by_list.what == "unchanged"
    assert by_list.stay.discharged_on == date(2026, 11, 17)
    assert by_list.stay.patient.phone == cast.KARI_PHONE

    by_hand = cast.send_home(db, ward.sofia, now, earlier)
    assert by_hand.what == "moved"
    assert by_hand.stay.plan.check_ins[0].local_date == date(2026, 11, 15)
    assert by_hand.stay.patient.phone == "+4740000009"


def test_a_nurse_changes_the_template_and_the_hour(db: Session, ward: cast.Ward, now: datetime) -> None:
    cast.send_home(db, ward.sofia, now, cast.kari_fields(now))

    moved = cast.send_home(db, ward.sofia, now, cast.kari_fields(now, template="general", hour="13:30"))

    assert moved.what == "moved"
    assert [(one.day, one.local_time, one.questionnaire) for one in moved.stay.plan.check_ins] == [
        (7, time(13, 30), "general-7"),
        (30, time(13, 30), "general-30"),
        (90, time(13, 30), "general-90"),
    ]


def test_a_list_leaves_the_patients_own_choices_alone(db: Session, ward: cast.Ward, now: datetime) -> None:
    kari = cast.kari(db, now)
    kari.language, kari.hour = "se", time(14)
    db.flush()

    cast.kari(db, now)

    assert (kari.language, kari.hour) == ("se", time(14))


def test_after_a_readmission_comes_a_new_stay_and_the_old_list_is_old(
    db: Session, ward: cast.Ward, now: datetime
) -> None:
    first = cast.send_home(db, cast.IMPORT, now, cast.kari_fields(now)).stay
    plan.readmit(db, ward.sofia, first.patient_id, now=now + cast.days(2))

    same_list = cast.send_home(db, cast.IMPORT, now + cast.days(3), cast.kari_fields(now))
    assert (same_list.what, same_list.stay) == ("unchanged", first)

    home_again = cast.kari_fields(now, discharged_on="2026-11-20")
    second = cast.send_home(db, cast.IMPORT, now + cast.days(3), home_again)
    assert second.what == "created"
    assert second.stay is not first
    assert db.scalars(select(Plan.state).order_by(Plan.created_at)).all() == ["done", "active"]
    assert {one.state for one in first.plan.check_ins} == {"skipped"}


def test_more_than_thirty_days_later_is_another_stay(db: Session, ward: cast.Ward, now: datetime) -> None:
    first = cast.send_home(db, cast.IMPORT, now, cast.kari_fields(now)).stay

    other = cast.send_home(
        db, cast.IMPORT, now + cast.days(31), cast.kari_fields(now, discharged_on="2026-12-11")
    )

    assert (other.what, first.state) == ("created", "ended")


def test_days_already_over_are_not_asked_about(db: Session, ward: cast.Ward, now: datetime) -> None:
    long_ago = cast.kari_fields(now, discharged_on="2026-10-27", write_from="2026-11-10")
    stay = cast.send_home(db, cast.IMPORT, now, long_ago).stay

    assert [(one.day, one.state) for one in stay.plan.check_ins][:3] == [
        (3, "skipped"),
        (14, "planned"),
        (30, "planned"),
    ]


def test_somebody_without_a_telephone_is_registered_and_gets_no_message(
    db: Session, ward: cast.Ward, now: datetime
) -> None:
    kari = cast.send_home(
        db, ward.sofia, now, cast.kari_fields(now, phone="", contact_by="call")
    ).stay.patient
    assert (kari.phone, kari.phone_index, kari.contact_by) == (None, None, "call")
    assert db.scalars(select(Message)).all() == []
    assert problems(db, now, (), phone="", contact_by="sms") == {"phone": "missing"}


def test_a_list_without_a_number_takes_none_away(db: Session, ward: cast.Ward, now: datetime) -> None:
    kari = cast.kari(db, now)
    cast.kari(db, now, phone="")
    assert (kari.phone, kari.contact_by) == (cast.KARI_PHONE, "sms")


def test_who_goes_home_to_oslo_is_followed_and_told_the_national_number(
    db: Session, ward: cast.Ward, now: datetime
) -> None:
    kari = cast.kari(db, now, municipality_number="0301")
    called = [one.phone for one in passport.read(db, ward.sofia, kari.id, now=now).whom_to_call]
    assert "800 300 61" in called
    db.expunge_all()
    places.add_unit(
        db, "oslo-ke", kind="coordinating_unit", name="KE i Oslo", phone="21 80 21 80", municipality="0301"
    )
    ola = cast.send_home(
        db, cast.IMPORT, now, cast.kari_fields(now, national_id=cast.OLA_ID, municipality_number="0301")
    ).stay.patient
    assert "+4721802180" in [one.phone for one in passport.read(db, ward.sofia, ola.id, now=now).whom_to_call]


def test_a_landline_is_phoned_and_gets_no_message(db: Session, ward: cast.Ward, now: datetime) -> None:
    kari = cast.kari(db, now, phone="77 62 60 00")

    assert (kari.phone, kari.contact_by, kari.phone_state) == ("+4777626000", "call", "landline")
    assert db.scalars(select(Message)).all() == []

    cast.kari(db, now, phone="40000001")
    assert (kari.contact_by, kari.phone_state) == ("sms", "ok")


def test_a_new_number_does_not_undo_stopp(db: Session, ward: cast.Ward, now: datetime) -> None:
    kari = cast.kari(db, now)
    plan.opt_out(db, kari, now=now)

    cast.kari(db, now, phone="40000008")

    assert (kari.phone, kari.phone_state, kari.contact_by) == ("+4740000008", "opted_out", "call")


def test_nobody_dead_is_sent_home(db: Session, ward: cast.Ward, now: datetime) -> None:
    kari = cast.kari(db, now)
    plan.register_death(db, ward.sofia, kari.id, local_day(now), now=now)

    with pytest.raises(Conflict, match="died"):
        cast.kari(db, now, discharged_on="2026-11-20")


def test_only_the_wards_own_people_discharge_from_it(db: Session, ward: cast.Ward, now: datetime) -> None:
    kari = cast.kari(db, now)
    for who in (ward.johan, cast.actor(kari)):
        with pytest.raises(NotAllowed):
            cast.send_home(db, who, now, cast.kari_fields(now))


def test_a_patient_from_a_town_that_is_not_with_us(db: Session, ward: cast.Ward, now: datetime) -> None:
    stay = cast.send_home(db, ward.sofia, now, cast.kari_fields(now, municipality_number="5601")).stay

    assert stay.measures[0].owner_unit_id is None
    assert db.scalars(select(PatientUnit.unit_id)).all() == [ward.post3.id]


def test_preview_shows_the_days_the_plan_gets(db: Session, ward: cast.Ward, now: datetime) -> None:
    fields = cast.kari_fields(now, discharged_on="2026-11-05", hour="9:15")

    shown = discharge.preview(fields, now=now)
    stay = cast.send_home(db, ward.sofia, now, fields).stay

    assert [(line.day, line.at) for line in shown if line.kind == "check_in"] == [
        (one.check_in.day, one.at) for one in coming(db, stay.plan.check_ins, now)
    ]
    assert (shown[0].kind, local_day(shown[0].at)) == ("welcome", local_day(now))
    assert shown[3].label["nb"]


@pytest.mark.parametrize(
    "fields", [{}, {"template": "stroke"}, {"template": "?", "discharged_on": "2026-11-10"}]
)
def test_preview_of_half_a_form_is_empty(fields: dict[str, str], now: datetime) -> None:
    assert discharge.preview(fields, now=now) == []


@pytest.mark.parametrize(
    ("field", "typed", "code"),
    [
        ("national_id", "", "missing"),
        ("national_id", "12345678901", "not_a_national_id"),
        ("national_id", "04855812345" * 900, "not_a_national_id"),
        ("name", " \u202e\x00 ", "missing"),
        ("name", "K" * 101, "too_long"),
        ("name", "???", "not_a_name"),
        ("phone", "tolv", "not_a_phone"),
        ("phone", "1" * 5000, "not_a_phone"),
        ("language", "no", "not_a_language"),
        ("municipality_number", "0999", "unknown_municipality"),
        ("ward", "post-9", "unknown_ward"),
        ("ward", "tromso-rehab", "unknown_ward"),
        ("discharged_on", "10.11.2026", "not_a_date"),
        ("discharged_on", "20261110", "not_a_date"),
        ("discharged_on", "2026-02-30", "not_a_date"),
        ("discharged_on", "2062-11-10", "too_far"),
        ("template", "slag", "unknown_template"),
        ("hour", "25:00", "not_a_time"),
        ("hour", "ti", "not_a_time"),
        ("hour", "23:00", "quiet_hour"),
        ("hour", "05:59", "quiet_hour"),
        ("hour", "21:31", "quiet_hour"),
        ("hour", "00:00", "quiet_hour"),
    ],
)
def test_a_field_that_does_not_do(
    db: Session, ward: cast.Ward, now: datetime, field: str, typed: str, code: str
) -> None:
    assert problems(db, now, (), **{field: typed}) == {field: code}


def test_all_problems_at_once(db: Session, ward: cast.Ward, now: datetime) -> None:
    drafts = (
        MeasureDraft("", "fru", "-3"),
        MeasureDraft("A" * 201, "gp", "9999"),
        MeasureDraft("Tur", "gp", ""),
    )

    assert problems(db, now, drafts, name="", phone="x", hour="99") == {
        "name": "missing",
        "phone": "not_a_phone",
        "hour": "not_a_time",
        "measures.1.title": "missing",
        "measures.1.owner": "unknown_owner",
        "measures.1.due": "not_a_number",
        "measures.2.title": "too_long",
        "measures.2.due": "too_far",
        "measures.3.due": "missing",
    }


def test_invented_people_are_refused_in_production(db: Session, ward: cast.Ward, now: datetime) -> None:
    production = Settings(environment="production")
    with pytest.raises(Invalid) as refused:
        discharge.check(db, cast.kari_fields(now), (), settings=production, today=local_day(now))
    assert refused.value.problems == {"national_id": "synthetic_not_allowed"}


@pytest.mark.parametrize(
    "name", ["Ánne Čállá Eira", "Иван Петров", "李小龍", "Kari <b>Nilsen</b>", "Kari 🌷"]
)
def test_names_of_every_alphabet_stay_as_they_are(
    db: Session, ward: cast.Ward, now: datetime, name: str
) -> None:
    assert cast.kari(db, now, name=name).name == name


@pytest.mark.parametrize(
    "typed", ["40000001", "400 00 001", "+47 400 00 001", "0047 40000001", "(+47) 40-00-00-01"]
)
def test_any_notation_of_a_number(db: Session, ward: cast.Ward, now: datetime, typed: str) -> None:
    assert cast.kari(db, now, phone=typed).phone == cast.KARI_PHONE


def test_due_may_be_a_date(db: Session, ward: cast.Ward, now: datetime) -> None:
    by_date = (MeasureDraft("Tur", "patient", "2026-11-22"),)
    stay = cast.send_home(db, ward.sofia, now, cast.kari_fields(now), by_date).stay
    assert stay.measures[0].due_on == date(2026, 11, 22)


def test_measures_as_a_list_writes_them() -> None:
    assert discharge.read_measures("Fysio|municipality|12 & Tur|patient|3") == [
        MeasureDraft("Fysio", "municipality", "12"),
        MeasureDraft("Tur", "patient", "3"),
    ]
    assert discharge.read_measures("  ") == []
    with pytest.raises(Invalid, match="not_a_measure"):
        discharge.read_measures("Fysio & ergo|municipality|12")


def test_nothing_that_points_at_kari_lies_open_in_the_table(
    db: Session, ward: cast.Ward, now: datetime
) -> None:
    cast.kari(db, now)
    raw = db.connection().exec_driver_sql("select * from patient").one()
    sealed = db.connection().exec_driver_sql("select title from measure").all()
    seen = " ".join(repr(bytes(cell) if isinstance(cell, memoryview) else cell) for cell in (*raw, *sealed))
    for secret in ("Kari", cast.KARI_ID, "40000001", "Fysio"):
        assert secret not in seen
    assert db.scalar(select(Patient.id).where(Patient.national_id_index == cast.KARI_ID))
    assert db.scalar(select(func.count()).select_from(Measure)) == 3
    assert db.scalar(select(func.count()).select_from(CheckIn)) == 6
