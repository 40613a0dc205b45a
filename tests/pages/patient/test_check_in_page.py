"""A check-in in the browser: one question at a time, saved as given, looked over, sent, and what happens then."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.models import Answer, CheckIn, Flag
from companion.rules.access import Level
from companion.use_cases import check_in
from companion.use_cases.cases import flag, promise
from tests.pages.at_home import AtHome, answer, answer_all, at_home, queries, sign_in
from tests.pages.client import PageClient


@pytest.fixture
def home(engine: Engine, now: datetime) -> AtHome:
    return at_home(engine, now)


@pytest.fixture
def kari(browser: PageClient, home: AtHome) -> PageClient:
    """Kari by link and birth date: enough to answer."""
    return sign_in(browser, home, Level.code)


def test_the_check_in_opens_at_its_first_question(kari: PageClient, home: AtHome) -> None:
    page = kari.open(home.way)
    assert page.path == home.asks("how")
    assert page.h1 == "Hvordan har du det nå?"
    assert "Spørsmål 1 av" in page.text
    assert "Veldig bra" in page.text
    assert "116 117" in page.text
    assert "Hopp over" not in page.text  # this one has to be answered
    assert page.links["Tilbake"] == "/patient"


def test_an_answer_is_saved_at_once_and_leads_on(kari: PageClient, home: AtHome, engine: Engine) -> None:
    page = answer(kari, home, kari.open(home.way), "ok")
    assert page.h1 == "Har du kommet i gang med «Fysioterapi to ganger i uken»?"
    assert "Tromsø kommune skulle kontakte deg om dette." in page.text
    assert "Svarene er lagret." in page.text
    assert page.links["Tilbake"] == home.asks("how")
    with Session(engine) as db:
        assert [(one.link_id, one.value) for one in db.scalars(select(Answer))] == [("how", "ok")]


def test_a_choice_without_an_answer_says_what_to_do(kari: PageClient, home: AtHome) -> None:
    page = kari.submit(kari.open(home.way), home.asks("how"), {"answer": ""}, status=422)
    assert page.text.count("Velg et svar før du går videre.") == 2  # in the summary and at the question


@pytest.mark.parametrize("typed", ["<script>alert(1)</script>", "veldig_bra", "😀", "x" * 3000])
def test_a_wrong_choice_is_refused_kindly(kari: PageClient, home: AtHome, typed: str) -> None:
    page = kari.post(home.asks("how"), {"answer": typed}, status=422)
    assert "Velg et svar før du går videre." in page.text
    assert not any(box.get("checked") is not None for box in page.all("input"))


def test_two_answers_to_one_question_are_refused(kari: PageClient, home: AtHome) -> None:
    assert kari.post(home.asks("how"), {"answer": ["ok", "bad"]}, status=422).status == 422


def test_a_number_outside_the_scale_is_refused(kari: PageClient, home: AtHome) -> None:
    assert "0 er ikke sliten" in kari.post(home.asks("fatigue"), {"answer": "11"}, status=422).text


def test_the_scale_has_every_number_and_keeps_the_one_chosen(kari: PageClient, home: AtHome) -> None:
    kari.post(home.asks("fatigue"), {"answer": "7"})
    page = kari.open(home.asks("fatigue"))
    boxes = {box.get("value"): box.get("checked") for box in page.all("input") if box.get("name") == "answer"}
    assert list(boxes) == [str(n) for n in range(11)]
    assert [value for value, checked in boxes.items() if checked is not None] == ["7"]


def test_a_long_text_is_refused_and_kept(kari: PageClient, home: AtHome) -> None:
    kari.post(home.asks("worse"), {"answer": "a_little"})
    long = "\nArmen er <b>tung</b> & vond. 😀" + "x" * 600
    page = kari.submit(
        kari.open(home.asks("worse.text")), home.asks("worse.text"), {"answer": long}, status=422
    )
    assert "Det er plass til 500 tegn." in page.text
    # A browser posts line breaks as CRLF and the parser drops the first line break of the page's own.
    assert page.form(home.asks("worse.text")).fields["answer"].replace("\r\n", "\n") == long


def test_html_and_emoji_are_words_like_others(kari: PageClient, home: AtHome) -> None:
    answer_all(kari, home, {"worse": "a_little"})
    page = kari.post(home.asks("worse.text"), {"answer": "<img src=x onerror=alert(1)> 😀", "to": "review"})
    assert "<img src=x onerror=alert(1)> 😀" in page.text


def test_urgency_is_shown_at_once_and_goes_when_taken_back(kari: PageClient, home: AtHome) -> None:
    page = kari.post(home.asks("worse"), {"answer": "clearly"})
    assert "Er du akutt dårlig? Ring" in page.text
    assert "113 Fare for liv" in page.text
    page = kari.post(home.asks("worse"), {"answer": "no"})
    assert "Er du akutt dårlig? Ring" not in page.text


def test_from_the_first_question_to_the_last(kari: PageClient, home: AtHome) -> None:
    page, asked = kari.open(home.way), 0
    while not page.path.endswith("/review"):
        boxes = [box.get("value", "") for box in page.all("input") if box.get("name") == "answer"]
        page, asked = answer(kari, home, page, boxes[0] if boxes else "Det går greit."), asked + 1
    assert page.text.count("Endre ") == asked > 10
    assert "Veldig bra" in page.text


def test_skipping_is_an_answer_that_can_be_changed(kari: PageClient, home: AtHome) -> None:
    page = kari.open(home.asks("fatigue"))
    kari.post(page.path, {"answer": "3", "skip": "1"})
    assert "Hoppet over" in answer_all(kari, home).text
    page = kari.open(home.asks("fatigue") + "?to=review")
    assert "Lagre" in page.text
    page = kari.submit(page, home.asks("fatigue"), {"answer": "3"})
    assert page.path == f"{home.way}/review"


def test_going_back_and_changing_asks_what_then_follows(kari: PageClient, home: AtHome) -> None:
    review = answer_all(kari, home)
    assert "Hvorfor er du ikke i gang?" not in review.text
    started = home.asks(f"measure.{home.measures[0]}.started")
    page = kari.submit(kari.open(started + "?to=review"), started, {"answer": "not_yet"})
    assert page.h1.startswith("Hvorfor er du ikke i gang?")


def test_the_review_leads_to_what_is_not_answered(kari: PageClient, home: AtHome) -> None:
    assert kari.open(f"{home.way}/review").path == home.asks("how")
    assert kari.post(f"{home.way}/send").path == home.asks("how")


def test_it_can_be_gone_on_with_on_another_device(
    kari: PageClient, another_browser: Callable[[], PageClient], home: AtHome
) -> None:
    answer(kari, home, kari.open(home.way), "ok")
    tablet = sign_in(another_browser(), home, Level.code)
    assert tablet.open(home.way).path == home.asks(f"measure.{home.measures[0]}.started")
    assert "Fortsett" in tablet.open("/patient").links


def test_all_well_promises_nothing_more_than_the_next_questions(kari: PageClient, home: AtHome) -> None:
    page = kari.submit(answer_all(kari, home), f"{home.way}/send")
    assert page.h1 == "Takk, Kari. Svarene er sendt."
    assert "Du trenger ikke å gjøre noe" in page.text
    assert "Neste spørsmål får du" in page.text
    assert "ser svaret ditt" not in page.text
    assert "hx-get" not in page.html  # nobody is expected to do anything: nothing to wait for


def test_the_ending_says_who_sees_it_by_when_and_why(kari: PageClient, home: AtHome) -> None:
    started, why = (f"measure.{home.measures[0]}.{what}" for what in ("started", "why"))
    page = kari.submit(
        answer_all(kari, home, {started: "not_yet", why: "nobody_contacted"}), f"{home.way}/send"
    )
    assert "Rehabiliteringsteamet, Tromsø ser svaret ditt" in page.text
    assert "senest" in page.text
    assert "Du svarte at ingen har kontaktet deg om «Fysioterapi to ganger i uken»." in page.text
    assert page.links["Ring Rehabiliteringsteamet, Tromsø"] == "tel:+4777000000"


def test_the_ending_tells_when_it_is_seen_and_closed(
    kari: PageClient, home: AtHome, engine: Engine, clock: FixedClock
) -> None:
    page = kari.submit(answer_all(kari, home, {"contact": "true"}), f"{home.way}/send")
    watch = next(e.get("hx-get", "") for e in page.all("div") if e.get("id") == "now")
    assert kari.raw("GET", watch).status_code == 204  # nothing new, nothing shown
    with Session(engine, expire_on_commit=False) as db:
        raised = db.scalars(select(Flag)).one()
        flag.claim(db, home.ward.johan, raised.id, now=clock.now())
        db.commit()
    answered = kari.raw("GET", watch)
    assert "Johan Bakk, fysioterapeut, har sett svaret ditt" in answered.text
    assert "har sett svarene dine" in kari.open("/patient").text
    with Session(engine) as db:
        flag.close(db, home.ward.johan, raised.id, "advice", now=clock.now())
        db.commit()
    page = kari.open(f"{home.way}/ending")
    assert "Johan har fulgt opp" in page.text
    assert "Du har fått råd." in page.text
    assert "hx-get" not in page.html


def test_a_promise_that_passed_is_not_shown_as_kept(
    kari: PageClient, home: AtHome, engine: Engine, clock: FixedClock
) -> None:
    page = kari.submit(answer_all(kari, home, {"contact": "true"}), f"{home.way}/send")
    watch = next(e.get("hx-get", "") for e in page.all("div") if e.get("id") == "now")
    clock.forward(timedelta(hours=6))
    kari.as_patient(home.kari)
    assert "Vi har ikke rukket det" in kari.raw("GET", watch).text
    page = kari.open(f"{home.way}/ending")
    assert "Vi har ikke rukket det" in page.text
    assert "Ring oss på 77 00 00 00." in page.text
    assert "Rehabiliteringsteamet, Tromsø har saken." in page.text
    assert "senest" not in page.text
    today = kari.open("/patient").text
    assert "Vi har ikke rukket det vi lovte" in today
    assert "Ring oss på 77 00 00 00." in today


def test_what_was_seen_after_all_says_by_whom_and_that_it_was_late(
    kari: PageClient, home: AtHome, engine: Engine, clock: FixedClock
) -> None:
    kari.submit(answer_all(kari, home, {"contact": "true"}), f"{home.way}/send")
    clock.forward(timedelta(hours=6))
    with Session(engine) as db:
        raised = db.scalars(select(Flag)).one()
        flag.claim(db, home.ward.johan, raised.id, now=clock.now())
        db.commit()
    kari.as_patient(home.kari)
    page = kari.open(f"{home.way}/ending")
    assert "Johan Bakk, fysioterapeut, har sett svaret ditt" in page.text
    assert "Det ble senere enn vi lovte. Det beklager vi." in page.text
    assert "Vi har ikke rukket det" not in page.text + kari.open("/patient").text


def test_seen_in_time_and_then_left_lying_is_no_kept_promise_either(
    kari: PageClient, home: AtHome, engine: Engine, clock: FixedClock
) -> None:
    kari.submit(answer_all(kari, home, {"contact": "true"}), f"{home.way}/send")
    with Session(engine) as db:
        raised = db.scalars(select(Flag)).one()
        flag.claim(db, home.ward.johan, raised.id, now=clock.now())
        db.commit()
    clock.forward(timedelta(hours=24))
    for _step in ("person", "unit"):
        with Session(engine) as db:
            promise.climb_due(db, clock.now())
            db.commit()
        clock.forward(timedelta(hours=24))
    kari.as_patient(home.kari)
    page = kari.open(f"{home.way}/ending")
    assert "Johan Bakk, fysioterapeut, har sett svaret ditt" in page.text
    assert "Det ble senere" not in page.text
    assert "Vi har ikke rukket det" in page.text


def test_a_page_left_open_stops_asking(kari: PageClient, home: AtHome, clock: FixedClock) -> None:
    page = kari.submit(answer_all(kari, home, {"contact": "true"}), f"{home.way}/send")
    watch = next(e.get("hx-get", "") for e in page.all("div") if e.get("id") == "now")
    clock.forward(timedelta(minutes=20))
    assert kari.raw("GET", watch).status_code == 204
    clock.forward(timedelta(minutes=15))
    late = kari.raw("GET", watch)
    assert late.status_code == 200
    assert "hx-get" not in late.text


def test_sent_twice_is_sent_once(kari: PageClient, home: AtHome, engine: Engine) -> None:
    answer_all(kari, home, {"contact": "true"})
    for _ in range(2):
        assert kari.post(f"{home.way}/send").path == f"{home.way}/ending"
    with Session(engine) as db:
        assert len(db.scalars(select(Flag)).all()) == 1


def test_an_answered_check_in_leads_to_its_ending(kari: PageClient, home: AtHome) -> None:
    answer_all(kari, home)
    kari.post(f"{home.way}/send")
    for path in (home.way, home.asks("how"), f"{home.way}/review"):
        assert kari.open(path).path == f"{home.way}/ending"
    assert kari.post(home.asks("how"), {"answer": "bad"}).path == f"{home.way}/ending"


def test_an_expired_check_in_is_told_kindly(kari: PageClient, home: AtHome, engine: Engine) -> None:
    with Session(engine) as db:
        db.get_one(CheckIn, home.check_in.id).state = "expired"
        db.commit()
    for path in (home.way, home.asks("how"), f"{home.way}/review", f"{home.way}/ending"):
        page = kari.open(path)
        assert page.h1 == "Disse spørsmålene er ikke åpne lenger"
        assert "tel:+4777000010" in page.links.values()


def test_the_ending_before_the_end_leads_to_the_question(kari: PageClient, home: AtHome) -> None:
    assert kari.open(f"{home.way}/ending").path == home.asks("how")


def test_somebody_elses_check_in_is_not_there(kari: PageClient, home: AtHome) -> None:
    theirs = f"/patient/check-in/{home.olas.id}"
    for path in (theirs, f"{theirs}/how", f"{theirs}/review", f"{theirs}/ending", f"{theirs}/ending/now"):
        assert kari.open(path, 404).h1 == "Vi finner ikke denne siden"
    for path in (f"{theirs}/how", f"{theirs}/send", f"{theirs}/postpone"):
        assert kari.post(path, {"answer": "ok"}, status=404).status == 404


@pytest.mark.parametrize("path", ["/nothing", "/fall.injury", "/worse.text", "/%F0%9F%98%80"])
def test_a_question_that_is_not_asked_is_not_there(kari: PageClient, home: AtHome, path: str) -> None:
    kari.open(home.way + path, 404)
    kari.post(home.way + path, {"answer": "x"}, status=404)


def test_not_today(kari: PageClient, home: AtHome, now: datetime) -> None:
    page = kari.submit(kari.open("/patient"), f"{home.way}/postpone")
    assert page.path == "/patient"
    assert "Ingenting å gjøre i dag" in page.text
    assert "Vi spør hvordan det går" in page.text
    assert kari.post(f"{home.way}/postpone").path == "/patient"  # tapped twice


def test_not_today_for_the_third_time_is_not_offered(
    kari: PageClient, home: AtHome, engine: Engine, clock: FixedClock
) -> None:
    for _ in range(2):
        kari.as_patient(home.kari, Level.code).post(f"{home.way}/postpone")
        clock.forward(timedelta(days=3))
        with Session(engine) as db:
            check_in.ask_due(db, clock.now())
            db.commit()
    page = kari.as_patient(home.kari, Level.code).open("/patient")
    assert "Svar nå" in page.links
    assert "Ikke i dag" not in page.text
    assert kari.post(f"{home.way}/postpone").path == "/patient"


def test_a_link_alone_does_not_open_it(browser: PageClient, home: AtHome) -> None:
    browser.as_patient(home.kari, Level.link)
    assert browser.open(home.way).path == "/birth-date"


def test_the_question_comes_in_the_readers_language(kari: PageClient, home: AtHome, engine: Engine) -> None:
    with Session(engine) as db:
        db.get_one(type(home.kari), home.kari.id).language = "en"
        db.commit()
    assert kari.open(home.way).h1 == "How are you now?"


def test_a_question_missing_in_the_readers_language_says_so(
    kari: PageClient, home: AtHome, engine: Engine
) -> None:
    with Session(engine) as db:
        db.get_one(type(home.kari), home.kari.id).language = "se"
        db.commit()
    page = kari.open(f"{home.way}/stroke.vision")
    assert page.tree is not None
    assert page.tree.get("lang") == "se"
    assert [e.get("lang") for e in page.all("div") if e.get("lang")] == ["nb"]


def test_a_question_needs_few_queries(kari: PageClient, home: AtHome, engine: Engine) -> None:
    answer_all(kari, home)
    assert queries(kari, engine, home.asks("worse")) <= 6
    kari.post(f"{home.way}/send")


def test_time_is_the_readers(kari: PageClient, home: AtHome, clock: FixedClock) -> None:
    answer_all(kari, home)
    clock.forward(timedelta(minutes=7))
    assert "i dag kl. 10.07" in kari.post(f"{home.way}/send").text
    clock.forward(timedelta(hours=24))
    kari.as_patient(home.kari, Level.code)
    assert "i går kl. 10.07" in kari.open(f"{home.way}/ending").text
