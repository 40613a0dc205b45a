"""How Alembic reaches the database: by the connection `companion.db.migrate` hands over, or by its own."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.types import TypeDecorator

import companion.models
import notifications.models  # noqa: F401 - its tables belong to the same history
from companion.db import make_engine
from companion.settings import Settings


def plain_type(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Our own column types as what they are in the database, so that a migration never imports our code."""
    if kind == "type" and isinstance(item, TypeDecorator) and type(item).__module__.startswith("companion."):
        return f"sa.{item.impl_instance!r}"
    return False


def run(connection: Connection) -> None:
    """All migrations asked for, in the caller's transaction."""
    context.configure(
        connection=connection,
        target_metadata=companion.models.Base.metadata,
        render_as_batch=True,
        render_item=plain_type,
    )
    with context.begin_transaction():
        context.run_migrations()


handed_over: Connection | None = context.config.attributes.get("connection")
if handed_over is not None:
    run(handed_over)
else:
    engine = make_engine(Settings())
    with engine.begin() as connection:
        run(connection)
    engine.dispose()
