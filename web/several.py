"""Several web processes on one port: started, started again when one dies, and stopped together.

Each is a whole `python -m web`. They share nothing but the port, which the kernel divides among them, and the database.
"""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from threading import Thread
from time import monotonic

import prometheus_client
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from companion.errors import Misconfigured

log = structlog.get_logger("web")

MISCONFIGURED = 2
_FIRST_PAUSE, _LONGEST_PAUSE, _SETTLED = 0.5, 30.0, 60.0
# A little longer than a process gives its own requests.
_GRACE = 15.0


class Taken(Misconfigured):
    """An address on which we cannot listen."""

    def __init__(self, host: str, port: int | str, why: str) -> None:
        super().__init__(f"cannot listen on HOST={host} PORT={port} ({why}); set others")


def listen(host: str, port: int, *, shared: bool) -> socket.socket:
    """The address, bound. `shared`: others of us may have it too. Raises `Taken` when somebody else has it."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except OSError as unknown:
        raise Taken(host, port, str(unknown.strerror)) from None
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except OSError as problem:
        bound.close()
        raise Taken(host, port, str(problem.strerror)) from None
    return bound


def give_out_figures(port: int, registry: CollectorRegistry = prometheus_client.REGISTRY) -> None:
    """Metrics, on a port of their own. Raises `Misconfigured` when somebody has it."""
    try:
        prometheus_client.start_http_server(port, addr="127.0.0.1", registry=registry)
    except (OSError, OverflowError):
        raise Misconfigured(f"WEB_METRICS_PORT {port} is taken; set another one") from None


def serve(count: int, host: str, port: int, metrics_port: int | None) -> int:
    """Serves with `count` processes until told to stop; the exit code, 2 when they are misconfigured."""
    # Not listening, only holding: nobody else takes the port while one of ours is being started again.
    with listen(host, port, shared=True) as held, _metrics(metrics_port) as environment:
        environment |= {"HOST": host, "PORT": str(held.getsockname()[1])}
        return asyncio.run(_Parent(environment).keep(count))


def end_with_parent() -> None:
    """For one of several: stops when its parent is gone, however that ended."""

    def watch() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=watch, daemon=True).start()


class _Parent:
    """Looks after the processes."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = {**os.environ, **environment, "WEB_PROCESSES": "1"}
        # The parent gives out the figures of all.
        self._environment.pop("WEB_METRICS_PORT", None)
        self._stop = asyncio.Event()
        self._code = 0

    async def keep(self, count: int) -> int:
        """Until told to stop, or until one says that it is misconfigured."""
        for told in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(told, self._stop.set)
        await asyncio.gather(*(self._keep_one() for _ in range(count)))
        return self._code

    async def _keep_one(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stop.is_set():
            began = monotonic()
            code = await self._see_through(await self._start())
            if code == MISCONFIGURED:
                self._code = code
                self._stop.set()
            if not self._stop.is_set():
                log.warning("web_process_ended", code=code)
                pause = _FIRST_PAUSE if monotonic() - began > _SETTLED else min(2 * pause, _LONGEST_PAUSE)
                await self._stopped_within(pause)

    async def _start(self) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "web", "--beside", stdin=PIPE, env=self._environment, start_new_session=True
        )

    async def _see_through(self, child: Process) -> int:
        ended, stopped = asyncio.create_task(child.wait()), asyncio.create_task(self._stop.wait())
        await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ended.done():
            child.terminate()
            if not (await asyncio.wait([ended], timeout=_GRACE))[0]:
                child.kill()
        return await ended

    async def _stopped_within(self, seconds: float) -> None:
        await asyncio.wait([waiting := asyncio.create_task(self._stop.wait())], timeout=seconds)
        waiting.cancel()


@contextmanager
def _metrics(port: int | None) -> Iterator[dict[str, str]]:
    """The figures of all processes together, on one port; yields what the processes must know."""
    if port is None:
        yield {}
        return
    with TemporaryDirectory() as folder:
        together = CollectorRegistry()
        MultiProcessCollector(together, path=folder)  # type: ignore[no-untyped-call]
        give_out_figures(port, together)
        yield {"PROMETHEUS_MULTIPROC_DIR": folder}
