"""The benchmark's own code still runs: a handful of letters, no verdict on time."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from bench import claims, figures, push, speed, standin, ward
from bench.databases import Sqlite
from bench.figures import Figure, Part
from bench.standin import Standin

LETTERS = 8


@pytest.fixture
def provider() -> Iterator[Standin]:
    with standin.running() as running:
        yield running


def test_the_bare_loop_and_the_dispatcher_carry_the_same_letters(provider: Standin, tmp_path: Path) -> None:
    sqlite = Sqlite(tmp_path)
    due, _ = ward.office_hours()
    template = sqlite.template(partial(ward.fill, patients=LETTERS, due=due - timedelta(seconds=1)))
    assert speed.limit(provider, LETTERS, 0.0).per_second > 0
    assert speed.ours(provider, sqlite, template, LETTERS, 0.0, 1).cpu > 0
    assert provider.counts()["distinct"] == LETTERS


def test_claims_are_measured_on_a_grown_table(tmp_path: Path) -> None:
    part = claims.measure([Sqlite(tmp_path)], [200], rounds=1)
    assert {figure.name.split()[1] for figure in part.figures} == {"claim", "settle", "sweep", "empty"}


def test_pushes_are_measured(provider: Standin) -> None:
    assert len(push.measure(provider, pushes=4, rounds=1).figures) == 2


def test_tables_go_between_their_marks_and_say_what_was_missed(tmp_path: Path) -> None:
    document = tmp_path / "B.md"
    others = "<!-- begin: messages -->\ntheirs\n<!-- end: messages -->\n"
    document.write_text(f"before\n{others}<!-- begin: pages -->\nold\n<!-- end: pages -->\nafter\n")
    slow = Figure("ours", [1.0, 2.0, 3.0], "/s", ratio=0.5, target="≥ 0.80")
    figures.insert_into(document, "pages", [Part("speed", "Fast", "So and so.", [slow])])
    text = document.read_text()
    assert text.startswith(f"before\n{others}")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| ours | 1 2 3 | 2 /s | **0.50** | ≥ 0.80 | **missed** |" in text
