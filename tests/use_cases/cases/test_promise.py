"""A promise drives something: overdue is seen, climbs one step at a time, and no case lies with nobody."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session

from companion import worklists
from companion.errors import Invalid
from companion.models import CheckIn, Flag, FlagEvent, Membership, Patient, Professional, Unit
from companion.rules.access import Actor
from companion.use_cases.cases import flag, promise, written_words
from companion.use_cases.people import at_work
from tests import cast
from web.desk.words.cases import FLAGS

OWNERS = (
    "hospital",
    "ward",
    "art",
    "municipality",
    "municipal_rehab",
    "coordinating_unit",
    "gp",
    "nav",
    "patient",
)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """So many days after Tuesday 10 November, on the clock in Tromsø."""
    return datetime(2026, 11, 9, 23, minute, tzinfo=UTC) + timedelta(days=day, hours=hour)


@pytest.fixture
def ward(db: Session, now: datetime) -> cast.Ward:
    return cast.ward(db, now - timedelta(days=30))


@pytest.fixture
def kari(db: Session, ward: cast.Ward, now: datetime) -> Patient:
    return cast.send_home(
        db,
        cast.IMPORT,
        now - cast.days(14),
        cast.kari_fields(now - cast.days(14)),
        (cast.PHYSIO, cast.ART_VISIT),
    ).stay.patient


def raised_for(
    db: Session, kari: Patient, unit: Unit, level: str = "red", code: str = "wants_contact"
) -> Flag:
    return flag.raise_flag(db, kari, code=code, level=level, unit=unit, now=at(0, 10))


def told(db: Session, raised: Flag) -> list[tuple[str, str | None, str | None]]:
    """What the timeline says happened by itself, in its order."""
    events = select(FlagEvent).where(FlagEvent.flag_id == raised.id).order_by(FlagEvent.at)
    return [(one.kind, one.outcome, one.text) for one in db.scalars(events) if one.by_id is None]


def leave(db: Session, who: Actor, now: datetime) -> None:
    person = db.get_one(Professional, who.id)
    at_work.leave(db, person.national_id, now=now)


def leader(db: Session, ward: cast.Ward, now: datetime) -> Actor:
    return cast.professional(db, "Kristin Moe", "avdelingssykepleier", ward.post3, role="leader", now=now)


# --- overdue ----------------------------------------------------------------------------------------------------------


def test_overdue_is_counted_first_and_filterable_also_when_somebody_has_claimed_it(
    db: Session, ward: cast.Ward, kari: Patient
) -> None:
    late = raised_for(db, kari, ward.tromso, "amber", "high_fatigue")
    flag.claim(db, ward.johan, late.id, now=at(0, 11))
    fresh = flag.raise_flag(db, kari, code="clearly_worse", level="red", unit=ward.tromso, now=at(3, 14))
    before = worklists.worklist(db, ward.johan, now=at(3, 14, 59))
    assert ([row.flag.id for row in before.rows], before.counts["overdue"]) == ([fresh.id, late.id], 0)
    after = worklists.worklist(db, ward.johan, now=at(3, 15))
    assert ([row.flag.id for row in after.rows], after.counts["overdue"]) == ([late.id, fresh.id], 1)
    assert [row.overdue for row in after.rows] == [True, False]
    [only] = worklists.worklist(db, ward.johan, filter="overdue", now=at(3, 15)).rows
    assert only.flag.id == late.id


def test_page_by_page_overdue_first_and_nothing_is_lost(db: Session, ward: cast.Ward, kari: Patient) -> None:
    for number in range(9):
        level = "red" if number % 3 == 0 else "amber"
        flag.raise_flag(db, kari, code=f"code_{number}", level=level, unit=ward.tromso, now=at(-number, 10))
    seen: list[worklists.desk.Row] = []
    after = None
    while page := worklists.worklist(db, ward.johan, after=after, limit=2, now=at(0, 11)):
        seen += page.rows
        if (after := page.next) is None:
            break
    assert len({row.flag.id for row in seen}) == 9
    places = [(not row.overdue, row.flag.rank, row.flag.opened_at) for row in seen]
    assert places == sorted(places)


def test_a_case_is_overdue_when_anything_of_it_is(db: Session, ward: cast.Ward, kari: Patient) -> None:
    """The red one came later, of the same check-in, and leads: the old amber one still puts the case first."""
    asked = db.scalars(select(CheckIn).where(CheckIn.patient_id == kari.id)).first()
    for level, code, opened in (("amber", "no_answer", at(0, 10)), ("red", "low_mood", at(3, 14))):
        flag.raise_flag(db, kari, code=code, level=level, unit=ward.tromso, now=opened, check_in=asked)
    [row] = worklists.worklist(db, ward.johan, now=at(3, 16)).rows
    assert (row.code, row.overdue) == ("low_mood", True)


def test_reaching_the_person_gives_time_trying_does_not(db: Session, ward: cast.Ward, kari: Patient) -> None:
    raised = raised_for(db, kari, ward.tromso)
    flag.claim(db, ward.johan, raised.id, now=at(0, 11))
    flag.contact(db, ward.johan, raised.id, "phone", False, now=at(0, 12))
    assert raised.respond_by == at(0, 15)
    flag.contact(db, ward.johan, raised.id, "phone", True, now=at(0, 13))
    db.refresh(raised)
    assert (raised.respond_by, raised.promised_by) == (at(3, 15), at(0, 15))
    assert promise.climb_due(db, at(0, 16)) == 0


def test_moving_does_not_renew_the_time_unless_somebody_says_why(
    db: Session, ward: cast.Ward, kari: Patient
) -> None:
    raised = raised_for(db, kari, ward.tromso)
    flag.move(db, ward.johan, raised.id, ward.coordinating.id, now=at(0, 14))
    assert raised.respond_by == at(0, 15)
    flag.move(db, ward.marit, raised.id, ward.tromso.id, "Byttet telefon i dag", now=at(0, 14))
    assert (raised.respond_by, raised.promised_by) == (at(1, 15), at(0, 15))
    events = db.scalars(select(FlagEvent).where(FlagEvent.flag_id == raised.id, FlagEvent.kind == "renewed"))
    assert [event.text for event in events] == ["Byttet telefon i dag"]


@pytest.mark.parametrize(
    ("day", "reason", "problems"),
    [
        (None, "", {"until": "missing", "reason": "missing"}),
        (date(2026, 11, 14), "Helga", {"until": "not_a_time_limit"}),
        (date(2026, 11, 9), "I går", {"until": "not_a_time_limit"}),
        (date(2027, 11, 9), "Om et år", {"until": "not_a_time_limit"}),
        (date(2026, 11, 12), " ", {"reason": "missing"}),
    ],
)
def test_more_time_takes_a_working_day_and_a_reason(
    db: Session, ward: cast.Ward, kari: Patient, day: date | None, reason: str, problems: dict[str, str]
) -> None:
    raised = raised_for(db, kari, ward.tromso)
    with pytest.raises(Invalid) as refused:
        flag.renew(db, ward.johan, raised.id, day, reason, now=at(0, 11))
    assert refused.value.problems == problems
    flag.renew(db, ward.johan, raised.id, date(2026, 11, 12), "Venter på fastlegen", now=at(0, 11))
    assert raised.respond_by == at(2, 15)


# --- climbing ---------------------------------------------------------------------------------------------------------


def test_an_overdue_case_climbs_one_step_at_a_time_and_each_stands_on_its_timeline(
    db: Session, ward: cast.Ward, kari: Patient
) -> None:
    leader(db, ward, at(-1, 10))
    raised = raised_for(db, kari, ward.tromso)
    flag.claim(db, ward.johan, raised.id, now=at(0, 11))
    climbed = []
    for day in range(4):
        for hour in range(24):
            if promise.climb_due(db, at(day, hour)):
                db.refresh(raised)
                climbed.append((day, hour, raised.rung, raised.unit.key, raised.state))
    assert climbed == [
        (0, 13, "soon", "tromso-rehab", "claimed"),
        (0, 15, "person", "tromso-rehab", "claimed"),
        (1, 9, "unit", "tromso-rehab", "open"),
        (1, 13, "ward", "unn-post3", "open"),
        (2, 9, "coordinating_unit", "tromso-ke", "open"),
        (2, 13, "leader", "unn-post3", "open"),
        # Nothing is left of the ladder: it stays where the leader is, first in the list.
        (3, 9, "leader", "unn-post3", "open"),
    ]
    assert told(db, raised) == [
        ("opened", None, None),
        ("soon", None, "Rehabiliteringsteamet, Tromsø"),
        ("overdue", "person", "Johan Bakk"),
        ("overdue", "unit", "Rehabiliteringsteamet, Tromsø"),
        ("overdue", "ward", "Post 3, UNN Tromsø"),
        ("overdue", "coordinating_unit", "Koordinerende enhet, Tromsø"),
        ("overdue", "leader", "Kristin Moe"),
    ]
    assert (raised.seen_by_id, raised.seen_at, raised.next_step_at) == (ward.johan.id, at(0, 11), None)


def test_a_tick_that_comes_days_late_takes_one_step_and_gives_people_time(
    db: Session, ward: cast.Ward, kari: Patient
) -> None:
    raised = raised_for(db, kari, ward.tromso)
    assert promise.climb_due(db, at(6, 11)) == 1
    assert promise.climb_due(db, at(6, 11)) == 0
    db.refresh(raised)
    assert (raised.rung, raised.unit.key, raised.next_step_at) == ("unit", "tromso-rehab", at(6, 13))


def test_the_steps_are_a_setting(db: Session, ward: cast.Ward, kari: Patient) -> None:
    raised = raised_for(db, kari, ward.tromso)
    for day, hour in ((0, 15), (1, 9), (1, 13)):
        promise.climb_due(db, at(day, hour), ("ward",))
    db.refresh(raised)
    assert (raised.rung, raised.unit.key, raised.next_step_at) == ("ward", "unn-post3", None)


def test_the_whole_case_climbs_together(db: Session, ward: cast.Ward, kari: Patient) -> None:
    asked = db.scalars(select(CheckIn).where(CheckIn.patient_id == kari.id)).first()
    for level, code in (("red", "low_mood"), ("amber", "high_fatigue")):
        flag.raise_flag(db, kari, code=code, level=level, unit=ward.tromso, now=at(0, 10), check_in=asked)
    for day, hour in ((0, 15), (1, 9)):
        assert promise.climb_due(db, at(day, hour)) == 2
    [row] = worklists.worklist(db, ward.sofia, now=at(1, 10)).rows
    assert (row.code, [one.flag.code for one in row.also]) == ("low_mood", ["high_fatigue"])


def test_two_dispatchers_at_once_take_one_step(engine: Engine, db: Session, now: datetime) -> None:
    """Both read the case as due; the second changes nothing and says nothing."""
    ward = cast.ward(db, now - timedelta(days=30))
    raised = raised_for(db, cast.kari(db, now - cast.days(14)), ward.tromso)
    db.commit()
    with Session(engine) as first:
        assert promise.climb_due(first, at(0, 15)) == 1
        if engine.dialect.name == "postgresql":
            with Session(engine) as second:
                assert promise.climb_due(second, at(0, 15)) == 0
        first.commit()
    with Session(engine) as later:
        assert promise.climb_due(later, at(0, 15)) == 0
    assert [kind for kind, *_ in told(db, raised)] == ["opened", "overdue"]


def test_an_overdue_case_that_is_moved_climbs_on_from_there(
    db: Session, ward: cast.Ward, kari: Patient
) -> None:
    raised = raised_for(db, kari, ward.tromso)
    promise.climb_due(db, at(0, 15))
    flag.move(db, ward.johan, raised.id, ward.coordinating.id, now=at(0, 16))
    promise.climb_due(db, at(1, 9))
    db.refresh(raised)
    assert (raised.rung, raised.unit.key) == ("ward", "unn-post3")


# --- nobody -----------------------------------------------------------------------------------------------------------


def staffed(db: Session, unit_id: object) -> bool:
    working = (
        select(Membership.id)
        .join(Professional)
        .where(Membership.unit_id == unit_id, Professional.left_at.is_(None))
    )
    return db.scalars(working).first() is not None


@pytest.mark.parametrize("empty", ["post3", "art", "tromso", "coordinating"])
def test_every_kind_of_case_has_somebody_whichever_unit_is_empty(
    db: Session, ward: cast.Ward, kari: Patient, empty: str
) -> None:
    """Every kind of flag × every owner × every unit without people; the wanted unit when it has some, else the next one."""
    without: Unit = getattr(ward, empty)
    db.execute(delete(Membership).where(Membership.unit_id == without.id))
    for owner in OWNERS:
        wanted = flag.owner_unit(db, kari, owner)
        for code in FLAGS:
            raised = raised_for(db, kari, wanted, code=code)
            assert staffed(db, raised.unit_id), (code, owner)
            kept = raised.unit_id == wanted.id
            assert kept is (wanted.id != without.id), (code, owner)
            assert raised.because == (None if kept else "nobody")
        db.execute(delete(FlagEvent))
        db.execute(delete(Flag))


def test_staff_see_why_a_case_came_to_them(db: Session, ward: cast.Ward, kari: Patient) -> None:
    leave(db, ward.johan, at(-1, 10))
    raised = raised_for(db, kari, ward.tromso)
    assert (raised.unit.key, raised.from_unit_id) == ("unn-post3", ward.tromso.id)
    assert told(db, raised) == [("opened", "nobody", "Rehabiliteringsteamet, Tromsø")]


def gone(db: Session, who: Actor) -> None:
    leave(db, who, at(0, 12))


def out_of_the_unit(db: Session, who: Actor) -> None:
    at_work.leave(db, db.get_one(Professional, who.id).national_id, "tromso-rehab", now=at(0, 12))


def on_leave(db: Session, who: Actor) -> None:
    number = db.get_one(Professional, who.id).national_id
    at_work.away(db, number, date(2026, 11, 10), date(2026, 11, 20), now=at(0, 12))


@pytest.mark.parametrize("goes", [gone, out_of_the_unit, on_leave])
def test_when_the_last_one_goes_the_cases_go_to_the_next_unit_at_once(
    db: Session, ward: cast.Ward, kari: Patient, goes: Callable[[Session, Actor], None]
) -> None:
    raised = raised_for(db, kari, ward.tromso)
    flag.claim(db, ward.johan, raised.id, now=at(0, 11))
    goes(db, ward.johan)
    db.refresh(raised)
    assert (raised.unit.key, raised.state, raised.because) == ("unn-post3", "open", "nobody")
    assert raised.respond_by == at(0, 15)
    assert told(db, raised)[1:] == [
        ("released", "away", None),
        ("moved", "nobody", "Post 3, UNN Tromsø"),
    ]


def test_leave_that_begins_later_is_noticed_by_the_tick(db: Session, ward: cast.Ward, kari: Patient) -> None:
    raised = raised_for(db, kari, ward.tromso, "amber")
    number = db.get_one(Professional, ward.johan.id).national_id
    at_work.away(db, number, date(2026, 11, 12), now=at(0, 12))
    assert promise.hand_on(db, at(1, 12)) == 0
    assert promise.hand_on(db, at(2, 8)) == 1
    assert promise.hand_on(db, at(2, 8)) == 0
    db.refresh(raised)
    assert raised.unit.key == "unn-post3"
    at_work.back(db, number)
    assert raised_for(db, kari, ward.tromso, code="low_mood").unit.key == "tromso-rehab"


def test_a_colleague_who_is_left_keeps_the_unit_its_case(db: Session, ward: cast.Ward, kari: Patient) -> None:
    cast.professional(db, "Tone Vik", "ergoterapeut", ward.tromso, now=at(-1, 10))
    raised = raised_for(db, kari, ward.tromso)
    flag.claim(db, ward.johan, raised.id, now=at(0, 11))
    leave(db, ward.johan, at(0, 12))
    db.refresh(raised)
    assert (raised.unit.key, raised.state, raised.claimed_by_id) == ("tromso-rehab", "open", None)


@pytest.mark.parametrize("colleague", ["johan", "sofia"])
def test_what_somebody_at_work_has_taken_stays_theirs(
    db: Session, ward: cast.Ward, kari: Patient, colleague: str
) -> None:
    """Also a colleague of another unit that follows the person."""
    who: Actor = getattr(ward, colleague)
    raised = raised_for(db, kari, ward.tromso)
    flag.claim(db, who, raised.id, now=at(0, 11))
    assert promise.hand_on(db, at(0, 12)) == 0
    db.refresh(raised)
    assert (raised.state, raised.claimed_by_id) == ("claimed", who.id)


def test_whoever_changes_unit_leaves_the_case_to_the_others(
    db: Session, ward: cast.Ward, kari: Patient
) -> None:
    cast.professional(db, "Tone Vik", "ergoterapeut", ward.tromso, now=at(-1, 10))
    raised = raised_for(db, kari, ward.tromso)
    flag.claim(db, ward.johan, raised.id, now=at(0, 11))
    theirs = Membership.professional_id == ward.johan.id
    db.execute(update(Membership).where(theirs).values(unit_id=ward.harstad.id))
    assert promise.hand_on(db, at(0, 12)) == 1
    db.refresh(raised)
    assert (raised.unit.key, raised.state) == ("tromso-rehab", "open")


def test_nobody_hands_a_case_to_nobody(db: Session, ward: cast.Ward, kari: Patient) -> None:
    raised = raised_for(db, kari, ward.tromso)
    leave(db, ward.marit, at(0, 11))
    with pytest.raises(Invalid) as refused:
        flag.move(db, ward.johan, raised.id, ward.coordinating.id, now=at(0, 12))
    assert refused.value.problems == {"unit": "nobody_there"}


def test_where_nobody_works_anywhere_a_case_stays_and_the_tick_ends(
    db: Session, ward: cast.Ward, kari: Patient
) -> None:
    db.execute(delete(Membership))
    raised = raised_for(db, kari, ward.tromso)
    assert promise.hand_on(db, at(0, 12)) == 0
    assert raised.unit.key == "tromso-rehab"


# --- the open list ----------------------------------------------------------------------------------------------------


def test_an_open_list_asks_one_statement_and_hears_of_what_changed(
    db: Session, ward: cast.Ward, kari: Patient
) -> None:
    raised_for(db, kari, ward.tromso, "amber", "high_fatigue")
    opened = at(0, 10)
    known = worklists.worklist(db, ward.johan, now=opened).version
    with cast.statements(db) as sent:
        quiet = worklists.pulse(db, ward.johan, since=opened, now=at(0, 11))
    assert (quiet.version, quiet.new_red, len(sent)) == (known, 0, 1)
    red = flag.raise_flag(db, kari, code="low_mood", level="red", unit=ward.tromso, now=at(0, 11))
    heard = worklists.pulse(db, ward.johan, since=opened, now=at(0, 11))
    assert (heard.version != known, heard.new_red) == (True, 1)
    flag.claim(db, ward.johan, red.id, now=at(0, 12))
    seen = worklists.pulse(db, ward.johan, since=opened, now=at(0, 12))
    assert (seen.version != heard.version, seen.new_red) == (True, 0)
    late = worklists.pulse(db, ward.johan, since=opened, now=at(0, 15))
    assert late.version != seen.version


def test_more_words_to_a_case_that_waits_are_heard_as_a_new_one(
    db: Session, ward: cast.Ward, kari: Patient
) -> None:
    def writes(words: str, now: datetime) -> Flag:
        [raised] = written_words.tell(db, [kari], "crisis_words", "red", words, now=now, by="web")
        return raised

    first = writes("Jeg orker ikke mer", at(0, 10))
    before = worklists.pulse(db, ward.marit, since=at(0, 10, 30), now=at(0, 10, 30))
    again = writes("Nå går det ikke lenger", at(0, 11))
    assert (again.id, again.respond_by) == (first.id, at(0, 15))
    owner = ward.johan if again.unit_id == ward.tromso.id else ward.siri
    heard = worklists.pulse(db, owner, since=at(0, 10, 30), now=at(0, 11))
    assert (before.new_red, heard.new_red) == (0, 1)
