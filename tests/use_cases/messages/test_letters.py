"""The days of a unit in numbers: true, adding up, of one's own units only, and quick among a hundred thousand letters."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from itertools import cycle
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session

from companion import worklists
from companion.errors import NotAllowed, NotFound
from companion.models import Message, Patient, PatientUnit, Unit
from companion.models.messages import MESSAGE_STATES
from companion.rules.access import Actor
from companion.rules.cadence import local_day
from companion.use_cases.messages import message
from companion.use_cases.messages.letter import load
from companion.worklists.letters import GROUPS, Tally
from tests.use_cases.small_ward import SmallWard, at, themselves

MOST_QUERIES = 6
TODAY = date(2026, 11, 23)
NOON = at(14, 12)


@pytest.fixture
def ward(db: Session) -> SmallWard:
    return SmallWard(db)


@pytest.fixture
def sofia(ward: SmallWard) -> Actor:
    return ward.colleague("Sofia Berg", "post3")


def letter(
    db: Session, patient: Patient | None, when: datetime, state: str = "delivered", **values: Any
) -> Message:
    fields: dict[str, Any] = {
        "kind": "check_in",
        "lane": "batch",
        "dedupe_key": f"test:{when}:{len(db.new)}:{db.scalar(text('SELECT count(*) FROM message'))}",
        "patient": patient,
        "language": "nb",
        "params": {},
        "created_at": when,
        "not_before": when,
        "next_attempt_at": when,
        "valid_until": when + timedelta(days=3),
        "state": state,
    }
    one = Message(**fields | values)
    db.add(one)
    db.flush()
    return one


def of(db: Session, units: list[Unit], last: date = TODAY, **how: Any) -> dict[tuple[str, date], Tally]:
    found = worklists.report(db, units, last=last, **how)
    return {(one.unit.key, day): tally for one in found for day, tally in one.days.items() if tally.all}


def test_every_letter_is_counted_once_in_each_unit_that_follows(db: Session, ward: SmallWard) -> None:
    both = ward.patient(units=("post3", "tromso-rehab"))
    ours = ward.patient(units=("post3",))
    states = cycle(MESSAGE_STATES)
    for back in range(20):
        for patient in (both, ours):
            letter(db, patient, NOON - timedelta(days=back), next(states))
    # Every row, counted by hand.
    truth: Counter[tuple[str, date, str]] = Counter()
    for one in db.scalars(select(Message)):
        queued = one.state == "queued"
        day = TODAY if queued else local_day(one.next_attempt_at)
        if TODAY - day < timedelta(days=14):
            group = next(name for name, states_ in GROUPS.items() if one.state in states_)
            for key in ("post3", "tromso-rehab") if one.patient_id == both.id else ("post3",):
                truth[key, day, group] += 1
    counted: Counter[tuple[str, date, str]] = Counter()
    for (key, day), tally in of(db, [ward.units["post3"], ward.units["tromso-rehab"]]).items():
        counted += Counter({(key, day, group): getattr(tally, group) for group in GROUPS})
        assert tally.sent == tally.arrived + tally.on_the_way + tally.not_arrived + tally.uncertain
        assert tally.all == tally.sent + tally.waiting + tally.not_sent
    assert counted == +truth
    assert sum(truth.values()) > 30


def test_the_day_begins_at_midnight_in_norway(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(units=("post3",))
    midnight = at(14, 1) - timedelta(hours=1)
    letter(db, kari, midnight - timedelta(seconds=1))
    letter(db, kari, midnight)
    assert of(db, [ward.units["post3"]]) == {
        ("post3", TODAY - timedelta(days=1)): Tally(arrived=1),
        ("post3", TODAY): Tally(arrived=1),
    }


def test_days_of_a_clock_change_are_whole(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(units=("post3",))
    for followed in db.scalars(select(PatientUnit)):
        followed.since = date(2026, 1, 1)
    autumn = date(2026, 10, 25)
    for hour in range(25):
        letter(db, kari, datetime.fromisoformat("2026-10-24T22:30:00+00:00") + timedelta(hours=hour))
    assert of(db, [ward.units["post3"]], autumn) == {("post3", autumn): Tally(arrived=25)}


def test_what_waits_is_todays_and_of_a_day_gone_by_not_counted(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(units=("post3",))
    letter(db, kari, NOON + timedelta(days=2), "queued")
    letter(db, kari, NOON - timedelta(days=2), "queued")
    assert of(db, [ward.units["post3"]]) == {("post3", TODAY): Tally(waiting=2)}
    assert of(db, [ward.units["post3"]], TODAY - timedelta(days=2), days=1, waiting=False) == {}


def test_a_letter_to_a_relative_counts_where_the_patient_is_followed(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(units=("post3",))
    letter(db, None, NOON, about=kari)
    letter(db, None, NOON)
    assert of(db, [ward.units["post3"]]) == {("post3", TODAY): Tally(arrived=1)}


def test_codes_are_not_counted_nor_who_is_no_longer_followed(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(units=("post3",))
    letter(db, kari, NOON, lane="code", kind="sign_in_code")
    gone = ward.patient(units=("post3",))
    letter(db, gone, NOON)
    for followed in db.scalars(select(PatientUnit).where(PatientUnit.patient_id == gone.id)):
        followed.until = TODAY - timedelta(days=1)
    db.flush()
    assert of(db, [ward.units["post3"]]) == {}


def test_several_units_together_count_nobody_twice(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(units=("post3", "tromso-rehab"))
    for state in ("delivered", "queued", "unknown"):
        letter(db, kari, NOON, state)
    letter(db, kari, NOON - timedelta(days=1))
    both = [ward.units["post3"], ward.units["tromso-rehab"]]
    assert worklists.day_of(db, both, TODAY) == Tally(arrived=1, waiting=1, uncertain=1)


@pytest.mark.parametrize("group", GROUPS)
def test_the_people_are_those_of_the_number(db: Session, ward: SmallWard, sofia: Actor, group: str) -> None:
    post3 = ward.units["post3"]
    kari, other = ward.patient(units=("post3",)), ward.patient(units=("tromso-rehab",))
    for state in MESSAGE_STATES:
        for patient in (kari, other):
            for back in range(3):
                letter(db, patient, NOON - timedelta(days=back), state)
    [found] = worklists.report(db, [post3], last=TODAY, days=3)
    for day, tally in found.days.items():
        people = worklists.people(db, sofia, post3.id, day, group, now=NOON)
        assert len(people) == getattr(tally, group), (group, day)
        assert {one.patient_id for one in people} <= {kari.id}


def test_only_ones_own_units(db: Session, ward: SmallWard, sofia: Actor) -> None:
    for unit_id, group in ((ward.units["post9"].id, "not_arrived"), (ward.units["post3"].id, "nothing")):
        with pytest.raises(NotFound):
            worklists.people(db, sofia, unit_id, TODAY, group, now=NOON)
    assert [unit.key for unit in worklists.units_of(db, sofia)] == ["post3"]
    kari = ward.patient()
    for read in (
        lambda: worklists.units_of(db, themselves(kari)),
        lambda: worklists.people(db, themselves(kari), kari.id, TODAY, "waiting", now=NOON),
        lambda: worklists.letters(db, themselves(kari), kari.id, now=NOON),
    ):
        with pytest.raises(NotAllowed):
            read()


def test_a_patients_letters_page_by_page(db: Session, ward: SmallWard, sofia: Actor) -> None:
    kari = ward.patient()
    ids = [letter(db, kari, NOON + timedelta(minutes=n)).id for n in range(7)]
    letter(db, kari, NOON, lane="code", kind="sign_in_code")
    failed = letter(db, kari, NOON, "failed", lane="code", kind="sign_in_code").id
    first = worklists.letters(db, sofia, kari.id, limit=5, now=NOON)
    rest = worklists.letters(db, sofia, kari.id, before=first.next, limit=5, now=NOON)
    assert [one.letter.id for one in (*first.rows, *rest.rows)] == [failed, *reversed(ids)]
    assert (len(first.rows), rest.next, first.follows) == (5, None, True)
    stranger = ward.colleague("Geir Nordgård", "post9")
    with pytest.raises(NotFound):
        worklists.letters(db, stranger, kari.id, now=NOON)


# --- quick --------------------------------------------------------------------------------------------------------------


@contextmanager
def statements(db: Session) -> Iterator[list[tuple[str, Any]]]:
    """What is sent meanwhile, with its values."""
    db.flush()
    db.expunge_all()
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        sent.append((statement, parameters))

    connection = db.connection()
    event.listen(connection, "before_cursor_execute", note)
    yield sent
    event.remove(connection, "before_cursor_execute", note)


MANY = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)"
    " INSERT INTO message ({names}) SELECT {values} FROM message, n WHERE message.id IN ({ids})",
    "postgresql": "INSERT INTO message ({names}) SELECT {values} FROM message, generate_series(1, 2500) AS n(i)"
    " WHERE message.id IN ({ids})",
}
AGO = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S.000000', next_attempt_at, '-' || (i * 200) || ' minutes')",
    "postgresql": "next_attempt_at - i * interval '200 minutes'",
}


def a_hundred_thousand(db: Session, backend: str, ward: SmallWard) -> None:
    """A year of letters to forty patients."""
    ids = [letter(db, ward.patient(units=("post3",)), NOON).id for _ in range(40)]
    changed = {"dedupe_key": "'many:' || message.id || ':' || i", "next_attempt_at": AGO[backend]}
    names = [column.name for column in Message.__table__.columns if column.name != "id"]
    values = [changed.get(name, name) for name in names]
    filled = MANY[backend].format(
        names=", ".join(names), values=", ".join(values), ids=", ".join(map(str, ids))
    )
    db.connection().exec_driver_sql(filled)


def test_among_a_hundred_thousand_letters_every_read_finds_its_index(
    db: Session, ward: SmallWard, sofia: Actor, backend: str
) -> None:
    kari = ward.patient()
    a_hundred_thousand(db, backend, ward)
    letter(db, kari, NOON, "undelivered", error_code="30003")
    claimed = load(db, [letter(db, kari, NOON, "queued").id])
    db.execute(text("ANALYZE message" if backend == "postgresql" else "ANALYZE"))
    post3 = ward.units["post3"]
    unit_id, kari_id = post3.id, kari.id
    reads: dict[str, tuple[Callable[[], object], str]] = {
        "days": (lambda: worklists.report(db, [post3], last=TODAY), "ix_message_day"),
        "today": (lambda: worklists.day_of(db, [post3], TODAY), "ix_message_day"),
        "people": (
            lambda: worklists.people(db, sofia, unit_id, TODAY, "not_arrived", now=NOON),
            "ix_message_day",
        ),
        "letters": (lambda: worklists.letters(db, sofia, kari_id, now=NOON), "ix_message_person"),
        "case": (lambda: worklists.case(db, sofia, kari_id, now=NOON), "ix_message_person"),
        "standing": (lambda: worklists.standing(db, NOON, ("sms",)), "ix_message_queued"),
        "sent lately": (lambda: message.sent_lately(db, claimed, NOON), "ix_message_person"),
    }
    for name, (read, index) in reads.items():
        with statements(db) as sent:
            assert read()
        sent = [one for one in sent if "FROM message" in one[0]]
        shown = "\n".join(plan(db, backend, *one) for one in sent)
        assert index in shown, (name, shown)
        assert not re.search(r"SCAN message(?! USING INDEX)|Seq Scan on message", shown), (name, shown)
        db.add(post3)


def plan(db: Session, backend: str, statement: str, parameters: Any) -> str:
    explain = "EXPLAIN " if backend == "postgresql" else "EXPLAIN QUERY PLAN "
    lines = db.connection().exec_driver_sql(explain + statement, parameters).all()
    return "\n".join(str(tuple(line)) for line in lines)


def test_the_desk_in_few_queries(db: Session, ward: SmallWard, sofia: Actor) -> None:
    kari = ward.patient()
    for state in MESSAGE_STATES:
        letter(db, kari, NOON, state)
    unit_id, kari_id = ward.units["post3"].id, kari.id

    def days() -> object:
        units = worklists.units_of(db, sofia)
        worklists.report(db, units, last=TODAY)
        worklists.day_of(db, units, TODAY)
        return worklists.standing(db, NOON, ("sms",))

    reads: dict[str, tuple[Callable[[], object], int]] = {
        "the page of the days": (days, 5),
        "people": (lambda: worklists.people(db, sofia, unit_id, TODAY, "waiting", now=NOON), 1),
        "letters": (lambda: worklists.letters(db, sofia, kari_id, now=NOON), 2),
        "standing": (lambda: worklists.standing(db, NOON, ("sms",)), 1),
        "worklist with its banner": (
            lambda: (worklists.worklist(db, sofia, now=NOON), worklists.standing(db, NOON, ("sms",))),
            MOST_QUERIES,
        ),
        "case": (lambda: worklists.case(db, sofia, kari_id, now=NOON), MOST_QUERIES),
    }
    for name, (read, most) in reads.items():
        with statements(db) as sent:
            assert read()
        assert len(sent) <= most, (name, len(sent))
