"""A clock that jumps an hour or a day, either way, in mid-run: nothing is sent twice, nothing is silently skipped."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from companion.clock import FixedClock
from companion.models import Flag, Message
from companion.settings import Settings as CompanionSettings
from companion.use_cases.messages import message
from notifications import outbox
from notifications.channels import Later, News, Parcel, Uncertain
from notifications.outbox import Outbox, Result
from notifications.settings import Settings
from tests.delivery.conftest import MakeDispatcher
from tests.use_cases.small_ward import SmallWard, at

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
JUMPS = (HOUR, DAY, -HOUR, -DAY)


class Jumpy:
    """A provider during whose calls the clock jumps, once; its list is `behind` for that many looks."""

    def __init__(self, clock: FixedClock, by: timedelta, how: str, behind: int = 0) -> None:
        self._clock, self._by, self._how = clock, by, how
        self._looks_behind = behind
        self.taken: list[Parcel] = []

    async def send(self, parcel: Parcel) -> str:
        jumps, self._by = self._by, timedelta(0)
        self._clock.forward(jumps)
        if self._how == "busy" and jumps:
            raise Later("20429", timedelta(seconds=30))
        self.taken.append(parcel)
        if self._how == "in doubt" and jumps:
            raise Uncertain("read_timeout")
        return f"J{len(self.taken)}"

    async def find(self, parcel: Parcel) -> list[str]:
        self._looks_behind -= 1
        if self._looks_behind >= 0:
            return []
        return [f"J{number}" for number, one in enumerate(self.taken, 1) if one.body == parcel.body]

    async def fetch(self, provider_id: str) -> News | None:
        return News("delivered", None)

    async def close(self) -> None: ...


@pytest.fixture
def write(ward: SmallWard) -> Callable[[int], list[int]]:
    """Letters to so many people, good for a week."""

    def write(count: int) -> list[int]:
        written = [
            message.write(
                ward.db,
                "welcome",
                to=ward.patient(f"Kari{number} Nilsen"),
                now=at(0),
                valid_until=at(7),
                dedupe_key=f"{number}",
            )
            for number in range(count)
        ]
        ward.db.commit()
        return [one.id for one in written if one]

    return write


@pytest.mark.parametrize("how", ["taken", "busy", "in doubt"])
@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_the_clock_jumps_during_a_call(
    ward: SmallWard,
    make_dispatcher: MakeDispatcher,
    write: Callable[[int], list[int]],
    jump: timedelta,
    how: str,
) -> None:
    ids = write(3)
    clock = FixedClock(at(1))
    provider = Jumpy(clock, jump, how, behind=1)
    dispatcher = make_dispatcher(provider)
    for minutes in (0, 0, 1, 2, 3, 5, 10, 60, 24 * 60, 12 * 60, 24 * 60):
        clock.forward(timedelta(minutes=minutes))
        assert asyncio.run(dispatcher.tick(clock))["errors"] == 0
    assert Counter(parcel.message_id for parcel in provider.taken) == dict.fromkeys(ids, 1)
    assert set(ward.db.scalars(select(Message.state).where(Message.id.in_(ids)))) == {"delivered"}


@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_another_dispatcher_s_clock_is_wrong(
    ward: SmallWard,
    make_dispatcher: MakeDispatcher,
    sessions: sessionmaker[Session],
    settings: CompanionSettings,
    write: Callable[[int], list[int]],
    jump: timedelta,
) -> None:
    """It finds our leases run out, or not yet begun, while we are in the middle of the call."""
    ids = write(2)
    box = Outbox(settings, Settings())
    with sessions.begin() as db:
        ours, _ = box.claim(db, "batch", 10, at(1))
    clock = FixedClock(at(1) + jump)
    provider = Jumpy(clock, timedelta(0), "taken")
    other = make_dispatcher(provider)
    for seconds in (0, 1, 1, 5, 60):
        clock.forward(timedelta(seconds=seconds))
        assert asyncio.run(other.tick(clock))["errors"] == 0
    assert provider.taken == []
    results = []
    for parcel in ours:
        provider.taken.append(parcel)
        results.append(Result(parcel, "accepted", provider_id=f"J{len(provider.taken)}"))
    with sessions.begin() as db:
        outbox.settle(db, results, at(1) + timedelta(seconds=60))
    for minutes in (5, 10, 60, 24 * 60):
        clock.forward(timedelta(minutes=minutes))
        asyncio.run(other.tick(clock))
    assert Counter(parcel.message_id for parcel in provider.taken) == dict.fromkeys(ids, 1)
    assert (
        ward.db.scalars(select(Flag).where(Flag.state == "open", Flag.code == "parked_message")).all() == []
    )


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=str)
def test_jumping_there_and_back_leaves_nothing_out(
    ward: SmallWard, make_dispatcher: MakeDispatcher, jump: timedelta
) -> None:
    """A whole plan, with the clock wrong for one tick a day: every check-in is asked once, and ends before somebody's eyes."""
    people = [ward.patient(f"Kari{number} Nilsen", template="stroke") for number in range(2)]
    clock = FixedClock(at(0))
    provider = Jumpy(clock, timedelta(0), "taken")
    dispatcher = make_dispatcher(provider)
    ward.db.commit()
    for day in range(2, 20):
        for moment in (at(day, 10, 5), at(day, 15) + jump, at(day, 15, 1)):
            clock.at = moment
            assert asyncio.run(dispatcher.tick(clock))["errors"] == 0
    times = Counter(parcel.message_id for parcel in provider.taken)
    assert set(times.values()) == {1}
    letters = ward.db.scalars(select(Message)).all()
    for person in people:
        kinds = Counter(
            one.kind for one in letters if one.patient_id == person.id and one.state == "delivered"
        )
        assert (kinds["check_in"], kinds["reminder"]) == (2, 2)
        for day in (3, 14):
            check_in = ward.check_in(person, day)
            assert check_in.state == "expired"
            told = ward.db.scalars(select(Flag.code).where(Flag.check_in_id == check_in.id)).all()
            assert told == ["no_answer"]
