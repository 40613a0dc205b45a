"""Two real browsers meet: the waiting room, letting in, picture and sound both ways, and what happens when something fails."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.models import (
    Flag,
    Grant,
    MeetingEvent,
    Message,
    Municipality,
    Patient,
    PatientUnit,
    Professional,
    Relative,
    Unit,
)
from companion.rules.access import Actor, Level
from companion.use_cases import meet, sign_in
from tests.browser.conftest import DESK, PHONE, Machines

pytestmark = pytest.mark.browser

MOVING = """video => new Promise(resolve => {
    const frames = () => video.getVideoPlaybackQuality().totalVideoFrames;
    const first = {frames: frames(), at: video.currentTime};
    const look = () => {
        const moves = frames() > first.frames + 10 && video.currentTime > first.at + 0.5;
        if (moves && video.videoWidth > 0) resolve();
        else setTimeout(look, 100);
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
class Appointment:
    """A meeting in five minutes, and a key to it for each: Johan and Anne signed in, Kari with only the link."""

    id: UUID
    path: str
    johan: str
    kari: str
    anne: str


@pytest.fixture
def appointment(engine: Engine, now: datetime) -> Appointment:
    with Session(engine, expire_on_commit=False) as db:
        if db.get(Municipality, "5536") is None:
            db.add(Municipality(number="5536", name="Lyngen", trust="UNN"))
        art = Unit(key="art-test", kind="art", name="ART Tromsø", phone="77000000", hours="8–15")
        johan = Professional(
            name="Johan Bakk",
            national_id="johan",
            national_id_index="johan",
            title="fysioterapeut",
            created_at=now,
        )
        kari = Patient(
            name="Kari Nilsen",
            national_id="kari",
            national_id_index="kari",
            birth_date="1958-05-04",
            phone="+4740000001",
            phone_index="+4740000001",
            phone_state="ok",
            contact_by="sms",
            municipality_number="5536",
            created_at=now,
        )
        anne = Relative(
            name="Anne Nilsen",
            national_id="anne",
            national_id_index="anne",
            phone="+4740000002",
            phone_index="+4740000002",
            created_at=now,
        )
        db.add_all([art, johan, kari, anne])
        db.flush()
        db.add(PatientUnit(patient_id=kari.id, unit_id=art.id, since=date(2026, 10, 1)))
        db.add(
            Grant(
                patient_id=kari.id,
                relative_id=anne.id,
                relation="datter",
                scopes="meetings",
                given_how="paper",
                given_by_kind="professional",
                given_at=now,
                valid_until=now + timedelta(days=90),
            )
        )
        db.flush()
        host = Actor(kind="professional", id=johan.id, level=Level.high, unit_ids=frozenset({art.id}))
        meeting = meet.offer(db, host, kari.id, now + timedelta(minutes=5), relatives=[anne.id], now=now)
        letter = db.scalars(
            select(Message).where(Message.meeting_id == meeting.id, Message.patient_id == kari.id)
        ).one()
        link = sign_in.issue_link(db, letter, now=now)
        found = Appointment(
            id=meeting.id,
            path=f"/meeting/{meeting.id}",
            johan=sign_in.from_identity(db, "professional", {"pid": "johan"}, now=now).secret,
            kari=sign_in.redeem_link(db, link.token, now=now).secret,
            anne=sign_in.from_identity(db, "relative", {"pid": "anne"}, now=now).secret,
        )
        db.commit()
    return found


def come(page: Page, appointment: Appointment) -> None:
    """Opens the meeting's page; where camera and microphone were allowed before, they start by themselves."""
    page.goto(appointment.path)
    expect(page.locator("video[data-own]")).to_be_visible()


def let_in(host: Page, name: str) -> None:
    host.get_by_role("button", name=f"Slipp inn {name}").click()


def other(page: Page) -> Locator:
    return page.locator(".tile video")


def errors_on(page: Page) -> list[str]:
    """What the page complains about, content security policy included."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(error.message))
    return found


def test_two_people_see_and_hear_each_other(
    machines: Machines, appointment: Appointment, engine: Engine
) -> None:
    kari = machines().window(PHONE, session=appointment.kari).new_page()
    johan = machines().window(DESK, session=appointment.johan).new_page()
    wrong = [errors_on(kari), errors_on(johan)]
    come(kari, appointment)
    expect(kari.get_by_role("heading", level=1)).to_have_text("Du er på venterommet")
    expect(kari.get_by_text("Kamera virker")).to_be_visible()
    expect(kari.get_by_text("Vi hører deg")).to_be_visible()
    expect(kari.locator("[data-people]")).to_contain_text("Johan Bakk (fysioterapeut)")
    come(johan, appointment)
    expect(kari.locator("[data-people]")).to_contain_text("er i møtet")
    expect(johan.locator("[data-people]")).to_contain_text("Kari Nilsen")
    expect(other(kari)).to_have_count(0)

    let_in(johan, "Kari Nilsen")

    expect(kari.get_by_role("heading", level=1)).to_have_text("Møte med Johan Bakk")
    for page in (kari, johan):
        other(page).evaluate(MOVING)
        other(page).evaluate(HEARD)
    assert happened(engine, appointment) == ["offered", "waiting", "admitted", "admitted"]

    kari.get_by_role("button", name="Slå av kamera").click()
    expect(johan.locator(".tile")).to_contain_text("Kari Nilsen sender ikke bilde")
    kari.get_by_role("button", name="Slå av lyd").click()
    expect(johan.locator(".tile")).to_contain_text("lyden er av")
    kari.get_by_role("button", name="Slå på kamera").click()
    expect(johan.get_by_text("sender ikke bilde")).to_be_hidden()
    other(johan).evaluate(MOVING)

    kari.get_by_role("button", name="Legg på").click()
    expect(kari.get_by_role("heading", level=1)).to_have_text("Du har lagt på")
    expect(other(johan)).to_have_count(0)

    johan.get_by_text("Avslutt møtet").click()
    johan.get_by_role("button", name="Avslutt for alle").click()
    expect(johan.get_by_role("heading", level=1)).to_have_text("Møtet er slutt")
    kari.get_by_role("link", name="Gå inn igjen").click()
    expect(kari.get_by_role("heading", level=1)).to_have_text("Møtet er slutt")
    assert happened(engine, appointment)[-2:] == ["left", "ended"]
    assert wrong == [[], []]


def test_a_guest_without_camera_sees_and_a_reload_comes_back(
    machines: Machines, appointment: Appointment
) -> None:
    anne = machines(camera=False).window(PHONE, session=appointment.anne).new_page()
    johan = machines().window(DESK, session=appointment.johan).new_page()
    come(johan, appointment)
    anne.goto(appointment.path)
    anne.get_by_role("button", name="Slå på kamera og mikrofon").click()
    expect(anne.get_by_text("Kameraet er sperret")).to_be_visible()
    expect(anne.get_by_text("Nettleseren har ikke lov")).to_be_visible()
    let_in(johan, "Anne Nilsen")
    other(anne).evaluate(MOVING)
    expect(johan.locator(".tile")).to_contain_text("Anne Nilsen sender ikke bilde")

    johan.reload()
    other(anne).evaluate(MOVING)
    expect(johan.locator(".tile")).to_contain_text("Anne Nilsen")


def test_ring_me_reaches_the_host_at_once_and_the_worklist(
    machines: Machines, appointment: Appointment, engine: Engine
) -> None:
    kari = machines().window(PHONE, session=appointment.kari).new_page()
    johan = machines().window(DESK, session=appointment.johan).new_page()
    johan.goto(appointment.path)
    kari.goto(appointment.path)
    expect(johan.locator("[data-people]")).to_contain_text("venter")
    kari.get_by_role("button", name="Ring meg på 400 00 001").click()
    expect(kari.get_by_role("heading", level=1)).to_have_text("Vi har gitt beskjed")
    expect(johan.locator("[data-part=calls]")).to_contain_text("Kari Nilsen får det ikke til")
    with Session(engine) as db:
        assert db.scalars(select(Flag.code)).all() == ["call_me"]


def test_a_second_window_takes_over(machines: Machines, appointment: Appointment) -> None:
    context = machines().window(PHONE, session=appointment.kari)
    first, second = context.new_page(), context.new_page()
    first.goto(appointment.path)
    expect(first.locator("[data-people]")).to_contain_text("Johan Bakk")
    second.goto(appointment.path)
    expect(first.get_by_text("Møtet er åpnet i et annet vindu")).to_be_visible()
    expect(second.locator("[data-people]")).to_contain_text("Johan Bakk")


def test_without_javascript_the_page_offers_the_phone(machines: Machines, appointment: Appointment) -> None:
    machine = machines()
    context = machine.browser.new_context(base_url=machine.url, java_script_enabled=False)
    context.add_cookies([{"name": "session", "value": appointment.kari, "url": machine.url}])
    page = context.new_page()
    page.goto(appointment.path)
    expect(page.get_by_text("Video trenger JavaScript")).to_be_visible()
    page.get_by_role("button", name="Ring meg på 400 00 001").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Vi har gitt beskjed")


def happened(engine: Engine, appointment: Appointment) -> list[str]:
    with Session(engine) as db:
        kinds = select(MeetingEvent.kind).where(MeetingEvent.meeting_id == appointment.id)
        return list(db.scalars(kinds.order_by(MeetingEvent.at, MeetingEvent.id)))
