"""What became of a letter, in words: no state, code, channel or reason is without a sentence."""

import re
from datetime import UTC, date, datetime, timedelta
from itertools import product
from uuid import uuid4

import pytest

from companion.models import CheckIn, Meeting, Message, Patient, Plan, Relative
from companion.models.messages import MESSAGE_KINDS, MESSAGE_STATES
from companion.rules.delivery_codes import CODES
from companion.use_cases.messages.again import Sent
from companion.worklists.letters import GROUPS, Tally, why_not_wanted
from companion.worklists.post import Alarm, PostStanding
from notifications.ways import discover
from web.desk import letters
from web.desk.letters import Banner, banner, became, day_in_words, line
from web.desk.words import Sentences

WAYS = discover()
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SOON, MORNING = NOW + timedelta(minutes=5), datetime(2026, 11, 25, 7, 0, tzinfo=UTC)
OWN = (
    "", "no_connection", "not_begun", "read_timeout", "broken_off", "unreadable", "lease", "our_fault", "weekly_cap",
    "401", "403", "404", "408", "500", "503", "410", "99999",
)  # fmt: skip
STEM = r"^[A-ZÆØÅ][^_%{}]*[.]$"


@pytest.fixture
def say() -> Sentences:
    return Sentences("nb", NOW)


def letter(state: str = "queued", **values: object) -> Message:
    fields: dict[str, object] = {
        "id": 7,
        "kind": "check_in",
        "lane": "batch",
        "dedupe_key": "check_in:x:0",
        "state": state,
        "attempt": 0 if state in ("queued", "expired", "cancelled") else 1,
        "params": {},
        "created_at": NOW,
        "not_before": NOW,
        "next_attempt_at": NOW,
        "valid_until": NOW + timedelta(days=3),
        "patient": Patient(name="Kari Nilsen", phone="+4740000001", phone_state="ok", contact_by="sms"),
    }
    return Message(**fields | values)


EVERY = list(product(MESSAGE_STATES, (None, "sms", "push"), (*CODES, *OWN)))


def test_nothing_is_without_words(say: Sentences) -> None:
    for state, channel, code in EVERY:
        for waits, at in product((None, NOW), (NOW, SOON)):
            one = letter(
                state, channel=channel, error_code=code or None, waiting_since=waits, next_attempt_at=at
            )
            found = became(one, say, WAYS)
            assert re.match(STEM, found.said), (state, channel, code, found.said)
            assert found.todo == "" or re.match(STEM, found.todo), found.todo
            assert "_" not in found.said + found.todo
            assert code == "" or code not in found.said, found.said
            bad = state in ("failed", "undelivered", "unknown", "delivery_unknown", "expired")
            assert (found.tone == "wait") == bad
            assert not bad or found.todo


@pytest.mark.parametrize(
    ("one", "said", "todo"),
    [
        (letter("delivered", settled_at=NOW), "Kom fram i dag kl. 10.00.", ""),
        (letter("sent", settled_at=NOW), "Sendt i dag kl. 10.00. Vi vet ikke ennå om den kom fram.", ""),
        (
            letter("accepted", settled_at=NOW, channel="push"),
            "Sendt i dag kl. 10.00. Vi vet ikke ennå om den kom fram.",
            "Kommer varselet ikke fram, går det SMS.",
        ),
        (
            letter("failed", error_code="21211"),
            "Kom ikke fram: nummeret finnes ikke.",
            "Rett nummeret, eller ring.",
        ),
        (
            letter("undelivered", error_code="21610"),
            "Kom ikke fram: personen har svart STOPP.",
            "Avtal om vi skal ringe i stedet.",
        ),
        (letter(next_attempt_at=MORNING), "Venter til i morgen kl. 08.00.", ""),
        (
            letter(next_attempt_at=SOON, waiting_since=NOW, error_code="20429"),
            "Venter: leverandøren har det for travelt. Vi prøver igjen i dag kl. 10.05.",
            "",
        ),
        (
            letter(waiting_since=NOW, error_code="no_connection"),
            "Venter: vi når ikke leverandøren. Vi prøver igjen straks.",
            "",
        ),
        (
            letter(next_attempt_at=MORNING, error_code="weekly_cap"),
            "Venter: personen har fått nok meldinger denne uka. Går tidligst i morgen kl. 08.00.",
            "",
        ),
        (
            letter(next_attempt_at=SOON, error_code="30003", attempt=1),
            "Kom ikke fram første gang: telefonen er slått av eller uten dekning. Vi prøver igjen i dag kl. 10.05.",
            "",
        ),
        (letter(channel="sms", attempt=1), "Kom ikke fram første gang. Sendes som SMS straks.", ""),
        (letter(), "Venter på å bli sendt.", ""),
        (
            letter("unknown", error_code="read_timeout"),
            "Uviss: leverandøren svarte ikke i tide. Vi ser etter om den kom fram.",
            "Ring hvis det haster.",
        ),
        (
            letter("delivery_unknown"),
            "Uviss: sendt, men ingen har sagt om den kom fram.",
            "Ring hvis du ikke hører noe.",
        ),
        (letter("expired"), "Ikke sendt: den ble ikke sendt i tide.", "Ring i stedet."),
        (letter("cancelled", settled_at=NOW), "Ikke sendt: den trengtes ikke lenger.", ""),
    ],
)
def test_the_sentence(say: Sentences, one: Message, said: str, todo: str) -> None:
    found = became(one, say, WAYS)
    assert (found.said.replace("\N{NO-BREAK SPACE}", " "), found.todo) == (said, todo)


# --- why it was not sent, as far as the records show ----------------------------------------------------------------------


def check_in(**values: object) -> CheckIn:
    fields: dict[str, object] = {
        "state": "asked",
        "postponed": 0,
        "plan": Plan(state="active", template="general"),
    }
    return CheckIn(**fields | values)


def kari(**values: object) -> Patient:
    return Patient(**{"name": "Kari Nilsen", "phone_state": "ok", "contact_by": "sms"} | values)


BEFORE, AFTER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
OFFERED = {"when": NOW.isoformat()}
REASONS: list[tuple[str, dict[str, object]]] = [
    ("answered", {"check_in": check_in(state="answered", answered_at=BEFORE)}),
    ("not_needed", {"check_in": check_in(state="answered", answered_at=AFTER)}),
    ("postponed", {"check_in": check_in(state="postponed", postponed=1)}),
    ("not_needed", {"check_in": check_in(postponed=1), "dedupe_key": "check_in:x:1"}),
    ("plan_paused", {"check_in": check_in(state="skipped", plan=Plan(state="paused"))}),
    ("plan_stopped", {"check_in": check_in(state="skipped", plan=Plan(state="stopped"))}),
    ("check_in_over", {"check_in": check_in(state="expired", ended_at=BEFORE)}),
    ("died", {"check_in": check_in(plan=Plan(state="stopped")), "patient": kari(died_on=date(2026, 11, 24))}),
    ("not_needed", {"patient": kari(died_on=date(2026, 11, 25))}),
    ("opted_out", {"patient": kari(phone_state="opted_out")}),
    ("dead", {"patient": kari(phone_state="dead")}),
    ("landline", {"patient": kari(phone_state="landline")}),
    ("call", {"patient": kari(contact_by="call")}),
    ("meeting_cancelled", {"kind": "meeting", "meeting": Meeting(state="cancelled", starts_at=NOW)}),
    ("meeting_moved", {"kind": "meeting", "meeting": Meeting(state="offered", starts_at=AFTER), "params": OFFERED}),
    ("meeting_over", {"kind": "meeting", "meeting": Meeting(state="ended", starts_at=NOW), "params": OFFERED}),
    ("not_needed", {"kind": "meeting_cancelled", "meeting": Meeting(state="cancelled", starts_at=NOW)}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "values"), REASONS)
def test_why_it_was_not_sent(say: Sentences, code: str, values: dict[str, object]) -> None:
    one = letter("cancelled", settled_at=NOW, **values)
    assert why_not_wanted(one) == code
    assert became(one, say, WAYS).said == f"Ikke sendt: {letters.NOT_WANTED[code]}."


def test_every_reason_is_tried() -> None:
    assert {code for code, _ in REASONS} == set(letters.NOT_WANTED)


# --- the line, the day, the banner ------------------------------------------------------------------------------------------


def sent(one: Message, **facts: bool) -> Sent:
    return Sent(one, **{"again": False, "overtaken": False, "founded": True} | facts)


def test_a_line_with_a_button_says_so(say: Sentences) -> None:
    one = letter("undelivered", error_code="30003", check_in=check_in(day=14))
    shown = line(sent(one), say, WAYS, may_send=True)
    assert (shown.kind, shown.to, shown.how, shown.again) == ("Spørsmål", "Kari Nilsen", "SMS", True)
    assert shown.about.startswith("Dag 14")
    assert shown.became.todo == "Send på nytt, eller ring."
    assert not line(sent(one), say, WAYS, may_send=False).again


def test_a_corrected_number_and_an_operators_fault_say_what_helps(say: Sentences) -> None:
    wrong_number = letter("failed", error_code="21211", check_in=check_in(day=14))
    assert line(sent(wrong_number), say, WAYS, may_send=True).became.todo == (
        "Nummeret er i orden nå. Send på nytt, eller ring."
    )
    no_words = letter("failed", error_code="no_words", check_in=check_in(day=14))
    assert line(sent(no_words), say, WAYS, may_send=True).became.todo.startswith("Si fra til den som drifter")


def test_where_there_is_no_button_the_reason_stands(say: Sentences) -> None:
    opted_out = letter("failed", error_code="21610", check_in=check_in(day=14))
    opted_out.patient = kari(phone="+4740000001", phone_state="opted_out")
    shown = line(sent(opted_out), say, WAYS, may_send=True)
    assert (shown.again, shown.why_not) == (False, "Personen har svart STOPP. Avtal om vi skal ringe.")
    relative = letter("failed", kind="relative_invited", patient=None, relative=Relative(name="Anne"))
    relative.relative_id = uuid4()
    assert line(sent(relative, founded=False), say, WAYS, may_send=True).why_not.startswith("Samtykket")
    assert line(sent(letter("delivered", settled_at=NOW)), say, WAYS, may_send=True).why_not == ""


def test_what_somebody_has_seen_to_asks_for_nothing(say: Sentences) -> None:
    one = letter("undelivered", error_code="30003", check_in=check_in(day=14))
    assert line(sent(one), say, WAYS, may_send=True).became.tone == "wait"
    for fact in ("again", "overtaken"):
        shown = line(sent(one, **{fact: True}), say, WAYS, may_send=True)
        assert (shown.again, shown.became.tone, bool(shown.why_not)) == (False, "", True)


@pytest.mark.parametrize("kind", MESSAGE_KINDS)
def test_every_kind_and_every_state_makes_a_line(say: Sentences, kind: str) -> None:
    for state in MESSAGE_STATES:
        shown = line(sent(letter(state, kind=kind, settled_at=NOW)), say, WAYS, may_send=True)
        assert shown.kind
        assert "%(" not in shown.became.said


@pytest.mark.parametrize(
    ("tally", "said"),
    [
        (Tally(), "Ingen meldinger i dag ennå."),
        (Tally(arrived=3), "I dag: 3 sendt (3 kom fram)."),
        (
            Tally(arrived=9, on_the_way=1, not_arrived=1, uncertain=1, waiting=2, not_sent=4),
            "I dag: 12 sendt (9 kom fram, 1 uten svar ennå, 1 kom ikke fram, 1 uvisse), 2 venter, 4 ikke sendt.",
        ),
        (Tally(waiting=2), "I dag: 0 sendt, 2 venter."),
    ],
)
def test_a_day_in_one_sentence(say: Sentences, tally: Tally, said: str) -> None:
    assert day_in_words(tally, say) == said


def test_every_state_is_counted_once() -> None:
    assert sorted(state for states in GROUPS.values() for state in states) == sorted(MESSAGE_STATES)
    assert list(letters.GROUPS) == list(GROUPS)


def standing(
    alarm: Alarm | None = None, circuit: str = "closed", resting: tuple[str, ...] = (), slow: int = 0
) -> PostStanding:
    return PostStanding(0, None, None, circuit, None, resting, slow, alarm)


@pytest.mark.parametrize(
    ("post", "shown"),
    [
        (standing(), None),
        (standing(Alarm(12, 14)), ("12 skulle vært sendt. Ingen er sendt på 14 minutter.", "red")),
        (standing(Alarm(1, 180), "open"), ("1 skulle vært sendt. Ingen er sendt på 3 timer.", "red")),
        (standing(Alarm(3, 4 * 24 * 60)), ("3 skulle vært sendt. Ingen er sendt på 4 dager.", "red")),
        (standing(circuit="open", resting=("push",)), ("Leverandøren svarer ikke.", "warn")),
        (standing(circuit="probing"), ("Leverandøren svarer ikke.", "warn")),
        (standing(resting=("push",)), ("Varsler på telefonen er stoppet.", "warn")),
        (
            standing(resting=("push",), slow=7),
            ("7 SMS er sendt, men ser ikke ut til å komme fram.", "warn"),
        ),
    ],
)
def test_the_banner(say: Sentences, post: PostStanding, shown: tuple[str, str] | None) -> None:
    found: Banner | None = banner(post, say, WAYS)
    assert (found and (found.title, found.tone)) == shown
    assert found is None or found.text
