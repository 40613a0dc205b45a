"""The provider's loopback stand-in: a process of its own, raw protocol on uvloop, so that it is never what is measured.

POST anything: 201 with ~870 bytes of JSON, after the latency set. `/reset?LATENCY,SHIFT` forgets and sets the clock;
`/counts` tells what arrived; GET of the messages lists what a number has received.
"""

import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime
from itertools import count
from typing import Any, cast
from urllib.parse import parse_qs, quote_plus

import uvloop

from companion.clock import SystemClock

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_TO = re.compile(rb"(?:^|&)To=([^&]+)")


class Counts:
    """What has arrived since the last reset."""

    def __init__(self) -> None:
        self.forget(0.0, 0.0)

    def forget(self, latency: float, shift: float) -> None:
        """Begins anew."""
        self.latency, self.shift = latency, timedelta(seconds=shift)
        self.posts = 0
        self.first = self.last = 0.0
        self.numbers: dict[bytes, bytes] = {}

    def as_json(self) -> bytes:
        """For `GET /counts`."""
        return json.dumps(
            {"posts": self.posts, "distinct": len(self.numbers), "seconds": self.last - self.first}
        ).encode()


class Protocol(asyncio.Protocol):
    """One connection: requests one after the other, each answered when its latency is over."""

    serials = count(1)

    def __init__(self, counts: Counts, loop: asyncio.AbstractEventLoop) -> None:
        self._counts = counts
        self._loop = loop
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody calls."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answers every request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._request(head.split(b" ", 2), body)

    def _request(self, line: list[bytes], body: bytes) -> None:
        counts = self._counts
        if line[1] == b"/counts":
            self._answer(b"200 OK", counts.as_json())
        elif line[1].startswith(b"/reset?"):
            counts.forget(*map(float, line[1].partition(b"?")[2].split(b",")))
            self._answer(b"200 OK", b"{}")
        elif line[0] == b"GET":
            self._answer(b"200 OK", self._listing(line[1]))
        elif counts.latency:
            self._loop.call_later(counts.latency, self._take, line[1], body)
        else:
            self._take(line[1], body)

    def _take(self, target: bytes, body: bytes) -> None:
        counts = self._counts
        counts.posts += 1
        counts.last = self._loop.time()
        counts.first = counts.first or counts.last
        if target.startswith(b"/push/"):
            counts.numbers[target] = b""
        elif to := _TO.search(body):
            counts.numbers[to[1]] = body
        self._answer(b"201 CREATED", _LIKE_TWILIO % next(self.serials))

    def _listing(self, target: bytes) -> bytes:
        """What a number has received, as the SDK reads it."""
        asked = parse_qs(target.partition(b"?")[2].decode())
        taken = self._counts.numbers.get(quote_plus(asked["To"][0]).encode())
        form = parse_qs(taken.decode()) if taken else {}
        made = format_datetime(SystemClock().now() + self._counts.shift)
        one = {"sid": f"SM{next(self.serials):032x}", "date_created": made, "body": form.get("Body", [""])[0]}
        return json.dumps({"messages": [one] if form else [], "next_page_uri": None, "page": 0}).encode()

    def _answer(self, status: bytes, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
            b"Twilio-Request-Id: RQ00000000000000000000000000000000\r\n\r\n%b" % (status, len(body), body)
        )


_LIKE_TWILIO = json.dumps(
    {
        "account_sid": "AC" + "0" * 32,
        "api_version": "2010-04-01",
        "body": "Hei Kari. Her er Folge fra UNN. Vi har noen korte sporsmal til deg: folge.example.no/l#"
        + "A" * 22,
        "date_created": "Tue, 10 Nov 2026 09:00:00 +0000",
        "date_sent": None,
        "date_updated": "Tue, 10 Nov 2026 09:00:00 +0000",
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": "Folge",
        "messaging_service_sid": "MG" + "0" * 32,
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": "NOK",
        "sid": "SM%032x",
        "status": "accepted",
        "subresource_uris": {
            "media": "/2010-04-01/Accounts/AC" + "0" * 32 + "/Messages/SM" + "0" * 32 + "/Media.json"
        },
        "to": "+4740000000",
        "uri": "/2010-04-01/Accounts/AC" + "0" * 32 + "/Messages/SM" + "0" * 32 + ".json",
    }
).encode()


@dataclass(frozen=True)
class Standin:
    """The running process, from outside."""

    url: str

    def reset(self, latency: float = 0.0, shift_seconds: float = 0.0) -> None:
        """Forgets what arrived; answers after `latency` seconds from now on, by a clock that is so much ahead."""
        self._get(f"/reset?{latency},{shift_seconds}")

    def counts(self) -> dict[str, Any]:
        """`posts`, `distinct` numbers, `seconds` from the first to the last."""
        counts: dict[str, Any] = json.loads(self._get("/counts"))
        return counts

    def expect(self, messages: int) -> None:
        """Every message arrived, and none twice; anything else makes a measurement worthless."""
        counts = self.counts()
        if not counts["posts"] == counts["distinct"] == messages:
            raise RuntimeError(f"{messages} letters were due, the provider has {counts}")

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            said: bytes = answer.read()
        return said


@contextmanager
def running() -> Iterator[Standin]:
    """The stand-in on a free loopback port, until left."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.standin"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            yield Standin(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    counts = Counts()
    server = await loop.create_server(lambda: Protocol(counts, loop), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
