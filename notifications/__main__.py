"""The dispatcher's door: `python -m notifications run | tick [--now ISO8601] | status | report | doctor`.

A command imports what it needs itself, so that every other one opens at once.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import typer

from companion.clock import Clock, FixedClock, ShiftedClock, SystemClock, moment
from companion.errors import Misconfigured

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session, sessionmaker

    from companion.settings import Settings as CompanionSettings
    from notifications.dispatcher import Dispatcher
    from notifications.finding import Finding
    from notifications.ways import Ways

PAUSE = 1.0
PAUSE_IN_DEMO = 0.2
# No letter is older than the house.
FIRST_DAY = date(2020, 1, 1)

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Carries what is due.")


class House:
    """What every door needs: settings, the database, and the clock of this environment."""

    def __init__(self) -> None:
        from companion.db import make_engine, make_sessions
        from companion.settings import Settings, read
        from notifications.settings import read_settings

        self.companion = read(Settings)
        self.settings = read_settings()
        if self.companion.environment == "production" and self.settings.sms == "sandbox":
            raise Misconfigured(
                "NOTIFICATIONS_SMS is not set to twilio: in production nothing would reach anybody"
            )
        self.engine: Engine = make_engine(self.companion, force_custom_plan=True)
        self.sessions: sessionmaker[Session] = make_sessions(self.engine)

    @cached_property
    def ways(self) -> "Ways":
        """The ways there are. Raises `Misconfigured`."""
        from notifications.ways import discover

        return discover(self.settings)

    def clock(self) -> Clock:
        """The machine's; in the demo as far ahead as the demo's clock has been moved."""
        if self.companion.environment != "demo":
            return SystemClock()
        with self.sessions() as db:
            return _clock(self.companion, db)

    @asynccontextmanager
    async def dispatcher(self) -> AsyncIterator["Dispatcher"]:
        """A dispatcher with every way that our settings allow, which it lets go of at the end."""
        from notifications.channels import Opening
        from notifications.dispatcher import Dispatcher
        from notifications.outbox import Outbox

        opening = Opening(self.companion, self.settings, self.sessions)
        async with AsyncExitStack() as stack:
            channels = {way.name: channel for way in self.ways if (channel := way.open(opening))}
            for channel in channels.values():
                stack.push_async_callback(channel.close)
            box = Outbox(self.companion, self.settings, self.ways)
            yield Dispatcher(self.sessions, channels, box, self.settings, self.companion.escalation)


@app.command()
def run() -> None:
    """Carry what is due until told to stop; SIGTERM finishes what is in flight. On SQLite there can be only one."""
    import uvloop

    house = _house()
    with _told(house), _alone(house, "run"):
        uvloop.run(_run(house))


@app.command()
def tick(
    now: Annotated[str, typer.Option(help="A moment, ISO 8601 with zone; the real time without")] = "",
) -> None:
    """Let everything due at that time happen, deliver it, print what came of it. On SQLite not beside a `run`."""
    import uvloop

    house = _house()
    clock: Clock = FixedClock(_moment(now)) if now else house.clock()
    with _told(house), _alone(house, "tick"):
        counts = uvloop.run(_tick(house, clock))
    print(json.dumps(counts))
    if counts["errors"]:
        raise typer.Exit(1)


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="As one line of JSON")] = False) -> None:
    """How many messages are in each state, and how the batch lane (`circuit`) and what came in stand."""
    from companion.models import Circuit
    from notifications.circuit import LANE
    from notifications.status import count_by_state, failing_replies

    with _house().sessions() as db:
        row = db.get(Circuit, LANE)
        states: dict[str, int | str] = {
            **count_by_state(db),
            "circuit": row.state if row else "closed",
            "inbound_failing": failing_replies(db),
        }
    print(
        json.dumps(states)
        if as_json
        else "\n".join(f"{state:18}{count:>8}" for state, count in states.items())
    )


@app.command()
def report(
    day: Annotated[str, typer.Option(help="YYYY-MM-DD; today without")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As one line of JSON")] = False,
) -> None:
    """What became of a day's letters, unit by unit, in numbers, and which of staff were told of what.

    A patient whom two units follow counts in both.
    """
    from sqlalchemy import select

    from companion.models import Unit
    from companion.rules.cadence import local_day, to_utc
    from companion.use_cases.people.duty import told_on
    from companion.worklists import report as days_of

    house = _house()
    today = local_day(house.clock().now())
    wanted = _day(day, today) if day else today
    with house.sessions() as db:
        units = db.scalars(select(Unit).order_by(Unit.key)).all()
        found = days_of(db, units, last=wanted, days=1, waiting=wanted == today)
        told = told_on(db, to_utc(wanted, time()), to_utc(wanted + timedelta(days=1), time()))
    lines = {one.unit.key: {"sent": one.days[wanted].sent, **asdict(one.days[wanted])} for one in found}
    if as_json:
        staff = [asdict(one) for one in told]
        print(json.dumps({"day": wanted.isoformat(), "units": lines, "told": staff}))
        return
    names = ["sent", "arrived", "on_the_way", "not_arrived", "uncertain", "waiting", "not_sent"]
    print(f"{wanted.isoformat():24}" + "".join(f"{name:>12}" for name in names))
    for key, numbers in lines.items():
        print(f"{key:24}" + "".join(f"{numbers[name]:>12}" for name in names))
    said = [
        f"{one.who} ({one.unit}) {one.cases} {one.what} by {one.way or 'no way'}, {one.became}"
        for one in told
    ]
    print(f"staff told: {'; '.join(said) or 'nobody'}")


@app.command()
def doctor() -> None:
    """Check settings, database, provider and dispatcher, secrets masked; exit 1 with what to do."""
    findings = list(_examine())
    for one in findings:
        print(one)
    if any(one.how == "FAIL" for one in findings):
        raise typer.Exit(1)


@app.command()
def vapid() -> None:
    """Make a key for Web Push; what it prints goes into the environment, and is kept as other secrets are."""
    from notifications.channels.push.vapid import new_key

    made = new_key()
    print(f"VAPID_PRIVATE_KEY={made}\nVAPID_SUBJECT=mailto:")


@app.command()
def rehearse() -> None:
    """Demo only: fill an empty database with the invented ward and the weeks it has behind it."""
    from notifications import rehearsal

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
    from notifications.alone import alone

    with ExitStack() as stack:
        try:
            stack.enter_context(alone(house.engine, doing))
        except Misconfigured as busy:
            print(busy, file=sys.stderr)
            raise typer.Exit(2) from None
        yield


async def _rehearse(house: House) -> None:
    from notifications import rehearsal

    async with house.dispatcher() as dispatcher:
        await rehearsal.rehearse(house.sessions, house.companion, dispatcher, now=SystemClock().now())


async def _run(house: House) -> None:
    from notifications.doctor import wait_for_database

    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    watching = await _greet_provider(house, stop)
    await wait_for_database(house.engine, stop)
    try:
        async with house.dispatcher() as dispatcher:
            pause = PAUSE_IN_DEMO if house.companion.environment == "demo" else PAUSE
            await dispatcher.run(house.clock, stop, pause)
    finally:
        if watching:
            watching.cancel()


async def _tick(house: House, clock: Clock) -> Counter[str]:
    from companion.db import require_schema

    require_schema(house.engine)
    if watching := await _greet_provider(house, asyncio.Event()):
        watching.cancel()
    async with house.dispatcher() as dispatcher:
        return await dispatcher.tick(clock)


async def _greet_provider(house: House, stop: asyncio.Event) -> "asyncio.Task[None] | None":
    """Raises `Misconfigured` when the provider will never take anything from us; in trouble that may pass it is watched."""
    from notifications import doctor as checks

    found = await checks.ask_providers(house.ways, SystemClock().now())
    _refuse(found)
    return checks.watch_providers(house.ways, found, SystemClock().now, stop)


def _refuse(found: "list[Finding]") -> None:
    if hopeless := [one.said for one in found if one.hopeless]:
        raise Misconfigured("\n".join(hopeless))


@contextmanager
def _told(house: House) -> Iterator[None]:
    """Where nothing could ever come of it: the sentences that say so, and the end."""
    from notifications.doctor import look_at_settings

    try:
        _refuse(look_at_settings(house.companion, house.settings, house.ways))
        yield
    except Misconfigured as problem:
        print(problem, file=sys.stderr)
        raise typer.Exit(2) from None


def _examine() -> "Iterator[Finding]":
    from companion.settings import Settings, read
    from notifications import doctor as checks
    from notifications.settings import read_settings
    from notifications.ways import discover

    companion = settings = ways = None
    try:
        companion = read(Settings)
    except Misconfigured as problem:
        yield from checks.failures(problem)
    try:
        settings = read_settings()
        ways = discover(settings)
    except Misconfigured as problem:
        yield from checks.failures(problem)
    if companion and settings and ways:
        found = checks.look_at_settings(companion, settings, ways, os.environ)
        yield from found
        if not any(one.hopeless for one in found):
            yield from asyncio.run(checks.ask_providers(ways, SystemClock().now()))
    if companion:
        yield from _examine_database(companion, ways)


def _examine_database(companion: "CompanionSettings", ways: "Ways | None") -> "Iterator[Finding]":
    from sqlalchemy.orm import Session

    from companion.db import make_engine
    from notifications import doctor as checks

    try:
        engine = make_engine(companion)
    except Misconfigured as problem:
        yield from checks.failures(problem)
        return
    found = checks.look_at_database(engine)
    yield found
    if found.how == "ok":
        with Session(engine) as db:
            yield from checks.look_at_leases(db, SystemClock().now())
            by_receipt = ways.by_receipt if ways else ()
            yield from checks.look_at_duty(db)
            yield from checks.look_at_post(db, _clock(companion, db).now(), SystemClock().now(), by_receipt)
    engine.dispose()


def _clock(companion: "CompanionSettings", db: "Session") -> Clock:
    """The machine's; in the demo as far ahead as the demo's clock has been moved."""
    from companion.models import DemoClock

    moved = db.get(DemoClock, 1) if companion.environment == "demo" else None
    return ShiftedClock(timedelta(seconds=moved.shift_seconds)) if moved else SystemClock()


def _house() -> House:
    import structlog

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
        return moment(text)
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint="--now") from None


def _day(text: str, today: date) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("a day such as 2026-11-13 is needed", param_hint="--day") from None
    if not FIRST_DAY <= day <= today:
        raise typer.BadParameter(f"no later than today, no earlier than {FIRST_DAY}", param_hint="--day")
    return day


def main() -> None:
    """The command line; a database that cannot be used is one sentence, not a stack trace."""
    try:
        app()
    except Exception as error:
        said = _sentence(error)
        if said is None:
            raise
        print(said, file=sys.stderr)
        raise SystemExit(1) from None


def _sentence(error: Exception) -> str | None:
    from sqlalchemy.exc import DBAPIError

    if isinstance(error, Misconfigured):
        return str(error)
    if isinstance(error, DBAPIError):
        return f"The database cannot be used ({type(error.orig).__name__}). Has `python -m companion migrate` been run?"
    return None


if __name__ == "__main__":
    main()
