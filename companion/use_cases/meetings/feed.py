"""A person's meetings for a calendar that fetches them: by a secret address, made anew or taken away by the person alone."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, joinedload

from companion.crypto import token_hash
from companion.errors import LevelTooLow, NotAllowed, NotFound
from companion.models import CalendarFeed, Meeting, Membership, Participant, Patient, Professional
from companion.rules.access import Actor, Level
from companion.use_cases.meetings.participants import welcome

SHOWN_FOR = timedelta(days=31)
AT_MOST = 200


def open_feed(db: Session, who: Actor, *, now: datetime) -> str:
    """A new secret, told once; the earlier one opens nothing any more."""
    close_feed(db, who, now=now)
    secret = secrets.token_urlsafe(32)
    mine = {f"{_kind(who)}_id": who.id}
    db.add(CalendarFeed(token_hash=token_hash(secret), created_at=now, **mine))
    db.flush()
    return secret


def close_feed(db: Session, who: Actor, *, now: datetime) -> None:
    """The secret opens nothing any more. Twice is once."""
    for feed in db.scalars(_open(who)):
        feed.revoked_at = now
    db.flush()


def feed_of(db: Session, who: Actor) -> CalendarFeed | None:
    """The one that is open."""
    return db.scalars(_open(who)).first()


def read_feed(db: Session, secret: str, *, now: datetime) -> Sequence[Participant]:
    """The person's places at meetings of the last month and to come, cancelled ones too. `NotFound` for any other secret.

    What ends elsewhere ends here: a grant that is withdrawn, a unit one has left.
    """
    feed = db.scalars(
        select(CalendarFeed).where(
            CalendarFeed.token_hash == token_hash(secret), CalendarFeed.revoked_at.is_(None)
        )
    ).one_or_none()
    if feed is None or not _still_there(db, feed):
        raise NotFound("calendar")
    places = db.scalars(
        select(Participant)
        .join(Participant.meeting)
        .where(_mine(feed), Participant.removed_at.is_(None), Meeting.starts_at > now - SHOWN_FOR)
        .order_by(Meeting.starts_at)
        .limit(AT_MOST)
        .options(joinedload(Participant.meeting).joinedload(Meeting.unit))
    ).all()
    return [place for place in places if welcome(db, place, now)]


def _still_there(db: Session, feed: CalendarFeed) -> bool:
    if feed.patient_id:
        return db.get_one(Patient, feed.patient_id).died_on is None
    return feed.professional_id is None or db.get_one(Professional, feed.professional_id).left_at is None


def _mine(feed: CalendarFeed) -> ColumnElement[bool]:
    if feed.patient_id:
        return Participant.patient_id == feed.patient_id
    if feed.relative_id:
        return Participant.relative_id == feed.relative_id
    units = select(Membership.unit_id).where(Membership.professional_id == feed.professional_id)
    where = func.coalesce(Participant.unit_id, Meeting.unit_id)
    return (Participant.professional_id == feed.professional_id) & where.in_(units)


def _open(who: Actor) -> Select[CalendarFeed]:
    column = getattr(CalendarFeed, f"{_kind(who)}_id")
    return select(CalendarFeed).where(column == who.id, CalendarFeed.revoked_at.is_(None))


def _kind(who: Actor) -> str:
    if who.level < Level.code or who.id is None:
        raise LevelTooLow(Level.code.name)
    if who.kind not in ("patient", "relative", "professional"):
        raise NotAllowed("for people")
    return who.kind
