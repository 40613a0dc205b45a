"""One web process where there can be only one: on SQLite, which has one writer, and in the demo, whose clock is in memory.

The lock ends with the process, however that ends: it is the operating system's, on a file beside the database, or PostgreSQL's,
on a connection.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

from companion.errors import Misconfigured

# The number only has to be ours.
_DEMO_LOCK = 0x466F6C6765_1


class Served(Misconfigured):
    """Another process serves this database."""


@contextmanager
def alone(engine: Engine, *, demo: bool = False) -> Iterator[None]:
    """Serves alone until left, where that is needed. Raises `Served` at once when another one is there."""
    if engine.dialect.name == "sqlite":
        with _beside(engine.url.database):
            yield
    elif demo:
        with _only_demo(engine):
            yield
    else:
        yield


@contextmanager
def _beside(path: str | None) -> Iterator[None]:
    if not path or path == ":memory:":
        yield
        return
    with open(f"{path}.web", "a", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Served(
                "Another web server (`python -m web`) serves this database, and on SQLite there can be only one:"
                " stop it first, or use PostgreSQL, where several share the port"
            ) from None
        yield


@contextmanager
def _only_demo(engine: Engine) -> Iterator[None]:
    with engine.connect() as held:
        if not held.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _DEMO_LOCK}):
            raise Served("Another demo (`python -m web --demo`) runs on this database: stop it first")
        held.commit()
        yield
