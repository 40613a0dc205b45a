"""What becomes of a letter after the provider took it: told, asked for, or never known; and what a code means."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from companion.clock import FixedClock
from companion.models import CheckIn, Flag, Message, Patient
from companion.rules.delivery_codes import CODES, UNKNOWN, explain
from companion.use_cases.messages import message
from notifications.channels import Later, News, Parcel
from notifications.channels.sms import callbacks
from notifications.dispatcher import Dispatcher
from notifications.models import Delivery
from tests.delivery.conftest import MakeDispatcher
from tests.use_cases.small_ward import SmallWard, at

pytestmark = pytest.mark.timeout(30)


class QuietProvider:
    """Takes everything and tells nothing by itself. `news` is what it answers when asked."""

    def __init__(self) -> None:
        self.sent: list[Parcel] = []
        self.asked: list[str] = []
        self.news: News | None = News("sent", None)
        self.busy = False

    async def send(self, parcel: Parcel) -> str:
        self.sent.append(parcel)
        return f"Q{len(self.sent)}"

    async def find(self, parcel: Parcel) -> list[str]:
        return []

    async def fetch(self, provider_id: str) -> News | None:
        self.asked.append(provider_id)
        if self.busy:
            raise Later("20429")
        return self.news

    async def close(self) -> None: ...


@pytest.fixture
def provider() -> QuietProvider:
    return QuietProvider()


@pytest.fixture
def dispatcher(provider: QuietProvider, make_dispatcher: MakeDispatcher) -> Dispatcher:
    return make_dispatcher(provider)


def tick(ward: SmallWard, dispatcher: Dispatcher, now: datetime) -> Counter[str]:
    ward.db.commit()
    counts = asyncio.run(dispatcher.tick(FixedClock(now)))
    assert counts["errors"] == 0
    ward.db.expire_all()
    return counts


def letter(ward: SmallWard, patient: Patient, kind: str = "welcome", days: float = 5) -> Message:
    check_in = ward.check_in(patient, 7) if kind in ("check_in", "reminder") else None
    if check_in:
        # Far off, so that nothing else happens to it meanwhile.
        check_in.state, check_in.asked_at = "asked", at(30)
    written = message.write(
        ward.db,
        kind,
        to=patient,
        now=at(0),
        check_in=check_in,
        valid_until=at(0) + timedelta(days=days),
        dedupe_key=f"{kind}:{patient.id}",
    )
    assert written
    ward.db.commit()
    return written


def told(ward: SmallWard, written: Message, status: str, code: str | None = None, attempt: int = 1) -> None:
    """The provider tells by itself; it is used at the next tick."""
    delivery = ward.db.scalars(
        select(Delivery).where(Delivery.message_id == written.id, Delivery.attempt == attempt)
    ).one()
    callbacks.keep_status(
        ward.db,
        {
            "MessageSid": [delivery.provider_id or "S1"],
            "MessageStatus": [status],
            "ErrorCode": [code or ""],
        },
        delivery.id,
        now=at(0),
    )
    ward.db.commit()


def open_flags(ward: SmallWard, patient: Patient) -> list[tuple[str, str]]:
    found = ward.db.scalars(select(Flag).where(Flag.patient_id == patient.id, Flag.state == "open")).all()
    return [(flag.code, flag.level) for flag in found]


# --- asking and waiting -----------------------------------------------------------------------------------------------


def test_a_silent_provider_is_asked_after_a_quarter_two_hours_and_a_day(
    ward: SmallWard, provider: QuietProvider, dispatcher: Dispatcher
) -> None:
    written = letter(ward, ward.patient())
    asked = []
    for minutes in (0, 14, 15, 16, 60, 119, 120, 180, 60 * 23, 60 * 24, 60 * 48, 60 * 71):
        before = len(provider.asked)
        tick(ward, dispatcher, at(0) + timedelta(minutes=minutes))
        asked += [minutes] * (len(provider.asked) - before)
    assert asked == [15, 120, 1440]
    assert written.state == "sent"


def test_what_the_provider_answers_counts_like_what_it_tells(
    ward: SmallWard, provider: QuietProvider, dispatcher: Dispatcher
) -> None:
    kari = ward.patient()
    written = letter(ward, kari)
    tick(ward, dispatcher, at(0))
    provider.news = News("undelivered", "30005")
    assert tick(ward, dispatcher, at(0, 10, 15))["polled"] == 1
    assert (written.state, written.error_code) == ("undelivered", "30005")
    assert kari.phone_state == "dead"
    assert open_flags(ward, kari) == [("undeliverable", "amber")]
    assert tick(ward, dispatcher, at(1))["polled"] == 0


def test_a_letter_whose_end_was_told_is_not_asked_about(
    ward: SmallWard, provider: QuietProvider, dispatcher: Dispatcher
) -> None:
    written = letter(ward, ward.patient())
    tick(ward, dispatcher, at(0))
    told(ward, written, "delivered")
    tick(ward, dispatcher, at(0, 10, 30))
    assert provider.asked == []
    assert written.state == "delivered"


def test_after_an_outage_each_is_asked_about_once(
    ward: SmallWard, provider: QuietProvider, dispatcher: Dispatcher
) -> None:
    for _ in range(20):
        letter(ward, ward.patient())
    tick(ward, dispatcher, at(0))
    assert tick(ward, dispatcher, at(2))["polled"] == 20
    assert len(set(provider.asked)) == len(provider.asked) == 20


def test_a_busy_provider_is_asked_again_later_and_a_forgetful_one_is_not(
    ward: SmallWard, provider: QuietProvider, dispatcher: Dispatcher
) -> None:
    letter(ward, ward.patient())
    tick(ward, dispatcher, at(0))
    provider.busy = True
    assert tick(ward, dispatcher, at(0, 10, 15))["polled"] == 0
    provider.busy, provider.news = False, None
    assert tick(ward, dispatcher, at(0, 10, 17))["polled"] == 1
    assert tick(ward, dispatcher, at(0, 10, 19))["polled"] == 0


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        ("check_in", [("parked_message", "amber")]),
        ("welcome", []),
    ],
)
def test_three_days_without_a_word_is_the_end_and_staff_see_it_where_it_mattered(
    ward: SmallWard, dispatcher: Dispatcher, kind: str, flags: list[tuple[str, str]]
) -> None:
    kari = ward.patient()
    written = letter(ward, kari, kind)
    tick(ward, dispatcher, at(0))
    tick(ward, dispatcher, at(3) - timedelta(seconds=1))
    assert written.state == "sent" if kind == "welcome" else written.state in ("accepted", "sent")
    assert tick(ward, dispatcher, at(3))["delivery_unknown"] == 1
    assert written.state == "delivery_unknown"
    assert open_flags(ward, kari) == flags
    told(ward, written, "delivered")
    tick(ward, dispatcher, at(3, 11))
    assert written.state == "delivered"
    assert open_flags(ward, kari) == []


def test_an_answered_check_in_has_arrived(ward: SmallWard, dispatcher: Dispatcher) -> None:
    kari = ward.patient()
    letter(ward, kari, "check_in")
    tick(ward, dispatcher, at(0))
    ward.db.query(CheckIn).filter_by(patient_id=kari.id, day=7).update({"state": "answered"})
    tick(ward, dispatcher, at(3))
    assert open_flags(ward, kari) == []


def test_a_letter_nobody_can_look_up_is_not_uncertain_for_ever(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    class Gone(QuietProvider):
        async def send(self, parcel: Parcel) -> str:
            raise ConnectionError("no matter what")

        async def find(self, parcel: Parcel) -> list[str]:
            raise Later("list_failed")

    written = letter(ward, ward.patient())
    dispatcher = make_dispatcher(Gone())
    tick(ward, dispatcher, at(0))
    tick(ward, dispatcher, at(2))
    assert written.state == "unknown"
    tick(ward, dispatcher, at(3))
    assert written.state == "delivery_unknown"
    attempt = ward.db.scalars(select(Delivery).where(Delivery.message_id == written.id)).one()
    assert attempt.outcome == "given_up"
    tick(ward, dispatcher, at(11))
    assert attempt.body is None


# --- codes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["30003", "30008"])
def test_a_handset_out_of_reach_is_tried_once_more_after_half_an_hour(
    ward: SmallWard, provider: QuietProvider, dispatcher: Dispatcher, code: str
) -> None:
    kari = ward.patient()
    written = letter(ward, kari)
    tick(ward, dispatcher, at(0))
    told(ward, written, "undelivered", code)
    tick(ward, dispatcher, at(0, 10, 5))
    assert (written.state, open_flags(ward, kari)) == ("queued", [])
    tick(ward, dispatcher, at(0, 10, 34))
    assert len(provider.sent) == 1
    tick(ward, dispatcher, at(0, 10, 35))
    assert len(provider.sent) == 2
    # The first attempt's news, once more and from another side, change nothing.
    told(ward, written, "failed", code)
    tick(ward, dispatcher, at(0, 10, 36))
    assert written.state == "accepted"
    told(ward, written, "undelivered", code, attempt=2)
    tick(ward, dispatcher, at(0, 10, 40))
    assert (written.state, written.error_code) == ("undelivered", code)
    assert open_flags(ward, kari) == [("undeliverable", "amber")]
    assert kari.phone_state == "ok"
    tick(ward, dispatcher, at(1))
    assert len(provider.sent) == 2


def test_the_first_one_arriving_after_all_needs_no_second(
    ward: SmallWard, provider: QuietProvider, dispatcher: Dispatcher
) -> None:
    written = letter(ward, ward.patient())
    tick(ward, dispatcher, at(0))
    told(ward, written, "undelivered", "30003")
    tick(ward, dispatcher, at(0, 10, 5))
    told(ward, written, "delivered")
    tick(ward, dispatcher, at(0, 11))
    assert (written.state, len(provider.sent)) == ("delivered", 1)


@pytest.mark.parametrize(("kind", "days"), [("new_link", 1), ("welcome", 1 / 48)])
def test_a_code_or_a_letter_of_no_more_use_is_not_tried_again(
    ward: SmallWard, provider: QuietProvider, dispatcher: Dispatcher, kind: str, days: float
) -> None:
    written = letter(ward, ward.patient(), kind, days)
    tick(ward, dispatcher, at(0))
    told(ward, written, "undelivered", "30003")
    for minutes in (1, 40):
        tick(ward, dispatcher, at(0) + timedelta(minutes=minutes))
    assert (written.state, len(provider.sent)) == ("undelivered", 1)


@pytest.mark.parametrize("code", ["30004", "30005", "30006", "30007"])
def test_a_number_that_cannot_be_reached_is_flagged_and_not_tried_again(
    ward: SmallWard, provider: QuietProvider, dispatcher: Dispatcher, code: str
) -> None:
    kari = ward.patient()
    written = letter(ward, kari)
    tick(ward, dispatcher, at(0))
    told(ward, written, "undelivered", code)
    tick(ward, dispatcher, at(0, 11))
    assert (written.state, len(provider.sent)) == ("undelivered", 1)
    assert open_flags(ward, kari) == [("undeliverable", "amber")]
    assert kari.phone_state == (explain(code).phone_state or "ok")


def test_a_code_nobody_has_seen_fails_the_letter_and_raises_the_alarm(
    ward: SmallWard, dispatcher: Dispatcher
) -> None:
    kari = ward.patient()
    written = letter(ward, kari)
    tick(ward, dispatcher, at(0))
    told(ward, written, "undelivered", "39999")
    with capture_logs() as logs:
        tick(ward, dispatcher, at(0, 11))
    assert [line["code"] for line in logs if line["event"] == "unknown_code"] == ["39999"]
    assert (written.state, written.error_code) == ("undelivered", "39999")
    assert open_flags(ward, kari) == [("undeliverable", "amber")]
    assert explain("39999") is UNKNOWN


def test_the_table_says_for_every_code_why_and_what_to_do() -> None:
    for code, meant in CODES.items():
        assert meant.why
        assert meant.what_to_do.endswith(".")
        # A temporary reason never says anything about the number.
        assert not (meant.phone_state and not meant.permanent), code
        assert not (meant.resend and meant.permanent), code
    for code in ("21211", "21214", "21408", "21610", "21612", "21614", "21635"):
        assert CODES[code].permanent
        assert not CODES[code].ours
