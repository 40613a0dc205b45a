"""The rooms in memory and the relay's passwords, by themselves."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from web.house.settings import WebSettings
from web.meeting.rooms import TOO_SLOW, WAITING_MESSAGES, Invited, Rooms, Seat
from web.meeting.turn import ice_servers

MEETING = UUID(int=1)
GUEST = Invited(id="1", role="patient", full_name="Kari Nilsen", short_name="Kari", line="")


def seat(name: str, *, admitted: bool = True) -> Seat:
    return Seat(id=name, page=name, host=False, admitted=admitted)


def said_to(of: Seat) -> list[dict[str, Any] | int]:
    said = []
    while not of.outbox.empty():
        said.append(of.outbox.get_nowait())
    return said


def test_there_are_four_seats() -> None:
    rooms, seats = Rooms(), [seat(name) for name in "12345"]
    invited = [replace(GUEST, id=each.id) for each in seats]
    assert [rooms.join(MEETING, each, invited) for each in seats] == [True, True, True, True, False]
    rooms.leave(MEETING, seats[0], on_purpose=True)
    assert {"type": "left", "id": "1"} in said_to(seats[1])
    assert rooms.join(MEETING, seats[4], invited)


def test_a_browser_that_never_reads_is_closed_and_not_waited_for() -> None:
    rooms, sender, deaf = Rooms(), seat("1"), seat("2")
    for each in (sender, deaf):
        rooms.join(MEETING, each, [])
    for _ in range(2 * WAITING_MESSAGES):
        rooms.signal(MEETING, sender, "2", {"candidate": {}})
    assert TOO_SLOW in said_to(deaf)


def test_an_old_window_that_goes_does_not_take_the_new_ones_seat() -> None:
    rooms, old, new, host = Rooms(), seat("1"), seat("1"), seat("2")
    for each in (old, new, host):
        rooms.join(MEETING, each, [GUEST])
    said_to(host)
    rooms.leave(MEETING, old, on_purpose=True)
    assert said_to(host) == []
    rooms.signal(MEETING, host, "1", {"candidate": {}})
    assert {"type": "signal", "from": "2", "page": "2", "candidate": {}} in said_to(new)


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
