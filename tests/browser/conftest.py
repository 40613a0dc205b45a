"""A real server on a free port, and real browsers: one for all telephones of a file, one for all desks."""

import fcntl
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Thread

import pytest
import uvicorn
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Playwright,
    ViewportSize,
    expect,
    sync_playwright,
)
from pydantic import SecretStr
from sqlalchemy import Engine

from companion.clock import ShiftedClock, SystemClock
from companion.settings import Settings
from notifications.channels.push.settings import VapidSettings
from tests.browser.demo_room import running
from web.app import create_app
from web.house.settings import WebSettings

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream",
    "--allow-loopback-in-peer-connection",
]
# Browsers are waited for as long as a busy machine may need; what never comes is the test's own time limit's business.
IN_A_BROWSER = [pytest.mark.browser, pytest.mark.timeout(600)]
PATIENCE = 120_000
expect.set_options(timeout=PATIENCE)
PHONE: ViewportSize = {"width": 360, "height": 740}
DESK: ViewportSize = {"width": 1280, "height": 800}


class Chromiums:
    """Two browsers, each started when it is first asked for."""

    def __init__(self, driver: Playwright) -> None:
        self._driver = driver
        self._started: dict[str, Browser] = {}

    def of(self, size: ViewportSize) -> Browser:
        """The browser of those with a screen of that size."""
        kind = "desk" if size == DESK else "phone"
        if kind not in self._started:
            launch = self._driver.chromium.launch
            self._started[kind] = launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        return self._started[kind]

    def forget(self) -> None:
        """Every window is closed, with all that was in it."""
        for browser in self._started.values():
            for context in browser.contexts:
                context.close()

    def close(self) -> None:
        """Both end."""
        for browser in self._started.values():
            browser.close()


@dataclass(frozen=True)
class Machine:
    """Somebody's own machine; `camera`: whether they said yes when asked for camera and microphone."""

    chromiums: Chromiums
    url: str
    camera: bool = True

    def window(
        self, size: ViewportSize = PHONE, *, session: str | None = None, scripts: bool = True
    ) -> BrowserContext:
        """A fresh profile with a window of that size; `session`: the secret of somebody already signed in."""
        context = self.chromiums.of(size).new_context(
            viewport=size,
            locale="nb-NO",
            base_url=self.url,
            java_script_enabled=scripts,
            permissions=["camera", "microphone"] if self.camera else None,
        )
        context.set_default_timeout(PATIENCE)
        if session:
            context.add_cookies([{"name": "session", "value": session, "url": self.url}])
        return context


Machines = Callable[..., Machine]


def go(what: Locator) -> None:
    """Clicks, and waits for the page that leads to; without, the next step might still be taken on this one."""
    with what.page.expect_event("load"):
        what.click()


def until(page: Page, so: Callable[[], bool]) -> None:
    """Lets what the browser tells come in until it is so."""
    while not so():
        page.evaluate("1")


@pytest.fixture
def running_clock(now: datetime) -> ShiftedClock:
    """Starts at `now` and runs; `shift` moves it."""
    return ShiftedClock(now - SystemClock().now())


@pytest.fixture
def vapid() -> VapidSettings:
    """No push, unless a file says otherwise."""
    return VapidSettings(private_key=SecretStr(""), subject="")


@pytest.fixture
def live_server(
    settings: Settings, engine: Engine, running_clock: ShiftedClock, vapid: VapidSettings
) -> Iterator[str]:
    """The address of a server on this test's own database, at the time of `running_clock`."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        app = create_app(
            WebSettings(),
            settings=settings.model_copy(update={"public_url": url}),
            clock=running_clock,
            engine=engine,
            vapid=vapid,
        )
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
        # Connections made before the server is ready wait in the socket's queue: nothing to poll for.
        serving = Thread(target=server.run, kwargs={"sockets": [listening]})
        serving.start()
        try:
            yield url
        finally:
            server.should_exit = True
            serving.join()


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Playwright's driver, for one file: while it is there an event loop runs, and `asyncio.run` elsewhere would refuse."""
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def both_chromiums(playwright: Playwright) -> Iterator[Chromiums]:
    """The browsers of one file."""
    both = Chromiums(playwright)
    yield both
    both.close()


@pytest.fixture
def chromiums(both_chromiums: Chromiums) -> Iterator[Chromiums]:
    """They forget everything after each test."""
    yield both_chromiums
    both_chromiums.forget()


@pytest.fixture
def machines(chromiums: Chromiums, live_server: str) -> Machines:
    """A machine for each person; `camera=False`: they say no when asked for camera and microphone."""
    return lambda *, camera=True: Machine(chromiums, live_server, camera)


@pytest.fixture(scope="session")
def ward(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The invented ward as a newcomer's first start leaves it: a file to copy, made once for all processes of a run."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    made = folder / "ward.sqlite3"
    with (folder / "ward.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _first_start(sqlite_template, folder, made)
    return made


def _first_start(template: Path, folder: Path, made: Path) -> None:
    lived_in, fresh = folder / "lived-in.sqlite3", folder / "ward.sqlite3.new"
    shutil.copyfile(template, lived_in)
    with running(f"sqlite:///{lived_in}"):
        pass
    with closing(sqlite3.connect(lived_in)) as whole:
        whole.execute("VACUUM INTO ?", (str(fresh),))
    fresh.rename(made)
