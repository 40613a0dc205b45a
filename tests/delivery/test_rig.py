"""The rig's provider does what Twilio does, so that what passes against it means something."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest
import uvloop

from notifications.channels import Later, Uncertain
from notifications.channels.sms import callbacks
from notifications.channels.sms.channel import TwilioChannel
from tests.delivery.test_channels import NOW, PUBLIC, find, parcel, send, twilio
from tests.rig import twilio_like
from tests.rig.http import Answer, Listener, Request
from tests.rig.twilio_like import Callbacks, TwilioLike

MESSAGES = "/2010-04-01/Accounts/AC1/Messages.json"


@dataclass
class Hooks:
    """Our side of the callbacks: keeps what was told, and whether it was signed."""

    told: list[tuple[str, str, str]] = field(default_factory=list)
    forged: int = 0
    url: str = ""
    _news: threading.Condition = field(default_factory=threading.Condition)

    def answer(self, request: Request) -> Answer:
        params = callbacks.read_form(request.body)
        query = "&".join(f"{name}={value}" for name, value in request.query.items())
        url = f"{PUBLIC}{request.path}{'?' + query if query else ''}"
        if not callbacks.genuine(["secret"], url, params, request.headers["x-twilio-signature"]):
            self.forged += 1
        with self._news:
            status = params.get("MessageStatus", params.get("Body", [""]))[0]
            self.told.append((request.query.get("attempt", ""), params["MessageSid"][0], status))
            self._news.notify_all()
        return Answer(204)

    def wait_for(self, count: int) -> None:
        with self._news:
            assert self._news.wait_for(lambda: len(self.told) >= count, 30)


@contextmanager
def listening(hooks: Hooks) -> Iterator[Hooks]:
    loop = uvloop.new_event_loop()
    listener = Listener(hooks.answer)
    loop.run_until_complete(listener.listen())
    hooks.url = listener.url
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield hooks
    asyncio.run_coroutine_threadsafe(listener.close(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture
def server() -> Iterator[TwilioLike]:
    with twilio_like.running(TwilioLike(clock_at=NOW)) as running:
        yield running


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with listening(Hooks()) as running:
        yield running


def carry(server: TwilioLike, body: str = "Hei Kari", number: str = "+4740000001") -> str:
    return send(lambda: TwilioChannel(twilio(server.url), PUBLIC), parcel(number, body))


def test_a_list_comes_in_pages_and_ends(server: TwilioLike) -> None:
    sids = [carry(server, f"Hei {number}") for number in range(5)]
    carry(server, number="+4740000002")
    found, page = [], f"{MESSAGES}?PageSize=2&To=%2B4740000001"
    while page:
        said = httpx.get(server.url + page).json()
        assert len(said["messages"]) <= 2
        found += [one["sid"] for one in said["messages"]]
        page = said["next_page_uri"]
    assert found == sids[::-1]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"DateSent>": "2026-11-10T09:00:00Z"}, 1),
        ({"DateSent>": "2026-11-10T09:00:01Z"}, 0),
        ({"DateSent<": "2026-11-10T09:00:00Z"}, 1),
        ({"DateSent<": "2026-11-09"}, 0),
        ({"DateSent": "2026-11-10"}, 1),
        ({"DateSent": "2026-11-11"}, 0),
    ],
)
def test_a_list_is_narrowed_by_when(server: TwilioLike, filters: dict[str, str], count: int) -> None:
    carry(server)
    assert len(httpx.get(server.url + MESSAGES, params=filters).json()["messages"]) == count


def test_one_is_found_among_many(server: TwilioLike) -> None:
    for number in range(30):
        carry(server, f"Hei {number}")
    wanted = replace(parcel(body="Hei 3"), started_at=NOW - timedelta(hours=1))
    assert len(find(lambda: TwilioChannel(twilio(server.url), PUBLIC), wanted)) == 1


def test_a_full_bucket_says_when_to_come_again(server: TwilioLike) -> None:
    server.per_second = 5
    refused = []
    for _ in range(12):
        try:
            carry(server)
        except Later as later:
            refused.append((later.code, later.after))
    assert refused
    assert all(code == "20429" and after and after >= timedelta(seconds=1) for code, after in refused)
    assert len(server.taken) == 12 - len(refused)


def test_whom_it_refuses_knows_that_nothing_was_taken(server: TwilioLike) -> None:
    server.refuse()
    with pytest.raises(Later, match="no_connection"):
        carry(server)
    server.listen()
    assert carry(server) == server.taken[0].sid


def test_torn_off_before_taking_is_as_doubtful_as_after(server: TwilioLike) -> None:
    server.mode = "reset_before"
    with pytest.raises(Uncertain):
        carry(server)
    assert not server.taken


def test_a_mixture_of_faults_is_drawn_by_seed(server: TwilioLike) -> None:
    server.mix = {"accept_then_500": 0.5}
    ends = Counter[bool]()
    for _ in range(40):
        try:
            carry(server)
            ends[True] += 1
        except Uncertain:
            ends[False] += 1
    assert len(server.taken) == 40
    assert min(ends[True], ends[False]) > 5


def test_news_are_signed_and_carry_the_attempt(server: TwilioLike, hooks: Hooks) -> None:
    server.callbacks = Callbacks(hooks.url)
    sid = carry(server)
    hooks.wait_for(3)
    attempt = server.taken[0].attempt
    assert len(attempt) == 32
    assert urlsplit(server.taken[0].form["StatusCallback"]).path == "/hooks/twilio/status"
    assert sorted(hooks.told) == sorted((attempt, sid, status) for status in ("queued", "sent", "delivered"))
    assert hooks.forged == 0


def test_news_come_before_the_answer_twice_or_not_at_all(server: TwilioLike, hooks: Hooks) -> None:
    server.callbacks = Callbacks(hooks.url, lost=1)
    carry(server)
    server.callbacks = Callbacks(hooks.url, before=1, twice=1, undelivered=1)
    sid = carry(server)
    # It was told at least once when the answer came.
    assert hooks.told[0][1] == sid
    hooks.wait_for(6)
    statuses = Counter(status for _, told, status in hooks.told if told == sid)
    assert statuses == {"queued": 2, "sent": 2, "undelivered": 2}
    assert len({told for _, told, _ in hooks.told}) == 1


def test_what_people_write_is_signed_too(server: TwilioLike, hooks: Hooks) -> None:
    server.callbacks = Callbacks(hooks.url)
    server.callbacks.public = PUBLIC
    assert server.write_in("+4740000001", "JA æøå đ +", sid="SM1") == 204
    assert hooks.told == [("", "SM1", "JA æøå đ +")]
    assert hooks.forged == 0


def test_as_a_process_of_its_own(hooks: Hooks) -> None:
    with twilio_like.process(callbacks={"base": hooks.url}) as remote:
        one = parcel()
        sid = send(lambda: TwilioChannel(twilio(remote.url), PUBLIC), one)
        hooks.wait_for(3)
        (seen,) = remote.ledger()
        assert (seen.sid, seen.attempt, seen.to, seen.body) == (sid, one.attempt_id, one.address, one.body)
        assert remote.counts()["posts"] == remote.counts()["taken"] == 1
        remote.change(mode="429")
        with pytest.raises(Later):
            send(lambda: TwilioChannel(twilio(remote.url), PUBLIC), one)
        remote.listen(False)
        with pytest.raises(Later, match="no_connection"):
            send(lambda: TwilioChannel(twilio(remote.url), PUBLIC), one)
        remote.listen(True)
        with pytest.raises(AssertionError):
            remote.change(mode="no such mode")
