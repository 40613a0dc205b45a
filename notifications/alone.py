"""One dispatcher at a time on SQLite, which has one writer; on PostgreSQL as many as you like.

The lock is the operating system's, on a file beside the database: it ends with the process, however that ends.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from time import monotonic
from typing import IO

from sqlalchemy import Engine

from companion.errors import Misconfigured

# A round that is under way is over by then; one that is not is somebody's `run`.
PATIENCE = 60.0
_LOOK_EVERY = 0.05


class Busy(Misconfigured):
    """Somebody else is carrying."""


@contextmanager
def alone(engine: Engine, doing: str, *, patience: float = PATIENCE) -> Iterator[None]:
    """Carries alone until left. Waits for somebody's `tick`, at most `patience` seconds; beside a `run` raises `Busy` at once."""
    path = engine.url.database if engine.dialect.name == "sqlite" else None
    if not path or path == ":memory:":
        yield
        return
    with open(f"{path}.dispatcher", "a+", encoding="ascii") as lock:
        _take(lock, doing, monotonic() + patience)
        try:
            yield
        finally:
            _say(lock, "")


def _take(lock: IO[str], doing: str, deadline: float) -> None:
    pause = Event()
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            other = lock.read() or "tick"
            if other == "run" or monotonic() > deadline:
                raise Busy(
                    f"Another dispatcher (`python -m notifications {other}`) carries the post of this database, and on SQLite"
                    " there can be only one: stop it first, or let it do the work"
                ) from None
            pause.wait(_LOOK_EVERY)
            continue
        _say(lock, doing)
        return


def _say(lock: IO[str], doing: str) -> None:
    lock.seek(0)
    lock.truncate()
    lock.write(doing)
    lock.flush()
