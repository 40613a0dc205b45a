"""A long list that is handed in keeps no page waiting: it is made ready beside the database, and written in a few statements."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from threading import Event
from typing import Any, ClassVar

import pytest
from sqlalchemy import Engine, Table, event, select
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.db import make_sessions
from companion.models import Base, Municipality, Patient, Unit
from companion.rules.cadence import local_day
from companion.rules.national_id import make_synthetic
from companion.settings import Settings
from companion.use_cases.going_home import discharge, handed_in, import_
from companion.use_cases.going_home.places import Places
from companion.use_cases.people import programs
from tests import cast
from tests.pages.client import PageClient
from web.app import create_app
from web.house.settings import WebSettings

HERE = "/api/v1/discharges"


def people(now: datetime, count: int) -> list[dict[str, str]]:
    """A list of so many."""
    return [
        cast.kari_fields(
            now, national_id=make_synthetic(date(1958, 5, 4), number), name=f"Kari {chr(97 + number)}"
        )
        | {"measures": "Fysioterapi|municipality|12 & Tur|patient|3"}
        for number in range(count)
    ]


class Deliberate(Settings):
    """Settings that let the first list be looked at only so far until somebody says `go_on`."""

    begun: ClassVar[Event]
    go_on: ClassVar[Event]

    @property
    def allow_synthetic(self) -> bool:
        """Asked for every row."""
        self.begun.set()
        return self.go_on.wait()


@pytest.fixture
def deliberate(settings: Settings) -> Iterator[Deliberate]:
    Deliberate.begun, Deliberate.go_on = Event(), Event()
    yield Deliberate(environment="test", database_url=settings.database_url)
    Deliberate.go_on.set()


def test_pages_are_answered_while_a_list_is_handed_in(
    deliberate: Deliberate, engine: Engine, clock: FixedClock
) -> None:
    with Session(engine, expire_on_commit=False) as db:
        ward = cast.ward(db, clock.now())
        _account, token = programs.add(db, "dips", ["unn-post3"], now=clock.now())
        db.commit()
    app = create_app(WebSettings(in_flight=1), settings=deliberate, clock=clock, engine=engine)
    sofia = PageClient(app, make_sessions(engine), clock)
    program = PageClient(app, make_sessions(engine), clock)
    with ThreadPoolExecutor() as beside:
        headers = {"Authorization": f"Bearer {token}"}
        handing_in = beside.submit(program.raw, "POST", HERE, headers=headers, json=people(clock.now(), 3))
        try:
            assert deliberate.begun.wait(60)
            # Signing in and looking both write.
            sofia.as_professional(ward.sofia).open("/staff")
            assert not handing_in.done(), "the page was answered first"
        finally:
            deliberate.go_on.set()
        assert handing_in.result().json()["created"] == 3


def test_a_list_is_written_in_a_few_statements_however_long_it_is(
    engine: Engine, settings: Settings, now: datetime
) -> None:
    written: list[int] = []
    for count in (2, 24):
        with Session(engine) as db, db.begin() as undone:
            cast.ward(db, now)
            who = account(db, now)
            rows = people(now, count)
            prepared = import_.prepare(db, who, rows, Places.read(db), settings=settings, now=now)
            statements: list[str] = []

            def note(_c: Any, _cursor: Any, statement: str, *_: Any, into: list[str] = statements) -> None:
                into.append(statement)

            event.listen(engine, "before_cursor_execute", note)
            answer = handed_in.hand_in(db, who, rows, key="1", prepared=prepared, settings=settings, now=now)
            event.remove(engine, "before_cursor_execute", note)
            assert answer["created"] == count
            written.append(len(statements))
            undone.rollback()
    assert written[0] == written[1] < 30


def test_the_same_list_again_is_settled_before_and_only_what_is_new_is_looked_at(
    engine: Engine, settings: Settings, now: datetime
) -> None:
    with Session(engine) as db:
        cast.ward(db, now)
        who, rows = account(db, now), people(now, 6)
        handed_in.hand_in(db, who, rows, settings=settings, now=now)
        later = (local_day(now) + cast.days(2)).isoformat()
        again = [
            *rows[:2],
            rows[2] | {"name": "Kari Etternavn"},
            rows[3] | {"discharged_on": later},
            rows[4] | {"measures": "Noe nytt|gp|5"},
            rows[5],
            rows[5] | {"discharged_on": later},
        ]
        met = discharge.met(db, [row["national_id"] for row in rows])
        prepared = import_.prepare(db, who, again, Places.read(db), met, settings=settings, now=now)
        for _ in import_.settle(db, who, prepared, now=now):
            assert not db.dirty
        assert set(prepared.ready) == {rows[0]["national_id"], rows[1]["national_id"]}
        answer = handed_in.hand_in(db, who, again, prepared=prepared, settings=settings, now=now)
        assert (answer["unchanged"], answer["moved"], answer["created"]) == (5, 2, 0)
        assert "Kari Etternavn" in db.scalars(select(Patient.name)).all()


def account(db: Session, now: datetime) -> Any:
    _account, token = programs.add(db, "dips", ["unn-post3"], now=now)
    db.flush()
    return programs.from_token(db, token)


def test_a_list_records_what_the_form_records(engine: Engine, settings: Settings, now: datetime) -> None:
    recorded = []
    for by_list in (False, True):
        with Session(engine) as db, db.begin() as undone:
            cast.ward(db, now)
            who, rows = account(db, now), people(now, 1)
            places = Places.read(db)
            if by_list:
                handed_in.hand_in(db, who, rows, settings=settings, now=now)
            else:
                drafts = discharge.read_measures(rows[0]["measures"])
                checked = discharge.check(
                    db, rows[0], drafts, settings=settings, today=local_day(now), places=places
                )
                discharge.discharge(db, who, checked, now=now)
            recorded.append({name: contents(db, table) for name, table in tables().items()})
            undone.rollback()
    assert recorded[0] == recorded[1]
    assert {name for name, rows in recorded[0].items() if rows} >= {
        "patient", "stay", "plan", "plan_event", "check_in", "measure", "message", "patient_unit", "care_contact"
    }  # fmt: skip


def tables() -> dict[str, Table]:
    """All but what differs between the two on purpose: the list's line in the access log, and what was there before."""
    before = {
        Unit.__tablename__,
        Municipality.__tablename__,
        "audit_event",
        "integration",
        "integration_ward",
    }
    return {name: table for name, table in Base.metadata.tables.items() if name not in before}


def contents(db: Session, table: Table) -> list[list[str]]:
    """The rows, ids left out: they differ each time."""
    told = [
        column
        for column in table.columns
        if not (column.primary_key or column.foreign_keys) and column.name not in ("by_id", "dedupe_key")
    ]
    found: Iterable[Any] = db.execute(select(*told)) if told else []
    return sorted(
        [f"{column.name}={value}" for column, value in zip(told, row, strict=True)] for row in found
    )
