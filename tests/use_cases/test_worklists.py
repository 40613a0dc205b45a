"""What pages read: true, in order, only one's own, and in few queries."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.orm import Session

from companion import worklists
from companion.errors import NotAllowed, NotFound
from companion.models import Flag, Meeting, Message, Participant, Patient
from companion.rules.access import Actor
from companion.use_cases import check_in
from companion.use_cases.cases import flag, promise
from companion.worklists import desk
from tests.use_cases.small_ward import SmallWard, at, measure_id, themselves

PHYSIO = ("Fysioterapi to ganger i uken", "municipality", 5)
MOST_QUERIES = 6


@pytest.fixture
def ward(db: Session) -> SmallWard:
    return SmallWard(db)


@pytest.fixture
def johan(ward: SmallWard) -> Actor:
    return ward.colleague("Johan Bakk", "tromso-rehab")


@contextmanager
def counted(db: Session) -> Iterator[list[str]]:
    """The statements sent meanwhile; nothing is left in the session to answer from memory."""
    db.flush()
    db.expunge_all()
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    connection = db.connection()
    event.listen(connection, "before_cursor_execute", note)
    yield sent
    event.remove(connection, "before_cursor_execute", note)


def answered_badly(db: Session, ward: SmallWard, name: str = "Kari Nilsen", day: int = 7) -> Patient:
    """A patient whom nobody has contacted about the physiotherapy, and who says so."""
    patient = ward.patient(name, measures=(PHYSIO,))
    who, asked = themselves(patient), ward.check_in(patient, 7)
    asked.due_at = at(day)
    check_in.ask_due(db, at(day))
    about = f"measure.{measure_id(patient, db)}"
    said = {
        "how": "bad",
        f"{about}.started": "not_yet",
        f"{about}.why": "nobody_contacted",
        "worse": "no",
        "contact": "false",
    }
    for link_id, value in said.items():
        check_in.save(db, who, asked.id, link_id, [value], now=at(day, 11))
    check_in.finish(db, who, asked.id, now=at(day, 11))
    return patient


def met(db: Session, ward: SmallWard, patient: Patient, host: Actor, day: int) -> Meeting:
    meeting = Meeting(
        patient_id=patient.id,
        unit_id=ward.units["tromso-rehab"].id,
        host_id=host.id,
        starts_at=at(day),
        created_at=at(0),
        participants=[Participant(position=1, role="patient", patient_id=patient.id)],
    )
    db.add(meeting)
    db.flush()
    return meeting


# --- today ------------------------------------------------------------------------------------------------------------


def test_today_before_anything_is_asked(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(measures=(PHYSIO,))
    today = worklists.today(db, themselves(kari), now=at(1))
    assert (today.check_in, today.meeting, today.seen) == (None, None, [])
    assert today.next
    assert (today.next.check_in.day, today.next.at) == (7, at(7))
    assert [unit.key for unit in today.call] == ["tromso-rehab", "tromso-ke", "post3"]


def test_today_counts_the_questions_left(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(measures=(PHYSIO,))
    check_in.ask_due(db, at(7))
    assert worklists.today(db, themselves(kari), now=at(7)).question_count == 4
    check_in.save(db, themselves(kari), ward.check_in(kari, 7).id, "how", ["good"], now=at(7))
    today = worklists.today(db, themselves(kari), now=at(7))
    assert (today.question_count, today.may_postpone, today.next and today.next.at) == (3, True, at(30))


def test_today_tells_the_next_meeting_and_who_has_seen(db: Session, ward: SmallWard, johan: Actor) -> None:
    kari = answered_badly(db, ward)
    met(db, ward, kari, johan, 5)
    tomorrow = met(db, ward, kari, johan, 9)
    met(db, ward, kari, johan, 12)
    [raised] = worklists.worklist(db, johan, now=at(8)).rows
    flag.claim(db, johan, raised.flag.id, now=at(8))
    today = worklists.today(db, themselves(kari), now=at(8, 11))
    assert today.meeting
    assert today.meeting.id == tomorrow.id
    assert [seen.claimed_by.name for seen in today.seen if seen.claimed_by] == ["Johan Bakk"]
    assert today.measures[0].status == "not_started"


def test_today_in_few_queries(db: Session, ward: SmallWard, johan: Actor) -> None:
    kari = answered_badly(db, ward)
    met(db, ward, kari, johan, 9)
    check_in.ask_due(db, at(30))
    who = themselves(kari)
    with counted(db) as sent:
        today = worklists.today(db, who, now=at(30))
        assert today.check_in
        assert today.question_count
        assert today.patient.municipality.name
        assert [measure.status for measure in today.measures]
    assert len(sent) <= MOST_QUERIES


def test_a_question_in_few_queries(db: Session, ward: SmallWard) -> None:
    kari = ward.patient(measures=(PHYSIO, PHYSIO))
    check_in.ask_due(db, at(7))
    who, asked_id = themselves(kari), ward.check_in(kari, 7).id
    with counted(db) as sent:
        assert check_in.page(db, who, asked_id, None, now=at(7)).item.text
    assert len(sent) <= MOST_QUERIES


# --- the worklist -----------------------------------------------------------------------------------------------------


def many(db: Session, ward: SmallWard, number: int, unit: str = "tromso-rehab", state: str = "open") -> None:
    """Flags of one patient: every third red, two at a time at the same moment."""
    kari = ward.patient("Mange Varsler")
    db.execute(
        insert(Flag),
        [
            {
                "id": uuid4(),
                "patient_id": kari.id,
                "unit_id": ward.units[unit].id,
                "code": "no_answer" if n % 2 else "undeliverable",
                "level": "amber" if n % 3 else "red",
                "rank": 1 if n % 3 else 0,
                "params": {},
                "state": state,
                "opened_at": at(7) + timedelta(minutes=n // 2),
                "respond_by": at(8),
            }
            for n in range(number)
        ],
    )


def test_a_row_says_why_it_is_there(db: Session, ward: SmallWard, johan: Actor) -> None:
    kari = answered_badly(db, ward)
    [row] = worklists.worklist(db, johan, now=at(8)).rows
    assert (row.patient.id, row.age, row.municipality, row.template, row.day) == (
        kari.id,
        68,
        "Tromsø",
        "general",
        7,
    )
    assert (row.code, row.flag.level, row.answered) == ("nobody_contacted_overdue", "red", True)
    assert row.measure
    assert row.measure.title == "Fysioterapi to ganger i uken"


def test_red_first_oldest_first_page_by_page_nothing_lost(db: Session, ward: SmallWard, johan: Actor) -> None:
    many(db, ward, 25)
    seen: list[desk.Row] = []
    after = None
    for _ in range(20):
        page = worklists.worklist(db, johan, after=after, limit=3, now=at(8))
        seen += page.rows
        after = page.next
        if after is None:
            break
    places = [(row.flag.rank, row.flag.opened_at, row.flag.id.hex) for row in seen]
    assert places == sorted(places)
    assert len({row.flag.id for row in seen}) == 25
    assert page.oldest == at(7)


@pytest.mark.parametrize("after", ["", "x", "0.1", "0.1.nonsense", "9.99999999999999999999999." + "0" * 32])
def test_a_place_that_cannot_be_read_is_the_first_page(
    db: Session, ward: SmallWard, johan: Actor, after: str
) -> None:
    many(db, ward, 2)
    assert len(worklists.worklist(db, johan, after=after, now=at(8)).rows) == 2


def test_the_counts_are_what_the_filters_show(db: Session, ward: SmallWard, johan: Actor) -> None:
    many(db, ward, 10)
    many(db, ward, 5, unit="post3")
    many(db, ward, 5, state="closed")
    mine = worklists.worklist(db, johan, now=at(8)).rows[3].flag
    flag.claim(db, johan, mine.id, now=at(8))
    for filter in desk.FILTERS:
        page = worklists.worklist(db, johan, filter=filter, now=at(8))
        assert len(page.rows) == page.counts[filter] > 0, filter
    assert page.counts == {"all": 10, "overdue": 10, "mine": 1, "red": 4, "silent": 5, "undelivered": 5}
    assert worklists.menu_counts(db, johan, at(8)).worklist == 10


def test_a_case_taken_for_another_unit_is_mine_but_not_ours(
    db: Session, ward: SmallWard, johan: Actor
) -> None:
    kari = ward.patient()
    theirs = flag.raise_flag(db, kari, code="low_mood", level="red", unit=ward.units["post3"], now=at(7))
    flag.claim(db, johan, theirs.id, now=at(7))
    page = worklists.worklist(db, johan, filter="mine", now=at(8))
    assert ([row.flag.id for row in page.rows], page.counts["all"]) == ([theirs.id], 0)


def test_two_units_are_one_list(db: Session, ward: SmallWard) -> None:
    many(db, ward, 4)
    many(db, ward, 4, unit="post3")
    both = ward.colleague("Eva Lund", "post3", "tromso-rehab")
    rows = worklists.worklist(db, both, limit=5, now=at(8)).rows
    assert [row.flag.rank for row in rows] == [0, 0, 0, 0, 1]


def test_the_desk_is_for_professionals(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    for read in (
        worklists.worklist,
        worklists.call_list,
        worklists.coming_home,
        worklists.meetings,
        worklists.patients,
    ):
        with pytest.raises(NotAllowed):
            read(db, themselves(kari), now=at(8))
    with pytest.raises(NotFound):
        worklists.today(db, ward.colleague("Eva Lund", "post3"), now=at(8))


def test_nobody_in_no_unit_sees_anything(db: Session, ward: SmallWard, johan: Actor) -> None:
    many(db, ward, 3)
    loose = Actor("professional", johan.id, johan.level, johan.name)
    page = worklists.worklist(db, loose, now=at(8))
    assert (page.rows, page.counts["all"]) == ([], 0)
    assert worklists.patients(db, loose, now=at(8)).rows == []


def test_the_worklist_walks_the_partial_index(
    db: Session, ward: SmallWard, johan: Actor, backend: str
) -> None:
    many(db, ward, 2000, state="closed")
    many(db, ward, 600)
    many(db, ward, 600, unit="post3")
    db.flush()
    db.execute(text("ANALYZE flag" if backend == "postgresql" else "ANALYZE"))
    page = worklists.worklist(db, johan, limit=50, now=at(8))
    for after in (None, page.next):
        place = desk._read_place(after)
        walk = desk._of_units(sorted(johan.unit_ids), None, place, 51, at(8)).compile(
            db.connection(), compile_kwargs={"render_postcompile": True}
        )
        explain = "EXPLAIN " if backend == "postgresql" else "EXPLAIN QUERY PLAN "
        plan = db.connection().exec_driver_sql(explain + str(walk), _bound(walk, db)).all()
        shown = "\n".join(str(tuple(line)) for line in plan)
        assert "ix_flag_worklist" in shown, shown
        assert "Seq Scan" not in shown, shown
        assert "SCAN flag" not in shown, shown


def _bound(statement: Any, db: Session) -> Any:
    """The parameters as the driver wants them."""
    dialect = db.connection().dialect
    processed = {
        name: (process(value) if (process := statement._bind_processors.get(name)) else value)
        for name, value in statement.params.items()
    }
    return tuple(processed[name] for name in statement.positiontup) if dialect.positional else processed


def test_the_desk_in_few_queries(db: Session, ward: SmallWard, johan: Actor) -> None:
    kari = answered_badly(db, ward)
    met(db, ward, kari, johan, 9)
    many(db, ward, 10)
    reads: dict[str, Callable[[], object]] = {
        "worklist": lambda: worklists.worklist(db, johan, now=at(8)).rows[0].unit.name,
        "call list": lambda: worklists.call_list(db, johan, now=at(8))[0].patient.municipality.name,
        "patients": lambda: worklists.patients(db, johan, "kari", now=at(8)).rows[0].stay.ward.name,
        "meetings": lambda: worklists.meetings(db, johan, now=at(8))[0].participants[0].name,
        "coming home": lambda: worklists.coming_home(db, johan, now=at(0))[0].stay.ward.name,
        "case": lambda: worklists.case(db, johan, kari.id, now=at(8)).timeline[0].at,
        "menu": lambda: worklists.menu_counts(db, johan, at(8)),
    }
    for name, read in reads.items():
        with counted(db) as sent:
            assert read()
        assert len(sent) <= MOST_QUERIES, (name, len(sent))


# --- patients ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "search", ["kari", "NILSEN kari", "  nils ", "{phone}", "400 00 003", "{national_id}"]
)
def test_found_by_name_number_or_national_id(db: Session, ward: SmallWard, johan: Actor, search: str) -> None:
    kari = ward.patient("Kari Nilsen")
    ward.patient("Ola Hansen")
    kari.phone = kari.phone_index = "+4740000003"
    db.flush()
    typed = search.format(phone="+4740000003", national_id=kari.national_id)
    [row] = worklists.patients(db, johan, typed, now=at(8)).rows
    assert (row.patient.id, row.day, row.template, row.plan_state) == (kari.id, 8, "general", "active")


def test_patients_of_others_are_not_found_by_any_name(db: Session, ward: SmallWard) -> None:
    kari = ward.patient("Kari Nilsen")
    stranger = ward.colleague("Geir Nordgård", "post9")
    for search in ("", "kari", kari.phone or "", kari.national_id):
        assert worklists.patients(db, stranger, search, now=at(8)).rows == []


def test_patients_page_by_page(db: Session, ward: SmallWard, johan: Actor) -> None:
    everybody = {ward.patient(f"Nr {n}").id for n in range(7)}
    first = worklists.patients(db, johan, limit=5, now=at(8))
    second = worklists.patients(db, johan, after=first.next, limit=5, now=at(8))
    assert {row.patient.id for row in (*first.rows, *second.rows)} == everybody
    assert (len(first.rows), len(second.rows), second.next) == (5, 2, None)


def test_coming_home_and_home(db: Session, ward: SmallWard, johan: Actor) -> None:
    ward.patient(measures=(PHYSIO,))
    [row] = worklists.coming_home(db, johan, now=at(-2))
    assert (row.patient.name, row.stay.ward.key, row.measures[0].title) == ("Kari Nilsen", "post3", PHYSIO[0])
    assert worklists.coming_home(db, johan, now=at(1)) == []


def test_the_call_list_holds_the_silent(db: Session, ward: SmallWard) -> None:
    gerd = ward.patient(contact_by="call")
    nurse = ward.colleague("Sofia Berg", "post3")
    check_in.ask_due(db, at(7))
    [row] = worklists.call_list(db, nurse, now=at(7))
    assert (row.code, row.patient.phone) == ("call_due", gerd.phone)
    assert worklists.menu_counts(db, nurse, at(7)).call_list == 1


def test_the_case_tells_everything_newest_first(db: Session, ward: SmallWard, johan: Actor) -> None:
    kari = answered_badly(db, ward)
    [row] = worklists.worklist(db, johan, now=at(8)).rows
    flag.claim(db, johan, row.flag.id, now=at(8))
    flag.contact(db, johan, row.flag.id, "phone", True, "Time i morgen", now=at(8, 11))
    flag.close(db, johan, row.flag.id, "measure_started", now=at(8, 12))
    case = worklists.case(db, johan, kari.id, now=at(9))
    kinds = [entry.kind for entry in case.timeline]
    assert kinds[:3] == ["flag_closed", "flag_contact", "flag_claimed"]
    assert set(kinds[3:]) == {"answered", "flag_opened", "asked", "message"}
    assert [entry.at for entry in case.timeline] == sorted((e.at for e in case.timeline), reverse=True)
    [said] = case.answers.values()
    assert said[0][1] == "bad"
    assert case.open_flags == []


def test_a_case_of_somebody_else_is_not_there(db: Session, ward: SmallWard, johan: Actor) -> None:
    kari = ward.patient(units=("post3",))
    with pytest.raises(NotFound):
        worklists.case(db, johan, kari.id, now=at(8))
    flag.raise_flag(db, kari, code="low_mood", level="red", unit=ward.units["tromso-rehab"], now=at(7))
    assert worklists.case(db, johan, kari.id, now=at(8)).patient.id == kari.id


# --- what is due next -------------------------------------------------------------------------------------------------


def test_the_clock_stops_where_something_happens(db: Session, ward: SmallWard, johan: Actor) -> None:
    kari = ward.patient()
    met(db, ward, kari, johan, 20)
    assert worklists.next_due(db, at(0)) == at(7)
    check_in.ask_due(db, at(7))
    [letter] = db.query(Message).all()
    assert worklists.next_due(db, at(7)) == at(8)
    letter.state = "accepted"
    check_in.remind_due(db, at(8))
    for later in db.query(Message).all():
        later.state = "accepted"
    db.flush()
    assert worklists.next_due(db, at(8)) == at(10)
    check_in.give_up_due(db, at(10))
    # The ward is told that the time to look at the silence is nearly up, then that it is.
    assert worklists.next_due(db, at(10)) == at(15, 13)
    promise.climb_due(db, at(15, 13))
    assert worklists.next_due(db, at(15, 13)) == at(15, 15)
    db.query(Flag).one().state = "closed"
    db.flush()
    assert worklists.next_due(db, at(10)) == at(20)
    assert worklists.next_due(db, at(20)) == at(30)


def test_a_letter_that_waits_is_due_too(db: Session, ward: SmallWard) -> None:
    ward.patient()
    check_in.ask_due(db, at(7))
    db.query(Message).one().next_attempt_at = at(7, 12)
    assert worklists.next_due(db, at(7)) == at(7, 12)


def test_what_falls_on_a_day_off_is_due_when_it_is_asked(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    ward.check_in(kari, 7).due_at = at(12)
    check_in.ask_due(db, at(12))
    assert worklists.next_due(db, at(12)) == at(14)


def test_nothing_is_due_for_a_plan_that_rests(db: Session, ward: SmallWard) -> None:
    kari = ward.patient()
    ward.check_in(kari, 7).plan.state = "paused"
    assert worklists.next_due(db, at(0)) is None
