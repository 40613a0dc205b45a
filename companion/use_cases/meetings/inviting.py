"""Who else is to come: relatives with a grant, colleagues of any unit, and guests by SMS; added and taken off later too."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid
from companion.models import Meeting, Membership, Participant, Professional, Unit
from companion.models.meetings import GUEST_ROLES
from companion.rules.access import Actor
from companion.rules.meetings import Phase, phase
from companion.use_cases.meetings.happenings import happened, still_standing
from companion.use_cases.meetings.participants import PLACES, meeting_grants, of_my_unit
from companion.use_cases.meetings.telling import tell
from companion.use_cases.people.typed import clean, phone_number

LONGEST_NAME = 100


@dataclass(frozen=True)
class GuestDraft:
    """A guest as typed: `role` is `interpreter`, `partner` (somebody to talk with) or `guest`."""

    name: str
    phone: str
    role: str


def add_relative(
    db: Session, who: Actor, meeting_id: UUID, relative_id: UUID, *, now: datetime
) -> Participant:
    """A relative whom the patient has let join meetings, at least until this one. Raises `Invalid` for `relative` no_grant."""
    meeting = _to_come(db, who, meeting_id, now)
    if already := _already(meeting, "relative_id", relative_id):
        return already
    grants = meeting_grants(db, meeting.patient_id, meeting.starts_at)
    granted = next((one.relative for one in grants if one.relative_id == relative_id), None)
    if granted is None:
        raise Invalid({"relative": "no_grant"})
    return _add(db, who, meeting, Participant(role="relative", relative=granted), now)


def add_professional(
    db: Session, who: Actor, meeting_id: UUID, professional_id: UUID, unit_id: UUID, *, now: datetime
) -> Participant:
    """A colleague of any unit; they find it among their own meetings. Raises `Invalid` for `professional` unknown."""
    meeting = _to_come(db, who, meeting_id, now)
    if already := _already(meeting, "professional_id", professional_id):
        return already
    found = next((one for one in colleagues(db, unit_id) if one.id == professional_id), None)
    if found is None:
        raise Invalid({"professional": "unknown"})
    place = Participant(role="professional", professional=found, unit_id=unit_id)
    return _add(db, who, meeting, place, now)


def add_guest(db: Session, who: Actor, meeting_id: UUID, draft: GuestDraft, *, now: datetime) -> Participant:
    """Somebody without a record here, by the link in an SMS. Raises `Invalid` with every problem of name, phone, role."""
    meeting = _to_come(db, who, meeting_id, now)
    name, phone = clean(draft.name), phone_number(clean(draft.phone))
    problems = {}
    if not name or len(name) > LONGEST_NAME:
        problems["name"] = "too_long" if name else "missing"
    if phone is None:
        problems["phone"] = "not_a_phone" if draft.phone.strip() else "missing"
    elif phone.landline:
        problems["phone"] = "landline"
    if draft.role not in GUEST_ROLES:
        problems["role"] = "unknown" if draft.role else "missing"
    if problems or phone is None:
        raise Invalid(problems)
    same = (one for one in meeting.participants if (one.guest_phone, one.guest_name) == (phone.e164, name))
    if already := next(same, None):
        return already
    return _add(db, who, meeting, Participant(role=draft.role, guest_name=name, guest_phone=phone.e164), now)


def remove(db: Session, who: Actor, meeting_id: UUID, participant_id: UUID, *, now: datetime) -> None:
    """The person need not come after all, and is told so. Twice is once. The host and the patient stay."""
    meeting = of_my_unit(db, who, meeting_id)
    still_standing(meeting)
    place = next((one for one in meeting.participants if one.id == participant_id), None)
    if place is None:
        return
    if place.is_host or place.patient_id:
        raise Conflict("stays")
    place.removed_at, place.admitted_at = now, None
    happened(meeting, "removed", now, place, by=who)
    db.flush()
    if not place.professional_id:
        tell(db, place, "meeting_without_you", now)
    db.expire(meeting, ["participants"])


def colleagues(db: Session, unit_id: UUID) -> list[Professional]:
    """Who works in a unit."""
    members = (
        select(Professional)
        .join(Membership, Membership.professional_id == Professional.id)
        .where(Membership.unit_id == unit_id, Professional.left_at.is_(None))
    )
    return sorted(db.scalars(members).unique(), key=lambda one: one.name)


def units(db: Session) -> list[Unit]:
    """Every unit there is: a meeting may need anybody."""
    return list(db.scalars(select(Unit).order_by(Unit.name)))


def _to_come(db: Session, who: Actor, meeting_id: UUID, now: datetime) -> Meeting:
    meeting = of_my_unit(db, who, meeting_id)
    # Two at once would take the same place.
    db.refresh(meeting, with_for_update=True)
    still_standing(meeting)
    if phase(meeting, now) is Phase.over:
        raise Conflict("over")
    return meeting


def _already(meeting: Meeting, column: str, person: UUID) -> Participant | None:
    return next((one for one in meeting.participants if getattr(one, column) == person), None)


def _add(db: Session, who: Actor, meeting: Meeting, place: Participant, now: datetime) -> Participant:
    if len(meeting.participants) >= PLACES:
        raise Invalid({"places": "too_many"})
    place.position = 1 + max(one.position for one in meeting.everybody)
    place.meeting = meeting
    db.add(place)
    db.flush()
    happened(meeting, "added", now, place, by=who)
    db.expire(meeting, ["everybody"])
    if not place.professional_id:
        tell(db, place, "meeting", now)
    db.flush()
    return place
