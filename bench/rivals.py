"""Starts the peers, each with letters already queued, and takes the time at the provider: from the first letter to the last.

That leaves out their start, which ours is charged with.
"""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic

from bench import processes
from bench.databases import Postgres
from bench.standin import Standin

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / "var/bench/venv/bin/python"
_LOOK_EVERY = 0.05
_NOTHING_FOR = 30.0


@dataclass(frozen=True)
class Rival:
    """A peer; `messages` fewer than the 20,000 where it is slow. `at_least` is the target for our speed over its."""

    name: str
    module: str
    durability: str
    messages: int
    at_least: float


HUEY = Rival("huey SqliteHuey, 32 threads", "huey_peer", "fsync=True", 20_000, 3)
PROCRASTINATE = Rival(
    "procrastinate, 1 worker, 64 at a time", "procrastinate_peer", "PostgreSQL, fsync", 4_000, 10
)
CELERY = Rival("celery prefork, a process per core", "celery_peer", "Redis, appendonly everysec", 8_000, 5)


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis of our own that writes every command down; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(folder),
        "--appendonly",
        "yes",
        "--save",
        "",
    ]
    with subprocess.Popen(["redis-server", *options], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            for line in server.stdout:
                if "Ready to accept connections" in line:
                    break
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


def where(rival: Rival, folder: Path, postgres: Postgres, broker: str, turn: int) -> str:
    """A fresh queue for this run."""
    if rival is HUEY:
        return str(folder / f"huey{turn}.sqlite3")
    if rival is CELERY:
        return broker
    url = postgres.url(postgres.empty())
    return url.replace("postgresql+psycopg://", "postgresql://")


def per_second(rival: Rival, standin: Standin, queue: str, messages: int) -> float:
    """Queues the letters, then lets it carry them."""
    given = [standin.url, queue, str(messages)]
    module = f"bench.peers.{rival.module}"
    subprocess.run([PYTHON, "-m", module, "put", *given], check=True, cwd=ROOT, capture_output=True)
    standin.reset()
    with processes.ready([[str(PYTHON), "-m", module, "work", *given]]) as workers:
        processes.go(workers)
        _wait_for_all(rival, standin, messages)
    standin.expect(messages)
    return messages / float(standin.counts()["seconds"])


def _wait_for_all(rival: Rival, standin: Standin, messages: int) -> None:
    pause, before, deadline = Event(), 0, monotonic() + _NOTHING_FOR
    while (posts := standin.counts()["posts"]) < messages:
        if posts > before:
            before, deadline = posts, monotonic() + _NOTHING_FOR
        if monotonic() > deadline:
            raise RuntimeError(f"{rival.name} stopped after {posts} letters")
        pause.wait(_LOOK_EVERY)
