"""The whole check-in by SMS: a question at a time, a digit back, and everything that may come between."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.models import Answer, CheckIn, Flag, MeasureStatus, Message, Patient
from companion.rules.questionnaire import address
from companion.use_cases import check_in
from companion.use_cases.going_home import plan
from companion.use_cases.messages import contact, message
from companion.use_cases.replies import heard as reply
from companion.worklists import call_list, next_due
from tests.use_cases.small_ward import SmallWard, at, measure_id, themselves

PHYSIO = ("Fysioterapi to ganger i uken", "municipality", 5)
GROUP = ("Treningsgruppe i kommunen", "municipality", 30)
WALK = ("Gå en tur hver dag", "patient", 3)
FAMILY = (
    "question",
    "question_again",
    "next_question",
    "rest_by_phone",
    "all_answered",
    "reply",
    "stopped",
    "crisis",
)


@dataclass
class ButtonPhone:
    """Odd's phone: what he writes, and what has come since."""

    db: Session
    ward: SmallWard
    odd: Patient
    read: int = 0

    def write(self, text: str, now: datetime) -> list[str]:
        """The patient writes, and reads what comes back."""
        assert self.odd.phone
        assert reply.receive(self.db, self.odd.phone, text, said_at=now, now=now)
        return self.receive()

    def receive(self) -> list[str]:
        """What has come to this number since the last look, and now is on the phone: the question, or the letter's kind."""
        written = select(Message).where(Message.id > self.read, Message.kind.in_(FAMILY))
        new = self.db.scalars(written.order_by(Message.id)).all()
        for letter in new:
            self.read, letter.state = letter.id, "accepted"
        self.db.flush()
        return [told(letter) for letter in new]

    def day(self, number: int) -> CheckIn:
        return self.ward.check_in(self.odd, number)

    @property
    def answers(self) -> list[tuple[str, Any]]:
        """Every answer given, in order, measures without their ids."""
        found = self.db.scalars(
            select(Answer).join(CheckIn, CheckIn.id == Answer.check_in_id).order_by(Answer.at)
        )
        return [(short(one.link_id), one.value) for one in found]

    @property
    def flags(self) -> list[tuple[str, str]]:
        """Code and level of every flag that is not closed, red first."""
        still = select(Flag).where(Flag.patient_id == self.odd.id, Flag.state != "closed")
        return [(one.code, one.level) for one in self.db.scalars(still.order_by(Flag.rank, Flag.code))]


def told(letter: Message) -> str:
    params = letter.params
    if "ask" in params:
        point = f" {params['point']}" if params["point"] else ""
        return f"{params['number']}/{params['total']} {params['ask']}{point}" + (
            "!" if params["hint"] else ""
        )
    return str(params.get("about", letter.kind))


def short(link_id: str) -> str:
    return link_id.split(".", 2)[-1] if link_id.startswith("measure.") else link_id


def odd(ward: SmallWard, **more: Any) -> Patient:
    patient = ward.patient("Odd Hansen", **more)
    patient.sms_agreed_at = at(0)
    ward.db.flush()
    return patient


@pytest.fixture
def ward(db: Session) -> SmallWard:
    return SmallWard(db)


@pytest.fixture
def phone(db: Session, ward: SmallWard) -> ButtonPhone:
    """Asked on the seventh day at ten, two measures."""
    phone = ButtonPhone(db, ward, odd(ward, measures=(PHYSIO, WALK)))
    check_in.ask_due(db, at(7))
    assert phone.receive() == ["1/5 how"]
    return phone


# --- a whole conversation ---------------------------------------------------------------------------------------------


def test_a_conversation_from_the_first_question_to_the_last_words(db: Session, phone: ButtonPhone) -> None:
    said = [phone.write(digit, at(7, 11, n)) for n, digit in enumerate(("2", "1", "nei", "1", "1", "2"))]
    assert said == [
        ["2/5 started 1"],
        ["3/5 started 2"],
        ["4/6 why 2"],
        ["5/6 worse"],
        ["6/6 contact"],
        ["all_answered"],
    ]
    assert phone.answers == [
        ("how", "good"),
        ("started", "yes"),
        ("started", "not_yet"),
        ("why", "nobody_contacted"),
        ("worse", "no"),
        ("contact", False),
    ]
    one = phone.day(7)
    assert (one.state, one.answered_at, one.heard_at) == ("answered", at(7, 11, 5), at(7, 11, 5))
    assert phone.flags == [("nobody_contacted_overdue", "red")]
    assert {answer.by_kind for answer in one.answers} == {"patient"}
    letters = db.scalars(select(Message).where(Message.kind == "all_answered")).all()
    assert [letter.params["again"] for letter in letters] == ["2026-12-09"]


def test_the_last_words_promise_what_the_flags_make_true(db: Session, phone: ButtonPhone) -> None:
    for n, digit in enumerate(("5", "1", "1", "3")):
        phone.write(digit, at(7, 11, n))
    assert phone.write("ja", at(7, 12)) == ["all_answered"]
    assert phone.flags == [
        ("clearly_worse", "red"),
        ("wants_contact", "red"),
        ("feels_very_bad", "amber"),
    ]
    said = db.scalars(select(Message).where(Message.kind == "all_answered")).one().params
    assert said == {
        "urgent": True,
        "call": True,
        "read_by": "2026-11-16",
        "again": "2026-12-09",
        "by_call": False,
    }


def test_nothing_to_see_to_promises_nobody_s_eyes(db: Session, phone: ButtonPhone) -> None:
    for n, digit in enumerate(("1", "1", "1", "1", "2")):
        phone.write(digit, at(7, 11, n))
    said = db.scalars(select(Message).where(Message.kind == "all_answered")).one().params
    assert (said["urgent"], said["call"], said["read_by"]) == (False, False, None)
    assert phone.flags == []


@pytest.mark.parametrize(
    ("digits", "typed"),
    [
        (("1", "1", "1", "1", "2"), ("very_good", "yes", "yes", "no", "false")),
        (("5", "2", "3", "3", "3", "1"), ("very_bad", "not_yet", "too_ill", "unknown", "clearly", "true")),
        (
            ("3", "2", "6", "2", "7", "2", "2"),
            ("ok", "not_yet", "not_wanted", "not_yet", "other", "a_little", "false"),
        ),
        (("4", "nei", "4", "ja", "1", "nei"), ("bad", "not_yet", "no_transport", "yes", "no", "false")),
    ],
)
def test_the_same_answers_lead_to_the_same_as_on_the_web(
    db: Session, ward: SmallWard, phone: ButtonPhone, digits: tuple[str, ...], typed: tuple[str, ...]
) -> None:
    kari = ward.patient("Kari", measures=(PHYSIO, WALK))
    check_in.ask_due(db, at(7))
    asked, rest = ward.check_in(kari, 7), iter(typed)
    link_id: str | None = "how"
    while link_id:
        said = "" if link_id.endswith(".text") else next(rest)
        link_id = check_in.save(db, themselves(kari), asked.id, link_id, [said], now=at(7, 12))
    check_in.finish(db, themselves(kari), asked.id, now=at(7, 12))
    for n, digit in enumerate(digits):
        phone.write(digit, at(7, 12, n))
    assert phone.day(7).state == "answered"
    assert came_of(db, phone.odd) == came_of(db, kari)


def came_of(db: Session, patient: Patient) -> tuple[list[Any], list[Any]]:
    flags = db.scalars(select(Flag).where(Flag.patient_id == patient.id))
    statuses = db.scalars(
        select(MeasureStatus)
        .join(MeasureStatus.measure)
        .where(MeasureStatus.measure.has(patient_id=patient.id))
    )
    return (
        sorted((one.code, one.level, one.unit_id.hex, one.params["day"]) for one in flags),
        sorted((one.measure.number, one.status, one.reason or "", one.by_kind) for one in statuses),
    )


def test_what_an_sms_may_not_ask_is_left_for_a_call_and_what_was_said_counts_at_once(
    db: Session, ward: SmallWard
) -> None:
    phone = ButtonPhone(db, ward, odd(ward, template="stroke", measures=(GROUP,)))
    check_in.ask_due(db, at(3))
    assert phone.receive() == ["1/4 how"]
    for n, digit in enumerate(("2", "2", "1", "3")):
        phone.write(digit, at(3, 11, n))
    assert phone.write("2", at(3, 12)) == ["rest_by_phone"]
    assert phone.flags == [
        ("clearly_worse", "red"),
        ("not_started_nobody_contacted", "amber"),
        ("rest_by_phone", "amber"),
    ]
    one = phone.day(3)
    assert (one.state, db.scalars(select(MeasureStatus.status)).all()) == ("asked", ["not_started"])
    said = db.scalars(select(Message).where(Message.kind == "rest_by_phone")).one()
    assert said.params["urgent"] is True
    sofia = ward.colleague("Sofia Berg", "post3")
    assert [row.code for row in call_list(db, sofia, now=at(3, 13))] == ["rest_by_phone"]
    # Nobody is reminded of questions that somebody else is to ask; the ward is not told of silence either.
    check_in.remind_due(db, at(4, 13))
    check_in.give_up_due(db, at(6, 14))
    assert phone.receive() == []
    assert one.state == "expired"
    assert ("no_answer", "amber") not in phone.flags
    form = check_in.phone_form(db, sofia, one.id, now=at(7))
    assert next(value for item, value in form.lines if item.link_id == "how") == "good"
    typed = {address(item.link_id): value for item, value in form.lines}
    check_in.answer_by_phone(db, sofia, one.id, typed, now=at(7))
    assert one.state == "answered"
    assert phone.flags == [("clearly_worse", "red"), ("not_started_nobody_contacted", "amber")]


def test_who_goes_on_on_the_web_ends_it_there(db: Session, ward: SmallWard) -> None:
    phone = ButtonPhone(db, ward, odd(ward, template="stroke"))
    check_in.ask_due(db, at(3))
    phone.receive()
    for n, digit in enumerate(("1", "1", "2")):
        phone.write(digit, at(3, 11, n))
    me, one = themselves(phone.odd), phone.day(3)
    assert check_in.page(db, me, one.id, None, now=at(3, 12)).item.link_id == "fatigue"
    check_in.save(db, me, one.id, "fatigue", ["8"], now=at(3, 12))
    check_in.finish(db, me, one.id, now=at(3, 12))
    assert phone.flags == [("high_fatigue", "amber")]


# --- what may come between --------------------------------------------------------------------------------------------


def test_who_has_not_agreed_gets_the_link(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    check_in.ask_due(db, at(7))
    assert db.scalars(select(Message.kind)).all() == ["check_in"]
    assert kari.phone
    reply.receive(db, kari.phone, "2", said_at=at(7, 11), now=at(7, 11))
    assert db.scalars(select(Flag.code)).all() == ["reply_not_understood"]
    assert db.scalars(select(Answer)).all() == []


@pytest.mark.parametrize(
    ("digit", "again"), [("6", "1/5 how!"), ("99", "1/5 how!"), ("ok", "1/5 how!"), ("ja", "1/5 how!")]
)
def test_a_digit_out_of_range_is_asked_for_again_without_a_human(
    phone: ButtonPhone, digit: str, again: str
) -> None:
    assert phone.write(digit, at(7, 11)) == [again]
    assert phone.write("2", at(7, 12)) == ["2/5 started 1"]
    assert phone.flags == []


def test_two_machines_do_not_talk_for_ever(phone: ButtonPhone) -> None:
    said = [phone.write("9", at(7, 11, n)) for n in range(8)]
    assert said == [["1/5 how!"]] * 2 + [["not_understood"]] + [[]] * 5
    assert phone.flags == [("reply_not_understood", "amber")]
    assert phone.write("2", at(7, 12)) == ["2/5 started 1"]


def test_what_is_not_understood_goes_to_a_human_and_the_conversation_goes_on(phone: ButtonPhone) -> None:
    assert phone.write("det gikk ikke så bra i går", at(7, 11)) == ["1/5 how!"]
    asked = phone.db.scalars(select(Message).order_by(Message.id.desc())).first()
    assert asked is not None
    assert asked.params["read"]
    assert phone.flags == [("reply_not_understood", "amber")]
    assert phone.write("4", at(7, 12)) == ["2/5 started 1"]


def test_who_writes_the_words_beside_the_digit_has_answered(phone: ButtonPhone) -> None:
    assert phone.write("Passe", at(7, 11)) == ["2/5 started 1"]
    assert phone.write("ikke ennå, takk", at(7, 12)) == ["3/6 why 1"]
    assert phone.write("1 ingen tok kontakt", at(7, 13)) == ["4/6 started 2"]
    assert phone.write("ikke passe", at(7, 14)) == ["4/6 started 2!"]
    assert phone.flags == [("nobody_contacted_overdue", "red"), ("reply_not_understood", "amber")]


def test_who_writes_on_and_on_without_an_answer_is_given_up_all_the_same(
    db: Session, phone: ButtonPhone
) -> None:
    """Each word makes us wait anew, for two weeks after the question and for two weeks after the reminder."""
    ends = []
    for day in range(7, 45):
        phone.write("RING", at(day, 9))
        check_in.remind_due(db, at(day, 11))
        check_in.give_up_due(db, at(day, 11))
        ends.append((phone.day(7).reminded_at, phone.day(7).ended_at))
    # A day after two weeks, and two days after two weeks.
    assert ends[-1] == (at(22, 11), at(38, 11))
    assert ("no_answer", "amber") in phone.flags


def test_crisis_words_are_red_and_answered_with_whom_to_call_this_minute(phone: ButtonPhone) -> None:
    assert phone.write("Jeg vil ikke leve lenger", at(7, 11)) == ["crisis"]
    assert phone.write("orker ikke leve", at(7, 11, 20)) == []
    assert phone.write("orker ikke leve", at(7, 12)) == ["crisis"]
    assert phone.flags == [("crisis_words", "red")]
    assert phone.day(7).heard_at == at(7, 12)


def test_something_grave_in_an_answer_is_red_and_the_person_hears_whom_to_call(phone: ButtonPhone) -> None:
    assert phone.write("2. men jeg har falt og slått hodet", at(7, 11)) == ["grave"]
    assert phone.flags == [("grave_words", "red")]
    letter = phone.db.scalars(select(Message).order_by(Message.id.desc())).first()
    assert letter is not None
    assert letter.params["read_by"] == "2026-11-16"
    assert letter.params["phone"]
    assert phone.answers == []


def test_a_thumb_answers_yes_or_no_and_nothing_else(phone: ButtonPhone) -> None:
    assert phone.write("👍", at(7, 11)) == ["1/5 how!"]
    assert phone.flags == [("reply_not_understood", "amber")]
    phone.write("2", at(7, 11, 1))
    assert phone.write("👍🏽", at(7, 11, 2)) == ["3/5 started 2"]
    assert phone.answers == [("how", "good"), ("started", "yes")]


def test_who_gives_no_answer_is_asked_twice_more_and_each_message_is_a_line_for_staff(
    db: Session, phone: ButtonPhone
) -> None:
    said = [
        phone.write(text, at(7, 11, n)) for n, text in enumerate(("hæ?\nhva er dette", "1 2 3", "hvem er du"))
    ]
    assert said == [["1/5 how!"], ["1/5 how!"], ["not_understood"]]
    assert db.scalars(select(Flag.quote)).all() == ["hæ? hva er dette\n1 2 3\nhvem er du"]


@pytest.mark.parametrize(
    "signed", ["2\nHilsen Odd", "2 mvh Odd Hansen", "2. Ha en fin dag!", "2\n\nSendt fra min iPhone"]
)
def test_manners_do_not_change_an_answer(phone: ButtonPhone, signed: str) -> None:
    assert phone.write(signed, at(7, 11)) == ["2/5 started 1"]
    assert (phone.answers, phone.flags) == ([("how", "good")], [])


def test_when_to_ring_is_shown_to_staff(db: Session, phone: ButtonPhone) -> None:
    assert phone.write("Ring meg kl 14", at(7, 11)) == ["call"]
    assert phone.flags == [("wants_contact", "red")]
    assert db.scalars(select(Flag.quote)).all() == ["Ring meg kl 14"]


def test_ring_at_any_time_is_a_call_and_the_question_stays_open(phone: ButtonPhone) -> None:
    phone.write("2", at(7, 11))
    assert phone.write("RING", at(7, 12)) == ["call"]
    assert phone.flags == [("wants_contact", "red")]
    assert phone.write("1", at(7, 13)) == ["3/5 started 2"]


def test_stop_ends_it_and_start_takes_it_up_again(db: Session, phone: ButtonPhone) -> None:
    phone.write("2", at(7, 11))
    assert phone.write("STOPP. Hilsen Odd", at(7, 12)) == ["stopped"]
    assert phone.flags == [("opted_out", "amber")]
    assert phone.write("1", at(7, 13)) == []
    assert phone.answers == [("how", "good")]
    assert phone.write("START", at(7, 14)) == ["started"]
    check_in.remind_due(db, at(8, 12))
    assert phone.receive() == ["2/5 started 1"]
    assert phone.write("1", at(8, 13)) == ["3/5 started 2"]


@pytest.mark.parametrize("words", ["0", "ikke i dag", "Ikkje i dag", "not today", "null"])
def test_not_today_moves_it_and_goes_on_from_there(db: Session, phone: ButtonPhone, words: str) -> None:
    phone.write("2", at(7, 11))
    assert phone.write(words, at(7, 12)) == ["postponed"]
    assert phone.write(words, at(7, 13)) == []
    one = phone.day(7)
    assert (one.state, one.due_at) == ("postponed", at(8))
    said = db.scalars(select(Message).order_by(Message.id.desc())).first()
    assert said is not None
    assert said.params["again"] == "2026-11-17"
    check_in.ask_due(db, at(8))
    assert phone.receive() == ["2/5 started 1"]


def test_a_third_not_today_is_a_sentence_and_a_human(db: Session, phone: ButtonPhone) -> None:
    for day in (7, 8):
        check_in.ask_due(db, at(day))
        phone.receive()
        assert phone.write("0", at(day, 11)) == ["postponed"]
    check_in.ask_due(db, at(9))
    assert phone.receive() == ["1/5 how"]
    assert phone.write("0", at(9, 11)) == ["often_postponed"]
    assert phone.flags == [("postponed_twice", "amber")]
    assert phone.write("2", at(9, 12)) == ["2/5 started 1"]


def test_a_mind_changed_the_same_day_is_an_answer(phone: ButtonPhone) -> None:
    phone.write("0", at(7, 11))
    assert phone.write("2", at(7, 12)) == ["2/5 started 1"]
    assert phone.day(7).state == "postponed"


def test_an_answer_on_the_web_in_between_is_not_answered_twice(db: Session, phone: ButtonPhone) -> None:
    me, one = themselves(phone.odd), phone.day(7)
    check_in.save(db, me, one.id, "how", ["bad"], now=at(7, 11))
    # The digit was meant for "how": the present question is sent instead of taking it for another answer.
    assert phone.write("1", at(7, 12)) == ["2/5 started 1"]
    assert phone.answers == [("how", "bad")]
    assert phone.write("1", at(7, 13)) == ["3/5 started 2"]


def test_a_digit_pressed_twice_is_one_answer(db: Session, phone: ButtonPhone) -> None:
    assert phone.odd.phone
    for _ in range(3):
        reply.receive(db, phone.odd.phone, "2", said_at=at(7, 11), now=at(7, 11))
    assert phone.answers == [("how", "good")]
    assert phone.receive() == ["2/5 started 1"]
    assert phone.flags == []


@pytest.mark.parametrize("between", [timedelta(0), timedelta(seconds=1)])
def test_the_second_press_is_no_answer_to_a_question_nobody_has_read(
    phone: ButtonPhone, between: timedelta
) -> None:
    assert phone.write("2", at(7, 11)) == ["2/5 started 1"]
    # The next question has gone out; the same digit comes again, sooner than anybody reads.
    assert phone.write("2", at(7, 11) + between) == []
    assert (phone.answers, phone.flags) == ([("how", "good")], [])
    assert phone.write("2", at(7, 11) + timedelta(seconds=2)) == ["3/6 why 1"]


@pytest.mark.parametrize("between", [timedelta(seconds=1), timedelta(seconds=3)])
def test_a_digit_within_seconds_of_its_question_counts(phone: ButtonPhone, between: timedelta) -> None:
    phone.write("2", at(7, 11))
    assert phone.write("1", at(7, 11) + between) == ["3/5 started 2"]
    assert (phone.answers, phone.flags) == ([("how", "good"), ("started", "yes")], [])


def test_what_was_pressed_before_a_question_went_out_is_not_its_answer_however_late_it_is_read(
    db: Session, phone: ButtonPhone
) -> None:
    """The second press lay with us while the first was answered, or while the provider was away."""
    assert phone.odd.phone
    phone.write("2", at(7, 11))
    reply.receive(db, phone.odd.phone, "2", said_at=at(7, 11), now=at(7, 11, 30))
    waited = db.scalars(select(Message).where(Message.kind == "next_question")).one()
    waited.next_attempt_at = at(7, 11, 20)
    reply.receive(db, phone.odd.phone, "2", said_at=at(7, 11, 20), now=at(7, 11, 30))
    assert (phone.answers, phone.flags, phone.receive()) == ([("how", "good")], [], [])


@pytest.mark.parametrize(
    ("said_at", "now", "answered"),
    [
        (at(7, 19), at(7, 20), at(7, 20)),
        (at(7, 19), at(8, 2), at(8, 10)),
        (at(7, 12), at(7, 15), at(7, 15)),
        (at(7, 23), at(7, 23, 1), at(7, 23, 1)),
    ],
)
def test_nobody_is_answered_in_the_night_when_what_they_said_has_lain_for_hours(
    db: Session, phone: ButtonPhone, said_at: datetime, now: datetime, answered: datetime
) -> None:
    assert phone.odd.phone
    question = db.scalars(select(Message)).one()
    question.next_attempt_at = at(7)
    phone.odd.hour = time(10)
    for text in ("hva er dette", "2", "0"):
        reply.receive(db, phone.odd.phone, text, said_at=said_at, now=now)
    letters = db.scalars(select(Message).where(Message.id > question.id)).all()
    assert [told(letter) for letter in letters] == ["1/5 how!", "2/5 started 1", "postponed"]
    for letter in letters:
        assert (letter.not_before, letter.next_attempt_at) == (answered, answered)
        assert letter.valid_until == answered + timedelta(hours=1)


def test_another_digit_before_the_next_question_came_is_no_guess(db: Session, phone: ButtonPhone) -> None:
    assert phone.odd.phone
    reply.receive(db, phone.odd.phone, "2", said_at=at(7, 11), now=at(7, 11))
    reply.receive(db, phone.odd.phone, "4", said_at=at(7, 11), now=at(7, 11))
    assert phone.answers == [("how", "good")]
    assert phone.flags == [("reply_not_understood", "amber")]


def test_a_digit_before_the_first_question_went_out_is_for_a_human(db: Session, ward: SmallWard) -> None:
    phone = ButtonPhone(db, ward, odd(ward))
    check_in.ask_due(db, at(7))
    assert phone.odd.phone
    reply.receive(db, phone.odd.phone, "2", said_at=at(7), now=at(7))
    assert phone.answers == []
    assert phone.flags == [("reply_not_understood", "amber")]


def test_a_digit_after_the_last_words_is_written_nowhere(db: Session, phone: ButtonPhone) -> None:
    for n, digit in enumerate(("1", "1", "1", "1", "2")):
        phone.write(digit, at(7, 11, n))
    before = phone.answers
    assert phone.write("ok", at(7, 12)) == ["answered"]
    assert phone.write("3", at(7, 13)) == []
    assert (phone.answers, phone.flags) == (before, [])
    # Long afterwards nobody knows what it is about.
    assert phone.write("3", at(12)) == ["not_understood"]


def test_a_digit_after_it_was_given_up_reaches_a_human(db: Session, phone: ButtonPhone) -> None:
    check_in.remind_due(db, at(8))
    phone.receive()
    check_in.give_up_due(db, at(10))
    assert phone.write("2", at(10, 11)) == ["not_understood"]
    assert phone.answers == []
    assert phone.flags == [("no_answer", "amber"), ("reply_not_understood", "amber")]


def test_a_question_that_was_answered_meanwhile_is_not_sent(db: Session, ward: SmallWard) -> None:
    patient = odd(ward)
    check_in.ask_due(db, at(7, 19))
    letter = db.scalars(select(Message)).one()
    assert message.standing(db, letter, letter.not_before) == "send"
    check_in.save(db, themselves(patient), ward.check_in(patient, 7).id, "how", ["good"], now=at(8, 7))
    assert message.standing(db, letter, letter.not_before) == "cancel"


@pytest.mark.parametrize("turn", ["agreement", "pause", "postponed", "call"])
def test_the_next_question_is_not_sent_when_things_have_changed(
    db: Session, phone: ButtonPhone, turn: str
) -> None:
    assert phone.odd.phone
    reply.receive(db, phone.odd.phone, "2", said_at=at(7, 11), now=at(7, 11))
    letter = db.scalars(select(Message).where(Message.kind == "next_question")).one()
    assert (letter.lane, message.standing(db, letter, at(7, 23))) == ("code", "send")
    sofia = phone.ward.colleague("Sofia Berg", "post3")
    if turn == "agreement":
        contact.agree_to_sms(db, sofia, phone.odd.id, False, now=at(7, 12))
    elif turn == "pause":
        plan.pause(db, sofia, phone.odd.id, "wish", now=at(7, 12))
    elif turn == "postponed":
        reply.receive(db, phone.odd.phone, "0", said_at=at(7, 12), now=at(7, 12))
    else:
        contact.change_contact(
            db, sofia, phone.odd.id, phone.odd.phone, "call", answers_by_sms=True, now=at(7, 12)
        )
        assert phone.odd.sms_agreed_at is None
    assert message.standing(db, letter, at(7, 13)) == "cancel"


# --- two on one phone -------------------------------------------------------------------------------------------------


def share_a_phone(ward: SmallWard, *people: Patient) -> None:
    for other in people[1:]:
        other.phone = other.phone_index = people[0].phone
    ward.db.flush()


def test_two_on_one_phone_are_asked_one_after_the_other(db: Session, ward: SmallWard) -> None:
    first, second = odd(ward), odd(ward)
    share_a_phone(ward, first, second)
    check_in.ask_due(db, at(7))
    asked = db.scalars(select(Message)).all()
    assert [letter.kind for letter in asked] == ["question"]
    assert db.scalars(select(Flag)).all() == []
    # The digit is the answer of the one who was asked.
    asked[0].state = "accepted"
    assert first.phone
    reply.receive(db, first.phone, "2", said_at=at(7, 11), now=at(7, 11))
    answered = db.scalars(select(CheckIn.patient_id).join(Answer, Answer.check_in_id == CheckIn.id)).all()
    assert answered == [asked[0].patient_id]
    # The other one's turn comes with the last words of the first.
    check_in.ask_due(db, at(7, 12))
    assert {letter.patient_id for letter in db.scalars(select(Message))} == {asked[0].patient_id}
    for n, digit in enumerate(("1", "1", "2")):
        for letter in db.scalars(select(Message).where(Message.state == "queued")):
            letter.state = "accepted"
        reply.receive(db, first.phone, digit, said_at=at(7, 12, n), now=at(7, 12, n))
    check_in.ask_due(db, at(7, 13))
    assert {letter.patient_id for letter in db.scalars(select(Message))} == {first.id, second.id}
    assert "call_due" not in db.scalars(select(Flag.code)).all()


def test_with_two_open_conversations_nobody_guesses_whose_answer_it_is(db: Session, ward: SmallWard) -> None:
    first, second = odd(ward), odd(ward)
    check_in.ask_due(db, at(7))
    for letter in db.scalars(select(Message)):
        letter.state = "accepted"
    share_a_phone(ward, first, second)
    assert first.phone
    reply.receive(db, first.phone, "2", said_at=at(7, 11), now=at(7, 11))
    assert db.scalars(select(Answer)).all() == []
    assert db.scalars(select(Flag.code)).all() == ["reply_not_understood"] * 2


# --- silence ----------------------------------------------------------------------------------------------------------


def test_who_stalls_is_reminded_once_of_the_question_at_hand_then_a_human_hears(
    db: Session, phone: ButtonPhone
) -> None:
    phone.write("2", at(7, 11))
    phone.write("2", at(7, 15))
    assert next_due(db, at(7, 15)) == at(8, 15)
    assert check_in.remind_due(db, at(8, 14, 59)) == 0
    assert check_in.remind_due(db, at(8, 15)) == 1
    assert phone.receive() == ["3/6 why 1"]
    assert next_due(db, at(8, 15)) == at(10, 15)
    assert check_in.remind_due(db, at(9, 15)) == 0
    assert check_in.give_up_due(db, at(10, 14, 59)) == 0
    assert check_in.give_up_due(db, at(10, 15)) == 1
    assert phone.flags == [("no_answer", "amber"), ("not_started_unsaid", "amber")]
    raised = db.scalars(select(Flag).where(Flag.code == "no_answer")).one()
    assert raised.params["answered"] == 2


def test_who_answers_the_reminder_has_the_usual_time_again_but_no_second_reminder(
    db: Session, phone: ButtonPhone
) -> None:
    check_in.remind_due(db, at(8))
    assert phone.receive() == ["1/5 how"]
    assert phone.write("1", at(9, 12)) == ["2/5 started 1"]
    assert check_in.remind_due(db, at(10, 12)) == 0
    assert check_in.give_up_due(db, at(11, 11, 59)) == 0
    assert next_due(db, at(11, 11)) == at(11, 12)
    assert check_in.give_up_due(db, at(11, 12)) == 1


def test_what_was_written_back_shows_that_the_question_arrived(db: Session, phone: ButtonPhone) -> None:
    asked = db.scalars(select(Message)).one()
    phone.write("2", at(7, 11))
    message.never_confirmed(db, asked, at(10))
    assert phone.flags == []


def test_two_dispatchers_take_one_digit_once(engine: Engine) -> None:
    """The same question answered in two messages at once, each read by a dispatcher of its own."""
    with Session(engine) as db:
        phone = ButtonPhone(db, ward := SmallWard(db), odd(ward))
        check_in.ask_due(db, at(7))
        phone.receive()
        number = str(phone.odd.phone)
        db.commit()

        def another_dispatcher() -> None:
            with Session(engine) as other:
                reply.receive(other, number, "2", said_at=at(7, 11), now=at(7, 11))
                other.commit()

        with ThreadPoolExecutor(1) as pool:
            reply.receive(db, number, "2", said_at=at(7, 11), now=at(7, 11))
            beside = pool.submit(another_dispatcher)
            db.commit()
            beside.result(30)
        db.expire_all()
        assert phone.answers == [("how", "good")]
        assert phone.receive() == ["2/3 worse"]


def test_the_agreement_is_written_down_by_a_professional(db: Session, ward: SmallWard) -> None:
    patient = ward.patient()
    sofia = ward.colleague("Sofia Berg", "post3")
    assert contact.agree_to_sms(db, sofia, patient.id, True, now=at(1))
    assert not contact.agree_to_sms(db, sofia, patient.id, True, now=at(2))
    assert patient.sms_agreed_at == at(1)
    assert contact.agree_to_sms(db, sofia, patient.id, False, now=at(3))
    patient.contact_by = "call"
    assert not contact.agree_to_sms(db, sofia, patient.id, True, now=at(4))
    assert patient.sms_agreed_at is None


def test_who_has_push_is_asked_by_sms_once_that_is_agreed(db: Session, ward: SmallWard) -> None:
    patient = ward.patient(contact_by="push")
    sofia = ward.colleague("Sofia Berg", "post3")
    assert patient.phone
    contact.change_contact(db, sofia, patient.id, patient.phone, "sms", answers_by_sms=True, now=at(1))
    assert (patient.contact_by, check_in.speaks(patient)) == ("sms", True)
    check_in.ask_due(db, at(7))
    letter = db.scalars(select(Message)).one()
    assert (letter.kind, message.standing(db, letter, at(7))) == ("question", "send")
    # Asked for push on a new phone meanwhile: no question in words on a locked screen.
    patient.contact_by = "push"
    assert message.standing(db, letter, at(7)) == "cancel"


def test_the_point_is_the_measure_s_number_at_home(db: Session, ward: SmallWard) -> None:
    """A measure that started is not asked about, and the others keep their numbers."""
    patient = odd(ward, measures=(PHYSIO, WALK))
    db.add(
        MeasureStatus(
            measure_id=measure_id(patient, db, 1),
            status="started",
            at=at(1),
            by_kind="patient",
            by_id=patient.id,
        )
    )
    db.flush()
    phone = ButtonPhone(db, ward, patient)
    check_in.ask_due(db, at(7))
    assert phone.receive() == ["1/4 how"]
    assert phone.write("1", at(7) + timedelta(minutes=1)) == ["2/4 started 2"]
