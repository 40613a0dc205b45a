"""What a page weighs on the wire: in a real Chromium, with an empty cache and with what the headers let it keep."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright
from sqlalchemy import Engine

from bench import readers, region, server
from bench.databases import Databases
from bench.figures import Figure, Part
from bench.phone import BORN
from bench.readers import Reading
from bench.region import Region
from companion.clock import SystemClock

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
PATIENTS = 100
PAGES = (
    *("link", "birth date", "today", "question", "review", "ending", "passport", "measures"),
    *("worklist", "case", "patients"),
)
FIRST, LATER = "≤ 60", "≤ 8"
_PHONE: ViewportSize = {"width": 360, "height": 740}
_LOOK_EVERY = 20


@dataclass
class Wire:
    """Counts what a window receives, headers included; what the browser already had weighs nothing."""

    page: Page
    received: float = 0.0
    answers: int = 0
    underway: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        listening = self.page.context.new_cdp_session(self.page)
        listening.send("Network.enable")
        listening.on("Network.requestWillBeSent", self._sent)
        listening.on("Network.loadingFinished", self._finished)
        listening.on("Network.loadingFailed", lambda told: self.underway.discard(told["requestId"]))

    def weigh(self) -> tuple[float, int]:
        """Kilobytes and answers since the last time, once nothing is underway any more."""
        self.page.wait_for_load_state("networkidle")
        while self.underway:
            self.page.wait_for_timeout(_LOOK_EVERY)
        weighed = self.received / 1000, self.answers
        self.received, self.answers = 0.0, 0
        return weighed

    def _sent(self, told: dict[str, Any]) -> None:
        if redirected := told.get("redirectResponse"):
            self._take(redirected["encodedDataLength"])
        self.underway.add(told["requestId"])

    def _finished(self, told: dict[str, Any]) -> None:
        self.underway.discard(told["requestId"])
        self._take(told["encodedDataLength"])

    def _take(self, size: float) -> None:
        self.received += size
        self.answers += size > 0


def measure(databases: Databases, only: Collection[str] = ()) -> Part:
    """The way from the SMS to the next question, then every page (or `only` some) by itself: seen first, and seen again."""
    here = Region(PATIENTS, SystemClock().now())
    pages = readers.commonest(here)
    # Whoever walks from the SMS has a link that nobody has opened.
    walker = next(one for one in range(PATIENTS - 1, 0, -1) if here.state(one) == "asked")

    def fill(engine: Engine) -> None:
        region.fill(engine, here)
        readers.let_in(engine, here, [[several[0]] for several in pages.values()])
        region.send_links(engine, here, [walker])

    url = databases.url(databases.template(fill))
    with server.product(url) as running, _chromium() as browser:
        figures = [*_walk(browser, running.url, region.token(walker))]
        for page, several in pages.items():
            if page in (only or PAGES):
                figures += _seen_twice(browser, running.url, page, several[0])
    return Part(
        "wire",
        "Kilobytes on the wire",
        "Everything a real Chromium receives for a view (document, styles, scripts, icons; with headers, 1,000 bytes a"
        " kilobyte), by HTTP/1.1 from loopback, in a window of its own with an empty cache; later: with what it may keep. The"
        " tab's icon and the manifest are not fetched for a headless window.",
        figures,
    )


def _walk(browser: Browser, url: str, token: str) -> Iterator[Figure]:
    """As somebody comes by the SMS for the first time."""
    with _window(browser) as wire:
        page = wire.page
        page.goto(f"{url}/l#{token}")
        page.wait_for_url("**/birth-date")
        yield _figure("from the SMS to the birth date", wire.weigh(), FIRST)
        for name, value in BORN.items():
            page.fill(f"[name={name}]", value)
        page.click("main form button")
        page.wait_for_url("**/check-in/**")
        yield _figure("on to the first question", wire.weigh(), LATER)
        asked = page.inner_text("h1")
        page.locator("label.choice").first.click()
        page.click("main form button")
        page.wait_for_function("asked => document.querySelector('h1')?.innerText !== asked", arg=asked)
        yield _figure("an answer and the next question", wire.weigh(), LATER)


def _seen_twice(browser: Browser, url: str, name: str, reading: Reading) -> Iterator[Figure]:
    of_patient = reading.reader is None or reading.reader.audience == "patient"
    with _window(browser) as wire:
        if reading.reader:
            cookie = {"name": readers.COOKIE, "value": reading.reader.secret, "url": url}
            wire.page.context.add_cookies([cookie])  # type: ignore[list-item]
        for view, target in (("first view", FIRST), ("later view", LATER)):
            wire.page.goto(url + reading.path)
            yield _figure(f"{name}, {view}", wire.weigh(), target if of_patient else "")


@contextmanager
def _chromium() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@contextmanager
def _window(browser: Browser) -> Iterator[Wire]:
    context = browser.new_context(viewport=_PHONE, locale="nb-NO")
    yield Wire(context.new_page())
    context.close()


def _figure(name: str, weighed: tuple[float, int], target: str) -> Figure:
    kilobytes, answers = weighed
    return Figure(name, [kilobytes], "kB", target=target, note=f"{answers} answers")
