"""The same application and browsers as the page tests; and a house that is put back as it was between two walks."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from companion.clock import FixedClock
from companion.db import make_engine, make_sessions
from companion.settings import Settings
from tests.pages.client import PageClient
from tests.pages.conftest import another_browser, app, browser
from tests.security import town as towns
from web.app import create_app
from web.house.settings import WebSettings

__all__ = ["another_browser", "app", "browser", "house"]


@dataclass(frozen=True)
class House:
    """One application on one SQLite file for a whole walk through the routes."""

    browser: PageClient
    engine: Engine
    town: towns.Town
    now: datetime
    path: Path
    as_built: Path

    def put_back(self) -> None:
        """Everything as it was on the first day."""
        with closing(sqlite3.connect(self.as_built)) as source, closing(sqlite3.connect(self.path)) as here:
            source.backup(here)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[House]:
    """Built once."""
    folder = tmp_path_factory.mktemp("house")
    path, as_built = folder / "house.sqlite3", folder / "as_built.sqlite3"
    shutil.copyfile(sqlite_template, path)
    now = datetime(2026, 11, 10, 9, 0, tzinfo=UTC)
    settings = Settings(environment="test", database_url=f"sqlite:///{path}")
    engine, clock = make_engine(settings), FixedClock(now)
    town = towns.build(engine, now)
    with closing(sqlite3.connect(path)) as here, closing(sqlite3.connect(as_built)) as kept:
        here.backup(kept)
    application = create_app(WebSettings(), settings=settings, engine=engine, clock=clock)
    yield House(PageClient(application, make_sessions(engine), clock), engine, town, now, path, as_built)
    engine.dispose()
