"""The migrations are the schema: one history, equal to the records, on both databases."""

import ast
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from companion.models import DemoClock

ROOT = Path(__file__).parents[2]
VERSIONS = sorted((ROOT / "alembic" / "versions").glob("*.py"))


@pytest.fixture
def alembic() -> Config:
    return Config(toml_file=str(ROOT / "pyproject.toml"))


def test_the_records_and_the_migrations_agree(alembic: Config, engine: Engine) -> None:
    with engine.begin() as connection:
        alembic.attributes["connection"] = connection
        command.check(alembic)


def test_a_difference_would_be_seen(alembic: Config, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE heartbeat"))
        alembic.attributes["connection"] = connection
        with pytest.raises(Exception, match="heartbeat"):
            command.check(alembic)


def test_the_history_has_one_end(alembic: Config) -> None:
    assert len(ScriptDirectory.from_config(alembic).get_heads()) == 1


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_a_migration_never_imports_our_code(path: Path) -> None:
    """Our code moves on; a migration must still mean the same in five years."""
    ours = {"companion", "notifications", "web"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not ours & {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in ours


FLOOR = text("SELECT count(*) FROM demo_clock")


@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_session_may_commit_and_leaves_nothing(db: Session, turn: str) -> None:
    """The tests' own floor: whichever turn comes second starts as empty as the first."""
    assert db.scalar(FLOOR) == 0
    db.add(DemoClock(id=1, shift_seconds=0))
    db.commit()
    assert db.scalar(FLOOR) == 1
