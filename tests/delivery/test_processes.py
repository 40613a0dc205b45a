"""The dispatcher as real processes: killed, doubled, told to stop. Nothing is lost, nothing goes twice."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from companion.clock import FixedClock, SystemClock
from companion.models import Flag, Message, Patient
from companion.settings import Settings as CompanionSettings
from companion.use_cases.messages import message
from notifications import outbox
from notifications.channels import News, Parcel, Uncertain
from notifications.channels.sms.sandbox import LOST_WITHOUT_ANSWER
from notifications.dispatcher import Dispatcher
from notifications.outbox import Outbox
from notifications.settings import Settings
from tests.delivery.conftest import MakeDispatcher
from tests.rig import twilio_like
from tests.rig.twilio_like import TwilioLike
from tests.use_cases.small_ward import SmallWard, at

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server() -> Iterator[TwilioLike]:
    with twilio_like.running(TwilioLike(clock_at=at(0))) as running:
        yield running


def start(server: TwilioLike, database_url: str, *command: str) -> "subprocess.Popen[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "COMPANION_ENVIRONMENT": "test",
        "COMPANION_DATABASE_URL": database_url,
        "NOTIFICATIONS_SMS": "twilio",
        "NOTIFICATIONS_SMS_PER_SECOND": "1000",
        "NOTIFICATIONS_IN_FLIGHT": "8",
        "TWILIO_ACCOUNT_SID": "AC1",
        "TWILIO_AUTH_TOKEN": "secret",
        "TWILIO_FROM": "Folge",
        "TWILIO_API_BASE": server.url,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "notifications", *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def tick(server: TwilioLike, database_url: str, now: datetime) -> dict[str, int]:
    server.clock_at = now
    process = start(server, database_url, "tick", "--now", now.isoformat())
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    counts: dict[str, int] = json.loads(out)
    return counts


def write(
    ward: SmallWard, patients: list[Patient], kind: str = "welcome", now: datetime | None = None
) -> None:
    now = now or at(0)
    for patient in patients:
        assert message.write(
            ward.db,
            kind,
            to=patient,
            now=now,
            valid_until=now + timedelta(days=1),
            dedupe_key=str(patient.id),
        )
    ward.db.commit()


def states(ward: SmallWard) -> dict[str, int]:
    found = ward.db.execute(select(Message.state, func.count()).group_by(Message.state)).all()
    ward.db.commit()
    return {state: count for state, count in found}


def test_killed_between_claim_and_settle(ward: SmallWard, server: TwilioLike, database_url: str) -> None:
    patients = [ward.patient(f"Kari{number} Nilsen") for number in range(12)]
    numbers = [str(patient.phone) for patient in patients]
    write(ward, patients)
    server.hang_after_taking = set(numbers[:3])
    server.hang_without_taking = set(numbers[3:6])

    process = start(server, database_url, "tick", "--now", at(0).isoformat())
    server.wait_for(lambda: server.posts == 12 and len(server.taken) == 9)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGKILL
    server.hang_after_taking = server.hang_without_taking = set()

    # The lease has not run out: nobody touches what may still be in somebody's hands.
    assert tick(server, database_url, at(0, 10, 1))["claimed"] == 0
    uncertain = tick(server, database_url, at(0) + timedelta(seconds=91))["lease_expired"]
    assert 6 <= uncertain <= 12
    parked = select(func.count()).select_from(Flag).where(Flag.code == "parked_message", Flag.state == "open")
    assert ward.db.scalar(parked) == uncertain
    ward.db.commit()
    assert sum(server.per_number().values()) == 9

    # What had arrived is found; what had not is sent once more after the second look.
    assert tick(server, database_url, at(0, 10, 3))["reconciled"] == uncertain - 3
    assert tick(server, database_url, at(0, 10, 11))["accepted"] == 3

    assert states(ward) == {"accepted": 12}
    assert server.per_number() == dict.fromkeys(numbers, 1)
    assert ward.db.scalar(parked) == 0


def test_two_dispatchers_share_the_work(ward: SmallWard, server: TwilioLike, database_url: str) -> None:
    patients = [ward.patient() for _ in range(60)]
    write(ward, patients)
    server.mode = "slow"
    both = [start(server, database_url, "tick", "--now", at(0).isoformat()) for _ in range(2)]
    results = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], results
    assert sum(json.loads(out)["accepted"] for out, _ in results) == 60
    assert server.per_number() == dict.fromkeys([patient.phone for patient in patients], 1)


def test_beside_a_running_one_a_second_is_refused_on_sqlite_with_a_sentence(
    ward: SmallWard, server: TwilioLike, database_url: str, backend: str
) -> None:
    first = start(server, database_url, "run")
    write(ward, [ward.patient()], "new_link", SystemClock().now())
    server.wait_for(lambda: server.posts == 1)
    others = [start(server, database_url, *command) for command in (("run",), ("tick",))]
    try:
        if backend == "sqlite":
            for other in others:
                _, err = other.communicate(timeout=30)
                assert other.returncode == 2
                assert err.startswith("Another dispatcher (`python -m notifications run`)")
                assert len(err.splitlines()) == 1
        else:
            assert others[1].communicate(timeout=30)[1] == ""
            assert others[1].returncode == 0
            assert others[0].poll() is None
    finally:
        for process in (first, others[0]):
            process.kill()
            process.communicate(timeout=10)
    # However the first one ended, it is in nobody's way.
    assert tick(server, database_url, SystemClock().now())["errors"] == 0


def test_told_to_stop_it_finishes_what_is_in_flight(
    ward: SmallWard, server: TwilioLike, database_url: str
) -> None:
    write(ward, [ward.patient() for _ in range(40)], "new_link", SystemClock().now())
    server.mode, server.seconds = "slow", 0.3
    process = start(server, database_url, "run")
    server.wait_for(lambda: server.posts >= 8)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    found = states(ward)
    assert set(found) <= {"accepted", "queued"}
    assert found["accepted"] == len(server.taken) == server.posts


def test_the_doors_say_what_is_wrong(server: TwilioLike, database_url: str) -> None:
    process = start(server, database_url, "tick", "--now", "yesterday")
    assert "2026-11-10T09:00:00+01:00" in process.communicate(timeout=30)[1]
    assert process.returncode == 2
    status = start(server, database_url, "status", "--json")
    out, _ = status.communicate(timeout=30)
    assert json.loads(out)["queued"] == 0


# --- in this process ----------------------------------------------------------------------------------------------


class WatchfulChannel:
    """Looks whether anybody holds a database connection while a call is under way."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.held: list[int] = []

    async def send(self, parcel: Parcel) -> str:
        for _ in range(3):
            await asyncio.sleep(0)
            self.held.append(self._engine.pool.checkedout())  # type: ignore[attr-defined]
        return f"W{parcel.attempt_id}"

    async def find(self, parcel: Parcel) -> list[str]:
        return []

    async def fetch(self, provider_id: str) -> News | None:
        return None

    async def close(self) -> None: ...


def test_no_transaction_is_open_during_a_call(
    ward: SmallWard, engine: Engine, make_dispatcher: MakeDispatcher
) -> None:
    write(ward, [ward.patient() for _ in range(20)])
    channel = WatchfulChannel(engine)
    counts = asyncio.run(make_dispatcher(channel).tick(FixedClock(at(0))))
    assert counts["accepted"] == 20
    assert set(channel.held) == {0}


class HangingChannel(WatchfulChannel):
    """Its first call ends when told to."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.begun, self.end = asyncio.Event(), asyncio.Event()
        self.sent: list[str] = []

    async def send(self, parcel: Parcel) -> str:
        self.sent.append(parcel.attempt_id)
        self.begun.set()
        if len(self.sent) == 1:
            await self.end.wait()
        return f"H{parcel.attempt_id}"


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=1), -timedelta(hours=1)])
def test_a_clock_that_jumps_sends_nothing_twice(
    ward: SmallWard, engine: Engine, make_dispatcher: MakeDispatcher, jump: timedelta
) -> None:
    write(ward, [ward.patient()])
    channel = HangingChannel(engine)

    async def both() -> None:
        calling = asyncio.create_task(make_dispatcher(channel).tick(FixedClock(at(0))))
        await channel.begun.wait()
        other = await make_dispatcher(channel).tick(FixedClock(at(0) + jump))
        assert (other["reconciled"], other["claimed"]) == (0, 0)
        channel.end.set()
        await calling

    asyncio.run(both())
    assert len(channel.sent) == 1
    assert states(ward) == {"accepted": 1}


class SilentListChannel(WatchfulChannel):
    """Its first call ends in doubt, and its list answers when told to."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.sent: list[str] = []
        self.looked, self.answers = asyncio.Event(), asyncio.Event()
        self.was_sent = asyncio.Event()

    async def send(self, parcel: Parcel) -> str:
        self.sent.append(parcel.lane)
        self.was_sent.set()
        if len(self.sent) == 1:
            raise Uncertain("read_timeout")
        return f"S{parcel.attempt_id}"

    async def find(self, parcel: Parcel) -> list[str]:
        self.looked.set()
        await self.answers.wait()
        return []


def test_a_code_waits_for_no_look_at_the_provider(
    ward: SmallWard, engine: Engine, make_dispatcher: MakeDispatcher
) -> None:
    write(ward, [ward.patient()])
    channel = SilentListChannel(engine)
    dispatcher = make_dispatcher(channel)

    async def both() -> None:
        await dispatcher.tick(FixedClock(at(0)))
        looking = asyncio.create_task(dispatcher.tick(FixedClock(at(0, 10, 3))))
        await channel.looked.wait()
        for number in range(2):
            channel.was_sent.clear()
            write(ward, [ward.patient()], "new_link", at(0, 10, 3))
            await channel.was_sent.wait()
            assert channel.sent == ["batch", *["code"] * (number + 1)]
        channel.answers.set()
        await looking

    asyncio.run(both())


def test_two_that_look_at_the_same_time_have_looked_once(
    ward: SmallWard, engine: Engine, make_dispatcher: MakeDispatcher
) -> None:
    kari = ward.patient()
    kari.phone = kari.phone_index = LOST_WITHOUT_ANSWER
    write(ward, [kari])
    asyncio.run(make_dispatcher().tick(FixedClock(at(0))))
    early = at(0, 10, 3)
    with Session(engine) as db:
        (parcel,) = outbox.to_look_for(db, early)
        assert [outbox.looked(db, parcel, [], early) for _ in range(2)] == ["unknown", "unknown"]
        db.commit()
        assert outbox.to_look_for(db, at(0, 10, 9)) == []
        assert outbox.looked(db, parcel, [], at(0, 10, 10)) == "queued"
        db.commit()


class FlakySessions:
    """A database that is away for the next so many transactions."""

    def __init__(self, real: sessionmaker[Session]) -> None:
        self._real = real
        self.away = 0

    def begin(self) -> object:
        if self.away:
            self.away -= 1
            raise OperationalError("", {}, ConnectionError())
        return self._real.begin()


class CuttingChannel(WatchfulChannel):
    """The database goes away while the call is under way."""

    def __init__(self, engine: Engine, sessions: FlakySessions) -> None:
        super().__init__(engine)
        self._sessions = sessions

    async def send(self, parcel: Parcel) -> str:
        self._sessions.away = 2
        return await super().send(parcel)


def test_what_we_know_survives_a_database_that_is_away(
    ward: SmallWard, engine: Engine, sessions: sessionmaker[Session], settings: CompanionSettings
) -> None:
    write(ward, [ward.patient()])
    flaky = FlakySessions(sessions)
    channel = CuttingChannel(engine, flaky)
    post = Settings(sms_per_second=1000, in_flight=2)
    dispatcher = Dispatcher(flaky, {"sms": channel}, Outbox(settings, post), post)  # type: ignore[arg-type]
    counts = asyncio.run(dispatcher.tick(FixedClock(at(0))))
    assert counts["accepted"] == 1
    assert states(ward) == {"accepted": 1}


def test_the_loop_goes_on_after_a_database_that_was_away(
    ward: SmallWard, engine: Engine, sessions: sessionmaker[Session], settings: CompanionSettings
) -> None:
    write(ward, [ward.patient()])
    flaky = FlakySessions(sessions)
    flaky.away = 12
    post = Settings(sms_per_second=1000, in_flight=2)
    stop = asyncio.Event()

    class Stopping(WatchfulChannel):
        async def send(self, parcel: Parcel) -> str:
            stop.set()
            return await super().send(parcel)

    dispatcher = Dispatcher(flaky, {"sms": Stopping(engine)}, Outbox(settings, post), post)  # type: ignore[arg-type]
    asyncio.run(dispatcher.run(lambda: FixedClock(at(0)), stop, 0.01))
    assert states(ward) == {"accepted": 1}
