"""What a page weighs on the wire, and that it pulls nothing its reader has no use for."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from companion.rules.access import Level
from tests.pages.at_home import AtHome, answer_all, at_home
from tests.pages.client import PageClient
from tests.pages.house.test_wire import DIST, MANIFEST, OURS

WEB = Path(__file__).resolve().parents[3] / "web"
FIRST, LATER = 60_000, 8_000
WITH_BROTLI, WITHOUT = "gzip, deflate, br", "gzip"
PULLED = re.compile(r'<(?:link|script|use)\b[^>]*?\b(?:href|src)="([^"#]+)')


class Visit:
    """A browser with its store: what it has and may keep is not asked for again."""

    def __init__(self, browser: PageClient, takes: str) -> None:
        self._browser, self._takes = browser, takes
        self.kept: set[str] = set()

    def open(self, path: str) -> int:
        """What a page weighs with all it pulls, heads included, wherever it is sent."""
        return self._arrive(self._ask("GET", path))

    def post(self, path: str, fields: dict[str, str]) -> int:
        """The same for a form."""
        token = self._browser.open(path).form(path).fields["csrf_token"]
        return self._arrive(self._ask("POST", path, data={"csrf_token": token, **fields}))

    def _arrive(self, answer: Any) -> int:
        if answer.status_code == 303:
            return weight(answer) + self.open(answer.headers["location"])
        assert answer.status_code == 200, answer.url
        return weight(answer) + sum(map(self._pull, sorted(set(PULLED.findall(answer.text)))))

    def _pull(self, path: str) -> int:
        if path in self.kept:
            return 0
        answer = self._ask("GET", path)
        assert answer.status_code == 200, path
        if "max-age" in answer.headers["cache-control"]:
            self.kept.add(path)
        return weight(answer)

    def _ask(self, method: str, path: str, **sent: Any) -> Any:
        headers = {**OURS, "Accept-Encoding": self._takes, "Accept-Language": "nb"}
        return self._browser.raw(method, path, headers=headers, **sent)


def weight(answer: Any) -> int:
    """Bytes of an answer as it came, head and body."""
    head = sum(len(name) + len(value) + len(": \r\n") for name, value in answer.headers.items())
    return head + int(answer.num_bytes_downloaded)


@pytest.fixture(params=[WITH_BROTLI, WITHOUT])
def visit(request: pytest.FixtureRequest, browser: PageClient) -> Visit:
    return Visit(browser, request.param)


@pytest.fixture
def home(engine: Engine, now: datetime) -> AtHome:
    return at_home(engine, now)


def test_from_the_sms_to_the_last_answer_every_page_is_light(
    visit: Visit, browser: PageClient, home: AtHome
) -> None:
    with browser.sessions() as db:
        link = browser.link_for(db, home.kari, check_in=home.check_in)
        db.commit()
    first = visit.open("/l") + visit.post("/l", {"token": link.token})
    assert first <= FIRST, f"{first} bytes from the SMS to the birth date"
    pages = {"first question": visit.post("/birth-date", {"day": "4", "month": "5", "year": "1958"})}
    browser.as_patient(home.kari, Level.high)
    answer_all(browser, home)
    for path in (f"{home.way}/review", "/patient", "/patient/passport", "/patient/measures", "/patient/meetings",
                 "/patient/settings", "/privacy"):  # fmt: skip
        pages[path] = visit.open(path)
    assert {name: size for name, size in pages.items() if size > LATER} == {}


@pytest.mark.parametrize("path", ["/patient", "/patient/passport"])
def test_a_patients_first_page_of_the_day_is_light(
    visit: Visit, browser: PageClient, home: AtHome, path: str
) -> None:
    browser.as_patient(home.kari)
    assert visit.open(path) <= FIRST
    assert visit.open(path) <= LATER


def test_the_desks_pages_are_light(visit: Visit, browser: PageClient, home: AtHome) -> None:
    browser.as_professional(home.ward.johan)
    assert visit.open("/staff") <= FIRST
    for path in ("/staff", "/staff/patients", f"/staff/patients/{home.kari.id}"):
        assert visit.open(path) <= LATER, path


# --- nothing without use ----------------------------------------------------------------------------------------------

# What a file may hold words of: everything but the rooms of the readers who never get it.
NOT_FOR = {
    "person.css": {"desk", "desk.html", "demo"},
    "desk.css": {
        "patient",
        "relative",
        "door",
        "meeting",
        "demo",
        "patient.html",
        "relative.html",
        "plain.html",
    },
    "meeting.css": {"desk", "desk.html", "demo"},
    "demo.css": {"patient", "relative", "desk"},
}
# Designsystemet's own, which come with its ground and its buttons.
THEIRS = re.compile(r"ds-|reading$")


@pytest.mark.parametrize("name", NOT_FOR)
def test_every_class_in_a_file_of_styles_stands_on_some_page_that_pulls_it(name: str) -> None:
    css = re.sub(r'@layer[^{;]*|url\([^)]*\)|"[^"]*"', "", (DIST / MANIFEST[name]).read_text())
    styled = {one for one in re.findall(r"\.([A-Za-z][\w-]*)", css) if not THEIRS.match(one)}
    assert len(styled) > 10
    assert styled - set(words_of(NOT_FOR[name])) == set()


def words_of(others: set[str]) -> Iterator[str]:
    for path in WEB.rglob("*"):
        if path.suffix in (".html", ".py", ".js") and not others.union(["static"]).intersection(path.parts):
            yield from re.findall(r"[\w-]+", path.read_text())


@pytest.mark.parametrize(
    ("whose", "files"),
    [
        ("patient", {"person.css", "person.js", "icons-person.svg"}),
        ("professional", {"desk.css", "desk.js", "icons-desk.svg", "icons-person.svg"}),
    ],
)
def test_a_page_pulls_what_its_reader_uses_and_nothing_of_others(
    browser: PageClient, home: AtHome, whose: str, files: set[str]
) -> None:
    if whose == "patient":
        browser.as_patient(home.kari)
        paths = ["/patient", f"{home.way}/how", "/patient/passport", "/patient/measures", "/patient/settings"]
    else:
        browser.as_professional(home.ward.johan)
        paths = ["/staff", "/staff/patients", f"/staff/patients/{home.kari.id}"]
    pulled = {plain_name(one) for path in paths for one in PULLED.findall(browser.open(path).html)}
    assert pulled == files | {"icon.svg", "icon-180.png", "manifest.webmanifest"}


def plain_name(address: str) -> str:
    return re.sub(r"-\w{8}(?=\.\w+$)", "", address.rpartition("/")[2])
