"""Letters: written by the other use-cases in their own transaction, worded and carried by `notifications`."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Literal, cast
from uuid import UUID

from sqlalchemy import Table, and_, bindparam, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from companion.crypto import KeyRing
from companion.library import plan_template
from companion.models import (
    Answer,
    CheckIn,
    Flag,
    FlagEvent,
    Grant,
    Meeting,
    Message,
    Participant,
    Patient,
    Plan,
    Relative,
)
from companion.rules.delivery_codes import explain
from companion.rules.quiet_hours import ANSWER_IS_USEFUL, answer_from, next_allowed, spread
from companion.use_cases.cases import duty, flag
from companion.use_cases.messages.letter import ItsCheckIn, Letter, Person

# The middle and the end of a conversation answer somebody who has just written.
IN_CONVERSATION = frozenset({"next_question", "rest_by_phone"})
# The last word to somebody who said stop: that it was heard.
STOPPED = "stopped"
# Whom to call this minute, to somebody who wrote words of despair; also when they have said stop.
CRISIS = "crisis"
CODE_LANE = (
    frozenset({"sign_in_code", "new_link", "reply", "all_answered", STOPPED, CRISIS}) | IN_CONVERSATION
)
ABOUT_CHECK_IN = frozenset({"check_in", "reminder", "question", "question_again"})
# What can wait for another day when somebody has had enough messages.
HELD_BACK = ABOUT_CHECK_IN | {"welcome"}
MAY_HAVE_ARRIVED = ("sending", "unknown", "accepted", "sent", "delivered", "delivery_unknown")
WEEK = timedelta(days=7)
LOOK_BACK = timedelta(days=31)
# A message a few minutes late must not push the next one past its hour.
LATE_AT_MOST = timedelta(hours=1)
STRANGERS_A_DAY = 50
# Nobody has asked a guest at a meeting which language they read.
GUESTS_READ = "nb"
_MOBILE = re.compile(r"\+47[49][0-9]{7}")
# If nobody knows whether one of these arrived, a human had better ask.
MATTERS = ABOUT_CHECK_IN | {"meeting", "meeting_moved", "meeting_cancelled"}

_SENT = cast(Table, Message.__table__).c
# Whom they went to is looked at afterwards: asked for here, SQLite would go through the letters of all the patients there are.
_SENT_LATELY = (
    select(_SENT.patient_id, _SENT.relative_id, _SENT.next_attempt_at)
    .where(
        _SENT.patient_id.in_(bindparam("patients", expanding=True)),
        _SENT.lane == "batch",
        _SENT.state.in_(MAY_HAVE_ARRIVED),
        bindparam("since") < _SENT.next_attempt_at,
    )
    .order_by(_SENT.next_attempt_at)
)


def write(
    db: Session,
    kind: str,
    *,
    to: Patient | Relative | Participant,
    now: datetime,
    params: dict[str, Any] | None = None,
    about: Patient | None = None,
    check_in: CheckIn | None = None,
    meeting: Meeting | None = None,
    not_before: datetime | None = None,
    valid_until: datetime,
    dedupe_key: str,
) -> Message | None:
    """Queues a letter; the same `dedupe_key` gives the letter that is already there.

    `about`: the patient whom a letter to a relative is about.
    None when the person takes no messages: the caller raises a flag where silence would follow.
    """
    letter = draft(
        kind,
        to=to,
        now=now,
        params=params,
        about=about,
        check_in=check_in,
        meeting=meeting,
        not_before=not_before,
        valid_until=valid_until,
        dedupe_key=dedupe_key,
    )
    if letter is None:
        return None
    written = db.scalars(select(Message).where(Message.dedupe_key == dedupe_key)).one_or_none()
    if written is not None:
        return written
    try:
        with db.begin_nested():
            db.add(letter)
            db.flush()
    except IntegrityError:
        # Another process wrote the same letter between our look and our insert.
        return db.scalars(select(Message).where(Message.dedupe_key == dedupe_key)).one()
    return letter


def draft(
    kind: str,
    *,
    to: Patient | Relative | Participant,
    now: datetime,
    params: dict[str, Any] | None = None,
    about: Patient | None = None,
    check_in: CheckIn | None = None,
    meeting: Meeting | None = None,
    not_before: datetime | None = None,
    valid_until: datetime,
    dedupe_key: str,
) -> Message | None:
    """The letter, not yet in the session: for a caller who knows that it is new because what it is about is."""
    if not isinstance(to, Participant) and not takes_messages(to, kind):
        return None
    earliest = max(now, not_before) if not_before else now
    if not isinstance(to, Patient) and about is None and meeting is not None:
        about = meeting.patient
    return Message(
        kind=kind,
        lane="code" if kind in CODE_LANE else "batch",
        dedupe_key=dedupe_key,
        patient=to if isinstance(to, Patient) else None,
        relative=to if isinstance(to, Relative) else None,
        participant=to if isinstance(to, Participant) else None,
        phone=to.guest_phone if isinstance(to, Participant) else None,
        about=about,
        check_in=check_in,
        meeting=meeting,
        language=GUESTS_READ if isinstance(to, Participant) else to.language,
        params=params or {},
        created_at=now,
        not_before=earliest,
        valid_until=valid_until,
        next_attempt_at=earliest,
    )


def write_to_stranger(
    db: Session, phone: str, *, kind: str = "reply", said_at: datetime, now: datetime
) -> Message | None:
    """Tells a number we do not know, once of each `kind`, whom to call.

    None when it was told before, or when it is no mobile to answer.

    What was said long ago, as before an outage, is answered by day. At most `STRANGERS_A_DAY` a day, so that nobody can make
    us send at will.
    """
    if not _MOBILE.fullmatch(phone):
        return None
    ring: KeyRing = db.get_bind().dialect.companion_keys  # type: ignore[attr-defined]
    key = f"{'stranger' if kind == 'reply' else kind}:{ring.index(phone, 'phone')}"
    strangers = select(func.count()).where(
        Message.phone.is_not(None),
        Message.kind.in_(("reply", CRISIS)),
        Message.created_at > now - timedelta(days=1),
    )
    told = db.scalar(select(Message.id).where(Message.dedupe_key == key))
    if told is not None or (db.scalar(strangers) or 0) >= STRANGERS_A_DAY:
        return None
    begins = now if kind == CRISIS else answer_from(said_at, now, None)
    letter = Message(
        kind=kind,
        lane="code",
        dedupe_key=key,
        phone=phone,
        language="nb",
        params={"about": "stranger"},
        created_at=now,
        not_before=begins,
        valid_until=begins + ANSWER_IS_USEFUL,
        next_attempt_at=begins,
    )
    try:
        with db.begin_nested():
            db.add(letter)
            db.flush()
    except IntegrityError:
        return None
    return letter


def takes_messages(person: Patient | Relative | Person, kind: str) -> bool:
    """Whether a letter of this kind may be sent to this person at all."""
    if kind == STOPPED:
        # Whoever has the phone of somebody who has died is obeyed, and written to no more.
        died = not isinstance(person, Relative) and person.died_on is not None
        return bool(person.phone) and person.phone_state == "opted_out" and not died
    if kind == CRISIS:
        return bool(person.phone) and person.phone_state in ("ok", "opted_out")
    if not person.phone or person.phone_state != "ok":
        return False
    if isinstance(person, Relative):
        return True
    return person.died_on is None and (person.contact_by != "call" or kind in CODE_LANE)


def sent_lately(
    db: Session, letters: Iterable[Message | Letter | CheckIn], now: datetime
) -> dict[UUID, list[datetime]]:
    """When the patients these letters or check-ins are for were last sent something unasked; the oldest first.

    What counts: a letter of the batch lane, once, from its claim on, at the moment of its latest attempt, by whatever way; and
    no more once it is known not to have arrived (refused, not found, undelivered, a push no device has acknowledged).
    """
    found: dict[UUID, list[datetime]] = {letter.patient_id: [] for letter in letters if letter.patient_id}
    asked = {"patients": list(found), "since": now - LOOK_BACK}
    for patient_id, relative_id, moment in db.connection().execute(_SENT_LATELY, asked).all():
        if relative_id is None:
            found[patient_id].append(moment)
    return found


def enough_until(
    message: Message | Letter, sent: Sequence[datetime], a_week: int, now: datetime
) -> datetime | None:
    """When this one goes instead, because the person has had enough; None when it may go. An appointment is never held back."""
    if message.kind not in HELD_BACK or message.relative_id:
        return None
    this_week = [moment for moment in sent if moment > now - WEEK]
    moments = [this_week[-a_week] + WEEK] if len(this_week) >= a_week else []
    if message.check_in is not None and (rested := rested_from(message.check_in, sent)):
        moments.append(rested)
    until = max(moments, default=now)
    return next_allowed(message.kind, until, _hour(message)) if until > now else None


def rested_from(check_in: CheckIn | ItsCheckIn, sent: Sequence[datetime]) -> datetime | None:
    """From when a plan that keeps its messages apart may write again, after what was `sent`; None where nothing keeps it."""
    days = plan_template(check_in.plan.template).days_between_messages
    return sent[-1] + timedelta(days=days) - LATE_AT_MOST if days and sent else None


def standing(db: Session, message: Message | Letter, now: datetime) -> Literal["send", "cancel"] | datetime:
    """What is to become of a letter that is due: `send`, `cancel` because it is no longer wanted, or a later moment.

    Asked inside the claim, so nothing that was decided before it can be overlooked.
    """
    if message.professional_id is not None:
        return duty.standing(db, message.id, message.kind, message.professional_id, now)
    person = message.relative or message.patient
    if person is not None and not takes_messages(person, message.kind):
        return "cancel"
    asked_for = _check_in_asks(db, message) and meeting_stands(message) and _invited_still(db, message)
    if not (asked_for and _welcome(db, message, now)):
        return "cancel"
    hour = _hour(message)
    allowed = next_allowed(message.kind, now, hour)
    if allowed <= now:
        return "send"
    later = spread(allowed, hour, message.id)
    return later if later < message.valid_until else allowed


def _hour(message: Message | Letter) -> time | None:
    return message.patient.hour if message.patient and not message.relative else None


def _check_in_asks(db: Session, message: Message | Letter) -> bool:
    """The check-in is open as it was when the letter was written, and what a question of it asks has no answer yet."""
    if message.kind not in ABOUT_CHECK_IN | IN_CONVERSATION:
        return True
    check_in = message.check_in
    if check_in is None or check_in.plan.state != "active":
        return False
    if message.kind in IN_CONVERSATION:
        as_then = (
            check_in.state in ("asked", "postponed") and check_in.postponed == message.params["postponed"]
        )
    else:
        as_then = check_in.state == "asked" and not _overtaken(message, check_in)
    link_id = message.params.get("link_id")
    return as_then and (link_id is None or _still_asked_by_sms(db, message, link_id))


def _still_asked_by_sms(db: Session, message: Message | Letter, link_id: str) -> bool:
    person = message.patient
    agreed = person is not None and person.sms_agreed_at is not None and person.contact_by == "sms"
    given = select(Answer.id).where(Answer.check_in_id == message.check_in_id, Answer.link_id == link_id)
    return agreed and db.execute(given.limit(1)).first() is None


def _overtaken(message: Message | Letter, check_in: CheckIn | ItsCheckIn) -> bool:
    """After an outage or a weekend: the reminder goes instead of a first letter that never went, a new asking instead of an old
    reminder. Both at once would be one too many.
    """
    if message.kind in ("check_in", "question"):
        return check_in.reminded_at is not None
    asked_at = check_in.asked_at
    return check_in.postponed > 0 and asked_at is not None and message.created_at < asked_at


def meeting_stands(message: Message | Letter) -> bool:
    """The meeting is as the letter says; when it has been moved since, a later letter says so."""
    meeting = message.meeting
    if meeting is None:
        return True
    if message.kind == "meeting_cancelled":
        return meeting.state == "cancelled"
    if message.kind == "meeting_without_you":
        return meeting.state == "offered"
    told = message.params.get("when")
    if message.kind == "meeting_missed":
        return meeting.outcome == "no_show"
    return meeting.state == "offered" and (not told or datetime.fromisoformat(told) == meeting.starts_at)


def _invited_still(db: Session, message: Message | Letter) -> bool:
    """A guest at the meeting is so still, or is told that they no longer are. Whose meeting it is stays."""
    if message.meeting_id is None or not (message.relative_id or message.participant_id):
        return True
    place = select(Participant.id).where(
        Participant.meeting_id == message.meeting_id, Participant.removed_at.is_(None)
    )
    mine = (
        Participant.id == message.participant_id
        if message.participant_id
        else Participant.relative_id == message.relative_id
    )
    invited = db.execute(place.where(mine).limit(1)).first() is not None
    return invited is not (message.kind == "meeting_without_you")


def _welcome(db: Session, message: Message | Letter, now: datetime) -> bool:
    """Whether the relationship the letter rests on still is: an active plan for *welcome*, a grant for a relative."""
    if message.kind in (STOPPED, CRISIS):
        return True
    if message.relative_id is not None:
        return bool(_granted_patients(db, message, now))
    if message.kind != "welcome":
        return True
    active = select(Plan.id).where(Plan.patient_id == message.patient_id, Plan.state == "active")
    return db.execute(active.limit(1)).first() is not None


def _granted_patients(db: Session, message: Message | Letter, now: datetime) -> list[Patient]:
    """The patients who let this relative in now; only the one the letter is about, who must let it join a meeting."""
    grants = select(Grant).where(
        Grant.relative_id == message.relative_id, Grant.withdrawn_at.is_(None), Grant.valid_until > now
    )
    if message.about_id is not None:
        grants = grants.where(Grant.patient_id == message.about_id)
    return [
        grant.patient
        for grant in db.scalars(grants.options(joinedload(Grant.patient)).order_by(Grant.given_at))
        if grant.patient.died_on is None and (message.meeting_id is None or "meetings" in grant.scope_set)
    ]


def could_not_deliver(db: Session, message: Message, code: str, *, now: datetime) -> None:
    """The provider says it cannot be carried: the number is marked when the code speaks about the number, and staff see it."""
    person = message.relative or message.patient
    state = explain(code).phone_state
    if person is not None and state:
        person.phone_state = state
    params = {"kind": message.kind, "code": code, "to": _to(message)}
    _tell(db, message, "undeliverable", params, now)


def _to(message: Message) -> str:
    if message.participant_id:
        return "guest"
    return "relative" if message.relative_id else "patient"


def parked(db: Session, message: Message, now: datetime) -> None:
    """Nobody knows whether it arrived: it is not sent again blindly, and staff see it."""
    _tell(db, message, "parked_message", {"kind": message.kind}, now)


def never_confirmed(db: Session, message: Message, now: datetime) -> None:
    """Sent days ago, and no word of whether it arrived: staff see it where the letter mattered and nothing shows it did."""
    about = message.check_in
    answered = about is not None and (
        about.state == "answered" or (about.heard_at is not None and about.heard_at > message.created_at)
    )
    if message.kind in MATTERS and not answered:
        parked(db, message, now)


def found(db: Session, message: Message, now: datetime) -> None:
    """The letter had arrived after all: nothing is left for a human to do."""
    if message.state in ("unknown", "undelivered", "delivery_unknown", "failed", "expired"):
        settle_doubts(db, message.id, now)


def settle_doubts(db: Session, message_id: int, now: datetime) -> None:
    """Closes what was raised because this letter did not seem to arrive, unless somebody has taken the case.

    Nor where the check-in ended unanswered meanwhile: then the case is all that tells of the silence.
    """
    silent = select(CheckIn.id).where(CheckIn.id == Flag.check_in_id, CheckIn.state == "expired").exists()
    doubts = select(Flag).where(
        Flag.message_id == message_id,
        or_(Flag.code == "parked_message", and_(Flag.code == "undeliverable", ~silent)),
        Flag.state == "open",
    )
    for raised in db.scalars(doubts):
        raised.state, raised.closed_at, raised.outcome = "closed", now, "not_needed"
        db.add(FlagEvent(flag=raised, kind="closed", at=now, outcome="not_needed"))


def expired(db: Session, message: Message, now: datetime) -> None:
    """It was not sent while it was of use: staff see it."""
    _tell(db, message, "undeliverable", {"kind": message.kind, "code": "expired"}, now)


def _tell(db: Session, message: Message, code: str, params: dict[str, Any], now: datetime) -> None:
    # A code that never came is asked for again by the person; a reply is our own courtesy.
    if message.kind in (STOPPED, CRISIS) or (message.kind in CODE_LANE and code != "undeliverable"):
        return
    whose = message.patient or (message.about if message.participant_id else None)
    patients = _granted_patients(db, message, now) if message.relative_id else [whose]
    for patient in filter(None, patients):
        flag.raise_flag(
            db,
            patient,
            code=code,
            level="amber",
            unit=flag.owner_unit(db, patient, "ward"),
            now=now,
            check_in=message.check_in,
            message=message,
            params=params,
        )
