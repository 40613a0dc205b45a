"""How long letters wait: from due to accepted at one a second, and codes while everything else is due at once."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from threading import Event
from time import monotonic
from typing import Any

from sqlalchemy import Engine, Select, func, select
from sqlalchemy.orm import Session, sessionmaker

from bench import processes, ward
from bench.carrier import Order, command
from bench.databases import Databases, settings
from bench.figures import Figure, Part, percentile
from bench.letter import number
from bench.standin import Standin
from companion.clock import ShiftedClock
from companion.db import make_engine, make_sessions
from companion.models import CheckIn, Message, Patient
from companion.use_cases import sign_in
from companion.use_cases.messages import message

LATENCY = 0.1
IN_FLIGHT = 800
CODES_AT_MOST = 2000
PATIENCE = 120.0


@dataclass(frozen=True)
class House:
    """One database with its dispatcher running, and our hand on it."""

    databases: Databases
    engine: Engine
    sessions: sessionmaker[Session]
    clock: ShiftedClock

    def waits(self, lane: str) -> list[float]:
        """Seconds from due to accepted of every letter of the lane, when the last has been."""
        underway = select(func.count()).where(Message.lane == lane, Message.state.in_(("queued", "sending")))
        pause, deadline = Event(), monotonic() + PATIENCE
        while self._scalar(underway):
            if monotonic() > deadline:
                raise RuntimeError(f"letters of the lane {lane} are left behind on {self.databases.name}")
            pause.wait(0.2)
        with self.sessions.begin() as db:
            rows = db.execute(
                select(Message.created_at, Message.settled_at).where(
                    Message.lane == lane, Message.state == "accepted"
                )
            )
            return [(settled - due).total_seconds() for due, settled in rows if settled]

    def left(self) -> int:
        """How many of the batch lane are still queued."""
        return self._scalar(select(func.count()).where(Message.lane == "batch", Message.state == "queued"))

    def _scalar(self, query: Select[Any]) -> int:
        with self.sessions.begin() as db:
            return int(db.scalar(query) or 0)


def at_one_a_second(standin: Standin, kinds: list[Databases], seconds: int, rounds: int) -> Part:
    """A letter a second for so long; all the databases at the same time, they have next to nothing to do."""
    due, shift = ward.office_hours()
    fill = partial(ward.fill, patients=seconds, due=due, letters=0)
    standin.reset(LATENCY)
    with ExitStack() as stack:
        houses = []
        for databases in kinds:
            template = databases.template(fill)
            houses += [
                stack.enter_context(_inhabited(databases, template, standin, shift, 64))
                for _ in range(rounds)
            ]
        tick = Event()
        for serial in range(seconds):
            next_at = monotonic() + 1
            for house in houses:
                _write(house, serial)
            tick.wait(max(0.0, next_at - monotonic()))
        figures = []
        for databases in kinds:
            waits = [house.waits("batch") for house in houses if house.databases is databases]
            values = [percentile(each, 0.95) for each in waits]
            figures.append(Figure(f"{databases.name}, due → accepted, p95", values, "s", target="≤ 2 s"))
    return Part(
        "wait",
        "One letter a second: how long from due to accepted",
        f"{seconds} s, provider {LATENCY * 1000:.0f} ms, `run` with its pause of one second.",
        figures,
    )


def codes_in_a_burst(standin: Standin, kinds: list[Databases], messages: int, rounds: int) -> Part:
    """People ask for a code, twenty a second, while everything else is due at once."""
    due, _ = ward.office_hours()
    figures = []
    for databases in kinds:
        fill = partial(ward.fill, patients=messages + CODES_AT_MOST, due=due, letters=messages)
        template = databases.template(fill)
        values, asked = [], []
        for _ in range(rounds):
            standin.reset(LATENCY)
            _, shift = ward.office_hours()
            with _inhabited(databases, template, standin, shift, IN_FLIGHT) as house:
                asked.append(_ask_while_busy(house, messages))
                values.append(percentile(house.waits("code"), 0.95))
        note = f"{min(asked)}-{max(asked)} codes a run"
        figures.append(
            Figure(f"{databases.name}, a code's wait, p95", values, "s", target="≤ 5 s", note=note)
        )
    return Part(
        "codes",
        "A code asked for while everything else is due at once",
        f"{messages} letters due, provider {LATENCY * 1000:.0f} ms, {IN_FLIGHT} in flight; from asked for to accepted.",
        figures,
    )


def _ask_while_busy(house: House, messages: int) -> int:
    pause = Event()
    for asked in range(CODES_AT_MOST):
        if asked and not house.left():
            return asked
        with house.sessions.begin() as db:
            sign_in.ask_for_code(db, number(messages + asked), now=house.clock.now())
        pause.wait(0.05)
    return CODES_AT_MOST


def _write(house: House, serial: int) -> None:
    now = house.clock.now()
    with house.sessions.begin() as db:
        message.write(
            db,
            "check_in",
            to=db.get_one(Patient, ward.row_id("patient", serial)),
            check_in=db.get_one(CheckIn, ward.row_id("check_in", serial)),
            now=now,
            valid_until=now + timedelta(hours=9),
            dedupe_key=f"check_in:{serial}",
        )


@contextmanager
def _inhabited(
    databases: Databases, template: str, standin: Standin, shift: timedelta, in_flight: int
) -> Iterator[House]:
    url = databases.copy(template)
    order = Order(url, standin.url, shift.total_seconds(), in_flight, forever=True)
    engine = make_engine(settings(url))
    with processes.ready([command(order)]) as dispatchers:
        processes.go(dispatchers)
        yield House(databases, engine, make_sessions(engine), ShiftedClock(shift))
    engine.dispose()
    databases.drop(url)
