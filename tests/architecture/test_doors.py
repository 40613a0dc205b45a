"""Every door opens at once, because a command imports only what it needs; and shuts with a sentence, never with a stack trace."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

ROOT = Path(__file__).parents[2]
RECORDS = {"sqlalchemy", "pydantic_settings", "cryptography"}
DOORS: dict[str, set[str]] = {
    "companion": set(),
    "companion --help": set(),
    "companion nonsense": set(),
    "companion unit --help": set(),
    "companion unit list": RECORDS,
    "companion professional list": RECORDS,
    "companion integration list": RECORDS | {"phonenumbers"},
    "companion audit verify": RECORDS,
    "companion migrate": RECORDS | {"alembic", "phonenumbers"},
    "companion doctor": RECORDS | {"alembic"},
    "notifications": set(),
    "notifications --help": set(),
    "notifications nonsense": set(),
    "notifications vapid": {"pydantic_settings", "cryptography"},
    "notifications status --json": RECORDS | {"structlog"},
    "notifications doctor": RECORDS | {"structlog", "alembic", "phonenumbers", "holidays", "jinja2", "babel"},
    "web --help": set(),
    "web nonsense": set(),
}
WATCH = """
import json, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def environment(**changed: str) -> dict[str, str]:
    """Nothing of the machine's own settings."""
    ours = ("COMPANION_", "NOTIFICATIONS_", "TWILIO_", "VAPID_", "WEB_", "HOST", "PORT")
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return theirs | {"COMPANION_ENVIRONMENT": "test", "PORT": "0"} | changed


def run(*command: str, **changed: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment(**changed),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def libraries() -> set[str]:
    """The top-level modules of what the product leans on, but for what makes the doors: Typer, which reads with Pydantic."""
    pinned = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[\[=]", line)[0] for line in pinned} - {"typer", "pydantic"}
    return {
        module
        for module, owners in packages_distributions().items()
        if names & {owner.lower().replace("_", "-") for owner in owners}
    }


@pytest.fixture
def own_address(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated file of this test's own: some commands write, and the template is everybody's."""
    return f"sqlite:///{shutil.copyfile(sqlite_template, tmp_path / 'companion.sqlite3')}"


@pytest.mark.parametrize("door", DOORS)
def test_a_command_imports_only_what_it_needs(door: str, own_address: str) -> None:
    done = run("-c", WATCH, *door.split(), COMPANION_DATABASE_URL=own_address)
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert "Traceback" not in done.stderr
    assert loaded & libraries() <= DOORS[door]


def test_what_the_doors_could_import_is_known() -> None:
    assert {"sqlalchemy", "fastapi", "twilio", "holidays", "alembic", "phonenumbers"} <= libraries()


# --- a schema that is not ours ----------------------------------------------------------------------------------------


def stand_at(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def first_revision() -> str:
    return str(ScriptDirectory(str(ROOT / "alembic")).get_base())


@pytest.mark.parametrize(
    "door", [("web",), ("notifications", "run"), ("notifications", "tick")], ids=" ".join
)
def test_a_schema_of_another_version_is_refused_with_what_to_do(
    door: tuple[str, ...], engine: Engine, database_url: str
) -> None:
    for revision, said in (
        (first_revision(), "the database is not up to date: run 'python -m companion migrate'\n"),
        ("f00d", "the database has been used by a newer version than this one: install that version"),
    ):
        stand_at(engine, revision)
        refused = run("-m", *door, COMPANION_DATABASE_URL=database_url)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith(said)
        assert len(refused.stderr.splitlines()) == 1


def test_a_newer_schema_is_not_migrated(engine: Engine, database_url: str) -> None:
    stand_at(engine, "f00d")
    refused = run("-m", "companion", "migrate", COMPANION_DATABASE_URL=database_url)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "newer version" in refused.stderr


@pytest.mark.parametrize("door", [("web",), ("web", "--demo"), ("notifications", "tick")], ids=" ".join)
def test_a_database_without_tables_is_refused_with_what_to_do(door: tuple[str, ...], tmp_path: Path) -> None:
    refused = run("-m", *door, COMPANION_DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "the database has no tables yet: run 'python -m companion migrate'\n"


# --- nonsense ---------------------------------------------------------------------------------------------------------

NONSENSE: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "no such command": (("companion", "nonsense"), {}),
    "no such subcommand": (("companion", "unit", "nonsense"), {}),
    "an id that is none": (("companion", "export-patient", "x"), {}),
    "too little": (("companion", "unit", "add"), {}),
    "a moment that is none": (("companion", "import", "x.csv", "--now", "nope"), {}),
    "a moment before there was a house": (
        ("companion", "import", "x", "--now", "0001-01-01T00:00:00+14:00"),
        {},
    ),
    "no such command of the post": (("notifications", "nonsense"), {}),
    "the post's moment": (("notifications", "tick", "--now", "0001-01-01T00:00:00+14:00"), {}),
    "a day that is none": (("notifications", "report", "--day", "nope"), {}),
    "an argument nobody asked for": (("web", "nonsense"), {}),
    "a port that is none": (("web",), {"PORT": "abc"}),
    "a port beyond all ports": (("web",), {"PORT": "99999"}),
    "a host that is not here": (("web",), {"HOST": "203.0.113.1"}),
    "no page at a time": (("web",), {"WEB_IN_FLIGHT": "0"}),
    "a metrics port that is none": (("web",), {"WEB_METRICS_PORT": "99999"}),
    "a provider without patience": (("web",), {"TWILIO_CONNECT_SECONDS": "x"}),
    "a push key that is none": (("web",), {"VAPID_PRIVATE_KEY": "hemmelig", "VAPID_SUBJECT": "mailto:a@b"}),
} | {
    f"{' '.join(door)}: {name}": (door, {"COMPANION_DATABASE_URL": address})
    for door in [
        ("companion", "unit", "list"),
        ("companion", "doctor"),
        ("notifications", "status"),
        ("notifications", "doctor"),
        ("web", "--demo"),
    ]
    for name, address in {
        "no address": "no address",
        "no driver": "mysql://nobody:hemmelig@db/none",
        "no port": "postgresql://nobody:hemmelig@127.0.0.1:abc/none",
        "nobody there": "postgresql://nobody:hemmelig@127.0.0.1:1/none",
        "no folder": "sqlite:////proc/none/companion.sqlite3",
    }.items()
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_answered_by_a_sentence(name: str, own_address: str) -> None:
    command, changed = NONSENSE[name]
    told = run("-m", *command, **{"COMPANION_DATABASE_URL": own_address} | changed)
    said = told.stdout + told.stderr
    assert told.returncode in (1, 2)
    assert said
    assert "Traceback" not in said
    assert "hemmelig" not in said
