"""A dispatcher as a process of its own, with the real channel, on a clock that stands in office hours.

`python -m bench.carrier JSON` says `ready` when it could begin, begins at the first line it reads, prints what it did as JSON.
"""

import asyncio
import json
import signal
import sys
from dataclasses import asdict, dataclass
from datetime import timedelta
from resource import RUSAGE_SELF, getrusage
from time import perf_counter
from typing import Any

import uvloop

from bench.databases import settings as companion_settings
from bench.letter import ACCOUNT, SENDER, TOKEN
from companion.clock import ShiftedClock
from companion.db import make_engine, make_sessions
from companion.rules.quiet_hours import is_working_day
from notifications.channels.push.settings import VapidSettings
from notifications.channels.push.way import Push
from notifications.channels.sms.channel import TwilioChannel
from notifications.channels.sms.settings import TwilioSettings
from notifications.channels.sms.way import Sms
from notifications.dispatcher import Dispatcher
from notifications.outbox import Outbox
from notifications.settings import Settings
from notifications.ways import Ways


@dataclass(frozen=True)
class Order:
    """What one process is to do: `forever` like `run`, until SIGTERM, otherwise one tick."""

    database_url: str
    provider_url: str
    shift_seconds: float
    in_flight: int = 64
    forever: bool = False


def make(order: Order) -> tuple[Dispatcher, TwilioChannel]:
    """The parts, as `python -m notifications` puts them together; call it inside the loop."""
    companion = companion_settings(order.database_url)
    account = TwilioSettings(
        account_sid=ACCOUNT,
        auth_token=TOKEN,
        TWILIO_FROM=SENDER,
        messaging_service_sid="",
        api_base=order.provider_url,
    )
    post = Settings(sms="twilio", sms_per_second=1e6, codes_per_second=1e6, in_flight=order.in_flight)
    ways = Ways([Sms(post, account), Push(VapidSettings())])
    sessions = make_sessions(make_engine(companion, force_custom_plan=True))
    channel = TwilioChannel(account, companion.public_url, order.in_flight + post.codes_in_flight)
    return Dispatcher(sessions, {"sms": channel}, Outbox(companion, post, ways), post), channel


async def carry(order: Order) -> dict[str, Any]:
    """Waits for the word, then carries; seconds and CPU seconds, and what the dispatcher counted."""
    loop = asyncio.get_running_loop()
    clock = ShiftedClock(timedelta(seconds=order.shift_seconds))
    dispatcher, channel = make(order)
    # As one that has been running for a while: statements are made and the calendar is read once in its life.
    is_working_day(clock.now().date())
    await dispatcher.tick(ShiftedClock(clock.shift - timedelta(hours=1)))
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    began, cpu = perf_counter(), _cpu()
    counts: dict[str, int] = {}
    if order.forever:
        stop = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        await dispatcher.run(lambda: clock, stop, 1.0)
    else:
        counts = dict(await dispatcher.tick(clock))
    done = {"seconds": perf_counter() - began, "cpu": _cpu() - cpu, **counts}
    await channel.close()
    return done


def command(order: Order) -> list[str]:
    """How to start it."""
    return [sys.executable, "-m", "bench.carrier", json.dumps(asdict(order))]


def _cpu() -> float:
    used = getrusage(RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    print(json.dumps(uvloop.run(carry(Order(**json.loads(sys.argv[1]))))), flush=True)
