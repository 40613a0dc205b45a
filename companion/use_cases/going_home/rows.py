"""New records as rows, so that a long list is written in a statement a table: the session would take ten times as long."""

from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import Column, Table, insert
from sqlalchemy.orm import MANYTOONE, Mapper, Session, object_mapper

from companion.models import Base

# Of each table, what is to be written; the records named each other, the rows name each other's keys.
Rows = dict[Table, list[dict[str, Any]]]


def of(records: Iterable[Base]) -> Rows:
    """The rows of records that are in no session."""
    found: Rows = {}
    for record in records:
        mapper = object_mapper(record)
        found.setdefault(cast(Table, mapper.local_table), []).append(_values(record, mapper))
    return found


def insert_all(db: Session, many: Iterable[Rows]) -> None:
    """Writes them, those that others name first."""
    together: Rows = {}
    for rows in many:
        for table, some in rows.items():
            together.setdefault(table, []).extend(some)
    connection = db.connection()
    for table in Base.metadata.sorted_tables:
        if table in together:
            connection.execute(insert(table), together[table])


def _values(record: Base, mapper: Mapper[Any]) -> dict[str, Any]:
    held, table = vars(record), cast(Table, mapper.local_table)
    values = {}
    for column in table.columns:
        if column is not table.autoincrement_column:
            name = mapper.get_property_by_column(column).key
            values[column.name] = held[name] if name in held else _unsaid(column)
    for one in mapper.relationships:
        if one.direction is MANYTOONE and (other := held.get(one.key)) is not None:
            for here, _there in one.local_remote_pairs:
                values[cast(Column[Any], here).name] = other.id
    return values


def _unsaid(column: Column[Any]) -> Any:
    """What a column holds that nobody has said anything about."""
    default = column.default
    if default is None:
        return None
    return default.arg(None) if default.is_callable else default.arg  # type: ignore[attr-defined]
