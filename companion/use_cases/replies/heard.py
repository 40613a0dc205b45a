"""What somebody wrote back: stop and start are obeyed at once, a check-in by SMS goes on, the rest reaches a human.

Whoever reaches a human is told so, once a day; words of despair are answered every hour, with whom to call this minute.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from companion.library import crisis_words, grave_words
from companion.models import Grant, Patient, Relative
from companion.rules.cadence import local_day, to_local
from companion.rules.quiet_hours import ANSWER_IS_USEFUL, answer_from
from companion.rules.replies import Reply, ReplyKind, classify, says_more_than_call
from companion.rules.triage import respond_by
from companion.use_cases.cases import flag
from companion.use_cases.cases.written_words import tell
from companion.use_cases.check_in import by_sms
from companion.use_cases.going_home import plan
from companion.use_cases.messages import message


def receive(
    db: Session,
    phone: str,
    text: str,
    *,
    said_at: datetime,
    now: datetime,
    obeyed: Literal["stop", "start"] | None = None,
) -> bool:
    """Acts on an SMS from a number. Several people may share it: what is said goes for all of them.

    `obeyed`: the provider has read it as that by itself, and has answered it.
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
    names = [*(one.name for one in patients), *(one.name for one in relatives)]
    said = classify(text, crisis_words(), grave_words=grave_words(), names=names)
    if obeyed and said.kind is not ReplyKind.CRISIS:
        said = Reply(ReplyKind(obeyed))
    if not patients and not relatives:
        return _from_a_stranger(db, phone, said.kind, said_at, now)
    if said.kind is ReplyKind.CRISIS:
        by_sms.heard(db, patients, now=now)
        _tell(db, patients, relatives, "crisis_words", "red", text, now)
        # What a human has written beforehand, once an hour at most and at any hour: silence is the worst answer.
        _say_at_once(db, message.CRISIS, patients, relatives, f"{to_local(now):%Y-%m-%dT%H}", now)
        if obeyed == "stop":
            _stop(db, patients, relatives, now)
    elif said.kind is ReplyKind.GRAVE:
        by_sms.heard(db, patients, now=now)
        _tell(db, patients, relatives, "grave_words", "red", text, now)
        _answer(db, patients, relatives, "grave", said_at, now, **_whom_to_call(db, patients, relatives, now))
    elif said.kind is ReplyKind.STOP:
        _stop(db, patients, relatives, now)
        _tell(db, [one for one in patients if one.died_on is None], [], "opted_out", "amber", text, now)
        if not obeyed:
            # One last SMS; who says stop again on another day, having started anew meanwhile, is told again.
            _say_at_once(db, message.STOPPED, patients, relatives, f"{local_day(now)}", now)
    elif said.kind is ReplyKind.START:
        _start(db, patients, relatives, now)
        if not obeyed:
            _answer(db, patients, relatives, "started", said_at, now)
    elif said.kind is ReplyKind.CALL_ME:
        by_sms.heard(db, patients, now=now)
        # When they would like it is in their own words.
        more = text if says_more_than_call(text) else None
        _tell(db, patients, relatives, "wants_contact", "red", more, now)
        _answer(db, patients, relatives, "call", said_at, now)
    elif (taken := by_sms.take(db, patients, said, text, said_at=said_at, now=now)) != "answered":
        _tell(db, patients, relatives, "reply_not_understood", "amber", text, now)
        if taken == "left":
            _answer(db, patients, relatives, "not_understood", said_at, now)
    return True


def hand_over(db: Session, phone: str, text: str, *, now: datetime) -> int:
    """An SMS our rules fail on, again and again, goes to a human as it stands; how many patients' units were told."""
    patients = db.scalars(select(Patient).where(Patient.phone_index == phone)).all()
    relatives = db.scalars(select(Relative).where(Relative.phone_index == phone)).all()
    _tell(db, patients, relatives, "reply_not_understood", "amber", text, now)
    return len(patients) or len(relatives)


def _whom_to_call(
    db: Session, patients: Sequence[Patient], relatives: Sequence[Relative], now: datetime
) -> dict[str, str]:
    """By when it is read, and the number of those who read it."""
    about = list(patients) or _patients_of(db, relatives, now)
    phones = [flag.owner_unit(db, patient, "art").phone for patient in about]
    return {"read_by": local_day(respond_by("red", now)).isoformat(), "phone": next(filter(None, phones), "")}


def _from_a_stranger(db: Session, phone: str, kind: ReplyKind, said_at: datetime, now: datetime) -> bool:
    if kind is ReplyKind.CRISIS:
        message.write_to_stranger(db, phone, kind=message.CRISIS, said_at=said_at, now=now)
    elif kind not in (ReplyKind.STOP, ReplyKind.START):
        message.write_to_stranger(db, phone, said_at=said_at, now=now)
    return kind not in (ReplyKind.CRISIS, ReplyKind.GRAVE)


def _say_at_once(
    db: Session,
    kind: str,
    patients: Sequence[Patient],
    relatives: Sequence[Relative],
    once: str,
    now: datetime,
) -> None:
    """A letter of this kind to the phone, whatever the hour, and only one for each `once`."""
    if person := _who_takes(kind, patients, relatives):
        message.write(
            db,
            kind,
            to=person,
            now=now,
            valid_until=now + ANSWER_IS_USEFUL,
            dedupe_key=f"{kind}:{person.id}:{once}",
        )


def _who_takes(
    kind: str, patients: Sequence[Patient], relatives: Sequence[Relative]
) -> Patient | Relative | None:
    """On a shared phone one letter is enough; one who takes none does not silence the others."""
    people: list[Patient | Relative] = [*patients, *relatives]
    return next((one for one in people if message.takes_messages(one, kind)), None)


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
    params: dict[str, str | bool] = {"by": "sms", "from": sender, "shared": len(patients) > 1}
    tell(db, about, code, level, quote, now=now, **params)


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
    **said: str,
) -> None:
    """One answer of each sort to a phone a day, however often it writes: two machines must not talk to each other."""
    if person := _who_takes("reply", patients, relatives):
        begins = answer_from(said_at, now, person.hour if isinstance(person, Patient) else None)
        message.write(
            db,
            "reply",
            to=person,
            now=now,
            params={"about": about, **said},
            not_before=begins,
            valid_until=begins + ANSWER_IS_USEFUL,
            dedupe_key=f"reply:{about}:{person.id}:{local_day(now)}",
        )
