"""Many phones at once, as a process of their own: `python -m bench.crowd JSON`, driven like `bench.carrier`.

On uvloop and without cookie jars or parsers of the whole page, since it shares the machine with what is measured.
"""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter, process_time
from typing import Any

import aiohttp
import uvloop

from bench import processes
from bench.figures import percentile
from bench.phone import BROWSER, NAVIGATION, Phone, Stuck, without_ids
from bench.server import Server


@dataclass(frozen=True)
class Visit:
    """One request to be made again and again: a page for somebody who is signed in."""

    path: str
    cookie: str = ""
    fields: dict[str, str] | None = None


@dataclass(frozen=True)
class Order:
    """What a crowd is to do: answer the check-ins that `links` lead to, or make `visits` in turn for so many `seconds`."""

    url: str
    at_once: int
    links: Sequence[str] = ()
    visits: Sequence[Visit] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Rush:
    """What came of it. Times are milliseconds; `cpu` and `client_cpu` are the processor time of both sides for each request.

    `turned_away`: visits answered with 503, which count for nothing else.
    """

    seconds: float
    requests: int
    people: int
    p50: float
    p95: float
    p99: float
    client_cpu: float
    turned_away: int
    cpu: float = 0.0

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


@dataclass
class Crowd:
    """The phones, and how long each of their requests took."""

    order: Order
    took: list[float] = field(default_factory=list)
    people: int = 0
    turned_away: int = 0

    async def answer(self, links: Iterator[str]) -> None:
        """One person after the other, each with a phone and connections of their own."""
        for token in links:
            async with _session() as session:
                await Phone(session, self.order.url, self.took).answer_link(token)
            self.people += 1

    async def look(self, visits: Iterator[Visit], until: float) -> None:
        """One page after the other."""
        async with _session() as session:
            while perf_counter() < until:
                await self._visit(session, next(visits))

    async def _visit(self, session: aiohttp.ClientSession, visit: Visit) -> None:
        method = "GET" if visit.fields is None else "POST"
        headers = BROWSER | NAVIGATION | {"Cookie": visit.cookie}
        began = perf_counter()
        async with session.request(
            method, self.order.url + visit.path, data=visit.fields, headers=headers, allow_redirects=False
        ) as answer:
            await answer.read()
        if answer.status == 200:
            self.took.append(perf_counter() - began)
        elif answer.status == 503:
            self.turned_away += 1
        else:
            raise Stuck(f"{answer.status} from {method} {without_ids(visit.path)}")


def send(server: Server, order: Order) -> Rush:
    """Lets a crowd loose on the server, and takes the server's processor time meanwhile."""
    before = server.cpu()
    _, (said,) = processes.together([[sys.executable, "-m", "bench.crowd", json.dumps(asdict(order))]])
    if "stuck" in said:
        raise RuntimeError(said["stuck"])
    return Rush(**said, cpu=(server.cpu() - before) * 1000 / said["requests"])


async def rush(order: Order) -> dict[str, Any]:
    """Waits for the word, then goes."""
    loop = asyncio.get_running_loop()
    crowd = Crowd(order)
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    began, used = perf_counter(), process_time()
    if order.visits:
        visits, until = _again_and_again(order.visits), began + order.seconds
        await asyncio.gather(*(crowd.look(visits, until) for _ in range(order.at_once)))
    else:
        links = iter(order.links)
        await asyncio.gather(*(crowd.answer(links) for _ in range(order.at_once)))
    if not crowd.took:
        raise Stuck("nobody was answered")
    seconds, each = perf_counter() - began, (process_time() - used) * 1000 / len(crowd.took)
    shares = {f"p{share}": percentile(crowd.took, share / 100) * 1000 for share in (50, 95, 99)}
    return {
        "seconds": seconds,
        "requests": len(crowd.took),
        "people": crowd.people,
        "client_cpu": each,
        "turned_away": crowd.turned_away,
        **shares,
    }


def _again_and_again(visits: Sequence[Visit]) -> Iterator[Visit]:
    while True:
        yield from visits


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=6))


def _main(given: dict[str, Any]) -> dict[str, Any]:
    given["visits"] = [Visit(**visit) for visit in given["visits"]]
    try:
        return uvloop.run(rush(Order(**given)))
    except (Stuck, aiohttp.ClientError) as stuck:
        return {"stuck": f"{type(stuck).__name__}: {stuck}"}


if __name__ == "__main__":
    print(json.dumps(_main(json.loads(sys.argv[1]))), flush=True)
