"""Push on the person's pages: the section, the devices, the acknowledgement, the worker and the home screen."""

import base64
import json
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.db import make_sessions
from companion.models import AuditEvent, Message, Patient
from companion.rules.access import Level
from companion.settings import Settings
from companion.use_cases.messages import contact, message
from notifications.channels.push import devices, vapid
from notifications.channels.push.settings import VapidSettings
from notifications.models import Delivery, ProviderEvent, PushSubscription
from notifications.receipts import apply_events
from notifications.ways import discover
from tests.pages.at_home import AtHome, at_home
from tests.pages.client import PageClient
from web.app import create_app
from web.house.frame import Frame
from web.house.settings import WebSettings

KEY = VapidSettings(private_key=SecretStr(vapid.new_key()), subject="mailto:drift@folge.example")
NO_KEY = VapidSettings(private_key=SecretStr(""), subject="")


@pytest.fixture
def app(settings: Settings, engine: Engine, clock: FixedClock) -> Frame:
    return create_app(WebSettings(), settings=settings, clock=clock, engine=engine, vapid=KEY)


@pytest.fixture
def browser(app: Frame, engine: Engine, clock: FixedClock) -> PageClient:
    return PageClient(app, make_sessions(engine), clock)


@pytest.fixture
def another_browser(app: Frame, engine: Engine, clock: FixedClock) -> Callable[[], PageClient]:
    return lambda: PageClient(app, make_sessions(engine), clock)


@pytest.fixture
def home(engine: Engine, clock: FixedClock) -> AtHome:
    return at_home(engine, clock.now())


def text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def device(name: str = "one", **changed: str) -> dict[str, str]:
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    raw = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    given = {
        "endpoint": f"https://push.example/{name}",
        "p256dh": text_of(raw),
        "auth": text_of(os.urandom(16)),
    }
    return given | changed


def subscribe(browser: PageClient, sent: dict[str, str], method: str = "POST") -> Any:
    headers = {"Sec-Fetch-Site": "same-origin", "X-CSRF-Token": browser.token, "Accept": "*/*"}
    return browser.raw(method, "/push/subscription", data=sent, headers=headers)


def rows(engine: Engine) -> list[PushSubscription]:
    with Session(engine) as db:
        return list(db.scalars(select(PushSubscription).order_by(PushSubscription.created_at)))


def contact_by(engine: Engine, whose: Patient) -> str:
    with Session(engine) as db:
        return db.get_one(Patient, whose.id).contact_by


# --- the section ------------------------------------------------------------------------------------------------------


def test_the_settings_page_offers_push_and_says_what_comes_otherwise(
    browser: PageClient, home: AtHome
) -> None:
    page = browser.as_patient(home.kari, Level.code).open("/patient/settings")
    assert "Meldingene kommer som SMS." in page.text
    assert f'data-push-key="{vapid.public_key(KEY)}"' in page.html
    assert str(home.kari.id) not in page.html


def test_without_a_key_there_is_only_sms(
    settings: Settings, engine: Engine, clock: FixedClock, home: AtHome
) -> None:
    app = create_app(WebSettings(), settings=settings, clock=clock, engine=engine, vapid=NO_KEY)
    browser = PageClient(app, make_sessions(engine), clock).as_patient(home.kari)
    page = browser.open("/patient/settings")
    assert "Meldingene kommer som SMS." in page.text
    assert "data-push" not in page.html


def test_nobody_else_is_offered_push(browser: PageClient, home: AtHome) -> None:
    assert "data-push" not in browser.as_professional(home.ward.sofia).open("/staff").html
    assert "data-push" not in browser.as_nobody().open("/privacy").html


def test_a_sign_in_has_a_name_by_which_the_device_is_told_of_once(browser: PageClient, home: AtHome) -> None:
    def visit() -> str:
        return browser.open("/patient").html.partition('data-push-visit="')[2].partition('"')[0]

    browser.as_patient(home.kari)
    first = visit()
    assert first
    assert visit() == first
    browser.as_patient(home.kari)
    assert visit() != first


@pytest.mark.parametrize("change", [{"contact_by": "call"}, {"phone_state": "opted_out"}])
def test_push_is_no_way_around_stopp_or_the_call_list(
    browser: PageClient, engine: Engine, home: AtHome, change: dict[str, str]
) -> None:
    with Session(engine) as db:
        for name, value in change.items():
            setattr(db.get_one(Patient, home.kari.id), name, value)
        db.commit()
    page = browser.as_patient(home.kari).open("/patient/settings")
    assert "Du får ikke meldinger fra oss nå. Vi ringer deg." in page.text
    assert "data-push-start" not in page.html
    assert subscribe(browser, device()).status_code == 409
    assert rows(engine) == []


# --- devices ----------------------------------------------------------------------------------------------------------


def test_the_first_device_brings_push_and_the_last_takes_it_along(
    browser: PageClient, engine: Engine, home: AtHome
) -> None:
    browser.as_patient(home.kari, Level.code)
    one, two = device("one"), device("two")
    assert [subscribe(browser, each).json() for each in (one, two)] == [{"devices": 1}, {"devices": 2}]
    assert contact_by(engine, home.kari) == "push"
    assert "2 telefoner får varsel." in browser.open("/patient/settings").text
    assert subscribe(browser, one, "DELETE").status_code == 200
    assert contact_by(engine, home.kari) == "push"
    assert subscribe(browser, two, "DELETE").status_code == 200
    assert (contact_by(engine, home.kari), rows(engine)) == ("sms", [])


def test_the_same_device_again_is_one_row_with_its_latest_keys(
    browser: PageClient, engine: Engine, home: AtHome, clock: FixedClock
) -> None:
    browser.as_patient(home.kari)
    subscribe(browser, device())
    clock.forward(timedelta(minutes=5))
    newer = device()
    subscribe(browser, newer)
    (row,) = rows(engine)
    assert (row.p256dh, row.auth) == (newer["p256dh"], newer["auth"])
    assert (row.seen_at, row.created_at) == (clock.now(), clock.now() - timedelta(minutes=5))
    with Session(engine) as db:
        told = db.scalars(select(AuditEvent.patient_id).where(AuditEvent.action == "contact.device")).all()
    assert told == [home.kari.id], "only a new device is news"


def agree(engine: Engine, home: AtHome, clock: FixedClock) -> None:
    """Staff write down that Kari answers by SMS."""
    with Session(engine) as db:
        kari = db.get_one(Patient, home.kari.id)
        assert kari.phone
        contact.change_contact(
            db, home.ward.johan, kari.id, kari.phone, "sms", answers_by_sms=True, now=clock.now()
        )
        db.commit()


def in_force(engine: Engine, home: AtHome) -> tuple[str, bool]:
    with Session(engine) as db:
        kari = db.get_one(Patient, home.kari.id)
        return kari.contact_by, kari.sms_agreed_at is not None


def test_a_page_opened_again_does_not_undo_what_was_agreed_since_but_asking_on_a_new_device_does(
    browser: PageClient, engine: Engine, home: AtHome, clock: FixedClock
) -> None:
    browser.as_patient(home.kari)
    one, renewed, two = device("one"), device("renewed"), device("two", asked="yes")
    subscribe(browser, one)
    agree(engine, home, clock)
    subscribe(browser, one)
    assert in_force(engine, home) == ("sms", True)
    # The browser has got a new address by itself: nobody has asked for anything.
    subscribe(browser, renewed)
    assert in_force(engine, home) == ("sms", True)
    subscribe(browser, two)
    assert in_force(engine, home) == ("push", False)
    with Session(engine) as db:
        logged = db.scalars(select(AuditEvent.action).where(AuditEvent.action.startswith("contact.")))
        assert sorted(logged) == [*["contact.device"] * 3, "contact.sms_ended"]


def test_one_device_of_two_taken_away_changes_nothing(
    browser: PageClient, engine: Engine, home: AtHome, clock: FixedClock
) -> None:
    browser.as_patient(home.kari)
    one, two = device("one"), device("two")
    subscribe(browser, one)
    subscribe(browser, two)
    agree(engine, home, clock)
    for gone in (one, two):
        subscribe(browser, gone, "DELETE")
        assert in_force(engine, home) == ("sms", True)


def test_who_stopped_and_started_again_has_push_when_the_page_is_opened(
    browser: PageClient, engine: Engine, home: AtHome
) -> None:
    browser.as_patient(home.kari)
    one = device("one")
    subscribe(browser, one)
    with Session(engine) as db:
        kari = db.get_one(Patient, home.kari.id)
        kari.contact_by = "sms"
        db.commit()
    subscribe(browser, one)
    assert in_force(engine, home) == ("push", False)


def test_a_shared_phone_is_the_one_who_asked_last(browser: PageClient, engine: Engine, home: AtHome) -> None:
    subscribe(browser.as_patient(home.kari), device())
    subscribe(browser.as_patient(home.ola), device())
    (row,) = rows(engine)
    assert row.patient_id == home.ola.id
    assert (contact_by(engine, home.kari), contact_by(engine, home.ola)) == ("sms", "push")


def test_the_eleventh_takes_the_place_of_the_one_longest_unseen(
    browser: PageClient, engine: Engine, home: AtHome, clock: FixedClock
) -> None:
    browser.as_patient(home.kari)
    for number in range(devices.MOST):
        subscribe(browser, device(str(number)))
        clock.forward(timedelta(minutes=1))
    subscribe(browser, device("0"))
    clock.forward(timedelta(minutes=1))
    assert subscribe(browser, device("10")).json() == {"devices": devices.MOST}
    assert {row.endpoint[-2:] for row in rows(engine)} == {"/0", "10", *(f"/{n}" for n in range(2, 10))}


def test_a_lost_phone_is_left_out_from_any_other(browser: PageClient, engine: Engine, home: AtHome) -> None:
    browser.as_patient(home.kari)
    for name in ("one", "two"):
        subscribe(browser, device(name))
    page = browser.submit(browser.open("/patient/settings"), "/push/off")
    assert page.path == "/patient/settings"
    assert (contact_by(engine, home.kari), rows(engine)) == ("sms", [])


def test_signing_out_ends_push_on_that_device(browser: PageClient, engine: Engine, home: AtHome) -> None:
    browser.as_patient(home.kari)
    here, elsewhere = device("here"), device("elsewhere")
    subscribe(browser, here)
    subscribe(browser, elsewhere)
    # What parts/push.js puts into the form.
    browser.post("/sign-out", {"device": here["endpoint"]})
    assert [row.endpoint for row in rows(engine)] == [elsewhere["endpoint"]]


LONG = "https://push.example/" + "a" * 1000


@pytest.mark.parametrize(
    "endpoint",
    [
        "", "nonsense", LONG, "http://push.example/x", "ftp://push.example/x", "javascript:alert(1)",
        "https://10.0.0.8/x", "https://169.254.169.254/latest", "https://[::1]/x", "https://[fe80::1]/x",
        "https://2130706433/x", "https://0x7f000001/x", "https://127.1/x", "https://localhost/x", "https://db/x",
        "https://printer.local/x", "https://api.internal/x", "https://wiki.corp/x", "https://router.home.arpa/x",
        "https://push.example:8443/x", "https://push.example:0/x", "https://push.example:99999/x",
        "https://user:secret@push.example/x", "https://@push.example/x", "https://push.example/x#y",
        "https://push.example\\@127.0.0.1/x", "https://push.example/ x", "https://push.example/\r\nX: y",
        "https://push.exæmple/x", "https://pu_sh.example/x", "https://.example/x", "//push.example/x",
        "http://127.0.0.1.push.example/x", "http://127.0.0.2/x", "http://[::1]/x",
    ],
)  # fmt: skip
def test_an_address_that_is_not_the_open_internet_is_no_device(
    browser: PageClient, engine: Engine, home: AtHome, endpoint: str
) -> None:
    assert subscribe(browser.as_patient(home.kari), device(endpoint=endpoint)).status_code == 422
    assert (rows(engine), contact_by(engine, home.kari)) == ([], "sms")


@pytest.mark.parametrize(
    "change",
    [
        {"p256dh": ""}, {"p256dh": "nonsense"}, {"p256dh": text_of(b"\x04" + b"\x01" * 64)},
        {"p256dh": text_of(b"\x02" + b"\x01" * 32)}, {"p256dh": "A" * 5000}, {"p256dh": "æ" * 87},
        {"auth": ""}, {"auth": text_of(b"x" * 15)}, {"auth": text_of(b"x" * 17)}, {"auth": "!" * 22},
    ],
)  # fmt: skip
def test_keys_that_are_none_are_no_device(
    browser: PageClient, engine: Engine, home: AtHome, change: dict[str, str]
) -> None:
    assert subscribe(browser.as_patient(home.kari), device(**change)).status_code == 422
    assert rows(engine) == []


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9000/x", "http://localhost:9000/x"])
def test_a_push_service_on_this_machine_is_for_tests_alone(endpoint: str) -> None:
    assert devices.is_public(endpoint, loopback=True)
    assert not devices.is_public(endpoint)


@pytest.mark.parametrize(("environment", "status"), [("production", 422), ("demo", 200), ("test", 200)])
def test_where_people_are_real_no_device_listens_on_this_machine(
    settings: Settings, engine: Engine, clock: FixedClock, home: AtHome, environment: str, status: int
) -> None:
    # The engine's own keys: production has none to fall back on.
    here = settings.require().model_copy(update={"environment": environment})
    app = create_app(WebSettings(), settings=here, clock=clock, engine=engine, vapid=KEY)
    browser = PageClient(app, make_sessions(engine), clock).as_patient(home.kari)
    assert subscribe(browser, device(endpoint="http://127.0.0.1:9000/x")).status_code == status
    # An environment nobody has thought of yet is as strict.
    assert not settings.model_copy(update={"environment": "staging"}).allow_loopback


def test_real_push_services_are_taken() -> None:
    for endpoint in (
        "https://fcm.googleapis.com/fcm/send/dQw4:APA91bH-x_y",
        "https://updates.push.services.mozilla.com/wpush/v2/gAAAA_x",
        "https://web.push.apple.com/QGx",
        "https://wns2-db5p.notify.windows.com/w/?token=BQYAAA%3d%3d",
    ):
        assert devices.is_public(endpoint)


def test_a_link_alone_adds_no_device(browser: PageClient, engine: Engine, home: AtHome) -> None:
    assert subscribe(browser.as_patient(home.kari, Level.link), device()).status_code == 303
    assert rows(engine) == []


def test_what_the_worker_asks_when_the_browser_has_changed_its_address(
    browser: PageClient, engine: Engine, home: AtHome
) -> None:
    browser.as_patient(home.kari)
    said = browser.raw("GET", "/push/key").json()
    assert said["key"] == vapid.public_key(KEY)
    browser.token = said["token"]
    assert subscribe(browser, device("new")).status_code == 200
    assert browser.as_nobody().raw("GET", "/push/key").status_code == 303


def test_erased_with_everything_else(browser: PageClient, engine: Engine, home: AtHome) -> None:
    from companion.rules.access import SYSTEM
    from companion.use_cases.keeping import privacy

    subscribe(browser.as_patient(home.kari), device())
    with Session(engine) as db:
        privacy.erase_patient(db, SYSTEM, home.kari.id, now=browser.clock.now())
        db.commit()
    assert rows(engine) == []


# --- the acknowledgement ----------------------------------------------------------------------------------------------


def pushed(engine: Engine, home: AtHome, clock: FixedClock) -> str:
    """A push on its way to Kari; the attempt's id."""
    now = clock.now()
    with Session(engine) as db:
        kari = db.get_one(Patient, home.kari.id)
        letter = message.write(
            db, "welcome", to=kari, now=now, valid_until=now + timedelta(days=1), dedupe_key="p"
        )
        assert letter
        letter.state, letter.channel, letter.attempt, letter.settled_at = "accepted", "push", 1, now
        attempt_id = "ab" * 16
        db.add(
            Delivery(
                id=attempt_id, message_id=letter.id, attempt=1, fence=1, channel="push", address="",
                body="{}", started_at=now, outcome="accepted",
            )
        )  # fmt: skip
        db.commit()
        return attempt_id


def events(engine: Engine) -> int:
    with Session(engine) as db:
        return db.scalar(select(func.count()).select_from(ProviderEvent)) or 0


def test_a_device_that_has_shown_it_says_so_without_a_session(
    browser: PageClient, engine: Engine, home: AtHome, clock: FixedClock
) -> None:
    attempt_id = pushed(engine, home, clock)
    for _ in range(3):
        answer = browser.as_nobody().raw("POST", "/hooks/push/ack", content=json.dumps({"id": attempt_id}))
        assert (answer.status_code, answer.content) == (204, b"")
    with Session(engine) as db:
        assert apply_events(db, clock.now(), discover()) == 1
        assert db.scalars(select(Message.state).where(Message.dedupe_key == "p")).one() == "delivered"
        db.commit()


NONSENSE: list[bytes] = [
    b"", b"{}", b"[]", b"null", b"3", b'"x"', b"{", b"\xff\xfe", b'{"id": null}', b'{"id": 3}', b'{"id": ["ab"]}',
    b'{"id": "' + b"ab" * 15 + b'"}', b'{"id": "' + b"ab" * 17 + b'"}', b'{"id": "' + b"AB" * 16 + b'"}',
    b'{"id": "' + b"cd" * 16 + b'"}', b'{"id": "' + b"\\u0000" * 32 + b'"}', b'{"id": "' + b"a" * 31 + b"%" + b'"}',
    b"[" * 100_000, b'{"id": "' + b"a" * 500_000 + b'"}', b"id=" + b"ab" * 16, "👩‍🦽".encode(),
    b'{"id": "\\ud83d' + b"a" * 31 + b'"}',
]  # fmt: skip


@pytest.mark.parametrize("body", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_gets_the_same_answer_and_changes_nothing(
    browser: PageClient, engine: Engine, home: AtHome, clock: FixedClock, body: bytes
) -> None:
    pushed(engine, home, clock)
    answer = browser.raw("POST", "/hooks/push/ack", content=body)
    assert (answer.status_code, answer.content, events(engine)) == (204, b"", 0)


def test_an_sms_cannot_be_acknowledged(
    browser: PageClient, engine: Engine, home: AtHome, clock: FixedClock
) -> None:
    attempt_id = pushed(engine, home, clock)
    with Session(engine) as db:
        db.get_one(Delivery, attempt_id).channel = "sms"
        db.commit()
    browser.raw("POST", "/hooks/push/ack", content=json.dumps({"id": attempt_id}))
    assert events(engine) == 0


# --- the worker, and the home screen ----------------------------------------------------------------------------------


def test_the_worker_comes_from_the_root_and_is_asked_for_anew(browser: PageClient) -> None:
    answer = browser.raw("GET", "/sw.js")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "connect-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_house_can_be_put_on_the_home_screen(browser: PageClient) -> None:
    manifest = browser.raw("GET", "/manifest.webmanifest").json()
    assert (manifest["display"], manifest["start_url"], manifest["scope"]) == ("standalone", "/", "/")
    kinds = {(icon["sizes"], icon["type"], icon["purpose"]) for icon in manifest["icons"]}
    assert {("192x192", "image/png", "any"), ("512x512", "image/png", "any")} <= kinds
    assert ("any", "image/svg+xml", "maskable") in kinds
    for icon in manifest["icons"]:
        answer = browser.raw("GET", icon["src"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, icon["type"])
