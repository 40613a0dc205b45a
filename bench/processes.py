"""Child processes that say when they are ready, begin together when told, and say what they did."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

Process = subprocess.Popen[str]


@contextmanager
def ready(commands: Sequence[Sequence[str]]) -> Iterator[list[Process]]:
    """All of them, waiting for the word; none is left behind."""
    processes = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for command in commands
    ]
    try:
        for process in processes:
            if (said := _read(process)) != "ready":
                raise RuntimeError(f"{process.args!r} did not start: {said!r}")
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def go(processes: Sequence[Process]) -> None:
    """The word."""
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()


def together(commands: Sequence[Sequence[str]]) -> tuple[float, list[dict[str, Any]]]:
    """Seconds from the word until the last has finished, and what each says it did."""
    with ready(commands) as processes:
        began = perf_counter()
        go(processes)
        said = [json.loads(_read(process)) for process in processes]
        return perf_counter() - began, said


def _read(process: Process) -> str:
    assert process.stdout
    return process.stdout.readline().strip()
