"""Ten o'clock: many people open the link in the SMS at once and answer their whole check-in, as a ratio to a bare route."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from statistics import median

from sqlalchemy import Engine, func, select

from bench import crowd, region, server
from bench.crowd import Order, Rush, Visit
from bench.databases import Databases, Postgres, Sqlite, settings
from bench.figures import Figure, Part, paired
from bench.server import Server
from companion.clock import SystemClock
from companion.db import make_engine
from companion.models import CheckIn

AT_ONCE = (8, 32, 128)
BARE_SECONDS = 2.0
WARMING_UP = 4
Rushes = dict[int, list[Rush]]


@dataclass(frozen=True)
class House:
    """One database with its server, and the people who have not answered yet."""

    databases: Databases
    processes: int
    url: str
    server: Server
    waiting: Iterator[int]
    rushes: Rushes = field(default_factory=lambda: defaultdict(list))

    @property
    def name(self) -> str:
        """What it is called in the table."""
        return f"{self.databases.name}, {self.processes} process{'es' * (self.processes > 1)}"

    def answer(self, people: int, at_once: int) -> Rush:
        """So many of them answer."""
        links = [region.token(serial) for serial in islice(self.waiting, people)]
        return crowd.send(self.server, Order(self.server.url, at_once, links=links))

    def check(self) -> None:
        """The database has as many finished check-ins as the phones think; anything else makes the measurement worthless."""
        thought = WARMING_UP + sum(rush.people for rushes in self.rushes.values() for rush in rushes)
        if thought != (known := _answered(self.url)):
            raise RuntimeError(f"{thought} people have sent their answers, {self.name} knows of {known}")


def measure(
    sqlite: Sqlite,
    postgres: Postgres | None,
    people: int,
    rounds: int,
    processes: int = 2,
    at_once: Sequence[int] = AT_ONCE,
    bare_seconds: float = BARE_SECONDS,
) -> Part:
    """The bare route and every server one after the other, in every round; so many people in all rounds of a line."""
    each = max(1, people // rounds)
    wanted: list[tuple[Databases, int]] = [(sqlite, 1)]
    if postgres:
        wanted += [(postgres, 1), (postgres, processes)]
    bare: Rushes = defaultdict(list)
    with ExitStack() as stack:
        houses, refused = _houses(stack, wanted, len(at_once) * rounds * each)
        limit = stack.enter_context(server.bare())
        for _ in range(rounds):
            for many in at_once:
                bare[many].append(look_at_bare(limit, many, bare_seconds))
                for house in houses:
                    house.rushes[many].append(house.answer(each, many))
        for house in houses:
            house.check()
    return Part(
        "ten",
        "Ten o'clock: whole check-ins from the SMS to the ending ÷ a bare FastAPI route",
        f"{each * rounds} people a line ({each} a round, so never more at once): link, birth date, six questions (four of their"
        " own, two about measures), look over, send; each phone on connections of its own and with Chromium's headers, nobody"
        " stops to think; documents and what htmx fetches are counted, files are not. Bare: plain `def`, 5 kB of HTML, uvloop"
        f" and httptools, {bare_seconds:g} s a run. One client process of aiohttp on uvloop shares the machine; CPU is the web"
        " processes' (and the client's) alone, PostgreSQL's comes on top; rounds interleaved,"
        f" percentiles are medians of the rounds'.{refused}",
        [*_speeds(bare, houses), *map(_requests_each, houses)],
    )


def look_at_bare(limit: Server, at_once: int, seconds: float) -> Rush:
    """The limit, in this round."""
    return crowd.send(limit, Order(limit.url, at_once, visits=[Visit("/healthz")], seconds=seconds))


def note(rushes: Sequence[Rush]) -> str:
    """What else a line says: processor time and how long requests took."""
    p50, p95, p99 = (median(getattr(rush, name) for rush in rushes) for name in ("p50", "p95", "p99"))
    theirs = median(rush.client_cpu for rush in rushes)
    said = f"{median(cpu(rushes)):.2f} ms CPU a request (client {theirs:.2f}), p50/p95/p99 {p50:.0f}/{p95:.0f}/{p99:.0f} ms"
    turned_away = sum(rush.turned_away for rush in rushes)
    return f"{said}, {turned_away} answered with 503" if turned_away else said


def rates(rushes: Sequence[Rush]) -> list[float]:
    """Requests a second."""
    return [rush.requests / rush.seconds for rush in rushes]


def cpu(rushes: Sequence[Rush]) -> list[float]:
    """Processor time a request, in milliseconds."""
    return [rush.cpu for rush in rushes]


# --- houses -----------------------------------------------------------------------------------------------------------


def _houses(
    stack: ExitStack, wanted: Sequence[tuple[Databases, int]], people: int
) -> tuple[list[House], str]:
    """Those that open, and a sentence about those that do not."""
    houses, refused = [], ""
    for databases, processes in wanted:
        try:
            houses.append(stack.enter_context(_house(databases, processes, people)))
        except server.Refused as why:
            if processes == 1:
                raise
            refused = f" Left out: {databases.name} with {processes} processes ({why})."
    return houses, refused


@contextmanager
def _house(databases: Databases, processes: int, people: int) -> Iterator[House]:
    everybody = range(people + WARMING_UP)
    here = region.Region(len(everybody), SystemClock().now(), waiting=True)

    def fill(engine: Engine) -> None:
        region.fill(engine, here)
        region.send_links(engine, here, everybody)

    url = databases.url(databases.template(fill))
    with server.product(url, processes) as running:
        house = House(databases, processes, url, running, iter(everybody))
        house.answer(WARMING_UP, WARMING_UP)
        yield house


def _answered(url: str) -> int:
    engine = make_engine(settings(url))
    with engine.begin() as connection:
        finished = select(func.count()).where(CheckIn.day == 90, CheckIn.state == "answered")
        known = int(connection.scalar(finished) or 0)
    engine.dispose()
    return known


# --- the table --------------------------------------------------------------------------------------------------------


def _speeds(bare: Rushes, houses: Sequence[House]) -> Iterator[Figure]:
    for at_once, limit in bare.items():
        yield Figure(f"bare route, {at_once} at once", rates(limit), "/s", note=note(limit))
        for house in houses:
            yield _of_requests(house, at_once, limit)
            yield _of_people(house, at_once, houses)


def _of_requests(house: House, at_once: int, limit: Sequence[Rush]) -> Figure:
    ours = house.rushes[at_once]
    return Figure(
        f"{house.name}, {at_once} at once: requests",
        rates(ours),
        "/s",
        paired(rates(ours), rates(limit)),
        "≥ 0.15" if house.processes == 1 else "",
        f"{note(ours)}, ratio by CPU {paired(cpu(limit), cpu(ours)):.3f}",
    )


def _of_people(house: House, at_once: int, houses: Sequence[House]) -> Figure:
    name, ours = f"{house.name}, {at_once} at once: finished check-ins", _finished(house.rushes[at_once])
    if house.processes == 1:
        return Figure(name, ours, "/s", target="≥ 15" if isinstance(house.databases, Sqlite) else "")
    single = next(one for one in houses if one.databases is house.databases)
    ratio = paired(ours, _finished(single.rushes[at_once]))
    return Figure(name, ours, "/s", ratio, "≥ 1.7", "÷ 1 process")


def _finished(rushes: Sequence[Rush]) -> list[float]:
    return [rush.people / rush.seconds for rush in rushes]


def _requests_each(house: House) -> Figure:
    each = [rush.requests / rush.people for rushes in house.rushes.values() for rush in rushes]
    return Figure(f"{house.name}: requests a check-in", each, "", target="≤ 12")
