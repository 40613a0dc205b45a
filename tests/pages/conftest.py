"""The real application on a real database, and a browser for it."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from companion.clock import FixedClock
from companion.db import make_sessions
from companion.settings import Settings
from tests.pages.client import PageClient
from web.app import create_app
from web.house.frame import Frame
from web.house.settings import WebSettings


@pytest.fixture
def app(settings: Settings, engine: Engine, clock: FixedClock) -> Frame:
    """The application, its clock standing at `now` until the test moves it."""
    return create_app(WebSettings(), settings=settings, clock=clock, engine=engine)


@pytest.fixture
def browser(app: Frame, engine: Engine, clock: FixedClock) -> PageClient:
    """Somebody's browser, nobody signed in yet."""
    return PageClient(app, make_sessions(engine), clock)


@pytest.fixture
def another_browser(app: Frame, engine: Engine, clock: FixedClock) -> Callable[[], PageClient]:
    """More browsers on the same application."""
    return lambda: PageClient(app, make_sessions(engine), clock)
