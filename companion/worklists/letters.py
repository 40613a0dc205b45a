"""What became of the letters: one patient's, a unit's days in numbers, and the people behind a number.

Codes for signing in, and replies, are the person's own business: they stand here only when they did not arrive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, or_, select
from sqlalchemy.orm import Session, joinedload

from companion.errors import NotAllowed, NotFound
from companion.models import CheckIn, Flag, Meeting, Message, Patient, PatientUnit, Unit
from companion.models.messages import LEFT_THE_QUEUE, QUEUED
from companion.rules.access import Actor
from companion.rules.cadence import local_day, to_utc
from companion.use_cases.cases.flag import follows
from companion.use_cases.check_in import LAST_WORDS
from companion.use_cases.messages.again import Sent, latest, sent

DAYS = 14
PEOPLE_AT_MOST = 200
# Every state is in one of these; a day's letters are their sum.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "arrived": ("delivered",),
    "on_the_way": ("accepted", "sent"),
    "not_arrived": ("failed", "undelivered"),
    "uncertain": ("unknown", "delivery_unknown"),
    "waiting": ("queued", "sending"),
    "not_sent": ("expired", "cancelled"),
}
_WHOSE = func.coalesce(Message.patient_id, Message.about_id)


@dataclass(frozen=True)
class Letters:
    """A page of one patient's letters, newest first; `next` asks for the page after. `follows`: so the person may send again."""

    patient: Patient
    follows: bool
    rows: Sequence[Sent]
    next: int | None


@dataclass(frozen=True)
class Tally:
    """A day's letters by what became of them. `sent` is what was handed to the provider, whatever it said."""

    arrived: int = 0
    on_the_way: int = 0
    not_arrived: int = 0
    uncertain: int = 0
    waiting: int = 0
    not_sent: int = 0

    @property
    def sent(self) -> int:
        """All that left us."""
        return self.arrived + self.on_the_way + self.not_arrived + self.uncertain

    @property
    def all(self) -> int:
        """Every letter of the day."""
        return self.sent + self.waiting + self.not_sent


@dataclass(frozen=True)
class UnitDays:
    """A unit's days, today first."""

    unit: Unit
    days: Mapping[date, Tally]


def letters(
    db: Session,
    who: Actor,
    patient_id: UUID,
    *,
    before: int | None = None,
    limit: int = 25,
    now: datetime,
) -> Letters:
    """What was written to the patient and to relatives about the patient; for those who see the case, else `NotFound`."""
    patient, theirs = _patient(db, who, patient_id, now)
    conditions = [_told_of, *([Message.id < before] if before is not None else [])]
    wanted = latest(patient_id, *conditions, limit=limit + 1)
    found = db.execute(
        sent(now)
        .join(wanted, wanted.c.id == Message.id)
        .order_by(Message.id.desc())
        .execution_options(populate_existing=True)
    ).all()
    rows = [Sent(*one) for one in found[:limit]]
    return Letters(patient, theirs, rows, rows[-1].letter.id if len(found) > limit else None)


def report(
    db: Session, units: Sequence[Unit], *, last: date, days: int = DAYS, waiting: bool = True
) -> list[UnitDays]:
    """Each unit's letters of the days up to `last`: of patients it follows then, also those of two units.

    A letter belongs to the Norwegian day it was last to be sent; what still `waiting` to be, to the last day.
    """
    wanted = [last - timedelta(days=back) for back in range(days)]
    found: dict[tuple[UUID, date], dict[str, int]] = {}
    counted = list(db.execute(_left(units, wanted)).all())
    if waiting:
        counted += db.execute(_queued(units, last)).all()
    for unit_id, back, state, number in counted:
        tally = found.setdefault((unit_id, wanted[back]), {})
        group = _group(state)
        tally[group] = tally.get(group, 0) + number
    return [UnitDays(unit, {day: Tally(**found.get((unit.id, day), {})) for day in wanted}) for unit in units]


def day_of(db: Session, units: Sequence[Unit], day: date) -> Tally:
    """Today's letters of several units together: of a patient whom two of them follow, each once."""
    followed = (
        select(PatientUnit.id)
        .where(
            PatientUnit.patient_id == _WHOSE,
            PatientUnit.unit_id.in_([unit.id for unit in units]),
            _followed_on(day),
        )
        .exists()
    )
    today = and_(LEFT_THE_QUEUE, _between(day, day))
    tally: dict[str, int] = {}
    for state, number in db.execute(
        select(Message.state, func.count())
        .where(Message.lane == "batch", or_(today, QUEUED), followed)
        .group_by(Message.state)
    ):
        tally[_group(state)] = tally.get(_group(state), 0) + number
    return Tally(**tally)


def units_of(db: Session, who: Actor) -> Sequence[Unit]:
    """The units of the person asking."""
    if who.kind != "professional":
        raise NotAllowed("the desk is for professionals")
    return db.scalars(select(Unit).where(Unit.id.in_(who.unit_ids)).order_by(Unit.name, Unit.id)).all()


def people(
    db: Session, who: Actor, unit_id: UUID, day: date, group: str, *, now: datetime
) -> Sequence[Message]:
    """The letters behind a number of the report, at most `PEOPLE_AT_MOST`.

    `NotFound` for a unit that is not the person's, and for a day that is not among the report's.
    """
    if who.kind != "professional":
        raise NotAllowed("the desk is for professionals")
    if unit_id not in who.unit_ids or group not in GROUPS:
        raise NotFound("unit")
    today = local_day(now)
    if not timedelta(0) <= today - day < timedelta(days=DAYS):
        raise NotFound("day")
    of_the_day = and_(LEFT_THE_QUEUE, _between(day, day))
    if group == "waiting" and day == today:
        of_the_day = or_(of_the_day, QUEUED)
    return db.scalars(
        select(Message)
        .join(PatientUnit, PatientUnit.patient_id == _WHOSE)
        .where(
            Message.lane == "batch",
            Message.state.in_(GROUPS[group]),
            of_the_day,
            PatientUnit.unit_id == unit_id,
            _followed_on(today),
        )
        .order_by(Message.next_attempt_at.desc(), Message.id.desc())
        .limit(PEOPLE_AT_MOST)
        .options(
            joinedload(Message.patient),
            joinedload(Message.relative),
            joinedload(Message.about),
            joinedload(Message.check_in).joinedload(CheckIn.plan),
            joinedload(Message.meeting).joinedload(Meeting.host),
        )
    ).all()


def why_not_wanted(letter: Message) -> str:
    """Why a cancelled letter was not sent, as far as the records show; `not_needed` where they do not.

    `answered` · `postponed` · `plan_paused` · `plan_stopped` · `check_in_over` · `meeting_cancelled` · `meeting_moved` ·
    `meeting_over` · `died` · `opted_out` · `dead` · `landline` · `call`.
    """
    when = letter.settled_at or letter.next_attempt_at
    about = _of_check_in(letter, when) if letter.check_in else _of_meeting(letter)
    return about or _of_person(letter, when) or "not_needed"


def _patient(db: Session, who: Actor, patient_id: UUID, now: datetime) -> tuple[Patient, bool]:
    if who.kind != "professional":
        raise NotAllowed("the desk is for professionals")
    theirs = follows(who, patient_id, local_day(now))
    has_a_flag = (
        select(Flag.id)
        .where(Flag.patient_id == patient_id, Flag.unit_id.in_(who.unit_ids), Flag.state != "closed")
        .exists()
    )
    found = db.execute(
        select(Patient, theirs).where(Patient.id == patient_id, or_(theirs, has_a_flag))
    ).one_or_none()
    if found is None:
        raise NotFound("patient")
    return found[0], bool(found[1])


_told_of: ColumnElement[bool] = or_(
    Message.lane == "batch",
    Message.kind.in_(LAST_WORDS),
    Message.state.in_((*GROUPS["not_arrived"], *GROUPS["uncertain"])),
)


# --- counting ---------------------------------------------------------------------------------------------------------


def _left(units: Sequence[Unit], days: Sequence[date]) -> Select[UUID, int, str, int]:
    """How many letters left the queue: by unit, by which of the days (0 is the last), by state."""
    back = case(
        *((Message.next_attempt_at >= _midnight(day), number) for number, day in enumerate(days)),
        else_=len(days) - 1,
    )
    return (
        select(PatientUnit.unit_id, back.label("back"), Message.state, func.count())
        .select_from(Message)
        .join(PatientUnit, PatientUnit.patient_id == _WHOSE)
        .where(
            Message.lane == "batch",
            LEFT_THE_QUEUE,
            _between(days[-1], days[0]),
            PatientUnit.unit_id.in_([unit.id for unit in units]),
            _followed_on(days[0]),
        )
        .group_by(PatientUnit.unit_id, back, Message.state)
    )


def _queued(units: Sequence[Unit], today: date) -> Select[UUID, int, str, int]:
    """How many letters wait now, by unit."""
    return (
        select(PatientUnit.unit_id, literal(0), literal("queued"), func.count())
        .select_from(Message)
        .join(PatientUnit, PatientUnit.patient_id == _WHOSE)
        .where(
            Message.lane == "batch",
            QUEUED,
            PatientUnit.unit_id.in_([unit.id for unit in units]),
            _followed_on(today),
        )
        .group_by(PatientUnit.unit_id)
    )


def _between(first: date, last: date) -> ColumnElement[bool]:
    return and_(
        Message.next_attempt_at >= _midnight(first),
        Message.next_attempt_at < _midnight(last + timedelta(days=1)),
    )


def _midnight(day: date) -> datetime:
    return to_utc(day, time(0))


def _followed_on(day: date) -> ColumnElement[bool]:
    return and_(PatientUnit.since <= day, or_(PatientUnit.until.is_(None), PatientUnit.until >= day))


def _group(state: str) -> str:
    return next(name for name, states in GROUPS.items() if state in states)


# --- why not ----------------------------------------------------------------------------------------------------------


def _of_check_in(letter: Message, when: datetime) -> str | None:
    check_in = letter.check_in
    assert check_in is not None
    if check_in.answered_at and check_in.answered_at <= when:
        return "answered"
    if check_in.postponed > _postponed_when_written(letter):
        return "postponed"
    if _had_died(letter, when):
        return "died"
    if check_in.plan.state in ("paused", "stopped"):
        return f"plan_{check_in.plan.state}"
    return "check_in_over" if check_in.ended_at and check_in.ended_at <= when else None


def _postponed_when_written(letter: Message) -> int:
    number = letter.dedupe_key.rpartition(":")[2]
    own = letter.dedupe_key.startswith(f"{letter.kind}:") and number.isdecimal()
    return int(number) if own else letter.check_in.postponed if letter.check_in else 0


def _of_meeting(letter: Message) -> str | None:
    meeting = letter.meeting
    if meeting is None:
        return None
    if meeting.state == "cancelled" and letter.kind != "meeting_cancelled":
        return "meeting_cancelled"
    told = letter.params.get("when")
    if told and datetime.fromisoformat(told) != meeting.starts_at:
        return "meeting_moved"
    return "meeting_over" if meeting.state == "ended" else None


def _of_person(letter: Message, when: datetime) -> str | None:
    if _had_died(letter, when):
        return "died"
    person = letter.relative or letter.patient
    if person is None:
        return None
    if person.phone_state != "ok":
        return person.phone_state
    return "call" if isinstance(person, Patient) and person.contact_by == "call" else None


def _had_died(letter: Message, when: datetime) -> bool:
    patient = letter.patient or letter.about
    return patient is not None and patient.died_on is not None and patient.died_on <= local_day(when)
