"""How often somebody may try."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from companion.errors import LinkLocked
from companion.models import (
    Attempt,
    LinkToken,
    OneTimeCode,
)
from companion.use_cases.sign_in.people import changed

TRIES = 5
CODE_LIFE = timedelta(minutes=10)
CODES_IN_TEN_MINUTES, CODES_IN_A_DAY = 3, 10


def take_a_try(db: Session, kind: type[LinkToken] | type[OneTimeCode], row_id: int) -> bool:
    """Counts first and looks afterwards, in one statement: guesses in parallel get no more tries than guesses in a row."""
    counted = update(kind).where(kind.id == row_id, kind.tries < TRIES).values(tries=kind.tries + 1)
    return changed(db, counted) == 1


def slow_down(db: Session, door: str, subject: str | None, now: datetime) -> None:
    """Counts a wrong try at a number, whether or not anybody is there. Raises `LinkLocked` after ten in ten minutes."""
    recent = select(func.count()).where(
        Attempt.door == door, Attempt.subject_index == subject, Attempt.at > now - CODE_LIFE
    )
    if (db.scalar(recent) or 0) >= 2 * TRIES:
        raise LinkLocked
    db.add(Attempt(door=door, subject_index=subject, at=now))
    db.flush()


def too_many(db: Session, at: Any, now: datetime, *same: Any) -> bool:
    """Whether there were three in ten minutes or ten in a day, by the column `at`, of those that are the `same`."""

    def since(ago: timedelta) -> int:
        return db.scalar(select(func.count()).where(at > now - ago, *same)) or 0

    return since(timedelta(minutes=10)) >= CODES_IN_TEN_MINUTES or since(timedelta(days=1)) >= CODES_IN_A_DAY
