"""A loopback server that behaves like Twilio's message API, well or badly as told; it runs in a thread of its own.

It counts: `taken` are the messages people would have received, `posts` every request to send one.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Literal
from uuid import uuid4

from aiohttp import web

Mode = Literal[
    "ok", "slow", "accept_then_hang", "accept_then_500", "hang", "reset", "refuse", "429", "unreadable"
]
# As in the sandbox, numbers have a fate.
REFUSED = {"+4799900001": 21211, "+4799900002": 21614, "+4799900003": 21610}
HANGS_AFTER_TAKING = "+4799900005"
HANGS_WITHOUT_TAKING = "+4799900006"
BUSY = "+4799900007"


@dataclass
class Taken:
    """A message a person would have received."""

    sid: str
    form: dict[str, str]
    at: datetime
    status: str = "sent"
    error_code: int | None = None


@dataclass
class TwilioLike:
    """The server's doings; change `mode` while it runs. `clock` says what time its messages carry."""

    mode: Mode = "ok"
    url: str = ""
    seconds: float = 0.05
    taken: list[Taken] = field(default_factory=list)
    posts: int = 0
    authorization: str = ""
    clock_at: datetime | None = None
    hang_after_taking: set[str] = field(default_factory=lambda: {HANGS_AFTER_TAKING})
    hang_without_taking: set[str] = field(default_factory=lambda: {HANGS_WITHOUT_TAKING})
    refuse_with: Any = None
    _news: threading.Condition = field(default_factory=threading.Condition)

    def bodies(self) -> list[str]:
        """The texts taken, in order."""
        return [one.form["Body"] for one in self.taken]

    def per_number(self) -> Counter[str]:
        """How many messages each number has received."""
        return Counter(one.form["To"] for one in self.taken)

    def wait_for(self, wanted: Callable[[], bool], seconds: float = 30) -> None:
        """Returns when it is so; asked again after every request."""
        with self._news:
            assert self._news.wait_for(wanted, seconds), "it never came to that"

    def now(self) -> datetime:
        """The server's time."""
        return self.clock_at or datetime.now(UTC)  # noqa: TID251 - a provider has a clock of its own

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST Messages.json"""
        form = {name: str(value) for name, value in (await request.post()).items()}
        with self._news:
            self.posts += 1
            self._news.notify_all()
        self.authorization = request.headers.get("Authorization", "")
        number = form["To"]
        if code := self.refuse_with or REFUSED.get(number):
            return web.json_response({"code": code, "message": "refused", "status": 400}, status=400)
        if self.mode == "429" or number == BUSY:
            return web.json_response({"code": 20429}, status=429, headers={"Retry-After": "30"})
        if self.mode == "hang" or number in self.hang_without_taking:
            await asyncio.sleep(3600)
        if self.mode == "slow":
            await asyncio.sleep(self.seconds)
        one = Taken(f"SM{uuid4().hex}", form, self.now())
        with self._news:
            self.taken.append(one)
            self._news.notify_all()
        if self.mode == "accept_then_hang" or number in self.hang_after_taking:
            await asyncio.sleep(3600)
        if self.mode == "accept_then_500":
            return web.json_response({"code": 20500}, status=500)
        if self.mode == "reset":
            assert request.transport
            request.transport.abort()
        if self.mode == "unreadable":
            return web.Response(text="<html>", status=201)
        return web.json_response(self._shown(one), status=201)

    async def listing(self, request: web.Request) -> web.StreamResponse:
        """GET Messages.json"""
        if self.mode == "429":
            return web.json_response({"code": 20429, "message": "busy", "status": 429}, status=429)
        to = request.query.get("To")
        found = [self._shown(one) for one in reversed(self.taken) if to in (None, one.form["To"])]
        return web.json_response(
            {
                "messages": found[: int(request.query.get("PageSize", "50"))],
                "page": 0,
                "page_size": 50,
                "next_page_uri": None,
                "uri": str(request.rel_url),
            }
        )

    async def one(self, request: web.Request) -> web.StreamResponse:
        """GET Messages/{sid}.json"""
        if self.mode == "429":
            return web.json_response({"code": 20429, "message": "busy", "status": 429}, status=429)
        for one in self.taken:
            if one.sid == request.match_info["sid"]:
                return web.json_response(self._shown(one))
        return web.json_response({"code": 20404, "message": "not found", "status": 404}, status=404)

    def _shown(self, one: Taken) -> dict[str, Any]:
        when = format_datetime(one.at)
        return {
            "sid": one.sid,
            "to": one.form["To"],
            "from": one.form.get("From"),
            "body": one.form["Body"],
            "status": one.status,
            "date_created": when,
            "date_sent": when,
            "date_updated": when,
            "error_code": one.error_code,
            "num_segments": "1",
            "direction": "outbound-api",
        }


@contextmanager
def running(server: TwilioLike) -> Iterator[TwilioLike]:
    """Serves on a free loopback port until left."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    runners: list[web.AppRunner] = []

    async def start() -> None:
        app = web.Application()
        app.router.add_post("/2010-04-01/Accounts/{account}/Messages.json", server.create)
        app.router.add_get("/2010-04-01/Accounts/{account}/Messages.json", server.listing)
        app.router.add_get("/2010-04-01/Accounts/{account}/Messages/{sid}.json", server.one)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        runners.append(runner)
        started.set()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(start())
        loop.run_forever()
        hanging = asyncio.all_tasks(loop)
        for task in hanging:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*hanging, return_exceptions=True))
        loop.run_until_complete(runners[0].cleanup())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    started.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
