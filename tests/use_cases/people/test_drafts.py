"""Drafts: one for each person and form, sealed, with an end; two windows at once, and more than anybody writes."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from companion.models import Draft, Patient, SignIn
from companion.rules.access import SYSTEM, Level
from companion.use_cases import sign_in
from companion.use_cases.keeping import privacy
from companion.use_cases.people import drafts
from tests import cast

PLACE = "/patient/passport/write/talk"
WORDS = (("text", "Snakk rolig."),)


@pytest.fixture
def ward(db: Session, now: datetime) -> cast.Ward:
    return cast.ward(db, now)


@pytest.fixture
def kari(db: Session, ward: cast.Ward, now: datetime) -> Patient:
    return cast.kari(db, now)


def test_the_last_that_was_typed_stands_and_is_the_persons_own(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    who = cast.actor(kari)
    drafts.keep(db, who, PLACE, (("text", "Snakk"),), now=now)
    drafts.keep(db, who, PLACE, WORDS, now=now + timedelta(seconds=1))
    assert {place: kept.fields for place, kept in drafts.kept_by(db, who, now=now).items()} == {PLACE: WORDS}
    assert drafts.kept_by(db, ward.sofia, now=now) == {}
    drafts.forget(db, ward.sofia, PLACE)
    assert PLACE in drafts.kept_by(db, who, now=now)
    drafts.forget(db, who, PLACE)
    assert drafts.kept_by(db, who, now=now) == {}


def test_nobody_fills_the_house_with_drafts(db: Session, kari: Patient, now: datetime) -> None:
    who = cast.actor(kari)
    for turn in range(drafts.MOST + 3):
        drafts.keep(db, who, f"/patient/{turn}", WORDS, now=now + timedelta(seconds=turn))
    kept = list(drafts.kept_by(db, who, now=now))
    assert len(kept) == drafts.MOST
    assert kept[0] == f"/patient/{drafts.MOST + 2}"
    assert not drafts.keep(db, who, PLACE, (("text", "x" * drafts.LARGEST),), now=now)
    assert not drafts.keep(db, who, "/" + "x" * drafts.LONGEST_PLACE, WORDS, now=now)


def test_after_two_weeks_it_is_not_shown_and_then_gone(db: Session, kari: Patient, now: datetime) -> None:
    who, later = cast.actor(kari), now + drafts.KEPT_FOR
    drafts.keep(db, who, PLACE, WORDS, now=now)
    assert drafts.kept_by(db, who, now=later) == {}
    assert drafts.purge(db, later - timedelta(seconds=1)) == 0
    assert drafts.purge(db, later) == 1
    assert db.scalar(select(func.count()).select_from(Draft)) == 0


def test_a_person_gets_their_drafts_and_may_have_them_forgotten(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    drafts.keep(db, cast.actor(kari), PLACE, WORDS, now=now)
    drafts.keep(db, ward.sofia, f"/staff/patients/{kari.id}#note", (("text", "Om Kari"),), now=now)
    drafts.keep(db, ward.sofia, "/staff/discharge", (("name", "Ola"),), now=now)
    mine = privacy.export_patient(db, SYSTEM, kari.id, now=now)["tables"]["draft"]
    assert [one["fields"] for one in mine] == [[["text", "Snakk rolig."]]]
    privacy.erase_patient(db, SYSTEM, kari.id, now=now)
    assert list(db.scalars(select(Draft.place))) == ["/staff/discharge"]


def test_a_page_is_known_by_its_token_for_a_day_and_opens_nothing(
    db: Session, kari: Patient, now: datetime
) -> None:
    opened = sign_in.from_identity(db, "patient", {"pid": kari.national_id}, now=now).sign_in
    db.execute(update(SignIn).values(ended_at=now))
    day_after = opened.expires_at + timedelta(days=1)
    owner = sign_in.whose_page(db, opened.csrf, now=day_after - timedelta(seconds=1))
    assert owner is not None
    assert (owner.kind, owner.id) == ("patient", kari.id)
    assert sign_in.whose_page(db, opened.csrf, now=day_after) is None
    assert sign_in.whose_page(db, "x", now=now) is None


def test_the_same_person_keeps_the_token_and_nobody_else_gets_it(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    before = sign_in.from_identity(db, "patient", {"pid": kari.national_id}, now=now)
    again = sign_in.from_identity(db, "patient", {"pid": kari.national_id}, now=now)
    sign_in.carry_on(db, again, before.secret)
    assert again.sign_in.csrf == before.sign_in.csrf
    ola = sign_in.from_identity(db, "patient", {"pid": cast.ola(db, now).national_id}, now=now)
    sign_in.carry_on(db, ola, before.secret)
    assert ola.sign_in.csrf != before.sign_in.csrf
    assert not sign_in.same_person(db, ola.sign_in, before.sign_in)
    assert Level[ola.sign_in.level] is Level.high


def test_an_empty_form_is_nothing_to_keep(db: Session, kari: Patient, now: datetime) -> None:
    who = cast.actor(kari)
    assert drafts.keep(db, who, "/patient/write", [("text", "Snakk rolig.")], now=now)
    assert drafts.keep(db, who, "/patient/write", [("text", " \n")], now=now)
    assert drafts.kept_by(db, who, now=now) == {}
