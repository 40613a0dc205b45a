"""The database: engine, sessions, migrations. SQLite (WAL, FULL) and PostgreSQL on one code path."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, sessionmaker

from companion.crypto import KeyRing
from companion.settings import Settings

_ROOT = Path(__file__).resolve().parent.parent


def make_engine(settings: Settings, *, pool_size: int = 4, force_custom_plan: bool = False) -> Engine:
    """An engine that carries the keys of `settings`. `force_custom_plan` is for the dispatcher's connections on PostgreSQL.

    Raises `Misconfigured` when the keys are missing or malformed.
    """
    ready = settings.require()
    url = make_url(ready.database_url)
    options: dict[str, Any] = {
        "pool_size": pool_size,
        "max_overflow": 0,
        # An error's text may end in a log; the values in it are somebody's.
        "hide_parameters": True,
        "pool_pre_ping": url.get_backend_name() != "sqlite",
    }
    if url.get_backend_name() == "sqlite":
        if url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
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


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    """Sessions whose objects stay readable after commit."""
    return sessionmaker(engine, expire_on_commit=False)


def migrate(engine: Engine, revision: str = "head") -> None:
    """Brings the schema up to `revision`, in one transaction."""
    config = _alembic()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def is_migrated(connection: Connection) -> bool:
    """Whether the schema is the newest one this code knows."""
    newest = ScriptDirectory.from_config(_alembic()).get_heads()
    return set(MigrationContext.configure(connection).get_current_heads()) == set(newest)


def _alembic() -> Config:
    config = Config(toml_file=str(_ROOT / "pyproject.toml"))
    config.set_main_option("script_location", str(_ROOT / "alembic"))
    return config


def _sqlite_connect(connection: Any, _record: Any) -> None:
    # The driver's own BEGIN comes too late and too weak: we send BEGIN IMMEDIATE ourselves, so that a read never
    # fails on becoming a write.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=15000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
