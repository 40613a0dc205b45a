"""The whole check-in by SMS, for people who agreed to it: one question a message, answered by one digit.

Where a conversation stands is written nowhere: the question at hand is the first that may be asked neutrally and has no
answer, and what the person was asked last is the latest letter that may have reached them in time to be read. Where the two
differ, as when somebody answered on the web in between, a digit is not taken for the answer to another question: the present
one is sent.

What cannot be asked neutrally is left for the telephone or the web. Free text is not asked for; whoever writes of their own
accord reaches a human. There is one conversation at a time on a number: nobody has to guess whose answer it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session, contains_eager

from companion import library
from companion.errors import Conflict
from companion.models import CheckIn, Message, Patient, Plan
from companion.rules.access import Actor, Level
from companion.rules.cadence import local_day
from companion.rules.questionnaire import Item
from companion.rules.quiet_hours import ANSWER_IS_USEFUL, answer_from
from companion.rules.replies import Reply, ReplyKind, is_only_a_sign, option_meant
from companion.use_cases.check_in.afterwards import Ending
from companion.use_cases.check_in.answering import finish, postpone, save
from companion.use_cases.check_in.coming import coming
from companion.use_cases.check_in.following import is_urgent, raise_reasons, record_measures, tell_ward
from companion.use_cases.check_in.questions import ANSWERABLE, Asking, AskingAbout, asking_of, own_hour
from companion.use_cases.messages import contact, message

# The letter instead of the one with a link.
INSTEAD_OF: Final = {"check_in": "question", "reminder": "question_again"}
NEXT: Final = "next_question"
THE_REST: Final = "rest_by_phone"
QUESTIONS: Final = (*INSTEAD_OF.values(), NEXT)
LAST_WORDS: Final = ("all_answered", THE_REST)
TRUTHS: Final = ("true", "false")
# Words that are an answer where the question has such an option.
YES: Final = ("yes", "true")
NO: Final = ("no", "not_yet", "false")
# Nearly an answer: nobody has to read it, when the question is asked once more.
_TRIED: Final = (ReplyKind.NUMBER, ReplyKind.YES, ReplyKind.NO)
# The same question so many times; then somebody had better help.
ASKED_AT_MOST = 4
# The same digit within so long of the next question was pressed twice; another one is a quick answer.
PRESSED_TWICE = timedelta(seconds=2)
# So often somebody is helped to answer before the message is left to the human who has it anyway.
HELPED_AT_MOST = 2
# For so long afterwards a digit or a word of thanks belongs to what was answered.
STILL_TALKING = timedelta(days=3)


Taken = Literal["answered", "helped", "left"]


def speaks(patient: Patient) -> bool:
    """Whether this person is asked by SMS itself: they agreed to it, and are reached by SMS."""
    return contact.asked_by_sms(patient) and message.takes_messages(patient, NEXT)


# --- asking -------------------------------------------------------------------------------------------------------


def must_wait(db: Session, check_in: CheckIn) -> bool:
    """Whether somebody else is being asked on the same number: one after the other, so that nobody has to guess whose answer
    it is."""
    return speaks(check_in.patient) and _somebody_else_talks(db, check_in)


def first_question(db: Session, check_in: CheckIn) -> dict[str, Any] | None:
    """What a letter that opens the conversation, or takes it up again, asks; None when a human has to phone instead.

    So it is when somebody else is being asked on the same number, or nothing is left that may be asked neutrally.
    """
    if _somebody_else_talks(db, check_in):
        return None
    asking = asking_of(db, check_in)
    item = _at_hand(asking)
    return _question(check_in, asking, item) if item else None


def sample(ask: str, *, number: int, total: int, point: int = 0) -> dict[str, Any]:
    """A question as a letter has it, for those who are to see beforehand what comes: `how`, or `started` of a measure."""
    part = library.measure_questions() if point else library.questionnaire_part(ask)
    item = part.question(f"measure.{ask}" if point else ask)
    return _params(item, ask, point=point, number=number, total=total)


def _askable(item: Item) -> bool:
    return item.neutral and item.type in ("choice", "boolean")


def _at_hand(asking: Asking) -> Item | None:
    """The question to go on with; None when no neutral one is left."""
    return next(
        (item for item in asking.visible if _askable(item) and item.link_id not in asking.answers), None
    )


def _something_left(asking: Asking) -> bool:
    """Whether anything but free text is left that an SMS may not ask."""
    return any(
        item.link_id not in asking.answers and (item.required or item.type not in ("text", "string"))
        for item in asking.visible
        if not _askable(item)
    )


def _question(check_in: CheckIn, asking: AskingAbout, item: Item, *, hint: bool = False) -> dict[str, Any]:
    asked = [one.link_id for one in asking.visible if _askable(one)]
    points = {str(measure.id): measure.number for measure in asking.measures}
    about, _, short = item.link_id.removeprefix("measure.").partition(".")
    place = {"number": asked.index(item.link_id) + 1, "total": len(asked)}
    params = _params(item, short or item.link_id, point=points.get(about, 0), **place)
    return params | {"link_id": item.link_id, "postponed": check_in.postponed, "hint": hint}


def _params(item: Item, ask: str, *, point: int, number: int, total: int) -> dict[str, Any]:
    """What the words need. `point`: the measure's number on the sheet at home; `options` in the order of the digits."""
    options = [option.code for option in item.options] or list(TRUTHS)
    return {
        "ask": ask,
        "point": point,
        "options": options,
        "number": number,
        "total": total,
        "hint": False,
        "read": False,
    }


# --- the conversation ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Heard:
    """When something was said, and when we hear it: hours later after an outage."""

    said_at: datetime
    now: datetime


def heard(db: Session, patients: Sequence[Patient], *, now: datetime) -> None:
    """Somebody in a conversation wrote something: the patience with them is counted from here."""
    for check_in in _open(db, patients):
        check_in.heard_at = now
    db.flush()


def take(
    db: Session, patients: Sequence[Patient], said: Reply, text: str, *, said_at: datetime, now: datetime
) -> Taken:
    """Takes what was said (`text`, understood as `said`) as an answer in the conversation on this number.

    `left`: a human has to read it. `helped`: that too, and the question has been asked once more, with how to answer.
    """
    when = _Heard(said_at, now)
    talking = _open(db, patients)
    if not talking:
        return "answered" if _already_answered(db, patients, said, when) else "left"
    if len(talking) > 1:
        return "left"
    check_in = talking[0]
    check_in.heard_at = now
    if said.kind is ReplyKind.NOT_TODAY or said == Reply(ReplyKind.NUMBER, "0"):
        _not_today(db, check_in, when)
        return "answered"
    return _answered(db, check_in, said, text, when)


def _answered(db: Session, check_in: CheckIn, said: Reply, text: str, when: _Heard) -> Taken:
    asking = asking_of(db, check_in)
    letters = _letters(db, check_in)
    last = _answers_to(asking, letters, said, text, when.said_at, [check_in.patient.name])
    if last is None:
        return "left"
    value = _value(said, text, last.params["options"], [check_in.patient.name])
    item = _at_hand(asking)
    if value is None and (said.kind not in _TRIED or is_only_a_sign(text)):
        return "helped" if item and _help(db, check_in, asking, item, letters, when, read=True) else "left"
    if item is None:
        _go_on(db, check_in, asking, when)
        return "answered"
    if last.params["link_id"] != item.link_id:
        goes = letters[0].state in ("queued", *message.MAY_HAVE_ARRIVED)
        if goes and letters[0].params["link_id"] == item.link_id:
            # Pressed twice, before the next question was read; anything else is no answer we can place.
            twice = value is not None and value == _typed(asking, last.params["link_id"])
            return "answered" if twice else "left"
        return "answered" if _ask(db, check_in, asking, item, letters, when) else "left"
    if value is None:
        return "answered" if _help(db, check_in, asking, item, letters, when) else "left"
    save(db, _themselves(check_in.patient), check_in.id, item.link_id, [value], now=when.now)
    db.refresh(check_in, ["answers"])
    _go_on(db, check_in, asking_of(db, check_in), when)
    return "answered"


def _help(
    db: Session,
    check_in: CheckIn,
    asking: AskingAbout,
    item: Item,
    letters: Sequence[Message],
    when: _Heard,
    *,
    read: bool = False,
) -> bool:
    """The question once more, with how to answer it. False when that has been tried often enough.

    `read`: a human reads what was written, and the person is told so.
    """
    helped = sum(one.params["hint"] and one.params["link_id"] == item.link_id for one in letters)
    if helped >= HELPED_AT_MOST:
        return False
    return _ask(db, check_in, asking, item, letters, when, hint=True, read=read)


def _answers_to(
    asking: Asking,
    letters: Sequence[Message],
    said: Reply,
    text: str,
    said_at: datetime,
    names: Sequence[str],
) -> Message | None:
    """The question that was answered: the latest that had been sent, but the one before for a digit pressed twice."""
    sent = [one for one in letters if _was_sent(one, said_at)]
    if len(sent) < 2 or sent[0].next_attempt_at + PRESSED_TWICE <= said_at:
        return sent[0] if sent else None
    before = sent[1]
    if before.params["link_id"] == sent[0].params["link_id"]:
        return sent[0]
    value = _value(said, text, before.params["options"], names)
    twice = value is not None and value == _typed(asking, before.params["link_id"])
    return before if twice else sent[0]


def _was_sent(letter: Message, said_at: datetime) -> bool:
    # When it was to be sent, not when it was: a receipt that comes late must not make an answer too early.
    return letter.state in message.MAY_HAVE_ARRIVED and letter.next_attempt_at <= said_at


def _value(said: Reply, text: str, options: Sequence[str], names: Sequence[str] = ()) -> str | None:
    """The option that was meant, by its words or as the letter numbered them; None when there is no such one."""
    if meant := option_meant(text, options, names=names):
        return meant
    if said.kind is ReplyKind.NUMBER:
        digit = int(said.value or 0)
        return options[digit - 1] if 1 <= digit <= len(options) else None
    words = {ReplyKind.YES: YES, ReplyKind.NO: NO}.get(said.kind, ())
    return next((code for code in options if code in words), None)


def _typed(asking: Asking, link_id: str) -> str | None:
    value = asking.answers.get(link_id)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _go_on(db: Session, check_in: CheckIn, asking: AskingAbout, when: _Heard) -> None:
    """The next question; after the last one what the answers lead to, and the last words."""
    if item := _at_hand(asking):
        _ask(db, check_in, asking, item, _letters(db, check_in), when)
    elif _something_left(asking):
        _leave_the_rest(db, check_in, asking, when)
    else:
        who = _themselves(check_in.patient)
        _say_goodbye(db, check_in, finish(db, who, check_in.id, now=when.now), when)


def _ask(
    db: Session,
    check_in: CheckIn,
    asking: AskingAbout,
    item: Item,
    letters: Sequence[Message],
    when: _Heard,
    *,
    hint: bool = False,
    read: bool = False,
) -> bool:
    """The question at hand: somebody has written. False when it has been asked often enough."""
    if sum(one.params["link_id"] == item.link_id for one in letters) >= ASKED_AT_MOST:
        return False
    params = _question(check_in, asking, item, hint=hint) | {"read": read}
    _write(db, NEXT, check_in, params, f"{NEXT}:{check_in.id}:{len(letters)}", when)
    return True


def _leave_the_rest(db: Session, check_in: CheckIn, asking: AskingAbout, when: _Heard) -> None:
    """What has been said counts at once; a human phones about the rest, unless the person answers it on the web first."""
    record_measures(db, check_in, asking, "patient", check_in.patient_id, when.now)
    raise_reasons(db, check_in, asking, when.now)
    tell_ward(db, check_in, "rest_by_phone", when.now, day=check_in.day)
    params = {"urgent": is_urgent(asking.counted), "postponed": check_in.postponed}
    _write(db, THE_REST, check_in, params, f"{THE_REST}:{check_in.id}", when)


def _say_goodbye(db: Session, check_in: CheckIn, ending: Ending, when: _Heard) -> None:
    """What happens now, as far as the flags that were really raised make it true."""
    codes = {flag.code for step in ending.steps if step.state != "closed" for flag in step.flags}
    following = ending.next
    params = {
        "urgent": ending.urgency,
        "call": "wants_contact" in codes,
        "read_by": local_day(ending.heard_by).isoformat() if ending.heard_by else None,
        "again": local_day(following.at).isoformat() if following else None,
        "by_call": following is not None and following.channel == "call",
    }
    _write(db, "all_answered", check_in, params, f"all_answered:{check_in.id}", when)


def _not_today(db: Session, check_in: CheckIn, when: _Heard) -> None:
    try:
        later = postpone(db, _themselves(check_in.patient), check_in.id, now=when.now)
    except Conflict:
        tell_ward(db, check_in, "postponed_twice", when.now, day=check_in.day)
        _reply(db, check_in, {"about": "often_postponed"}, when)
    else:
        again = min((one.at for one in coming(db, later.plan.check_ins, when.now)), default=later.due_at)
        _reply(db, check_in, {"about": "postponed", "again": local_day(again).isoformat()}, when)


def _already_answered(db: Session, patients: Sequence[Patient], said: Reply, when: _Heard) -> bool:
    """A digit or an "ok" after the last words of a conversation: a kind sentence, and nothing is written anywhere."""
    if said.kind not in (ReplyKind.NUMBER, ReplyKind.YES, ReplyKind.NO, ReplyKind.NOT_TODAY):
        return False
    answered = db.scalars(
        select(CheckIn)
        .join(CheckIn.patient)
        .where(
            CheckIn.patient_id.in_([one.id for one in patients if speaks(one)]),
            CheckIn.heard_at.is_not(None),
            CheckIn.heard_at > when.now - STILL_TALKING,
        )
        .options(contains_eager(CheckIn.patient))
        .order_by(CheckIn.heard_at.desc())
        .limit(1)
    ).first()
    if answered is None or answered.state != "answered":
        return False
    _reply(db, answered, {"about": "answered"}, when)
    return True


def _reply(db: Session, check_in: CheckIn, params: dict[str, Any], when: _Heard) -> None:
    key = f"reply:{params['about']}:{check_in.id}:{check_in.postponed}"
    _write(db, "reply", check_in, params, key, when)


def _write(db: Session, kind: str, check_in: CheckIn, params: dict[str, Any], key: str, when: _Heard) -> None:
    begins = answer_from(when.said_at, when.now, own_hour(check_in))
    message.write(
        db,
        kind,
        to=check_in.patient,
        now=when.now,
        params=params,
        check_in=check_in,
        not_before=begins,
        valid_until=begins + ANSWER_IS_USEFUL,
        dedupe_key=key,
    )


def _themselves(patient: Patient) -> Actor:
    return Actor("patient", patient.id, Level.link, patient.name)


# --- whose conversation it is -------------------------------------------------------------------------------------


def _open(db: Session, patients: Sequence[Patient]) -> Sequence[CheckIn]:
    """The conversations these people are in, held until the end of the transaction."""
    ids = [one.id for one in patients if speaks(one)]
    if not ids:
        return []
    talking = (
        _conversations(CheckIn.patient_id.in_(ids))
        .options(contains_eager(CheckIn.plan), contains_eager(CheckIn.patient))
        .order_by(CheckIn.id)
        .execution_options(populate_existing=True)
        .with_for_update(of=CheckIn, key_share=True)
    )
    return db.scalars(talking).all()


def _somebody_else_talks(db: Session, check_in: CheckIn) -> bool:
    mine = check_in.patient
    others = _conversations(Patient.phone_index == mine.phone, Patient.id != mine.id)
    return db.scalars(others.limit(1)).first() is not None


def _conversations(*whose: ColumnElement[bool]) -> Select[CheckIn]:
    """Check-ins to be answered of which a question was written to the person, and not yet the last words."""

    def written(kinds: Sequence[str]) -> ColumnElement[bool]:
        return select(Message.id).where(Message.check_in_id == CheckIn.id, Message.kind.in_(kinds)).exists()

    return (
        select(CheckIn)
        .join(CheckIn.plan)
        .join(CheckIn.patient)
        .where(
            *whose,
            CheckIn.state.in_(ANSWERABLE),
            Plan.state == "active",
            Patient.died_on.is_(None),
            written(QUESTIONS),
            ~written(LAST_WORDS),
        )
    )


def _letters(db: Session, check_in: CheckIn) -> Sequence[Message]:
    """The questions written so far, the latest first."""
    return db.scalars(
        select(Message)
        .where(Message.check_in_id == check_in.id, Message.kind.in_(QUESTIONS))
        .order_by(Message.id.desc())
    ).all()
