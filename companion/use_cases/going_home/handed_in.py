"""The discharges a program hands in: all or none, and the same request once."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid
from companion.models import HandedIn
from companion.rules.access import Actor
from companion.settings import Settings
from companion.use_cases.going_home.import_ import Prepared, Report, import_rows, prepare
from companion.use_cases.going_home.places import Places


class Refused(Invalid):
    """A list with bad rows; nothing of it was recorded. `report` says what is wrong with which."""

    def __init__(self, report: Report) -> None:
        super().__init__({"rows": "rejected"})
        self.report = report


def hand_in(
    db: Session,
    who: Actor,
    rows: Sequence[Mapping[str, str]],
    *,
    key: str | None = None,
    prepared: Prepared | None = None,
    settings: Settings,
    now: datetime,
) -> dict[str, Any]:
    """Records discharges, all or none, and says how many were `created`, `moved` and `unchanged`, with `notes` in codes.

    A `key` used before gives the answer of that time, `Conflict("key_in_use")` when something else was sent with it. `Refused`
    for bad rows; such a request is not kept, so the key may be used again. `prepared`: made from the rows beforehand, so that
    the database is held for little more than the writing.
    """
    sent = json.dumps([dict(row) for row in rows], sort_keys=True)
    if key and (before := _before(db, who, key)):
        return _same(db, before, sent)
    try:
        with db.begin_nested():
            kept = (
                HandedIn(integration_id=who.id, key=key, sent_index=sent, answer={}, at=now) if key else None
            )
            if kept:
                # First of all, so that the same request on its way twice is carried out once.
                db.add(kept)
                db.flush()
            prepared = prepared or prepare(db, who, rows, Places.read(db), settings=settings, now=now)
            report = import_rows(db, who, prepared, settings=settings, now=now)
            if report.problems:
                raise Refused(report)
            if kept:
                kept.answer = _answer(report)
                db.flush()
    except IntegrityError:
        before = _before(db, who, key) if key else None
        if before is None:
            raise
        return _same(db, before, sent)
    return _answer(report)


def _answer(report: Report) -> dict[str, Any]:
    """The counts and, where something was done to a row, what: in codes, for whoever asks again may read another language."""
    notes = [{"row": one.line, "field": one.field, "code": one.code} for one in report.notes]
    return report.counts | ({"notes": notes} if notes else {})


def _before(db: Session, who: Actor, key: str) -> HandedIn | None:
    return db.scalars(
        select(HandedIn)
        .where(HandedIn.integration_id == who.id, HandedIn.key == key)
        .execution_options(populate_existing=True)
    ).one_or_none()


def _same(db: Session, before: HandedIn, sent: str) -> dict[str, Any]:
    again = select(HandedIn.id).where(HandedIn.id == before.id, HandedIn.sent_index == sent)
    if db.scalar(again) is None:
        raise Conflict("key_in_use")
    return before.answer
