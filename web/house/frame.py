"""What surrounds every request: its id and moment, limits, headers, one line in the log, and a page when all else fails."""

import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from companion.clock import Clock
from web.house import security
from web.house.slots import Slot, Slots

log = structlog.get_logger("web")

_ANSWERS = Counter("web_requests_total", "Answers by route and status.", ["method", "route", "status"])
_SECONDS = Histogram("web_request_seconds", "Time to answer, by route.", ["route"])
# They hold no database connection. The demo's provider is asked while another request waits for it.
_WITHOUT_SLOT = ("/static/", "/demo/idp", "/healthz")

# Lists of programs take their time; they wait for each other, and pages wait for none of them.
_PROGRAMS = "/api/"

FailurePage = Callable[[Request, int], Response]


class Frame:
    """The outermost layer. As many requests are worked on at once as there are slots, each with its body already received:
    so whoever holds the database's lock always has a thread to go on in, and a slow sender keeps nobody waiting.
    HEAD is answered as GET, without the body.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        clock: Clock,
        https: bool,
        pages: Slots,
        programs: Slots,
        max_body: int,
        failure: FailurePage,
    ) -> None:
        self._app, self._clock, self._https = app, clock, https
        self.pages, self.programs = pages, programs
        self._max_body, self._failure = max_body, failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request or web socket."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        scope["app"] = self._app
        scope.setdefault("state", {}).update(id=uuid4().hex, now=self._clock.now())
        if scope["type"] == "websocket":
            return await self._app(scope, receive, send)
        await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status, started, method = time.perf_counter(), 500, False, scope["method"]
        if method == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)

        async def dressed(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                _lead_scripts(scope, message)
                status, started = message["status"], True
                self._dress(scope, MutableHeaders(scope=message))
            await send(message)

        try:
            body = await _body(scope, receive, self._max_body)
            if body is None:
                await self._failure(Request(scope), 413)(scope, receive, dressed)
            elif scope["path"].startswith(_WITHOUT_SLOT):
                await self._app(scope, _replay(body, receive), dressed)
            else:
                places = self.programs if scope["path"].startswith(_PROGRAMS) else self.pages
                async with Slot(places) as scope["state"]["slot"]:
                    await self._app(scope, _replay(body, receive), dressed)
        except Exception as error:
            # Only the kind of error: texts of errors may quote what somebody typed.
            log.error("failed", id=scope["state"]["id"], error=type(error).__name__, at=_where(error))
            if not started:
                await self._failure(Request(scope), 500)(scope, receive, dressed)
        finally:
            _note(scope, method, status, time.perf_counter() - began)

    def _dress(self, scope: Scope, headers: MutableHeaders) -> None:
        for name, value in security.headers(scope["path"], https=self._https).items():
            headers.setdefault(name, value)
        headers.setdefault("Cache-Control", "no-store")
        headers["X-Request-Id"] = scope["state"]["id"]


def _lead_scripts(scope: Scope, message: Message) -> None:
    """A script would follow a redirect unseen and put that page into a part of this one; told where, the browser goes there."""
    headers = MutableHeaders(scope=message)
    if "location" in headers and Headers(scope=scope).get("hx-request"):
        message["status"] = 200
        headers["HX-Redirect"] = headers["location"]
        del headers["location"]


async def _body(scope: Scope, receive: Receive, limit: int) -> bytes | None:
    """The whole body, or None when it is larger than we take."""
    if any(name == b"content-length" and int(value) > limit for name, value in scope["headers"]):
        return None
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            return None
        if not message.get("more_body"):
            break
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    waiting = [body]

    async def again() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return again


def _without_body(send: Send) -> Send:
    async def start_and_end(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return start_and_end


def _note(scope: Scope, method: str, status: int, seconds: float) -> None:
    # The route's template: an address may carry ids.
    route = getattr(scope.get("route"), "path", "-")
    _ANSWERS.labels(method, route, status).inc()
    _SECONDS.labels(route).observe(seconds)
    log.info(
        "request",
        id=scope["state"]["id"],
        method=method,
        route=route,
        status=status,
        ms=round(seconds * 1000, 1),
    )


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
