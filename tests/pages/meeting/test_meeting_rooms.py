"""The rooms, in one process and across several, and the relay's passwords, by themselves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest
from psycopg import AsyncConnection
from pydantic import SecretStr
from sqlalchemy import Engine, text

from companion.crypto import KeyRing
from web.house.settings import WebSettings
from web.meeting.events import Invited
from web.meeting.line import PostgresLine
from web.meeting.rooms import ELSEWHERE, ENDED, FULL, TOO_SLOW, WAITING_MESSAGES, Rooms, Seat
from web.meeting.turn import ice_servers

MEETING = UUID(int=1)
INVITED = [
    Invited(id=name, role="patient", full_name=f"Kari Nilsen {name}", short_name=f"Kari {name}", line="")
    for name in "1234567"
]

Processes = Callable[[], AbstractAsyncContextManager[Rooms]]


@pytest.fixture
def process(engine: Engine) -> Processes:
    """The rooms of one more web process. On SQLite there is one, and everybody comes to it."""
    only = Rooms()

    @asynccontextmanager
    async def start() -> AsyncIterator[Rooms]:
        rooms = only
        if engine.dialect.name == "postgresql":
            rooms = Rooms(PostgresLine(engine, cast(KeyRing, engine.dialect.companion_keys)))  # type: ignore[attr-defined]
        async with rooms.open():
            yield rooms

    return start


only_postgres = pytest.mark.parametrize("backend", [pytest.param("postgresql", marks=pytest.mark.postgres)])


def seat(name: str, *, admitted: bool = True, host: bool = False, page: str = "") -> Seat:
    return Seat(id=name, page=page or name, host=host, admitted=admitted)


async def hears(who: Seat, found: Callable[[Any], bool]) -> Any:
    """The first of what the browser is told that will do."""
    while not found(message := await who.outbox.get()):
        pass
    return message


def sees(name: str, *states: str) -> Callable[[Any], bool]:
    return lambda said: (
        isinstance(said, dict)
        and any(one["id"] == name and one["state"] in states for one in said.get("people", []))
    )


def arrived(name: str, *, after: int) -> Callable[[Any], bool]:
    return lambda said: (
        isinstance(said, dict)
        and any(one["id"] == name and one.get("order", 0) > after for one in said.get("people", []))
    )


def is_signal(said: Any) -> bool:
    return isinstance(said, dict) and said["type"] == "signal"


async def sit(rooms: Rooms, who: Seat) -> Seat:
    """Joins, and is there when it has heard so."""
    rooms.join(MEETING, who, INVITED)
    await hears(who, lambda said: isinstance(said, dict) and said["type"] == "people")
    return who


async def two(here: Rooms, guest: Seat, there: Rooms, host: Seat) -> tuple[Seat, Seat]:
    """Both sit, and know of each other."""
    await sit(here, guest)
    there.join(MEETING, host, INVITED)
    await asyncio.gather(hears(guest, sees(host.id, "in")), hears(host, sees(guest.id, "in", "waiting")))
    return guest, host


def test_there_are_six_seats(process: Processes) -> None:
    async def story() -> None:
        async with process() as here, process() as there:
            seats = [
                await sit(rooms, seat(name)) for rooms, name in zip((here, there) * 3, "123456", strict=True)
            ]
            late = seat("7")
            there.join(MEETING, late, INVITED)
            assert await late.outbox.get() == FULL
            here.leave(MEETING, seats[0], on_purpose=True)
            assert await hears(seats[1], lambda said: said == {"type": "left", "id": "1"})
            await hears(seats[1], sees("1", "coming"))
            await sit(there, seat("7"))

    asyncio.run(story())


def test_signals_of_any_length_come_in_their_order_and_say_who_they_are_from(process: Processes) -> None:
    sent = [{"candidate": {"candidate": str(at) * (1 if at % 3 else 9_000)}} for at in range(30)]

    async def story() -> None:
        async with process() as here, process() as there:
            guest, host = await two(here, seat("1", page="7"), there, seat("2", host=True))
            for content in sent:
                here.signal(MEETING, guest, "2", content)
            got = [await hears(host, is_signal) for _ in sent]
        assert got == [{"type": "signal", "from": "1", "page": "7", **content} for content in sent]

    asyncio.run(story())


def test_nothing_passes_before_one_is_let_in(process: Processes) -> None:
    async def story() -> None:
        async with process() as here, process() as there:
            guest, host = await two(here, seat("1", admitted=False), there, seat("2", host=True))
            here.signal(MEETING, guest, "2", {"candidate": {"candidate": "too early"}})
            there.signal(MEETING, host, "1", {"candidate": {"candidate": "too early"}})
            here.call_me(MEETING, "1", "")
            assert (await hears(host, lambda said: said["type"] != "people"))["type"] == "call_me"
            there.admit(MEETING, "1")
            assert not is_signal(await hears(guest, lambda said: is_signal(said) or said["admitted"]))
            assert not is_signal(await hears(host, lambda said: is_signal(said) or sees("1", "in")(said)))
            here.signal(MEETING, guest, "2", {"candidate": {"candidate": "now"}})
            there.signal(MEETING, host, "1", {"candidate": {"candidate": "now"}})
            for one in (guest, host):
                assert (await hears(one, is_signal))["candidate"] == {"candidate": "now"}

    asyncio.run(story())


def test_a_second_window_takes_the_seat_wherever_it_is_opened(process: Processes) -> None:
    async def story() -> None:
        async with process() as here, process() as there:
            old, host = await two(here, seat("1", page="old"), there, seat("2", host=True))
            new = await sit(there, seat("1", page="new"))
            assert await hears(old, lambda said: said == ELSEWHERE)
            await hears(host, lambda said: sees("1", "in")(said) and said["people"][0]["page"] == "new")
            here.leave(MEETING, old, on_purpose=True)
            here.call_me(MEETING, "1", "")
            told: Any = await host.outbox.get()
            assert told["type"] == "call_me", "an old window that goes does not take the new one's seat"
            there.signal(MEETING, host, "1", {"candidate": {}})
            assert await hears(new, is_signal)

    asyncio.run(story())


def test_everybody_reads_what_is_sent_and_only_the_hosts_a_number(process: Processes) -> None:
    async def story() -> None:
        async with process() as here, process() as there:
            guest, host = await two(here, seat("1"), there, seat("2", host=True))
            here.media(MEETING, guest, camera=True, microphone=False)
            await hears(host, lambda said: sees("1", "in")(said) and said["people"][0]["camera"])
            here.call_me(MEETING, "1", "+4740000001")
            asked = await hears(host, lambda said: said["type"] == "call_me")
            assert (asked["id"], asked["shown"]) == ("1", "400\xa000\xa0001")
            here.end(MEETING)
            for one in (guest, host):
                assert await hears(one, lambda said: said == ENDED or said["type"] == "call_me") == ENDED

    asyncio.run(story())


def test_a_browser_that_never_reads_is_closed_and_not_waited_for(process: Processes) -> None:
    async def story() -> None:
        async with process() as here, process() as there:
            sender, deaf = await two(here, seat("1"), there, seat("2"))
            host = await sit(there, seat("3", host=True))
            for _ in range(WAITING_MESSAGES):
                here.signal(MEETING, sender, "2", {"candidate": {}})
            here.call_me(MEETING, "1", "")
            await hears(host, lambda said: said["type"] == "call_me")
            assert await hears(deaf, lambda said: not is_signal(said)) == TOO_SLOW

    asyncio.run(story())


# --- several processes ------------------------------------------------------------------------------------------------


@only_postgres
def test_a_process_that_comes_later_learns_who_is_where(process: Processes) -> None:
    async def story() -> None:
        async with process() as here:
            guest = await sit(here, seat("1"))
            async with process() as later:
                host = seat("2", host=True)
                later.join(MEETING, host, INVITED)
                seen = await hears(host, sees("1", "in"))
                assert seen["people"][0]["order"] < seen["order"], "both know who came first"
                await hears(guest, sees("2", "in"))

    asyncio.run(story())


@only_postgres
def test_when_a_process_dies_its_browsers_are_gone_and_may_come_again(process: Processes) -> None:
    async def story() -> None:
        async with process() as here, AsyncExitStack() as life:
            dying = await life.enter_async_context(process())
            _, host = await two(dying, seat("1"), here, seat("2", host=True))
            # Not a word of farewell: its lock is all that tells.
            await life.aclose()
            await hears(host, sees("1", "coming"))
            again = await sit(here, seat("1", page="again"))
            here.signal(MEETING, host, "1", {"candidate": {}})
            assert await hears(again, is_signal)

    asyncio.run(story())


@only_postgres
def test_a_line_that_breaks_is_taken_up_again_and_nobody_loses_the_seat(
    process: Processes, engine: Engine
) -> None:
    async def story() -> None:
        async with process() as here, process() as there:
            guest, host = await two(here, seat("1"), there, seat("2", host=True))
            before = max(guest.order, host.order)
            await asyncio.to_thread(cut_everybody_off, engine)
            await asyncio.gather(
                hears(host, arrived("1", after=before)), hears(guest, arrived("2", after=before))
            )
            here.signal(MEETING, guest, "2", {"candidate": {"candidate": "after"}})
            there.signal(MEETING, host, "1", {"candidate": {"candidate": "after"}})
            assert await hears(host, is_signal)
            assert await hears(guest, is_signal)

    asyncio.run(story())


def cut_everybody_off(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


@only_postgres
def test_nobody_who_listens_in_learns_anything_and_rubbish_is_passed_over(
    process: Processes, engine: Engine
) -> None:
    async def story() -> None:
        _, address = engine.dialect.create_connect_args(engine.url)
        async with process() as here, await AsyncConnection.connect(autocommit=True, **address) as stranger:
            await stranger.execute("LISTEN folge_rooms")
            guest, host = await two(here, seat("1"), here, seat("2", host=True))
            for rubbish in ("", "1", "1 1/1 x", "x 1/1 " + "A" * 100, "1 one/2 3"):
                await stranger.execute("SELECT pg_notify('folge_rooms', %s)", (rubbish,))
            here.call_me(MEETING, "1", "+4740000001")
            here.signal(MEETING, guest, "2", {"candidate": {"candidate": "10.0.0.7"}})
            assert await hears(host, is_signal)
            await stranger.execute("SELECT pg_notify('folge_rooms', 'the end')")
            overheard = []
            async for notice in stranger.notifies():
                overheard.append(notice.payload)
                if notice.payload == "the end":
                    break
        assert len(overheard) > 6, "what was said, and the rubbish"
        for word in ("Kari", "40000001", "10.0.0.7", "candidate", "call_me", str(MEETING)):
            assert word not in "".join(overheard)

    asyncio.run(story())


def test_relay_passwords_last_two_hours_and_name_nobody() -> None:
    settings = WebSettings(
        turn_urls="stun:turn.example:3478, turn:turn.example:3478?transport=udp,turns:turn.example:5349",
        turn_secret=SecretStr("north"),
    )
    stun, turn = ice_servers(settings, "6f9a", datetime(2026, 11, 10, 9, 0, tzinfo=UTC))
    assert stun == {"urls": "stun:turn.example:3478"}
    assert turn["urls"] == ["turn:turn.example:3478?transport=udp", "turns:turn.example:5349"]
    assert turn["username"] == f"{int(datetime(2026, 11, 10, 11, 0, tzinfo=UTC).timestamp())}:6f9a"
    # echo -n 1794308400:6f9a | openssl dgst -sha1 -hmac north -binary | base64
    assert turn["credential"] == "oNMD96yBVUikW2wPfyKCgCyhmPU="
    assert ice_servers(WebSettings(turn_urls=""), "6f9a", datetime(2026, 11, 10, tzinfo=UTC)) == []
