"""The main job, end to end, in real browsers: exactly the path the demo tells, on SQLite and on PostgreSQL.

A discharge goes in, a check-in reaches a phone, a bad answer reaches a human, a video meeting takes place, a relative reads
the passport. Every link is taken out of the SMS as it stands there.
"""

import re
import shutil
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

import pytest
from playwright.sync_api import Page, ViewportSize, expect
from sqlalchemy import make_url

from companion.demo import ANNE, KARI
from companion.rules.cadence import to_utc
from tests.browser.conftest import DESK, IN_A_BROWSER, PHONE, Chromiums, Machine
from tests.browser.demo_room import Room, running
from tests.browser.test_meeting_room import MOVING, let_in

pytestmark = IN_A_BROWSER


@pytest.fixture
def room(backend: str, database_url: str, request: pytest.FixtureRequest) -> Iterator[Room]:
    """A newcomer's first start on PostgreSQL; on SQLite that has been (`ward`), and this is the next one."""
    if backend == "sqlite":
        shutil.copyfile(request.getfixturevalue("ward"), str(make_url(database_url).database))
    with running(database_url) as demo:
        yield demo


class People:
    """Everybody with a window of their own."""

    def __init__(self, chromiums: Chromiums, room: Room) -> None:
        self._machine = Machine(chromiums, room.url)

    def somebody(self, size: ViewportSize) -> Page:
        """A person at a screen of that size, with camera and microphone allowed."""
        return self._machine.window(size).new_page()


@pytest.fixture
def people(chromiums: Chromiums, room: Room) -> People:
    return People(chromiums, room)


def h1(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def link_in(text: str) -> str:
    """The link as it stands in the SMS; a phone adds the scheme."""
    found = re.search(r"\S+/l#[\w-]{22}", text)
    assert found, text
    return found[0] if found[0].startswith("http") else f"http://{found[0]}"


def say_who_you_are(page: Page, birth: str) -> None:
    for label, value in zip(("Dag", "Måned", "År"), birth.split("."), strict=True):
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Fortsett").click()


def answer(page: Page, option: str) -> None:
    """Taps the card and goes on."""
    page.get_by_role("radio", name=option, exact=True).check()
    go_on(page)


def go_on(page: Page) -> None:
    """Waits until the next question stands there."""
    question = page.get_by_role("heading", level=1).inner_text()
    page.get_by_role("button", name="Neste").click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text(question)


def test_kari_comes_home(room: Room, people: People) -> None:
    # The address printed for Kari says what comes first: the nurse discharges her.
    sofia = people.somebody(DESK)
    sofia.goto(room.url + "/sign-in/patient?hint=kari")
    h1(sofia, "Kari er ikke skrevet ut ennå")
    sofia.get_by_role("button", name="Vær Sofia og skriv ut Kari").click()
    h1(sofia, "Ny utskriving")
    sofia.get_by_role("button", name="Fyll inn Kari").click()
    expect(sofia.get_by_label("Navn", exact=True)).to_have_value(KARI.name)
    sofia.get_by_role("button", name="Lagre og skriv ut hjemreisearket").click()
    h1(sofia, "Hjemreisearket til Kari")

    # Three days later her phone has a message.
    sofia.goto(room.url + "/demo")
    sofia.get_by_role("button", name="Tre dager fram").click()
    expect(sofia.locator("#kari")).to_contain_text("Vi har noen korte spørsmål til deg")
    *_, asked = room.phone("Kari")

    # Kari opens the link and answers that nobody has called her.
    kari = people.somebody(PHONE)
    kari.goto(link_in(asked))
    h1(kari, "Er du Kari?")
    say_who_you_are(kari, "4.5.1957")
    expect(kari.get_by_role("main")).to_contain_text("Datoen passer ikke")
    say_who_you_are(kari, "4.5.1958")
    answer(kari, "Dårlig")
    answer(kari, "Nei, ikke ennå")
    answer(kari, "Ingen har kontaktet meg")
    kari.get_by_role("link", name="Tilbake").click()
    h1(kari, "Hvorfor er du ikke i gang?")
    expect(kari.get_by_label("Ingen har kontaktet meg")).to_be_checked()
    go_on(kari)
    answer(kari, "Ja, jeg er i gang")
    answer(kari, "Vet ikke")

    # On another device she goes on where she was: by the typed code this time.
    tablet = people.somebody(PHONE)
    tablet.goto(room.url + "/k")
    tablet.get_by_label(re.compile("obil")).fill("400 00 001")
    code = re.search(r"skriv (\d{3} \d{3})", asked)
    assert code
    tablet.get_by_label(re.compile("siffer|Kode", re.I)).fill(code[1])
    tablet.get_by_role("button", name="Fortsett").click()
    say_who_you_are(tablet, "4.5.1958")
    h1(tablet, "Hvor sliten er du nå?")
    answer(tablet, "8")
    answer(tablet, "Nei")
    answer(tablet, "Ja, klart verre")
    expect(tablet.get_by_role("main")).to_contain_text("116 117")
    tablet.get_by_role("textbox").fill("Jeg finner ikke ordene 😀")
    tablet.get_by_role("button", name="Neste").click()
    h1(tablet, "Vil du at noen skal kontakte deg?")
    answer(tablet, "Ja")
    tablet.get_by_role("button", name=re.compile("Neste")).click()
    h1(tablet, "Se over svarene")
    tablet.get_by_role("button", name="Send svarene").click()
    h1(tablet, re.compile("Takk, Kari"))
    expect(tablet.get_by_role("main")).to_contain_text("Rehabiliteringsteamet, Tromsø")

    # The therapist sees it, red first, in her own words, and takes the case.
    johan = people.somebody(DESK)
    room.be(johan, "Johan")
    h1(johan, "Arbeidsliste")
    row = johan.get_by_role("row").filter(has_text="Kari Nilsen").first
    expect(row).to_contain_text("Rød")
    row.get_by_role("button", name=re.compile("Ta saken")).click()
    h1(johan, "Kari Nilsen")
    tablet.reload()
    expect(tablet.get_by_role("main")).to_contain_text("Johan Bakk")

    # He offers a meeting, with Anne, who has Kari's consent.
    johan.get_by_role("link", name="Tilby videomøte").first.click()
    johan.get_by_label(re.compile("Anne Nilsen")).check()
    day = date.fromisoformat(johan.get_by_label("Dag", exact=True).input_value())
    starts = to_utc(day, time.fromisoformat(johan.get_by_label("Klokkeslett", exact=True).input_value()))
    johan.get_by_role("button", name="Send tilbudet").click()
    h1(johan, "Kari Nilsen")
    room.forward("PT5M")
    *_, to_kari = room.phone("Kari")
    *_, to_anne = room.phone("Anne")
    assert link_in(to_kari) != link_in(to_anne)

    # The day comes. Kari and Johan see each other's moving picture.
    _forward_to(room, starts - timedelta(minutes=5))
    kari.goto(link_in(to_kari))
    h1(kari, "Du er på venterommet")
    expect(kari.locator("video[data-own]")).to_be_visible()
    johan.goto(room.url + "/staff/meetings")
    johan.get_by_role("link", name="Gå til møtet").click()
    let_in(johan, "Kari Nilsen")
    for page in (kari, johan):
        page.evaluate(MOVING)
    kari.get_by_role("button", name="Legg på").click()
    johan.get_by_text("Avslutt møtet").click()
    johan.get_by_role("button", name="Avslutt for alle").click()
    h1(johan, "Møtet er slutt")

    # The daughter reads the passport; somebody without a grant does not find it.
    anne = people.somebody(PHONE)
    room.be(anne, "Anne")
    anne.get_by_role("link", name=re.compile("pass", re.I)).first.click()
    expect(anne.get_by_role("main")).to_contain_text("Tåler ikke penicillin")
    expect(anne.get_by_role("main")).to_contain_text("Fysioterapi")
    passport = anne.url
    stranger = people.somebody(PHONE)
    stranger.goto(room.url + "/sign-in/patient?hint=kari")
    answered = stranger.goto(passport)
    assert answered
    assert answered.status in (403, 404)
    assert KARI.name not in stranger.title()
    assert ANNE.name not in stranger.get_by_role("main").inner_text()


def _forward_to(room: Room, moment: datetime) -> None:
    ahead = moment - datetime.fromisoformat(room.json("/demo/clock")["now"])
    room.forward(f"PT{int(ahead.total_seconds())}S")
