"""Check-ins: asked, reminded, given up; answered one question at a time; and what happens after the last answer.

A patient has one open check-in: asking a new one gives up the older. What fell due while nobody was looking is not made up
for in a burst: of several overdue ones the latest is asked and the earlier are skipped, and one that is more than
`TOO_LATE` overdue is not asked at all but put before the ward.

A professional whose unit follows the person may ask the same questions on the telephone and write down the answers; for
`BY_PHONE_WITHIN` also those of a check-in that has expired. It is then `answered`; its `ended_at` still tells when it expired.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, Select, false, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, contains_eager, joinedload, selectinload

from companion import library
from companion.errors import Conflict, Invalid, NotFound
from companion.models import (
    Answer,
    CheckIn,
    Flag,
    Measure,
    MeasureStatus,
    Message,
    Patient,
    PatientUnit,
    Plan,
    Professional,
    Stay,
    Unit,
)
from companion.rules import cadence, questionnaire, triage
from companion.rules.access import Actor
from companion.rules.quiet_hours import next_allowed
from companion.use_cases import flag, message

TOO_LATE = timedelta(days=7)
# For so long an expired check-in may be answered on the telephone.
BY_PHONE_WITHIN = timedelta(days=14)
# One transaction; SQLite lets nobody else write meanwhile.
BATCH = 200
POSTPONE_AT_MOST = 2
ANSWERABLE = ("asked", "postponed")
# A human already knows that this very check-in needs a phone call, so silence about it is no news.
ALREADY_TOLD = ("call_due", "undeliverable")
# Settled by an answer: nobody needs to phone about the asking any more.
SETTLED_BY_ANSWER = ("call_due", "postponed_twice")
# These speak of the asking, not of the answer: no step the person is waiting for.
BEFORE_ANSWER = ("call_due", "no_answer", "not_asked", "postponed_twice", "undeliverable", "parked_message")
# An answer passed by is kept as the empty text: seen, and left open on purpose.
PASSED_BY = ""
_IN_FORCE = (Plan.state == "active", Patient.died_on.is_(None))
STATUS_BY_ANSWER = {"yes": "started", "not_yet": "not_started", "unknown": "unknown"}


@dataclass(frozen=True)
class QuestionPage:
    """One question as it is shown. `urgency`: something answered so far calls for the numbers to ring at once."""

    check_in: CheckIn
    item: questionnaire.Item
    number: int
    total: int
    previous_link_id: str | None
    value: questionnaire.Value | None
    is_last: bool
    urgency: bool


@dataclass(frozen=True)
class Review:
    """The answers before they are sent. `unanswered` is the question to go on with; None when all have been seen."""

    check_in: CheckIn
    lines: tuple[tuple[questionnaire.Item, questionnaire.Value | None], ...]
    unanswered: str | None
    urgency: bool


@dataclass(frozen=True)
class PhoneForm:
    """All questions to be asked as things stand, each with its answer as typed, for one who asks them on the telephone.

    `steering` are those whose answer decides whether others are asked; `titles` are those of the measures, by id.
    """

    check_in: CheckIn
    lines: tuple[tuple[questionnaire.Item, str], ...]
    steering: frozenset[str]
    titles: dict[UUID, str]
    urgency: bool


@dataclass(frozen=True)
class Step:
    """What one unit does about the answers: the flags it has in one state. `who` is set when somebody took or closed them."""

    unit: Unit
    who: Professional | None
    state: Literal["open", "claimed", "closed"]
    level: str
    respond_by: datetime
    seen_at: datetime | None
    closed_at: datetime | None
    outcome: str | None
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class NextCheckIn:
    """The next asking of the plan, and how: `sms`, `push` or `call`."""

    local_date: date
    local_time: time
    channel: str


@dataclass(frozen=True)
class Ending:
    """What happens now. `contacts` are whom to ring when nothing is heard by `heard_by`; nobody is named who has no number.

    `written_by` asked on the telephone. `titles` are those of the measures asked about, by id.
    """

    check_in: CheckIn
    answered_at: datetime
    written_by: Professional | None
    steps: tuple[Step, ...]
    next: NextCheckIn | None
    heard_by: datetime | None
    contacts: tuple[Unit, ...]
    urgency: bool
    titles: dict[UUID, str]


@dataclass(frozen=True)
class Asking:
    """A check-in with what it asks and what has been answered."""

    questions: questionnaire.Questionnaire
    answers: dict[str, questionnaire.Value | None]
    measures: list[Measure]

    @property
    def counted(self) -> dict[str, questionnaire.Value]:
        """The answers that count."""
        return questionnaire.counted_answers(self.questions, self.answers)

    @property
    def visible(self) -> list[questionnaire.Item]:
        """The questions to be asked as things stand."""
        return questionnaire.visible_questions(self.questions, self.answers)

    @property
    def said(self) -> list[tuple[questionnaire.Item, questionnaire.Value]]:
        """Each question that was answered, with its answer, in order."""
        counted = self.counted
        return [(item, counted[item.link_id]) for item in self.visible if item.link_id in counted]


# --- the tick -----------------------------------------------------------------------------------------------------


def ask_due(db: Session, now: datetime, limit: int = BATCH) -> int:
    """Asks every check-in whose time has come; says how many were asked."""
    due = (CheckIn.state.in_(("planned", "postponed")), CheckIn.due_at <= now)
    # The patient is locked too: another process must not take an earlier check-in of the same person.
    mine = _held(db, select(CheckIn).where(*due).order_by(CheckIn.due_at, CheckIn.id).limit(limit))
    patients = {check_in.patient_id for check_in in mine}
    all_due = db.scalars(
        _with_person(select(CheckIn).where(*due, CheckIn.patient_id.in_(patients))).order_by(
            CheckIn.patient_id, CheckIn.due_at, CheckIn.day
        )
    ).all()
    asked = 0
    for _, group in groupby(all_due, key=lambda check_in: check_in.patient_id):
        *earlier, latest = group
        for check_in in earlier:
            check_in.state, check_in.ended_at = "skipped", now
        if latest.due_at < now - TOO_LATE:
            _give_up(db, latest, now, code="not_asked")
        else:
            _ask(db, latest, now)
            asked += 1
    db.flush()
    return asked


def remind_due(db: Session, now: datetime, limit: int = BATCH) -> int:
    """Reminds, once, whoever has not answered; says how many."""
    waiting = (
        CheckIn.state == "asked",
        CheckIn.reminded_at.is_(None),
        CheckIn.asked_at <= now - timedelta(hours=cadence.REMIND_AFTER_HOURS),
    )
    ready = _ready(db, waiting, CheckIn.asked_at, _remind_after, now, limit)
    for check_in in ready:
        check_in.reminded_at = now
        _write(db, check_in, "reminder", now, valid_until=_required(give_up_at(check_in)))
    db.flush()
    return len(ready)


def give_up_due(db: Session, now: datetime, limit: int = BATCH) -> int:
    """Ends what stayed unanswered after the reminder, and tells the ward; says how many."""
    silent = (
        CheckIn.state == "asked",
        CheckIn.reminded_at <= now - timedelta(hours=cadence.GIVE_UP_AFTER_HOURS),
    )
    ready = _ready(db, silent, CheckIn.reminded_at, _give_up_after, now, limit)
    for check_in in ready:
        _give_up(db, check_in, now)
    db.flush()
    return len(ready)


def remind_at(check_in: CheckIn) -> datetime | None:
    """When this asked check-in is reminded, counted from when its message could go; None when it is not to be."""
    if check_in.state != "asked" or check_in.reminded_at:
        return None
    return _remind_after(_required(check_in.asked_at), _own_hour(check_in), _template(check_in))


def give_up_at(check_in: CheckIn) -> datetime | None:
    """When this reminded check-in is given up, counted from when the reminder could go; None when it is not to be."""
    if check_in.state != "asked" or check_in.reminded_at is None:
        return None
    return _give_up_after(check_in.reminded_at, _own_hour(check_in), _template(check_in))


def _remind_after(asked_at: datetime, own_hour: time, template: cadence.PlanTemplate) -> datetime:
    sent = next_allowed("check_in", asked_at, own_hour)
    return cadence.remind_at(sent, template.remind_after_hours)


def _give_up_after(reminded_at: datetime, own_hour: time, template: cadence.PlanTemplate) -> datetime:
    sent = next_allowed("reminder", reminded_at, own_hour)
    return cadence.give_up_at(sent, template.give_up_after_hours)


def _with_person(statement: Select[CheckIn]) -> Select[CheckIn]:
    """Only those of an active plan and a living person, with both loaded afresh."""
    return (
        statement.join(CheckIn.plan)
        .join(CheckIn.patient)
        .where(*_IN_FORCE)
        .options(contains_eager(CheckIn.plan), contains_eager(CheckIn.patient))
        .execution_options(populate_existing=True)
    )


def _held(db: Session, statement: Select[CheckIn]) -> Sequence[CheckIn]:
    """Those found that no other process holds, now held by us."""
    held = _with_person(statement).with_for_update(of=[CheckIn, Patient], skip_locked=True, key_share=True)
    return db.scalars(held).all()


def _ready(
    db: Session,
    waiting: tuple[ColumnElement[bool], ...],
    since: InstrumentedAttribute[datetime | None],
    moment: Callable[[datetime, time, cadence.PlanTemplate], datetime],
    now: datetime,
    limit: int,
) -> Sequence[CheckIn]:
    """Those whose moment has come. First a light look at all: over a weekend most of them wait, tick after tick."""
    ripe: list[UUID] = []
    looked_at = db.execute(
        select(CheckIn.id, since, Patient.hour, CheckIn.local_time, Plan.template)
        .join(CheckIn.plan)
        .join(CheckIn.patient)
        .where(*waiting, *_IN_FORCE)
        .order_by(since, CheckIn.id)
    )
    for check_in_id, begun, hour, local_time, template in looked_at:
        if moment(_required(begun), hour or local_time, library.plan_template(template)) <= now:
            ripe.append(check_in_id)
        if len(ripe) == limit:
            break
    looked_at.close()
    if not ripe:
        return []
    return _held(db, select(CheckIn).where(*waiting, CheckIn.id.in_(ripe)).order_by(since, CheckIn.id))


def _ask(db: Session, check_in: CheckIn, now: datetime) -> None:
    others = db.scalars(
        select(CheckIn).where(
            CheckIn.patient_id == check_in.patient_id,
            CheckIn.state.in_(ANSWERABLE),
            CheckIn.id != check_in.id,
        )
    ).all()
    for other in others:
        if other.state == "asked":
            _give_up(db, other, now)
        else:
            other.state, other.ended_at = "skipped", now
    check_in.state, check_in.asked_at, check_in.reminded_at = "asked", now, None
    db.flush()
    remind = _required(remind_at(check_in))
    last = _give_up_after(remind, _own_hour(check_in), _template(check_in))
    _write(db, check_in, "check_in", now, valid_until=last)


def _write(
    db: Session,
    check_in: CheckIn,
    kind: Literal["check_in", "reminder"],
    now: datetime,
    *,
    valid_until: datetime,
) -> None:
    """The letter; or, to one who takes none, the request that a human phones."""
    if _still_queued(db, check_in, kind):
        return
    letter = message.write(
        db,
        kind,
        to=check_in.patient,
        now=now,
        check_in=check_in,
        not_before=next_allowed(kind, now, _own_hour(check_in)),
        valid_until=valid_until,
        dedupe_key=f"{kind}:{check_in.id}:{check_in.postponed}",
    )
    if letter is None and not _already_told(db, check_in):
        _tell_ward(db, check_in, "call_due", now, day=check_in.day)


def _still_queued(db: Session, check_in: CheckIn, kind: str) -> bool:
    """Postponed and asked again before the first letter went, as over a weekend: one is enough."""
    queued = select(Message.id).where(
        Message.check_in_id == check_in.id, Message.kind == kind, Message.state == "queued"
    )
    return db.scalars(queued.limit(1)).first() is not None


def _already_told(db: Session, check_in: CheckIn) -> bool:
    told = select(Flag.id).where(Flag.check_in_id == check_in.id, Flag.code.in_(ALREADY_TOLD))
    return db.scalars(told.limit(1)).first() is not None


def _give_up(db: Session, check_in: CheckIn, now: datetime, code: str = "no_answer") -> None:
    """Ends it. Answers given before the person stopped are read all the same; the ward is told unless it knows."""
    answered = 0
    if check_in.answers:
        asking = _asking(db, check_in)
        answered = len(asking.counted)
        _record_measures(db, check_in, asking, "patient", check_in.patient_id, now)
        _raise_reasons(db, check_in, asking, now)
    check_in.state, check_in.ended_at = "expired", now
    if not _already_told(db, check_in):
        _tell_ward(db, check_in, code, now, day=check_in.day, answered=answered)


def _tell_ward(db: Session, check_in: CheckIn, code: str, now: datetime, **params: int) -> None:
    flag.raise_flag(
        db,
        check_in.patient,
        code=code,
        level="amber",
        unit=flag.owner_unit(db, check_in.patient, "ward"),
        now=now,
        check_in=check_in,
        params=params,
    )


def _own_hour(check_in: CheckIn) -> time:
    return check_in.patient.hour or check_in.local_time


def _template(check_in: CheckIn) -> cadence.PlanTemplate:
    return library.plan_template(check_in.plan.template)


def _required(moment: datetime | None) -> datetime:
    assert moment is not None
    return moment


# --- answering ----------------------------------------------------------------------------------------------------


def current(db: Session, who: Actor, *, now: datetime) -> CheckIn | None:
    """The check-in the person is asked to answer now, if any."""
    if who.kind != "patient":
        return None
    return db.scalars(
        select(CheckIn)
        .where(CheckIn.patient_id == who.id, CheckIn.state == "asked")
        .order_by(CheckIn.asked_at.desc())
        .limit(1)
    ).first()


def page(db: Session, who: Actor, check_in_id: UUID, link_id: str | None, *, now: datetime) -> QuestionPage:
    """A question of the check-in; with None the one to go on with, which after the last answer is the last.

    `Conflict("answered")` or `Conflict("expired")` when it cannot be answered any more; `NotFound` for a question not asked.
    """
    check_in = _open(db, who, check_in_id, now)
    asking = _asking(db, check_in)
    questions, answers = asking.questions, asking.answers
    going_on = questionnaire.first_unanswered(questions, answers) or asking.visible[-1]
    item = going_on if link_id is None else _visible(asking, link_id)
    number, total = questionnaire.progress(questions, answers, item.link_id)
    previous = questionnaire.previous_question(questions, answers, item.link_id)
    return QuestionPage(
        check_in=check_in,
        item=item,
        number=number,
        total=total,
        previous_link_id=previous.link_id if previous else None,
        value=answers.get(item.link_id),
        is_last=questionnaire.next_question(questions, answers, item.link_id) is None,
        urgency=is_urgent(asking.counted),
    )


def review(db: Session, who: Actor, check_in_id: UUID, *, now: datetime) -> Review:
    """Every question of the check-in as things stand, with its answer. `Conflict` as in `page`."""
    check_in = _open(db, who, check_in_id, now)
    asking = _asking(db, check_in)
    going_on = questionnaire.first_unanswered(asking.questions, asking.answers)
    return Review(
        check_in=check_in,
        lines=tuple((item, asking.answers.get(item.link_id)) for item in asking.visible),
        unanswered=going_on.link_id if going_on else None,
        urgency=is_urgent(asking.counted),
    )


def save(
    db: Session, who: Actor, check_in_id: UUID, link_id: str, raw: list[str], *, now: datetime
) -> str | None:
    """Keeps an answer as given and says which question is next; None after the last. `Invalid({"answer": code})`.

    Crisis words reach a human at once, not when the last question is answered.
    """
    check_in = _open(db, who, check_in_id, now, hold=True)
    asking = _asking(db, check_in)
    item = _visible(asking, link_id)
    link_id = item.link_id
    if len(raw) > 1:
        raise Invalid({"answer": "not_an_option"})
    try:
        value = questionnaire.check_answer(item, raw[0] if raw else "")
    except questionnaire.AnswerProblem as problem:
        raise Invalid({"answer": problem.code}) from problem
    _keep(check_in, asking, link_id, value, who, now)
    if item.type == "text":
        _raise_reasons(db, check_in, asking, now, only="crisis_words")
    db.flush()
    following = questionnaire.next_question(asking.questions, asking.answers, link_id)
    return following.link_id if following else None


def phone_form(
    db: Session, who: Actor, check_in_id: UUID, typed: Mapping[str, str] | None = None, *, now: datetime
) -> PhoneForm:
    """The questions for somebody who asks them on the telephone, with what was typed, else with what is saved.

    `typed` goes by the questions' names in addresses. `Conflict` as in `page`.
    """
    check_in = _open(db, who, check_in_id, now)
    asking = _asking(db, check_in)
    if typed is not None:
        read, _problems = _read(asking, typed)
        asking = Asking(asking.questions, read, asking.measures)
    return PhoneForm(
        check_in=check_in,
        lines=tuple((item, _typed(asking, item, typed or {})) for item in asking.visible),
        steering=questionnaire.steering(asking.questions),
        titles={measure.id: measure.title for measure in asking.measures},
        urgency=is_urgent(asking.counted),
    )


def answer_by_phone(
    db: Session, who: Actor, check_in_id: UUID, typed: Mapping[str, str], *, now: datetime
) -> Ending:
    """Keeps all answers of a telephone call and sends them; what was answered before and is the same stays as it was given.

    `typed` goes by the questions' names in addresses and holds every question that was shown. `Invalid` by the same names:
    `required` and the like, `new` for a question that came with these answers and has not been shown.
    """
    check_in = _open(db, who, check_in_id, now, hold=True)
    asking = _asking(db, check_in)
    read, problems = _read(asking, typed)
    now_asked = questionnaire.visible_questions(asking.questions, read)
    names = [questionnaire.address(item.link_id) for item in now_asked]
    found = {name: problems.get(name, "") if name in typed else "new" for name in names}
    if any(found.values()):
        raise Invalid({name: code for name, code in found.items() if code})
    for item in now_asked:
        value = read[item.link_id]
        if item.link_id not in asking.answers or asking.answers[item.link_id] != value:
            _keep(check_in, asking, item.link_id, value, who, now)
    db.flush()
    return finish(db, who, check_in_id, now=now)


def may_be_phoned(check_in: CheckIn, now: datetime) -> bool:
    """Whether its questions can be asked on the telephone, as far as it knows itself: it is open, or expired of late."""
    return check_in.state in ANSWERABLE or (
        check_in.state == "expired"
        and check_in.ended_at is not None
        and check_in.ended_at > now - BY_PHONE_WITHIN
    )


def written_by(check_in_id: ColumnElement[UUID] | InstrumentedAttribute[UUID]) -> ScalarSelect[UUID | None]:
    """The id of the professional who wrote down answers on the telephone; null where the person answered alone."""
    return (
        select(Answer.by_id)
        .where(Answer.check_in_id == check_in_id, Answer.by_kind == "professional")
        .order_by(Answer.at.desc(), Answer.id)
        .limit(1)
        .correlate(CheckIn)
        .scalar_subquery()
    )


def finish(db: Session, who: Actor, check_in_id: UUID, *, now: datetime) -> Ending:
    """Sends the answers: measures get their status, flags are raised. Sent twice is sent once.

    `Invalid({link_id: "required"})` for each question that still needs an answer.
    """
    check_in = _own(db, who, check_in_id, now, hold=True)
    if check_in.state == "answered":
        return ending(db, who, check_in_id, now=now)
    _refuse_closed(db, who, check_in, now)
    asking = _asking(db, check_in)
    missing = [
        item.link_id for item in asking.visible if item.required and asking.answers.get(item.link_id) is None
    ]
    if missing:
        raise Invalid(dict.fromkeys(missing, "required"))
    check_in.state, check_in.answered_at = "answered", now
    # One that had expired keeps that moment: what it asked then is what was answered.
    check_in.ended_at = check_in.ended_at or now
    _record_measures(db, check_in, asking, who.kind, who.id, now)
    _raise_reasons(db, check_in, asking, now)
    flag.no_longer_needed(db, check_in, SETTLED_BY_ANSWER, now=now)
    return ending(db, who, check_in_id, now=now)


def postpone(db: Session, who: Actor, check_in_id: UUID, *, now: datetime) -> CheckIn:
    """Not today: asked again tomorrow at the same hour. The second time the ward is told; a third is `Conflict("postponed")`."""
    if who.kind != "patient":
        raise NotFound("check-in")
    check_in = _own(db, who, check_in_id, now, hold=True)
    if check_in.state == "postponed":
        return check_in
    _refuse_closed(db, who, check_in, now)
    if check_in.postponed >= POSTPONE_AT_MOST:
        raise Conflict("postponed")
    days = max(1, _template(check_in).days_between_messages)
    check_in.local_date = cadence.local_day(now) + timedelta(days=days)
    check_in.due_at = cadence.to_utc(check_in.local_date, check_in.local_time)
    check_in.state = "postponed"
    check_in.postponed += 1
    if check_in.postponed == POSTPONE_AT_MOST:
        _tell_ward(db, check_in, "postponed_twice", now, day=check_in.day)
    db.flush()
    return check_in


def response(db: Session, check_in: CheckIn) -> dict[str, Any]:
    """The answers as a FHIR R4 QuestionnaireResponse, in the patient's language."""
    asking = _asking(db, check_in)
    given = check_in.answers
    return questionnaire.to_response(
        asking.questions,
        asking.answers,
        authored=check_in.answered_at or (given[-1].at if given else _required(check_in.asked_at)),
        completed=check_in.state == "answered",
        subject=f"Patient/{check_in.patient_id}",
        source=f"Patient/{check_in.patient_id}",
        author=_author(check_in),
        language=check_in.patient.language,
    )


def is_urgent(counted: dict[str, questionnaire.Value]) -> bool:
    """Whether the emergency numbers are shown large: worse, a fall with injury, or crisis words."""
    said = (value for key, value in counted.items() if key.endswith(".text") and isinstance(value, str))
    return (
        counted.get("worse", "no") != "no"
        or counted.get("fall.injury") is True
        or triage.crisis_quote(said, library.crisis_words()) is not None
    )


def _own(db: Session, who: Actor, check_in_id: UUID, now: datetime, *, hold: bool = False) -> CheckIn:
    """One's own check-in, or that of a patient whom one's unit follows.

    A relative who helps uses the patient's link and is the patient here.
    """
    statement = (
        select(CheckIn)
        .join(CheckIn.plan)
        .join(CheckIn.patient)
        .where(CheckIn.id == check_in_id, _theirs(who, now), CheckIn.state != "planned")
        .options(
            contains_eager(CheckIn.plan)
            .joinedload(Plan.stay, innerjoin=True)
            .joinedload(Stay.ward, innerjoin=True),
            contains_eager(CheckIn.patient).joinedload(Patient.municipality, innerjoin=True),
            selectinload(CheckIn.answers),
        )
        .execution_options(populate_existing=True)
    )
    if hold:
        statement = statement.with_for_update(of=CheckIn, key_share=True)
    check_in = db.scalars(statement).one_or_none()
    if check_in is None:
        raise NotFound("check-in")
    return check_in


def _theirs(who: Actor, now: datetime) -> ColumnElement[bool]:
    if who.kind == "patient":
        return CheckIn.patient_id == who.id
    if who.kind == "professional":
        return flag.follows(who, CheckIn.patient_id, cadence.local_day(now))
    return false()


def _open(db: Session, who: Actor, check_in_id: UUID, now: datetime, *, hold: bool = False) -> CheckIn:
    check_in = _own(db, who, check_in_id, now, hold=hold)
    _refuse_closed(db, who, check_in, now)
    return check_in


def _refuse_closed(db: Session, who: Actor, check_in: CheckIn, now: datetime) -> None:
    if who.kind == "professional" and check_in.patient.died_on:
        raise Conflict("died")
    if check_in.state in ANSWERABLE:
        return
    by_phone = who.kind == "professional" and may_be_phoned(check_in, now)
    if by_phone and not _asked_since(db, check_in):
        return
    raise Conflict("answered" if check_in.state == "answered" else "expired")


def _asked_since(db: Session, check_in: CheckIn) -> bool:
    """Whether the person has been asked anew: what they say now belongs there."""
    later = select(CheckIn.id).where(
        CheckIn.patient_id == check_in.patient_id,
        CheckIn.due_at > check_in.due_at,
        CheckIn.state.in_((*ANSWERABLE, "answered")),
    )
    return db.scalars(later.limit(1)).first() is not None


def _keep(
    check_in: CheckIn,
    asking: Asking,
    link_id: str,
    value: questionnaire.Value | None,
    who: Actor,
    now: datetime,
) -> None:
    # Two answers in one instant keep their order.
    latest = check_in.answers[-1].at if check_in.answers else now
    check_in.answers.append(
        Answer(
            link_id=link_id,
            value=PASSED_BY if value is None else value,
            at=max(now, latest + timedelta(microseconds=1)),
            by_kind=who.kind,
            by_id=who.id,
        )
    )
    asking.answers[link_id] = value


def _read(
    asking: Asking, typed: Mapping[str, str]
) -> tuple[dict[str, questionnaire.Value | None], dict[str, str]]:
    """What was typed as answers by linkId, and what does not do, by the question's name in an address."""
    answers: dict[str, questionnaire.Value | None] = {}
    problems: dict[str, str] = {}
    for item in questionnaire.questions(asking.questions):
        name = questionnaire.address(item.link_id)
        if name in typed:
            try:
                answers[item.link_id] = questionnaire.check_answer(item, typed[name])
            except questionnaire.AnswerProblem as problem:
                problems[name] = problem.code
    return answers, problems


def _typed(asking: Asking, item: questionnaire.Item, typed: Mapping[str, str]) -> str:
    name = questionnaire.address(item.link_id)
    if name in typed:
        return typed[name]
    value = asking.answers.get(item.link_id)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _phoned_by(check_in: CheckIn) -> UUID | None:
    """Who wrote down its answers, the last of them."""
    return next(
        (answer.by_id for answer in reversed(check_in.answers) if answer.by_kind == "professional"), None
    )


def _author(check_in: CheckIn) -> str | None:
    phoned_by = _phoned_by(check_in)
    return f"Practitioner/{phoned_by}" if phoned_by else None


def _visible(asking: Asking, name: str) -> questionnaire.Item:
    """The question by its linkId, or by its name in an address."""
    for item in asking.visible:
        if name in (item.link_id, questionnaire.address(item.link_id)):
            return item
    raise NotFound("question")


def _asking(db: Session, check_in: CheckIn) -> Asking:
    measures = db.scalars(
        select(Measure)
        .where(Measure.stay_id == check_in.plan.stay_id)
        .order_by(Measure.number)
        .options(joinedload(Measure.statuses), joinedload(Measure.owner_unit))
        .execution_options(populate_existing=True)
    )
    return asks(check_in, measures.unique().all())


def asks(check_in: CheckIn, measures: Iterable[Measure]) -> Asking:
    """What the check-in asks about the measures of its stay, and what was answered; reads nothing that is loaded.

    Once it has ended, it is what it asked then: later statuses change nothing.
    """
    asked = [measure for measure in measures if _asked_about(measure, check_in)]
    questions = questionnaire.for_check_in(
        library.questionnaire(check_in.questionnaire),
        library.measure_questions(),
        [_to_ask(measure, check_in) for measure in asked],
    )
    answers = {
        answer.link_id: None if answer.value == PASSED_BY else answer.value for answer in check_in.answers
    }
    return Asking(questions, answers, asked)


def _asked_about(measure: Measure, check_in: CheckIn) -> bool:
    """Whether the measure was open, leaving aside what this check-in itself said about it."""
    until = check_in.ended_at
    if until and measure.created_at > until:
        return False
    before = [
        status
        for status in measure.statuses
        if status.check_in_id != check_in.id and (until is None or status.at <= until)
    ]
    return not before or before[-1].status not in ("started", "done", "declined", "cancelled")


def _to_ask(measure: Measure, check_in: CheckIn) -> questionnaire.MeasureToAsk:
    return questionnaire.MeasureToAsk(
        id=str(measure.id),
        title=measure.title,
        owner=measure.owner,
        owner_name=_owner_name(measure, check_in),
    )


def _owner_name(measure: Measure, check_in: CheckIn) -> str:
    """The owner as the person knows them: the municipality, not the name of its office."""
    if measure.owner == "municipality":
        return f"{check_in.patient.municipality.name} kommune"
    if measure.owner_unit:
        return measure.owner_unit.name
    return check_in.plan.stay.ward.name


# --- what follows from the answers --------------------------------------------------------------------------------


def _record_measures(
    db: Session, check_in: CheckIn, asking: Asking, by_kind: str, by_id: UUID | None, now: datetime
) -> None:
    counted = asking.counted
    for measure in asking.measures:
        started = counted.get(f"measure.{measure.id}.started")
        why = counted.get(f"measure.{measure.id}.why")
        if started is None:
            continue
        # One who does not want it is not asked again; the ward hears of it by a flag.
        status = "declined" if why == "not_wanted" else STATUS_BY_ANSWER[str(started)]
        reason = str(why) if why else None
        if _said_already(measure, check_in, status, reason):
            continue
        db.add(
            MeasureStatus(
                measure_id=measure.id,
                status=status,
                reason=reason,
                at=now,
                by_kind=by_kind,
                by_id=by_id,
                check_in_id=check_in.id,
            )
        )


def _said_already(measure: Measure, check_in: CheckIn, status: str, reason: str | None) -> bool:
    """Whether this check-in's last word about the measure is the same: said before it expired, and again on the telephone."""
    last = measure.statuses[-1] if measure.statuses else None
    return last is not None and (last.check_in_id, last.status, last.reason) == (check_in.id, status, reason)


def _raise_reasons(
    db: Session, check_in: CheckIn, asking: Asking, now: datetime, only: str | None = None
) -> None:
    """A flag for each reason the answers give, once per check-in."""
    measures = {str(measure.id): measure for measure in asking.measures}
    found = triage.triage(
        _facts(db, check_in.patient, cadence.local_day(now)),
        asking.counted,
        [triage.MeasureFacts(key, measure.owner, measure.due_on) for key, measure in measures.items()],
        cadence.local_day(now),
        crisis_words=library.crisis_words(),
    )
    flagged = db.execute(select(Flag.code, Flag.measure_id).where(Flag.check_in_id == check_in.id))
    raised = {(code, measure_id) for code, measure_id in flagged}
    for reason in found.reasons:
        measure = measures.get(reason.measure_id or "")
        if (only and reason.code != only) or (reason.code, measure.id if measure else None) in raised:
            continue
        flag.raise_flag(
            db,
            check_in.patient,
            code=reason.code,
            level=reason.level,
            unit=flag.owner_unit(db, check_in.patient, reason.owner_kind, measure),
            now=now,
            check_in=check_in,
            measure=measure,
            quote=reason.quote,
            params={"day": check_in.day, **reason.params},
        )


def _facts(db: Session, patient: Patient, today: date) -> triage.CheckInFacts:
    kinds = frozenset(
        db.scalars(
            select(Unit.kind)
            .join(PatientUnit, PatientUnit.unit_id == Unit.id)
            .where(
                PatientUnit.patient_id == patient.id,
                or_(PatientUnit.until.is_(None), PatientUnit.until >= today),
            )
        )
    )
    therapist: Literal["art", "municipal_rehab"] | None = None
    if "art" in kinds:
        therapist = "art"
    elif "municipal_rehab" in kinds:
        therapist = "municipal_rehab"
    return triage.CheckInFacts(unit_kinds=kinds, therapist_kind=therapist)


def ending(db: Session, who: Actor, check_in_id: UUID, *, now: datetime) -> Ending:
    """What happens now, from the flags that were really raised; read again later it tells who has seen them.

    `Conflict("not_answered")` before the answers are sent.
    """
    check_in = _own(db, who, check_in_id, now)
    if check_in.state != "answered":
        raise Conflict("not_answered" if check_in.state in ANSWERABLE else "expired")
    flags = (
        db.scalars(
            select(Flag)
            .where(
                Flag.check_in_id == check_in.id, Flag.message_id.is_(None), Flag.code.not_in(BEFORE_ANSWER)
            )
            .options(joinedload(Flag.unit), joinedload(Flag.claimed_by), joinedload(Flag.events))
            .order_by(Flag.rank, Flag.opened_at, Flag.id)
            .execution_options(populate_existing=True)
        )
        .unique()
        .all()
    )
    steps = _steps(flags)
    waiting = [step for step in steps if step.state != "closed"]
    asking = _asking(db, check_in)
    phoned_by = _phoned_by(check_in)
    return Ending(
        check_in=check_in,
        answered_at=_required(check_in.answered_at),
        written_by=db.get_one(Professional, phoned_by) if phoned_by else None,
        steps=steps,
        next=_next(db, check_in),
        heard_by=max((step.respond_by for step in waiting), default=None),
        contacts=_contacts(db, check_in.patient, [step.unit for step in waiting]),
        urgency=is_urgent(asking.counted),
        titles={measure.id: measure.title for measure in asking.measures},
    )


def _steps(flags: Sequence[Flag]) -> tuple[Step, ...]:
    """One step per unit and person who has it, the gravest first."""
    together: dict[tuple[UUID, UUID | None, str], list[Flag]] = {}
    for raised in flags:
        together.setdefault((raised.unit_id, raised.claimed_by_id, raised.state), []).append(raised)
    return tuple(_step(group) for group in together.values())


def _step(group: Sequence[Flag]) -> Step:
    first = group[0]
    return Step(
        unit=first.unit,
        who=first.claimed_by,
        state=first.state,  # type: ignore[arg-type]
        level=first.level,
        respond_by=min(one.respond_by for one in group),
        seen_at=min((one.claimed_at for one in group if one.claimed_at), default=None),
        closed_at=max((one.closed_at for one in group if one.closed_at), default=None),
        outcome=first.outcome,
        flags=tuple(group),
    )


def _next(db: Session, check_in: CheckIn) -> NextCheckIn | None:
    """The next one planned for the person, whichever plan it belongs to; none is promised while the plan rests."""
    following = db.scalars(
        select(CheckIn)
        .join(CheckIn.plan)
        .where(
            CheckIn.patient_id == check_in.patient_id,
            CheckIn.state.in_(("planned", "postponed")),
            Plan.state == "active",
        )
        .order_by(CheckIn.due_at)
        .limit(1)
    ).first()
    if following is None:
        return None
    reachable = message.takes_messages(check_in.patient, "check_in")
    return NextCheckIn(
        following.local_date, following.local_time, check_in.patient.contact_by if reachable else "call"
    )


def _contacts(db: Session, patient: Patient, owners: Sequence[Unit]) -> tuple[Unit, ...]:
    """Whom to ring: the units that have the case; with none, those that follow the person. The ward comes last, always."""
    units = {unit.id: unit for unit in owners}
    for kind in ("ward",) if units else ("coordinating_unit", "ward"):
        unit = flag.owner_unit(db, patient, kind)
        units.setdefault(unit.id, unit)
    return tuple(unit for unit in units.values() if unit.phone)
