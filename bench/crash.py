"""A dispatcher killed at full speed: how much is in doubt, and whether all of it finds its end."""

import asyncio
from functools import partial
from threading import Event

from sqlalchemy import func, select

from bench import carrier, processes, ward
from bench.carrier import Order
from bench.databases import Databases, settings
from bench.figures import Figure, Part
from bench.standin import Standin
from companion.clock import FixedClock, ShiftedClock
from companion.db import make_engine, make_sessions
from companion.models import Message
from notifications.channels import LEASE
from notifications.outbox import LOOK_AFTER

IN_FLIGHT = 64


def measure(standin: Standin, kinds: list[Databases], messages: int, rounds: int) -> Part:
    """Killed after a third of the letters; then what is left is carried and what is in doubt looked for."""
    figures = []
    for databases in kinds:
        due, _ = ward.office_hours()
        template = databases.template(partial(ward.fill, patients=messages, due=due))
        in_doubt, again = [], []
        for _ in range(rounds):
            url = databases.copy(template)
            in_doubt.append(float(_kill_midway(standin, url, messages)))
            again.append(float(standin.counts()["posts"] - messages))
            databases.drop(url)
        figures += [
            Figure(f"{databases.name}, in doubt after kill -9", in_doubt, "letters", target="≤ 128"),
            Figure(f"{databases.name}, received twice or never", again, "letters", target="≤ 0"),
        ]
    return Part(
        "crash",
        "Killed at full speed",
        f"{messages} letters, provider without latency, {IN_FLIGHT} in flight; what is in doubt is looked for afterwards.",
        figures,
    )


def _kill_midway(standin: Standin, url: str, messages: int) -> int:
    _, shift = ward.office_hours()
    standin.reset(shift_seconds=shift.total_seconds())
    order = Order(url, standin.url, shift.total_seconds(), IN_FLIGHT)
    with processes.ready([carrier.command(order)]) as dispatchers:
        processes.go(dispatchers)
        pause = Event()
        while standin.counts()["posts"] < messages / 3:
            pause.wait(0.005)
        dispatchers[0].kill()
        dispatchers[0].wait()
    engine = make_engine(settings(url))
    doubtful = select(func.count()).where(Message.state.in_(("sending", "unknown")))
    with make_sessions(engine)() as db:
        in_doubt = db.scalar(doubtful) or 0
    asyncio.run(_resolve(order, ShiftedClock(shift)))
    with make_sessions(engine)() as db:
        left = db.scalar(select(func.count()).where(Message.state != "accepted"))
    engine.dispose()
    if left:
        raise RuntimeError(f"{left} letters were not resolved")
    return in_doubt


async def _resolve(order: Order, real: ShiftedClock) -> None:
    """Time goes by: leases run out, the provider is asked, what never left goes out once more."""
    dispatcher, channel = carrier.make(order)
    clock = FixedClock(real.now() + LEASE)
    await dispatcher.tick(clock)
    for wait in LOOK_AFTER:
        clock.forward(wait)
        while (await dispatcher.tick(clock))["reconciled"]:
            pass
    await channel.close()
