"""A hospital's list of discharges, as CSV: every line checked before the first is recorded."""

import csv
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
from companion.rules.access import Actor
from companion.rules.cadence import local_day
from companion.settings import Settings
from companion.use_cases.going_home import discharge
from companion.use_cases.going_home.discharge import Discharge, Ready
from companion.use_cases.going_home.places import Places
from companion.use_cases.keeping import privacy

COLUMNS = (*discharge.FIELDS, "measures")
# Far more than any honest cell; it stops a quote that is never closed from swallowing the file.
LONGEST_CELL = 20_000
_KEPT_IN_MEMORY = 2_000_000
_AT_A_TIME = 200
_LOOKED_AT = 20
_BOM = b"\xef\xbb\xbf"
_OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff")

_REASONS = {
    "missing": "is missing",
    "too_long": "is too long",
    "too_many": f"lists more than {discharge.MOST_MEASURES} measures",
    "not_a_national_id": "is not a valid national id",
    "synthetic_not_allowed": "is a synthetic national id; these are refused here",
    "not_a_name": "holds no letters",
    "not_a_phone": "is not a valid telephone number",
    "not_a_language": "must be one of nb, nn, se, en",
    "unknown_municipality": "is not a municipality we know; write its four digits",
    "unknown_ward": "is not the key of a ward; see 'python -m companion unit list'",
    "not_a_date": "is not a date; write YYYY-MM-DD",
    "too_far": "is too far away",
    "unknown_template": "is not a plan template we know",
    "not_a_time": "is not a time; write HH:MM or leave it empty",
    "not_a_measure": "must be 'title|owner|due days', joined by ' & '",
    "unknown_owner": "must be one of hospital, art, municipality, gp, nav, patient",
    "not_a_number": "must be a whole number of days",
    "died": "belongs to somebody who is registered as dead",
}


@dataclass(frozen=True)
class Problem:
    """What is wrong with one field of one line; `field` is `file` when it is wrong with all of it."""

    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        return f"Line {self.line}, {self.field}: {self.reason}."


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
    """The counts, and every problem found, in the order of the lines."""

    problems: list[Problem] = field(default_factory=list)
    readable: bool = True

    @property
    def counts(self) -> dict[str, int]:
        """The counts alone, as the command line prints them."""
        return {name: getattr(self, name) for name in asdict(Counts())}

    def reject(self, line: int, problems: Iterable[tuple[str, str]]) -> None:
        """One row that does not do."""
        self.rejected += 1
        self.problems += [Problem(line, name, reason) for name, reason in problems]


class _Unreadable(Exception):
    """The file itself is wrong; no row of it can be trusted."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(str(problems[0]))
        self.problems = problems


@dataclass(frozen=True)
class _Row:
    """One row: its number in the file, and its cells by column, or None when there are too many or too few."""

    line: int
    cells: dict[str, str] | None


def import_discharges(
    db: Session,
    who: Actor,
    lines: Iterable[bytes] | Path,
    *,
    partial: bool = False,
    dry_run: bool = False,
    settings: Settings,
    now: datetime,
) -> Report:
    """Records every discharge of the list, or none when a row is bad; with `partial` the good ones. The caller commits.

    `dry_run` goes all the way and then takes everything back. The list is read twice and never held in memory.
    """
    checker = _Checker(db, settings, now, who)
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
    checker = _Checker(db, settings, now, who, places)
    report, good = Report(rows=len(rows)), []
    for number, row in enumerate(rows, start=1):
        try:
            good.append((number, checker.discharge(dict(row))))
        except Invalid as invalid:
            report.reject(number, _sentences(invalid.problems))
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
    checker = _Checker(db, settings, now, who, prepared.places)
    with db.begin_nested() as savepoint:
        _record_good(db, who, iter(prepared.good), checker, report, now, prepared.ready)
        if report.problems:
            savepoint.rollback()
            report.created = report.moved = report.unchanged = 0
    return report


class _Checker:
    """Rows into discharges, with what the database knows of units and municipalities read once."""

    def __init__(
        self, db: Session, settings: Settings, now: datetime, who: Actor, places: Places | None = None
    ) -> None:
        self.places = places or Places.read(db)
        self._who = who
        self._db, self._settings, self._today = db, settings, local_day(now)

    def discharge(self, cells: dict[str, str]) -> Discharge:
        """The discharge of a row. Raises `Invalid`."""
        problems: dict[str, str] = {}
        drafts = []
        try:
            drafts = discharge.read_measures(cells["measures"])
        except Invalid as invalid:
            problems |= invalid.problems
        try:
            checked = discharge.check(
                self._db, cells, drafts, settings=self._settings, today=self._today, places=self.places
            )
        except Invalid as invalid:
            raise Invalid(invalid.problems | problems) from None
        if problems:
            raise Invalid(problems)
        if not discharge.may_discharge(self._who, checked.ward):
            raise Invalid({"ward": "unknown_ward"})
        return checked


def _check_all(file: IO[bytes], checker: _Checker) -> Report:
    report = Report()
    try:
        for row in _rows(file):
            report.rows += 1
            if row.cells is None:
                report.reject(row.line, [("file", "the row does not have as many fields as the header")])
                continue
            try:
                checker.discharge(row.cells)
            except Invalid as invalid:
                report.reject(row.line, _sentences(invalid.problems))
    except _Unreadable as unreadable:
        report.readable = False
        report.problems += unreadable.problems
    return report


def _record_all(
    db: Session, who: Actor, file: IO[bytes], checker: _Checker, report: Report, now: datetime
) -> None:
    _record_good(db, who, _good_rows(file, checker), checker, report, now)


def _record_good(
    db: Session,
    who: Actor,
    good: Iterator[tuple[int, Discharge]],
    checker: _Checker,
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
                report.reject(line, [("national_id", _REASONS[outcome.code])])
                continue
            setattr(report, outcome.what, getattr(report, outcome.what) + 1)
            if outcome.what != "unchanged":
                lines.append(privacy.Line(now, who, outcome.stay.patient_id, f"discharge.{outcome.what}"))
        db.flush()
    # At the end, because from the first link to the commit nobody else can add one.
    privacy.record(db, lines)
    report.problems.sort(key=lambda problem: problem.line)


def _good_rows(file: IO[bytes], checker: _Checker) -> Iterator[tuple[int, Discharge]]:
    for row in _rows(file):
        if row.cells is not None:
            with suppress(Invalid):
                yield row.line, checker.discharge(row.cells)


def _sentences(problems: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Columns and reasons; a measure's problem names its number and what of it."""
    for name, code in problems.items():
        reason = _REASONS[code]
        column, _, rest = name.partition(".")
        number, _, part = rest.partition(".")
        yield column, f"measure {number}, {part}: {reason}" if rest else reason


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


def _rows(file: IO[bytes]) -> Iterator[_Row]:
    """The rows after the header. Raises `_Unreadable`."""
    file.seek(0)
    texts = _texts(file)
    header = next(texts, "")
    if not header.strip():
        raise _Unreadable(
            [Problem(1, "file", "the file is empty, or its first line is; a header is expected")]
        )
    delimiter = ";" if header.count(";") >= header.count(",") else ","
    columns = _columns(next(csv.reader([header], delimiter=delimiter)))
    # The reader's own limit is global to the process; a line is looked at before it gets that far.
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            line = reader.line_num + 1
            raise _Unreadable(
                [Problem(line, "file", "a quotation mark is not closed, or stands alone")]
            ) from None
        line = reader.line_num + 1
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            yield _Row(line, None)
        else:
            yield _Row(line, dict(zip(columns, cells, strict=True)))


def _texts(file: IO[bytes]) -> Iterator[str]:
    """The lines as text. A line is read no further than a row can honestly be long."""
    number = 0
    while raw := file.readline(LONGEST_CELL + 1):
        number += 1
        if len(raw) > LONGEST_CELL:
            raise _Unreadable([Problem(number, "file", f"the line is longer than {LONGEST_CELL} bytes")])
        if number == 1:
            if raw.startswith(_OTHER_BOMS):
                raise _Unreadable([Problem(1, "file", "the file is UTF-16; save it as CSV UTF-8")])
            raw = raw.removeprefix(_BOM)
        try:
            yield raw.decode("utf-8")
        except UnicodeDecodeError:
            reason = "the file is not UTF-8 (perhaps Windows-1252); save it as CSV UTF-8"
            raise _Unreadable([Problem(number, "file", reason)]) from None


def _columns(names: list[str]) -> list[str]:
    columns = [name.strip().lower() for name in names]
    problems = [Problem(1, name, "the column is missing") for name in COLUMNS if name not in columns]
    problems += [
        Problem(1, name[:40] or "(no name)", f"the column is unknown; expected are {', '.join(COLUMNS)}")
        for name in columns
        if name not in COLUMNS
    ]
    problems += [Problem(1, name, "the column is there twice") for name in COLUMNS if columns.count(name) > 1]
    if problems:
        raise _Unreadable(problems)
    return columns
