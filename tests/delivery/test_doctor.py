"""Wrong settings, a world that is away: the doctor names each in a line, and the dispatcher does not begin what cannot work."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid.utils import b64urlencode
from pydantic import SecretStr
from sqlalchemy.orm import Session

from companion.clock import SystemClock
from companion.db import make_engine, migrate
from companion.errors import Misconfigured
from companion.models import Circuit, Heartbeat
from companion.settings import Settings as CompanionSettings
from companion.settings import read
from companion.use_cases.messages import message
from notifications.channels.push.settings import VapidSettings
from notifications.channels.push.way import Push
from notifications.channels.sms.doctor import ask_provider
from notifications.channels.sms.settings import TwilioSettings
from notifications.channels.sms.way import Sms
from notifications.doctor import (
    look_at_database,
    look_at_leases,
    look_at_post,
    look_at_settings,
)
from notifications.finding import Finding
from notifications.settings import Settings
from notifications.ways import Ways
from tests.rig import twilio_like
from tests.rig.twilio_like import TwilioLike
from tests.use_cases.small_ward import SmallWard, at

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT, TOKEN, SERVICE = "AC" + "0" * 32, "t" * 32, "MG" + "a" * 32
SECRET = "a-secret-nobody-may-see"


def key(curve: ec.EllipticCurve) -> str:
    private = ec.generate_private_key(curve)
    return str(
        b64urlencode(
            private.private_bytes(
                serialization.Encoding.DER,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    )


GOOD_KEY, WRONG_CURVE = key(ec.SECP256R1()), key(ec.SECP384R1())
PRODUCTION = CompanionSettings(environment="production", public_url="https://folge.example")


def account(**changed: Any) -> TwilioSettings:
    right = TwilioSettings(account_sid=ACCOUNT, auth_token=SecretStr(TOKEN)).model_copy(
        update={"sender": "+4759440000"}
    )
    return right.model_copy(update=changed)


@dataclass(frozen=True)
class Post:
    """The post's settings, and each way's own."""

    settings: Settings
    twilio: TwilioSettings
    vapid: VapidSettings

    def look(self, companion: CompanionSettings = PRODUCTION, names: Iterable[str] = ()) -> list[Finding]:
        ways = Ways([Sms(self.settings, self.twilio), Push(self.vapid)])
        return look_at_settings(companion, self.settings, ways, names)


def post(
    twilio: TwilioSettings | None = None,
    vapid: VapidSettings | None = None,
    sms: str = "twilio",
    **changed: Any,
) -> Post:
    settings = Settings(sms="twilio").model_copy(update={"sms": sms, **changed})
    return Post(settings, twilio or account(), vapid or VapidSettings())


def failed(found: list[Finding]) -> list[str]:
    return [one.said for one in found if one.how == "FAIL"]


def test_right_settings_have_nothing_wrong() -> None:
    vapid = VapidSettings(private_key=SecretStr(GOOD_KEY), subject="mailto:drift@example.no")
    found = post(vapid=vapid).look()
    assert failed(found) == []
    assert {one.how for one in found} == {"ok"}


WRONG: dict[str, tuple[Post, str, bool]] = {
    "sandbox": (post(sms="sandbox"), "NOTIFICATIONS_SMS is not set to twilio", True),
    "no account": (post(twilio=account(account_sid="")), "TWILIO_ACCOUNT_SID is not set", True),
    "bad account": (post(twilio=account(account_sid="AC1")), "TWILIO_ACCOUNT_SID must be AC and 32", True),
    "no token": (post(twilio=account(auth_token=SecretStr(""))), "TWILIO_AUTH_TOKEN is not set", True),
    "short token": (post(twilio=account(auth_token=SecretStr(SECRET[:9]))), "TWILIO_AUTH_TOKEN is not 32", True),
    "next token": (post(twilio=account(auth_token_next=SecretStr("x"))), "TWILIO_AUTH_TOKEN_NEXT is not", True),
    "no sender": (post(twilio=account(sender="")), "there is no sender: set TWILIO_FROM", True),
    "both": (post(twilio=account(messaging_service_sid=SERVICE)), "are both set", False),
    "bad service": (
        post(twilio=account(sender="", messaging_service_sid="MG1")),
        "TWILIO_MESSAGING_SERVICE_SID must be MG",
        True,
    ),
    "long name": (post(twilio=account(sender="Følge fra UNN")), "TWILIO_FROM must be a number", True),
    "twelve letters": (post(twilio=account(sender="FolgeFraUNNx")), "TWILIO_FROM must be a number", True),
    "no plus": (post(twilio=account(sender="59440000")), "TWILIO_FROM must be a number", True),
    "base": (post(twilio=account(api_base="api.twilio.com")), "TWILIO_API_BASE is not an address", True),
    "port": (post(twilio=account(api_base="https://x:y")), "TWILIO_API_BASE is not an address", True),
    "http": (post(twilio=account(api_base="http://api.twilio.com")), "TWILIO_API_BASE must begin with https", True),
    "too patient": (post(twilio=account(read_seconds=60)), "TWILIO_READ_SECONDS together must be less", True),
    "pace": (post(sms_per_second=float("inf")), "NOTIFICATIONS_SMS_PER_SECOND must be at most", True),
    "codes' pace": (post(codes_per_second=1e9), "NOTIFICATIONS_CODES_PER_SECOND must be at most", True),
    "in flight": (post(in_flight=5000), "NOTIFICATIONS_IN_FLIGHT must be at most", True),
    "no key": (post(vapid=VapidSettings(subject="mailto:a@b.no")), "VAPID_PRIVATE_KEY is not", True),
    "bad key": (
        post(vapid=VapidSettings(private_key=SecretStr(SECRET), subject="mailto:a@b.no")),
        "VAPID_PRIVATE_KEY is no P-256",
        True,
    ),
    "wrong curve": (
        post(vapid=VapidSettings(private_key=SecretStr(WRONG_CURVE), subject="mailto:a@b.no")),
        "VAPID_PRIVATE_KEY is no P-256",
        True,
    ),
    "no subject": (post(vapid=VapidSettings(private_key=SecretStr(GOOD_KEY))), "VAPID_SUBJECT must say", True),
    "subject": (
        post(vapid=VapidSettings(private_key=SecretStr(GOOD_KEY), subject="drift@example.no")),
        "VAPID_SUBJECT must say",
        True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_each_wrong_setting_is_one_line_that_says_what_to_do(name: str) -> None:
    settings, said, hopeless = WRONG[name]
    wrong = [one for one in settings.look() if one.how == "FAIL"]
    assert len(wrong) == 1, wrong
    assert said in wrong[0].said
    assert wrong[0].hopeless == hopeless
    assert "\n" not in wrong[0].said
    for secret in (TOKEN, SECRET, SECRET[:9], GOOD_KEY):
        assert secret not in wrong[0].said


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("folge.example", "is not an address"),
        ("https://", "is not an address"),
        ("http://folge.example", "must begin with https"),
        ("https://folge.example/app", "without path or query"),
        ("https://folge.example?x=1", "without path or query"),
        ("https://127.0.0.1", "nobody's phone can reach it"),
    ],
)
def test_the_public_address(url: str, said: str) -> None:
    companion = PRODUCTION.model_copy(update={"public_url": url})
    [wrong] = failed(post().look(companion))
    assert said in wrong


def test_a_name_as_sender_cannot_be_answered() -> None:
    [note] = [one for one in post(twilio=account(sender="Folge")).look() if "name" in one.said]
    assert note.how == "note"
    assert "STOPP" in note.said


def test_mistyped_names_are_found() -> None:
    names = (
        "NOTIFICATIONS_SMS_PER_SECND",
        "VAPID_KEY",
        "TWILIO_FROM",
        "TWILIO_REGION",
        "NOTIFICATIONS_SMS",
        "PATH",
    )
    found = post().look(names=names)
    assert [said.split()[0] for said in failed(found)] == ["NOTIFICATIONS_SMS_PER_SECND", "VAPID_KEY"]
    assert "TWILIO_REGION is not a setting of ours" in [one.said for one in found]


def test_another_server_than_twilios_has_its_own_rules() -> None:
    odd = account(
        account_sid="AC1", auth_token=SecretStr("secret"), api_base="http://127.0.0.1:1", sender="Folge"
    )
    assert failed(post(twilio=odd).look()) == []


def test_settings_that_cannot_be_read_are_sentences(tmp_path: Path) -> None:
    told = start("status", NOTIFICATIONS_SMS_PER_SECOND="-1", NOTIFICATIONS_IN_FLIGHT=SECRET)
    _, err = told.communicate(timeout=60)
    assert told.returncode == 2
    assert sorted(line.split(":")[0] for line in err.splitlines()) == [
        "NOTIFICATIONS_IN_FLIGHT",
        "NOTIFICATIONS_SMS_PER_SECOND",
    ]
    assert SECRET not in err


def test_read_names_the_setting_of_the_part_it_belongs_to() -> None:
    class Picky(TwilioSettings):
        needed: int

    with pytest.raises(Misconfigured, match="NEEDED: Field required"):
        read(Picky)


# --- the provider ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[TwilioLike]:
    with twilio_like.running(TwilioLike()) as running:
        yield running


def ask(settings: TwilioSettings, now: datetime | None = None) -> list[Finding]:
    return asyncio.run(ask_provider(settings, now or SystemClock().now()))


def test_a_provider_that_answers(server: TwilioLike) -> None:
    [found] = ask(account(api_base=server.url))
    assert found.how == "ok"
    assert ACCOUNT not in found.said
    assert server.posts == 0


def test_a_key_that_is_not_accepted(server: TwilioLike) -> None:
    server.accepts = "AC" + "1" * 32
    [found] = ask(account(api_base=server.url))
    assert "does not accept TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN (401)" in found.said
    assert found.hopeless


def test_a_provider_in_trouble_may_come_back(server: TwilioLike) -> None:
    server.mode = "429"
    [found] = ask(account(api_base=server.url))
    assert ("in trouble (429)" in found.said, found.hopeless) == (True, False)
    for away in ("http://127.0.0.1:9", "http://no-such-host.invalid"):
        [found] = ask(account(api_base=away))
        assert "cannot be reached" in found.said
        assert not found.hopeless


def test_a_clock_that_is_off(server: TwilioLike) -> None:
    for off, wrong in (
        (timedelta(minutes=4), 0),
        (timedelta(minutes=-7), 1),
        (timedelta(hours=1, minutes=1), 1),
    ):
        found = failed(ask(account(api_base=server.url), SystemClock().now() + off))
        assert len(found) == wrong
        assert all("Set the clock" in said for said in found)


# --- the database -----------------------------------------------------------------------------------------------------------


def test_the_database(settings: CompanionSettings, engine: Any, tmp_path: Path) -> None:
    assert look_at_database(engine).how == "ok"
    empty = make_engine(settings.model_copy(update={"database_url": f"sqlite:///{tmp_path}/empty.sqlite3"}))
    assert "run 'python -m companion migrate'" in look_at_database(empty).said
    away = make_engine(
        settings.model_copy(update={"database_url": "postgresql+psycopg://u:hidden@127.0.0.1:9/x"})
    )
    found = look_at_database(away)
    assert ("cannot be reached" in found.said, "hidden" in found.said) == (True, False)


def test_a_server_whose_clock_is_not_ours(ward: SmallWard, backend: str) -> None:
    now = SystemClock().now()
    assert failed(list(look_at_leases(ward.db, now))) == []
    found = failed(list(look_at_leases(ward.db, now - timedelta(minutes=2))))
    assert len(found) == (backend == "postgresql")
    assert all("Set both clocks" in said for said in found)


def test_a_dispatcher_that_is_not_there_and_a_post_that_stands_still(ward: SmallWard) -> None:
    def said(now: datetime) -> list[str]:
        return failed(list(look_at_post(ward.db, now, now, ("sms",))))

    assert said(at(0)) == ["dispatcher: never seen; start it with 'python -m notifications run'"]
    ward.db.add(Heartbeat(name="dispatcher", at=at(0), ticked_for=at(0)))
    ward.db.flush()
    assert said(at(0)) == []
    [silent] = said(at(0, 11))
    assert "not seen since 2026-11-09 09:00 UTC" in silent
    ward.patient()
    ward.db.add(Circuit(lane="push", state="open", since=at(0), until=at(9), failures=0))
    ward.db.flush()
    assert [line.split(":")[0] for line in said(at(8))] == ["dispatcher", "post", "push"]


# --- as processes: few, each costs a second ---------------------------------------------------------------------------------


def start(*command: str, **environment: str) -> "subprocess.Popen[str]":
    given = {"PATH": os.environ["PATH"], "COMPANION_ENVIRONMENT": "test", **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "notifications", *command],
        cwd=ROOT,
        env=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def with_twilio(server: str, database_url: str, **changed: str) -> dict[str, str]:
    return {
        "COMPANION_DATABASE_URL": database_url,
        "NOTIFICATIONS_SMS": "twilio",
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_FROM": "+4759440000",
        "TWILIO_API_BASE": server,
        **changed,
    }


def test_the_doctor_at_the_door(server: TwilioLike, database_url: str, ward: SmallWard) -> None:
    ward.db.add(Heartbeat(name="dispatcher", at=SystemClock().now(), ticked_for=at(0)))
    ward.db.commit()
    well = start("doctor", **with_twilio(server.url, database_url))
    out, err = well.communicate(timeout=60)
    assert (well.returncode, err) == (0, ""), out
    assert "ok    provider: answers" in out
    assert TOKEN not in out
    ill = start(
        "doctor", **with_twilio("http://127.0.0.1:9", database_url, TWILIO_FROM="", VAPID_SUBJECT="x")
    )
    out, _ = ill.communicate(timeout=60)
    assert ill.returncode == 1
    assert [line[6:].split()[0] for line in out.splitlines() if line.startswith("FAIL")] == [
        "there",
        "VAPID_SUBJECT",
        "VAPID_SUBJECT",
    ]


@pytest.mark.parametrize("command", ["run", "tick"])
def test_what_can_never_work_does_not_begin(server: TwilioLike, database_url: str, command: str) -> None:
    server.accepts = "AC" + "1" * 32
    for changed, said in (({"TWILIO_FROM": ""}, "there is no sender"), ({}, "does not accept")):
        refused = start(command, **with_twilio(server.url, database_url, **changed))
        out, err = refused.communicate(timeout=60)
        assert (refused.returncode, out) == (2, "")
        assert said in err
        assert len(err.splitlines()) == 1
    assert server.posts == 0


def test_what_can_pass_is_waited_for_and_told_once_a_minute(tmp_path: Path) -> None:
    """No schema yet, and nobody answers at the provider's: it says both, waits, and begins when the schema is there."""
    url = f"sqlite:///{tmp_path}/later.sqlite3"
    process = start("run", **with_twilio("http://127.0.0.1:9", url))
    assert process.stderr
    told = [json.loads(process.stderr.readline())["said"] for _ in range(2)]
    assert "cannot be reached" in told[0]
    assert "python -m companion migrate" in told[1]
    engine = make_engine(CompanionSettings(environment="test", database_url=url))
    migrate(engine)
    now = SystemClock().now()
    with Session(engine) as db:
        kari = SmallWard(db).patient()
        message.write(db, "new_link", to=kari, now=now, valid_until=now + timedelta(hours=1), dedupe_key="x")
        db.commit()
    engine.dispose()
    begun = json.loads(process.stderr.readline())
    assert (begun["event"], begun["claimed"], begun["later"]) == ("tick", 1, 1)
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "cannot be reached" not in rest, "told again before a minute had passed"
