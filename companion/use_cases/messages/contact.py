"""How we reach a patient: the telephone number, and whether we write, by SMS or push, or ring."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, NotAllowed, NotFound
from companion.models import Patient
from companion.rules.access import Actor
from companion.use_cases.messages.message import takes_messages
from companion.use_cases.people.reach import patient_of
from companion.use_cases.people.typed import clean, phone_number

WAYS = ("sms", "call")


def change_contact(
    db: Session,
    who: Actor,
    patient_id: UUID,
    phone: str,
    way: str,
    *,
    answers_by_sms: bool | None = None,
    now: datetime,
) -> Patient:
    """A professional writes down the number and the wish. Who has said STOPP gets messages again only on another number.

    `answers_by_sms`: whether the person answers check-ins by SMS itself, as `asked_by_sms` said it before; None, or the same
    again, leaves it as it was.
    Somebody without any telephone is reached by way of relatives, or by letter: `phone` is empty then, and the way `call`.
    Raises `Invalid` with every problem: `phone` missing, not_a_phone, landline (when SMS is wished) · `contact_by` not_a_way.
    """
    if who.kind != "professional":
        raise NotAllowed("for professionals")
    patient = patient_of(db, who, patient_id, now=now, lock=True)
    if patient.died_on:
        raise Conflict("died")
    typed = clean(phone)
    number = phone_number(typed) if typed else None
    problems: dict[str, str] = {}
    if number is None and (typed or way != "call"):
        problems["phone"] = "not_a_phone" if typed else "missing"
    elif number and number.landline and way == "sms":
        problems["phone"] = "landline"
    if way not in WAYS:
        problems["contact_by"] = "not_a_way"
    if problems:
        raise Invalid(problems)
    if number is None:
        patient.phone, patient.phone_index = None, None
    elif number.e164 != patient.phone:
        patient.phone, patient.phone_index = number.e164, number.e164
        patient.phone_state = "landline" if number.landline else "ok"
    elif way == "sms" and patient.phone_state == "opted_out":
        raise Invalid({"contact_by": "said_stop"})
    elif way == "sms" and patient.phone_state == "dead":
        # Somebody has checked the number with the person: it is worth another try.
        patient.phone_state = "ok"
    before = asked_by_sms(patient)
    if not (way == "sms" and patient.contact_by == "push" and not answers_by_sms):
        patient.contact_by = way
    agreed = bool(answers_by_sms) and way == "sms"
    if answers_by_sms is not None and agreed != before:
        _agree(patient, agreed, now)
    db.flush()
    return patient


def asked_by_sms(patient: Patient) -> bool:
    """Whether the agreement to answer check-ins by SMS itself is in force: given, and SMS is how we reach them."""
    return patient.sms_agreed_at is not None and patient.contact_by == "sms"


def agree_to_sms(db: Session, who: Actor, patient_id: UUID, agreed: bool, *, now: datetime) -> bool:
    """A professional writes down whether the person answers check-ins by SMS itself; says whether that is news."""
    if who.kind != "professional":
        raise NotAllowed("for professionals")
    patient = patient_of(db, who, patient_id, now=now, lock=True)
    before = patient.sms_agreed_at
    _agree(patient, agreed and patient.contact_by == "sms", now)
    db.flush()
    return (before is None) != (patient.sms_agreed_at is None)


def _agree(patient: Patient, agreed: bool, now: datetime) -> None:
    """The first yes stays the moment it was given."""
    patient.sms_agreed_at = (patient.sms_agreed_at or now) if agreed else None


def lock(db: Session, patient_id: UUID) -> Patient:
    """The patient, held until the transaction ends. Raises `NotFound`."""
    patient = db.get(Patient, patient_id, with_for_update=True, populate_existing=True)
    if patient is None:
        raise NotFound("patient")
    return patient


def check_may_write(db: Session, patient_id: UUID) -> None:
    """Raises `Conflict` for somebody we write nothing to: push is no way around STOPP, nor around being phoned."""
    if not may_write(db.get_one(Patient, patient_id)):
        raise Conflict("takes_no_messages")


def may_write(patient: Patient) -> bool:
    """Whether the person gets messages about check-ins at all, or is phoned."""
    return takes_messages(patient, "check_in")


def takes_push(db: Session, patient_id: UUID, *, asked: bool) -> None:
    """A device takes push, and SMS becomes push; who is to be phoned still is.

    One the person has just `asked` for ends the agreement to answer by SMS. One that only says that it is still there, also
    at a new address its browser has got, undoes nothing that was agreed since.
    """
    patient = db.get_one(Patient, patient_id)
    if patient.contact_by == "sms" and (asked or patient.sms_agreed_at is None):
        patient.contact_by, patient.sms_agreed_at = "push", None
    db.flush()


def no_device_left(db: Session, patient_id: UUID) -> None:
    """No device of the person's takes push any more, and push becomes SMS."""
    patient = db.get_one(Patient, patient_id)
    if patient.contact_by == "push":
        patient.contact_by = "sms"
    db.flush()
