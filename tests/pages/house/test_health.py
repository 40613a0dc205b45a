"""Whether pages can be answered is told by the process itself, also when every page hangs."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import anyio.to_thread
import httpx
import pytest
from sqlalchemy import Engine

from companion.clock import FixedClock
from companion.db import make_engine
from companion.settings import Settings
from tests.pages.client import HERE
from web.app import create_app
from web.house.frame import Frame
from web.house.settings import WebSettings

AT_ONCE = 2


class Seconds:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.passed = 1000.0

    def __call__(self) -> float:
        return self.passed


@pytest.fixture
def narrow(settings: Settings) -> Iterator[Engine]:
    """A database with as many connections as pages are answered at once."""
    own = make_engine(settings, pool_size=AT_ONCE)
    yield own
    own.dispose()


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def server(settings: Settings, narrow: Engine, clock: FixedClock, seconds: Seconds) -> Frame:
    return create_app(
        WebSettings(in_flight=AT_ONCE), settings=settings, engine=narrow, clock=clock, seconds=seconds
    )


@asynccontextmanager
async def pages_that_hang(server: Frame, number: int) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody asks for so many pages, and none comes; let go at the end, they all do."""
    async with (
        asyncio.timeout(60),
        httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url=HERE) as somebody,
    ):
        asked = [asyncio.ensure_future(somebody.get("/readyz")) for _ in range(number)]
        await until(lambda: server.pages.taken == min(number, AT_ONCE))
        yield somebody
        await asyncio.gather(*asked)
        assert await health(somebody) == (200, "ok")


async def until(done: Callable[[], bool]) -> None:
    while not done():
        await asyncio.sleep(0)


async def health(somebody: httpx.AsyncClient) -> tuple[int, str]:
    answer = await somebody.get("/healthz")
    return answer.status_code, answer.json()["status"]


def test_pages_that_wait_for_the_database_in_vain_are_noticed(
    server: Frame, narrow: Engine, seconds: Seconds
) -> None:
    async def story() -> None:
        held = [narrow.connect() for _ in range(AT_ONCE)]
        async with pages_that_hang(server, AT_ONCE + 1) as somebody:
            seconds.passed += 9.9
            assert await health(somebody) == (200, "ok")
            seconds.passed += 0.1
            assert await health(somebody) == (503, "stuck")
            for one in held:
                one.close()

    asyncio.run(story())


def test_pages_that_wait_for_a_thread_in_vain_are_noticed(server: Frame, seconds: Seconds) -> None:
    async def story() -> None:
        let_go, threads = threading.Event(), anyio.to_thread.current_default_thread_limiter()
        threads.total_tokens = AT_ONCE
        hanging = [asyncio.ensure_future(anyio.to_thread.run_sync(let_go.wait)) for _ in range(AT_ONCE)]
        await until(lambda: threads.borrowed_tokens == AT_ONCE)
        async with pages_that_hang(server, AT_ONCE) as somebody:
            seconds.passed += 10
            assert await health(somebody) == (503, "stuck")
            let_go.set()
            await asyncio.gather(*hanging)

    asyncio.run(story())


def test_one_slow_page_is_no_standstill(server: Frame, narrow: Engine, seconds: Seconds) -> None:
    async def story() -> None:
        held = [narrow.connect() for _ in range(AT_ONCE)]
        async with pages_that_hang(server, AT_ONCE - 1) as somebody:
            seconds.passed += 60
            assert await health(somebody) == (200, "ok")
            for one in held:
                one.close()

    asyncio.run(story())


def test_nobody_asking_is_no_standstill(server: Frame, seconds: Seconds) -> None:
    async def story() -> None:
        async with pages_that_hang(server, 0) as somebody:
            seconds.passed += 3600
            assert await health(somebody) == (200, "ok")

    asyncio.run(story())
