"""A person goes home: the stay, its measures, the units that follow, the plan with its check-ins, and the welcome."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from companion.errors import Conflict, NotAllowed
from companion.models import Patient
from companion.rules.access import Actor
from companion.use_cases.going_home import rows
from companion.use_cases.going_home.arrival import Arrival, Outcome
from companion.use_cases.going_home.checked import (
    FIELDS,
    MOST_MEASURES,
    Discharge,
    MeasureDraft,
    check,
    read_measures,
)
from companion.use_cases.going_home.places import Place, Places
from companion.use_cases.going_home.preview import PreviewLine, preview

__all__ = [
    "FIELDS",
    "MOST_MEASURES",
    "Discharge",
    "MeasureDraft",
    "Outcome",
    "PreviewLine",
    "Ready",
    "check",
    "discharge",
    "discharge_all",
    "make_ready",
    "may_discharge",
    "met",
    "preview",
    "read_measures",
    "settled",
]


@dataclass(frozen=True)
class Ready:
    """Everything about somebody we have not met: only the writing is left. The outcome's records are in no session."""

    new: Discharge
    outcome: Outcome
    rows: rows.Rows


def discharge(
    db: Session, who: Actor, new: Discharge, *, now: datetime, places: Places | None = None
) -> Outcome:
    """Records the discharge and everything that follows from it; the same one again changes nothing.

    The same stay is an open one at the same ward, its day at most 30 days from this one. A list only moves a stay to a later
    day, and is too old when we know of a later one; a professional moves it both ways. What was asked stays as it is.
    Raises `NotAllowed` for a ward that is not one's own, `Conflict("died")` for somebody registered dead; for a list
    `Conflict("other_name")` where the number is that of somebody called quite otherwise, and `Conflict("from_when")` for
    somebody who went home long ago, as long as nobody has said from which day on to write.
    """
    _may_discharge(who, new.ward)
    here = Arrival(db, who, new, now, places or Places.read(db))
    return here.outcome()


def met(db: Session, national_ids: Collection[str]) -> set[str]:
    """Which of them we know already."""
    known = select(Patient.national_id).where(Patient.national_id_index.in_(national_ids))
    return set(db.scalars(known))


def make_ready(
    db: Session, who: Actor, news: Iterable[Discharge], *, now: datetime, places: Places
) -> dict[str, "Ready"]:
    """Everything about people we have not met, by national id, made ready without a look at the database."""
    firsts: dict[str, Ready] = {}
    for new in news:
        if new.national_id not in firsts:
            arrival = Arrival(db, who, new, now, places)
            with suppress(Conflict):
                outcome = arrival.first()
                firsts[new.national_id] = Ready(new, outcome, rows.of(arrival.records(outcome.stay)))
    return firsts


def settled(
    db: Session, who: Actor, news: Iterable[Discharge], *, now: datetime, places: Places
) -> dict[str, "Ready"]:
    """Of people we know, by national id, those whose discharge changes nothing as things stand."""
    found: dict[str, Ready] = {}
    for new in news:
        if stay := Arrival(db, who, new, now, places).old_news():
            found[new.national_id] = Ready(new, Outcome(stay, "unchanged"), {})
    return found


def discharge_all(
    db: Session,
    who: Actor,
    news: Sequence[Discharge],
    *,
    now: datetime,
    places: Places,
    ready: Mapping[str, "Ready"] | None = None,
) -> list[Outcome | Conflict]:
    """The same for many, in their order; people we have not met go in by a statement a table. `ready`: made before.

    Where `discharge` would raise `Conflict`, it stands in the list instead.
    """
    for new in news:
        _may_discharge(who, new.ward)
    known = met(db, [new.national_id for new in news])
    firsts: dict[int, Ready] = {}
    for place, new in enumerate(news):
        made = ready.get(new.national_id) if ready else None
        made = made if made and made.new is new else None
        if made and made.outcome.what == "unchanged":
            firsts[place] = made
        elif new.national_id not in known:
            known.add(new.national_id)
            made = made or make_ready(db, who, [new], now=now, places=places).get(new.national_id)
            if made:
                firsts[place] = made
    outcomes: dict[int, Outcome | Conflict] = {}
    try:
        with db.begin_nested():
            rows.insert_all(db, (one.rows for one in firsts.values()))
            outcomes |= {place: one.outcome for place, one in firsts.items()}
    except IntegrityError:
        # Somebody came in through another door meanwhile: one by one, then.
        outcomes.clear()
    for place, new in enumerate(news):
        if place not in outcomes:
            outcomes[place] = _outcome_or_conflict(Arrival(db, who, new, now, places))
    return [outcomes[place] for place in range(len(news))]


def _outcome_or_conflict(arrival: "Arrival") -> Outcome | Conflict:
    try:
        return arrival.outcome()
    except Conflict as conflict:
        return conflict


def may_discharge(who: Actor, ward: Place) -> bool:
    """Whether somebody discharges from this ward: its own people, a program with an account for it, the administrator."""
    # The administrator's import has no account.
    if who.kind == "system" or (who.kind == "integration" and who.id is None):
        return True
    return who.kind in ("professional", "integration") and ward.id in who.unit_ids


def _may_discharge(who: Actor, ward: Place) -> None:
    if not may_discharge(who, ward):
        raise NotAllowed("discharges are for the ward's own people")
