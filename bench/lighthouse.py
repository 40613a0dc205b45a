"""Lighthouse's verdict on the patient's pages as a telephone sees them, by a Node of the bench's own and a real Chromium."""

import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine

from bench import readers, region, server
from bench.databases import Databases
from bench.figures import Figure, Part
from bench.readers import Reading
from bench.region import Region
from bench.wire import CHROMIUM, CHROMIUM_ARGS
from companion.clock import SystemClock

PAGES = ("today", "question", "passport")
AT_LEAST = {"performance": "≥ 98", "accessibility": "≥ 100", "best-practices": "≥ 100"}
PATIENTS = 20
Scores = dict[tuple[str, str], list[float]]


def measure(databases: Databases, programs: Path, rounds: int) -> Part:
    """Each page, in every round. `programs`: where `install` has put Node and Lighthouse."""
    here = Region(PATIENTS, SystemClock().now())
    pages = {page: several[0] for page, several in readers.commonest(here).items() if page in PAGES}

    def fill(engine: Engine) -> None:
        region.fill(engine, here)
        readers.let_in(engine, here, [[reading] for reading in pages.values()])

    scores: Scores = defaultdict(list)
    with server.product(databases.url(databases.template(fill))) as running:
        for _ in range(rounds):
            for page, reading in pages.items():
                for category, score in _judge(running.url, reading, programs):
                    scores[page, category].append(score)
    return Part(
        "lighthouse",
        "Lighthouse, mobile",
        "Its own telephone and its own slow line (simulated), HTTP/1.1 from loopback, empty cache; the points are of 100.",
        [
            Figure(f"{page}: {category}", values, "points", target=AT_LEAST[category])
            for (page, category), values in scores.items()
        ],
    )


def install(programs: Path, wanted: Path) -> None:
    """Lighthouse, by the Node that is there already."""
    (programs / "package.json").write_text(wanted.read_text())
    node = programs / "venv/bin"
    command = [
        str(node / "npm"),
        "install",
        "--prefix",
        str(programs),
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]
    path = f"{node}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run(command, check=True, cwd=programs, env={**os.environ, "PATH": path})


def _judge(url: str, reading: Reading, programs: Path) -> Iterator[tuple[str, float]]:
    done = subprocess.run(
        [
            str(programs / "venv/bin/node"),
            str(programs / "node_modules/lighthouse/cli/index.js"),
            url + reading.path,
            "--output=json",
            "--quiet",
            "--no-enable-error-reporting",
            f"--only-categories={','.join(AT_LEAST)}",
            f"--chrome-flags=--headless=new {' '.join(CHROMIUM_ARGS)}",
            f"--extra-headers={json.dumps({'Cookie': reading.visit.cookie})}",
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "CHROME_PATH": CHROMIUM},
    )
    for category, judged in json.loads(done.stdout)["categories"].items():
        yield category, judged["score"] * 100
