"""The least HTTP/1.1 server that carries a load: requests in, answers out, or silence, or a connection torn off."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from httptools import HttpParserCallbackError, HttpParserError, HttpRequestParser

REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    429: "Too Many",
}


@dataclass
class Request:
    """What was asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What is answered."""

    status: int
    body: bytes = b""
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def bytes(self) -> bytes:
        """As it goes over the wire."""
        lines = [
            f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'As It Is')}",
            f"Content-Type: {self.kind}",
            f"Content-Length: {len(self.body)}",
            f"Date: {formatdate(usegmt=True)}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


# Never answered, and the connection torn off.
SILENCE = Answer(0)
RESET = Answer(-1)
Handler = Callable[[Request], Answer | Coroutine[Any, Any, Answer]]


class Listener:
    """Serves one handler on one loopback port; it can stop listening there and begin again."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.port = 0
        self.open: set[asyncio.Transport] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def listen(self) -> None:
        """Takes connections; after `refuse` on the same port as before."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Takes no connections, and tears off the ones there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for transport in tuple(self.open):
            transport.abort()

    async def close(self) -> None:
        """No connection and no task left."""
        await self.refuse()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.sleep(0)


class _Connection(asyncio.Protocol):
    """One connection; one request at a time, as clients without pipelining send them."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._parser = HttpRequestParser(self)
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._listener.open.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserCallbackError:
            # A fault of the rig's own must not pass for a provider's.
            self._transport.abort()
            raise
        except HttpParserError:
            self._transport.abort()

    # --- the parser's findings

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body = b"", {}, b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        split = urlsplit(self._url.decode())
        request = Request(
            self._parser.get_method().decode(),
            unquote(split.path),
            dict(parse_qsl(split.query, keep_blank_values=True)),
            self._headers,
            self._body,
        )
        answer = self._listener.handler(request)
        if isinstance(answer, Answer):
            self._give(answer)
        else:
            task = asyncio.get_running_loop().create_task(self._give_later(answer))
            self._listener.tasks.add(task)
            task.add_done_callback(self._listener.tasks.discard)

    async def _give_later(self, answer: Coroutine[Any, Any, Answer]) -> None:
        self._give(await answer)

    def _give(self, answer: Answer) -> None:
        if answer is RESET:
            self._transport.abort()
        elif answer is not SILENCE and not self._transport.is_closing():
            self._transport.write(answer.bytes())
