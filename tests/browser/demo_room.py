"""The demo as a newcomer starts it: `python -m web --demo` on a free port, with the dispatcher as its own process."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

from playwright.sync_api import Page, expect


@dataclass(frozen=True)
class Room:
    """A running demo."""

    url: str

    def json(self, path: str, posted: str | None = None) -> Any:
        """What a program reads there, or gets when it posts."""
        import json

        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        asked = Request(self.url + path, posted.encode() if posted else None, headers)
        with urlopen(asked, timeout=600) as answer:
            return json.load(answer)

    def phone(self, name: str) -> list[str]:
        """The texts a handset received, oldest first."""
        handsets = [one for one in self.json("/demo/phones.json") if one["name"].startswith(name)]
        return [one["body"] for handset in handsets for one in handset["messages"]]

    def forward(self, duration: str) -> None:
        """Moves the clock; everything due has happened when this returns."""
        self.json("/demo/clock", f'{{"forward": "{duration}"}}')

    def be(self, page: Page, name: str) -> None:
        """One tap in the bar: somebody else."""
        page.goto(self.url + "/demo")
        page.get_by_role("main").get_by_role("button", name=f"Vær {name}", exact=True).click()
        expect(page.get_by_role("heading", level=1)).not_to_have_text("Bli med Kari hjem")


@contextmanager
def running(database_url: str) -> Iterator[Room]:
    """Serves until the block ends; ready when it begins."""
    with kept_port() as port, _serving(database_url, port) as room:
        yield room


@contextmanager
def kept_port() -> Iterator[int]:
    """A port for a process to listen on; bound meanwhile, so that nobody else is given it. Only who listens is reached."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]


@contextmanager
def _serving(database_url: str, port: int) -> Iterator[Room]:
    environment = {
        **os.environ,
        "COMPANION_ENVIRONMENT": "demo",
        "COMPANION_DATABASE_URL": database_url,
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "web", "--demo"], env=environment, stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    try:
        # One line per persona comes when the ward is filled; the server listens right after the last.
        lines = iter(server.stdout.readline, b"")
        assert any(line.startswith(b"  Anita") for line in lines), "the demo did not start"
        room = Room(f"http://127.0.0.1:{port}")
        _wait_for(port)
        yield room
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
        server.stdout.close()


def _wait_for(port: int) -> None:
    while True:
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                return
