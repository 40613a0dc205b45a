"""A real server on a free port, and real browsers: one process per person."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from threading import Thread

import pytest
import uvicorn
from playwright.sync_api import (
    Browser,
    BrowserContext,
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
ALLOW_CAMERA = "--use-fake-ui-for-media-stream"
# Browsers are waited for as long as a busy machine may need; what never comes is the test's own time limit's business.
IN_A_BROWSER = [pytest.mark.browser, pytest.mark.timeout(600)]
PATIENCE = 120_000
expect.set_options(timeout=PATIENCE)
PHONE: ViewportSize = {"width": 360, "height": 740}
DESK: ViewportSize = {"width": 1280, "height": 800}


@dataclass(frozen=True)
class Machine:
    """Somebody's own browser."""

    browser: Browser
    url: str

    def window(
        self, size: ViewportSize = PHONE, *, session: str | None = None, scripts: bool = True
    ) -> BrowserContext:
        """A fresh profile with a window of that size; `session`: the secret of somebody already signed in."""
        context = self.browser.new_context(
            viewport=size, locale="nb-NO", base_url=self.url, java_script_enabled=scripts
        )
        context.set_default_timeout(PATIENCE)
        if session:
            context.add_cookies([{"name": "session", "value": session, "url": self.url}])
        return context


Machines = Callable[..., Machine]


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


@pytest.fixture
def machines(playwright: Playwright, live_server: str) -> Iterator[Machines]:
    """Starts a Chromium of its own for each person; `camera=False`: they say no when asked for camera and microphone."""
    browsers: list[Browser] = []

    def start(*, camera: bool = True) -> Machine:
        args = [*CHROMIUM_ARGS, ALLOW_CAMERA] if camera else CHROMIUM_ARGS
        browsers.append(playwright.chromium.launch(executable_path=CHROMIUM, args=args))
        return Machine(browsers[-1], live_server)

    yield start
    for browser in browsers:
        browser.close()
