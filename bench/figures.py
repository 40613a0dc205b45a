"""What was measured, kept as JSON per part so that parts can be measured again alone, and written as tables."""

import json
import os
import platform
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

VERSIONS = (
    "sqlalchemy",
    "psycopg",
    "aiohttp",
    "uvloop",
    "jinja2",
    "cryptography",
    "pywebpush",
    "fastapi",
    "starlette",
    "uvicorn",
)


@dataclass(frozen=True)
class Figure:
    """One line: the values of all runs, their median, and how that compares to its target (`≥ 0.80`, `≤ 5 s`)."""

    name: str
    values: list[float]
    unit: str
    ratio: float | None = None
    target: str = ""
    note: str = ""

    @property
    def median(self) -> float:
        """The one that counts."""
        return median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether it is as demanded; None when nothing is."""
        if not self.target:
            return None
        sign, number = self.target.split()[:2]
        value = self.median if self.ratio is None else self.ratio
        return value >= float(number) if sign == "≥" else value <= float(number)


@dataclass(frozen=True)
class Part:
    """One measurement: a title, its settings in a sentence, and its lines."""

    name: str
    title: str
    settings: str
    figures: list[Figure]
    at: str = ""
    versions: dict[str, str] = field(default_factory=dict)


def paired(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of runs that were made side by side."""
    return median(our / their for our, their in zip(ours, theirs, strict=True))


def percentile(values: Iterable[float], share: float) -> float:
    """The value that so large a share does not exceed."""
    in_order = sorted(values)
    return in_order[min(len(in_order) - 1, int(len(in_order) * share))]


def keep(part: Part, folder: Path, now: datetime, **others: str) -> None:
    """Writes a part down, with when and on what it was measured."""
    made = {**asdict(part), "at": now.isoformat(timespec="minutes"), "versions": _versions() | others}
    (folder / f"{part.name}.json").write_text(json.dumps(made, indent=1, ensure_ascii=False))


def kept(folder: Path, names: Sequence[str]) -> list[Part]:
    """The parts that have been measured."""
    paths = [folder / f"{name}.json" for name in names]
    return [_part(json.loads(path.read_text())) for path in paths if path.exists()]


def as_text(part: Part) -> str:
    """A part as a Markdown table, readable in a terminal too."""
    lines = [f"### {part.title}", "", part.settings, f"Measured {part.at}, {_machine()}.", ""]
    rows: list[tuple[str, ...]] = [("what", "runs", "median", "ratio", "target", ""), ("---",) * 6]
    rows += [_row(figure) for figure in part.figures]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""])


def insert_into(document: Path, chapter: str, parts: Sequence[Part]) -> None:
    """Puts the tables between the chapter's marks in the document."""
    begin, end = f"<!-- begin: {chapter} -->", f"<!-- end: {chapter} -->"
    before, _, rest = document.read_text().partition(begin)
    after = rest.partition(end)[2]
    tables = "\n".join(map(as_text, parts))
    stack = (
        ", ".join(f"{name} {number}" for name, number in sorted(parts[-1].versions.items())) if parts else ""
    )
    document.write_text(f"{before}{begin}\n{stack}.\n\n{tables}{end}{after}")


def _row(figure: Figure) -> tuple[str, ...]:
    runs = " ".join(_number(value) for value in figure.values)
    ratio = "" if figure.ratio is None else f"**{figure.ratio:.2f}**"
    verdict = {True: "met", False: "**missed**", None: ""}[figure.met]
    return (
        f"{figure.name}{f' ({figure.note})' if figure.note else ''}",
        runs,
        f"{_number(figure.median)} {figure.unit}",
        ratio,
        figure.target,
        verdict,
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _part(made: dict[str, Any]) -> Part:
    return Part(**{**made, "figures": [Figure(**figure) for figure in made["figures"]]})


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}"


def _versions() -> dict[str, str]:
    python = {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
    return python | {name: version(name) for name in VERSIONS}
