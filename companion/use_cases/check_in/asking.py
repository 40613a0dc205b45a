"""The tick: check-ins are asked, reminded once, and given up.

Each one asked comes to an end: answered; skipped, because the plan rests or is over or the person is asked anew; put off, at
most `POSTPONE_AT_MOST` times; or given up, and then a human has an open case or has closed one. By when, `remind_at` and
`give_up_at` say: whatever was sent, undeliverable or not, and however long somebody goes on writing.
A patient has one open check-in: asking a new one gives up the older. What fell due while nobody was looking is not made up
for in a burst: of several overdue ones the latest is asked and the earlier are skipped, and one that is more than
`TOO_LATE` overdue is not asked at all but put before the ward.
Nobody is asked or reminded when nothing may be sent: it falls due at the next hour that is allowed, as every page says.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta
from itertools import groupby
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import InstrumentedAttribute, Session, contains_eager

from companion import library
from companion.models import CheckIn, Message, Patient, Plan
from companion.rules import cadence
from companion.rules.quiet_hours import is_message_day, next_allowed
from companion.use_cases.check_in import by_sms
from companion.use_cases.check_in.coming import TO_COME, moment_of, rested_by_patient
from companion.use_cases.check_in.following import (
    already_told,
    raise_reasons,
    record_measures,
    tell_ward,
)
from companion.use_cases.check_in.questions import ANSWERABLE, asking_of, own_hour, required, template_of
from companion.use_cases.messages import message

TOO_LATE = timedelta(days=7)
# One transaction; SQLite lets nobody else write meanwhile.
BATCH = 200
_IN_FORCE = (Plan.state == "active", Patient.died_on.is_(None))


def ask_due(db: Session, now: datetime, limit: int = BATCH) -> int:
    """Asks every check-in whose time has come; says how many were asked."""
    due = (CheckIn.state.in_(TO_COME), CheckIn.due_at <= now)
    # The patient is locked too: another process must not take an earlier check-in of the same person.
    mine = _held(db, select(CheckIn).where(*due).order_by(CheckIn.due_at, CheckIn.id).limit(limit))
    patients = {check_in.patient_id for check_in in mine}
    all_due = db.scalars(
        _with_person(select(CheckIn).where(*due, CheckIn.patient_id.in_(patients))).order_by(
            CheckIn.patient_id, CheckIn.due_at, CheckIn.day
        )
    ).all()
    rested = rested_by_patient(db, all_due, now)
    asked = 0
    for patient_id, group in groupby(all_due, key=lambda check_in: check_in.patient_id):
        asked += _ask_latest(db, list(group), rested.get(patient_id), now)
    db.flush()
    return asked


def remind_due(db: Session, now: datetime, limit: int = BATCH) -> int:
    """Reminds, once, whoever has not answered; says how many."""
    if not is_message_day(cadence.local_day(now)):
        return 0
    waiting = (
        CheckIn.state == "asked",
        CheckIn.reminded_at.is_(None),
        CheckIn.asked_at <= now - timedelta(hours=cadence.REMIND_AFTER_HOURS),
    )

    def moment(
        asked_at: datetime, heard_at: datetime | None, own_hour: time, template: cadence.PlanTemplate
    ) -> datetime:
        # Somebody who looks late waits for the next hour at which it may go.
        return next_allowed(
            "reminder", max(_remind_after(asked_at, heard_at, own_hour, template), now), own_hour
        )

    ready = _ready(db, waiting, CheckIn.asked_at, moment, now, limit)
    for check_in in ready:
        check_in.reminded_at = now
        _write(db, check_in, "reminder", now, valid_until=required(give_up_at(check_in)))
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
        _give_up(db, check_in, now, code="no_answer")
    db.flush()
    return len(ready)


def remind_at(check_in: CheckIn) -> datetime | None:
    """When this asked check-in is reminded, at an hour when that may be: counted from when its message could go or, in a
    conversation by SMS, from the last word heard; None when it is not to be."""
    if check_in.state != "asked" or check_in.reminded_at:
        return None
    asked_at, heard_at = required(check_in.asked_at), check_in.heard_at
    return _remind_after(asked_at, heard_at, own_hour(check_in), template_of(check_in))


def give_up_at(check_in: CheckIn) -> datetime | None:
    """When this reminded check-in is given up, counted from when the reminder could go or, in a conversation by SMS, from
    the last word heard since; None when it is not to be."""
    if check_in.state != "asked" or check_in.reminded_at is None:
        return None
    return _give_up_after(check_in.reminded_at, check_in.heard_at, own_hour(check_in), template_of(check_in))


def _remind_after(
    asked_at: datetime, heard_at: datetime | None, own_hour: time, template: cadence.PlanTemplate
) -> datetime:
    sent = next_allowed("check_in", asked_at, own_hour)
    silent = cadence.silent_from(sent, heard_at)
    return next_allowed("reminder", cadence.remind_at(silent, template.remind_after_hours), own_hour)


def _give_up_after(
    reminded_at: datetime, heard_at: datetime | None, own_hour: time, template: cadence.PlanTemplate
) -> datetime:
    sent = next_allowed("reminder", reminded_at, own_hour)
    return cadence.give_up_at(cadence.silent_from(sent, heard_at), template.give_up_after_hours)


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
    moment: Callable[[datetime, datetime | None, time, cadence.PlanTemplate], datetime],
    now: datetime,
    limit: int,
) -> Sequence[CheckIn]:
    """Those whose moment has come. First a light look at all: over a weekend most of them wait, tick after tick."""
    ripe: list[UUID] = []
    looked_at = db.execute(
        select(CheckIn.id, since, CheckIn.heard_at, Patient.hour, CheckIn.local_time, Plan.template)
        .join(CheckIn.plan)
        .join(CheckIn.patient)
        .where(*waiting, *_IN_FORCE)
        .order_by(since, CheckIn.id)
    )
    for check_in_id, begun, heard_at, hour, local_time, template in looked_at:
        if moment(required(begun), heard_at, hour or local_time, library.plan_template(template)) <= now:
            ripe.append(check_in_id)
        if len(ripe) == limit:
            break
    looked_at.close()
    if not ripe:
        return []
    return _held(db, select(CheckIn).where(*waiting, CheckIn.id.in_(ripe)).order_by(since, CheckIn.id))


def _ask_latest(db: Session, due: Sequence[CheckIn], rested: datetime | None, now: datetime) -> bool:
    """Asks the latest of what is due for one person; whether it was asked. What may not be asked now falls due when it may."""
    *earlier, latest = due
    moment = moment_of(latest, now, rested)
    too_late = latest.due_at < now - TOO_LATE
    if moment > now and not too_late:
        for check_in in due:
            check_in.due_at = moment
        return False
    if not too_late and by_sms.must_wait(db, latest):
        return False
    for check_in in earlier:
        _skip(db, check_in, now)
    if too_late:
        _give_up(db, latest, now, code="not_asked")
    else:
        _ask(db, latest, now)
    return not too_late


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
            _give_up(db, other, now, code="no_answer")
        else:
            _skip(db, other, now)
    check_in.state, check_in.asked_at, check_in.reminded_at = "asked", now, None
    db.flush()
    remind = required(remind_at(check_in))
    last = _give_up_after(remind, None, own_hour(check_in), template_of(check_in))
    _write(db, check_in, "check_in", now, valid_until=last)


def _write(
    db: Session,
    check_in: CheckIn,
    kind: Literal["check_in", "reminder"],
    now: datetime,
    *,
    valid_until: datetime,
) -> None:
    """The letter, or the question itself to one who answers by SMS; else the request that a human phones."""
    by_itself = by_sms.speaks(check_in.patient)
    params = by_sms.first_question(db, check_in) if by_itself else {}
    letter_kind = by_sms.INSTEAD_OF[kind] if by_itself else kind
    if _still_queued(db, check_in, letter_kind):
        return
    letter = params is not None and message.write(
        db,
        letter_kind,
        to=check_in.patient,
        now=now,
        params=params,
        check_in=check_in,
        valid_until=valid_until,
        dedupe_key=f"{letter_kind}:{check_in.id}:{check_in.postponed}",
    )
    if not letter and not already_told(db, check_in):
        wish = int(check_in.patient.contact_by == "call" and check_in.patient.phone_state != "opted_out")
        tell_ward(db, check_in, "call_due", now, day=check_in.day, wish=wish)


def _still_queued(db: Session, check_in: CheckIn, kind: str) -> bool:
    """Postponed and asked again before the first letter went, as over a weekend: one is enough."""
    queued = select(Message.id).where(
        Message.check_in_id == check_in.id, Message.kind == kind, Message.state == "queued"
    )
    return db.scalars(queued.limit(1)).first() is not None


def _skip(db: Session, check_in: CheckIn, now: datetime) -> None:
    """Ends it for a later one."""
    _read(db, check_in, now)
    check_in.state, check_in.ended_at = "skipped", now


def _read(db: Session, check_in: CheckIn, now: datetime) -> int:
    """Answers given before the person stopped are read all the same; how many there are."""
    if not check_in.answers:
        return 0
    asking = asking_of(db, check_in)
    record_measures(db, check_in, asking, "patient", check_in.patient_id, now)
    raise_reasons(db, check_in, asking, now)
    return len(asking.counted)


def _give_up(db: Session, check_in: CheckIn, now: datetime, *, code: str) -> None:
    """Ends it, and tells the ward unless it knows."""
    answered = _read(db, check_in, now)
    check_in.state, check_in.ended_at = "expired", now
    if not already_told(db, check_in):
        tell_ward(db, check_in, code, now, day=check_in.day, answered=answered)
