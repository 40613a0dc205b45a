"""What a claim costs when the table has grown: claim, settle, the sweep for lost leases, and a look that finds nothing."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import Any, cast

from sqlalchemy import Connection, Engine, Table, text
from sqlalchemy.orm import Session

from bench import ward
from bench.databases import Databases, settings
from bench.figures import Figure, Part, percentile
from companion.crypto import KeyRing
from companion.db import make_engine, make_sessions
from companion.models import Message
from notifications import outbox
from notifications.dispatcher import CLAIM_AT_MOST, FLUSH_AT
from notifications.outbox import Outbox, Result
from notifications.settings import Settings

CLAIMS_A_ROUND = 10
LETTERS_EACH = 100
_OLD_ROWS = """
INSERT INTO message (kind, lane, dedupe_key, patient_id, language, params, created_at, not_before, valid_until, state,
                     next_attempt_at, attempt, fence, settled_at)
SELECT 'check_in', 'batch', {key}, person.id, 'nb', :params, {at}, {at}, {at}, 'delivered', {at}, 1, 1, {at}
FROM {numbers} JOIN numbered AS person ON person.n = i % :people
"""
_COUNTED = (
    "WITH RECURSIVE counted(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counted WHERE i < :rows)"
    " SELECT i FROM counted"
)
_NUMBERED = "CREATE TEMPORARY TABLE numbered AS SELECT id, row_number() OVER () - 1 AS n FROM patient"


@dataclass
class Grown:
    """A table of one size, and what has been measured on it, in milliseconds."""

    databases: Databases
    engine: Engine
    rows: int
    due: datetime
    claims: int
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def round(self, box: Outbox) -> None:
        """Some claims, everything settled, and looks that find nothing."""
        for _ in range(self.claims):
            parcels, _ = self._timed("claim", lambda db: box.claim(db, "batch", CLAIM_AT_MOST, self.due))
            for begin in range(0, len(parcels), FLUSH_AT):
                results = [
                    Result(parcel, "accepted", provider_id=f"SM{parcel.attempt_id}")
                    for parcel in parcels[begin : begin + FLUSH_AT]
                ]
                self._timed("settle", partial(outbox.settle, results=results, now=self.due))
            self._timed("sweep", lambda db: outbox.sweep(db, self.due, box.ways))
            self._timed("empty", lambda db: box.claim(db, "code", CLAIM_AT_MOST, self.due))

    def _timed(self, what: str, step: Callable[[Session], Any]) -> Any:
        began = perf_counter()
        with make_sessions(self.engine).begin() as db:
            done = step(db)
        self.times[what].append((perf_counter() - began) * 1000)
        return done

    def close(self) -> None:
        """Gone."""
        url = self.engine.url.render_as_string(hide_password=False)
        self.engine.dispose()
        self.databases.drop(url)


def measure(kinds: list[Databases], sizes: Sequence[int], rounds: int, name: str = "claims") -> Part:
    """All sizes side by side, on one database after the other."""
    moment, _ = ward.office_hours()
    figures: list[Figure] = []
    filling: dict[str, float] = {}
    for databases in kinds:
        grown = []
        for rows in sizes:
            began = perf_counter()
            grown.append(_grow(databases, rows, moment, rounds))
            filling[f"{databases.name} {rows:,}"] = perf_counter() - began
        for _ in range(rounds):
            for table in grown:
                table.round(Outbox(settings(""), Settings()))
        figures += _figures(databases, grown)
        for table in grown:
            table.close()
    return Part(
        name,
        "Cost of a claim when the table has grown",
        f"Claims of {CLAIM_AT_MOST}, settled {FLUSH_AT} at a time, each a transaction with its commit, with words and links;"
        f" {LETTERS_EACH} letters a patient, two years back. Filled in "
        + ", ".join(f"{seconds:.0f} s ({what})" for what, seconds in filling.items())
        + ".",
        figures,
    )


def _figures(databases: Databases, grown: Sequence[Grown]) -> Iterator[Figure]:
    for what in ("claim", "settle", "sweep", "empty"):
        for smaller, table in zip([None, *grown], grown, strict=False):
            p50, p95 = (percentile(table.times[what], share) for share in (0.5, 0.95))
            before = percentile(smaller.times[what], 0.5) if smaller else None
            yield Figure(
                f"{databases.name}, {what} at {table.rows:,} rows, p50",
                [p50],
                "ms",
                p50 / before if before else None,
                "≤ 1.3" if before and what == "claim" and smaller and smaller.rows >= 1_000_000 else "",
                f"p95 {p95:.2f} ms",
            )


def _grow(databases: Databases, rows: int, moment: datetime, rounds: int) -> Grown:
    claims = min(CLAIMS_A_ROUND, rows // 2 // rounds // CLAIM_AT_MOST or 1)
    due = min(rows, rounds * claims * CLAIM_AT_MOST)
    people = max(due, rows // LETTERS_EACH)
    name = databases.template(partial(ward.fill, patients=people, due=moment, letters=0))
    engine = make_engine(settings(databases.url(name)), force_custom_plan=True)
    _put_old(engine, rows - due, people, moment)
    ward.put(engine, Message, [ward.letter(serial, moment) for serial in range(due)])
    _know(engine)
    return Grown(databases, engine, rows, moment, claims)


def _put_old(engine: Engine, rows: int, people: int, moment: datetime) -> None:
    """Letters of the last two years, written by the database itself; indexes are built afterwards, as that is faster."""
    ring: KeyRing = engine.dialect.companion_keys  # type: ignore[attr-defined]
    values = {"params": ring.encrypt("{}", "message.params"), "rows": rows, "people": people}
    indexes = cast(Table, Message.__table__).indexes
    with _unguarded(engine) as connection:
        for index in indexes:
            index.drop(connection)
        connection.exec_driver_sql(_NUMBERED)
        connection.exec_driver_sql("CREATE UNIQUE INDEX numbered_n ON numbered (n)")
        connection.execute(text(_old_rows(engine.dialect.name, moment)), values)
        for index in indexes:
            index.create(connection)


def _old_rows(dialect: str, moment: datetime) -> str:
    if dialect == "sqlite":
        key = "printf('old:%09d', i)"
        numbers = f"({_COUNTED})"
        at = f"datetime('{moment:%Y-%m-%d %H:%M:%S}', '-' || (i % 730 + 1) || ' days') || '.000000'"
    else:
        key = "'old:' || lpad(i::text, 9, '0')"
        numbers = "generate_series(1, :rows) AS i"
        at = f"timestamptz '{moment.isoformat()}' - make_interval(days => (i % 730 + 1)::int)"
    return _OLD_ROWS.format(key=key, numbers=numbers, at=at)


@contextmanager
def _unguarded(engine: Engine) -> Iterator[Connection]:
    """Without foreign keys and without waiting for the disk: these rows are right, and come again if the machine fails."""
    off, on = {
        "sqlite": (
            "PRAGMA foreign_keys=OFF; PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF; PRAGMA cache_size=-1000000",
            "PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL; PRAGMA cache_size=-2000",
        ),
        "postgresql": ("SET session_replication_role = replica; SET synchronous_commit = off", "RESET ALL"),
    }[engine.dialect.name]
    with engine.connect() as connection:
        raw = connection.connection
        for statement in off.split(";"):
            raw.cursor().execute(statement)
        raw.commit()
        with connection.begin():
            yield connection
        for statement in on.split(";"):
            raw.cursor().execute(statement)
        raw.commit()


def _know(engine: Engine) -> None:
    """The planner of PostgreSQL has seen the table, as autovacuum would have let it."""
    if engine.dialect.name != "postgresql":
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
