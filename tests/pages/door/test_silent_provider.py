"""A provider that hangs keeps nobody waiting but those who asked it, and those not for long."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey
from pydantic import SecretStr
from sqlalchemy import Engine
from starlette.testclient import TestClient

from companion.clock import FixedClock
from companion.demo import PERSONAS
from companion.settings import Settings
from web.app import create_app
from web.demo.identity_provider import IdentityProvider, Inside
from web.door.oidc import Door
from web.house.errors import SignInFailed
from web.house.settings import WebSettings

NOW = datetime(2026, 11, 10, 9, 0, tzinfo=UTC)
KEY = SecretStr(json.dumps(RSAKey.generate_key(2048, {"kid": "us"}, private=True).as_dict(private=True)))
LONG = 100.0

Serve = Callable[..., TestClient]


@pytest.fixture
def serve(settings: Settings, engine: Engine, clock: FixedClock) -> Iterator[Serve]:
    """A server with room for one page at a time, whose patients sign in at `issuer`."""
    with ExitStack() as served:

        def start(issuer: str, seconds: float = LONG) -> TestClient:
            web = WebSettings(
                in_flight=1,
                oidc_seconds=seconds,
                oidc_patient_issuer=issuer,
                oidc_patient_client_id="us",
                oidc_patient_client_key=KEY,
            )
            app = create_app(web, settings=settings, clock=clock, engine=engine)
            return served.enter_context(TestClient(app, follow_redirects=False))

        yield start


class Provider:
    """Takes what is asked, says `begun` and then nothing, until it is let go."""

    def __init__(self, begun: bytes) -> None:
        self._begun, self._listening = begun, socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.asked, self.let_go = Event(), Event()

    def work(self) -> None:
        line, _ = self._listening.accept()
        with line, self._listening:
            line.recv(65_536)
            line.sendall(self._begun)
            self.asked.set()
            self.let_go.wait()


@pytest.mark.parametrize(
    "begun",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Type: application", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"],
)
def test_pages_are_answered_while_a_provider_hangs(serve: Serve, begun: bytes) -> None:
    provider = Provider(begun)
    server = serve(provider.url)
    with ThreadPoolExecutor() as people:
        working = people.submit(provider.work)
        waiting: Future[Any] = people.submit(server.get, "/sign-in/patient")
        try:
            assert provider.asked.wait(60)
            assert [server.get(page).status_code for page in ("/privacy", "/sign-in/code", "/k")] == [
                200,
                200,
                200,
            ]
            assert not waiting.done(), "they were answered first"
        finally:
            provider.let_go.set()
        working.result()
        assert "Innloggingen" in waiting.result().text


def test_nobody_waits_long_and_the_next_ones_not_at_all(serve: Serve, clock: FixedClock) -> None:
    with socket.socket() as hole, ExitStack() as filled:
        # Nobody takes what comes; when the queue is full not even a connection comes about.
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for _ in range(3):
            one = filled.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(hole.getsockname())
        server = serve(f"http://127.0.0.1:{hole.getsockname()[1]}", 0.3)
        first, second = (server.get("/sign-in/patient") for _ in range(2))
    assert first.status_code == second.status_code == 403
    assert "Innloggingen" in first.text


class Moody(httpx.AsyncBaseTransport):
    """The built-in provider, silent while `silent`."""

    def __init__(self, provider: IdentityProvider) -> None:
        self._inside = Inside(provider)
        self.silent, self.asked = False, 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.silent:
            await asyncio.Event().wait()
        return await self._inside.handle_async_request(request)


def test_a_silent_provider_is_tried_by_one_person_a_while() -> None:
    provider = IdentityProvider("http://127.0.0.1:8000", PERSONAS, lambda: NOW)
    line = Moody(provider)
    door = Door(provider.client("patient"), httpx.AsyncClient(transport=line), timedelta(milliseconds=20))

    async def leave(now: datetime) -> str:
        address, _ = await door.leave("patient", next="", lang="nb", hint=None, now=now)
        return address

    async def story() -> None:
        line.silent = True
        with pytest.raises(SignInFailed, match=r"^the provider is silent$"):
            await leave(NOW)
        with pytest.raises(SignInFailed, match="a moment ago"):
            await leave(NOW)
        assert line.asked == 1
        line.silent = False
        later = NOW + timedelta(minutes=1)
        assert (await leave(later)).startswith(provider.issuer)
        assert (await leave(later)).startswith(provider.issuer)

    asyncio.run(story())


def test_what_the_provider_said_is_asked_for_again_beside_the_work() -> None:
    provider = IdentityProvider("http://127.0.0.1:8000", PERSONAS, lambda: NOW)
    line = Moody(provider)
    door = Door(provider.client("patient"), httpx.AsyncClient(transport=line), timedelta(seconds=LONG))

    async def story() -> None:
        await door.leave("patient", next="", lang="nb", hint=None, now=NOW)
        line.silent = True
        for _ in range(3):
            await door.leave("patient", next="", lang="nb", hint=None, now=NOW + timedelta(hours=2))
            await asyncio.sleep(0)
        assert line.asked == 2, "it is asked, once, and nobody waits for it"

    asyncio.run(story())
