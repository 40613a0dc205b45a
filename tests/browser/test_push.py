"""Chromium's end of push: what the worker shows and tells, and what the settings page says when there is no push to be had."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, CDPSession, Page, Route, expect
from pydantic import SecretStr
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.models import Message, Patient
from companion.use_cases import sign_in
from companion.use_cases.messages import message
from notifications.channels.push import vapid as vapid_keys
from notifications.channels.push.settings import VapidSettings
from notifications.models import Delivery, ProviderEvent
from notifications.receipts import apply_events
from notifications.ways import discover
from tests.browser.conftest import IN_A_BROWSER, PHONE, Chromiums, Machines, until
from tests.browser.test_every_page import faults
from tests.pages.at_home import AtHome, at_home

pytestmark = IN_A_BROWSER

ATTEMPT = "ab" * 16
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"
SHOWN = """async () => {
    const registration = await navigator.serviceWorker.ready;
    const all = await registration.getNotifications();
    return all.map(({title, body, tag, lang, data}) => ({title, body, tag, lang, data}));
}"""
# Closes what is there, and waits until it is.
NONE_LEFT = """async () => {
    const registration = await navigator.serviceWorker.ready;
    for (const one of await registration.getNotifications()) one.close();
    while ((await registration.getNotifications()).length) await new Promise(requestAnimationFrame);
}"""


@pytest.fixture
def backend() -> str:
    """What a browser does with a push does not hang on the database's make."""
    return "sqlite"


@pytest.fixture
def vapid() -> VapidSettings:
    return VapidSettings(private_key=SecretStr(vapid_keys.new_key()), subject="mailto:drift@folge.example")


@dataclass
class Phone:
    """Kari's, with the worker of our house in it."""

    page: Page
    cdp: CDPSession
    url: str
    registration: str
    # What the browser's own log of pushes says, in order.
    log: list[str]

    def push(self, data: str) -> list[dict[str, Any]]:
        """What a push with this text has left on the screen when the worker is done with it; only it."""
        self.page.evaluate(NONE_LEFT)
        self.log.clear()
        told = {"origin": self.url, "registrationId": self.registration, "data": data}
        self.cdp.send("ServiceWorker.deliverPushMessage", told)
        # Asked for while it is being shown, a notification is lost: Chromium takes it for one that was closed.
        until(self.page, lambda: "Push event completed" in self.log)
        found: list[dict[str, Any]] = self.page.evaluate(SHOWN)
        return found


@pytest.fixture
def home(engine: Engine, now: datetime) -> AtHome:
    return at_home(engine, now)


def signed_in(engine: Engine, home: AtHome, now: datetime) -> str:
    with Session(engine) as db:
        pid = db.get_one(Patient, home.kari.id).national_id
        opened = sign_in.from_identity(db, "patient", {"pid": pid}, now=now)
        db.commit()
    return opened.secret


@pytest.fixture
def window(machines: Machines, engine: Engine, home: AtHome, now: datetime) -> BrowserContext:
    return machines(camera=False).window(session=signed_in(engine, home, now))


@pytest.fixture
def phone(window: BrowserContext, live_server: str) -> Phone:
    window.grant_permissions(["notifications"])
    page = window.new_page()
    page.goto("/patient/settings")
    cdp = window.new_cdp_session(page)
    found: list[str] = []
    log: list[str] = []
    cdp.on(
        "BackgroundService.backgroundServiceEventReceived",
        lambda said: log.append(said["backgroundServiceEvent"]["eventName"]),
    )
    cdp.send("BackgroundService.startObserving", {"service": "pushMessaging"})
    cdp.send("BackgroundService.setRecording", {"service": "pushMessaging", "shouldRecord": True})
    cdp.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda said: found.extend(one["registrationId"] for one in said["registrations"]),
    )
    cdp.send("ServiceWorker.enable")
    page.evaluate(
        "navigator.serviceWorker.register('/sw.js').then(() => navigator.serviceWorker.ready).then(() => 1)"
    )
    until(page, lambda: bool(found))
    return Phone(page, cdp, live_server, found[-1], log)


def pushed(engine: Engine, home: AtHome, now: datetime) -> None:
    """A push on its way to Kari."""
    with Session(engine) as db:
        kari = db.get_one(Patient, home.kari.id)
        until = now + timedelta(days=1)
        letter = message.write(db, "welcome", to=kari, now=now, valid_until=until, dedupe_key="p")
        assert letter
        letter.state, letter.channel, letter.attempt, letter.settled_at = "accepted", "push", 1, now
        attempt = {"id": ATTEMPT, "attempt": 1, "fence": 1, "channel": "push", "address": "", "body": "{}"}
        db.add(Delivery(message_id=letter.id, started_at=now, outcome="accepted", **attempt))
        db.commit()


SAID = {
    "title": "Følge", "body": "Noe nytt æøå", "lang": "nn", "url": "/l#" + "x" * 22, "tag": "about", "ack": ATTEMPT
}  # fmt: skip


def test_what_comes_is_shown_and_acknowledged(
    phone: Phone, engine: Engine, home: AtHome, now: datetime
) -> None:
    pushed(engine, home, now)
    with phone.page.context.expect_event(
        "requestfinished", lambda one: one.url.endswith("/hooks/push/ack")
    ) as told:
        (shown,) = phone.push(json.dumps(SAID))
    assert told.value.method == "POST"
    assert (shown["title"], shown["body"], shown["lang"], shown["tag"]) == (
        "Følge",
        "Noe nytt æøå",
        "nn",
        "about",
    )
    assert shown["data"] == {"url": SAID["url"]}
    with Session(engine) as db:
        assert [one.delivery_id for one in db.scalars(select(ProviderEvent))] == [ATTEMPT]
        apply_events(db, now, discover())
        assert db.scalars(select(Message.state).where(Message.dedupe_key == "p")).one() == "delivered"
        db.commit()


NEUTRAL = (
    "",
    "nonsense",
    "{",
    "null",
    "[]",
    "3",
    "{}",
    '{"title": 3, "body": {}, "lang": [], "tag": 7, "url": 1, "ack": 2}',
)


def test_whatever_comes_something_neutral_is_shown(phone: Phone) -> None:
    for data in NEUTRAL:
        (shown,) = phone.push(data)
        assert (shown["title"], shown["body"]) == ("Følge", "Du har en melding."), data


def test_an_acknowledgement_that_does_not_get_away_is_tried_once_more(phone: Phone) -> None:
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    phone.page.context.route("**/hooks/push/ack", refuse)
    with phone.page.context.expect_event("requestfailed", lambda _one: len(asked) == 2):
        phone.push(json.dumps(SAID))
    assert len(asked) == 2


def test_no_way_past_the_notification() -> None:
    """Read, not run: the handler waits for one promise, and that promise shows something before it does anything else."""
    source = (Path(__file__).parents[2] / "web/assets/sw.js").read_text()
    handlers = [line for line in source.splitlines() if line.startswith('addEventListener("push",')]
    assert handlers == ['addEventListener("push", (event) => event.waitUntil(show(read(event.data))));']
    shows = source[source.index("async function show(") : source.index("// Without this word")]
    before = shows[: shows.index("await registration.showNotification(")]
    assert not {"return", "throw", "fetch", "if (", "await"} & set(before.replace("(", " ( ").split())
    assert "if (" not in before
    assert shows.count("registration.showNotification(") == 2, (
        "once more, neutrally, when the first is refused"
    )
    assert shows.index("catch") < shows.rindex("registration.showNotification(") < shows.index("tell(")


def test_a_browser_that_reaches_no_push_service_gets_a_kind_sentence(window: BrowserContext) -> None:
    window.grant_permissions(["notifications"])
    page = window.new_page()
    page.goto("/patient/settings")
    page.get_by_role("button", name="Få varsel på denne telefonen").click()
    expect(page.get_by_text("Telefonen fikk ikke slått på varsel nå. Du får SMS som før.")).to_be_visible()
    expect(page.get_by_role("button", name="Prøv igjen")).to_be_focused()


def test_whoever_has_said_no_is_told_how_to_say_yes(window: BrowserContext) -> None:
    # A browser without a human denies by itself.
    page = window.new_page()
    page.goto("/patient/settings")
    page.get_by_role("button", name="Få varsel på denne telefonen").click()
    expect(page.get_by_text("Telefonen sier nei til varsler fra oss.")).to_be_visible()


STATES = ("unsupported", "ready", "waiting", "on", "failed", "denied", "home-screen")


def test_axe_finds_nothing_in_any_state(window: BrowserContext) -> None:
    page = window.new_page()
    page.goto("/patient/settings")
    there = page.locator("[data-push-state]").evaluate_all("all => all.map(one => one.dataset.pushState)")
    assert sorted(there) == sorted(STATES)
    # What the page finds for itself, before it is shown all the others.
    expect(
        page.locator("[data-push-state='ready'], [data-push-state='denied']").filter(visible=True)
    ).to_have_count(1)
    for state in STATES:
        page.set_viewport_size(PHONE)
        page.locator("[data-push-state]").evaluate_all(
            "(all, state) => all.forEach(one => { one.hidden = one.dataset.pushState !== state; })", state
        )
        expect(page.locator(f"[data-push-state='{state}']")).to_be_visible()
        assert faults(page) == [], state


def test_an_iphone_is_asked_to_the_home_screen_first(
    chromiums: Chromiums, live_server: str, engine: Engine, home: AtHome, now: datetime
) -> None:
    context = chromiums.of(PHONE).new_context(user_agent=IPHONE, base_url=live_server, locale="nb-NO")
    secret = signed_in(engine, home, now)
    context.add_cookies([{"name": "session", "value": secret, "url": live_server}])
    # Safari shows none of it outside the home screen.
    context.add_init_script("delete window.PushManager; delete window.Notification;")
    page = context.new_page()
    page.goto("/patient/settings")
    expect(page.get_by_text("må siden ligge på hjemskjermen")).to_be_visible()
    expect(page.get_by_role("button", name="Få varsel på denne telefonen")).to_be_hidden()
