"""The random life of the post: lives drawn anew, and those in which something was once found, on both databases."""

from collections.abc import Callable, Iterator
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session

from companion.models.base import Identified
from companion.settings import Settings
from tests import cast
from tests.chance import examples
from tests.delivery.post_found import FOUND
from tests.delivery.post_life import Post, Retold, note_moves


@pytest.fixture
def connection(backend: str, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Everything happens inside one transaction, each life inside a savepoint of it."""
    engine: Engine = request.getfixturevalue(f"shared_{backend}")
    with engine.connect() as connection:
        outer = connection.begin()
        note_moves(connection)
        yield connection
        outer.rollback()


@pytest.fixture
def ids() -> Iterator[Random]:
    """Who comes first is often decided by an id: here they come in the same order every time."""
    drawn = Random()

    def give(_record: Identified, _args: object, values: dict[str, Any]) -> None:
        values["id"] = UUID(int=drawn.getrandbits(128), version=4)

    event.listen(Identified, "init", give, propagate=True)
    yield drawn
    event.remove(Identified, "init", give)


@pytest.fixture
def life(connection: Connection, ids: Random, now: datetime) -> type[Post]:
    """A life that may be led again and again, from the same beginning."""
    with Session(connection, expire_on_commit=False, join_transaction_mode="create_savepoint") as db:
        ids.seed(0)
        ward = cast.ward(db, now)
        db.commit()

    class Life(Post):
        house = (connection, Settings(environment="test"), ward)

        def __init__(self) -> None:
            ids.seed(1)
            super().__init__()

    return Life


@pytest.mark.hypothesis
@pytest.mark.timeout(300)
def test_the_post_keeps_its_promises_whatever_happens(life: type[Post], backend: str) -> None:
    run_state_machine_as_test(
        life,
        settings=hypothesis.settings(
            max_examples=examples(10 if backend == "sqlite" else 3),
            stateful_step_count=30,
            # What is found is made small by `make explore`, which has the time.
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )


@pytest.mark.parametrize("steps", FOUND, ids=lambda steps: steps.__name__)
def test_the_post_keeps_its_promises_where_it_once_did_not(
    life: type[Post], steps: Callable[[Retold], None]
) -> None:
    told = life()
    steps(Retold(told))
    told.teardown()
