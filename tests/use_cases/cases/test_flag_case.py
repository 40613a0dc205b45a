"""One case: what the same answers gave the same unit to see to is taken, put back, moved and closed together, and shown once."""

from dataclasses import dataclass

import pytest
from sqlalchemy.orm import Session

from companion import worklists
from companion.errors import Conflict
from companion.models import Flag, Patient
from companion.rules.access import Actor
from companion.use_cases.cases import flag
from tests.use_cases.small_ward import SmallWard, at


@dataclass
class Answers:
    """Kari's answers of day 7 gave Tromsø two things to see to, and the ward one."""

    ward: SmallWard
    kari: Patient
    johan: Actor
    amber: Flag
    red: Flag
    wards: Flag


@pytest.fixture
def answers(db: Session) -> Answers:
    ward = SmallWard(db)
    kari = ward.patient()
    asked = ward.check_in(kari, 7)

    def raised(code: str, level: str, unit: str) -> Flag:
        return flag.raise_flag(
            db,
            kari,
            code=code,
            level=level,
            unit=ward.units[unit],
            now=at(7),
            check_in=asked,
            params={"score": 8},
        )

    return Answers(
        ward,
        kari,
        ward.colleague("Johan Bakk", "tromso-rehab"),
        raised("high_fatigue", "amber", "tromso-rehab"),
        raised("wants_contact", "red", "tromso-rehab"),
        raised("passport_wrong", "amber", "post3"),
    )


def test_it_is_one_line_with_the_gravest_first(db: Session, answers: Answers) -> None:
    page = worklists.worklist(db, answers.johan, now=at(7, 11))
    assert [(row.code, [one.flag.code for one in row.also]) for row in page.rows] == [
        ("wants_contact", ["high_fatigue"])
    ]
    assert (page.counts["all"], page.counts["red"], page.counts["mine"]) == (1, 1, 0)
    assert worklists.menu_counts(db, answers.johan, at(7, 11)).worklist == 1
    sofia = answers.ward.colleague("Sofia Berg", "post3")
    assert [row.code for row in worklists.worklist(db, sofia, now=at(7, 11)).rows] == ["passport_wrong"]


def test_who_takes_it_takes_it_whole_and_no_more(db: Session, answers: Answers) -> None:
    flag.claim(db, answers.johan, answers.red.id, now=at(7, 11))
    db.refresh(answers.amber)
    db.refresh(answers.wards)
    assert (answers.amber.state, answers.amber.claimed_by_id) == ("claimed", answers.johan.id)
    assert answers.wards.state == "open"
    siri = answers.ward.colleague("Siri Myhre", "tromso-rehab")
    with pytest.raises(Conflict, match="claimed"):
        flag.claim(db, siri, answers.amber.id, now=at(7, 12))
    mine = worklists.worklist(db, answers.johan, filter="mine", now=at(7, 12))
    assert (len(mine.rows), mine.counts["mine"]) == (1, 1)


def test_it_is_put_back_and_closed_whole(db: Session, answers: Answers) -> None:
    flag.claim(db, answers.johan, answers.red.id, now=at(7, 11))
    flag.release(db, answers.johan, answers.red.id, now=at(7, 12))
    db.refresh(answers.amber)
    assert answers.amber.state == "open"
    flag.close(db, answers.johan, answers.red.id, "helped", "Ringte og snakket lenge.", now=at(7, 13))
    db.refresh(answers.amber)
    assert (answers.amber.state, answers.amber.outcome) == ("closed", "helped")
    said = [event.text for raised in (answers.red, answers.amber) for event in raised.events if event.text]
    assert said == ["Ringte og snakket lenge."]
    assert worklists.worklist(db, answers.johan, now=at(7, 14)).rows == []
    db.refresh(answers.wards)
    assert answers.wards.state == "open"


def test_it_is_moved_whole(db: Session, answers: Answers) -> None:
    coordinating = answers.ward.units["tromso-ke"]
    flag.move(db, answers.johan, answers.red.id, coordinating.id, now=at(7, 11))
    db.refresh(answers.amber)
    assert answers.amber.unit_id == coordinating.id


def test_what_a_colleague_has_taken_of_it_stays_theirs(db: Session, answers: Answers) -> None:
    siri = answers.ward.colleague("Siri Myhre", "tromso-rehab")
    flag.claim(db, siri, answers.red.id, now=at(7, 11))
    later = flag.raise_flag(
        db,
        answers.kari,
        code="crisis_words",
        level="red",
        unit=answers.ward.units["tromso-rehab"],
        now=at(7, 12),
        check_in=answers.ward.check_in(answers.kari, 7),
    )
    flag.close(db, answers.johan, later.id, "helped", now=at(7, 13))
    db.refresh(answers.red)
    assert answers.red.state == "claimed"
