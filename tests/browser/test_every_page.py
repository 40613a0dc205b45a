"""Every kind of page, opened in a real browser: nothing for axe to find, nothing wider than the screen, nothing in the console.

One demo serves all of them. `STOPS` lists the pages; a page the application can show must be there, or stand in `NOT_PAGES`
with its reason.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from fastapi.routing import APIRoute
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Response,
    ViewportSize,
    expect,
)
from starlette.routing import compile_path

from companion.demo import GUESTS, PERSONAS
from companion.rules.cadence import to_local
from tests.browser.conftest import DESK, IN_A_BROWSER, PATIENCE, PHONE, Chromiums, go
from tests.browser.demo_room import Room, running
from web.app import ROUTERS
from web.demo import routes as demo_routes

pytestmark = IN_A_BROWSER

NARROW: ViewportSize = {"width": 320, "height": 740}
# A screen of 1280 at 200 %.
AXE = Axe().axe_script
ENLARGED: ViewportSize = {"width": 640, "height": 740}

NOBODYS = "00000000-0000-4000-8000-000000000000"
FOR_PROGRAMS = ("/api/", "/hooks/")
NOT_PAGES = {
    "/": "leads on; tested outside the demo",
    "/sign-in/{provider}": "leads to the provider",
    "/oidc/front-channel-logout": "no content",
    "/readyz": "for programs",
    "/.well-known/security.txt": "plain text",
    "/manifest.webmanifest": "for the browser itself",
    "/sw.js": "for the browser itself",
    "/push/key": "for the service worker",
    "/meeting/{meeting_id}/calendar.ics": "a calendar file",
    "/calendar/{secret}.ics": "a calendar file",
    "/stay": "for the page's own script",
    "/patient/check-in/{check_in_id}/ending/now": "a part of the ending's page",
    "/staff/fresh": "a part of the worklist",
    "/demo/phones.json": "for programs",
    "/demo/not-yet/{key}": "looked at where the story begins",
    "/demo/clock": "for programs",
    "/demo/idp/{path:path}": "for programs",
}

Act = Callable[["House", Page], None]


@dataclass(frozen=True)
class Stop:
    """A page: who opens it, by which route, at which address (`House.places` has the names), what they do to get there.

    `posted`: the route a form sent back to be mended stands at without scripts, where it is another.
    """

    name: str
    who: str
    route: str
    at: str = ""
    act: Act | None = None
    status: int = 200
    needs_scripts: bool = False
    posted: str = ""

    def __str__(self) -> str:
        return self.name


class House:
    """The running demo, where things stand in it, and everybody's browser window."""

    def __init__(self, room: Room, browser: Browser) -> None:
        self.room = room
        self.places: dict[str, str] = {}
        self._browser = browser
        self._windows: dict[str, BrowserContext] = {}
        self._pages: dict[tuple[str, bool, bool], Page] = {}

    @contextmanager
    def page(self, who: str, *, scripts: bool = True, dark: bool = False) -> Iterator[Page]:
        """The page of somebody signed in, empty before and after; nobody comes without a cookie each time."""
        kind = who, scripts, dark
        page = self._pages.get(kind) or self._pages.setdefault(kind, self._opened(who, scripts, dark))
        if not who:
            page.context.clear_cookies()
        page.set_viewport_size(PHONE)
        yield page
        page.goto("about:blank")

    def _opened(self, who: str, scripts: bool, dark: bool) -> Page:
        state = self.window(who).storage_state() if who else None
        context = self._browser.new_context(
            viewport=PHONE,
            locale="nb-NO",
            base_url=self.room.url,
            java_script_enabled=scripts,
            color_scheme="dark" if dark else "light",
            storage_state=state,
            permissions=["camera", "microphone"],
        )
        context.set_default_timeout(PATIENCE)
        return context.new_page()

    def window(self, who: str) -> BrowserContext:
        """Where somebody signed in; the first time they do it now, and `places` gets to know where that led them."""
        if who not in self._windows:
            context = self._browser.new_context(viewport=DESK, locale="nb-NO", base_url=self.room.url)
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            if persona := next((one for one in PERSONAS if one.name.startswith(who)), None):
                page.goto("/demo")
                go(page.get_by_role("main").get_by_role("button", name=persona.name))
            else:
                page.goto(self.link(who))
                expect(page).to_have_url(re.compile("/birth-date"))
                type_birth_date(page, born(who))
            expect(page).to_have_url(re.compile("/(patient|relative|staff)"))
            self.places[who] = urlsplit(page.url).path
            self._windows[who] = context
            page.close()
        return self._windows[who]

    def link(self, who: str, number: int = -1) -> str:
        """The address in a text somebody received, the last one unless told."""
        return self.links(who)[number][1]

    def links(self, who: str) -> list[tuple[str, str]]:
        """Every text with a link, and its address."""
        found = [(text, re.search(r"/l#[\w-]{22}", text)) for text in self.room.phone(who)]
        return [(text, self.room.url + path[0]) for text, path in found if path]

    def open(self, stop: Stop, page: Page) -> None:
        """Goes there; it is the right page and not an error."""
        answers: list[int] = []

        def answered(one: Response) -> None:
            # What takes the page's place is as good as a page.
            if one.request.is_navigation_request() or one.request.headers.get("hx-target", "").endswith(
                "#page"
            ):
                answers.append(one.status)

        page.on("response", answered)
        if stop.at:
            page.goto(stop.at.format_map(self.places))
        if stop.act:
            stop.act(self, page)
        routes = [compile_path(route)[0] for route in (stop.route, stop.posted) if route]
        page.wait_for_url(lambda url: any(route.match(urlsplit(url).path) for route in routes))
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        page.remove_listener("response", answered)
        assert answers[-1] == stop.status


def born(guest: str) -> date:
    return next(one.birth for one in GUESTS if one.name.startswith(guest))


def type_birth_date(page: Page, birth: date) -> None:
    for label, value in (("Dag", birth.day), ("Måned", birth.month), ("År", birth.year)):
        page.get_by_label(label, exact=True).fill(str(value))
    go(page.get_by_role("button", name="Fortsett"))


def press(button: str) -> Act:
    def act(_: House, page: Page) -> None:
        go(page.get_by_role("main").get_by_role("button", name=button).first)

    return act


def follow(link: str) -> Act:
    def act(_: House, page: Page) -> None:
        go(page.get_by_role("main").get_by_role("link", name=link).first)

    return act


def meeting_over(house: House, page: Page) -> None:
    page.goto(next(one for one in reversed(house.links("Frode")) if "video" in one[0])[1])
    expect(page.get_by_role("heading", level=1)).to_have_text("Møtet er slutt")


def birth_page(house: House, page: Page) -> None:
    page.goto(house.link("Liv"))
    expect(page).to_have_url(re.compile("/birth-date"))


def birth_wrong(house: House, page: Page) -> None:
    birth_page(house, page)
    type_birth_date(page, date(1950, 1, 1))


def link_locked(house: House, page: Page) -> None:
    page.goto(house.link("Trond"))
    expect(page).to_have_url(re.compile("/birth-date"))
    for year in range(1950, 1955):
        type_birth_date(page, date(year, 1, 1))
    expect(page.get_by_role("heading", level=1)).to_have_text("Lenken er stengt")


def link_old(house: House, page: Page) -> None:
    page.goto(house.link("Hans", 0))
    expect(page.get_by_role("heading", level=1)).to_have_text("Lenken er for gammel")


def link_renewed(house: House, page: Page) -> None:
    link_old(house, page)
    go(page.get_by_role("button", name="Send meg en ny lenke"))


def link_unknown(house: House, page: Page) -> None:
    page.goto("/l#" + "x" * 22)
    expect(page.get_by_role("heading", level=1)).to_have_text("Lenken eller koden virker ikke")


def ask_for_code(_: House, page: Page) -> None:
    page.get_by_label("Mobilnummeret ditt").fill("400 00 999")
    go(page.get_by_role("button", name="Send meg en kode"))


def code_wrong(house: House, page: Page) -> None:
    ask_for_code(house, page)
    page.get_by_label("Kode, 6 siffer").fill("000000")
    go(page.get_by_role("button", name="Logg inn"))


def form_too_old(_: House, page: Page) -> None:
    page.evaluate("document.querySelectorAll('[name=csrf_token]').forEach(field => field.value = 'old')")
    go(page.get_by_role("main").get_by_role("button").first)


def unanswered(_: House, page: Page) -> None:
    go(page.get_by_role("link", name="Svar nå"))
    page.get_by_role("button", name="Neste").click()
    expect(page.locator("[data-faults]")).to_be_visible()


def review(house: House, page: Page) -> None:
    """Answers with the first option of everything, the way there."""
    page.goto("/patient")
    go(page.get_by_role("main").get_by_role("link", name=re.compile("Svar nå|Se over og send")))
    while heading(page) != "Se over svarene":
        answer_first(page)


def heading(page: Page) -> str:
    return page.get_by_role("heading", level=1).inner_text()


def answer_first(page: Page) -> None:
    """Says something to the question that stands there, and goes on to the next."""
    asked = heading(page)
    options = page.get_by_role("main").get_by_role("radio")
    if options.count():
        options.first.check()
    else:
        page.get_by_role("main").get_by_role("textbox").fill("2")
    page.get_by_role("main").get_by_role("button", name=re.compile("^(Neste|Lagre)$")).click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text(asked)
    page.wait_for_load_state()


def search_nobody(_: House, page: Page) -> None:
    page.get_by_role("searchbox").fill("Ingen Slik")
    go(page.get_by_role("button", name="Søk"))


def open_folds(_: House, page: Page) -> None:
    """All that can be unfolded is open at once; the page's own summary buttons do it, with or without scripts."""
    closed = page.get_by_role("main").locator("details:not([open]) > summary:visible")
    while closed.count():
        closed.first.click()


def said_nothing(house: House, page: Page) -> None:
    follow("Still spørsmålene")(house, page)
    go(page.get_by_role("button", name="Lagre svarene"))


def note_empty(_: House, page: Page) -> None:
    page.get_by_text("Notat", exact=True).first.click()
    go(page.get_by_role("button", name="Lagre notatet").first)


def behind_a_number(_: House, page: Page) -> None:
    go(page.get_by_role("main").locator("td.look a").first)


def of_a_number(house: House, page: Page) -> None:
    behind_a_number(house, page)
    go(page.get_by_role("main").locator("a.who").first)


def sent_again(house: House, page: Page) -> None:
    """A letter that may be sent again is; the next visitor finds that it has been."""
    of_a_number(house, page)
    buttons = page.get_by_role("main").get_by_role("button", name="Send på nytt")
    if buttons.count():
        go(buttons.first)


def offer_clash(house: House, page: Page) -> None:
    page.get_by_label("Dag", exact=True).fill(house.places["early_day"])
    page.get_by_label("Klokkeslett", exact=True).fill(house.places["early_time"])
    go(page.get_by_role("button", name="Send tilbudet"))


# --- the pages --------------------------------------------------------------------------------------------------------

NOTE = "/staff/flags/{flag_id}/note"
# fmt: off
STOPS = (
    Stop("story", "", "/demo", "/demo"),
    Stop("phones", "", "/demo/phones", "/demo/phones"),
    Stop("provider", "", "/demo/idp/authorize", "/sign-in/patient"),
    Stop("sign in", "", "/sign-in", "/sign-in"),
    Stop("sign in, working here", "", "/sign-in", "/sign-in?to=professional"),
    Stop("sign in, surer", "", "/sign-in", "/sign-in?level=high&next=/patient/passport"),
    Stop("signed out", "", "/signed-out", "/signed-out"),
    Stop("not known", "", "/oidc/callback/{provider}", "/sign-in/professional?hint=kari", status=403),
    Stop("sign-in failed", "", "/oidc/callback/{provider}", "/oidc/callback/patient", status=403),
    Stop("code, number", "", "/sign-in/code", "/sign-in/code"),
    Stop("code, no number", "", "/sign-in/code", "/sign-in/code", press("Send meg en kode"), 422),
    Stop("code, digits", "", "/sign-in/code", "/sign-in/code", ask_for_code),
    Stop("code, wrong", "", "/sign-in/code", "/sign-in/code", code_wrong, 422, posted="/sign-in/code/enter"),
    Stop("typed code", "", "/k", "/k"),
    Stop("typed code, empty", "", "/k", "/k", press("Fortsett"), 422),
    Stop("link without its end", "", "/l", "/l"),
    Stop("link, unknown", "", "/l", "", link_unknown, 404, needs_scripts=True),
    Stop("link, too old", "", "/l", "", link_old, 410, needs_scripts=True),
    Stop("link, sent anew", "", "/l/new", "", link_renewed, needs_scripts=True),
    Stop("link, locked", "", "/birth-date", "", link_locked, 423, needs_scripts=True),
    Stop("birth date", "", "/birth-date", "", birth_page, needs_scripts=True),
    Stop("birth date, wrong", "", "/birth-date", "", birth_wrong, 422, needs_scripts=True),
    Stop("accessibility", "", "/accessibility", "/accessibility"),
    Stop("privacy", "", "/privacy", "/privacy"),
    Stop("not found, nobody", "", "/nowhere", "/nowhere", status=404),
    Stop("not found, patient", "Kari", "/meeting/{meeting_id}", f"/meeting/{NOBODYS}", status=404),
    Stop("not found, relative", "Anne", "/relative/passport/{patient_id}", f"/relative/passport/{NOBODYS}", status=404),
    Stop("not found, staff", "Johan", "/staff/patients/{patient_id}", f"/staff/patients/{NOBODYS}", status=404),
    Stop("not allowed, patient", "Kari", "/staff", "/staff", status=403),
    Stop("not allowed, staff", "Johan", "/patient", "/patient", status=403),
    Stop("form too old", "Kari", "/patient/settings", "/patient/settings", form_too_old, 403, needs_scripts=True),
    # the patient
    Stop("today, asked", "Kari", "/patient", "/patient"),
    Stop("today, nothing", "Astrid", "/patient", "/patient"),
    Stop("today, seen", "Wenche", "/patient", "/patient"),
    Stop("question", "Kari", "/patient/check-in/{check_in_id}/{question}", "/patient", follow("Svar nå")),
    Stop("question, empty", "Kari", "/patient/check-in/{check_in_id}/{question}", "/patient", unanswered, 422),
    Stop("review", "Turid", "/patient/check-in/{check_in_id}/review", "", review),
    Stop("ending", "Astrid", "/patient/check-in/{check_in_id}/ending", "{Astrid}"),
    Stop("ending, urgent", "Ola", "/patient/check-in/{check_in_id}/ending", "{Ola}"),
    Stop("check-in, too late", "Per", "/patient/check-in/{check_in_id}", "{Per}"),
    Stop("measures", "Kari", "/patient/measures", "/patient/measures"),
    Stop("settings", "Kari", "/patient/settings", "/patient/settings"),
    Stop("settings, saved", "Kari", "/patient/settings", "/patient/settings?done=true"),
    Stop("write to us", "Kari", "/patient/write", "/patient/write"),
    Stop("write to us, empty", "Kari", "/patient/write", "/patient/write", press("Send"), 422),
    Stop("passport", "Kari", "/patient/passport", "/patient/passport"),
    Stop("line, new", "Kari", "/patient/passport/write/{section}", "/patient/passport/write/matters"),
    Stop("line, empty", "Kari", "/patient/passport/write/{section}", "/patient/passport/write/matters", press("Lagre"), 422),
    Stop("line, to change", "Kari", "/patient/passport/lines/{line_id}", "{line}"),
    Stop("share", "Kari", "/patient/passport/share", "/patient/passport/share"),
    Stop("share, empty", "Kari", "/patient/passport/share", "/patient/passport/share", press("Gi tilgang"), 422),
    Stop("who sees", "Kari", "/patient/passport/who", "/patient/passport/who"),
    Stop("meetings, patient", "Kari", "/patient/meetings", "/patient/meetings"),
    Stop("meetings, none", "Astrid", "/patient/meetings", "/patient/meetings"),
    Stop("meeting, waiting", "Kari", "/meeting/{meeting_id}", "/meeting/{meeting_open}", needs_scripts=True),
    Stop("meeting, early", "Kari", "/meeting/{meeting_id}", "/meeting/{meeting_early}"),
    Stop("meeting, called off", "Kari", "/meeting/{meeting_id}", "/meeting/{meeting_off}"),
    Stop("meeting, over", "", "/meeting/{meeting_id}", "", meeting_over, needs_scripts=True),
    Stop("meeting, left", "Kari", "/meeting/{meeting_id}/left", "/meeting/{meeting_open}/left"),
    Stop("meeting, phoned", "Kari", "/meeting/{meeting_id}/called", "/meeting/{meeting_open}/called"),
    # the relative
    Stop("relative", "Anne", "/relative", "/relative"),
    Stop("relative, passport", "Anne", "/relative/passport/{patient_id}", "/relative", follow("Se passet")),
    Stop("relative, meetings", "Anne", "/relative/meetings", "/relative/meetings"),
    Stop("relative, settings", "Anne", "/relative/settings", "/relative/settings"),
    Stop("relative, meeting", "Anne", "/meeting/{meeting_id}", "/meeting/{meeting_open}", needs_scripts=True),
    # the desk
    Stop("worklist", "Johan", "/staff", "/staff"),
    Stop("worklist, mine", "Johan", "/staff", "/staff?show=mine"),
    Stop("worklist, red", "Johan", "/staff", "/staff?show=red"),
    Stop("worklist, silent", "Johan", "/staff", "/staff?show=silent"),
    Stop("worklist, undelivered", "Johan", "/staff", "/staff?show=undelivered"),
    Stop("worklist, ward", "Sofia", "/staff", "/staff"),
    Stop("patients", "Johan", "/staff/patients", "/staff/patients"),
    Stop("patients, ward", "Sofia", "/staff/patients", "/staff/patients"),
    Stop("patients, none found", "Johan", "/staff/patients", "/staff/patients", search_nobody),
    Stop("coming home", "Johan", "/staff/coming-home", "/staff/coming-home"),
    Stop("coming home, ward", "Sofia", "/staff/coming-home", "/staff/coming-home"),
    Stop("calls", "Johan", "/staff/calls", "/staff/calls"),
    Stop("calls, ward", "Sofia", "/staff/calls", "/staff/calls"),
    Stop("asked on the phone", "Sofia", "/staff/check-ins/{check_in_id}", "/staff/calls", follow("Still spørsmålene")),
    Stop("asked, nothing said", "Sofia", "/staff/check-ins/{check_in_id}", "/staff/calls", said_nothing, 422),
    Stop("what the call led to", "Sofia", "/staff/check-ins/{check_in_id}/ending", "/staff/check-ins/{answered}/ending"),
    Stop("meetings, desk", "Johan", "/staff/meetings", "/staff/meetings"),
    Stop("meetings, none at the desk", "Geir", "/staff/meetings", "/staff/meetings"),
    Stop("case", "Johan", "/staff/patients/{patient_id}", "{case_open}", open_folds),
    Stop("case, mine", "Johan", "/staff/patients/{patient_id}", "{case_mine}", open_folds),
    Stop("case, nothing open", "Johan", "/staff/patients/{patient_id}", "{kari}", open_folds),
    Stop("case, empty note", "Johan", "/staff/patients/{patient_id}", "{case_mine}", note_empty, 422, posted=NOTE),
    Stop("case, ward", "Sofia", "/staff/patients/{patient_id}", "{kari}"),
    Stop("case, letters", "Sofia", "/staff/patients/{patient_id}", "/staff?show=undelivered", follow("Rett nummer")),
    Stop("letters", "Johan", "/staff/patients/{patient_id}/messages", "{kari}/messages"),
    Stop("letters, behind a number", "Sofia", "/staff/patients/{patient_id}/messages", "/staff/messages", of_a_number),
    Stop("letters, sent again", "Sofia", "/staff/patients/{patient_id}/messages", "/staff/messages", sent_again),
    Stop("days", "Johan", "/staff/messages", "/staff/messages"),
    Stop("days, ward", "Sofia", "/staff/messages", "/staff/messages"),
    Stop("people behind a number", "Sofia", "/staff/messages/{unit_id}/{day}/{group}", "/staff/messages", behind_a_number),
    Stop("staff passport", "Johan", "/staff/patients/{patient_id}/passport", "{kari}/passport", open_folds),
    Stop("staff passport, ward", "Sofia", "/staff/patients/{patient_id}/passport", "{kari}/passport", open_folds),
    Stop("offer", "Johan", "/staff/patients/{patient_id}/meeting", "{kari}/meeting"),
    Stop("offer, at a taken time", "Johan", "/staff/patients/{patient_id}/meeting", "{kari}/meeting", offer_clash, 422),
    Stop("change meeting", "Johan", "/staff/meetings/{meeting_id}", "/staff/meetings/{meeting_early}"),
    Stop("who is to come", "Johan", "/staff/meetings/{meeting_id}/participants", "/staff/meetings/{meeting_early}/participants"),
    Stop("what came of a meeting", "Johan", "/staff/meetings/{meeting_id}/outcome", "/staff/meetings/{meeting_open}/outcome"),
    Stop("guidance", "Johan", "/staff/guidance", "/staff/guidance"),
    Stop("how staff are told", "Johan", "/staff/told", "/staff/told"),
    Stop("calendar", "Kari", "/calendar", "/calendar"),
    Stop("another time", "Kari", "/meeting/{meeting_id}/other-time", "/meeting/{meeting_early}/other-time"),
    Stop("a time answered", "Kari", "/meeting/{meeting_id}/answered", "/meeting/{meeting_early}", press("Passer")),
    Stop("meeting, host", "Johan", "/meeting/{meeting_id}", "/meeting/{meeting_open}", needs_scripts=True),
    Stop("discharge", "Sofia", "/staff/discharge", "/staff/discharge"),
    Stop("discharge, empty", "Sofia", "/staff/discharge", "/staff/discharge", press("Lagre og skriv ut hjemreisearket"), 422),
    Stop("discharge, filled", "Sofia", "/staff/discharge", "/staff/discharge", press("Fyll inn Kari")),
    Stop("sheet", "Sofia", "/staff/stays/{stay_id}/sheet", "{sheet}"),
)
# fmt: on
# One page in each frame.
IN_THE_DARK = (
    "story",
    "code, number",
    "question",
    "today, asked",
    "ending, urgent",
    "relative",
    "meeting, early",
    "worklist",
    "case",
)

# --- what stands where ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def house(both_chromiums: Chromiums, ward: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    own = tmp_path_factory.mktemp("every-page") / "companion.sqlite3"
    shutil.copyfile(ward, own)
    with running(f"sqlite:///{own}") as room:
        made = House(room, both_chromiums.of(PHONE))
        live_through(made)
        yield made


def live_through(house: House) -> None:
    """Kari comes home, three days pass, and Johan offers her one meeting for now, one for later and one he calls off."""
    sofia = house.window("Sofia").new_page()
    sofia.goto("/staff/discharge")
    go(sofia.get_by_role("button", name="Fyll inn Kari"))
    go(sofia.get_by_role("button", name="Lagre og skriv ut hjemreisearket"))
    expect(sofia).to_have_url(re.compile("/sheet"))
    house.places["sheet"] = urlsplit(sofia.url).path
    house.room.forward("PT72H")
    johan = house.window("Johan").new_page()
    for name, who in (
        ("kari", "Kari Nilsen"),
        ("case_open", "Rolf Andreassen"),
        ("case_mine", "Reidar Fagerli"),
    ):
        johan.goto("/staff/patients")
        # The list may have several pages: the search finds everybody.
        johan.get_by_role("searchbox").fill(who)
        go(johan.get_by_role("button", name="Søk"))
        house.places[name] = str(johan.get_by_role("link", name=who).first.get_attribute("href"))
    now = datetime.fromisoformat(house.room.json("/demo/clock")["now"])
    for name, ahead in (
        ("open", timedelta(minutes=10)),
        ("early", timedelta(hours=3)),
        ("off", timedelta(hours=5)),
    ):
        house.places["meeting_" + name] = offer(house, johan, now + ahead)
    early = to_local(now + timedelta(hours=3))
    house.places |= {"early_day": early.date().isoformat(), "early_time": early.strftime("%H:%M")}
    johan.goto("/staff/meetings/" + house.places["meeting_off"])
    go(johan.get_by_role("button", name="Avlys møtet"))
    johan.goto(house.places["case_mine"])
    go(johan.get_by_role("button", name="Ta saken").first)
    house.room.forward("PT1M")
    house.window("Ola")
    house.places["answered"] = house.places["Ola"].split("/")[-2]
    kari = house.window("Kari").new_page()
    kari.goto("/patient")
    house.places["asked"] = str(kari.get_by_role("link", name="Svar nå").get_attribute("href"))
    kari.goto("/patient/passport/write/matters")
    kari.get_by_role("textbox").fill("Å gå på ski til våren.")
    go(kari.get_by_role("button", name="Lagre"))
    own = kari.locator("a[href^='/patient/passport/lines/']")
    house.places["line"] = str(own.first.get_attribute("href"))


def offer(house: House, host: Page, starts_at: datetime) -> str:
    """A meeting with Kari and Anne; its id."""
    local = to_local(starts_at)
    host.goto(house.places["kari"])
    before = meetings_on(host)
    go(host.get_by_role("link", name="Tilby videomøte").first)
    host.get_by_label(re.compile("Anne Nilsen")).check()
    host.get_by_label("Dag", exact=True).fill(local.date().isoformat())
    host.get_by_label("Klokkeslett", exact=True).fill(local.strftime("%H:%M"))
    go(host.get_by_role("button", name="Send tilbudet"))
    expect(host.get_by_role("heading", level=1)).to_have_text("Kari Nilsen")
    (new,) = meetings_on(host) - before
    return new


def meetings_on(page: Page) -> set[str]:
    links = page.get_by_role("link", name="Gå til møtet").all()
    return {str(link.get_attribute("href")).split("/")[-1] for link in links}


# --- what is asked of every page --------------------------------------------------------------------------------------

TOO_WIDE = """() => {
    const room = document.documentElement.clientWidth;
    if (document.scrollingElement.scrollWidth <= room) return [];
    return [...document.body.querySelectorAll('*')].filter(one => one.getBoundingClientRect().right > room + 1)
        .map(one => `${one.tagName}.${one.getAttribute('class')} ${one.textContent.trim().slice(0, 40)}`);
}"""

TEXT_SIZE = """size => {
    const before = document.documentElement.dataset.size;
    document.documentElement.dataset.size = size;
    return before;
}"""

KIND = "form => form.querySelector('textarea') ? 'text' : form.querySelector('.scale') ? 'scale' : 'choice'"


@contextmanager
def complaints_of(page: Page) -> Iterator[list[str]]:
    """What the console says meanwhile; that an error page is an error, the browser may say."""
    heard: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        own = message.text.startswith("Failed to load resource") and message.location["url"] == page.url
        if message.type in ("error", "warning") and not own:
            heard.append(message.text)

    def fail(error: Error) -> None:
        heard.append(error.message)

    page.on("console", listen)
    page.on("pageerror", fail)
    yield heard
    page.remove_listener("console", listen)
    page.remove_listener("pageerror", fail)


def faults(page: Page) -> list[str]:
    """Everything wrong with the page as it stands, on a phone, on a desk, narrow, and enlarged."""
    found: list[str] = []
    inject_axe(page)
    for size in (PHONE, DESK):
        page.set_viewport_size(size)
        found += [f"{size['width']}: {one}" for one in violations(page)]
        found += too_wide(page)
    page.set_viewport_size(NARROW)
    found += too_wide(page)
    # A question that comes in place keeps what stands around it.
    usual = page.evaluate(TEXT_SIZE, "lg")
    page.set_viewport_size(ENLARGED)
    found += too_wide(page)
    page.evaluate(TEXT_SIZE, usual)
    return found


def inject_axe(page: Page) -> None:
    """Axe is in the page afterwards, if it was not."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)


def violations(page: Page) -> list[str]:
    """Axe's findings, a line each; axe is in the page already."""
    # The demo has forty handsets of a kind; three say what there is to say.
    result = page.evaluate(
        "axe.run({exclude: ['.grid2 > :nth-child(n + 4)']}, {resultTypes: ['violations']})"
    )
    return [f"{one['id']}: {node['html'][:200]}" for one in result["violations"] for node in one["nodes"]]


def too_wide(page: Page) -> list[str]:
    """What makes the page scroll sideways."""
    size = page.viewport_size
    assert size
    return [f"{size['width']}: too wide: {one}" for one in page.evaluate(TOO_WIDE)]


@pytest.mark.parametrize("stop", STOPS, ids=str)
def test_page(house: House, stop: Stop) -> None:
    with house.page(stop.who) as page, complaints_of(page) as complaints:
        house.open(stop, page)
        assert faults(page) == []
        assert complaints == []
    if not stop.needs_scripts:
        with house.page(stop.who, scripts=False) as plain:
            house.open(stop, plain)
            expect(plain.get_by_role("heading", level=1)).to_be_visible()
            assert plain.get_by_role("main").locator("a:visible, button:visible, p:visible").count() > 0


@pytest.mark.parametrize("name", IN_THE_DARK)
def test_dark(house: House, name: str) -> None:
    (stop,) = (one for one in STOPS if one.name == name)
    with house.page(stop.who, dark=True) as page:
        house.open(stop, page)
        inject_axe(page)
        assert violations(page) == []


def test_every_question(house: House) -> None:
    # After the pages: from here on Kari has answered.
    kinds = set()
    with house.page("Kari") as page, complaints_of(page) as complaints:
        page.goto(house.places["asked"])
        while heading(page) != "Se over svarene":
            kinds.add(page.get_by_role("main").locator("form.form").evaluate(KIND))
            assert faults(page) == []
            page.set_viewport_size(PHONE)
            answer_first(page)
        assert complaints == []
    assert kinds == {"choice", "scale", "text"}


def test_every_page_of_the_application_is_here() -> None:
    routes = [route for router in (*ROUTERS, demo_routes.router) for route in router.routes]
    pages = {
        route.path
        for route in routes
        if isinstance(route, APIRoute)
        and "GET" in (route.methods or ())
        and not route.path.startswith(FOR_PROGRAMS)
    }
    assert pages == {stop.route for stop in STOPS if stop.route in pages} | set(NOT_PAGES)
