"""Telling a unit's people of a case: queued where it happens, looked at once more when it is sent.

Nobody is told twice of the same step of a case, nor more often than every ten minutes: what comes meanwhile is one message.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from companion.models import Duty, Flag, Membership, Message, Told
from companion.rules.cadence import local_day
from companion.rules.duty import APART, on_duty_from
from companion.use_cases.cases.owner import is_working

LANE = "duty"
KIND, TEST = "duty", "duty_test"
What = Literal["raised", "soon_overdue", "overdue", "moved_up"]
# Told later, it is of no use; what waits until then has long been told of anew as overdue.
OF_USE = timedelta(days=7)
# What these say is the same to whoever reads it: the time has passed.
_SAME = {"moved_up": "overdue", "soon_overdue": "soon"}


def tell(db: Session, raised: Flag, what: What, *, now: datetime, step: str = "") -> None:
    """Queues, in this transaction, a word to those of the unit who want to hear of its cases.

    `step` tells one time from the next where the same thing happens to a case more than once. Nobody is told: fine, the case
    stands in the worklist all the same.
    """
    told = _have_heard(db, raised, what, step)
    for duty in _people(db, raised.unit_id, now):
        if duty.professional_id not in told:
            _tell(db, duty, raised, what, step, now)


def send_test(db: Session, professional_id: UUID, *, now: datetime) -> Message | None:
    """Queues a trial in the way the person has chosen; None for who has chosen none. Two taps are one."""
    duty = db.get(Duty, professional_id, with_for_update=True)
    if duty is None or duty.way == "none":
        return None
    waiting = db.scalars(_queued(professional_id, TEST)).first()
    return waiting or _write(db, duty, TEST, now, now)


def standing(
    db: Session, message_id: int, kind: str, professional_id: UUID, now: datetime
) -> Literal["send", "cancel"] | datetime:
    """What is to become of a word to one of us that is due; whether somebody has seen the cases is asked here."""
    at_work = select(Duty).join(Duty.professional).where(is_working(local_day(now)))
    duty = db.scalars(at_work.where(Duty.professional_id == professional_id)).one_or_none()
    if duty is None or duty.way == "none":
        return "cancel"
    if kind == TEST:
        return "send"
    if not _still_waiting(db, message_id, professional_id):
        return "cancel"
    begins = on_duty_from(duty.hours, now)
    return begins if begins > now else "send"


def said(db: Session, message_id: int, professional_id: UUID) -> dict[str, str | int]:
    """What the text may speak of: how many cases wait, and what about them when it is the same of all."""
    waiting = _still_waiting(db, message_id, professional_id)
    sorts = set(waiting.values())
    return {"what": sorts.pop() if len(sorts) == 1 else "several", "count": len(waiting)}


def wishes(db: Session, whose: Mapping[int, UUID]) -> dict[int, Duty]:
    """By letter, how those want to hear whom these letters are for."""
    if not whose:
        return {}
    theirs = select(Duty).where(Duty.professional_id.in_(whose.values()))
    found = {one.professional_id: one for one in db.scalars(theirs)}
    return {letter_id: found[whom] for letter_id, whom in whose.items() if whom in found}


def _people(db: Session, unit_id: UUID, now: datetime) -> Sequence[Duty]:
    """Those at work in the unit who want to hear, held: of two cases at once the second finds the first one's message."""
    members = select(Membership.professional_id).where(Membership.unit_id == unit_id)
    return db.scalars(
        select(Duty)
        .join(Duty.professional)
        .where(Duty.professional_id.in_(members), Duty.way != "none", is_working(local_day(now)))
        .order_by(Duty.professional_id)
        .with_for_update(of=Duty)
    ).all()


def _have_heard(db: Session, raised: Flag, what: str, step: str) -> set[UUID]:
    """Who has been told of this flag's step, or of another of the same case by a message that has left the queue."""
    same_case = and_(
        Flag.check_in_id.is_not(None),
        Flag.check_in_id == raised.check_in_id,
        Flag.unit_id == raised.unit_id,
        Flag.state != "closed",
        Message.state != "queued",
    )
    heard = (
        select(Told.professional_id)
        .join(Told.flag)
        .join(Told.message)
        .where(Told.what == what, Told.step == step, or_(Told.flag_id == raised.id, same_case))
    )
    return set(db.scalars(heard))


def _tell(db: Session, duty: Duty, raised: Flag, what: str, step: str, now: datetime) -> None:
    letter = db.scalars(_queued(duty.professional_id, KIND)).first()
    if letter is None:
        letter = _write(db, duty, KIND, on_duty_from(duty.hours, _not_too_often(db, duty, now)), now)
    db.add(
        Told(
            professional_id=duty.professional_id,
            flag_id=raised.id,
            unit_id=raised.unit_id,
            message_id=letter.id,
            what=what,
            step=step,
            at=now,
        )
    )
    db.flush()


def _queued(professional_id: UUID, kind: str) -> Select[Message]:
    """A message that waits, held: the dispatcher does not take it while another case joins it."""
    return (
        select(Message)
        .where(Message.professional_id == professional_id, Message.kind == kind, Message.state == "queued")
        .order_by(Message.id)
        .limit(1)
        .with_for_update()
    )


def _not_too_often(db: Session, duty: Duty, now: datetime) -> datetime:
    last = db.scalar(
        select(func.max(Message.next_attempt_at)).where(
            Message.professional_id == duty.professional_id,
            Message.kind == KIND,
            Message.state.not_in(("queued", "cancelled", "expired", "failed")),
        )
    )
    return max(now, last + APART) if last else now


def _write(db: Session, duty: Duty, kind: str, begins: datetime, now: datetime) -> Message:
    letter = Message(
        kind=kind,
        lane=LANE,
        dedupe_key=f"{kind}:{uuid4()}",
        professional_id=duty.professional_id,
        language=duty.professional.language,
        params={},
        created_at=now,
        not_before=begins,
        valid_until=begins + OF_USE,
        next_attempt_at=begins,
    )
    db.add(letter)
    db.flush()
    return letter


def _still_waiting(db: Session, message_id: int, professional_id: UUID) -> dict[UUID, str]:
    """By case, what this person is to hear of it: new ones until somebody has taken them, late ones until they are closed."""
    units = select(Membership.unit_id).where(Membership.professional_id == professional_id)
    rows = db.execute(
        select(Told.what, Flag.id, Flag.check_in_id)
        .join(Told.flag)
        .where(
            Told.message_id == message_id,
            Flag.unit_id.in_(units),
            or_(Flag.state == "open", and_(Told.what != "raised", Flag.state == "claimed")),
        )
        .order_by(Told.id)
    )
    return {check_in_id or flag_id: _SAME.get(what, what) for what, flag_id, check_in_id in rows}
