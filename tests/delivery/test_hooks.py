"""What the provider tells us: only what it signed, once, in any order, also before we know it sent anything."""

import asyncio
from datetime import date, timedelta
from itertools import permutations
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, func, select
from starlette.testclient import TestClient
from structlog.testing import capture_logs
from twilio.request_validator import RequestValidator

from companion.clock import FixedClock
from companion.models import Flag, Message, Patient
from companion.settings import Settings
from companion.use_cases.messages import message
from notifications import heard, receipts
from notifications.channels.sms import callbacks
from notifications.channels.sms.sandbox import LOST_WITHOUT_ANSWER
from notifications.channels.sms.settings import TwilioSettings
from notifications.models import Delivery, Inbound, ProviderEvent, SandboxMessage
from notifications.ways import discover
from tests.delivery.conftest import MakeDispatcher
from tests.use_cases.small_ward import SmallWard, at
from web.app import create_app
from web.house.settings import WebSettings

WAYS = discover()

PUBLIC = "https://folge.example"
STATUS = "/hooks/twilio/status"
INBOUND = "/hooks/twilio/inbound"


@pytest.fixture
def client(settings: Settings, engine: Engine, clock: FixedClock) -> TestClient:
    clock.at = at(0)
    account = TwilioSettings(auth_token=SecretStr("now"), auth_token_next=SecretStr("next"))
    public = settings.model_copy(update={"public_url": PUBLIC})
    return TestClient(create_app(WebSettings(), settings=public, engine=engine, clock=clock, twilio=account))


def post(
    client: TestClient, path: str, params: dict[str, str], *, token: str = "now", spoil: str = ""
) -> int:
    signature = RequestValidator(token).compute_signature(PUBLIC + path, params)
    answer = client.post(
        path,
        content=urlencode(params | ({"Body": spoil} if spoil else {})),
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": signature,
        },
    )
    return int(answer.status_code)


def rows(ward: SmallWard, table: type[ProviderEvent] | type[Inbound]) -> int:
    ward.db.rollback()
    count = ward.db.scalar(select(func.count()).select_from(table)) or 0
    ward.db.rollback()
    return count


@pytest.mark.parametrize("token", ["now", "next"])
def test_the_present_and_the_next_token_are_good(ward: SmallWard, client: TestClient, token: str) -> None:
    told = {"MessageSid": "SM1", "MessageStatus": "sent", "To": "+4740000001", "ErrorCode": ""}
    assert post(client, f"{STATUS}?attempt=abc", told, token=token) == 204
    assert rows(ward, ProviderEvent) == 1


def test_a_forged_or_changed_post_is_refused_and_changes_nothing(ward: SmallWard, client: TestClient) -> None:
    wrote = {"MessageSid": "SM1", "From": "+4740000001", "Body": "æøå + đ"}
    assert post(client, INBOUND, wrote, token="other") == 403
    assert post(client, INBOUND, wrote, spoil="STOPP") == 403
    assert client.post(INBOUND, content=b"\xff\xfe").status_code == 403
    assert client.post(STATUS).status_code == 403
    assert (rows(ward, Inbound), rows(ward, ProviderEvent)) == (0, 0)
    assert post(client, INBOUND, wrote) == 200
    assert rows(ward, Inbound) == 1


def test_the_same_news_ten_times_is_one(ward: SmallWard, client: TestClient) -> None:
    for _ in range(10):
        assert post(client, STATUS, {"MessageSid": "SM1", "MessageStatus": "sent"}) == 204
        assert post(client, INBOUND, {"MessageSid": "SM2", "From": "+4740000001", "Body": "1"}) == 200
    assert (rows(ward, ProviderEvent), rows(ward, Inbound)) == (1, 1)


def written_letter(ward: SmallWard, patient: Patient, key: str = "one") -> Message:
    written = message.write(
        ward.db, "welcome", to=patient, now=at(0), valid_until=at(0) + timedelta(hours=1), dedupe_key=key
    )
    assert written
    ward.db.commit()
    return written


def test_a_callback_that_overtakes_our_own_commit_settles_the_letter(
    ward: SmallWard, client: TestClient, make_dispatcher: MakeDispatcher
) -> None:
    kari = ward.patient()
    kari.phone = LOST_WITHOUT_ANSWER
    written = written_letter(ward, kari)
    dispatcher = make_dispatcher()
    asyncio.run(dispatcher.tick(FixedClock(at(0))))
    attempt = ward.db.scalars(select(Delivery.id)).one()
    ward.db.rollback()

    assert (
        post(client, f"{STATUS}?attempt={attempt}", {"MessageSid": "SM7", "MessageStatus": "delivered"})
        == 204
    )
    asyncio.run(dispatcher.tick(FixedClock(at(0))))

    ward.db.expire_all()
    assert written.state == "delivered"
    assert ward.db.scalars(select(Delivery)).one().provider_id == "SM7"
    assert ward.db.scalars(select(Flag.state).where(Flag.code == "parked_message")).all() == ["closed"]


def test_news_in_any_order_gives_the_same_end(ward: SmallWard) -> None:
    kari = ward.patient()
    told = ("queued", "sent", "delivered", "sent")
    for number, order in enumerate(sorted(set(permutations(told)))):
        written = written_letter(ward, kari, f"letter {number}")
        written.state, written.attempt, written.fence = "sending", 1, 1
        ward.db.add(
            Delivery(
                id=f"a{number}",
                message_id=written.id,
                attempt=1,
                fence=1,
                channel="sms",
                address="+47",
                started_at=at(0),
            )
        )
        ward.db.flush()
        for status in order:
            callbacks.keep_status(
                ward.db, {"MessageSid": [f"SM{number}"], "MessageStatus": [status]}, f"a{number}", now=at(0)
            )
            receipts.apply_events(ward.db, at(0), WAYS)
        assert written.state == "delivered", order


def test_news_about_nothing_we_know_waits_a_week_and_is_let_go(ward: SmallWard) -> None:
    callbacks.keep_status(ward.db, {"MessageSid": ["SM9"], "MessageStatus": ["sent"]}, None, now=at(0))
    assert receipts.apply_events(ward.db, at(0), WAYS) == 0
    assert receipts.apply_events(ward.db, at(8), WAYS) == 1


@pytest.mark.parametrize(
    ("before", "told", "replaced"),
    [
        ("queued", "accepted", True),
        ("unknown", "sent", True),
        ("delivered", "sent", False),
        ("delivered", "failed", False),
        ("failed", "delivered", False),
        ("undelivered", "delivered", True),
        ("expired", "delivered", True),
    ],
)
def test_only_a_higher_rank_replaces(before: str, told: str, replaced: bool) -> None:
    assert receipts.beats(before, None, told) is replaced


# --- replies ----------------------------------------------------------------------------------------------------------


def wrote(
    ward: SmallWard, make_dispatcher: MakeDispatcher, patient: Patient, text: str, key: str
) -> list[str]:
    """The patient writes; what the phone has received since."""
    assert patient.phone
    heard.keep_inbound(ward.db, key, patient.phone, text, now=at(0))
    ward.db.commit()
    asyncio.run(make_dispatcher().tick(FixedClock(at(0))))
    ward.db.expire_all()
    found = ward.db.scalars(select(SandboxMessage.body).order_by(SandboxMessage.id)).all()
    ward.db.commit()
    return list(found)


def open_flags(ward: SmallWard) -> list[tuple[str, str, str | None]]:
    found = ward.db.scalars(select(Flag).where(Flag.state == "open")).all()
    return [(flag.code, flag.level, flag.quote) for flag in found]


def test_stop_is_obeyed_and_confirmed_by_one_last_sms_and_start_undoes_it(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    kari = ward.patient()
    ward.db.commit()
    (last,) = wrote(ward, make_dispatcher, kari, "STOPP\n\nSendt fra min iPhone", "1")
    assert last.startswith("Greit. Du får ikke flere SMS fra Følge.")
    assert wrote(ward, make_dispatcher, kari, "stopp", "3") == [last]
    assert kari.phone_state == "opted_out"
    assert [(code, level) for code, level, _ in open_flags(ward)] == [("opted_out", "amber")]
    _, answer = wrote(ward, make_dispatcher, kari, "START", "2")
    assert answer.startswith("Du får meldinger fra Følge igjen.")
    assert kari.phone_state == "ok"


def test_ring_is_a_red_flag_and_answered(ward: SmallWard, make_dispatcher: MakeDispatcher) -> None:
    kari = ward.patient()
    ward.db.commit()
    (answer,) = wrote(ward, make_dispatcher, kari, "Ring meg", "1")
    assert answer.startswith("Takk. Vi har gitt beskjed om at du vil bli oppringt.")
    assert open_flags(ward) == [("wants_contact", "red", None)]


def test_what_no_machine_reads_reaches_a_human_and_is_answered_once(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    kari = ward.patient()
    ward.db.commit()
    wrote(ward, make_dispatcher, kari, "Jeg lurer på noe", "1")
    answers = wrote(ward, make_dispatcher, kari, "Jeg lurer på noe", "2")
    assert len(answers) == 1
    assert "En av oss leser den" in answers[0]
    assert open_flags(ward) == [("reply_not_understood", "amber", "Jeg lurer på noe")]


def test_what_the_provider_has_obeyed_is_obeyed_here_and_not_said_twice(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    kari = ward.patient()
    heard.keep_inbound(ward.db, "1", str(kari.phone), "Arret", obeyed="stop", now=at(0))
    ward.db.commit()
    asyncio.run(make_dispatcher().tick(FixedClock(at(0))))
    ward.db.refresh(kari)
    assert (kari.phone_state, open_flags(ward)) == ("opted_out", [("opted_out", "amber", "Arret")])
    assert ward.db.scalars(select(SandboxMessage)).all() == []


def test_crisis_words_are_red_and_answered_with_whom_to_call_this_minute(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    kari = ward.patient()
    ward.db.commit()
    (answer,) = wrote(ward, make_dispatcher, kari, "Jeg vil ikke leve lenger", "1")
    assert all(number in answer for number in ("113", "116117", "116123"))
    assert open_flags(ward) == [("crisis_words", "red", "Jeg vil ikke leve lenger")]


def test_who_has_said_stop_is_answered_all_the_same_when_despair_is_written(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    kari = ward.patient()
    kari.phone_state = "opted_out"
    ward.db.commit()
    assert "116123" in wrote(ward, make_dispatcher, kari, "orker ikke leve lenger", "1")[0]


def strangers_write(ward: SmallWard, make_dispatcher: MakeDispatcher, *written: tuple[str, str]) -> list[str]:
    """Numbers nobody here has; the numbers that were answered."""
    for key, (number, text) in enumerate(written):
        heard.keep_inbound(ward.db, str(key), number, text, now=at(0))
    ward.db.commit()
    counts = asyncio.run(make_dispatcher().tick(FixedClock(at(0))))
    assert (counts["inbound"], counts["errors"]) == (len(written), 0)
    answers = ward.db.execute(select(SandboxMessage.number, SandboxMessage.body)).all()
    ward.db.commit()
    assert all("800 300 61" in body or "116123" in body for _, body in answers)
    return sorted(number for number, _ in answers)


def test_an_unknown_number_is_told_once_whom_to_call_and_what_it_wrote_is_kept(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    number = "+4791111111"
    answered = strangers_write(
        ward, make_dispatcher, (number, "Hei"), (number, "Er det noen der?"), (number, "7")
    )
    assert answered == [number]
    assert rows(ward, Inbound) == 3
    assert open_flags(ward) == []


def test_an_unknown_number_that_wrote_before_an_outage_is_not_answered_in_the_night(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    heard.keep_inbound(ward.db, "1", "+4791111111", "Hei", now=at(0, 19))
    ward.db.commit()
    for moment, answered in ((at(0, 23), 0), (at(1, 7), 0), (at(1, 8), 1)):
        asyncio.run(make_dispatcher().tick(FixedClock(moment)))
        assert len(ward.db.scalars(select(SandboxMessage)).all()) == answered
        ward.db.commit()


def test_nobody_can_make_us_answer_a_stop_or_a_number_abroad_but_a_cry_for_help_is_answered(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    with capture_logs() as logs:
        answered = strangers_write(
            ward,
            make_dispatcher,
            ("+4791111111", "STOPP"),
            ("+4791111112", "Jeg vil ikke leve"),
            ("+882991111113", "Hei"),
            ("Telenor", "Hei"),
        )
    assert answered == ["+4791111112"]
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [
        "grave_words_from_unknown_number"
    ]


def test_a_flood_of_unknown_numbers_is_answered_only_so_far(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    many = [(f"+4792{number:06d}", "Hei") for number in range(message.STRANGERS_A_DAY + 10)]
    assert len(strangers_write(ward, make_dispatcher, *many)) == message.STRANGERS_A_DAY


def test_on_a_shared_phone_all_are_flagged_stop_goes_for_all_and_one_answer_is_enough(
    ward: SmallWard, make_dispatcher: MakeDispatcher
) -> None:
    kari, ola = ward.patient("Kari Nilsen"), ward.patient("Ola Nilsen")
    ola.phone, ola.phone_index = kari.phone, kari.phone_index
    kari.died_on = date(2026, 11, 9)
    ward.db.commit()
    answers = wrote(ward, make_dispatcher, ola, "Ring meg", "1")
    assert len(answers) == 1
    assert [code for code, _, _ in open_flags(ward)] == ["wants_contact"] * 2
    wrote(ward, make_dispatcher, ola, "STOPP", "2")
    assert (kari.phone_state, ola.phone_state) == ("opted_out", "opted_out")


def test_despair_and_a_stop_in_one_is_despair(ward: SmallWard, make_dispatcher: MakeDispatcher) -> None:
    kari = ward.patient()
    ward.db.commit()
    assert "116123" in wrote(ward, make_dispatcher, kari, "Stopp. Jeg vil dø", "1")[0]
    assert open_flags(ward) == [("crisis_words", "red", "Stopp. Jeg vil dø")]
