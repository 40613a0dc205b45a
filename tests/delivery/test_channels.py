"""One contract for every channel: the sandbox, the real Twilio channel and a third way keep the same promises."""

import asyncio
import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from companion.errors import Misconfigured
from notifications.channels import Channel, Later, Never, News, Parcel, Uncertain
from notifications.channels.sms import sandbox as phones
from notifications.channels.sms.channel import TwilioChannel
from notifications.channels.sms.sandbox import SandboxChannel
from notifications.channels.sms.settings import TwilioSettings
from notifications.channels.sms.way import Sms
from notifications.models import SandboxMessage
from tests.delivery.third_channel.way import Bell, Bells
from tests.rig import twilio_like
from tests.rig.twilio_like import Mode, TwilioLike

NOW = datetime(2026, 11, 10, 9, 0, tzinfo=UTC)
PUBLIC = "https://folge.example"


def parcel(number: str = "+4740000001", body: str = "Hei Kari") -> Parcel:
    return Parcel(uuid4().hex, 1, 1, 1, number, body, NOW, timedelta(hours=2))


def twilio(base: str, **changed: Any) -> TwilioSettings:
    given = TwilioSettings(account_sid="AC1", auth_token=SecretStr("secret"), api_base=base, read_seconds=0.5)
    return given.model_copy(update={"sender": "Folge", **changed})


@dataclass
class Tried:
    """A channel under test: how to make one inside a loop, and what people have received."""

    make: Callable[[], Channel]
    received: Callable[[], list[str]]
    states: Mapping[str, str]


@pytest.fixture(params=["sandbox", "twilio", "third"])
def tried(request: pytest.FixtureRequest, sessions: sessionmaker[Session]) -> Iterator[Tried]:
    with ExitStack() as stack:
        if request.param == "twilio":
            server = stack.enter_context(twilio_like.running(TwilioLike(clock_at=NOW)))
            yield Tried(lambda: TwilioChannel(twilio(server.url), PUBLIC), server.bodies, Sms.states)
        elif request.param == "third":
            bells = Bells(
                refused=phones.REFUSED,
                busy=phones.BUSY,
                lost=phones.LOST_WITHOUT_ANSWER,
                rings_in_silence=phones.ARRIVES_WITHOUT_ANSWER,
            )
            yield Tried(lambda: bells, lambda: [one.body for one in bells.rung], Bell.states)
        else:
            yield Tried(lambda: SandboxChannel(sessions), lambda: _on_phones(sessions), Sms.states)


def _on_phones(sessions: sessionmaker[Session]) -> list[str]:
    with sessions() as db:
        return list(db.scalars(select(SandboxMessage.body)))


def send(make: Callable[[], Channel], one: Parcel) -> str:
    return _in_loop(make, lambda channel: channel.send(one))  # type: ignore[no-any-return]


def find(make: Callable[[], Channel], one: Parcel) -> list[str]:
    return _in_loop(make, lambda channel: channel.find(one))  # type: ignore[no-any-return]


def fetch(make: Callable[[], Channel], provider_id: str) -> News | None:
    return _in_loop(make, lambda channel: channel.fetch(provider_id))  # type: ignore[no-any-return]


def _in_loop(make: Callable[[], Channel], call: Callable[[Channel], Any]) -> Any:
    async def inside() -> Any:
        channel = make()
        try:
            return await call(channel)
        finally:
            await channel.close()

    return asyncio.run(inside())


def test_a_text_arrives_unchanged_and_is_found_by_number_and_text(tried: Tried) -> None:
    one = parcel(body="Buorre beaivi Áilu, čoahkkin « æøå » €")
    provider_id = send(tried.make, one)
    assert tried.received() == [one.body]
    assert find(tried.make, one) == [provider_id]
    assert find(tried.make, replace(one, body="something else")) == []
    assert find(tried.make, replace(one, address="+4740000009")) == []
    assert find(tried.make, replace(one, started_at=NOW + timedelta(hours=1))) == []


@pytest.mark.parametrize(("number", "code"), phones.REFUSED.items())
def test_a_permanent_refusal_carries_its_code(tried: Tried, number: str, code: str) -> None:
    with pytest.raises(Never) as refused:
        send(tried.make, parcel(number))
    assert refused.value.code == code
    assert tried.received() == []


def test_a_busy_provider_says_later_and_when(tried: Tried) -> None:
    with pytest.raises(Later) as later:
        send(tried.make, parcel(phones.BUSY))
    assert later.value.after == timedelta(seconds=30)
    assert tried.received() == []


def test_an_answer_that_never_comes_is_uncertain_and_can_be_looked_up(tried: Tried) -> None:
    arrived, lost = parcel(phones.ARRIVES_WITHOUT_ANSWER), parcel(phones.LOST_WITHOUT_ANSWER)
    for one in (arrived, lost):
        with pytest.raises(Uncertain):
            send(tried.make, one)
    assert len(find(tried.make, arrived)) == 1
    assert find(tried.make, lost) == []


# --- only Twilio ------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[TwilioLike]:
    with twilio_like.running(TwilioLike(clock_at=NOW)) as running:
        yield running


def test_the_request_says_who_what_how_long_and_where_to_report(server: TwilioLike) -> None:
    one = parcel()
    send(lambda: TwilioChannel(twilio(server.url), PUBLIC + "/"), one)
    assert server.taken[0].form == {
        "From": "Folge",
        "To": one.address,
        "Body": one.body,
        "StatusCallback": f"{PUBLIC}/hooks/twilio/status?attempt={one.attempt_id}",
        "ValidityPeriod": "7200",
        "SmartEncoded": "false",
    }
    assert server.authorization == "Basic " + base64.b64encode(b"AC1:secret").decode()


def test_a_messaging_service_goes_before_the_sender_and_validity_is_bounded(server: TwilioLike) -> None:
    given = twilio(server.url, messaging_service_sid="MG1")
    send(lambda: TwilioChannel(given, PUBLIC), replace(parcel(), valid_for=timedelta(days=3)))
    form = server.taken[0].form
    assert (form["MessagingServiceSid"], form["ValidityPeriod"], "From" in form) == ("MG1", "36000", False)


@pytest.mark.parametrize("mode", ["accept_then_hang", "accept_then_500", "hang", "reset", "unreadable"])
def test_whatever_breaks_after_the_request_left_is_uncertain(server: TwilioLike, mode: Mode) -> None:
    server.mode = mode
    with pytest.raises(Uncertain):
        send(lambda: TwilioChannel(twilio(server.url), PUBLIC), parcel())


def test_a_provider_that_cannot_be_reached_has_certainly_taken_nothing(server: TwilioLike) -> None:
    for base in ("http://127.0.0.1:9", "http://no-such-host.invalid"):
        with pytest.raises(Later):
            send(lambda base=base: TwilioChannel(twilio(base), PUBLIC), parcel())  # type: ignore[misc]


def test_a_slow_provider_is_waited_for(server: TwilioLike) -> None:
    server.mode = "slow"
    assert send(lambda: TwilioChannel(twilio(server.url), PUBLIC), parcel()) == server.taken[0].sid


def test_a_listing_that_fails_proves_nothing(server: TwilioLike) -> None:
    server.mode = "429"
    with pytest.raises(Later):
        find(lambda: TwilioChannel(twilio(server.url), PUBLIC), parcel())


def test_missing_settings_are_named() -> None:
    with pytest.raises(Misconfigured, match="TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_FROM"):
        TwilioSettings(account_sid="", auth_token=SecretStr(""), sender="").require()


def test_what_became_of_a_message_can_be_asked(tried: Tried) -> None:
    provider_id = send(tried.make, parcel())
    news = fetch(tried.make, provider_id)
    assert news
    assert tried.states[news.status] in ("sent", "delivered")
    assert news.error_code is None
    assert fetch(tried.make, "SMno-such-message") is None


def test_asking_a_busy_provider_says_later(server: TwilioLike) -> None:
    provider_id = send(lambda: TwilioChannel(twilio(server.url), PUBLIC), parcel())
    server.mode = "429"
    with pytest.raises(Later):
        fetch(lambda: TwilioChannel(twilio(server.url), PUBLIC), provider_id)


def test_a_code_comes_with_the_answer(server: TwilioLike) -> None:
    provider_id = send(lambda: TwilioChannel(twilio(server.url), PUBLIC), parcel())
    server.taken[0].status, server.taken[0].error_code = "undelivered", 30003
    assert fetch(lambda: TwilioChannel(twilio(server.url), PUBLIC), provider_id) == News(
        "undelivered", "30003"
    )


@pytest.mark.parametrize("code", [21606, 21212, 21611])
def test_a_wrong_sender_is_no_fault_of_the_letter(server: TwilioLike, code: int) -> None:
    server.refuse_with = code
    with pytest.raises(Later) as later:
        send(lambda: TwilioChannel(twilio(server.url), PUBLIC), parcel())
    assert later.value.code == str(code)


def test_a_code_of_any_shape_is_short_enough_to_keep(server: TwilioLike) -> None:
    server.refuse_with = {"what": "x" * 100}
    with pytest.raises(Never) as refused:
        send(lambda: TwilioChannel(twilio(server.url), PUBLIC), parcel())
    assert len(refused.value.code) <= 16
