"""Everything about one patient for those who follow them: the plan, the measures, the flags, and all that happened, in time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, joinedload

from companion.errors import NotAllowed, NotFound
from companion.models import (
    CheckIn,
    Flag,
    FlagEvent,
    Measure,
    Meeting,
    MeetingEvent,
    Message,
    Participant,
    Patient,
    Plan,
    Professional,
    Stay,
)
from companion.rules.access import Actor
from companion.rules.cadence import local_day
from companion.rules.questionnaire import Item, Value
from companion.use_cases.cases.flag import follows
from companion.use_cases.check_in import LAST_WORDS, asks, written_by
from companion.use_cases.messages.again import latest
from companion.worklists.desk import age

SHOWN_MESSAGES = 200
# Of old ones it was not written down who did it.
_BY_HOST = ("offered", "moved", "cancelled", "ended")


@dataclass(frozen=True)
class Entry:
    """One thing that happened. `kind`: `plan_made` … `plan_stopped`, `asked`, `reminded`, `answered`, `expired`, `skipped`,
    `flag_opened` … `flag_closed`, `message`, `meeting_offered` … `meeting_ended`; what it concerns stands beside it.
    """

    at: datetime
    kind: str
    by: Professional | None = None
    reason: str | None = None
    text: str | None = None
    check_in: CheckIn | None = None
    flag: Flag | None = None
    message: Message | None = None
    meeting: Meeting | None = None
    participant: Participant | None = None


@dataclass(frozen=True)
class Case:
    """A patient as the desk sees them. `timeline` and `letters` are newest first; `answers` by check-in: each question
    answered, and how.
    """

    patient: Patient
    age: int
    stay: Stay
    plan: Plan
    day: int
    check_ins: Sequence[CheckIn]
    answers: dict[UUID, list[tuple[Item, Value]]]
    measures: Sequence[Measure]
    flags: Sequence[Flag]
    meetings: Sequence[Meeting]
    letters: Sequence[Message]
    timeline: Sequence[Entry]

    @property
    def open_flags(self) -> list[Flag]:
        """Those not closed, red first, oldest first."""
        return [flag for flag in self.flags if flag.state != "closed"]


def case(db: Session, who: Actor, patient_id: UUID, *, now: datetime) -> Case:
    """The case, for a professional whose unit follows the patient or has a flag about them; else `NotFound`."""
    stays = _stays(db, who, patient_id, now)
    stay, today = stays[-1], local_day(now)
    check_ins, writers = _check_ins(db, patient_id)
    measures = _measures(db, patient_id)
    flags = _flags(db, patient_id)
    meetings = _meetings(db, patient_id)
    letters = _letters(db, patient_id)
    return Case(
        patient=stay.patient,
        age=age(stay.patient, today),
        stay=stay,
        plan=stay.plan,
        day=(today - stay.discharged_on).days,
        check_ins=check_ins,
        answers={one.id: _said(one, measures) for one in check_ins if one.answers},
        measures=[measure for measure in measures if measure.stay_id == stay.id],
        flags=flags,
        meetings=meetings,
        letters=letters,
        timeline=sorted(
            [
                *_plan_entries(stays),
                *_check_in_entries(check_ins, writers, letters),
                *_flag_entries(flags),
                *_message_entries(letters),
                *_meeting_entries(meetings),
            ],
            key=lambda entry: entry.at,
            reverse=True,
        ),
    )


def _stays(db: Session, who: Actor, patient_id: UUID, now: datetime) -> Sequence[Stay]:
    if who.kind != "professional":
        raise NotAllowed("the desk is for professionals")
    has_a_flag = (
        select(Flag.id)
        .where(Flag.patient_id == patient_id, Flag.unit_id.in_(who.unit_ids), Flag.state != "closed")
        .exists()
    )
    stays = (
        db.scalars(
            select(Stay)
            .where(Stay.patient_id == patient_id, or_(follows(who, patient_id, local_day(now)), has_a_flag))
            .order_by(Stay.discharged_on, Stay.created_at)
            .options(
                joinedload(Stay.patient, innerjoin=True).joinedload(Patient.municipality, innerjoin=True),
                joinedload(Stay.ward, innerjoin=True),
                joinedload(Stay.plan).joinedload(Plan.events),
            )
            .execution_options(populate_existing=True)
        )
        .unique()
        .all()
    )
    if not stays:
        raise NotFound("patient")
    return stays


def _check_ins(db: Session, patient_id: UUID) -> tuple[Sequence[CheckIn], dict[UUID, Professional]]:
    """The check-ins, and who wrote down the answers of those answered on the telephone."""
    found = (
        db.execute(
            select(CheckIn, Professional)
            .outerjoin(Professional, Professional.id == written_by(CheckIn.id))
            .where(CheckIn.patient_id == patient_id)
            .order_by(CheckIn.due_at, CheckIn.day)
            .options(joinedload(CheckIn.answers))
        )
        .unique()
        .all()
    )
    return [one for one, _ in found], {one.id: writer for one, writer in found if writer}


def _measures(db: Session, patient_id: UUID) -> Sequence[Measure]:
    return (
        db.scalars(
            select(Measure)
            .where(Measure.patient_id == patient_id)
            .order_by(Measure.number)
            .options(joinedload(Measure.statuses), joinedload(Measure.owner_unit))
            .execution_options(populate_existing=True)
        )
        .unique()
        .all()
    )


def _flags(db: Session, patient_id: UUID) -> Sequence[Flag]:
    return (
        db.scalars(
            select(Flag)
            .where(Flag.patient_id == patient_id)
            .order_by(Flag.rank, Flag.opened_at, Flag.id)
            .options(
                joinedload(Flag.events).joinedload(FlagEvent.by),
                joinedload(Flag.unit, innerjoin=True),
                joinedload(Flag.from_unit),
                joinedload(Flag.claimed_by),
            )
            .execution_options(populate_existing=True)
        )
        .unique()
        .all()
    )


def _meetings(db: Session, patient_id: UUID) -> Sequence[Meeting]:
    return (
        db.scalars(
            select(Meeting)
            .where(Meeting.patient_id == patient_id)
            .order_by(Meeting.starts_at.desc())
            .options(
                joinedload(Meeting.host, innerjoin=True),
                joinedload(Meeting.everybody).joinedload(Participant.relative),
                joinedload(Meeting.everybody).joinedload(Participant.professional),
                joinedload(Meeting.events).joinedload(MeetingEvent.by),
            )
            .execution_options(populate_existing=True)
        )
        .unique()
        .all()
    )


def _letters(db: Session, patient_id: UUID) -> Sequence[Message]:
    """The latest letters, also to relatives about the patient, and of a conversation by SMS its last words.

    Codes to sign in with are the patient's own business.
    """
    shown = or_(Message.lane == "batch", Message.kind.in_(LAST_WORDS))
    wanted = latest(patient_id, shown, limit=SHOWN_MESSAGES)
    return db.scalars(
        select(Message)
        .join(wanted, wanted.c.id == Message.id)
        .order_by(Message.id.desc())
        .options(
            joinedload(Message.patient),
            joinedload(Message.relative),
            joinedload(Message.about),
            joinedload(Message.check_in).joinedload(CheckIn.plan),
            joinedload(Message.meeting),
        )
    ).all()


def _said(check_in: CheckIn, measures: Sequence[Measure]) -> list[tuple[Item, Value]]:
    return asks(check_in, [one for one in measures if one.stay_id == check_in.plan.stay_id]).said


def _plan_entries(stays: Sequence[Stay]) -> Iterator[Entry]:
    for stay in stays:
        for event in stay.plan.events:
            yield Entry(event.at, f"plan_{event.kind}", reason=event.reason)


def _check_in_entries(
    check_ins: Sequence[CheckIn], writers: Mapping[UUID, Professional], messages: Sequence[Message]
) -> Iterator[Entry]:
    """`reason` is `sms` where the last words of a conversation by SMS were written."""
    by_sms = {message.check_in_id for message in messages if message.kind in LAST_WORDS}
    for check_in in check_ins:
        if check_in.asked_at:
            yield Entry(check_in.asked_at, "asked", check_in=check_in)
        if check_in.reminded_at:
            yield Entry(check_in.reminded_at, "reminded", check_in=check_in)
        writer = writers.get(check_in.id)
        answered = check_in.answered_at
        if answered and check_in.ended_at and check_in.ended_at < answered:
            # It had expired before somebody phoned.
            yield Entry(check_in.ended_at, "expired", check_in=check_in)
            yield Entry(answered, "answered", by=writer, check_in=check_in)
        elif check_in.ended_at:
            reason = "sms" if check_in.id in by_sms else None
            yield Entry(check_in.ended_at, check_in.state, by=writer, reason=reason, check_in=check_in)


def _flag_entries(flags: Sequence[Flag]) -> Iterator[Entry]:
    for flag in flags:
        for event in flag.events:
            yield Entry(
                event.at,
                f"flag_{event.kind}",
                by=event.by,
                reason=event.outcome or flag.code,
                text=event.text,
                flag=flag,
            )


def _message_entries(letters: Sequence[Message]) -> Iterator[Entry]:
    """What became of each letter."""
    for letter in letters:
        yield Entry(letter.settled_at or letter.created_at, "message", reason=letter.state, message=letter)


def _meeting_entries(meetings: Sequence[Meeting]) -> Iterator[Entry]:
    for meeting in meetings:
        guests = {guest.id: guest for guest in meeting.everybody}
        for event in meeting.events:
            yield Entry(
                event.at,
                f"meeting_{event.kind}",
                by=event.by or (meeting.host if event.kind in _BY_HOST else None),
                reason=event.how,
                text=event.text,
                meeting=meeting,
                participant=guests.get(event.participant_id) if event.participant_id else None,
            )
