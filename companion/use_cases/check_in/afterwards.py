"""What happens now, from the flags that were really raised; read again later it tells who has seen them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager, joinedload

from companion.errors import Conflict
from companion.models import CheckIn, Flag, Patient, Plan, Professional, Unit
from companion.rules.access import Actor
from companion.use_cases.cases import flag
from companion.use_cases.check_in.answerable import own, who_phoned
from companion.use_cases.check_in.coming import TO_COME, coming
from companion.use_cases.check_in.following import BEFORE_ANSWER, is_crisis, is_urgent
from companion.use_cases.check_in.questions import ANSWERABLE, asking_of, required
from companion.use_cases.messages import message


@dataclass(frozen=True)
class Step:
    """What one unit does about the answers: the flags it has in one state. `who` is set when somebody took or closed them.

    `seen_by`, `seen_at`: the first who saw it. `late`: what was promised has passed and nobody is at it; `seen_late`: it was
    seen, but after the time we had promised.
    """

    unit: Unit
    who: Professional | None
    state: Literal["open", "claimed", "closed"]
    level: str
    respond_by: datetime
    seen_at: datetime | None
    seen_by: Professional | None
    late: bool
    seen_late: bool
    closed_at: datetime | None
    outcome: str | None
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class NextCheckIn:
    """The next asking of the plan, and how: `sms`, `push` or `call`."""

    at: datetime
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
    crisis: bool
    titles: dict[UUID, str]


def ending(db: Session, who: Actor, check_in_id: UUID, *, now: datetime) -> Ending:
    """What happens now, from the flags that were really raised; read again later it tells who has seen them.

    `Conflict("not_answered")` before the answers are sent.
    """
    check_in = own(db, who, check_in_id, now)
    if check_in.state != "answered":
        raise Conflict("not_answered" if check_in.state in ANSWERABLE else "expired")
    flags = (
        db.scalars(
            select(Flag)
            .where(
                Flag.check_in_id == check_in.id, Flag.message_id.is_(None), Flag.code.not_in(BEFORE_ANSWER)
            )
            .options(
                joinedload(Flag.unit),
                joinedload(Flag.claimed_by),
                joinedload(Flag.seen_by),
                joinedload(Flag.events),
            )
            .order_by(Flag.rank, Flag.opened_at, Flag.id)
            .execution_options(populate_existing=True)
        )
        .unique()
        .all()
    )
    steps = _steps(flags, now)
    waiting = [step for step in steps if step.state != "closed"]
    asking = asking_of(db, check_in)
    phoned_by = who_phoned(check_in)
    return Ending(
        check_in=check_in,
        answered_at=required(check_in.answered_at),
        written_by=db.get_one(Professional, phoned_by) if phoned_by else None,
        steps=steps,
        next=_next(db, check_in, now),
        heard_by=max((step.respond_by for step in waiting), default=None),
        contacts=_contacts(db, check_in.patient, [step.unit for step in waiting]),
        urgency=is_urgent(asking.counted),
        crisis=is_crisis(asking.counted),
        titles={measure.id: measure.title for measure in asking.measures},
    )


def _steps(flags: Sequence[Flag], now: datetime) -> tuple[Step, ...]:
    """One step per unit and person who has it, the gravest first."""
    together: dict[tuple[UUID, UUID | None, str], list[Flag]] = {}
    for raised in flags:
        together.setdefault((raised.unit_id, raised.claimed_by_id, raised.state), []).append(raised)
    return tuple(_step(group, now) for group in together.values())


def _step(group: Sequence[Flag], now: datetime) -> Step:
    first = group[0]
    seen = min((one for one in group if one.seen_at), key=lambda one: required(one.seen_at), default=None)
    return Step(
        unit=first.unit,
        who=first.claimed_by,
        state=first.state,  # type: ignore[arg-type]
        level=first.level,
        respond_by=min(one.respond_by for one in group),
        seen_at=seen.seen_at if seen else None,
        seen_by=seen.seen_by if seen else None,
        late=any(flag.is_late(one, now) for one in group),
        seen_late=any(one.seen_at is not None and one.seen_at > one.promised_by for one in group),
        closed_at=max((one.closed_at for one in group if one.closed_at), default=None),
        outcome=first.outcome,
        flags=tuple(group),
    )


def _next(db: Session, check_in: CheckIn, now: datetime) -> NextCheckIn | None:
    """The next one planned for the person, whichever plan it belongs to; none is promised while the plan rests."""
    planned = db.scalars(
        select(CheckIn)
        .join(CheckIn.plan)
        .where(CheckIn.patient_id == check_in.patient_id, CheckIn.state.in_(TO_COME), Plan.state == "active")
        .options(contains_eager(CheckIn.plan))
    ).all()
    reachable = message.takes_messages(check_in.patient, "check_in")
    for following in coming(db, planned, now):
        return NextCheckIn(following.at, check_in.patient.contact_by if reachable else "call")
    return None


def _contacts(db: Session, patient: Patient, owners: Sequence[Unit]) -> tuple[Unit, ...]:
    """Whom to ring: the units that have the case; with none, those that follow the person. The ward comes last, always."""
    units = {unit.id: unit for unit in owners}
    for kind in ("ward",) if units else ("coordinating_unit", "ward"):
        unit = flag.owner_unit(db, patient, kind)
        units.setdefault(unit.id, unit)
    return tuple(unit for unit in units.values() if unit.phone)
