"""A loopback push service: it checks who calls (VAPID), opens what is sent with the device's own keys, and fails as told.

`shown` is what devices would have been woken for, in order; `faults` is every promise of the protocols that a call broke.
"""

import asyncio
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import http_ece
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from notifications.channels import Device

Mode = Literal[
    "ok",
    "404",
    "410",
    "413",
    "429",
    "401",
    "403",
    "400",
    "500",
    "hang",
    "accept_then_hang",
    "reset",
    "elsewhere",
]
MOST_SECONDS = 24 * 3600


@dataclass
class Browser:
    """A device's end of a subscription: its keys, and what it was sent, opened."""

    id: str
    key: ec.EllipticCurvePrivateKey
    secret: bytes
    mode: Mode | None = None
    gone: bool = False
    texts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Shown:
    """One push, opened."""

    browser: str
    text: str
    headers: dict[str, str]
    claims: dict[str, Any]


@dataclass
class PushService:
    """The service's doings; change `mode` while it runs, or a browser's own. `at` is its clock, the real one unless told."""

    mode: Mode = "ok"
    url: str = ""
    retry_after: str = "30"
    at: datetime | None = None
    posts: int = 0
    shown: list[Shown] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    browsers: dict[str, Browser] = field(default_factory=dict)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def subscribe(self, mode: Mode | None = None) -> Device:
        """A new browser that takes push; `mode` is its own fate."""
        browser = Browser(uuid4().hex, ec.generate_private_key(ec.SECP256R1()), uuid4().bytes, mode)
        self.browsers[browser.id] = browser
        point = browser.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return Device(
            id=UUID(browser.id),
            endpoint=f"{self.url}/push/{browser.id}",
            p256dh=text_of(point),
            auth=text_of(browser.secret),
        )

    def texts(self) -> list[str]:
        """What was opened, in order."""
        return [one.text for one in self.shown]

    def wait_for(self, wanted: Callable[[], bool], seconds: float = 120) -> None:
        """Returns when it is so; asked again after every request."""
        with self._news:
            assert self._news.wait_for(wanted, seconds), "it never came to that"

    def now(self) -> datetime:
        """The service's time."""
        return self.at or datetime.now(UTC)  # noqa: TID251 - a push service has a clock of its own

    async def push(self, request: web.Request) -> web.StreamResponse:
        """POST /push/{id}"""
        sealed = await request.read()
        browser = self.browsers.get(request.match_info["id"])
        mode = (browser.mode if browser else None) or self.mode
        with self._news:
            self.posts += 1
            self._news.notify_all()
        if browser is None or browser.gone:
            return web.Response(status=410)
        if mode == "hang":
            await asyncio.sleep(3600)
        if mode == "reset":
            assert request.transport
            request.transport.abort()
        if mode == "elsewhere":
            return web.Response(status=307, headers={"Location": f"{self.url}/inside"})
        if mode == "429":
            return web.Response(status=429, headers={"Retry-After": self.retry_after})
        if mode in ("404", "410", "413", "401", "403", "400", "500"):
            browser.gone = mode in ("404", "410")
            # What a service says may quote the address: it must not end in a log.
            return web.Response(status=int(mode), text=f"refused {request.url}")
        return await self._take(request, browser, sealed, mode)

    async def inside(self, _request: web.Request) -> web.StreamResponse:
        """What a redirect would lead to: nobody may come here."""
        self.faults.append("followed elsewhere")
        return web.Response(status=201)

    async def _take(
        self, request: web.Request, browser: Browser, sealed: bytes, mode: Mode
    ) -> web.StreamResponse:
        claims, faults = who_calls(request, self.url, self.now())
        faults += broken_promises(request, sealed)
        if faults:
            self.faults += faults
            return web.Response(status=401 if claims is None else 400)
        opened: bytes = http_ece.decrypt(
            sealed, private_key=browser.key, auth_secret=browser.secret, version="aes128gcm"
        )
        with self._news:
            browser.texts.append(opened.decode())
            self.shown.append(Shown(browser.id, opened.decode(), dict(request.headers), claims or {}))
            self._news.notify_all()
        if mode == "accept_then_hang":
            await asyncio.sleep(3600)
        return web.Response(status=201, headers={"Location": f"{self.url}/receipt/{uuid4().hex}"})


def who_calls(request: web.Request, url: str, now: datetime) -> tuple[dict[str, Any] | None, list[str]]:
    """The claims of the caller (RFC 8292), when the signature is that of the key beside them; and what is wrong with them."""
    parts = vapid_parts(request)
    if not {"t", "k"} <= parts.keys():
        return None, ["no VAPID"]
    point = _bytes(parts["k"])
    key = ECKey.import_key({"kty": "EC", "crv": "P-256", "x": text_of(point[1:33]), "y": text_of(point[33:])})
    try:
        claims = jwt.decode(parts["t"], key, algorithms=["ES256"]).claims
    except JoseError:
        return None, ["signed by another key"]
    faults = []
    where = urlsplit(url)
    if claims.get("aud") != f"{where.scheme}://{where.netloc}":
        faults.append(f"aud is {claims.get('aud')}")
    left = claims.get("exp", 0) - now.timestamp()
    if not 0 < left <= MOST_SECONDS:
        faults.append(f"exp is {left} s away")
    if not str(claims.get("sub", "")).startswith(("mailto:", "https:")):
        faults.append("no sub")
    return claims, faults


def vapid_parts(request: web.Request) -> dict[str, str]:
    """`t` and `k` of the caller's header, where it has one."""
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    parts = (part.strip().partition("=") for part in rest.split(","))
    return {name: value for name, _, value in parts} if scheme.lower() == "vapid" else {}


def broken_promises(request: web.Request, sealed: bytes) -> list[str]:
    """RFC 8030, 8188 and 8291: how long, how urgent, about what, and in which wrapping."""
    said = request.headers
    faults = []
    if not said.get("TTL", "").isdecimal():
        faults.append("no TTL")
    if said.get("Urgency", "normal") not in ("very-low", "low", "normal", "high"):
        faults.append("no such urgency")
    topic = said.get("Topic")
    if topic is not None and not (0 < len(topic) <= 32 and topic.replace("-", "").replace("_", "").isalnum()):
        faults.append("no topic")
    if said.get("Content-Encoding") != "aes128gcm":
        faults.append("another encoding")
    if len(sealed) > 4096:
        faults.append("too large")
    return faults


def text_of(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@contextmanager
def running(service: PushService) -> Iterator[PushService]:
    """Serves on a free loopback port until left."""
    app = web.Application()
    app.router.add_post("/push/{id}", service.push)
    app.router.add_post("/inside", service.inside)
    with serving(app) as url:
        service.url = url
        yield service


@contextmanager
def serving(app: web.Application) -> Iterator[str]:
    """Any application in a thread of its own; the address it listens on."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    runners: list[web.AppRunner] = []
    urls: list[str] = []

    async def start() -> None:
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        runners.append(runner)
        started.set()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        # Started inside the running loop: a stop that comes at once then meets a loop that can be stopped.
        starting = loop.create_task(start())
        loop.run_forever()
        starting.result()
        hanging = asyncio.all_tasks(loop)
        for task in hanging:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*hanging, return_exceptions=True))
        loop.run_until_complete(runners[0].cleanup())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert started.wait(120)
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
