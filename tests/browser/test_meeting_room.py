"""Two real browsers meet: the waiting room, letting in, picture and sound both ways, and what happens when something fails."""

from dataclasses import dataclass
from datetime import datetime

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, Route, WebSocketRoute, expect
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.models import Flag, MeetingEvent, Professional
from companion.use_cases import sign_in
from tests import appointment as appointments
from tests.browser.conftest import DESK, IN_A_BROWSER, PHONE, Machines

pytestmark = IN_A_BROWSER

# Looked for anew each time: a connection made again has a tile of its own, and the one before stands still for ever.
MOVING = """() => new Promise(resolve => {
    let tile, first;
    const look = () => {
        const video = document.querySelector('.tile video');
        const now = video && {frames: video.getVideoPlaybackQuality().totalVideoFrames, at: video.currentTime};
        if (!now || video !== tile || now.frames < first.frames || now.at < first.at) [tile, first] = [video, now];
        else if (now.frames > first.frames + 10 && now.at > first.at + 0.5 && video.videoWidth > 0) return resolve();
        setTimeout(look, 100);
    };
    look();
})"""
HEARD = """video => new Promise(resolve => {
    const sound = new AudioContext();
    const analyser = sound.createAnalyser();
    sound.createMediaStreamSource(new MediaStream(video.srcObject.getAudioTracks())).connect(analyser);
    const wave = new Uint8Array(analyser.fftSize);
    const look = () => {
        analyser.getByteTimeDomainData(wave);
        if (wave.some(value => Math.abs(value - 128) > 8)) resolve();
        else setTimeout(look, 20);
    };
    look();
})"""


@pytest.fixture
def backend() -> str:
    """Picture and sound do not know the database."""
    return "sqlite"


@dataclass(frozen=True)
class Keys:
    """The meeting's address, and a session for each: Johan signed in, Kari and Anne with only the link from their SMS."""

    path: str
    johan: str
    kari: str
    anne: str


@pytest.fixture
def appointment(engine: Engine, now: datetime) -> Keys:
    with Session(engine, expire_on_commit=False) as db:
        made = appointments.make(db, now)
        johan = db.get_one(Professional, made.ward.johan.id)
        keys = Keys(
            path=made.path,
            johan=sign_in.from_identity(db, "professional", {"pid": johan.national_id}, now=now).secret,
            kari=appointments.by_link(db, made, made.kari, now).secret,
            anne=appointments.by_link(db, made, made.anne, now).secret,
        )
        db.commit()
    return keys


def come(page: Page, appointment: Keys) -> None:
    """Opens the meeting's page; where camera and microphone were allowed before, they start by themselves."""
    page.goto(appointment.path)
    expect(page.locator("video[data-own]")).to_be_visible()


def let_in(host: Page, name: str) -> None:
    host.get_by_role("button", name=f"Slipp inn {name}").click()


def other(page: Page) -> Locator:
    return page.locator(".tile video")


def accessible(page: Page) -> bool:
    """Axe finds nothing; if it does, its report says what."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    return True


def errors_on(page: Page) -> list[str]:
    """What the page complains about, content security policy included."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(error.message))
    return found


def test_two_people_see_and_hear_each_other(machines: Machines, appointment: Keys, engine: Engine) -> None:
    kari = machines().window(PHONE, session=appointment.kari).new_page()
    johan = machines().window(DESK, session=appointment.johan).new_page()
    wrong = [errors_on(kari), errors_on(johan)]
    come(kari, appointment)
    expect(kari.get_by_role("heading", level=1)).to_have_text("Du er på venterommet")
    expect(kari.get_by_text("Kamera virker")).to_be_visible()
    expect(kari.get_by_text("Vi hører deg")).to_be_visible()
    expect(kari.locator("[data-people]")).to_contain_text("Johan Bakk (fysioterapeut)")
    assert accessible(kari)
    come(johan, appointment)
    expect(kari.locator("[data-people]")).to_contain_text("er i møtet")
    expect(johan.locator("[data-people]")).to_contain_text("Kari Nilsen")
    expect(other(kari)).to_have_count(0)

    let_in(johan, "Kari Nilsen")

    expect(kari.get_by_role("heading", level=1)).to_have_text("Møte med Johan Bakk")
    for page in (kari, johan):
        page.evaluate(MOVING)
        other(page).evaluate(HEARD)
    assert happened(engine) == ["offered", "waiting", "admitted", "admitted"]
    assert accessible(kari)
    assert accessible(johan)

    kari.get_by_role("button", name="Slå av kamera").click()
    expect(johan.locator(".tile")).to_contain_text("Kari Nilsen sender ikke bilde")
    kari.get_by_role("button", name="Slå av lyd").click()
    expect(johan.locator(".tile")).to_contain_text("sender verken bilde eller lyd")
    kari.get_by_role("button", name="Slå på kamera").click()
    expect(johan.locator(".tile")).to_contain_text("lyden er av")
    expect(johan.locator("[data-note]")).to_be_hidden()
    johan.evaluate(MOVING)

    kari.get_by_role("button", name="Legg på").click()
    expect(kari.get_by_role("heading", level=1)).to_have_text("Du har lagt på")
    expect(other(johan)).to_have_count(0)

    johan.get_by_text("Avslutt møtet").click()
    johan.get_by_role("button", name="Avslutt for alle").click()
    expect(johan.get_by_role("heading", level=1)).to_have_text("Møtet er slutt")
    kari.get_by_role("link", name="Gå inn igjen").click()
    expect(kari.get_by_role("heading", level=1)).to_have_text("Møtet er slutt")
    assert happened(engine)[-2:] == ["left", "ended"]
    assert wrong == [[], []]


def test_a_guest_without_camera_sees_and_a_reload_comes_back(machines: Machines, appointment: Keys) -> None:
    anne = machines(camera=False).window(PHONE, session=appointment.anne).new_page()
    johan = machines().window(DESK, session=appointment.johan).new_page()
    come(johan, appointment)
    anne.goto(appointment.path)
    anne.get_by_role("button", name="Slå på kamera og mikrofon").click()
    expect(anne.get_by_text("Kameraet er sperret")).to_be_visible()
    expect(anne.get_by_text("Nettleseren har ikke lov")).to_be_visible()
    assert accessible(anne)
    let_in(johan, "Anne Nilsen")
    anne.evaluate(MOVING)
    expect(johan.locator(".tile")).to_contain_text("Anne Nilsen sender verken bilde eller lyd")

    # A picture in the page is slow, and Anne is there before it: her tile, to which nothing will come, holds nothing up.
    held: list[Route] = []
    johan.route("**/icons-*.svg", lambda icons: held.append(icons))
    johan.reload(wait_until="commit")
    expect(johan.locator(".tile")).to_contain_text("Anne Nilsen sender verken bilde eller lyd")
    for icons in held:
        icons.continue_()
    johan.unroute("**/icons-*.svg")
    johan.wait_for_load_state()
    anne.evaluate(MOVING)


def test_ring_me_reaches_the_host_at_once_and_the_worklist(
    machines: Machines, appointment: Keys, engine: Engine
) -> None:
    kari = machines().window(PHONE, session=appointment.kari).new_page()
    johan = machines().window(DESK, session=appointment.johan).new_page()
    johan.goto(appointment.path)
    kari.goto(appointment.path)
    expect(johan.locator("[data-people]")).to_contain_text("venter")
    assert accessible(johan)
    kari.get_by_role("button", name="Ring meg på 400 00 001").click()
    expect(kari.get_by_role("heading", level=1)).to_have_text("Vi har gitt beskjed")
    assert accessible(kari)
    expect(johan.locator("[data-part=calls]")).to_contain_text("Kari Nilsen får det ikke til")
    johan.reload()
    expect(johan.locator("[data-part=calls]")).to_contain_text("400 00 001")
    with Session(engine) as db:
        assert db.scalars(select(Flag.code)).all() == ["call_me"]


def test_a_broken_line_to_the_server_leaves_picture_and_sound_alone(
    machines: Machines, appointment: Keys
) -> None:
    lines: list[WebSocketRoute] = []

    def through(line: WebSocketRoute) -> None:
        line.connect_to_server()
        lines.append(line)

    kari = machines().window(PHONE, session=appointment.kari).new_page()
    johan = machines().window(DESK, session=appointment.johan).new_page()
    kari.route_web_socket("**/ws?*", through)
    come(johan, appointment)
    come(kari, appointment)
    let_in(johan, "Kari Nilsen")
    kari.evaluate(MOVING)
    other(johan).evaluate("video => { window.before = video; }")

    with kari.expect_websocket():
        lines[-1].close(code=1012)

    expect(kari.get_by_text("Kobler til på nytt")).to_be_hidden()
    expect(johan.locator("[data-people] [data-state=in]")).to_contain_text("Kari Nilsen")
    assert other(johan).evaluate("video => video === window.before"), "the same picture all along"
    kari.get_by_role("button", name="Slå av lyd").click()
    expect(johan.locator(".tile")).to_contain_text("lyden er av")
    johan.evaluate(MOVING)
    kari.evaluate(MOVING)


def test_a_second_window_takes_over(machines: Machines, appointment: Keys) -> None:
    context = machines().window(PHONE, session=appointment.kari)
    first, second = context.new_page(), context.new_page()
    first.goto(appointment.path)
    expect(first.locator("[data-people]")).to_contain_text("Johan Bakk")
    second.goto(appointment.path)
    expect(first.get_by_text("Møtet er åpnet i et annet vindu")).to_be_visible()
    expect(second.locator("[data-people]")).to_contain_text("Johan Bakk")


def test_without_javascript_the_page_offers_the_phone(machines: Machines, appointment: Keys) -> None:
    page = machines().window(session=appointment.kari, scripts=False).new_page()
    page.goto(appointment.path)
    expect(page.get_by_text("Video trenger JavaScript")).to_be_visible()
    page.get_by_role("button", name="Ring meg på 400 00 001").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Vi har gitt beskjed")


def happened(engine: Engine) -> list[str]:
    with Session(engine) as db:
        return list(db.scalars(select(MeetingEvent.kind).order_by(MeetingEvent.at)))
