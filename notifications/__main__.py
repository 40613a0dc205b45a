"""The dispatcher's door: `python -m notifications run | tick [--now ISO8601] | status --json`."""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Annotated

import structlog
import typer
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from companion.clock import Clock, FixedClock, ShiftedClock, SystemClock
from companion.db import make_engine, make_sessions
from companion.errors import Misconfigured
from companion.models import Circuit, DemoClock
from companion.settings import Settings as CompanionSettings
from notifications import circuit, inbound, rehearsal
from notifications.alone import alone
from notifications.channels import Channel
from notifications.channels.sandbox import SandboxChannel
from notifications.dispatcher import Dispatcher
from notifications.outbox import Outbox, count_by_state
from notifications.settings import Settings

PAUSE = 1.0
PAUSE_IN_DEMO = 0.2

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Carries what is due.")


class House:
    """What every door needs: settings, the database, and the clock of this environment."""

    def __init__(self) -> None:
        self.companion = CompanionSettings()
        self.settings = Settings()
        if self.companion.environment == "production" and self.settings.sms == "sandbox":
            raise Misconfigured(
                "NOTIFICATIONS_SMS is not set to twilio: in production nothing would reach anybody"
            )
        self.engine: Engine = make_engine(self.companion, force_custom_plan=True)
        self.sessions: sessionmaker[Session] = make_sessions(self.engine)

    def clock(self) -> Clock:
        """The machine's; in the demo as far ahead as the demo's clock has been moved."""
        if self.companion.environment != "demo":
            return SystemClock()
        with self.sessions() as db:
            moved = db.get(DemoClock, 1)
        return ShiftedClock(timedelta(seconds=moved.shift_seconds if moved else 0))

    def channel(self) -> Channel:
        """The chosen way out; call it inside the loop."""
        if self.settings.sms == "sandbox":
            return SandboxChannel(self.sessions)
        # The SDK is large; the demo never loads it.
        from notifications.channels.sms import TwilioChannel

        return TwilioChannel(
            self.settings.twilio,
            self.companion.public_url,
            self.settings.in_flight + self.settings.codes_in_flight,
        )

    def dispatcher(self, channel: Channel) -> Dispatcher:
        """A dispatcher for this channel."""
        return Dispatcher(self.sessions, channel, Outbox(self.companion, self.settings), self.settings)


@app.command()
def run() -> None:
    """Carry what is due until told to stop; SIGTERM finishes what is in flight. On SQLite there can be only one."""
    house = _house()
    with _alone(house, "run"):
        asyncio.run(_run(house))


@app.command()
def tick(
    now: Annotated[str, typer.Option(help="A moment, ISO 8601 with zone; the real time without")] = "",
) -> None:
    """Let everything due at that time happen, deliver it, print what came of it. On SQLite not beside a `run`."""
    house = _house()
    clock: Clock = FixedClock(_moment(now)) if now else house.clock()
    with _alone(house, "tick"):
        counts = asyncio.run(_tick(house, clock))
    print(json.dumps(counts))
    if counts["errors"]:
        raise typer.Exit(1)


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="As one line of JSON")] = False) -> None:
    """How many messages are in each state, and how the batch lane (`circuit`) and what came in stand."""
    with _house().sessions() as db:
        row = db.get(Circuit, circuit.LANE)
        states: dict[str, int | str] = {
            **count_by_state(db),
            "circuit": row.state if row else "closed",
            "inbound_failing": inbound.failing(db),
        }
    print(
        json.dumps(states)
        if as_json
        else "\n".join(f"{state:18}{count:>8}" for state, count in states.items())
    )


@app.command()
def rehearse() -> None:
    """Demo only: fill an empty database with the invented ward and the weeks it has behind it."""
    house = _house()
    if house.companion.environment != "demo":
        print("Only in the demo: set COMPANION_ENVIRONMENT=demo", file=sys.stderr)
        raise typer.Exit(2)
    # No network in between: the pace that spares a provider would only make the newcomer wait.
    house.settings = house.settings.model_copy(update={"sms": "sandbox", "sms_per_second": 10_000.0})
    if rehearsal.is_inhabited(house.sessions):
        return
    with _alone(house, "rehearse"):
        asyncio.run(_rehearse(house))


@contextmanager
def _alone(house: House, doing: str) -> Iterator[None]:
    """Where only one may carry, it is us; otherwise the sentence that says so, and the end."""
    with ExitStack() as stack:
        try:
            stack.enter_context(alone(house.engine, doing))
        except Misconfigured as busy:
            print(busy, file=sys.stderr)
            raise typer.Exit(2) from None
        yield


async def _rehearse(house: House) -> None:
    channel = house.channel()
    try:
        dispatcher = house.dispatcher(channel)
        await rehearsal.rehearse(house.sessions, house.companion, dispatcher, now=SystemClock().now())
    finally:
        await channel.close()


async def _run(house: House) -> None:
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    channel = house.channel()
    try:
        pause = PAUSE_IN_DEMO if house.companion.environment == "demo" else PAUSE
        await house.dispatcher(channel).run(house.clock, stop, pause)
    finally:
        await channel.close()


async def _tick(house: House, clock: Clock) -> Counter[str]:
    channel = house.channel()
    try:
        return await house.dispatcher(channel).tick(clock)
    finally:
        await channel.close()


def _house() -> House:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        return House()
    except Misconfigured as problem:
        print(problem, file=sys.stderr)
        raise typer.Exit(2) from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise typer.BadParameter("a moment such as 2026-11-13T10:00:00+01:00 is needed", param_hint="--now")
    return moment


def main() -> None:
    """The command line; an unreachable database is one sentence, not a stack trace."""
    try:
        app()
    except OperationalError as error:
        print(
            f"The database cannot be used ({type(error.orig).__name__}). Has `python -m companion migrate` been run?",
            file=sys.stderr,
        )
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
