"""The server as processes: one where there can be only one, several on one port where the database carries them."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from sqlalchemy import Engine

from web.alone import alone

pytestmark = pytest.mark.long

SQLITE = pytest.mark.parametrize("backend", ["sqlite"])
POSTGRES = pytest.mark.parametrize("backend", [pytest.param("postgresql", marks=pytest.mark.postgres)])


@dataclass
class Server:
    """One `python -m web`, and what it says."""

    process: "subprocess.Popen[str]"
    log: Path

    @property
    def children(self) -> set[int]:
        """The processes it has started."""
        pid = self.process.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def refusal(self) -> str:
        """The one sentence with which it does not start."""
        code, said = self.process.wait(), self.log.read_text()
        assert code == 2, said
        (sentence,) = said.splitlines()
        return sentence

    def killed(self) -> None:
        """Gone without a word."""
        self.process.kill()
        self.process.wait()

    def stopped(self) -> int:
        """Told to stop, and its exit code."""
        self.process.terminate()
        return self.process.wait()


Start = Callable[..., Server]


@pytest.fixture
def start(database_url: str, port: int, tmp_path: Path) -> Iterator[Start]:
    """Starts `python -m web` on this test's own database."""
    started: list[Server] = []

    def one(*options: str, **environment: str) -> Server:
        given = {"COMPANION_ENVIRONMENT": "demo", "COMPANION_DATABASE_URL": database_url, "PORT": str(port)}
        log = tmp_path / f"{len(started)}.log"
        with log.open("w") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "web", *options],
                env=os.environ | given | environment,
                stderr=said,
                text=True,
            )
        started.append(Server(process, log))
        return started[-1]

    yield one
    for server in started:
        server.stopped()


@pytest.fixture
def port() -> int:
    return free_port()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def until(look: Callable[[], Any]) -> Any:
    """Looks until there is something; the test's own time limit ends it."""
    while not (found := look()):
        Event().wait(0.05)
    return found


def answers(port: int, path: str = "/healthz") -> str:
    """What is answered on a new connection; nothing while nobody listens."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            return str(answer.read().decode())
    except (URLError, ConnectionError):
        return ""


@SQLITE
def test_several_on_sqlite_are_refused(start: Start) -> None:
    assert (
        start(WEB_PROCESSES="2").refusal().startswith("WEB_PROCESSES is 2, and on SQLite one process serves")
    )


@SQLITE
def test_a_second_server_on_sqlite_is_refused_while_the_first_lives(start: Start, port: int) -> None:
    first = start()
    until(lambda: answers(port))
    second = start(PORT=str(free_port()))
    assert second.refusal().startswith("Another web server (`python -m web`)")
    first.killed()
    start()
    assert until(lambda: answers(port))


def test_a_second_demo_is_refused(start: Start, engine: Engine) -> None:
    with alone(engine, demo=True):
        assert start("--demo").refusal().startswith("Another ")


@SQLITE
def test_the_demo_is_one_process(start: Start) -> None:
    assert start("--demo", WEB_PROCESSES="2").refusal().startswith("the demo is one process")


@POSTGRES
def test_servers_started_one_by_one_share_the_port(start: Start, port: int) -> None:
    first, _ = start(), start()
    until(lambda: listening(port) == 2)
    first.killed()
    assert until(lambda: answers(port)), "the other one goes on"


@POSTGRES
def test_one_that_dies_is_started_again_and_all_stop_together(start: Start, port: int) -> None:
    metrics = free_port()
    parent = start(WEB_PROCESSES="2", WEB_METRICS_PORT=str(metrics))
    until(lambda: listening(port) == 2)
    for _ in range(20):
        assert answers(port)
    asked = [line for line in answers(metrics, "/metrics").splitlines() if 'route="/healthz"' in line]
    assert [line.split()[-1] for line in asked if line.startswith("web_requests_total")] == ["20.0"]

    victim = min(parent.children)
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(parent.children - {victim}) == 2 and listening(port) == 2)
    assert answers(port)

    assert parent.stopped() == 0
    assert listening(port) == 0


@POSTGRES
def test_processes_end_with_their_parent_however_it_ends(start: Start, port: int) -> None:
    parent = start(WEB_PROCESSES="2")
    until(lambda: listening(port) == 2)
    parent.killed()
    until(lambda: listening(port) == 0)


@POSTGRES
def test_a_port_somebody_else_has_is_a_sentence(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = start(WEB_PROCESSES="2", PORT=port).refusal()
    assert refused == f"cannot listen on HOST=127.0.0.1 PORT={port} (Address already in use); set others"


def listening(port: int) -> int:
    """How many sockets listen there."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)
