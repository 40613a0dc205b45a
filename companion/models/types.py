"""Column types: aware UTC times, sealed text and JSON, the blind index."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, LargeBinary, String
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from companion.crypto import KeyRing


def _ring(dialect: Dialect) -> KeyRing:
    """The keys travel with the engine (`companion.db.make_engine`), so no global holds them."""
    ring: KeyRing = dialect.companion_keys  # type: ignore[attr-defined]
    return ring


class UtcDateTime(TypeDecorator[datetime]):
    """Aware moments, kept and returned in UTC. A naive one is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC for the database; SQLite keeps it without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The moment, aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Encrypted(TypeDecorator[str]):
    """Text sealed for its place (`table.column`)."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """The sealed text."""
        return None if value is None else _ring(dialect).encrypt(value, self.place)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        """The text again."""
        return None if value is None else _ring(dialect).decrypt(bytes(value), self.place)


class JsonEncrypted(TypeDecorator[Any]):
    """A JSON value sealed for its place (`table.column`)."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """The sealed JSON."""
        if value is None:
            return None
        return _ring(dialect).encrypt(json.dumps(value, ensure_ascii=False), self.place)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Any:
        """The value again."""
        return None if value is None else json.loads(_ring(dialect).decrypt(bytes(value), self.place))


class BlindIndex(TypeDecorator[str]):
    """Write or compare with the plain value; the column keeps only its keyed fingerprint, and reading gives that."""

    impl = String(64)
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The fingerprint."""
        return None if value is None else _ring(dialect).index(value, self.place)
