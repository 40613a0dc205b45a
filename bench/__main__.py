"""`python -m bench messages [--only PART …] [--small] [--write]`: measures, prints tables, writes `BENCHMARKS.md`."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from bench import claims, crash, figures, push, rivals, speed, standin, waits
from bench.databases import Postgres, Sqlite, folder, postgres
from bench.figures import Part
from companion.clock import SystemClock

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "var/bench"
DOCUMENT = ROOT / "BENCHMARKS.md"


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    messages: int
    rounds: int
    seconds: int
    rows: tuple[int, ...]
    pushes: int


WHOLE = Size(messages=20_000, rounds=3, seconds=60, rows=(10_000, 1_000_000), pushes=2_000)
# Takes long and ~15 GB of disk, so only when asked for by name.
HUGE = (1_000_000, 10_000_000)
SMALL = Size(messages=200, rounds=1, seconds=2, rows=(2_000,), pushes=20)


@dataclass(frozen=True)
class Rig:
    """What every part may use."""

    standin: standin.Standin
    sqlite: Sqlite
    postgres: Postgres
    folder: Path
    size: Size


MESSAGES: dict[str, Callable[[Rig], Part]] = {
    "speed": lambda rig: speed.measure(
        rig.standin, rig.sqlite, rig.postgres, rig.size.messages, rig.size.rounds
    ),
    "peers": lambda rig: speed.against_rivals(
        rig.standin, rig.sqlite, rig.postgres, rig.folder, rig.size.messages, rig.size.rounds
    ),
    "wait": lambda rig: waits.at_one_a_second(
        rig.standin, [rig.sqlite, rig.postgres], rig.size.seconds, rig.size.rounds
    ),
    "codes": lambda rig: waits.codes_in_a_burst(
        rig.standin, [rig.sqlite, rig.postgres], rig.size.messages, rig.size.rounds
    ),
    "crash": lambda rig: crash.measure(
        rig.standin, [rig.sqlite, rig.postgres], rig.size.messages, rig.size.rounds
    ),
    "claims": lambda rig: claims.measure([rig.sqlite, rig.postgres], rig.size.rows, rig.size.rounds),
    "growth": lambda rig: claims.measure([rig.sqlite, rig.postgres], HUGE, rig.size.rounds, "growth"),
    "push": lambda rig: push.measure(rig.standin, rig.size.pushes, rig.size.rounds),
}

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Measures, as ratios.")


@app.callback()
def main() -> None:
    """Measures, as ratios to what else does the same in the same run."""


@app.command()
def messages(
    only: Annotated[list[str] | None, typer.Option(help=f"Parts: {', '.join(MESSAGES)}")] = None,
    letters: Annotated[int, typer.Option(help="Fewer than the 20,000, on a busy machine")] = 0,
    small: Annotated[bool, typer.Option(help="A handful of everything: does it run at all")] = False,
    write: Annotated[bool, typer.Option(help="Put the tables into BENCHMARKS.md")] = False,
) -> None:
    """What the dispatcher can do."""
    size = SMALL if small else WHOLE
    size = replace(size, messages=letters) if letters else size
    wanted = [
        part for given in only or [name for name in MESSAGES if name != "growth"] for part in given.split(",")
    ]
    if unknown := set(wanted) - set(MESSAGES):
        raise typer.BadParameter(f"there is no part {', '.join(sorted(unknown))}", param_hint="--only")
    into = KEPT / "small" if small else KEPT
    into.mkdir(parents=True, exist_ok=True)
    with _rig(size) as rig:
        for name in wanted:
            began = monotonic()
            part = MESSAGES[name](rig)
            figures.keep(part, into, SystemClock().now(), PostgreSQL=rig.postgres.version())
            print(figures.as_text(figures.kept(into, [name])[0]))
            print(f"({name}: {monotonic() - began:.0f} s)\n", flush=True)
    if write:
        figures.insert_into(DOCUMENT, figures.kept(KEPT, list(MESSAGES)))


@contextmanager
def _rig(size: Size) -> Iterator[Rig]:
    with ExitStack() as stack:
        yield Rig(
            stack.enter_context(standin.running()),
            Sqlite(own := stack.enter_context(folder(KEPT))),
            stack.enter_context(postgres()),
            own,
            size,
        )


@app.command()
def install() -> None:
    """The peers, in an environment of their own."""
    wanted = ROOT / "bench/requirements.txt"
    done = KEPT / "venv/installed.txt"
    if done.exists() and done.read_text() == wanted.read_text():
        return
    print("Installing the peers in var/bench/venv …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(KEPT / "venv")], check=True)
    pip = [str(rivals.PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--requirement", str(wanted)], check=True)
    done.write_text(wanted.read_text())


if __name__ == "__main__":
    app()
