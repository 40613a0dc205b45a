"""Sending a letter again that did not arrive: only while it is of use, and once however often it is pressed."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, String, Subquery, and_, cast, func, literal, or_, select, union_all
from sqlalchemy.orm import Session, aliased, joinedload
from sqlalchemy.sql import Select

from companion.errors import Conflict, NotFound
from companion.models import CheckIn, Flag, FlagEvent, Grant, Meeting, Message, Patient, Plan, Relative
from companion.rules.access import Actor
from companion.rules.quiet_hours import next_allowed
from companion.use_cases.messages import contact, message
from companion.use_cases.people.reach import in_force, patient_of

# It has ended, and did not arrive or is not known to have.
ENDED_BADLY = ("failed", "undelivered", "expired", "delivery_unknown")
# Stands in a flag's history for: a colleague sent the letter again.
SENT_AGAIN = "again"


@dataclass(frozen=True)
class Sent:
    """A letter with what decides whether it may be sent again.

    `again`: it has been. `overtaken`: a later letter about the same is on its way or has arrived. `founded`: the plan that a
    welcome rests on is active, the grant that lets the relative in is in force.
    """

    letter: Message
    again: bool
    overtaken: bool
    founded: bool

    @property
    def person(self) -> Patient | Relative | None:
        """Whom it was sent to."""
        return self.letter.relative or self.letter.patient


def sent(now: datetime) -> Select[Message, bool, bool, bool]:
    """Letters with everything a `Sent` looks at, for one query; the caller says which."""
    later = aliased(Message)
    again = select(later.id).where(later.dedupe_key == literal("again:") + cast(Message.id, String)).exists()
    same = aliased(Message)
    overtaken = (
        select(same.id)
        .where(
            or_(same.check_in_id == Message.check_in_id, same.meeting_id == Message.meeting_id),
            func.coalesce(same.relative_id, same.patient_id)
            == func.coalesce(Message.relative_id, Message.patient_id),
            same.id > Message.id,
            same.state.not_in((*ENDED_BADLY, "cancelled")),
        )
        .exists()
    )
    let_in = (
        select(Grant.id)
        .where(
            Grant.relative_id == Message.relative_id,
            Grant.patient_id == Message.about_id,
            in_force(now),
            or_(Message.meeting_id.is_(None), in_force(now, "meetings")),
        )
        .exists()
    )
    followed = select(Plan.id).where(Plan.patient_id == Message.patient_id, Plan.state == "active").exists()
    founded = or_(
        and_(Message.relative_id.is_not(None), let_in),
        and_(Message.relative_id.is_(None), or_(Message.kind != "welcome", followed)),
    )
    return select(Message, again, overtaken, founded).options(
        joinedload(Message.patient),
        joinedload(Message.relative),
        joinedload(Message.about),
        joinedload(Message.check_in).joinedload(CheckIn.plan),
        joinedload(Message.meeting).joinedload(Meeting.host),
    )


def concerns(patient_id: UUID) -> ColumnElement[bool]:
    """The condition that a letter went to the patient, or to a relative about the patient."""
    return or_(Message.patient_id == patient_id, Message.about_id == patient_id)


def latest(patient_id: UUID, *conditions: ColumnElement[bool], limit: int) -> Subquery:
    """The ids of the latest letters that `concerns` speaks of, to be joined with.

    As two short walks: for an *or*, in the order of the ids, a database may walk through everybody's letters.
    """
    walks = [
        select(
            select(Message.id)
            .where(whose == patient_id, *conditions)
            .order_by(Message.id.desc())
            .limit(limit)
            .subquery()
        )
        for whose in (Message.patient_id, Message.about_id)
    ]
    both = union_all(*walks).subquery()
    return select(both.c.id).order_by(both.c.id.desc()).limit(limit).subquery()


def why_not(one: Sent, now: datetime) -> str | None:
    """Why the letter may not be sent again; None when it may.

    `code` · `underway` (it has not ended, or arrived, or was not wanted) · `again` · `overtaken` · `died` · `answered` ·
    `not_asked` · `plan` · `meeting_changed` · `meeting_over` · `too_late` · `no_grant` · and of whoever takes no messages
    `no_phone` `opted_out` `dead` `landline` `call`, or is asked on the web by now `not_by_sms`.
    """
    letter = one.letter
    if letter.lane == "code":
        return "code"
    if letter.state not in ENDED_BADLY:
        return "underway"
    if one.again:
        return "again"
    if one.overtaken:
        return "overtaken"
    patient = letter.patient or letter.about
    if patient is not None and patient.died_on is not None:
        return "died"
    return _of_no_use(one, now) or _takes_none(one)


def send_again(db: Session, who: Actor, patient_id: UUID, message_id: int, *, now: datetime) -> Message:
    """Writes the same letter anew; pressed twice, or by two colleagues at once, it is one letter.

    It goes as any letter: not in quiet hours, not past the week's limit, not to one who has said no meanwhile. The case about
    the one that did not arrive stays, with a line that it was sent again. Raises `Conflict` with a code of `why_not`.
    """
    patient_of(db, who, patient_id, now=now)
    held = select(Message.id).where(Message.id == message_id, concerns(patient_id)).with_for_update()
    if db.scalar(held) is None:
        raise NotFound("message")
    found = db.execute(
        sent(now).where(Message.id == message_id).execution_options(populate_existing=True)
    ).one()
    one = Sent(*found)
    reason = why_not(one, now)
    if reason == "again":
        return db.scalars(select(Message).where(Message.dedupe_key == _key(one.letter))).one()
    if reason:
        raise Conflict(reason)
    return _write(db, who, one, now)


def earliest(letter: Message, now: datetime) -> datetime:
    """When the letter may go at the earliest: now by day, in the morning when it is night."""
    hour = letter.patient.hour if letter.patient and not letter.relative_id else None
    return next_allowed(letter.kind, now, hour)


def _write(db: Session, who: Actor, one: Sent, now: datetime) -> Message:
    letter, person = one.letter, one.person
    assert person is not None, "a letter to a stranger is of the code lane"
    begins = earliest(letter, now)
    written = message.write(
        db,
        letter.kind,
        to=person,
        now=now,
        params=letter.params,
        about=letter.about,
        check_in=letter.check_in,
        meeting=letter.meeting,
        not_before=begins,
        valid_until=letter.valid_until
        if letter.meeting_id
        else begins + (letter.valid_until - letter.not_before),
        dedupe_key=_key(letter),
    )
    assert written is not None, "asked a moment ago"
    raised = select(Flag.id).where(Flag.message_id == letter.id, Flag.state != "closed")
    for flag_id in db.scalars(raised).all():
        db.add(FlagEvent(flag_id=flag_id, kind="contact", at=now, by_id=who.id, outcome=SENT_AGAIN))
    db.flush()
    return written


def arrived(db: Session, letter: Message, now: datetime) -> None:
    """A letter sent again has arrived: what was raised about those before it is settled, unless somebody has taken the case."""
    earlier = letter.dedupe_key
    while earlier.startswith("again:"):
        number = int(earlier.removeprefix("again:"))
        message.settle_doubts(db, number, now)
        earlier = db.scalar(select(Message.dedupe_key).where(Message.id == number)) or ""


def _key(letter: Message) -> str:
    return f"again:{letter.id}"


def _of_no_use(one: Sent, now: datetime) -> str | None:
    letter = one.letter
    check_in, meeting = letter.check_in, letter.meeting
    if letter.kind in message.ABOUT_CHECK_IN:
        if check_in is None or check_in.state != "asked":
            return "answered" if check_in and check_in.state == "answered" else "not_asked"
        if check_in.plan.state != "active":
            return "plan"
        asked = letter.params.get("link_id")
        if any(given.link_id == asked for given in check_in.answers):
            return "answered"
    if meeting is not None:
        if not message.meeting_stands(letter):
            return "meeting_changed"
        if meeting.starts_at <= now:
            return "meeting_over"
        if earliest(letter, now) >= meeting.starts_at:
            return "too_late"
    if not one.founded:
        return "no_grant" if letter.relative_id else "plan"
    return None


def _takes_none(one: Sent) -> str | None:
    person = one.person
    if person is None or not person.phone:
        return "no_phone"
    if message.takes_messages(person, one.letter.kind):
        return _not_by_sms(one.letter)
    return person.phone_state if person.phone_state != "ok" else "call"


def _not_by_sms(letter: Message) -> str | None:
    """A question by SMS itself, to one who is asked on the web by now."""
    asks = letter.kind in message.ABOUT_CHECK_IN and "link_id" in letter.params
    return "not_by_sms" if asks and letter.patient and not contact.asked_by_sms(letter.patient) else None
