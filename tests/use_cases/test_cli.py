"""The administrator's door: what it prints, and how it ends."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from companion.__main__ import app
from companion.models import AuditEvent, CheckIn, Municipality, Patient, Unit
from companion.rules.national_id import make_synthetic
from companion.settings import Settings
from companion.use_cases.going_home.import_ import COLUMNS
from tests import cast

ROOT = Path(__file__).parents[2]
KARI = (
    f"{cast.KARI_ID};Kari Nilsen;40000001;nb;5501;post3;2026-11-10;stroke;10:00;"
    "Fysioterapi|municipality|12 & Tur|patient|3"
)


@dataclass(frozen=True)
class Done:
    """How a command ended and what it printed."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


def surroundings(settings: Settings, changed: dict[str, str]) -> dict[str, str | None]:
    """The environment the door reads: this test's database, and nothing of the machine's own settings."""
    ours = {name: None for name in os.environ if name.startswith("COMPANION_")}
    return ours | {"COMPANION_DATABASE_URL": settings.database_url, "COMPANION_ENVIRONMENT": "test"} | changed


@pytest.fixture
def run(settings: Settings) -> Run:
    """The door as an administrator opens it."""

    def run(*arguments: str, **environment: str) -> Done:
        done = CliRunner().invoke(
            app, arguments, env=surroundings(settings, environment), catch_exceptions=False
        )
        return Done(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def ready(run: Run) -> Run:
    """Migrated, with a ward."""
    assert run("migrate").returncode == 0
    added = run("unit", "add", "post3", "--kind", "ward", "--name", "Post 3", "--municipality", "5501")
    assert (added.returncode, added.stdout) == (0, "Added post3.\n")
    return run


def write(tmp_path: Path, *rows: str) -> str:
    path = tmp_path / "list.csv"
    path.write_text("\n".join([";".join(COLUMNS), *rows]) + "\n", encoding="utf-8")
    return str(path)


def test_migrate_twice(run: Run, db: Session) -> None:
    for _ in range(2):
        done = run("migrate")
        assert (done.returncode, done.stderr) == (0, "")
    assert db.scalar(select(func.count()).select_from(Municipality)) == 358
    tromso = db.get(Municipality, "5501")
    assert tromso is not None
    assert (tromso.name, tromso.trust) == ("Tromsø", "unn")


def test_units_and_people(ready: Run, db: Session) -> None:
    again = ready("unit", "add", "post3", "--kind", "ward", "--name", "Post 3")
    assert (again.returncode, again.stderr) == (1, "Not done: key in use.\n")
    wrong = ready("unit", "add", "x", "--kind", "hospital", "--name", "X", "--phone", "tolv")
    assert (wrong.returncode, wrong.stderr) == (1, "kind: unknown kind; phone: not a phone\n")
    assert ready("unit", "list").stdout == "post3\tward\tPost 3\t-\t5501\n"
    changed = ready("unit", "set", "post3", "--phone", "77 00 00 10", "--hours", "hverdager 8–15")
    assert changed.stdout == "post3: Post 3, +4777000010, hverdager 8–15.\n"
    assert ready("unit", "set", "post3", "--phone", "", "--hours", "").stdout == "post3: Post 3, -, -.\n"
    assert ready("unit", "set", "post9", "--phone", "1").stderr == "There is no such unit.\n"

    sofia = (
        "--name",
        "Sofia Berg",
        "--national-id",
        make_synthetic(cast.KARI_BORN, 3),
        "--title",
        "sykepleier",
    )
    nowhere = ready("professional", "add", *sofia, "--unit", "post9")
    assert (nowhere.returncode, nowhere.stderr) == (1, "There is no such unit.\n")
    added = ready("professional", "add", *sofia, "--unit", "post3", "--role", "staff")
    assert (added.returncode, added.stderr) == (0, "")
    assert ready("professional", "list").stdout == "Sofia Berg\tsykepleier\tpost3 (staff)\n"


def test_import(ready: Run, db: Session, tmp_path: Path) -> None:
    path = write(tmp_path, KARI)
    at = ("--now", "2026-11-10T09:00:00+01:00")

    trial = ready("import", path, "--dry-run", *at)
    assert json.loads(trial.stdout) == {"rows": 1, "created": 1, "moved": 0, "unchanged": 0, "rejected": 0}
    assert db.scalar(select(func.count()).select_from(Patient)) == 0
    db.rollback()

    first = ready("import", path, *at)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == '{"rows": 1, "created": 1, "moved": 0, "unchanged": 0, "rejected": 0}\n'
    assert json.loads(ready("import", path, *at).stdout)["unchanged"] == 1
    assert db.scalar(select(func.count()).select_from(CheckIn)) == 6


def test_import_of_a_list_with_bad_rows(ready: Run, db: Session, tmp_path: Path) -> None:
    path = write(tmp_path, KARI, KARI.replace("40000001", "x"))
    at = ("--now", "2026-11-10T09:00:00+01:00")

    refused = ready("import", path, *at)
    assert refused.returncode == 1
    assert refused.stdout.splitlines() == [
        "Linje 3, telefon: er ikke et telefonnummer. La feltet stå tomt når personen ikke har noe.",
        '{"rows": 2, "created": 0, "moved": 0, "unchanged": 0, "rejected": 1}',
    ]
    assert db.scalar(select(func.count()).select_from(Patient)) == 0
    db.rollback()

    partial = ready("import", path, "--partial", *at)
    assert partial.returncode == 1
    assert json.loads(partial.stdout.splitlines()[-1])["created"] == 1
    assert db.scalar(select(func.count()).select_from(Patient)) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("/nowhere/list.csv",), "/nowhere/list.csv cannot be read: No such file or directory\n"),
        ((".",), ". cannot be read: Is a directory\n"),
        (
            ("x.csv", "--now", "tomorrow"),
            "--now is not a moment; write for example 2026-11-10T09:00:00+01:00\n",
        ),
        (
            ("x.csv", "--now", "2026-11-10T09:00"),
            "--now has no time zone; write for example 2026-11-10T09:00:00+01:00\n",
        ),
    ],
)
def test_import_of_nothing(run: Run, arguments: tuple[str, ...], said: str) -> None:
    refused = run("import", *arguments)
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", said)


def test_audit_export_and_erase(ready: Run, db: Session, engine: Engine, tmp_path: Path) -> None:
    ready("import", write(tmp_path, KARI), "--now", "2026-11-10T09:00:00+01:00")
    kari = str(db.scalars(select(Patient.id)).one())
    db.rollback()

    exported = ready("export-patient", kari)
    assert exported.returncode == 0
    assert json.loads(exported.stdout)["tables"]["patient"][0]["name"] == "Kari Nilsen"
    erased = ready("erase-patient", kari)
    assert (erased.returncode, erased.stderr) == (0, "")
    assert (
        ready("export-patient", "8be9f7a0-0000-4000-8000-000000000000").stderr
        == "There is no such patient.\n"
    )
    assert ready("audit", "verify").stdout.startswith("Whole: 3 events.")

    db.execute(update(AuditEvent).where(AuditEvent.action == "export").values(action="nothing"))
    db.commit()
    broken = ready("audit", "verify")
    assert (broken.returncode, broken.stdout) == (1, "Broken at event 2.\n")


def test_doctor_is_content_when_somebody_is_at_work_in_every_unit(ready: Run) -> None:
    told = ready("doctor")
    assert (told.returncode, told.stderr) == (1, "")
    assert "FAIL  units: nobody is at work in post3" in told.stdout
    number = make_synthetic(date(1991, 3, 12), 0)
    ready(
        "professional",
        "add",
        "--name",
        "Sofia Berg",
        "--national-id",
        number,
        "--title",
        "sykepleier",
        "--unit",
        "post3",
    )
    told = ready("doctor")
    assert (told.returncode, told.stderr) == (0, "")
    assert "FAIL" not in told.stdout
    for gone, is_gone in ((("away", "--until", "2199-01-01"), 1), (("back",), 0), (("leave",), 1)):
        assert ready("professional", *gone, "--national-id", number).returncode == 0
        assert ready("doctor").returncode == is_gone


def test_doctor_says_what_to_do(run: Run, engine: Engine) -> None:
    key = "k7:" + "QUFB" * 10 + "QUE="
    told = run(
        "doctor",
        COMPANION_ENVIRONMENT="production",
        COMPANION_KEYS=key,
        COMPANION_PUBLIC_URL="http://folge.example.no",
        COMPANION_DATABSE_URL="x",
    )
    assert told.returncode == 1
    assert "COMPANION_DATABSE_URL is not a setting" in told.stdout
    assert "COMPANION_INDEX_KEY is not set" in told.stdout
    assert "must begin with https" in told.stdout
    assert "QUFB" not in told.stdout
    assert "FAIL  municipalities" not in told.stdout


def test_doctor_of_an_empty_database(run: Run, tmp_path: Path) -> None:
    told = run("doctor", COMPANION_DATABASE_URL=f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    assert told.returncode == 1
    assert "run 'python -m companion migrate'" in told.stdout


@pytest.mark.parametrize(
    "environment",
    [
        {"COMPANION_DATABASE_URL": "postgresql://nobody:hemmelig@127.0.0.1:1/none"},
        {"COMPANION_DATABASE_URL": "no address"},
        {"COMPANION_ENVIRONMENT": "production"},
        {"COMPANION_ENVIRONMENT": "holiday"},
        {"COMPANION_KEYS": "k1:short"},
    ],
)
def test_no_door_shows_a_stack_trace_or_a_secret(run: Run, environment: dict[str, str]) -> None:
    for arguments in (("migrate",), ("unit", "list"), ("doctor",)):
        told = run(*arguments, **environment)
        assert told.returncode == 1
        assert told.stdout + told.stderr
        assert "Traceback" not in told.stderr
        assert "hemmelig" not in told.stdout + told.stderr


def test_two_professionals_of_one_name_stay_two(ready: Run, db: Session) -> None:
    for serial in (1, 2):
        done = ready(
            *("professional", "add", "--name", "Sofia Berg", "--title", "lege", "--unit", "post3"),
            *("--national-id", make_synthetic(cast.KARI_BORN, serial)),
        )
        assert done.returncode == 0
    assert len(ready("professional", "list").stdout.splitlines()) == 2
    assert db.scalars(select(Unit.key)).all() == ["post3"]
    assert db.execute(text("select count(*) from membership")).scalar() == 2


def test_the_door_is_a_command(settings: Settings) -> None:
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("COMPANION_")}
    told = subprocess.run(
        [sys.executable, "-m", "companion", "unit", "list"],
        cwd=ROOT,
        env=theirs | {"COMPANION_DATABASE_URL": settings.database_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == "COMPANION_KEYS is not set; see README, configuration\n"


def test_a_program_gets_an_account_and_loses_it(run: Run) -> None:
    assert run("migrate").returncode == 0
    assert (
        run("unit", "add", "post3", "--kind", "ward", "--name", "Post 3", "--municipality", "5501").returncode
        == 0
    )
    added = run("integration", "add", "dips", "--ward", "post3")
    assert (added.returncode, added.stderr) == (0, "")
    token = added.stdout.splitlines()[-1]
    assert len(token) > 40
    listed = run("integration", "list")
    assert listed.stdout == "dips\topen\tpost3\n"
    assert token not in listed.stdout
    assert run("integration", "add", "dips", "--ward", "post3").returncode == 1
    assert run("integration", "add", "other", "--ward", "nowhere").returncode == 1
    assert run("integration", "revoke", "dips").stdout == "Revoked dips.\n"
    assert "revoked" in run("integration", "list").stdout
    assert run("integration", "revoke", "nobody").returncode == 1
