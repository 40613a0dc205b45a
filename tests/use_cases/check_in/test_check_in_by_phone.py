"""The same questions asked by staff on the telephone: who may, what is kept, and what follows."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, NotFound
from companion.models import Answer, CheckIn, Flag, Measure, Patient
from companion.rules.access import Actor
from companion.rules.questionnaire import address
from companion.use_cases import check_in
from companion.use_cases.cases import flag
from tests.use_cases.small_ward import SmallWard, at, measure_id, themselves

PHYSIO = ("Fysioterapi to ganger i uken", "municipality", 12)


@pytest.fixture
def ward(db: Session) -> SmallWard:
    return SmallWard(db)


@pytest.fixture
def sofia(ward: SmallWard) -> Actor:
    return ward.colleague("Sofia Berg", "post3")


def said(answers: Mapping[str, str]) -> dict[str, str]:
    """Answers by linkId, as the form posts them."""
    return {address(link_id): value for link_id, value in answers.items()}


def well(patient: Patient, db: Session, **more: str) -> dict[str, str]:
    """All is well, the physiotherapy included."""
    started = f"measure.{measure_id(patient, db)}.started"
    return {"how": "good", started: "yes", "worse": "no", "contact": "false"} | more


def codes(db: Session, patient: Patient) -> dict[str, str]:
    return {
        raised.code: raised.state for raised in db.scalars(select(Flag)) if raised.patient_id == patient.id
    }


def asked(db: Session, ward: SmallWard, **about: str) -> tuple[Patient, CheckIn]:
    """Kari, asked on day 7."""
    kari = ward.patient(measures=(PHYSIO,), **about)  # type: ignore[arg-type]
    check_in.ask_due(db, at(7))
    return kari, ward.check_in(kari, 7)


def silent(db: Session, ward: SmallWard) -> tuple[Patient, CheckIn]:
    """Kari, who did not answer."""
    kari, one = asked(db, ward)
    check_in.remind_due(db, at(8))
    check_in.give_up_due(db, at(10))
    assert one.state == "expired"
    return kari, one


def test_answers_on_the_phone_are_answers(db: Session, ward: SmallWard, sofia: Actor) -> None:
    kari, one = asked(db, ward, contact_by="call")
    assert codes(db, kari) == {"call_due": "open"}
    answers = well(kari, db, worse="clearly") | {"worse.text": "Hodepine"}
    ending = check_in.answer_by_phone(db, sofia, one.id, said(answers), now=at(7, 12))
    assert (one.state, one.answered_at, one.ended_at) == ("answered", at(7, 12), at(7, 12))
    assert ending.written_by
    assert ending.written_by.name == "Sofia Berg"
    assert codes(db, kari) == {"call_due": "closed", "clearly_worse": "open"}
    assert {(row.by_kind, row.by_id) for row in db.scalars(select(Answer))} == {("professional", sofia.id)}
    [status] = db.get_one(Measure, measure_id(kari, db)).statuses
    assert (status.status, status.by_kind, status.by_id) == ("started", "professional", sofia.id)
    assert check_in.response(db, one)["author"] == {"reference": f"Practitioner/{sofia.id}"}
    assert check_in.ending(db, themselves(kari), one.id, now=at(7, 13)) == ending


def test_the_questions_come_all_at_once(db: Session, ward: SmallWard, sofia: Actor) -> None:
    _kari, one = asked(db, ward)
    form = check_in.phone_form(db, sofia, one.id, now=at(7))
    assert next(item.link_id for item, _ in form.lines) == "how"
    assert "worse.text" not in [item.link_id for item, _ in form.lines]
    assert "worse" in form.steering
    typed = said({"worse": "clearly", "how": "nonsense"})
    more = check_in.phone_form(db, sofia, one.id, typed, now=at(7))
    lines = {item.link_id: value for item, value in more.lines}
    assert (lines["worse"], lines["worse.text"], lines["how"]) == ("clearly", "", "nonsense")
    assert more.urgency
    assert db.scalars(select(Answer)).all() == []


def test_what_is_missing_is_named_and_nothing_is_kept(db: Session, ward: SmallWard, sofia: Actor) -> None:
    kari, one = asked(db, ward)
    answers = well(kari, db, how="", worse="clearly")
    with pytest.raises(Invalid) as refused:
        check_in.answer_by_phone(db, sofia, one.id, said(answers), now=at(7))
    assert refused.value.problems == {address("how"): "required", address("worse.text"): "new"}
    assert (db.scalars(select(Answer)).all(), one.state) == ([], "asked")


def test_what_the_person_answered_stays_theirs(db: Session, ward: SmallWard, sofia: Actor) -> None:
    kari, one = asked(db, ward)
    check_in.save(db, themselves(kari), one.id, "how", ["good"], now=at(7))
    check_in.save(db, themselves(kari), one.id, "worse", ["a_little"], now=at(7))
    check_in.answer_by_phone(db, sofia, one.id, said(well(kari, db)), now=at(7, 12))
    rows = [(row.link_id.split(".")[0], row.value, row.by_kind) for row in one.answers]
    assert rows == [
        ("how", "good", "patient"),
        ("worse", "a_little", "patient"),
        ("measure", "yes", "professional"),
        ("worse", "no", "professional"),
        ("contact", False, "professional"),
    ]


def test_who_did_not_answer_may_answer_on_the_phone(db: Session, ward: SmallWard, sofia: Actor) -> None:
    kari, one = silent(db, ward)
    with pytest.raises(Conflict, match="expired"):
        check_in.page(db, themselves(kari), one.id, None, now=at(11))
    check_in.answer_by_phone(
        db, sofia, one.id, said(well(kari, db, contact="true") | {"contact.text": ""}), now=at(11)
    )
    assert (one.state, one.ended_at, one.answered_at) == ("answered", at(10), at(11))
    # The silence was put before a human, and a human ends it.
    assert codes(db, kari) == {"no_answer": "open", "wants_contact": "open"}


def test_fourteen_days_later_it_is_too_late(db: Session, ward: SmallWard, sofia: Actor) -> None:
    _kari, one = silent(db, ward)
    last = at(10) + check_in.BY_PHONE_WITHIN - timedelta(minutes=1)
    assert check_in.phone_form(db, sofia, one.id, now=last).lines
    with pytest.raises(Conflict, match="expired"):
        check_in.phone_form(db, sofia, one.id, now=at(10) + check_in.BY_PHONE_WITHIN)


def test_once_asked_anew_the_old_one_is_over(db: Session, ward: SmallWard, sofia: Actor) -> None:
    kari, one = silent(db, ward)
    newer = ward.check_in(kari, 30)
    newer.due_at = at(14)
    check_in.ask_due(db, at(14))
    with pytest.raises(Conflict, match="expired"):
        check_in.phone_form(db, sofia, one.id, now=at(14))
    assert check_in.phone_form(db, sofia, newer.id, now=at(14)).check_in is newer


def test_what_expired_half_answered_is_not_said_twice(db: Session, ward: SmallWard, sofia: Actor) -> None:
    kari, one = asked(db, ward)
    started = f"measure.{measure_id(kari, db)}.started"
    for link_id, value in (("how", "good"), (started, "unknown"), ("worse", "clearly")):
        check_in.save(db, themselves(kari), one.id, link_id, [value], now=at(7))
    check_in.remind_due(db, at(8))
    check_in.give_up_due(db, at(10))
    form = check_in.phone_form(db, sofia, one.id, now=at(11))
    lines = {item.link_id: value for item, value in form.lines}
    assert (lines[started], lines["worse"]) == ("unknown", "clearly")
    answers = {link_id: value for link_id, value in lines.items() if value or "text" in link_id}
    check_in.answer_by_phone(db, sofia, one.id, said(answers | {"contact": "false"}), now=at(11))
    assert [status.status for status in db.get_one(Measure, measure_id(kari, db)).statuses] == ["unknown"]
    assert sorted(raised.code for raised in db.scalars(select(Flag))) == [
        "clearly_worse",
        "no_answer",
    ]


def test_a_postponed_one_is_answered_and_not_asked_again(db: Session, ward: SmallWard, sofia: Actor) -> None:
    kari, one = asked(db, ward)
    check_in.postpone(db, themselves(kari), one.id, now=at(7, 11))
    check_in.answer_by_phone(db, sofia, one.id, said(well(kari, db)), now=at(7, 12))
    assert check_in.ask_due(db, at(9)) == 0
    assert one.state == "answered"


def test_only_units_that_follow_may_ask(db: Session, ward: SmallWard, sofia: Actor) -> None:
    kari, one = asked(db, ward)
    ola = ward.patient("Ola Hansen")
    for who in (
        ward.colleague("Geir Nordgård", "post9"),
        themselves(ola),
        Actor("integration"),
        Actor("system"),
    ):
        with pytest.raises(NotFound):
            check_in.phone_form(db, who, one.id, now=at(7))
        with pytest.raises(NotFound):
            check_in.answer_by_phone(db, who, one.id, said(well(kari, db)), now=at(7))
    with pytest.raises(NotFound):
        check_in.postpone(db, sofia, one.id, now=at(7))
    with pytest.raises(NotFound):
        check_in.phone_form(db, sofia, ward.check_in(kari, 30).id, now=at(7))


def test_the_dead_are_not_phoned(db: Session, ward: SmallWard, sofia: Actor) -> None:
    kari, one = asked(db, ward)
    kari.died_on = at(7).date()
    with pytest.raises(Conflict, match="died"):
        check_in.phone_form(db, sofia, one.id, now=at(8))


def test_a_second_call_changes_nothing(db: Session, ward: SmallWard, sofia: Actor) -> None:
    kari, one = asked(db, ward)
    check_in.answer_by_phone(db, sofia, one.id, said(well(kari, db)), now=at(7))
    before = len(one.answers)
    with pytest.raises(Conflict, match="answered"):
        check_in.answer_by_phone(db, sofia, one.id, said(well(kari, db, how="bad")), now=at(7, 11))
    assert len(one.answers) == before


def test_a_call_somebody_took_is_ended_by_them(db: Session, ward: SmallWard, sofia: Actor) -> None:
    kari, one = asked(db, ward, contact_by="call")
    [due] = db.scalars(select(Flag)).all()
    flag.claim(db, sofia, due.id, now=at(7))
    check_in.answer_by_phone(db, sofia, one.id, said(well(kari, db)), now=at(7, 12))
    assert codes(db, kari) == {"call_due": "claimed"}


def test_what_the_answers_raise_in_the_ward_is_not_settled_with_the_call(
    db: Session, ward: SmallWard, sofia: Actor
) -> None:
    gerd = ward.patient("Gerd Mikkelsen", contact_by="call", units=("post3",))
    check_in.ask_due(db, at(7))
    one = ward.check_in(gerd, 7)
    answers = said({"how": "good", "worse": "no", "contact": "true", "contact.text": ""})
    check_in.answer_by_phone(db, sofia, one.id, answers, now=at(7, 12))
    assert codes(db, gerd) == {"call_due": "closed", "wants_contact": "open"}
