"""Two people of one meeting come to two web processes on one PostgreSQL: they meet, and when one process dies they meet again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Event
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from companion.clock import SystemClock
from companion.models import Professional
from companion.use_cases import sign_in
from tests import appointment as appointments
from tests.browser.conftest import DESK, IN_A_BROWSER, PHONE, Chromiums, Machine
from tests.browser.demo_room import kept_port
from tests.browser.test_meeting_room import MOVING, Keys, let_in

pytestmark = [*IN_A_BROWSER, pytest.mark.postgres]


@pytest.fixture
def backend() -> str:
    """Several processes are for PostgreSQL."""
    return "postgresql"


class Server:
    """`python -m web`, as somebody has started it beside another one."""

    def __init__(self, database_url: str, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        given = {
            "COMPANION_ENVIRONMENT": "demo",
            "COMPANION_DATABASE_URL": database_url,
            "COMPANION_PUBLIC_URL": self.url,
            "PORT": str(port),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "web"], env=os.environ | given, stderr=subprocess.DEVNULL
        )

    def wait(self) -> "Server":
        """Until it answers."""
        while True:
            try:
                urlopen(f"{self.url}/healthz").close()
                return self
            except URLError:
                assert self._process.poll() is None
                Event().wait(0.1)

    def kill(self) -> None:
        """Gone without a word."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def servers(database_url: str, engine: Engine) -> Iterator[tuple[Server, Server]]:
    with ExitStack() as running:
        ports = [running.enter_context(kept_port()) for _ in range(2)]
        started = Server(database_url, ports[0]), Server(database_url, ports[1])
        for one in started:
            running.callback(one.kill)
        yield started[0].wait(), started[1].wait()


@pytest.fixture
def appointment(engine: Engine) -> Keys:
    now = SystemClock().now()
    with Session(engine, expire_on_commit=False) as db:
        made = appointments.make(db, now)
        johan = db.get_one(Professional, made.ward.johan.id)
        keys = Keys(
            path=made.path,
            johan=sign_in.from_identity(db, "professional", {"pid": johan.national_id}, now=now).secret,
            kari=appointments.by_link(db, made, made.kari, now).secret,
            anne="",
        )
        db.commit()
    return keys


def test_they_see_each_other_across_processes_and_again_after_one_has_died(
    chromiums: Chromiums, servers: tuple[Server, Server], appointment: Keys
) -> None:
    his, hers = servers
    johan = Machine(chromiums, his.url).window(DESK, session=appointment.johan).new_page()
    kari = Machine(chromiums, hers.url).window(PHONE, session=appointment.kari).new_page()
    for page, server in ((johan, his), (kari, hers)):
        come(page, server, appointment)
    let_in(johan, "Kari Nilsen")
    for page in (johan, kari):
        page.evaluate(MOVING)

    hers.kill()
    expect(johan.locator("[data-people] [data-state=coming]").first).to_contain_text("Kari Nilsen")
    kari.close()
    again = Machine(chromiums, his.url).window(PHONE, session=appointment.kari).new_page()
    come(again, his, appointment)
    for page in (johan, again):
        page.evaluate(MOVING)


def come(page: Page, server: Server, appointment: Keys) -> None:
    page.goto(server.url + appointment.path)
    expect(page.locator("video[data-own]")).to_be_visible()
