"""The database: engine, sessions, migrations. SQLite (WAL, FULL) and PostgreSQL on one code path."""

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from companion.crypto import KeyRing
from companion.errors import Misconfigured
from companion.settings import Settings

if TYPE_CHECKING:  # Alembic is imported by the few commands that need it.
    from alembic.config import Config
    from alembic.script import ScriptDirectory

SchemaState = Literal["ready", "none", "old", "unknown"]
_WHAT_TO_DO = {
    "none": "the database has no tables yet: run 'python -m companion migrate'",
    "old": "the database is not up to date: run 'python -m companion migrate'",
    "unknown": "the database has been used by a newer version than this one: install that version,"
    " and run 'python -m companion migrate'",
}
_READING = "companion_reading"
_ROOT = Path(__file__).resolve().parent.parent


def make_engine(settings: Settings, *, pool_size: int = 4, force_custom_plan: bool = False) -> Engine:
    """An engine that carries the keys of `settings`. `force_custom_plan` is for the dispatcher's connections on PostgreSQL.

    Raises `Misconfigured` when the keys or the address are missing or malformed, or SQLite's folder cannot be made.
    """
    ready = settings.require()
    url = _url(ready.database_url)
    options: dict[str, Any] = {
        "pool_size": pool_size,
        "max_overflow": 0,
        # An error's text may end in a log; the values in it are somebody's.
        "hide_parameters": True,
        "pool_pre_ping": url.get_backend_name() != "sqlite",
    }
    if url.get_backend_name() == "sqlite":
        _make_folder(url)
        options["connect_args"] = {"timeout": 15, "check_same_thread": False}
    elif force_custom_plan:
        options["connect_args"] = {"options": "-c plan_cache_mode=force_custom_plan"}
    engine = create_engine(url, **options)
    engine.dialect.companion_keys = KeyRing.parse(  # type: ignore[attr-defined]
        ready.keys.get_secret_value(), ready.index_key.get_secret_value()
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
    return engine


def _url(address: str) -> URL:
    """An address whose driver is there. One that cannot be read may hold a password, so it is not repeated."""
    try:
        url = make_url(address)
        url.get_dialect().import_dbapi()
    except (ArgumentError, ImportError, ValueError):
        raise Misconfigured(
            "COMPANION_DATABASE_URL cannot be read; write sqlite:///path or postgresql+psycopg://user@host/name"
        ) from None
    return url


def _make_folder(url: URL) -> None:
    if not url.database:
        return
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise Misconfigured(
            f"COMPANION_DATABASE_URL: the folder {folder} cannot be made ({problem.strerror})"
        ) from None


def make_sessions(engine: Engine, *, reading: bool = False) -> sessionmaker[Session]:
    """Sessions whose objects stay readable after commit. On SQLite those for `reading` wait for nobody who writes."""
    return sessionmaker(engine, expire_on_commit=False, execution_options={_READING: reading})


def was_too_late(error: DBAPIError) -> bool:
    """Whether what was read was changed before it could be written to: on SQLite a reading transaction cannot wait its turn."""
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def migrate(engine: Engine, revision: str = "head") -> None:
    """Brings the schema up to `revision`, in one transaction. Raises `Misconfigured` when it is one this code does not know."""
    from alembic import command

    config = _alembic()
    with engine.begin() as connection:
        if schema_state(connection) == "unknown":
            raise Misconfigured(_WHAT_TO_DO["unknown"])
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def schema_state(connection: Connection) -> SchemaState:
    """Whether there is a schema, and whether it is the newest this code knows (`ready`)."""
    history = _history()
    standing = _standing(connection)
    if standing == set(history.get_heads()):
        return "ready"
    if standing - {script.revision for script in history.walk_revisions()}:
        return "unknown"
    return "old" if standing else "none"


def schema_problem(connection: Connection) -> str | None:
    """What is wrong with the schema and what to do, in a sentence; None when it is `ready`."""
    return _WHAT_TO_DO.get(schema_state(connection))


def require_schema(engine: Engine) -> None:
    """Raises `Misconfigured` with what to do unless the schema is `ready`."""
    with engine.connect() as connection:
        if problem := schema_problem(connection):
            raise Misconfigured(problem)


def _standing(connection: Connection) -> set[str]:
    from alembic.runtime.migration import MigrationContext

    return set(MigrationContext.configure(connection).get_current_heads())


def _history() -> "ScriptDirectory":
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_alembic())


def _alembic() -> "Config":
    from alembic.config import Config

    config = Config(toml_file=str(_ROOT / "pyproject.toml"))
    config.set_main_option("script_location", str(_ROOT / "alembic"))
    return config


def _sqlite_connect(connection: Any, _record: Any) -> None:
    # The driver's own BEGIN comes too late and too weak: we send BEGIN IMMEDIATE ourselves, so that a read never
    # fails on becoming a write; who only reads says so (`make_sessions`).
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=15000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_begin(connection: Connection) -> None:
    reading = connection.get_execution_options().get(_READING)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
