"""A push service that a real Firefox subscribes at: its WebSocket protocol towards the browser, Web Push towards us.

A push that no browser has acknowledged is sent again when it says hello; `acknowledged` are the codes browsers answered with
(100: shown by a service worker that kept its promise).
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiohttp import WSMsgType, web

from tests.rig.push_service import broken_promises, serving, text_of, vapid_parts, who_calls

DELIVERED = 100


@dataclass
class AutopushLike:
    """The service's doings. `keys`: by channel, the one key that may send to it."""

    url: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, dict[str, Any]] = field(default_factory=dict)
    acknowledged: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    taken: int = 0
    _browser: web.WebSocketResponse | None = None
    _news: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, wanted: Callable[[], bool], seconds: float = 120) -> None:
        """Returns when it is so; asked again after everything a browser or a sender says."""
        with self._news:
            assert self._news.wait_for(wanted, seconds), "it never came to that"

    async def browser(self, request: web.Request) -> web.StreamResponse:
        """The browser's end."""
        socket = web.WebSocketResponse(protocols=("push-notification",))
        await socket.prepare(request)
        async for frame in socket:
            if frame.type is WSMsgType.TEXT and frame.data.strip() not in ("", "{}"):
                await self._hear(socket, json.loads(frame.data))
        return socket

    async def _hear(self, socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
        match said.get("messageType"):
            case "hello":
                self._browser = socket
                uaid = said.get("uaid") or uuid4().hex
                await socket.send_json(
                    {
                        "messageType": "hello",
                        "uaid": uaid,
                        "status": 200,
                        "use_webpush": True,
                        "broadcasts": {},
                    }
                )
                for one in list(self.waiting.values()):
                    await socket.send_json(one)
            case "register":
                channel = said["channelID"]
                self.keys[channel] = said.get("key", "")
                endpoint = f"{self.url}/push/{channel}"
                answer = {"channelID": channel, "status": 200, "pushEndpoint": endpoint}
                await socket.send_json({"messageType": "register", **answer})
            case "unregister":
                self.keys.pop(said["channelID"], None)
                answer = {"channelID": said["channelID"], "status": 200}
                await socket.send_json({"messageType": "unregister", **answer})
            case "ack" | "nack" as kind:
                for one in said.get("updates", [said]):
                    self.waiting.pop(one["version"], None)
                    self.acknowledged.append(one["code"] if kind == "ack" else -one.get("code", 1))
        with self._news:
            self._news.notify_all()

    async def push(self, request: web.Request) -> web.StreamResponse:
        """POST /push/{channel}"""
        channel, sealed = request.match_info["channel"], await request.read()
        if channel not in self.keys:
            return web.Response(status=410)
        now = datetime.now(UTC)  # noqa: TID251 - a push service has a clock of its own
        _claims, faults = who_calls(request, self.url, now)
        faults += broken_promises(request, sealed)
        if vapid_parts(request).get("k", "").rstrip("=") != self.keys[channel].rstrip("="):
            faults.append("another key than the subscription's")
        if faults:
            self.faults += faults
            return web.Response(status=401)
        version = uuid4().hex
        headers = {"encoding": request.headers["Content-Encoding"]}
        self.waiting[version] = {
            "messageType": "notification",
            "channelID": channel,
            "version": version,
            "data": text_of(sealed),
            "headers": headers,
        }
        if self._browser and not self._browser.closed:
            await self._browser.send_json(self.waiting[version])
        with self._news:
            self.taken += 1
            self._news.notify_all()
        return web.Response(status=201)


@contextmanager
def running(service: AutopushLike) -> Iterator[AutopushLike]:
    """Serves browsers and senders on a free loopback port until left."""
    app = web.Application()
    app.router.add_get("/", service.browser)
    app.router.add_post("/push/{channel}", service.push)
    with serving(app) as url:
        service.url = url
        yield service
