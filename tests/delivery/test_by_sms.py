"""A check-in by SMS as it leaves the house: from what the provider hands in to the words on the phone."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, Select, select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from companion import library
from companion.clock import FixedClock
from companion.models import Answer, CheckIn, Flag, Message, Patient
from companion.rules.quiet_hours import next_allowed
from companion.settings import Settings
from companion.use_cases import check_in
from companion.use_cases.messages import message
from companion.use_cases.replies import heard as reply
from companion.use_cases.sign_in import Words
from notifications.channels.sms.settings import TwilioSettings
from notifications.channels.sms.words import segments, word
from notifications.models import SandboxMessage
from notifications.wording import WITH_LINK
from tests.delivery.conftest import MakeDispatcher
from tests.delivery.test_hooks import INBOUND, PUBLIC, post
from tests.delivery.test_wording import HEALTH, LANGUAGES
from tests.use_cases.small_ward import TEN, SmallWard, at
from web.app import create_app
from web.house.settings import WebSettings

TITLES = (
    "Fysioterapi to ganger i uken",
    "Kontroll på slagpoliklinikken",
    "Kreft: svar på prøver {{ title }}",
)


class Line:
    """Odd's telephone line: the provider hands in what he writes, the dispatcher ticks, and something comes back."""

    def __init__(
        self, ward: SmallWard, odd: Patient, client: TestClient, clock: FixedClock, dispatcher: MakeDispatcher
    ) -> None:
        self.ward, self.odd, self.client, self.clock = ward, odd, client, clock
        self.number = str(odd.phone)
        self.dispatcher, self.sids = dispatcher(), 0

    def tick(self, now: datetime) -> list[str]:
        """What came to the phone in this tick."""
        self.clock.at = now
        before = len(self.received())
        assert asyncio.run(self.dispatcher.tick(self.clock))["errors"] == 0
        return self.received()[before:]

    def write(self, text: str, now: datetime, *, times: int = 1) -> list[str]:
        """The patient's SMS, handed in so many times by the provider."""
        self.clock.at = now
        self.sids += 1
        told = {"MessageSid": f"SM{self.sids}", "From": self.number, "Body": text}
        for _ in range(times):
            assert post(self.client, INBOUND, told) == 200
        return self.tick(now)

    def received(self) -> list[str]:
        return self.read(select(SandboxMessage.body).order_by(SandboxMessage.id))

    def answers(self) -> list[object]:
        return self.read(select(Answer.value).order_by(Answer.at))

    def read(self, what: Select[Any]) -> list[Any]:
        """Leaves no transaction behind: the dispatcher would wait for it."""
        with self.ward.db as db:
            return list(db.scalars(what))


@pytest.fixture
def line(
    ward: SmallWard,
    settings: Settings,
    engine: Engine,
    clock: FixedClock,
    make_dispatcher: MakeDispatcher,
) -> Line:
    odd = ward.patient("Odd Hansen", measures=tuple((title, "municipality", 30) for title in TITLES[:2]))
    odd.sms_agreed_at = at(0)
    ward.db.commit()
    account = TwilioSettings(auth_token=SecretStr("now"))
    public = settings.model_copy(update={"public_url": PUBLIC})
    app = create_app(WebSettings(), settings=public, engine=engine, clock=clock, twilio=account)
    return Line(ward, odd, TestClient(app), clock, make_dispatcher)


def test_from_the_first_question_to_the_last_words(line: Line) -> None:
    (first,) = line.tick(at(7))
    assert first.startswith(
        "Hei Odd. Her er Følge fra UNN. Svar med ett tall.\nHvordan går det?\n1 svært bra\n"
    )
    said = [line.write(text, at(7, 11, n)) for n, text in enumerate(("2", "1", "2", "2", "Nei.", "2 takk"))]
    assert [len(texts) for texts in said] == [1] * 6
    heads = [texts[0].splitlines()[0] for texts in said]
    assert heads == [
        "2 av 5: Er punkt 1 på arket ditt i gang?",
        "3 av 5: Er punkt 2 på arket ditt i gang?",
        "4 av 6: Hvorfor ikke punkt 2?",
        "5 av 6: Går det dårligere enn sist?",
        "6 av 6: Vil du at noen skal kontakte deg?",
        "Takk for svarene. En av oss leser dem innen torsdag 19. november. Vi skriver igjen onsdag 9. desember.",
    ]
    assert line.read(select(CheckIn.state).where(CheckIn.day == 7)) == ["answered"]


def test_the_same_sms_handed_in_five_times_is_one_answer(line: Line) -> None:
    line.tick(at(7))
    assert len(line.write("2", at(7, 11), times=5)) == 1
    assert line.answers() == ["good"]


def test_the_first_waits_for_a_decent_hour_and_an_answer_by_night_is_answered_at_once(line: Line) -> None:
    assert line.tick(at(7, 10)) != []
    assert line.write("2", at(7, 23)) != []
    # Moved from late in the evening: asked again at the person's own hour, not before.
    assert line.write("0", at(7, 23, 5))[0].startswith("Greit. Vi spør igjen tirsdag 17. november.")
    assert line.tick(at(8, 7)) == []
    (again,) = line.tick(at(8, 10))
    assert again.splitlines()[1] == "Er punkt 1 på arket ditt i gang?"


def test_the_questions_of_a_conversation_do_not_count_among_the_week_s_messages(line: Line) -> None:
    line.tick(at(7))
    for n, text in enumerate(("2", "1", "1", "1", "2")):
        assert len(line.write(text, at(7, 11, n))) == 1
    with line.ward.db as db:
        letters = db.scalars(select(Message).order_by(Message.id)).all()
        assert [letter.lane for letter in letters] == ["batch"] + ["code"] * 5
        sent = message.sent_lately(db, letters, at(7, 12))
    assert [len(moments) for moments in sent.values()] == [1]


def test_a_question_that_cannot_be_carried_reaches_the_ward(line: Line) -> None:
    line.tick(at(7))
    with line.ward.db as db:
        odd = db.get_one(Patient, line.odd.id)
        odd.phone = odd.phone_index = line.number = "+4799900001"
        db.commit()
    assert line.write("2", at(7, 11)) == []
    assert line.read(select(Flag.code)) == ["undeliverable"]


def test_pressed_twice_with_a_tick_between_is_one_answer(line: Line) -> None:
    line.tick(at(7))
    (asked,) = line.write("2", at(7, 11))
    assert asked.startswith("2 av 5")
    assert line.write("2", at(7, 11) + timedelta(seconds=1)) == []
    assert (line.answers(), line.read(select(Flag.code))) == (["good"], [])
    assert line.write("2", at(7, 11, 1))[0].startswith("3 av 6")


def test_after_an_outage_the_conversation_goes_on_by_day(line: Line) -> None:
    line.tick(at(7))
    line.clock.at = at(7, 19)
    assert post(line.client, INBOUND, {"MessageSid": "SM99", "From": line.number, "Body": "2"}) == 200
    # The dispatcher has been away until now.
    assert line.tick(at(8, 2)) == []
    assert line.answers() == ["good"]
    (asked,) = line.tick(at(8, 10))
    assert asked.startswith("2 av 5")
    assert line.write("1", at(8, 10, 1))[0].startswith("3 av 5")


def test_nonsense_changes_nothing_and_never_fails(line: Line) -> None:
    line.tick(at(7))
    for n, text in enumerate(
        ("", "\x00", "٣٣٣٣", "1" * 1600, "<b>2</b>", "2;DROP TABLE", "🙂", "2.5", "1/0")
    ):
        line.write(text, at(7, 11, n))
    assert line.answers() == []
    assert line.write("2", at(7, 12))[0].startswith("2 av 5")


def speak(db: Session, ward: SmallWard, template: str) -> list[str]:
    """Everything an SMS says, in every language, in a conversation of this template that takes every turn it can."""
    measures = tuple((title, "municipality", 1) for title in TITLES)
    odd = ward.patient("Odd Hansen", template=template, measures=measures)
    odd.sms_agreed_at = at(0)
    db.flush()
    day = library.plan_template(template).check_ins[-1].day_offset
    check_in.ask_due(db, next_allowed("check_in", at(day), TEN))
    texts: list[str] = []
    read = 0
    for _ in range(60):
        new = select(Message).where(Message.id > read, Message.patient_id == odd.id).order_by(Message.id)
        (letter,) = db.scalars(new)
        read, letter.state = letter.id, "accepted"
        texts += [worded(letter, language) for language in LANGUAGES]
        if "ask" not in letter.params:
            break
        wrong = letter.params["ask"] in ("how", "why") and not letter.params["hint"]
        minute = letter.next_attempt_at + timedelta(minutes=1)
        reply.receive(db, str(odd.phone), "9" if wrong else "2", said_at=minute, now=minute)
    assert len(texts) > 4 * 3 * len(TITLES)
    return texts


def worded(letter: Message, language: str) -> str:
    words = Words("x7Kq-_x7Kq-_x7Kq-_x7Kq", "481226") if letter.kind in WITH_LINK else None
    again = Message(kind=letter.kind, language=language, params=letter.params, patient=letter.patient)
    text = word(again, words, public_url="http://127.0.0.1:8000", product="Følge", institution="UNN")
    assert segments(text) <= (2 if language == "se" else 1), text
    return text


@pytest.mark.parametrize("template", library.TEMPLATE_KEYS)
def test_a_stranger_who_reads_the_whole_conversation_learns_nothing(db: Session, template: str) -> None:
    ward = SmallWard(db)
    for text in speak(db, ward, template):
        assert text.count("?") <= 1, text
        assert not HEALTH.search(text), text
        for secret in (*TITLES, *(unit.name for unit in ward.units.values()), "post"):
            assert secret not in text, text
