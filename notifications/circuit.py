"""The circuit of the batch lane: when most calls end in doubt it stops the lane, and lets one letter at a time try it out.

The row is shared by all dispatchers and outlives them. The code lane is never stopped: a person waits there.
A row of its own, by the way's name, says that a provider refuses who we are, so that letters go by the next way meanwhile.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import cast

import structlog
from sqlalchemy import Table, case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from companion.models import Circuit
from notifications.models import Delivery

LANE = "batch"
RESTS = timedelta(hours=1)
WITHIN = timedelta(seconds=60)
# Fewer say nothing about the provider.
AT_LEAST = 10
PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=10)
# A probe of which nothing is heard: its dispatcher died.
PROBE_LASTS = timedelta(seconds=90)

log = structlog.get_logger()


def room(db: Session, lane: str, limit: int, now: datetime) -> tuple[int, bool]:
    """How many letters of the lane may be claimed, `limit`, one or none; and whether that one is to try the provider out."""
    if lane != LANE or _state(db) == "closed":
        return limit, False
    row = _held(db)
    if row.state == "closed":
        return limit, False
    return (1, True) if row.until is None or row.until <= now else (0, False)


def claimed(db: Session, lane: str, now: datetime) -> None:
    """Letters of the lane have been claimed; when the circuit is not closed, the one claimed is the probe."""
    if lane == LANE:
        db.execute(
            update(Circuit)
            .where(Circuit.lane == LANE, Circuit.state != "closed")
            .values(state="probing", until=now + PROBE_LASTS)
        )


def judge(db: Session, ways: Collection[str], answered: int, doubtful: int, now: datetime) -> bool:
    """Looks at how the latest calls by these ways ended, after they were written down; whether the lane is stopped now.

    `answered` of them got a plain answer, yes or no; of the `doubtful` nobody knows.
    """
    if not answered and not doubtful:
        return False
    if _state(db) != "closed":
        row = _held(db)
        if row.state == "probing":
            _after_probe(row, doubtful > 0, now)
        return row.state == "open"
    if not doubtful:
        return False
    closed_at = db.scalar(select(Circuit.since).where(Circuit.lane == LANE))
    since = max(now - WITHIN, closed_at) if closed_at else now - WITHIN
    doubt = case((Delivery.outcome == "unknown", 1), else_=0)
    # Attempts without a code were found abandoned: that says something about us, not about the provider.
    calls, in_doubt = db.execute(
        select(func.count(), func.coalesce(func.sum(doubt), 0)).where(
            Delivery.body.is_not(None),
            Delivery.channel.in_(ways),
            Delivery.finished_at >= since,
            Delivery.outcome.in_(("accepted", "failed", "undelivered"))
            | ((Delivery.outcome == "unknown") & Delivery.error_code.is_not(None)),
        )
    ).one()
    if calls < AT_LEAST or in_doubt * 2 < calls:
        return False
    _open(db, LANE, now, PAUSE)
    log.error("circuit_open", lane=LANE, calls=calls, in_doubt=in_doubt)
    return True


def rest(db: Session, way: str, code: str, now: datetime) -> None:
    """A provider does not accept who we say we are (`code`): an operator has to see to it, and the next way is taken."""
    _open(db, way, now, RESTS)
    log.error("way_refused", way=way, code=code)


def rests(db: Session, way: str, now: datetime) -> bool:
    """Whether the next way is taken for now."""
    until = db.scalar(select(Circuit.until).where(Circuit.lane == way))
    return until is not None and until > now


def _after_probe(row: Circuit, in_doubt: bool, now: datetime) -> None:
    if not in_doubt:
        row.state, row.since, row.until, row.failures = "closed", now, None, 0
        log.warning("circuit_closed", lane=LANE)
        return
    row.failures += 1
    row.state, row.until = "open", now + min(PAUSE * 2.0**row.failures, LONGEST_PAUSE)
    log.error("circuit_open", lane=LANE, probes_failed=row.failures)


def _open(db: Session, lane: str, now: datetime, pause: timedelta) -> None:
    dialect = postgresql if db.get_bind().dialect.name == "postgresql" else sqlite
    values = {"state": "open", "since": now, "until": now + pause, "failures": 0}
    db.execute(
        dialect.insert(Circuit)
        .values(lane=lane, **values)
        .on_conflict_do_update(index_elements=["lane"], set_=values)
    )


_STATE = select(cast(Table, Circuit.__table__).c.state).where(Circuit.lane == LANE)


def _state(db: Session) -> str:
    """As the row says; without one nothing has ever gone wrong."""
    return db.connection().scalar(_STATE) or "closed"


def _held(db: Session) -> Circuit:
    """Held until the transaction ends: of several dispatchers one sends the probe."""
    return db.get_one(Circuit, LANE, with_for_update=True, populate_existing=True)
