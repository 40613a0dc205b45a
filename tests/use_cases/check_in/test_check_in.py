"""Check-ins from the tick to the ending: who is asked when, what is kept, and what a human hears."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, NotFound
from companion.models import Answer, CheckIn, Flag, Measure, Message, Patient
from companion.use_cases import check_in
from companion.use_cases.cases import flag
from companion.use_cases.messages import message
from tests.use_cases.small_ward import SmallWard, at, measure_id, themselves

PHYSIO = ("Fysioterapi to ganger i uken", "municipality", 5)
WALK = ("Gå en tur hver dag", "patient", 3)


@pytest.fixture
def ward(db: Session) -> SmallWard:
    return SmallWard(db)


def letters(db: Session, patient: Patient) -> list[str]:
    found = db.scalars(select(Message).where(Message.patient_id == patient.id).order_by(Message.id))
    return [letter.kind for letter in found]


def flags(db: Session, patient: Patient) -> Sequence[Flag]:
    return db.scalars(select(Flag).where(Flag.patient_id == patient.id).order_by(Flag.rank, Flag.code)).all()


def codes(db: Session, patient: Patient) -> list[str]:
    return [raised.code for raised in flags(db, patient)]


def answer_all(db: Session, patient: Patient, asked: CheckIn, **answers: str) -> None:
    """Goes through the questions as they come; what is not named is answered well, or passed by."""
    well = {"how": "good", "worse": "no", "contact": "false"}
    who = themselves(patient)
    link_id: str | None = check_in.page(db, who, asked.id, None, now=at(7, 11)).item.link_id
    while link_id:
        short = link_id.split(".", 2)[-1] if link_id.startswith("measure.") else link_id
        said = answers.get(short.replace(".", "_"), well.get(short, "yes" if short == "started" else ""))
        link_id = check_in.save(db, who, asked.id, link_id, [said], now=at(7, 11))


# --- the tick ---------------------------------------------------------------------------------------------------------


def test_asked_once_when_the_time_has_come(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    assert check_in.ask_due(db, at(7, 9, 59)) == 0
    assert check_in.ask_due(db, at(7)) == 1
    assert check_in.ask_due(db, at(7, 10, 1)) == 0
    assert ward.check_in(kari, 7).state == "asked"
    assert letters(db, kari) == ["check_in"]


def test_reminded_once_after_24_hours_then_given_up_with_a_flag(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    check_in.ask_due(db, at(7))
    assert check_in.remind_due(db, at(8, 9, 59)) == 0
    assert check_in.remind_due(db, at(8)) == 1
    assert check_in.remind_due(db, at(8, 11)) == 0
    assert letters(db, kari) == ["check_in", "reminder"]
    assert check_in.give_up_due(db, at(10, 9, 59)) == 0
    assert check_in.give_up_due(db, at(10)) == 1
    assert check_in.give_up_due(db, at(11)) == 0
    [silent] = flags(db, kari)
    assert (silent.code, silent.level, silent.unit.key) == ("no_answer", "amber", "post3")
    assert ward.check_in(kari, 7).state == "expired"


def test_what_falls_on_a_saturday_is_asked_on_monday_and_reminded_on_tuesday(
    db: Session, ward: SmallWard
) -> None:
    """Day 12 is a Saturday."""
    kari = ward.patient()
    asked = ward.check_in(kari, 7)
    asked.due_at = at(12)
    assert check_in.ask_due(db, at(12)) == 0
    assert (asked.state, asked.due_at, letters(db, kari)) == ("planned", at(14), [])
    assert check_in.ask_due(db, at(14)) == 1
    assert check_in.remind_due(db, at(14, 12)) == 0
    assert check_in.remind_due(db, at(15)) == 1


def test_several_overdue_give_one_question(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(template="stroke")
    assert check_in.ask_due(db, at(15)) == 1
    assert [ward.check_in(kari, day).state for day in (3, 14, 30)] == ["skipped", "asked", "planned"]
    assert letters(db, kari) == ["check_in"]


def test_much_too_late_is_put_before_the_ward(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    assert check_in.ask_due(db, at(15)) == 0
    assert (letters(db, kari), codes(db, kari)) == ([], ["not_asked"])
    assert ward.check_in(kari, 7).state == "expired"


def test_a_new_question_gives_up_the_open_one(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    check_in.ask_due(db, at(7))
    second = ward.check_in(kari, 30)
    second.due_at = at(8)
    check_in.ask_due(db, at(8))
    assert (ward.check_in(kari, 7).state, second.state) == ("expired", "asked")
    assert codes(db, kari) == ["no_answer"]


@pytest.mark.parametrize("state", ["paused", "stopped", "done"])
def test_a_plan_that_rests_asks_nobody(db: Session, ward: SmallWard, state: str) -> None:
    kari = ward.patient()
    check_in.ask_due(db, at(7))
    ward.check_in(kari, 7).plan.state = state
    assert check_in.remind_due(db, at(9)) == 0
    assert check_in.ask_due(db, at(30)) == 0
    assert letters(db, kari) == ["check_in"]


def test_the_dead_are_not_asked(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    kari.died_on = at(5).date()
    assert check_in.ask_due(db, at(7)) == 0


@pytest.mark.parametrize(("contact_by", "phone_state"), [("call", "ok"), ("sms", "dead")])
def test_who_takes_no_messages_is_put_on_the_call_list_once(
    db: Session, ward: SmallWard, contact_by: str, phone_state: str
) -> None:
    kari = ward.patient(contact_by=contact_by)
    kari.phone_state = phone_state
    assert check_in.ask_due(db, at(7)) == 1
    check_in.remind_due(db, at(8))
    check_in.give_up_due(db, at(10))
    assert (letters(db, kari), codes(db, kari)) == ([], ["call_due"])
    assert ward.check_in(kari, 7).state == "expired"


def test_seldom_means_seldom(db: Session, ward: SmallWard) -> None:
    """ME/CFS: never more than one message a week, so the reminder and "not today" wait a week."""
    mari = ward.patient(template="mecfs")
    check_in.ask_due(db, at(14))
    assert check_in.remind_due(db, at(20, 23)) == 0
    postponed = check_in.postpone(db, themselves(mari), ward.check_in(mari, 14).id, now=at(15))
    assert postponed.due_at == at(22)


def test_not_today_twice_then_the_ward_hears(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    asked = ward.check_in(kari, 7)
    for day in (7, 8):
        check_in.ask_due(db, at(day))
        assert check_in.postpone(db, themselves(kari), asked.id, now=at(day, 11)).due_at == at(day + 1)
    check_in.ask_due(db, at(9))
    with pytest.raises(Conflict, match="postponed"):
        check_in.postpone(db, themselves(kari), asked.id, now=at(9, 11))
    assert codes(db, kari) == ["postponed_twice"]
    assert asked.state == "asked"


def test_an_undeliverable_letter_that_arrived_after_all_hides_no_silence(
    db: Session, ward: SmallWard
) -> None:
    """Whether we hear of it before the check-in is given up or afterwards."""
    for heard_on, day in (("in time", 9), ("too late", 11)):
        kari = ward.patient(f"Kari {heard_on}")
        check_in.ask_due(db, at(7))
        letter = db.scalars(select(Message).where(Message.patient_id == kari.id)).one()
        letter.state = "undelivered"
        message.could_not_deliver(db, letter, "30005", now=at(7))
        kari.phone_state = "ok"
        check_in.remind_due(db, at(8))
        if day < 10:
            message.found(db, letter, at(day))
        check_in.give_up_due(db, at(10))
        if day > 10:
            message.found(db, letter, at(day))
        before_somebody = [raised.code for raised in flags(db, kari) if raised.state != "closed"]
        assert before_somebody == ["no_answer" if day < 10 else "undeliverable"]


def test_who_was_phoned_once_and_is_asked_anew_is_not_forgotten(db: Session, ward: SmallWard) -> None:
    """The call about the first asking was made; that tells nobody that the second is not answered either."""
    kari, sofia = ward.patient(contact_by="call"), ward.colleague("Sofia", "post3")
    check_in.ask_due(db, at(7))
    [call] = flags(db, kari)
    flag.claim(db, sofia, call.id, now=at(7, 11))
    flag.close(db, sofia, call.id, "helped", "", now=at(7, 11))
    kari.contact_by = "sms"
    check_in.postpone(db, themselves(kari), ward.check_in(kari, 7).id, now=at(7, 12))
    check_in.ask_due(db, at(8))
    check_in.remind_due(db, at(9))
    check_in.give_up_due(db, at(11))
    assert codes(db, kari) == ["call_due", "no_answer"]


def test_what_was_answered_before_not_today_is_read_when_another_one_takes_its_place(
    db: Session, ward: SmallWard
) -> None:
    kari = ward.patient()
    who, asked = themselves(kari), ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    check_in.save(db, who, asked.id, "how", ["bad"], now=at(7))
    check_in.save(db, who, asked.id, "worse", ["clearly"], now=at(7))
    check_in.postpone(db, who, asked.id, now=at(7))
    check_in.ask_due(db, at(30))
    assert (asked.state, ward.check_in(kari, 30).state) == ("skipped", "asked")
    assert codes(db, kari) == ["clearly_worse"]


def test_two_dispatchers_ask_each_person_once(db: Session, engine: Engine) -> None:
    """One holds half of the people in an open transaction; the other takes the rest and does not wait."""
    ward = SmallWard(db)
    people = [ward.patient(f"Nr {n}") for n in range(6)]
    db.commit()
    if engine.dialect.name == "sqlite":
        first, second = check_in.ask_due(db, at(7), limit=3), 0
        db.commit()
    else:
        with Session(engine) as other:
            first = check_in.ask_due(db, at(7), limit=3)
            second = check_in.ask_due(other, at(7), limit=2)
            other.commit()
            db.commit()
    rest = check_in.ask_due(db, at(7))
    assert (first, first + second + rest) == (3, 6)
    assert [letters(db, person) for person in people] == [["check_in"]] * 6


def test_an_earlier_check_in_is_not_taken_by_the_other_dispatcher(db: Session, engine: Engine) -> None:
    ward = SmallWard(db)
    kari = ward.patient(template="stroke")
    db.commit()
    if engine.dialect.name == "sqlite":
        assert check_in.ask_due(db, at(15), limit=1) == 1
    else:
        with Session(engine) as other:
            assert check_in.ask_due(db, at(15), limit=1) == 1
            assert check_in.ask_due(other, at(15)) == 0
            db.commit()
            assert check_in.ask_due(other, at(15)) == 0
            other.commit()
    assert letters(db, kari) == ["check_in"]
    assert [ward.check_in(kari, day).state for day in (3, 14)] == ["skipped", "asked"]


@pytest.mark.parametrize("seed", range(4))
def test_however_the_ticks_fall_nobody_is_pestered_and_no_silence_is_lost(
    db: Session, ward: SmallWard, seed: int
) -> None:
    """A dispatcher that comes when it likes, and people who answer, put off or say nothing."""
    chance = Random(seed)
    people = [
        ward.patient(f"Nr {n}", template=template) for n, template in enumerate(("stroke", "mecfs", "frail"))
    ]
    hour = 0
    while hour < 24 * 100:
        hour += chance.choice((1, 5, 20, 30, 100, 300))
        now = at(0) + timedelta(hours=hour)
        check_in.ask_due(db, now)
        check_in.remind_due(db, now)
        check_in.give_up_due(db, now)
        for person in people:
            asked = check_in.current(db, themselves(person), now=now)
            if asked and chance.random() < 0.2 and asked.postponed < 2:
                check_in.postpone(db, themselves(person), asked.id, now=now)
    for person in people:
        every = db.scalars(select(CheckIn).where(CheckIn.patient_id == person.id)).all()
        flagged = {raised.check_in_id for raised in flags(db, person)}
        assert sum(one.state == "asked" for one in every) <= 1
        assert {one.id for one in every if one.state == "expired"} <= flagged
        assert not [one for one in every if one.due_at < at(80) and one.state == "planned"]
        written = Counter(
            (m.check_in_id, m.kind) for m in db.scalars(select(Message)) if m.patient_id == person.id
        )
        for one in every:
            assert written[one.id, "check_in"] <= 1 + one.postponed
            assert written[one.id, "reminder"] <= 1 + one.postponed


# --- answering --------------------------------------------------------------------------------------------------------


def test_nobody_elses_check_in_is_there(db: Session, ward: SmallWard) -> None:
    kari, ola = ward.patient(), ward.patient("Ola Hansen")
    check_in.ask_due(db, at(7))
    theirs = ward.check_in(ola, 7)
    for who in (themselves(kari), ward.colleague("Johan Bakk", "post9")):
        with pytest.raises(NotFound):
            check_in.page(db, who, theirs.id, None, now=at(7))
        with pytest.raises(NotFound):
            check_in.save(db, who, theirs.id, "how", ["good"], now=at(7))
    with pytest.raises(NotFound):
        check_in.page(db, themselves(ola), ward.check_in(ola, 30).id, None, now=at(7))


def test_one_question_after_the_other_and_back(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(measures=(PHYSIO,))
    who, asked = themselves(kari), ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    first = check_in.page(db, who, asked.id, None, now=at(7))
    assert (first.item.link_id, first.number, first.previous_link_id) == ("how", 1, None)
    second = check_in.save(db, who, asked.id, "how", ["good"], now=at(7))
    assert second == f"measure.{measure_id(kari, db)}.started"
    page = check_in.page(db, who, asked.id, second, now=at(7))
    assert "Fysioterapi to ganger i uken" in page.item.text.in_("nb")
    assert page.item.hint
    assert "Tromsø kommune" in page.item.hint.in_("nb")
    assert (page.number, page.previous_link_id) == (2, "how")
    assert check_in.page(db, who, asked.id, "how", now=at(7)).value == "good"


def test_a_changed_mind_is_a_new_row_and_hides_what_followed(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(measures=(PHYSIO,))
    who, asked = themselves(kari), ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    answer_all(db, kari, asked, started="not_yet", why="too_ill")
    started = f"measure.{measure_id(kari, db)}.started"
    check_in.save(db, who, asked.id, started, ["yes"], now=at(7, 11))
    said = db.scalars(select(Answer.value).where(Answer.link_id == started).order_by(Answer.at)).all()
    assert said == ["not_yet", "yes"]
    with pytest.raises(NotFound):
        check_in.page(db, who, asked.id, started.replace("started", "why"), now=at(7, 11))
    check_in.finish(db, who, asked.id, now=at(7, 12))
    assert codes(db, kari) == []
    assert db.get_one(Measure, measure_id(kari, db)).status == "started"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ([], "required"),
        ([""], "required"),
        (["<b>"], "not_an_option"),
        (["good", "bad"], "not_an_option"),
    ],
)
def test_an_answer_that_does_not_do_is_named_and_nothing_is_kept(
    db: Session, ward: SmallWard, raw: list[str], code: str
) -> None:
    kari = ward.patient()
    check_in.ask_due(db, at(7))
    with pytest.raises(Invalid) as refused:
        check_in.save(db, themselves(kari), ward.check_in(kari, 7).id, "how", raw, now=at(7))
    assert refused.value.problems == {"answer": code}
    assert db.scalars(select(Answer)).all() == []


def test_whoever_comes_back_goes_on_where_they_were(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    who, asked = themselves(kari), ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    check_in.save(db, who, asked.id, "how", ["good"], now=at(7))
    assert check_in.page(db, who, asked.id, None, now=at(8)).item.link_id == "worse"
    answer_all(db, kari, asked)
    assert check_in.page(db, who, asked.id, None, now=at(8)).is_last


def test_what_may_be_passed_by_is_not_asked_again(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    who, asked = themselves(kari), ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    check_in.save(db, who, asked.id, "how", ["good"], now=at(7))
    assert check_in.save(db, who, asked.id, "worse", ["clearly"], now=at(7)) == "worse.text"
    assert check_in.page(db, who, asked.id, "worse.text", now=at(7)).urgency
    check_in.save(db, who, asked.id, "worse.text", [" "], now=at(7))
    assert check_in.page(db, who, asked.id, None, now=at(7)).item.link_id == "contact"
    assert check_in.page(db, who, asked.id, "worse.text", now=at(7)).value is None


def test_a_look_over_the_answers_before_they_are_sent(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    who, asked = themselves(kari), ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    check_in.save(db, who, asked.id, "how", ["good"], now=at(7))
    begun = check_in.review(db, who, asked.id, now=at(7))
    assert begun.unanswered == "worse"
    assert [(item.link_id, value) for item, value in begun.lines] == [
        ("how", "good"),
        ("worse", None),
        ("contact", None),
    ]
    answer_all(db, kari, asked, worse="clearly", worse_text="Hodet")
    done = check_in.review(db, who, asked.id, now=at(7))
    assert (done.unanswered, done.urgency) == (None, True)


def test_unfinished_is_not_sent(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    who, asked = themselves(kari), ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    check_in.save(db, who, asked.id, "how", ["good"], now=at(7))
    with pytest.raises(Invalid) as refused:
        check_in.finish(db, who, asked.id, now=at(7))
    assert refused.value.problems == {"worse": "required", "contact": "required"}
    with pytest.raises(Conflict, match="not_answered"):
        check_in.ending(db, who, asked.id, now=at(7))


def test_sent_twice_is_sent_once_and_then_stands(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(measures=(PHYSIO,))
    who, asked = themselves(kari), ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    answer_all(db, kari, asked, started="not_yet", why="nobody_contacted", contact="true")
    first = check_in.finish(db, who, asked.id, now=at(7, 12))
    assert check_in.finish(db, who, asked.id, now=at(7, 13)) == first
    assert codes(db, kari) == ["nobody_contacted_overdue", "wants_contact"]
    assert len(db.get_one(Measure, measure_id(kari, db)).statuses) == 1
    with pytest.raises(Conflict, match="answered"):
        check_in.save(db, who, asked.id, "how", ["bad"], now=at(7, 13))
    with pytest.raises(Conflict, match="answered"):
        check_in.postpone(db, who, asked.id, now=at(7, 13))


@pytest.mark.parametrize(
    ("why", "status", "owner", "level"),
    [
        ("nobody_contacted", "not_started", "tromso-rehab", "red"),
        ("waiting_list", "not_started", "tromso-rehab", "amber"),
        ("no_transport", "not_started", "tromso-ke", "amber"),
        ("too_ill", "not_started", "post3", "amber"),
        ("not_wanted", "declined", "post3", "amber"),
    ],
)
def test_the_reason_decides_whose_worklist(
    db: Session, ward: SmallWard, why: str, status: str, owner: str, level: str
) -> None:
    kari = ward.patient(measures=(PHYSIO,))
    asked = ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    answer_all(db, kari, asked, started="not_yet", why=why)
    check_in.finish(db, themselves(kari), asked.id, now=at(7, 12))
    [raised] = flags(db, kari)
    assert (raised.unit.key, raised.level, raised.measure_id) == (owner, level, measure_id(kari, db))
    assert db.get_one(Measure, measure_id(kari, db)).status == status


def test_crisis_words_do_not_wait_for_the_last_question(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    who, asked = themselves(kari), ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    check_in.save(db, who, asked.id, "how", ["ok"], now=at(7))
    check_in.save(db, who, asked.id, "worse", ["clearly"], now=at(7))
    check_in.save(db, who, asked.id, "worse.text", ["Jeg vil ikke leve lenger"], now=at(7))
    raised = next(one for one in flags(db, kari) if one.code == "crisis_words")
    assert (raised.level, raised.quote) == ("red", "Jeg vil ikke leve lenger")
    check_in.save(db, who, asked.id, "contact", ["false"], now=at(7))
    check_in.finish(db, who, asked.id, now=at(7))
    assert codes(db, kari) == ["clearly_worse", "crisis_words"]


def test_answers_of_one_who_stopped_halfway_are_read_too(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    who, asked = themselves(kari), ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    check_in.save(db, who, asked.id, "how", ["bad"], now=at(7))
    check_in.save(db, who, asked.id, "worse", ["clearly"], now=at(7))
    check_in.remind_due(db, at(8))
    check_in.give_up_due(db, at(10))
    assert codes(db, kari) == ["clearly_worse", "no_answer"]
    with pytest.raises(Conflict, match="expired"):
        check_in.page(db, who, asked.id, None, now=at(10))


def test_a_started_measure_is_not_asked_about_again(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(measures=(PHYSIO, WALK))
    who, asked = themselves(kari), ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    walk = f"measure.{measure_id(kari, db, 2)}.started"
    answer_all(db, kari, asked)
    check_in.save(db, who, asked.id, walk, ["unknown"], now=at(7, 11))
    check_in.finish(db, who, asked.id, now=at(7, 12))
    later = ward.check_in(kari, 30)
    check_in.ask_due(db, at(30))
    second = check_in.save(db, who, later.id, "how", ["good"], now=at(30))
    assert second == walk
    assert str(measure_id(kari, db)) in str(check_in.response(db, asked)), "what was asked then stays"


# --- what happens now -------------------------------------------------------------------------------------------------


def test_all_well_promises_nothing_but_the_next_time(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    asked = ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    answer_all(db, kari, asked)
    ending = check_in.finish(db, themselves(kari), asked.id, now=at(7, 12))
    assert (ending.steps, ending.heard_by, ending.urgency) == ((), None, False)
    assert ending.next
    assert (ending.next.at, ending.next.channel) == (at(30), "sms")
    assert [unit.key for unit in ending.contacts] == ["tromso-ke", "post3"]


def test_the_ending_tells_who_has_it_and_when_it_is_done(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(measures=(PHYSIO,))
    who, asked = themselves(kari), ward.check_in(kari, 7)
    johan = ward.colleague("Johan Bakk", "tromso-rehab")
    check_in.ask_due(db, at(7))
    answer_all(db, kari, asked, started="not_yet", why="nobody_contacted", contact="true")
    [step] = check_in.finish(db, who, asked.id, now=at(7, 12)).steps
    assert (step.unit.key, step.who, step.state) == ("tromso-rehab", None, "open")
    assert {one.code for one in step.flags} == {"nobody_contacted_overdue", "wants_contact"}
    for one in step.flags:
        flag.claim(db, johan, one.id, now=at(7, 14))
    seen = check_in.ending(db, who, asked.id, now=at(7, 15))
    [step] = seen.steps
    assert step.who
    assert (step.who.name, step.state, step.seen_at) == ("Johan Bakk", "claimed", at(7, 14))
    assert seen.heard_by == step.respond_by
    for one in step.flags:
        flag.close(db, johan, one.id, "helped", now=at(8))
    done = check_in.ending(db, who, asked.id, now=at(8, 11))
    assert (done.steps[0].state, done.steps[0].closed_at, done.heard_by) == ("closed", at(8), None)


def test_an_answer_settles_the_call_that_was_due(db: Session, ward: SmallWard) -> None:
    kari, gerd = ward.patient(contact_by="call"), ward.patient("Gerd Mikkelsen", contact_by="call")
    nurse = ward.colleague("Sofia Berg", "post3")
    check_in.ask_due(db, at(7))
    [taken] = flags(db, gerd)
    flag.claim(db, nurse, taken.id, now=at(7))
    for person in (kari, gerd):
        answer_all(db, person, ward.check_in(person, 7))
        check_in.finish(db, themselves(person), ward.check_in(person, 7).id, now=at(7, 12))
    [settled] = flags(db, kari)
    assert (settled.state, settled.outcome, settled.claimed_by_id) == ("closed", "not_needed", None)
    assert taken.state == "claimed"


def test_no_next_time_is_promised_while_the_plan_rests(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    asked = ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    answer_all(db, kari, asked)
    asked.plan.state = "paused"
    assert check_in.finish(db, themselves(kari), asked.id, now=at(7, 12)).next is None


def test_the_answers_as_fhir(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(measures=(PHYSIO,))
    asked = ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    answer_all(db, kari, asked)
    check_in.finish(db, themselves(kari), asked.id, now=at(7, 12))
    made = check_in.response(db, asked)
    assert (made["status"], made["authored"]) == ("completed", at(7, 12).isoformat())
    assert made["item"][0]["answer"][0]["valueCoding"]["code"] == "good"


def test_a_postponed_one_asked_again_before_the_letter_went_is_one_letter(
    db: Session, ward: SmallWard
) -> None:
    """Asked, and put off while the post stood still: nothing has left the house, and one letter does."""
    kari = ward.patient()
    asked = ward.check_in(kari, 7)
    check_in.ask_due(db, at(7))
    check_in.postpone(db, themselves(kari), asked.id, now=at(7, 11))
    assert asked.due_at == at(8)
    assert check_in.ask_due(db, at(8)) == 1
    assert letters(db, kari) == ["check_in"]


def test_put_off_on_friday_it_is_asked_on_monday(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    asked = ward.check_in(kari, 7)
    asked.due_at = at(11)
    check_in.ask_due(db, at(11))
    check_in.postpone(db, themselves(kari), asked.id, now=at(11, 11))
    assert asked.due_at == at(14)
    assert check_in.coming(db, asked.plan.check_ins, at(11, 12))[0].at == at(14)
