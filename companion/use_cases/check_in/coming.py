"""What will be asked, and when: the one answer that every page shows and the tick keeps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from companion.models import CheckIn
from companion.rules.quiet_hours import next_allowed
from companion.use_cases.check_in.questions import own_hour, template_of
from companion.use_cases.messages import message

TO_COME = ("planned", "postponed")


@dataclass(frozen=True)
class Coming:
    """A check-in that will be asked, and the moment it really is: by a message, or a human phones that day."""

    check_in: CheckIn
    at: datetime


def coming(db: Session, check_ins: Iterable[CheckIn], now: datetime) -> list[Coming]:
    """Those of one person's check-ins that will be asked as things stand, soonest first; none while the plan rests."""
    to_come = [one for one in check_ins if one.state in TO_COME and one.plan.state == "active"]
    rested = rested_by_patient(db, to_come, now)
    found = [Coming(one, moment_of(one, now, rested.get(one.patient_id))) for one in to_come]
    return _without_overtaken(sorted(found, key=lambda one: (one.at, one.check_in.day)))


def moment_of(check_in: CheckIn, now: datetime, rested: datetime | None = None) -> datetime:
    """When a check-in to come is asked: not on quiet days, not before `rested`, nor in the past."""
    return next_allowed("check_in", max(check_in.due_at, now, rested or now), own_hour(check_in))


def rested_by_patient(db: Session, check_ins: Sequence[CheckIn], now: datetime) -> dict[UUID, datetime]:
    """From when the people may be written to again whose plan keeps its messages apart; the others cost no query."""
    apart = [one for one in check_ins if template_of(one).days_between_messages]
    sent = message.sent_lately(db, apart, now) if apart else {}
    rested = {one.patient_id: message.rested_from(one, sent[one.patient_id]) for one in apart}
    return {patient_id: moment for patient_id, moment in rested.items() if moment}


def _without_overtaken(found: Sequence[Coming]) -> list[Coming]:
    """As the tick does it: of several in one moment the last is asked, and whoever is asked anew is not waited for."""
    last_of_each = {one.at: one for one in found}.values()
    planned = [one.at for one in last_of_each if one.check_in.state == "planned"]
    return [
        one
        for one in last_of_each
        if one.check_in.state == "planned" or not any(moment < one.at for moment in planned)
    ]
