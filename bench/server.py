"""Servers to be measured, each a process (or several) of its own: the product's, and a bare route as the limit."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic
from urllib.error import URLError
from urllib.request import urlopen

_PATIENCE = 120.0
_LOOK_EVERY = 0.05
_TICKS = os.sysconf("SC_CLK_TCK")


class Refused(RuntimeError):
    """The server would not start like that; what it said."""


@dataclass(frozen=True)
class Server:
    """A running server, from outside."""

    url: str
    process: subprocess.Popen[bytes]

    def processes(self) -> int:
        """How many processes it is."""
        return len(_family(self.process.pid))

    def cpu(self) -> float:
        """Seconds of processor time that all of them have used."""
        return sum(_family(self.process.pid).values())


@contextmanager
def product(database_url: str, processes: int = 1) -> Iterator[Server]:
    """`python -m web` on that database, as `README.md` starts it. `Refused` when it cannot be so many processes."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    told = {
        "COMPANION_ENVIRONMENT": "test",
        "COMPANION_DATABASE_URL": database_url,
        "COMPANION_PUBLIC_URL": url,
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    if processes > 1:
        told["WEB_PROCESSES"] = str(processes)
    with _running([sys.executable, "-m", "web"], url, told) as server:
        if server.processes() < processes:
            raise Refused(f"asked for {processes} processes, this server is {server.processes()}")
        yield server


@contextmanager
def bare() -> Iterator[Server]:
    """The limit."""
    port = _free_port()
    with _running([sys.executable, "-m", "bench.plain", str(port)], f"http://127.0.0.1:{port}", {}) as server:
        yield server


@contextmanager
def _running(command: Sequence[str], url: str, told: Mapping[str, str]) -> Iterator[Server]:
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env={**os.environ, **told}, stdout=said, stderr=said)
        try:
            if not _answers(process, f"{url}/healthz"):
                said.seek(0)
                raise Refused(said.read().decode(errors="replace").strip()[-500:] or "it does not answer")
            yield Server(url, process)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(process: subprocess.Popen[bytes], address: str) -> bool:
    pause, deadline = Event(), monotonic() + _PATIENCE
    while process.poll() is None and monotonic() < deadline:
        try:
            with urlopen(address, timeout=5) as answer:
                return bool(answer.status == 200)
        except URLError:
            pause.wait(_LOOK_EVERY)
    return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _family(pid: int) -> dict[int, float]:
    """The process and all that descend from it, with the processor time of each in seconds (Linux's /proc)."""
    parents, used = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses may hold anything, also blanks and parentheses.
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        one = int(stat.parent.name)
        parents[one] = int(fields[1])
        used[one] = (int(fields[11]) + int(fields[12])) / _TICKS
    family = {pid}
    while more := {one for one, parent in parents.items() if parent in family} - family:
        family |= more
    return {one: used.get(one, 0.0) for one in family}
