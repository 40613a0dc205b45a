"""Every code of the domain has a sentence at the desk: flags, problems, outcomes, states."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from companion import library
from companion.models import Flag, Measure, Unit
from companion.models.care import MEASURE_OWNERS
from companion.models.grants import SCOPES
from companion.models.meetings import MEETING_KINDS
from companion.models.messages import MESSAGE_KINDS, MESSAGE_STATES
from companion.models.passport import SECTIONS, WHEEL_ROLES
from companion.rules.questionnaire import Item, Option
from companion.rules.texts import Text
from companion.use_cases.cases import flag
from companion.use_cases.going_home import plan
from companion.use_cases.messages import contact
from web.desk import timeline, words
from web.desk.words import Sentences, meetings

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[3]
RAISE = {"raise_flag", "tell_ward", "_tell", "_flag", "_give_up", "Reason"}
NO_CODES = {"red", "amber", "ward", "art"}


@pytest.fixture
def say() -> Sentences:
    return Sentences("nb", NOW)


def calls(folders: Iterable[str]) -> Iterator[ast.Call]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield node


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def flag_codes() -> set[str]:
    """Every code written in a call that raises a flag, and those put together from the answers."""
    found: set[str] = set()
    for call in calls(("companion/rules", "companion/use_cases", "notifications")):
        if name_of(call) in RAISE:
            given = [*call.args, *(word.value for word in call.keywords if word.arg == "code")]
            found |= {
                one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)
            }
    why = library.measure_questions().question("measure.why")
    found |= {f"not_started_{option.code}" for option in why.options} | {
        "not_started_unsaid",
        "nobody_contacted_overdue",
    }
    found |= {"high_fatigue", "high_pain", "wants_coordinator", "wants_individual_plan"}
    return {code for code in found if re.fullmatch(r"[a-z_]+", code)} - NO_CODES


def problem_codes() -> set[str]:
    """Every code that a use-case of the desk may give for a field."""
    found: set[str] = set()
    for name in (
        "going_home/checked",
        "relatives/share",
        "passport/lines",
        "going_home/plan",
        "messages/contact",
        "meetings/offering",
        "meetings/participants",
        "meetings/outcome",
        "cases/flag",
    ):
        text = (ROOT / "companion" / "use_cases" / f"{name}.py").read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            values: list[ast.expr] = []
            if isinstance(node, ast.Call) and name_of(node) == "Invalid" and node.args:
                values = [one for one in getattr(node.args[0], "values", []) if one]
            if isinstance(node, ast.Assign) and "problems" in ast.unparse(node.targets[0]):
                values = [node.value]
            for value in values:
                found |= {
                    part.value
                    for part in ast.walk(value)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
    return {code for code in found if re.fullmatch(r"[a-z_]+", code)}


def test_the_codes_are_found_at_all() -> None:
    assert {
        "wants_contact",
        "no_answer",
        "call_due",
        "undeliverable",
        "postponed_twice",
        "call_me",
    } <= flag_codes()
    assert {"missing", "too_long", "not_a_phone", "clash", "in_the_past", "said_stop"} <= problem_codes()


@pytest.mark.parametrize("code", sorted(flag_codes()))
def test_every_flag_has_a_sentence(code: str, say: Sentences) -> None:
    raised = Flag(code=code, params={"score": 8, "who": "Kari"}, quote=None)
    said = say.flag(raised, "Fysioterapi to ganger i uken")
    assert code in words.cases.FLAGS
    assert "%(" not in said
    assert "_" not in said


@pytest.mark.parametrize("code", sorted(problem_codes() - {"starts_at", "measures"}))
def test_every_problem_has_a_sentence(code: str) -> None:
    anywhere = {known for _field, known in words.problems.FIELDS}
    assert code in words.problems.PROBLEMS or code in anywhere


TABLES: list[tuple[Mapping[str, object], Iterable[str]]] = [
    (words.cases.OUTCOMES, flag.OUTCOMES),
    (words.cases.CONTACTS, flag.CONTACTS),
    (words.measures.OWNERS, MEASURE_OWNERS),
    (words.passport.SCOPES, SCOPES),
    (words.passport.SECTIONS, SECTIONS),
    (words.passport.WHEEL, WHEEL_ROLES),
    (words.letters.MESSAGE_KINDS, MESSAGE_KINDS),
    (words.letters.MESSAGE_STATES, MESSAGE_STATES),
    (meetings.MEETING_KINDS, MEETING_KINDS),
    (words.plans.PLAN_REASONS, plan.PAUSE_REASONS),
    (words.letters.CONTACT_WAYS, contact.WAYS),
    (
        words.measures.REASONS,
        (option.code for option in library.measure_questions().question("measure.why").options),
    ),
]


@pytest.mark.parametrize(("table", "codes"), TABLES)
def test_no_table_has_a_hole(table: Mapping[str, object], codes: Iterable[str]) -> None:
    assert set(codes) <= set(table)


def test_own_words_come_after_the_reason(say: Sentences) -> None:
    raised = Flag(code="wants_contact", params={}, quote="Verre i hodet")
    assert say.flag(raised) == "Ønsker å bli kontaktet. «Verre i hodet»"


@pytest.mark.parametrize(
    ("title", "inside"),
    [
        ("Fysioterapi to ganger i uken", "fysioterapi to ganger i uken"),
        ("NAV om arbeid", "NAV om arbeid"),
        ("ME/CFS-kurs", "ME/CFS-kurs"),
        ("", "et tiltak"),
    ],
)
def test_a_measure_in_the_middle_of_a_sentence(say: Sentences, title: str, inside: str) -> None:
    raised = Flag(code="nobody_contacted_overdue", params={}, quote=None)
    assert say.flag(raised, title) == f"«Ingen har kontaktet meg» om {inside}"


def test_a_letter_that_did_not_arrive_says_why(say: Sentences) -> None:
    raised = Flag(code="undeliverable", params={"kind": "check_in", "code": "21211"}, quote=None)
    assert say.flag(raised) == "Melding ikke levert: nummeret finnes ikke"
    raised.params = {"code": "99999"}
    assert say.flag(raised).startswith("Melding ikke levert")
    assert "99999" not in say.flag(raised)


def test_due_dates_and_owners(say: Sentences) -> None:
    late = Measure(owner="municipality", due_on=date(2026, 11, 22), owner_unit=None)
    assert (say.due(late), say.owner(late)) == ("Fristen var søndag 22. november", "Kommunen")
    coming = Measure(owner="gp", due_on=date(2026, 12, 1), owner_unit=Unit(name="Fastlegene"))
    assert (say.due(coming), say.owner(coming)) == ("Frist tirsdag 1. desember", "Fastlegene")


def test_problems_of_measures_say_which(say: Sentences) -> None:
    assert say.problem("measures.2.title", "missing") == "Tiltak 2: Skriv hva som anbefales."
    assert say.problem("relative.phone", "missing") == "Pårørende: Skriv telefonnummeret."
    assert say.problem("anything", "never_heard_of") == "Velg et av svarene."


@pytest.mark.parametrize(
    ("value", "said"),
    [(True, "Ja"), (False, "Nei"), (7, "7 av 10"), ("good", "Bra"), ("egne ord", "«egne ord»")],
)
def test_answers_are_readable(say: Sentences, value: bool | int | str, said: str) -> None:
    item = Item(
        "how",
        "choice",
        Text({"nb": "Hvordan?"}),
        options=(Option("good", Text({"nb": "Bra"}), ""),),
        maximum=10,
    )
    assert timeline.answer(item, value, say) == said


def test_in_english_nothing_is_left_in_norwegian() -> None:
    say = Sentences("en", NOW)
    for code in sorted(flag_codes()):
        raised = Flag(code=code, params={"score": 8, "who": "Kari"}, quote=None)
        assert not re.search("[æøå]", say.flag(raised, "x")), code
