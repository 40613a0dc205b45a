"""What somebody wrote back: stop and start are obeyed at once, a check-in by SMS goes on, the rest reaches a human.

Whoever reaches a human is told so, once a day.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from companion.library import crisis_words
from companion.models import Grant, Patient, Relative
from companion.rules.cadence import local_day
from companion.rules.quiet_hours import ANSWER_IS_USEFUL, answer_from
from companion.rules.replies import ReplyKind, classify
from companion.use_cases.cases import flag
from companion.use_cases.check_in import by_sms
from companion.use_cases.going_home import plan
from companion.use_cases.messages import message


def receive(db: Session, phone: str, text: str, *, said_at: datetime, now: datetime) -> bool:
    """Acts on an SMS from a number. Several people may share it: what is said goes for all of them.

    `said_at`: when it came to us. What has lain for long, as after an outage, is not answered in the night.
    Nobody here knows the person behind an unknown number: it is told, once, whom to call. False: there is nobody to tell of
    a grave message, so whoever runs the house has to be.
    """
    # Told about death or not: whoever now holds that phone may still say stop.
    patients = db.scalars(
        select(Patient).where(Patient.phone_index == phone).order_by(Patient.created_at)
    ).all()
    relatives = db.scalars(
        select(Relative).where(Relative.phone_index == phone).order_by(Relative.created_at)
    ).all()
    said = classify(text, crisis_words())
    if not patients and not relatives:
        if said.kind not in (ReplyKind.CRISIS, ReplyKind.STOP, ReplyKind.START):
            message.write_to_stranger(db, phone, said_at=said_at, now=now)
        return said.kind is not ReplyKind.CRISIS
    if said.kind is ReplyKind.CRISIS:
        # No machine answers this.
        by_sms.heard(db, patients, now=now)
        _tell(db, patients, relatives, "crisis_words", "red", text, now)
    elif said.kind is ReplyKind.STOP:
        _stop(db, patients, relatives, now)
    elif said.kind is ReplyKind.START:
        _start(db, patients, relatives, now)
        _answer(db, patients, relatives, "started", said_at, now)
    elif said.kind is ReplyKind.CALL_ME:
        by_sms.heard(db, patients, now=now)
        _tell(db, patients, relatives, "wants_contact", "red", None, now)
        _answer(db, patients, relatives, "call", said_at, now)
    elif not by_sms.take(db, patients, said, text, said_at=said_at, now=now):
        _tell(db, patients, relatives, "reply_not_understood", "amber", text, now)
        _answer(db, patients, relatives, "not_understood", said_at, now)
    return True


def hand_over(db: Session, phone: str, text: str, *, now: datetime) -> int:
    """An SMS our rules fail on, again and again, goes to a human as it stands; how many patients' units were told."""
    patients = db.scalars(select(Patient).where(Patient.phone_index == phone)).all()
    relatives = db.scalars(select(Relative).where(Relative.phone_index == phone)).all()
    _tell(db, patients, relatives, "reply_not_understood", "amber", text, now)
    return len(patients) or len(relatives)


def _stop(db: Session, patients: Sequence[Patient], relatives: Sequence[Relative], now: datetime) -> None:
    for patient in patients:
        plan.opt_out(db, patient, now=now)
    for relative in relatives:
        relative.phone_state = "opted_out"


def _start(db: Session, patients: Sequence[Patient], relatives: Sequence[Relative], now: datetime) -> None:
    for patient in patients:
        plan.opt_in(db, patient, now=now)
    for relative in relatives:
        if relative.phone_state == "opted_out":
            relative.phone_state = "ok"


def _tell(
    db: Session,
    patients: Sequence[Patient],
    relatives: Sequence[Relative],
    code: str,
    level: str,
    quote: str | None,
    now: datetime,
) -> None:
    about = list(patients) or _patients_of(db, relatives, now)
    sender = "patient" if patients else "relative"
    for patient in about:
        raised = flag.raise_flag(
            db,
            patient,
            code=code,
            level=level,
            unit=flag.owner_unit(db, patient, "art"),
            now=now,
            quote=quote,
            params={"by": "sms", "from": sender, "shared": len(patients) > 1},
        )
        if quote and raised.quote and quote not in raised.quote.splitlines():
            # Still open from an earlier message: both are to be read.
            raised.quote = f"{raised.quote}\n{quote}"


def _patients_of(db: Session, relatives: Sequence[Relative], now: datetime) -> list[Patient]:
    grants = db.scalars(
        select(Grant)
        .where(
            Grant.relative_id.in_([relative.id for relative in relatives]),
            Grant.withdrawn_at.is_(None),
            Grant.valid_until > now,
        )
        .options(joinedload(Grant.patient))
        .order_by(Grant.given_at)
    )
    return list({grant.patient_id: grant.patient for grant in grants}.values())


def _answer(
    db: Session,
    patients: Sequence[Patient],
    relatives: Sequence[Relative],
    about: str,
    said_at: datetime,
    now: datetime,
) -> None:
    """One answer of each sort to a phone a day, however often it writes: two machines must not talk to each other."""
    people: list[Patient | Relative] = [*patients, *relatives]
    # On a shared phone one answer is enough; one who takes none does not silence the others.
    for person in [person for person in people if message.takes_messages(person, "reply")][:1]:
        begins = answer_from(said_at, now, person.hour if isinstance(person, Patient) else None)
        message.write(
            db,
            "reply",
            to=person,
            now=now,
            params={"about": about},
            not_before=begins,
            valid_until=begins + ANSWER_IS_USEFUL,
            dedupe_key=f"reply:{about}:{person.id}:{local_day(now)}",
        )
