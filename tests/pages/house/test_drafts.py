"""What was typed is never gone: a session that ends, a page that is left, a colleague who was first, another link opened."""

from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.models import Answer, Draft, FlagEvent, Patient, SignIn, Unit
from companion.rules.access import Actor, Level
from companion.use_cases.sign_in import IDLE, LONGEST
from companion.use_cases.sign_in.sessions import STAYS_AT_MOST
from tests import cast
from tests.pages.at_home import AtHome, answer_all, at_home, let_anne_in
from tests.pages.at_the_desk import raise_flag, with_flag
from tests.pages.client import Opened, PageClient

WORDS = "Jeg er redd for å falle i trappa når ingen er hjemme."
TALK = "/patient/passport/write/talk"
Browsers = Callable[[], PageClient]


@pytest.fixture
def home(engine: Engine, now: datetime) -> AtHome:
    return at_home(engine, now)


@pytest.fixture
def kari(browser: PageClient, home: AtHome) -> PageClient:
    return browser.as_patient(home.kari)


def drafts(engine: Engine) -> dict[str, dict[str, str]]:
    with Session(engine) as db:
        return {one.place: dict(one.fields) for one in db.scalars(select(Draft))}


def text_question(kari: PageClient, home: AtHome) -> Opened:
    """The last question of the check-in, in the person's own words."""
    kari.post(home.asks("worse"), {"answer": "a_little"})
    return kari.open(home.asks("worse.text"))


def box(page: Opened, name: str = "text", action: str = "") -> str:
    return (
        next(form for form in page.forms if name in form.fields and form.action.startswith(action))
        .fields[name]
        .strip()
    )


# --- the session ends while somebody writes ---------------------------------------------------------------------------


def test_a_patient_who_sends_after_31_minutes_has_their_words_when_they_are_back(
    kari: PageClient, home: AtHome, clock: FixedClock, engine: Engine
) -> None:
    page = text_question(kari, home)
    clock.forward(timedelta(minutes=31))
    door = kari.submit(page, page.path, {"answer": WORDS})
    assert door.path == "/sign-in"
    assert "Det du skrev, er tatt vare på" in door.text
    way = parse_qs(urlsplit(door.came_by[-1]).query)["next"][0]
    assert WORDS not in door.came_by[-1]
    back = kari.as_patient(home.kari, Level.code).open(way)
    assert back.path == page.path
    assert box(back, "answer") == WORDS
    assert "Det er ikke sendt ennå" in back.text
    kari.submit(back, back.path, {"answer": WORDS})
    assert drafts(engine) == {}
    with Session(engine) as db:
        assert WORDS in {one.value for one in db.scalars(select(Answer))}


def test_a_nurses_discharge_form_is_whole_after_the_session_ended(
    browser: PageClient, home: AtHome, clock: FixedClock
) -> None:
    nurse = browser.as_professional(home.ward.sofia)
    page = nurse.open("/staff/discharge")
    typed = {
        "name": "Per Olsen", "national_id": "123", "phone": "400 00 019", "measures.1.title": "Trening",
        "relative.name": "Siri Olsen", "matters": "Båten på fjorden.", "important": "Faller lett.",
    }  # fmt: skip
    clock.forward(timedelta(hours=13))
    door = nurse.submit(page, "/staff/discharge", typed | {"do": "save"})
    assert "Det du skrev, er tatt vare på" in door.text
    way = parse_qs(urlsplit(door.came_by[-1]).query)["next"][0]
    back = nurse.as_professional(home.ward.sofia).open(way).form("/staff/discharge").fields
    assert {name: back[name].strip() for name in typed} == typed


def test_whoever_comes_back_to_a_page_after_the_session_hears_why_they_sign_in(
    kari: PageClient, clock: FixedClock
) -> None:
    clock.forward(IDLE)
    assert "Du ble logget ut fordi det var gått en stund" in kari.open("/patient").text
    assert "Du ble logget ut" not in kari.as_nobody().open("/patient").text


def test_the_words_of_a_session_that_ended_are_never_shown_to_another(
    kari: PageClient, home: AtHome, clock: FixedClock, engine: Engine
) -> None:
    page = kari.open(TALK)
    token = page.form("/patient").fields["csrf_token"] if page.forms else ""
    clock.forward(IDLE)
    kari.submit(page, TALK, {"text": WORDS})
    ola = kari.as_patient(home.ola)
    assert WORDS not in ola.open(TALK).html
    assert "ikke sendt" not in ola.open("/patient").text
    # Kari's page is still open on the same telephone, and is sent once more.
    told = ola.post(TALK, {"csrf_token": token, "draft": TALK, "text": "Mer av mitt"}, status=403)
    assert "Siden ble åpnet av en annen" in told.text
    assert {one for one in drafts(engine)} == {TALK}
    with Session(engine) as db:
        assert set(db.scalars(select(Draft.owner_id))) == {home.kari.id}
        assert set(db.scalars(select(Draft.patient_id))) == {home.kari.id}
    assert box(kari.as_patient(home.kari).open(TALK)) == "Mer av mitt"


def test_a_token_nobody_was_given_keeps_nothing(kari: PageClient, clock: FixedClock, engine: Engine) -> None:
    clock.forward(IDLE)
    for token in ("", "x", "x" * 88, "æ" * 44):
        assert kari.post(TALK, {"csrf_token": token, "draft": TALK, "text": WORDS}).path == "/sign-in"
    assert drafts(engine) == {}


def test_the_way_back_is_only_ever_to_ourselves(kari: PageClient, clock: FixedClock, engine: Engine) -> None:
    kari.open(TALK)
    clock.forward(IDLE)
    for place in ("https://evil.example/x", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        door = kari.post(TALK, {"draft": place, "text": WORDS})
        assert "evil" not in door.html
        assert "next" not in door.came_by[-1]
    assert drafts(engine) == {}


# --- as it is typed ---------------------------------------------------------------------------------------------------


def test_what_is_typed_survives_a_dead_phone_and_is_gone_when_sent(
    kari: PageClient, another_browser: Browsers, home: AtHome, engine: Engine
) -> None:
    page = kari.open(TALK)
    answer = kari.raw("POST", "/drafts", data={**page.form(TALK).fields, "text": WORDS})
    assert answer.status_code == 204
    new_phone = another_browser().as_patient(home.kari)
    first = new_phone.open("/patient")
    assert "Du begynte å skrive noe" in first.text
    assert first.links["Fortsett der du var"] == TALK
    back = new_phone.open(TALK)
    assert box(back) == WORDS
    assert WORDS in new_phone.submit(back, TALK).text
    assert drafts(engine) == {}
    assert "Du begynte" not in new_phone.open("/patient").text


def test_what_is_kept_is_sealed_and_can_be_thrown_away(
    kari: PageClient, home: AtHome, engine: Engine
) -> None:
    page = kari.open(TALK)
    kari.raw("POST", "/drafts", data={**page.form(TALK).fields, "text": WORDS})
    with engine.connect() as raw:
        stored = raw.exec_driver_sql("SELECT fields FROM draft").scalar_one()
    assert WORDS.encode() not in bytes(stored)
    back = kari.open(TALK)
    assert "Kast det" in back.html
    gone = kari.post("/drafts/drop", {"draft": TALK})
    assert box(gone) == ""
    assert drafts(engine) == {}


def test_a_link_alone_keeps_and_shows_nothing(
    kari: PageClient, home: AtHome, engine: Engine, another_browser: Browsers
) -> None:
    kari.raw("POST", "/drafts", data={**kari.open(TALK).form(TALK).fields, "text": WORDS})
    stranger = another_browser().as_patient(home.kari, Level.link)
    assert stranger.post("/drafts", {"draft": TALK, "text": "Mitt"}).path == "/birth-date"
    assert WORDS not in stranger.open("/birth-date").html
    assert drafts(engine)[TALK]["text"] == WORDS


def test_whoever_takes_a_pause_keeps_what_is_in_the_box(
    kari: PageClient, home: AtHome, engine: Engine
) -> None:
    page = text_question(kari, home)
    assert kari.submit(page, page.path, {"answer": WORDS, "pause": "1"}).path == "/patient"
    assert box(kari.open(page.path), "answer") == WORDS
    with Session(engine) as db:
        assert WORDS not in {one.value for one in db.scalars(select(Answer))}


def test_a_page_sent_back_to_be_mended_is_found_again_by_its_address(
    kari: PageClient, engine: Engine
) -> None:
    page = kari.submit(kari.open(TALK), TALK, {"text": "x" * 501}, status=422)
    assert f'data-address="{TALK}"' in page.html
    assert box(kari.open(TALK)) == "x" * 501


# --- another link, another window -------------------------------------------------------------------------------------


def open_link(browser: PageClient, home: AtHome, **about: object) -> Opened:
    with browser.sessions() as db:
        link = browser.link_for(db, db.get_one(Patient, home.kari.id), **about)
        db.commit()
    return browser.submit(browser.open("/l"), "/l", {"token": link.token})


def test_another_link_of_the_same_person_leads_on_and_lowers_nothing(
    kari: PageClient, home: AtHome, engine: Engine
) -> None:
    page = kari.open(TALK)
    assert open_link(kari, home, check_in=home.check_in).path.startswith(home.way)
    assert WORDS in kari.submit(page, TALK, {"text": WORDS}).text


def test_a_link_of_somebody_else_opens_that_persons_door(browser: PageClient, home: AtHome) -> None:
    ola = browser.as_patient(home.ola)
    assert open_link(ola, home, check_in=home.check_in).path == "/birth-date"


def test_a_page_of_a_session_that_ended_can_be_sent_when_its_person_is_back(
    kari: PageClient, home: AtHome, clock: FixedClock
) -> None:
    page = kari.open(TALK)
    clock.forward(IDLE)
    kari.open("/patient")
    open_link(kari, home)
    kari.post("/birth-date", {"day": "4", "month": "5", "year": "1958"})
    assert kari.open("/patient").path == "/patient"
    # Sure enough for a check-in; the passport asks for more, and keeps what was written meanwhile.
    kept = kari.submit(page, TALK, {"text": WORDS})
    assert kept.path == "/sign-in"
    assert box(kari.as_patient(home.kari).open(TALK)) == WORDS


# --- changed meanwhile ------------------------------------------------------------------------------------------------


def test_a_line_changed_after_going_back_is_not_dropped_in_silence(kari: PageClient) -> None:
    page = kari.submit(kari.open(TALK), TALK, {"text": "Snakk rolig."})
    change = next(href for word, href in page.links.items() if word.startswith("Endre"))
    old = kari.open(change)
    kari.submit(old, change, {"text": "Snakk rolig, og se på meg."})
    told = kari.submit(old, change, {"text": "Snakk tydelig."})
    assert "Linja ble endret etter at du åpnet den" in told.text
    assert "«Snakk rolig, og se på meg.»" in told.text
    assert box(told) == "Snakk tydelig."
    assert "Snakk tydelig." in kari.submit(told, told.path).text
    assert kari.open(change).path != change


def test_an_answer_that_came_after_all_was_sent_is_still_to_read(
    kari: PageClient, home: AtHome, engine: Engine
) -> None:
    page = text_question(kari, home)
    answer_all(kari, home, {"worse": "a_little"})
    kari.post(f"{home.way}/send")
    told = kari.submit(page, page.path, {"answer": WORDS})
    assert told.path == f"{home.way}/ending"
    assert "Dette skrev du, men det ble ikke sendt" in told.text
    assert WORDS in told.text


def test_what_was_typed_at_a_question_that_fell_away_is_found_at_the_end(
    kari: PageClient, home: AtHome
) -> None:
    page = text_question(kari, home)
    kari.raw("POST", "/drafts", data={**page.form(page.path).fields, "answer": WORDS})
    answer_all(kari, home, {"worse": "a_little"})
    kari.post(f"{home.way}/send")
    assert kari.open("/patient").links["Fortsett der du var"] == page.path
    told = kari.open(page.path)
    assert told.path == f"{home.way}/ending"
    assert WORDS in told.text


def test_when_the_database_is_away_the_words_are_on_the_page_to_copy(
    kari: PageClient, engine: Engine
) -> None:
    page = kari.open(TALK)
    with engine.begin() as raw:
        raw.exec_driver_sql("ALTER TABLE passport_line RENAME TO elsewhere")
        raw.exec_driver_sql("ALTER TABLE draft RENAME TO elsewhere_too")
    told = kari.raw("POST", TALK, data={**page.form(TALK).fields, "text": WORDS})
    assert told.status_code >= 500
    assert WORDS in told.text
    assert "Kopier det før du går videre" in told.text


def a_colleague(engine: Engine, home: AtHome, now: datetime) -> Actor:
    with Session(engine, expire_on_commit=False) as db:
        team = db.get_one(Unit, home.ward.tromso.id)
        eva = cast.professional(db, "Eva Lund", "logoped", team, role="therapist", now=now)
        db.commit()
    return eva


def test_a_closing_note_is_not_lost_to_a_colleague_who_took_the_case(
    browser: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    raised = raise_flag(engine, home.kari, home.ward.tromso, now)
    case, flag = f"/staff/patients/{home.kari.id}", f"/staff/flags/{raised.id}"
    page = browser.as_professional(home.ward.johan).open(case)
    with_flag(engine, raised, "claim", a_colleague(engine, home, now), now)
    told = browser.submit(page, f"{flag}/close", {"outcome": "helped", "text": WORDS}, status=409)
    assert "Du skrev dette for å avslutte saken" in told.text
    assert box(told, action=f"{flag}/note") == WORDS
    browser.submit(told, f"{flag}/note")
    assert drafts(engine) == {}
    with Session(engine) as db:
        assert WORDS in {one.text for one in db.scalars(select(FlagEvent))}


def test_what_was_written_about_a_case_that_is_closed_is_still_to_read(
    browser: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    raised = raise_flag(engine, home.kari, home.ward.tromso, now)
    case, flag = f"/staff/patients/{home.kari.id}", f"/staff/flags/{raised.id}"
    page = browser.as_professional(home.ward.johan).open(case)
    with_flag(engine, raised, "close", a_colleague(engine, home, now), now, "helped", "")
    told = browser.submit(page, f"{flag}/close", {"outcome": "helped", "text": WORDS}, status=409)
    assert WORDS in told.text
    assert WORDS in browser.open(case).text
    browser.post("/drafts/drop", {"draft": page.form(f"{flag}/close").fields["draft"]})
    assert WORDS not in browser.open(case).text


# --- how long it lasts ------------------------------------------------------------------------------------------------


def test_the_page_is_told_how_long_is_left_and_asking_makes_it_no_longer(
    kari: PageClient, clock: FixedClock
) -> None:
    clock.forward(timedelta(minutes=26))
    asked = kari.raw("GET", "/stay")
    assert 'data-left="240"' in asked.text
    clock.forward(timedelta(minutes=4))
    assert kari.raw("GET", "/stay").status_code == 303


def test_one_tap_and_the_session_goes_on_ten_times_over(
    kari: PageClient, clock: FixedClock, engine: Engine
) -> None:
    kari.open("/patient")
    taps = 0
    while kari.raw("POST", "/stay", data={"csrf_token": kari.token}).status_code == 204:
        clock.forward(timedelta(minutes=29))
        taps += 1
    assert taps * timedelta(minutes=29) > 10 * LONGEST["patient"] - IDLE
    with Session(engine) as db:
        session = db.scalars(select(SignIn)).one()
        assert session.expires_at - session.created_at == STAYS_AT_MOST


def test_a_relative_and_a_page_left_open_are_kept_for_no_one_else(
    browser: PageClient, home: AtHome, engine: Engine, now: datetime
) -> None:
    anne, _grant = let_anne_in(engine, home, now)
    page = browser.as_relative(anne).open("/relative")
    browser.raw("POST", "/drafts", data={"csrf_token": browser.token, "draft": "/relative/x", "text": WORDS})
    assert page.path == "/relative"
    with Session(engine) as db:
        kept = db.scalars(select(Draft)).one()
        assert (kept.owner_id, kept.patient_id) == (anne.id, None)
    assert cast.ANNE_PHONE not in drafts(engine)["/relative/x"]
