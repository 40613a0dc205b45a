"""The commonest pages: how many a second, how many statements, and how that changes when the region has grown."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path

from sqlalchemy import event
from starlette.testclient import TestClient

from bench import crowd, readers, region, server
from bench.crowd import Order, Rush, Visit
from bench.databases import Databases, Sqlite, settings
from bench.figures import Figure, Part, paired
from bench.readers import Readings
from bench.region import Region
from bench.server import Server
from bench.ten import cpu, look_at_bare, note, rates
from companion.clock import SystemClock
from companion.db import make_engine
from companion.rules.cadence import local_day
from web.app import create_app

AT_ONCE = 8
FIRST, DEEP = "worklist", "worklist, last page"
AT_MOST = {"question": "≤ 5", "today": "≤ 6", "passport": "≤ 6", "worklist": "≤ 6"}
# They show more in a large region.
_LONGER = (DEEP, readers.EVERYWHERE)
# From here on a filled SQLite file is kept for the rest of the day.
LARGE = 10_000
_NOT_READING = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA", "SET ")


@dataclass(frozen=True)
class Town:
    """A region of one size on one database, with its server, and what was measured there, page by page."""

    databases: Databases
    here: Region
    url: str
    server: Server
    readings: dict[str, Readings]
    rushes: dict[str, list[Rush]] = field(default_factory=lambda: defaultdict(list))

    def read(self, page: str, seconds: float) -> None:
        """Eight at once read this page again and again."""
        visits = [reading.visit for reading in self.readings[page]]
        order = Order(self.server.url, AT_ONCE, visits=visits, seconds=seconds)
        self.rushes[page].append(crowd.send(self.server, order))

    def name(self, page: str) -> str:
        """What it is called in the table."""
        return f"{self.databases.name}, {page}, {self.here.patients:,} patients"


def measure(
    kinds: Sequence[Databases],
    sizes: Sequence[int],
    rounds: int,
    seconds: float,
    shelf: Path,
    only: Collection[str] = (),
) -> Part:
    """The bare route and each page (or `only` some) in regions of each size, one after the other, in every round."""
    figures: list[Figure] = []
    for databases in kinds:
        with ExitStack() as stack:
            limit = stack.enter_context(server.bare())
            towns = [stack.enter_context(_town(databases, size, shelf)) for size in sizes]
            bare = []
            for _ in range(rounds):
                bare.append(look_at_bare(limit, AT_ONCE, seconds))
                for page in only or towns[0].readings:
                    for town in towns:
                        town.read(page, seconds)
            figures += _figures(bare, towns)
            if isinstance(databases, Sqlite):
                figures += statements(towns[-1])
    return Part(
        "pages",
        "The commonest pages ÷ a bare FastAPI route, in a small and a large region",
        f"Each page {seconds:g} s a round, {AT_ONCE} at once, by up to {readers.READERS} readers spread over the region; a ward"
        f" has {region.PATIENTS_A_WARD:,} patients (or all), three of five an open case; the nurse works in one ward, *of all"
        " wards* is somebody who works in every one. One web process, signed in beforehand. Statements are counted in an"
        " application of their own, without what begins and ends a transaction.",
        figures,
    )


# --- towns ------------------------------------------------------------------------------------------------------------


@contextmanager
def _town(databases: Databases, patients: int, shelf: Path) -> Iterator[Town]:
    here = Region(patients, SystemClock().now())
    url = filled(databases, here, shelf)
    readings = readers.commonest(here)
    engine = make_engine(settings(url))
    readers.let_in(engine, here, list(readings.values()))
    engine.dispose()
    with server.product(url) as running:
        readings = {
            page: [readers.with_token(running.url, one) for one in several]
            for page, several in readings.items()
        }
        readings[DEEP] = [readers.deepest(running.url, readings[FIRST][0])]
        town = Town(databases, here, url, running, readings)
        # One after the other: here nobody is to wait for somebody who reads a larger page.
        crowd.send(running, Order(running.url, 1, visits=_all_once(readings), seconds=1))
        yield town
    databases.drop(url)


def filled(databases: Databases, here: Region, shelf: Path, keep_from: int = LARGE) -> str:
    """The address of a filled database; filling a large one takes minutes, so a file of today's is used again."""
    fill = partial(region.fill, region=here)
    if not isinstance(databases, Sqlite) or here.patients < keep_from:
        return databases.url(databases.template(fill))
    kept = shelf / f"region-{here.patients}-{_mark(here)}.sqlite3"
    if not kept.exists():
        for old in shelf.glob(f"region-{here.patients}-*"):
            old.unlink()
        databases.path(databases.url(databases.template(fill))).rename(kept)
    return databases.adopt(kept)


def _mark(here: Region) -> str:
    """Changes with the day, the schema and what is filled in."""
    root = Path(__file__).resolve().parent
    seen = sha256(local_day(here.now).isoformat().encode())
    for path in (root / "region.py", root / "ward.py", *sorted(root.parent.glob("alembic/versions/*.py"))):
        seen.update(path.read_bytes())
    return seen.hexdigest()[:12]


def _all_once(readings: dict[str, Readings]) -> list[Visit]:
    return [several[0].visit for several in readings.values()]


# --- the table --------------------------------------------------------------------------------------------------------


def _figures(bare: Sequence[Rush], towns: Sequence[Town]) -> Iterator[Figure]:
    yield Figure(f"bare route, beside {towns[0].databases.name}", rates(bare), "/s", note=note(bare))
    small, *larger = towns
    for page in small.rushes:
        yield _against_bare(page, small, bare)
        for town in larger:
            yield _grown(page, small, town)
    for town in larger if DEEP in small.rushes else ():
        first, last = (rates(town.rushes[page]) for page in (FIRST, DEEP))
        yield Figure(town.name(DEEP), last, "/s", paired(first, last), "≤ 1.5", "time ÷ the first page's")


def _against_bare(page: str, town: Town, bare: Sequence[Rush]) -> Figure:
    ours = town.rushes[page]
    return Figure(
        town.name(page),
        rates(ours),
        "/s",
        paired(rates(ours), rates(bare)),
        "≥ 0.15" if page == "question" else "",
        f"÷ bare; {note(ours)}, ratio by CPU {paired(cpu(bare), cpu(ours)):.3f}",
    )


def _grown(page: str, small: Town, large: Town) -> Figure:
    before, after = small.rushes[page], large.rushes[page]
    return Figure(
        large.name(page),
        rates(after),
        "/s",
        paired(rates(before), rates(after)),
        "" if page in _LONGER else "≤ 1.5",
        f"time ÷ at {small.here.patients:,}; by CPU {paired(cpu(after), cpu(before)):.2f}",
    )


# --- statements -------------------------------------------------------------------------------------------------------


def statements(town: Town) -> Iterator[Figure]:
    """How many each page sends, read for the second time; counted in an application of their own."""
    told = settings(town.url).model_copy(update={"public_url": "http://testserver"})
    engine = make_engine(told)
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *sent: asked.append(str(sent[2])))
    with TestClient(create_app(settings=told, engine=engine), follow_redirects=False) as client:
        for page, readings in town.readings.items():
            _ask(client, readings[0].visit)
            asked.clear()
            _ask(client, readings[0].visit)
            counted = sum(not one.lstrip().upper().startswith(_NOT_READING) for one in asked)
            yield Figure(f"{page}: statements", [float(counted)], "", target=AT_MOST.get(page, ""))
    engine.dispose()


def _ask(client: TestClient, visit: Visit) -> None:
    method = "GET" if visit.fields is None else "POST"
    client.request(method, visit.path, data=visit.fields, headers={"Cookie": visit.cookie}).raise_for_status()
