"""`python -m bench measure [--only PART …] [--small] [--write]`: measures, prints tables, writes `BENCHMARKS.md`."""

import logging
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Annotated

import structlog
import typer

from bench import (
    claims,
    crash,
    figures,
    lighthouse,
    pages,
    push,
    rivals,
    speed,
    standin,
    ten,
    waits,
    wire,
)
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
    people: int
    patients: tuple[int, ...]
    page_seconds: float
    processes: int = 2


WHOLE = Size(
    messages=20_000,
    rounds=3,
    seconds=60,
    rows=(10_000, 1_000_000),
    pushes=2_000,
    people=1_000,
    patients=(100, 100_000),
    page_seconds=2,
)
# Takes long and ~15 GB of disk, so only when asked for by name.
HUGE = (1_000_000, 10_000_000)
SMALL = Size(
    messages=200, rounds=1, seconds=2, rows=(2_000,), pushes=20, people=2, patients=(20, 60), page_seconds=0.2
)


class Rig:
    """What every part may use; started when first used."""

    def __init__(self, stack: ExitStack, size: Size) -> None:
        self._stack, self.size = stack, size

    @cached_property
    def standin(self) -> standin.Standin:
        """The provider's stand-in."""
        return self._stack.enter_context(standin.running())

    @cached_property
    def folder(self) -> Path:
        """A folder of this run's own."""
        return self._stack.enter_context(folder(KEPT))

    @cached_property
    def sqlite(self) -> Sqlite:
        """SQLite files in that folder."""
        return Sqlite(self.folder)

    @cached_property
    def postgres(self) -> Postgres:
        """A server of our own."""
        return self._stack.enter_context(postgres())


Measure = Callable[[Rig], Part]
MESSAGES: dict[str, Measure] = {
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
PAGES: dict[str, Measure] = {
    "ten": lambda rig: ten.measure(
        rig.sqlite, rig.postgres, rig.size.people, rig.size.rounds, rig.size.processes
    ),
    "pages": lambda rig: pages.measure(
        [rig.sqlite, rig.postgres], rig.size.patients, rig.size.rounds, rig.size.page_seconds, KEPT
    ),
    "wire": lambda rig: wire.measure(rig.sqlite),
    "lighthouse": lambda rig: lighthouse.measure(rig.sqlite, KEPT, rig.size.rounds),
}
# What is asked for together.
WITH = {"pages": ("pages", "wire")}
CHAPTERS = {"messages": MESSAGES, "pages": PAGES}
PARTS = MESSAGES | PAGES

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Measures, as ratios.")


@app.callback()
def main() -> None:
    """Measures, as ratios to what else does the same in the same run."""
    # Pages whose statements are counted run in this process; their lines are no part of the tables.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


@app.command()
def measure(
    only: Annotated[list[str] | None, typer.Option(help=f"Parts: {', '.join(PARTS)}")] = None,
    letters: Annotated[int, typer.Option(help="Fewer than the 20,000, on a busy machine")] = 0,
    people: Annotated[int, typer.Option(help="Fewer than the 1,000 who answer at ten o'clock")] = 0,
    processes: Annotated[int, typer.Option(help="Web processes on PostgreSQL, beside one")] = 2,
    small: Annotated[bool, typer.Option(help="A handful of everything: does it run at all")] = False,
    write: Annotated[bool, typer.Option(help="Put the tables into BENCHMARKS.md")] = False,
) -> None:
    """What the dispatcher can do, and the pages."""
    size = SMALL if small else WHOLE
    size = replace(size, messages=letters or size.messages, people=people or size.people, processes=processes)
    wanted = _wanted(only)
    into = KEPT / "small" if small else KEPT
    into.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        rig = Rig(stack, size)
        for name in wanted:
            _measure(name, rig, into)
    if write:
        for chapter, parts in CHAPTERS.items():
            if set(wanted) & set(parts):
                figures.insert_into(DOCUMENT, chapter, figures.kept(KEPT, list(parts)))


def _wanted(only: list[str] | None) -> list[str]:
    given = [part for several in only or [] for part in several.split(",")]
    if unknown := set(given) - set(PARTS):
        raise typer.BadParameter(f"there is no part {', '.join(sorted(unknown))}", param_hint="--only")
    with_others = [part for one in given for part in WITH.get(one, (one,))]
    return list(dict.fromkeys(with_others)) or [name for name in PARTS if name != "growth"]


def _measure(name: str, rig: Rig, into: Path) -> None:
    began = monotonic()
    part = PARTS[name](rig)
    figures.keep(part, into, SystemClock().now(), PostgreSQL=rig.postgres.version())
    print(figures.as_text(figures.kept(into, [name])[0]))
    print(f"({name}: {monotonic() - began:.0f} s)\n", flush=True)


@app.command()
def install() -> None:
    """The peers and Lighthouse, in an environment of their own."""
    wanted, judge = ROOT / "bench/requirements.txt", ROOT / "bench/package.json"
    done, both = KEPT / "venv/installed.txt", wanted.read_text() + judge.read_text()
    if done.exists() and done.read_text() == both:
        return
    print("Installing the peers and Lighthouse in var/bench …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(KEPT / "venv")], check=True)
    pip = [str(rivals.PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--requirement", str(wanted)], check=True)
    lighthouse.install(KEPT, judge)
    done.write_text(both)


if __name__ == "__main__":
    app()
