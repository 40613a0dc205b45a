"""One real push: asked for on our settings page in Firefox, sent by our dispatcher, shown by our service worker, acknowledged."""

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.clock import ShiftedClock
from companion.db import make_sessions
from companion.models import Message, Patient
from companion.settings import Settings
from companion.use_cases import sign_in
from notifications.channels import Channel
from notifications.channels.push import vapid as vapid_keys
from notifications.channels.push.channel import PushChannel
from notifications.channels.push.settings import VapidSettings
from notifications.channels.sms.sandbox import SandboxChannel
from notifications.dispatcher import Dispatcher
from notifications.models import Delivery, ProviderEvent, PushSubscription, SandboxMessage
from notifications.outbox import Outbox
from notifications.settings import Settings as PostSettings
from tests.browser.conftest import IN_A_BROWSER
from tests.pages.at_home import AtHome, at_home
from tests.rig import autopush_like, marionette
from tests.rig.autopush_like import DELIVERED, AutopushLike
from tests.rig.marionette import Firefox

pytestmark = IN_A_BROWSER

PREFERENCES = {
    "dom.push.testing.allowInsecureServerURL": True,
    # Allowed without the question that only a human can answer.
    "permissions.default.desktop-notification": 1,
    "dom.webnotifications.requireuserinteraction": False,
    "alerts.useSystemBackend": False,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
}
VISIBLE = "[data-push-state]:not([hidden])"


@pytest.fixture
def backend() -> str:
    """What a browser does with a push does not hang on the database's make."""
    return "sqlite"


@pytest.fixture
def vapid() -> VapidSettings:
    return VapidSettings(private_key=SecretStr(vapid_keys.new_key()), subject="mailto:drift@folge.example")


@pytest.fixture
def service() -> Iterator[AutopushLike]:
    with autopush_like.running(AutopushLike()) as running:
        yield running


@pytest.fixture
def firefox(service: AutopushLike, tmp_path: Path) -> Iterator[Firefox]:
    push_server = service.url.replace("http:", "ws:") + "/"
    with marionette.running(
        tmp_path / "profile", {**PREFERENCES, "dom.push.serverURL": push_server}
    ) as browser:
        # Remote control turns push off.
        browser.set_preference("dom.push.connection.enabled", True)
        yield browser


def sign_in_kari(browser: Firefox, engine: Engine, url: str, now: datetime) -> AtHome:
    home = at_home(engine, now)
    with Session(engine) as db:
        pid = db.get_one(Patient, home.kari.id).national_id
        opened = sign_in.from_identity(db, "patient", {"pid": pid}, now=now)
        db.commit()
    browser.open(url + "/privacy")
    browser.do("WebDriver:AddCookie", cookie={"name": "session", "value": opened.secret, "path": "/"})
    return home


def says(browser: Firefox, state: str) -> None:
    """Waits until the section of the settings page stands there."""
    browser.wait_for(f"document.querySelector('{VISIBLE}')?.dataset.pushState === '{state}'")


def notification(browser: Firefox, body: str) -> dict[str, Any]:
    """What is shown with these words, as soon as it is: Firefox acknowledges a push before its worker has shown anything."""
    shown: dict[str, Any] = browser.run(
        f"""const words = {json.dumps(body)};
        const look = async () => {{
            const registration = await navigator.serviceWorker.getRegistration("/");
            const one = (await registration.getNotifications()).find((each) => each.body === words);
            if (!one) return new Promise(requestAnimationFrame).then(look);
            const {{title, lang, data}} = one;
            return {{title, lang, data}};
        }};
        return look();"""
    )
    return shown


def tick(engine: Engine, settings: Settings, vapid: VapidSettings, clock: ShiftedClock) -> None:
    sessions, post = make_sessions(engine), PostSettings()

    async def inside() -> None:
        push = PushChannel(vapid, sessions, loopback=True)
        box = Outbox(settings, post)
        channels: dict[str, Channel] = {"sms": SandboxChannel(sessions), "push": push}
        try:
            counts = await Dispatcher(sessions, channels, box, post).tick(clock)
        finally:
            await push.close()
        assert counts["errors"] == 0

    asyncio.run(inside())


def devices(engine: Engine) -> list[PushSubscription]:
    with Session(engine) as db:
        return list(db.scalars(select(PushSubscription)))


def told(engine: Engine) -> bool:
    """Whether the acknowledgement has reached us."""
    by_push = select(Delivery.id).where(Delivery.channel == "push")
    with Session(engine) as db:
        return db.scalar(select(ProviderEvent.id).where(ProviderEvent.delivery_id.in_(by_push))) is not None


def test_a_real_push_from_the_tap_to_the_notification(
    firefox: Firefox,
    service: AutopushLike,
    live_server: str,
    engine: Engine,
    settings: Settings,
    vapid: VapidSettings,
    running_clock: ShiftedClock,
) -> None:
    now = running_clock.now()
    home = sign_in_kari(firefox, engine, live_server, now)
    firefox.open(live_server + "/patient/settings")
    says(firefox, "ready")
    firefox.click("[data-push-start]")
    says(firefox, "on")
    with Session(engine) as db:
        assert db.get_one(Patient, home.kari.id).contact_by == "push"
    # The whole way: her check-in is due.
    tick(engine, settings, vapid, running_clock)
    service.wait_for(lambda: 0 < service.taken == len(service.acknowledged))
    assert (service.faults, set(service.acknowledged)) == ([], {DELIVERED})
    shown = notification(firefox, "Noen korte spørsmål venter på deg.")
    assert (shown["title"], shown["lang"]) == ("Følge", "nb")
    assert shown["data"]["url"].startswith("/l#")
    # The worker tells us after it has shown it.
    while not told(engine):
        firefox.run("return new Promise(requestAnimationFrame);")
    tick(engine, settings, vapid, running_clock)
    with Session(engine) as db:
        sent = db.scalars(
            select(Message).where(Message.patient_id == home.kari.id, Message.kind == "check_in")
        ).one()
        assert (sent.state, sent.channel) == ("delivered", "push")
        assert db.scalars(select(Delivery.channel).where(Delivery.message_id == sent.id)).all() == ["push"]
        on_her_phone = select(SandboxMessage).where(SandboxMessage.number == home.kari.phone)
        assert db.scalars(on_her_phone).all() == []
    # A row that was lost comes back with the next sign-in; nothing is asked again.
    (before,) = devices(engine)
    with Session(engine) as db:
        db.delete(db.get_one(PushSubscription, before.id))
        db.commit()
    firefox.run("sessionStorage.clear();")
    firefox.open(live_server + "/patient/settings")
    says(firefox, "on")
    (after,) = devices(engine)
    assert after.endpoint == before.endpoint
    # Signing out: the server forgets the device, and the browser its subscription.
    firefox.click("form[action='/sign-out'] button")
    firefox.wait_for("location.pathname === '/signed-out'")
    assert devices(engine) == []
    with Session(engine) as db:
        assert db.get_one(Patient, home.kari.id).contact_by == "sms"
