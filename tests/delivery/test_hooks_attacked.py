"""The provider's two doors under attack: forged, mutated, replayed, truncated, huge, nonsense; and a crowd at once."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, func, select
from starlette.types import ASGIApp
from structlog.testing import capture_logs
from twilio.request_validator import RequestValidator

from companion.clock import FixedClock
from companion.models import Flag, Message
from companion.settings import Settings
from companion.use_cases.messages import message
from notifications import heard
from notifications.channels.sms.settings import TwilioSettings
from notifications.models import Delivery, Inbound, ProviderEvent
from tests.delivery.conftest import MakeDispatcher
from tests.use_cases.small_ward import SmallWard, at
from web.app import create_app
from web.house.settings import WebSettings

PUBLIC = "https://folge.example"
STATUS = "/hooks/twilio/status"
INBOUND = "/hooks/twilio/inbound"
FORM = b"application/x-www-form-urlencoded"
ODD = "æøå ÆØÅ áčđŋšŧž + & = % ? # \U0001f642 «–»"


@dataclass(frozen=True)
class Post:
    """A request as it stands on the wire."""

    path: str
    query: bytes
    body: bytes
    signature: bytes
    host: bytes = b"127.0.0.1:8000"
    content_type: bytes = FORM
    pieces: int = 1

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return [
            (b"host", self.host),
            (b"content-type", self.content_type),
            (b"x-twilio-signature", self.signature),
        ]


def signed(
    path: str,
    pairs: Iterable[tuple[str, str]],
    *,
    query: str = "",
    token: str = "now",
    public: str = PUBLIC,
) -> Post:
    """What the provider sends: signed over the public address and every value of every parameter."""
    pairs = list(pairs)
    url = f"{public}{path}{'?' if query else ''}{query}"
    signature = RequestValidator(token).compute_signature(url, Values(pairs))
    return Post(path, query.encode(), urlencode(pairs).encode(), signature.encode())


class Values(dict[str, list[str]]):
    """As the SDK wants repeated parameters."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        for name, value in pairs:
            self.setdefault(name, []).append(value)

    def getlist(self, name: str) -> list[str]:
        return self[name]


@dataclass
class Door:
    """The application, spoken to without a client that would tidy up what we send. `read` counts the bytes it took in."""

    app: ASGIApp
    loop: asyncio.Runner
    read: int = 0

    def __call__(self, *posts: Post) -> list[int]:
        """One after the other."""
        return self.loop.run(self._in_turn(posts))

    def at_once(self, posts: Iterable[Post]) -> list[int]:
        """All together."""
        return self.loop.run(self._together(posts))

    async def _in_turn(self, posts: Iterable[Post]) -> list[int]:
        return [await self._one(post) for post in posts]

    async def _together(self, posts: Iterable[Post]) -> list[int]:
        return list(await asyncio.gather(*map(self._one, posts)))

    async def _one(self, post: Post) -> int:
        size = -(-len(post.body) // post.pieces)
        left = [post.body[start : start + size] for start in range(0, len(post.body), size or 1)] or [b""]
        answers: list[int] = []

        async def receive() -> dict[str, Any]:
            piece = left.pop(0) if left else b""
            self.read += len(piece)
            return {"type": "http.request", "body": piece, "more_body": bool(left)}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answers.append(message["status"])

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": post.path,
            "raw_path": post.path.encode(),
            "root_path": "",
            "query_string": post.query,
            "headers": post.headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
        }
        await self.app(scope, receive, send)
        return answers[0]


@pytest.fixture
def make_door(settings: Settings, engine: Engine) -> Iterator[Callable[[str, str], Door]]:
    """The application with these tokens, the present and the next one."""
    public = settings.model_copy(update={"public_url": PUBLIC})
    with asyncio.Runner() as loop:

        def make(present: str, following: str) -> Door:
            account = TwilioSettings(auth_token=SecretStr(present), auth_token_next=SecretStr(following))
            clock = FixedClock(at(0))
            app = create_app(WebSettings(), settings=public, engine=engine, clock=clock, twilio=account)
            return Door(app, loop)

        yield make


@pytest.fixture
def door(make_door: Callable[[str, str], Door]) -> Door:
    return make_door("now", "next")


def kept(ward: SmallWard) -> tuple[int, int]:
    """What has been kept: news, and SMS."""
    ward.db.rollback()
    found = [
        ward.db.scalar(select(func.count()).select_from(table)) or 0 for table in (ProviderEvent, Inbound)
    ]
    ward.db.rollback()
    return found[0], found[1]


def news(number: int = 1, **changed: str) -> list[tuple[str, str]]:
    said = {"MessageSid": f"SM{number}", "MessageStatus": "sent", "ErrorCode": "", "To": "+4740000001"}
    return list((said | changed).items())


def sms(number: int = 1, **changed: str) -> list[tuple[str, str]]:
    return list(({"MessageSid": f"IN{number}", "From": "+4740000001", "Body": ODD} | changed).items())


def flipped(raw: bytes) -> Iterator[bytes]:
    """Every version with one bit changed."""
    for place in range(len(raw)):
        for bit in range(8):
            yield raw[:place] + bytes([raw[place] ^ 1 << bit]) + raw[place + 1 :]


def says(body: bytes) -> object:
    try:
        return parse_qs(body.decode(), keep_blank_values=True)
    except ValueError:
        return body


# --- who wrote it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [STATUS, INBOUND])
def test_every_flipped_bit_is_refused_and_changes_nothing(ward: SmallWard, door: Door, path: str) -> None:
    good = signed(path, news() if path == STATUS else sms(Body="Æ+đ"), query="attempt=0123abcd&x=%C3%A6")
    # "%c3" for "%C3" says the same, and the provider signs what is said.
    bodies = [body for body in flipped(good.body) if says(body) != says(good.body)]
    mutants = [
        *(replace(good, body=body) for body in bodies),
        *(replace(good, query=query) for query in flipped(good.query)),
        *(replace(good, signature=signature) for signature in flipped(good.signature)),
    ]
    assert len(mutants) > 800
    with capture_logs() as logs:
        assert set(door(*mutants)) == {403}
    assert sum(line["event"] == "hook_refused" for line in logs) == len(mutants)
    assert {line["log_level"] for line in logs} <= {"info", "warning"}
    assert kept(ward) == (0, 0)
    assert door(good) == [204 if path == STATUS else 200]


@pytest.mark.parametrize("token", ["now", "next"])
@pytest.mark.parametrize("public", [PUBLIC, f"{PUBLIC}:443"])
@pytest.mark.parametrize("host", [b"folge.example", b"folge.example:443", b"10.0.0.7:8000"])
def test_genuine_behind_whatever_proxy(
    ward: SmallWard, door: Door, token: str, public: str, host: bytes
) -> None:
    twice = [*news(2), ("MessageStatus", "delivered"), ("Empty", ""), ("Also", ODD), ("Also", "")]
    posts = [
        signed(STATUS, news(1), token=token, public=public),
        signed(STATUS, twice, query="attempt=0123abcd&x=%C3%A6+y&empty=", token=token, public=public),
        signed(INBOUND, sms(1), token=token, public=public),
        signed(INBOUND, [*sms(2, Body=""), ("Body", " STOPP ")], token=token, public=public),
    ]
    assert door(*(replace(post, host=host) for post in posts)) == [204, 204, 200, 200]
    assert kept(ward) == (2, 2)
    assert sorted(ward.db.scalars(select(Inbound.body))) == ["", ODD]


def test_changing_the_token_loses_nothing(ward: SmallWard, make_door: Callable[[str, str], Door]) -> None:
    """The drill: the next one is written down, the provider changes, the old one is taken away."""
    steps = [("old", "", "old"), ("old", "new", "old"), ("old", "new", "new"), ("new", "", "new")]
    for number, (present, following, used) in enumerate(steps):
        assert make_door(present, following)(signed(STATUS, news(number), token=used)) == [204]
    assert kept(ward) == (4, 0)
    assert make_door("new", "")(signed(STATUS, news(9), token="old")) == [403]
    assert make_door("", "")(signed(STATUS, news(9), token="")) == [403]


# --- what it says -----------------------------------------------------------------------------------------------------


def test_nonsense_from_strangers_is_refused_in_one_line(ward: SmallWard, door: Door) -> None:
    good = signed(STATUS, news(), query="attempt=0123abcd")
    nasty = [
        replace(good, signature=b""),
        replace(good, signature=b"\xff" * 28),
        replace(good, signature=good.signature * 1000),
        replace(good, body=b""),
        replace(good, body=good.body[:-7]),
        replace(good, body=good.body + b"&MessageStatus=delivered"),
        replace(good, body=b"\xff\xfe\x00" * 100),
        replace(good, body=b'{"MessageSid": "SM1"}', content_type=b"application/json"),
        replace(good, body=b"a=1&" * 5000),
        replace(good, body=b"%00%ff%" * 100),
        replace(good, query=b"attempt=\xff\xfe"),
        replace(good, query=b"attempt=%ff%00&" * 50),
        replace(good, query=b""),
        replace(good, path=INBOUND),
    ]
    for post in nasty:
        with capture_logs() as logs:
            assert door(post) == [403], post
        assert [line["event"] for line in logs] == ["hook_refused", "request"]
    assert kept(ward) == (0, 0)


def test_a_body_of_many_megabytes_is_never_taken_in(ward: SmallWard, door: Door) -> None:
    huge = replace(signed(INBOUND, sms()), body=b"Body=" + b"x" * 8_000_000, pieces=500)
    assert door(huge) == [413]
    assert door.read < 1_100_000
    assert kept(ward) == (0, 0)


def test_whatever_the_provider_itself_says_we_take_it_and_stay_up(
    ward: SmallWard, door: Door, make_dispatcher: MakeDispatcher
) -> None:
    kari = ward.patient()
    ward.db.commit()
    long = "x" * 100_000
    posts = [
        signed(STATUS, news(1, MessageStatus="read-by-a-martian")),
        signed(STATUS, news(2, MessageStatus="undelivered", ErrorCode="31999"), query="attempt=unknown"),
        signed(STATUS, news(3, MessageSid=long, MessageStatus=long, ErrorCode=long), query=f"attempt={long}"),
        signed(STATUS, news(4, MessageSid="\0SM", MessageStatus="s\0ent"), query="attempt=%00%00"),
        signed(STATUS, news(5, MessageSid="")),
        signed(STATUS, []),
        signed(INBOUND, sms(1, From=str(kari.phone), Body="\0")),
        signed(INBOUND, sms(2, From=str(kari.phone), Body=long)),
        signed(INBOUND, sms(3, From=long, Body=ODD)),
        signed(INBOUND, sms(4, From="\0", Body=ODD)),
        signed(INBOUND, sms(5, MessageSid="")),
        signed(INBOUND, []),
    ]
    assert door(*posts) == [204] * 6 + [200] * 6
    before = ward.db.scalar(select(func.count()).select_from(Message))
    ward.db.commit()
    counts = asyncio.run(make_dispatcher().tick(FixedClock(at(0))))
    assert counts["errors"] == 0
    # A question nobody understood, from somebody we know, is read by a human; nothing else has come of it.
    assert set(ward.db.scalars(select(Flag.code))) == {"reply_not_understood"}
    assert ward.db.scalar(select(func.count()).select_from(Message)) == (before or 0) + 1


# --- a crowd ----------------------------------------------------------------------------------------------------------


def test_two_hundred_callbacks_at_once_are_all_kept(ward: SmallWard, door: Door) -> None:
    posts = [signed(STATUS, news(number), query=f"attempt={number}") for number in range(200)]
    assert set(door.at_once(posts)) == {204}
    assert kept(ward) == (200, 0)


def test_replayed_five_times_and_fifty_at_once_it_has_one_effect(
    ward: SmallWard, door: Door, make_dispatcher: MakeDispatcher
) -> None:
    kari = ward.patient()
    ward.db.commit()
    call_me = signed(INBOUND, sms(1, From=str(kari.phone), Body="RING"))
    assert door(*[call_me] * 5) == [200] * 5
    assert set(door.at_once([call_me] * 50)) == {200}
    assert kept(ward) == (0, 1)
    for _ in range(2):
        asyncio.run(make_dispatcher().tick(FixedClock(at(0))))
        assert set(door.at_once([call_me] * 5)) == {200}
    assert ward.db.scalars(select(Flag.code)).all() == ["wants_contact"]
    assert len(ward.db.scalars(select(Message)).all()) == 1


def test_a_status_nobody_has_heard_of_changes_nothing_and_is_one_line_in_the_log(
    ward: SmallWard, door: Door, make_dispatcher: MakeDispatcher
) -> None:
    kari = ward.patient()
    letter = message.write(ward.db, "new_link", to=kari, now=at(0), valid_until=at(0, 11), dedupe_key="one")
    assert letter
    ward.db.commit()
    asyncio.run(make_dispatcher().tick(FixedClock(at(0))))
    attempt, provider_id = ward.db.execute(select(Delivery.id, Delivery.provider_id)).one()
    ward.db.rollback()
    martian = news(MessageSid=str(provider_id), MessageStatus="beamed up")
    assert door(*[signed(STATUS, martian, query=f"attempt={attempt}")] * 3) == [204] * 3
    with capture_logs() as logs:
        asyncio.run(make_dispatcher().tick(FixedClock(at(0))))
    assert [line["event"] for line in logs if line["log_level"] != "info"] == ["unknown_status"]
    ward.db.expire_all()
    assert letter.state == "delivered"


def test_two_dispatchers_and_one_sms_have_one_effect(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    kari = ward.patient()
    assert kari.phone
    for number in range(20):
        heard.keep_inbound(ward.db, f"IN{number}", kari.phone, "RING", now=at(0))
    ward.db.commit()

    async def both() -> list[int]:
        ticks = [make_dispatcher().tick(FixedClock(at(0))) for _ in range(2)]
        return [counts["inbound"] for counts in await asyncio.gather(*ticks)]

    assert sum(asyncio.run(both())) == 20
    assert ward.db.scalars(select(Flag.code)).all() == ["wants_contact"]
