"""A free line on the web: it reaches the same humans as a free SMS, and words of despair are found as there."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Invalid, NotFound
from companion.library import crisis_words, grave_words
from companion.models import Flag, Patient
from companion.rules.access import Actor
from companion.rules.replies import ReplyKind, classify
from companion.use_cases.cases.written_words import tell
from companion.use_cases.people.typed import clean_lines

LONGEST = 500
WRITTEN = "has_written"
_AS = {
    ReplyKind.CRISIS: ("crisis_words", "red"),
    ReplyKind.GRAVE: ("grave_words", "red"),
    ReplyKind.CALL_ME: ("wants_contact", "red"),
}


@dataclass(frozen=True)
class Waiting:
    """What the person wrote and nobody has finished with: by when it is read, and whether it was words of despair."""

    respond_by: datetime | None
    crisis: bool
    urgent: bool


def write(db: Session, who: Actor, text: str, *, now: datetime) -> Flag:
    """Puts the patient's words before those who follow them. `Invalid` for `text`."""
    patient = _themselves(db, who)
    written = clean_lines(text)
    if not written or len(written) > LONGEST:
        raise Invalid({"text": "too_long" if written else "missing"})
    said = classify(written, crisis_words(), grave_words=grave_words())
    code, level = _AS.get(said.kind, (WRITTEN, "amber"))
    [raised] = tell(db, [patient], code, level, written, now=now, by="web")
    return raised


def waiting(db: Session, who: Actor) -> Waiting:
    """How it stands with what the patient has written on the web."""
    codes = (WRITTEN, *(code for code, _ in _AS.values()))
    open_still = select(Flag).where(
        Flag.patient_id == who.id, Flag.check_in_id.is_(None), Flag.code.in_(codes), Flag.state != "closed"
    )
    flags = [one for one in db.scalars(open_still) if (one.params or {}).get("by") == "web"]
    return Waiting(
        respond_by=min((one.respond_by for one in flags if one.state == "open"), default=None),
        crisis=any(one.code == "crisis_words" for one in flags),
        urgent=any(one.code == "grave_words" for one in flags),
    )


def _themselves(db: Session, who: Actor) -> Patient:
    patient = db.get(Patient, who.id) if who.kind == "patient" else None
    if patient is None:
        raise NotFound("patient")
    return patient
