"""A hospital's list of discharges: every line checked before the first is recorded."""

import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO

from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid
from companion.exchange.hospital_list import columns, reader
from companion.exchange.hospital_list.told import FILE, Said, Unreadable
from companion.rules.access import Actor
from companion.settings import Settings
from companion.use_cases.going_home import discharge
from companion.use_cases.going_home.discharge import Discharge, Ready
from companion.use_cases.going_home.listed import Answers, Checker
from companion.use_cases.going_home.places import Places
from companion.use_cases.keeping import privacy

COLUMNS = columns.COLUMNS
_KEPT_IN_MEMORY = 2_000_000
_AT_A_TIME = 200
_LOOKED_AT = 20
# Which column what only the records know is about.
_ASKED_ABOUT = {"died": "national_id", "other_name": "national_id", "from_when": "discharged_on"}


@dataclass
class Counts:
    """What became of the rows. Of a list that was refused, nothing is created, moved or unchanged."""

    rows: int = 0
    created: int = 0
    moved: int = 0
    unchanged: int = 0
    rejected: int = 0


@dataclass
class Report(Counts):
    """The counts, every problem found, and what was done to good rows that somebody should know; in the order of the lines."""

    problems: list[Said] = field(default_factory=list)
    notes: list[Said] = field(default_factory=list)
    readable: bool = True

    @property
    def counts(self) -> dict[str, int]:
        """The counts alone, as the command line prints them."""
        return {name: getattr(self, name) for name in asdict(Counts())}

    def reject(self, line: int, problems: Mapping[str, str]) -> None:
        """One row that does not do."""
        self.rejected += 1
        self.problems += [Said(line, name, code) for name, code in problems.items()]

    def note(self, line: int, notes: Mapping[str, str]) -> None:
        """One row that does, with something to be known."""
        self.notes += [Said(line, name, code) for name, code in notes.items()]


def import_discharges(
    db: Session,
    who: Actor,
    lines: Iterable[bytes] | Path,
    *,
    partial: bool = False,
    dry_run: bool = False,
    answers: Answers | None = None,
    settings: Settings,
    now: datetime,
) -> Report:
    """Records every discharge of the list, or none when a row is bad; with `partial` the good ones. The caller commits.

    `dry_run` goes all the way and then takes everything back. The list is read twice and never held in memory.
    """
    checker = Checker(db, settings, now, who, answers=answers)
    with _reopenable(lines) as file:
        report = _check_all(file, checker)
        if not report.readable or (report.problems and not partial):
            return report
        with db.begin_nested() as savepoint:
            _record_all(db, who, file, checker, report, now)
            if dry_run or (report.problems and not partial):
                savepoint.rollback()
    if report.problems and not partial:
        report.created = report.moved = report.unchanged = 0
    return report


@dataclass(frozen=True)
class Prepared:
    """Rows checked, and everything about people we had not met made ready; only what depends on the others is left."""

    report: Report
    good: list[tuple[int, Discharge]]
    ready: dict[str, Ready]
    places: Places


def prepare(
    db: Session,
    who: Actor,
    rows: Sequence[Mapping[str, str]],
    places: Places,
    met: Collection[str] = (),
    *,
    settings: Settings,
    now: datetime,
) -> Prepared:
    """Makes rows ready that do not come as CSV, numbered from 1, without a look at the database. `met`: whom we know."""
    checker = Checker(db, settings, now, who, places)
    report, good = Report(rows=len(rows)), []
    for number, row in enumerate(rows, start=1):
        try:
            read = checker.read(row)
        except Invalid as invalid:
            report.reject(number, invalid.problems)
        else:
            report.note(number, read.notes)
            good.append((number, read.discharge))
    unmet = [] if report.problems else [new for _, new in good if new.national_id not in met]
    return Prepared(report, good, discharge.make_ready(db, who, unmet, now=now, places=places), places)


def settle(db: Session, who: Actor, prepared: Prepared, *, now: datetime) -> Iterator[None]:
    """Settles what changes nothing, as if it had come a moment earlier; the caller ends the transaction after every few."""
    times = Counter(new.national_id for _, new in prepared.good)
    once = (
        new
        for _, new in prepared.good
        if times[new.national_id] == 1 and new.national_id not in prepared.ready
    )
    while some := list(islice(once, _LOOKED_AT)):
        prepared.ready.update(discharge.settled(db, who, some, now=now, places=prepared.places))
        yield


def import_rows(db: Session, who: Actor, prepared: Prepared, *, settings: Settings, now: datetime) -> Report:
    """All of them are recorded, or none when one is bad."""
    report = prepared.report
    if report.problems:
        return report
    checker = Checker(db, settings, now, who, prepared.places)
    with db.begin_nested() as savepoint:
        _record_good(db, who, iter(prepared.good), checker, report, now, prepared.ready)
        if report.problems:
            savepoint.rollback()
            report.created = report.moved = report.unchanged = 0
    return report


def _check_all(file: IO[bytes], checker: Checker) -> Report:
    report = Report()
    try:
        for row in reader.read(file):
            report.rows += 1
            _check_one(row, checker, report)
    except Unreadable as unreadable:
        report.readable = False
        report.problems += unreadable.problems
    return report


def _check_one(row: reader.Row, checker: Checker, report: Report) -> None:
    if row.cells is None:
        report.reject(row.line, {FILE: "other_count"})
        return
    try:
        report.note(row.line, checker.read(row.cells).notes)
    except Invalid as invalid:
        report.reject(row.line, invalid.problems)


def _record_all(
    db: Session, who: Actor, file: IO[bytes], checker: Checker, report: Report, now: datetime
) -> None:
    _record_good(db, who, _good_rows(file, checker), checker, report, now)


def _record_good(
    db: Session,
    who: Actor,
    good: Iterator[tuple[int, Discharge]],
    checker: Checker,
    report: Report,
    now: datetime,
    ready: Mapping[str, Ready] | None = None,
) -> None:
    lines: list[privacy.Line] = []
    while some := dict(islice(good, _AT_A_TIME)):
        outcomes = discharge.discharge_all(
            db, who, list(some.values()), now=now, places=checker.places, ready=ready
        )
        for line, outcome in zip(some, outcomes, strict=True):
            if isinstance(outcome, Conflict):
                report.reject(line, {_ASKED_ABOUT[outcome.code]: outcome.code})
                continue
            report.note(line, {f"measures.{number}": "measure_retitled" for number in outcome.retitled})
            setattr(report, outcome.what, getattr(report, outcome.what) + 1)
            if outcome.what != "unchanged":
                lines.append(privacy.Line(now, who, outcome.stay.patient_id, f"discharge.{outcome.what}"))
        db.flush()
    # At the end, because from the first link to the commit nobody else can add one.
    privacy.record(db, lines)
    report.problems.sort(key=lambda problem: problem.line)
    report.notes.sort(key=lambda note: note.line)


def _good_rows(file: IO[bytes], checker: Checker) -> Iterator[tuple[int, Discharge]]:
    for row in reader.read(file):
        if row.cells is not None:
            with suppress(Invalid):
                yield row.line, checker.read(row.cells).discharge


@contextmanager
def _reopenable(lines: Iterable[bytes] | Path) -> Iterator[IO[bytes]]:
    """Something that can be read twice; what comes by lines is put on disk when it is long."""
    if isinstance(lines, Path):
        with lines.open("rb") as file:
            yield file
        return
    with tempfile.SpooledTemporaryFile(max_size=_KEPT_IN_MEMORY) as spooled:
        spooled.writelines(lines)
        yield spooled
