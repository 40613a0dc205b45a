"""The meetings somebody is invited to: a patient's own, and those a relative may still come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, joinedload

from companion.errors import NotFound
from companion.models import Grant, Meeting, Participant
from companion.rules.access import Actor
from companion.rules.meetings import Phase, phase
from companion.use_cases.people.reach import in_force

PAST_SHOWN = 20
READ_AT_MOST = 100


@dataclass(frozen=True)
class Invitations:
    """`coming` soonest first; `past` (held, missed or called off) latest first."""

    coming: Sequence[Meeting]
    past: Sequence[Meeting]


def invitations(db: Session, who: Actor, *, now: datetime) -> Invitations:
    """The meetings of the person asking, with hosts and guests; a relative's end with the grant."""
    found = (
        db.scalars(
            select(Meeting)
            .where(_invited(who, now))
            .order_by(Meeting.starts_at.desc(), Meeting.id)
            .limit(READ_AT_MOST)
            .options(
                joinedload(Meeting.host, innerjoin=True),
                joinedload(Meeting.unit, innerjoin=True),
                joinedload(Meeting.patient, innerjoin=True),
                joinedload(Meeting.participants).joinedload(Participant.relative),
            )
            .execution_options(populate_existing=True)
        )
        .unique()
        .all()
    )
    coming = [meeting for meeting in found if phase(meeting, now) in (Phase.early, Phase.open)]
    past = [meeting for meeting in found if meeting not in coming]
    return Invitations(coming[::-1], past[:PAST_SHOWN])


def _invited(who: Actor, now: datetime) -> ColumnElement[bool]:
    if who.kind == "patient":
        return Meeting.patient_id == who.id
    if who.kind != "relative":
        raise NotFound("meetings")
    place = (
        select(Participant.id)
        .where(
            Participant.meeting_id == Meeting.id,
            Participant.relative_id == who.id,
            Participant.removed_at.is_(None),
        )
        .exists()
    )
    grant = (
        select(Grant.id)
        .where(Grant.patient_id == Meeting.patient_id, Grant.relative_id == who.id, in_force(now, "meetings"))
        .exists()
    )
    return place & grant
