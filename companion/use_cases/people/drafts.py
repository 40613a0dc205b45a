"""What was typed is kept until it is sent or thrown away: as it is typed, and when a form could not be sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from companion.models import Draft
from companion.rules.access import Actor

KEPT_FOR = timedelta(days=14)
LONGEST_PLACE = 300
# Of one person: more forms, or a larger one, than anybody fills in by hand.
MOST = 50
LARGEST = 200_000

Typed = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Kept:
    """A form as it was typed: names and texts, in the order of the form."""

    fields: Typed
    saved_at: datetime


def keep(db: Session, who: Actor, place: str, fields: Iterable[tuple[str, str]], *, now: datetime) -> bool:
    """Keeps what `who` has typed at `place`, in place of what was kept there; False when it is too large to keep.

    An empty form is nothing to keep. One statement, so that two windows at once are neither an error nor two rows.
    """
    typed = [list(field) for field in fields]
    if not any(text.strip() for _, text in typed):
        forget(db, who, place)
        return True
    if len(place) > LONGEST_PLACE or sum(len(name) + len(text) for name, text in typed) > LARGEST:
        return False
    dialect = postgresql if db.get_bind().dialect.name == "postgresql" else sqlite
    mine = who.id if who.kind == "patient" else None
    added = dialect.insert(Draft).values(
        owner_id=who.id, patient_id=mine, place=place, fields=typed, saved_at=now
    )
    db.execute(
        added.on_conflict_do_update(
            index_elements=["owner_id", "place"],
            set_={"fields": added.excluded.fields, "saved_at": added.excluded.saved_at},
        )
    )
    _forget_the_oldest(db, who)
    return True


def forget(db: Session, who: Actor, place: str) -> None:
    """Sent, or thrown away."""
    db.execute(delete(Draft).where(Draft.owner_id == who.id, Draft.place == place))


def kept_by(db: Session, who: Actor, *, now: datetime) -> Mapping[str, Kept]:
    """Everything that person has typed and not sent, by place, the latest first. Nobody else's, ever."""
    rows = db.execute(
        select(Draft.place, Draft.fields, Draft.saved_at)
        .where(Draft.owner_id == who.id, Draft.saved_at > now - KEPT_FOR)
        .order_by(Draft.saved_at.desc(), Draft.id)
    )
    return {
        place: Kept(tuple((name, text) for name, text in fields), saved_at)
        for place, fields, saved_at in rows
    }


def purge(db: Session, now: datetime, limit: int = 500) -> int:
    """Forgets what nobody has come back to for two weeks; how many."""
    old = select(Draft.id).where(Draft.saved_at <= now - KEPT_FOR).limit(limit)
    ids = db.scalars(old).all()
    db.execute(delete(Draft).where(Draft.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)


def _forget_the_oldest(db: Session, who: Actor) -> None:
    newest = select(Draft.id).where(Draft.owner_id == who.id).order_by(Draft.saved_at.desc(), Draft.id.desc())
    beyond = db.scalars(newest.offset(MOST)).all()
    if beyond:
        db.execute(delete(Draft).where(Draft.id.in_(beyond)))
