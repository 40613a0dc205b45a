"""A free line on the web reaches the same humans as a free SMS."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Invalid
from companion.models import Flag
from companion.use_cases.passport import lines as passport
from companion.use_cases.replies import heard, written
from tests.use_cases.small_ward import SmallWard, at, themselves


@pytest.mark.parametrize(
    ("text", "code", "level"),
    [
        ("Jeg lurer på når timen er", "has_written", "amber"),
        ("Ring meg i morgen tidlig", "wants_contact", "red"),
        ("Jeg falt i går og slo hodet", "grave_words", "red"),
        ("jeg orker ikke lve lenger", "crisis_words", "red"),
    ],
)
def test_what_is_written_on_the_web_comes_before_a_human(
    db: Session, text: str, code: str, level: str
) -> None:
    kari = SmallWard(db).patient()
    raised = written.write(db, themselves(kari), text, now=at(3))
    assert (raised.code, raised.level, raised.quote) == (code, level, text)
    waiting = written.waiting(db, themselves(kari))
    assert (waiting.respond_by, waiting.crisis) == (raised.respond_by, code == "crisis_words")


def test_by_sms_and_on_the_web_it_is_the_same_people_and_the_same_case(db: Session) -> None:
    kari = SmallWard(db).patient()
    assert kari.phone
    heard.receive(db, kari.phone, "Jeg vil ikke leve", said_at=at(3), now=at(3))
    written.write(db, themselves(kari), "Orker ikke leve\nlenger", now=at(3, 12))
    [raised] = db.scalars(select(Flag)).all()
    assert raised.quote == "Jeg vil ikke leve\nOrker ikke leve lenger"


@pytest.mark.parametrize(("text", "problem"), [(" \n", "missing"), ("a" * 501, "too_long")])
def test_nothing_and_too_much_are_said(db: Session, text: str, problem: str) -> None:
    kari = SmallWard(db).patient()
    with pytest.raises(Invalid) as wrong:
        written.write(db, themselves(kari), text, now=at(3))
    assert wrong.value.problems == {"text": problem}


def test_words_of_despair_in_the_passport_reach_a_human(db: Session) -> None:
    kari = SmallWard(db).patient()
    line = passport.write_line(db, themselves(kari), kari.id, "matters", "Familien", now=at(3))
    assert db.scalars(select(Flag)).all() == []
    passport.change_line(db, themselves(kari), line.id, "Ingenting. Jeg vil dø", now=at(3))
    assert [(one.code, one.level) for one in db.scalars(select(Flag))] == [("crisis_words", "red")]
    assert written.waiting(db, themselves(kari)).crisis
