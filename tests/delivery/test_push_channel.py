"""One contract for push: the demo's handsets and the real channel keep the same promises; and what only the real one has to."""

import asyncio
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import uuid4

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from py_vapid.utils import b64urlencode
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from companion.clock import FixedClock
from companion.errors import Misconfigured
from companion.models import Patient
from notifications import circuit
from notifications.channels import Channel, Device, Later, Never, Parcel, Uncertain
from notifications.channels.push import devices, vapid
from notifications.channels.push.channel import Outward, PushChannel
from notifications.channels.push.devices import Subscription
from notifications.channels.push.sandbox import SandboxPush, invented_device
from notifications.channels.push.settings import VapidSettings
from notifications.models import PushSubscription, SandboxMessage
from tests.rig import push_service
from tests.rig.push_service import Mode, PushService
from tests.use_cases.small_ward import SmallWard

NOW = datetime(2026, 11, 10, 9, 0, tzinfo=UTC)
KEY = VapidSettings(private_key=SecretStr(vapid.new_key()), subject="mailto:drift@folge.example")
# The real clock of the push service stands here as well.
CLOCK = FixedClock(NOW)


def payload(attempt_id: str) -> str:
    said = {"title": "Følge", "body": "Noe nytt, čoahkkin « æøå »", "lang": "nb", "url": "/l#abc", "tag": "t"}
    return json.dumps(said | {"ack": attempt_id}, ensure_ascii=False)


def parcel(*to: Device, **changed: object) -> Parcel:
    attempt_id = uuid4().hex
    made = Parcel(
        attempt_id=attempt_id,
        message_id=1,
        attempt=1,
        fence=1,
        address="",
        body=payload(attempt_id),
        started_at=NOW,
        valid_for=timedelta(minutes=15),
        channel="push",
        devices=to,
        topic="a-topic_of-22-letters",
    )
    return replace(made, **changed)  # type: ignore[arg-type]


@pytest.fixture
def kari(ward: SmallWard) -> Patient:
    kari = ward.patient()
    ward.db.commit()
    return kari


@dataclass
class Tried:
    """A channel under test: how to make one inside a loop, a device with a fate, what people have seen."""

    make: Callable[[], Channel]
    device: Callable[[str], Device]
    seen: Callable[[], int]


@pytest.fixture
def service() -> Iterator[PushService]:
    with push_service.running(PushService(at=NOW)) as running:
        yield running


@pytest.fixture(params=["sandbox", "push"])
def tried(request: pytest.FixtureRequest, sessions: sessionmaker[Session], kari: Patient) -> Iterator[Tried]:
    with ExitStack() as stack:
        if request.param == "push":
            service = stack.enter_context(push_service.running(PushService(at=NOW)))
            fates: dict[str, Mode] = {"gone": "410", "busy": "429", "silent": "hang"}
            yield Tried(
                lambda: real(sessions),
                lambda fate: keep(sessions, kari, service.subscribe(fates.get(fate))),
                lambda: len(service.shown),
            )
        else:
            yield Tried(
                lambda: SandboxPush(sessions),
                lambda fate: keep(sessions, kari, invented_device(uuid4().hex, fate)),
                lambda: len(on_handsets(sessions)),
            )


def real(sessions: sessionmaker[Session], **changed: object) -> PushChannel:
    given: dict[str, object] = {"loopback": True, "clock": CLOCK, "read_seconds": 0.5, "connect_seconds": 2}
    return PushChannel(KEY, sessions, **(given | changed))  # type: ignore[arg-type]


def keep(sessions: sessionmaker[Session], whose: Patient, one: Device | Subscription) -> Device:
    """The device, in the records as the person's."""
    with sessions.begin() as db:
        devices.add(db, whose.id, Subscription(one.endpoint, one.p256dh, one.auth), asked=True, now=NOW)
        row = db.scalars(
            select(PushSubscription).where(PushSubscription.endpoint_index == one.endpoint)
        ).one()
        return Device(row.id, row.endpoint, row.p256dh, row.auth)


def on_handsets(sessions: sessionmaker[Session]) -> list[SandboxMessage]:
    with sessions() as db:
        return list(db.scalars(select(SandboxMessage)))


def kept(sessions: sessionmaker[Session]) -> list[str]:
    with sessions() as db:
        return list(db.scalars(select(PushSubscription.endpoint)))


def contact_by(sessions: sessionmaker[Session], whose: Patient) -> str:
    with sessions() as db:
        return db.get_one(Patient, whose.id).contact_by


def send(make: Callable[[], Channel], one: Parcel) -> str:
    async def inside() -> str:
        channel = make()
        try:
            return await channel.send(one)
        finally:
            await channel.close()

    return asyncio.run(inside())


# --- both -------------------------------------------------------------------------------------------------------------


def test_a_push_is_taken_once_for_all_devices(tried: Tried) -> None:
    one = parcel(tried.device("works"))
    assert send(tried.make, one) == f"push:{one.attempt_id}"
    assert tried.seen() == 1


def test_a_device_that_is_gone_is_forgotten_and_the_person_gets_sms(
    tried: Tried, sessions: sessionmaker[Session], kari: Patient
) -> None:
    gone = tried.device("gone")
    assert contact_by(sessions, kari) == "push"
    with pytest.raises(Never) as refused:
        send(tried.make, parcel(gone))
    assert refused.value.code == "410"
    assert (kept(sessions), contact_by(sessions, kari), tried.seen()) == ([], "sms", 0)


def test_one_of_several_is_enough(tried: Tried, sessions: sessionmaker[Session], kari: Patient) -> None:
    works, gone, silent = tried.device("works"), tried.device("gone"), tried.device("silent")
    send(tried.make, parcel(gone, silent, works))
    assert tried.seen() == 1
    assert set(kept(sessions)) == {works.endpoint, silent.endpoint}
    assert contact_by(sessions, kari) == "push"


def test_a_busy_service_says_later_and_when(tried: Tried) -> None:
    with pytest.raises(Later) as later:
        send(tried.make, parcel(tried.device("busy")))
    assert (later.value.code, later.value.after) == ("429", timedelta(seconds=30))


def test_silence_is_uncertain(tried: Tried, sessions: sessionmaker[Session]) -> None:
    silent = tried.device("silent")
    with pytest.raises(Uncertain):
        send(tried.make, parcel(silent))
    assert kept(sessions) == [silent.endpoint]


def test_nobody_to_send_to_is_for_good(tried: Tried) -> None:
    with pytest.raises(Never):
        send(tried.make, parcel())


def test_push_services_cannot_be_asked(tried: Tried) -> None:
    async def ask() -> tuple[list[str], object]:
        channel = tried.make()
        try:
            return await channel.find(parcel()), await channel.fetch("push:x")
        finally:
            await channel.close()

    assert asyncio.run(ask()) == ([], None)


# --- only the real one ------------------------------------------------------------------------------------------------


@pytest.fixture
def try_real() -> Callable[[Parcel], str]:
    """For what leaves no trace in the records: it has none."""
    return lambda one: send(lambda: real(sessionmaker()), one)


@pytest.fixture
def try_recorded(sessions: sessionmaker[Session]) -> Callable[[Parcel], str]:
    return lambda one: send(lambda: real(sessions), one)


Send = Callable[[Parcel], str]


def test_the_call_keeps_every_promise_of_the_protocols(service: PushService, try_real: Send) -> None:
    one = parcel(service.subscribe(), service.subscribe())
    try_real(one)
    assert (service.faults, service.texts()) == ([], [one.body, one.body])
    for shown in service.shown:
        said = shown.headers
        assert (said["TTL"], said["Topic"], said["Urgency"]) == ("900", one.topic, "normal")
        assert said["Content-Encoding"] == "aes128gcm"
        assert shown.claims["aud"] == service.url
        assert shown.claims["sub"] == "mailto:drift@folge.example"
        assert 0 < shown.claims["exp"] - NOW.timestamp() <= 12 * 3600


def test_a_meeting_is_urgent_and_time_is_never_nothing(service: PushService, try_real: Send) -> None:
    try_real(parcel(service.subscribe(), urgent=True, topic="", valid_for=timedelta(milliseconds=20)))
    said = service.shown[0].headers
    assert (said["Urgency"], said["TTL"], "Topic" in said) == ("high", "1", False)


def test_two_services_each_get_a_signature_of_their_own() -> None:
    with (
        push_service.running(PushService(at=NOW)) as one,
        push_service.running(PushService(at=NOW)) as other,
    ):

        async def twice() -> None:
            channel = real(sessionmaker())
            for _ in range(2):
                await channel.send(parcel(one.subscribe(), other.subscribe()))
            await channel.close()

        asyncio.run(twice())
        assert (one.faults, other.faults) == ([], [])
        assert [len(each.shown) for each in (one, other)] == [2, 2]


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_service_whose_clock_is_five_minutes_off_still_believes_us(minutes: int, try_real: Send) -> None:
    with push_service.running(PushService(at=NOW + timedelta(minutes=minutes))) as service:
        try_real(parcel(service.subscribe()))
        assert service.faults == []


@pytest.mark.parametrize("mode", ["404", "410"])
def test_gone_is_asked_once(
    service: PushService, sessions: sessionmaker[Session], kari: Patient, try_recorded: Send, mode: Mode
) -> None:
    device = keep(sessions, kari, service.subscribe(mode))
    with pytest.raises(Never):
        try_recorded(parcel(device))
    assert (kept(sessions), service.posts) == ([], 1)


def test_too_large_is_for_good_and_keeps_the_device(
    service: PushService, sessions: sessionmaker[Session], kari: Patient, try_recorded: Send
) -> None:
    device = keep(sessions, kari, service.subscribe("413"))
    for one in (parcel(device), parcel(device, body="x" * 3001)):
        with pytest.raises(Never) as refused:
            try_recorded(one)
        assert refused.value.code == "413"
    assert (kept(sessions), service.posts) == ([device.endpoint], 1)


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("0", timedelta(0)),
        ("120", timedelta(minutes=2)),
        (format_datetime(NOW + timedelta(minutes=7), usegmt=True), timedelta(minutes=7)),
        (format_datetime(NOW - timedelta(minutes=7), usegmt=True), timedelta(0)),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("9" * 40, None),
    ],
)
def test_when_it_may_be_tried_again(
    service: PushService, try_real: Send, said: str, wait: timedelta | None
) -> None:
    service.mode, service.retry_after = "429", said
    with pytest.raises(Later) as later:
        try_real(parcel(service.subscribe()))
    assert (later.value.code, later.value.after) == ("429", wait)


@pytest.mark.parametrize("mode", ["401", "403"])
def test_who_we_are_is_not_believed_so_everything_goes_by_sms_and_somebody_is_told(
    service: PushService, sessions: sessionmaker[Session], ward: SmallWard, kari: Patient, mode: Mode
) -> None:
    people = [kari, ward.patient(), ward.patient()]
    ward.db.commit()
    with structlog.testing.capture_logs() as lines:
        codes = send_all(sessions, [keep(sessions, one, service.subscribe(mode)) for one in people])
    assert codes == [mode, mode, mode]
    assert [(one["event"], one["log_level"], one["code"]) for one in lines] == [
        *[("push_device_refused", "warning", mode)] * 3,
        ("way_refused", "error", mode),
    ]
    with sessions() as db:
        assert circuit.rests(db, "push", NOW)
    assert [contact_by(sessions, one) for one in people] == ["sms", "sms", "sms"]


@pytest.mark.parametrize("mode", ["401", "403"])
def test_one_person_s_devices_are_forgotten_and_stop_nobody_else(
    service: PushService, sessions: sessionmaker[Session], kari: Patient, mode: Mode
) -> None:
    odd = [keep(sessions, kari, service.subscribe(mode)) for _ in range(5)]
    with structlog.testing.capture_logs() as lines:
        assert send_all(sessions, odd) == [mode] * 5
    assert {(one["event"], one["code"]) for one in lines} == {("push_device_refused", mode)}
    with sessions() as db:
        assert not circuit.rests(db, "push", NOW)
    assert (kept(sessions), contact_by(sessions, kari)) == ([], "sms")


def test_a_new_key_refuses_the_old_devices_only_and_push_goes_on(
    service: PushService, sessions: sessionmaker[Session], ward: SmallWard, kari: Patient
) -> None:
    """Those who have opened their page since are taken in between."""
    others = [ward.patient() for _ in range(4)]
    ward.db.commit()
    old = [keep(sessions, one, service.subscribe("403")) for one in others]
    new = keep(sessions, kari, service.subscribe())
    codes = send_all(sessions, [old[0], old[1], new, old[2], old[3], new])
    assert codes == ["403", "403", "taken", "403", "403", "taken"]
    with sessions() as db:
        assert not circuit.rests(db, "push", NOW)
    assert kept(sessions) == [new.endpoint]


def test_two_services_that_each_refuse_a_few_say_nothing_about_us(
    service: PushService, sessions: sessionmaker[Session], ward: SmallWard, kari: Patient
) -> None:
    others = [kari, *(ward.patient() for _ in range(3))]
    ward.db.commit()
    with push_service.running(PushService(at=NOW)) as another:
        where = [service, another, service, another]
        refused = [keep(sessions, one, at.subscribe("403")) for one, at in zip(others, where, strict=True)]
        assert send_all(sessions, refused) == ["403"] * 4
    with sessions() as db:
        assert not circuit.rests(db, "push", NOW)


def send_all(sessions: sessionmaker[Session], to: Sequence[Device]) -> list[str]:
    """A parcel for each, one after the other by the same channel; what came of them."""

    async def inside() -> list[str]:
        channel, codes = real(sessions), []
        for device in to:
            try:
                await channel.send(parcel(device))
                codes.append("taken")
            except Never as refused:
                codes.append(refused.code)
        await channel.close()
        return codes

    return asyncio.run(inside())


def test_another_refusal_is_for_good(service: PushService, try_real: Send) -> None:
    with pytest.raises(Never) as refused:
        try_real(parcel(service.subscribe("400")))
    assert refused.value.code == "400"


@pytest.mark.parametrize("mode", ["500", "hang", "accept_then_hang", "reset"])
def test_whatever_breaks_after_the_request_left_is_uncertain(
    service: PushService, try_real: Send, mode: Mode
) -> None:
    with pytest.raises(Uncertain):
        try_real(parcel(service.subscribe(mode)))
    assert service.posts == 1


def test_a_service_that_cannot_be_reached_has_certainly_taken_nothing(
    service: PushService, try_real: Send
) -> None:
    for where in ("http://127.0.0.1:9/x", "https://no-such-host.invalid/x"):
        with pytest.raises(Later) as later:
            try_real(parcel(replace(service.subscribe(), endpoint=where)))
        assert (later.value.code, later.value.after) == ("no_connection", None)


def test_nobody_is_followed_elsewhere(service: PushService, try_real: Send) -> None:
    with pytest.raises(Never):
        try_real(parcel(service.subscribe("elsewhere")))
    assert (service.faults, service.posts) == ([], 1)


def test_a_name_that_leads_into_our_own_network_is_not_called() -> None:
    async def look_up(loopback: bool) -> list[str]:
        return [one["host"] for one in await Outward(loopback).resolve("localhost", 443)]

    assert asyncio.run(look_up(loopback=True)) == ["127.0.0.1"]
    with pytest.raises(OSError, match="no public address"):
        asyncio.run(look_up(loopback=False))


def test_an_address_of_our_own_network_is_no_device(
    service: PushService, sessions: sessionmaker[Session], kari: Patient
) -> None:
    inward = keep(sessions, kari, service.subscribe())
    with pytest.raises(Never) as refused:
        send(lambda: real(sessions, loopback=False), parcel(inward))
    assert (refused.value.code, service.posts, kept(sessions)) == ("not_public", 0, [])


@pytest.mark.parametrize(
    ("address", "outside"),
    [
        ("142.250.74.10", True), ("2a00:1450:400f::200a", True),
        ("127.0.0.1", False), ("10.0.0.8", False), ("192.168.1.1", False), ("172.20.0.1", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False),
        ("::1", False), ("fe80::1", False), ("fd00::1", False), ("::ffff:10.0.0.8", False), ("64:ff9b:1::1", False),
        ("64:ff9b::a00:8", False), ("64:ff9b::8efa:4a0a", True), ("2002:a00:8::1", False),
    ],
)  # fmt: skip
def test_what_is_the_open_internet(address: str, outside: bool) -> None:
    assert devices.is_open_internet(address) is outside


def test_nothing_of_the_device_or_the_text_is_logged(
    service: PushService, sessions: sessionmaker[Session], kari: Patient
) -> None:
    said = io.StringIO()
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(said), cache_logger_on_first_use=False)
    try:
        for mode in ("404", "413", "429", "401", "500", "hang", "reset", "400", "elsewhere"):
            device = keep(sessions, kari, service.subscribe(mode))
            with pytest.raises((Later, Never, Uncertain)) as refused:
                send(lambda: real(sessions), parcel(device))
            assert device.endpoint not in str(refused.value)
            assert refused.value.__suppress_context__ or refused.value.__context__ is None
            for secret in (device.endpoint[-32:], device.p256dh, device.auth, "Noe nytt"):
                assert secret not in said.getvalue()
    finally:
        structlog.configure(**before)


def test_wrong_settings_are_named(sessions: sessionmaker[Session]) -> None:
    with pytest.raises(Misconfigured, match="VAPID_PRIVATE_KEY"):
        vapid.Signer(VapidSettings(private_key=SecretStr("nonsense"), subject="mailto:a@b.example"))
    with pytest.raises(Misconfigured, match="VAPID_SUBJECT"):
        vapid.Signer(KEY.model_copy(update={"subject": "drift"}))
    assert not VapidSettings(private_key=SecretStr(""), subject="").ready


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)]
)
def test_a_readable_key_that_is_not_p256_is_refused_where_the_web_starts(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
) -> None:
    raw = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    wrong = KEY.model_copy(update={"private_key": SecretStr(b64urlencode(raw))})
    for start in (vapid.public_key, vapid.Signer):
        with pytest.raises(Misconfigured, match="no P-256"):
            start(wrong)


def test_the_public_half_is_a_point_a_browser_takes() -> None:
    assert len(vapid.public_key(KEY)) == 87
    assert vapid.public_key(KEY) == vapid.public_key(KEY)
