"""How somebody of ours wants to hear of what waits: their own choice, and who has nobody who is told."""

import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from companion.errors import Invalid, NotAllowed
from companion.models import Duty, Membership, Message, Professional, Told, Unit, WorkDevice
from companion.rules.access import Actor
from companion.rules.duty import HOURS
from companion.use_cases.cases.duty import TEST
from companion.use_cases.people.typed import clean, phone_number

WAYS = ("none", "push", "sms", "mail")
LONGEST_ADDRESS = 120
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}"
)


@dataclass(frozen=True)
class Choice:
    """What stands now. `test`: the latest trial, where one was asked for."""

    way: str = "none"
    phone: str = ""
    email: str = ""
    hours: str = "duty"
    test: Message | None = None
    devices: int = 0


def chosen(db: Session, who: Actor) -> Choice:
    """How this professional hears of cases; at first not at all."""
    person = _myself(who)
    devices = db.scalar(
        select(func.count()).select_from(WorkDevice).where(WorkDevice.professional_id == person)
    )
    duty = db.get(Duty, person)
    if duty is None:
        return Choice(devices=devices or 0)
    trials = select(Message).where(Message.professional_id == person, Message.kind == TEST)
    latest = db.scalars(trials.order_by(Message.id.desc()).limit(1)).first()
    return Choice(duty.way, duty.phone or "", duty.email or "", duty.hours, latest, devices or 0)


def choose(db: Session, who: Actor, *, way: str, phone: str, email: str, hours: str, now: datetime) -> Duty:
    """Keeps the choice.

    Raises `Invalid`: `way`, `hours` missing, unknown · `phone` missing, not_a_phone, landline · `email` missing, wrong.
    """
    person, number, address = _myself(who), phone_number(phone), clean(email)
    if problems := _problems(way, phone, email, hours):
        raise Invalid(problems)
    duty = db.get(Duty, person, with_for_update=True) or Duty(professional_id=person)
    duty.way, duty.hours, duty.chosen_at = way, hours, now
    duty.phone, duty.email = number.e164 if number else None, address or None
    db.add(duty)
    db.flush()
    return duty


@dataclass(frozen=True)
class WasTold:
    """So many words of this sort to this person about this unit's cases that day, and how they went."""

    unit: str
    who: str
    what: str
    way: str
    became: str
    cases: int


def told_on(db: Session, begins: datetime, ends: datetime) -> list[WasTold]:
    """What was told to whom between two moments; of the patients nothing."""
    rows = db.execute(
        select(Unit.key, Professional, Told.what, Message.channel, Message.state, func.count())
        .join(Told, Told.unit_id == Unit.id)
        .join(Professional, Professional.id == Told.professional_id)
        .join(Message, Message.id == Told.message_id)
        .where(Message.next_attempt_at >= begins, Message.next_attempt_at < ends, Message.attempt > 0)
        .group_by(Unit.key, Professional.id, Told.what, Message.channel, Message.state)
        .order_by(Unit.key, Professional.id, Told.what)
    )
    return [
        WasTold(key, person.name, what, way or "", state, count)
        for key, person, what, way, state, count in rows
    ]


def units_nobody_is_told_of(db: Session) -> list[str]:
    """The keys of units of which nobody hears when something waits."""
    told = (
        select(Membership.unit_id)
        .join(Membership.professional)
        .join(Duty, Duty.professional_id == Professional.id)
        .where(Duty.way != "none", Professional.left_at.is_(None))
    )
    return list(db.scalars(select(Unit.key).where(Unit.id.not_in(told)).order_by(Unit.key)))


def _myself(who: Actor) -> UUID:
    if who.kind != "professional" or who.id is None:
        raise NotAllowed("only professionals are told of cases")
    return who.id


def _problems(way: str, phone: str, email: str, hours: str) -> dict[str, str]:
    """What is left over from another way is looked at too: it would be kept."""
    number, address = phone_number(phone), clean(email)
    problems = {}
    if way not in WAYS:
        problems["way"] = "unknown" if way else "missing"
    if hours not in HOURS:
        problems["hours"] = "unknown" if hours else "missing"
    if phone.strip() and number is None:
        problems["phone"] = "not_a_phone"
    elif number and number.landline:
        problems["phone"] = "landline"
    elif way == "sms" and number is None:
        problems["phone"] = "missing"
    if address and (len(address) > LONGEST_ADDRESS or not _ADDRESS.fullmatch(address)):
        problems["email"] = "wrong"
    elif way == "mail" and not address:
        problems["email"] = "missing"
    return problems
