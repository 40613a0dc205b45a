"""A world that runs: the ward, its people, the sandbox's phones, and a dispatcher that ticks whenever something is due."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import TypeVar

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, sessionmaker

from companion import worklists
from companion.clock import FixedClock
from companion.db import make_sessions
from companion.models import CheckIn, Flag, Message
from companion.rules.cadence import to_utc
from companion.settings import Settings
from notifications.channels.sms.sandbox import SandboxChannel
from notifications.dispatcher import Dispatcher
from notifications.models import SandboxMessage
from notifications.outbox import Outbox
from notifications.settings import Settings as PostSettings
from tests import cast

T = TypeVar("T")


@dataclass
class World:
    """Time passes only through `until`."""

    sessions: sessionmaker[Session]
    dispatcher: Dispatcher
    clock: FixedClock
    ward: cast.Ward

    @property
    def now(self) -> datetime:
        """The moment it is."""
        return self.clock.now()

    def do(self, step: Callable[[Session], T]) -> T:
        """One use-case in a transaction of its own."""
        with self.sessions.begin() as db:
            return step(db)

    def until(self, day: date, hour: time = time(12)) -> None:
        """Everything that falls due until then happens, each at its own moment."""
        end = to_utc(day, hour)
        self._tick()
        while True:
            with self.sessions() as db:
                due = worklists.next_due(db, self.now)
            if due is None or due > end:
                break
            self.clock.at = due
            self._tick()
        self.clock.at = end
        self._tick()

    def sms(self, number: str) -> list[SandboxMessage]:
        """What arrived at a phone, oldest first."""
        received = select(SandboxMessage).where(SandboxMessage.number == number)
        with self.sessions() as db:
            return list(db.scalars(received.order_by(SandboxMessage.id)))

    def letters(self) -> list[tuple[str, str]]:
        """Kind and state of every message, in the order they were written."""
        with self.sessions() as db:
            return [(one.kind, one.state) for one in db.scalars(select(Message).order_by(Message.id))]

    def flags(self) -> list[tuple[str, str]]:
        """Code and owner of every flag that is not closed."""
        with self.sessions() as db:
            still = select(Flag).where(Flag.state != "closed").order_by(Flag.opened_at, Flag.code)
            return [(one.code, one.unit.name) for one in db.scalars(still)]

    def check_ins(self) -> dict[int, str]:
        """State of each check-in by its day."""
        with self.sessions() as db:
            return {one.day: one.state for one in db.scalars(select(CheckIn).order_by(CheckIn.day))}

    def _tick(self) -> None:
        counts = asyncio.run(self.dispatcher.tick(self.clock))
        assert counts["errors"] == 0


@pytest.fixture
def world(engine: Engine, settings: Settings, now: datetime) -> World:
    """Tuesday 10 November 2026, 10 o'clock; Post 3 and the town around it, nobody discharged yet."""
    sessions = make_sessions(engine)
    post = PostSettings(sms="sandbox", sms_per_second=1000, in_flight=4)
    dispatcher = Dispatcher(sessions, {"sms": SandboxChannel(sessions)}, Outbox(settings, post), post)
    with sessions.begin() as db:
        ward = cast.ward(db, now)
    return World(sessions, dispatcher, FixedClock(now), ward)
