"""What staff and therapists work from: the worklist, the call list, their patients, who comes home, and meetings.

Names are sealed in the database, so a search by name reads the unit's patients, the latest `NAME_SEARCH_AT_MOST` of them,
and looks in memory. A telephone number or a national id is found exactly, by blind index, however many patients there are.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

import phonenumbers
from sqlalchemy import (
    ColumnElement,
    Date,
    Select,
    Uuid,
    and_,
    case,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session, aliased, joinedload

from companion.errors import NotAllowed
from companion.models import (
    CheckIn,
    Flag,
    Measure,
    Meeting,
    Participant,
    Patient,
    PatientUnit,
    Plan,
    Professional,
    Stay,
    Unit,
)
from companion.models.types import UtcDateTime
from companion.rules.access import Actor
from companion.rules.cadence import local_day
from companion.rules.names import matches
from companion.rules.triage import RANK
from companion.use_cases.cases.flag import NOT_CLOSED, follows
from companion.use_cases.check_in import written_by

Filter = Literal["all", "overdue", "mine", "red", "silent", "undelivered"]
FILTERS: tuple[Filter, ...] = ("all", "overdue", "mine", "red", "silent", "undelivered")
SILENT = ("no_answer", "not_asked", "call_due", "postponed_twice")
UNDELIVERED = ("undeliverable", "parked_message")
# Lists of cases; the others are lists of flags.
LED: tuple[Filter, ...] = ("all", "overdue", "mine", "red")
TO_CALL = (
    *SILENT,
    "rest_by_phone",
    "undeliverable",
    "tell_by_phone",
    "call_me",
    "no_show",
    "not_let_in",
    "meeting_declined",
)
NAME_SEARCH_AT_MOST = 5000
COMING_HOME_WITHIN = timedelta(days=14)
CALL_LIST_AT_MOST = 200
MEETING_STAYS_FOR = timedelta(hours=12)
UNSETTLED_STAYS_FOR = timedelta(days=14)


@dataclass(frozen=True)
class Also:
    """Another thing of the same answers, on the same line."""

    flag: Flag
    measure: Measure | None


@dataclass(frozen=True)
class Row:
    """A line of the worklist: a case. `day` is the check-in's, else days since discharge. `answered`: it has been, meanwhile.

    `written_by` asked on the telephone and wrote down the answers. `also` is what else the same answers gave the same unit to
    see to. `overdue`: something of it was to be seen to by now, whoever has taken it.
    """

    flag: Flag
    patient: Patient
    age: int
    municipality: str
    template: str
    day: int
    code: str
    params: dict[str, Any]
    quote: str | None
    measure: Measure | None
    check_in: CheckIn | None
    answered: bool
    written_by: Professional | None
    claimed_by: Professional | None
    unit: Unit
    overdue: bool
    also: tuple[Also, ...] = ()


@dataclass(frozen=True)
class Page:
    """A page of the worklist. `counts` by filter, and `oldest`, speak of the whole list; `next` asks for the page after.

    `version` is that of `pulse`.
    """

    rows: Sequence[Row]
    counts: dict[str, int]
    oldest: datetime | None
    version: str
    next: str | None


@dataclass(frozen=True)
class Pulse:
    """How the list stands, in one statement: `version` changes with what it shows, `new_red` came since the page was opened."""

    version: str
    new_red: int


@dataclass(frozen=True)
class PatientRow:
    """A patient in a list, with the latest stay and the number of their flags that are not closed."""

    patient: Patient
    age: int
    stay: Stay
    template: str
    plan_state: str
    day: int
    open_flags: int


@dataclass(frozen=True)
class PatientPage:
    """A page of patients; `bounded`: the search by name did not reach everybody."""

    rows: Sequence[PatientRow]
    next: str | None
    bounded: bool = False


@dataclass(frozen=True)
class ComingHome:
    """Somebody on the way home: when, from which ward, to what."""

    patient: Patient
    age: int
    stay: Stay
    template: str
    measures: Sequence[Measure]


@dataclass(frozen=True)
class MenuCounts:
    """The numbers beside the menu."""

    worklist: int
    red: int
    coming_home: int
    call_list: int
    meetings: int


# --- flags --------------------------------------------------------------------------------------------------------


def worklist(
    db: Session,
    who: Actor,
    *,
    filter: Filter = "all",
    after: str | None = None,
    limit: int = 50,
    now: datetime,
) -> Page:
    """The cases of the person's units that are not closed: overdue, red, oldest first; `mine` are those they have taken.

    What the same answers gave the same unit to see to is one case, shown by its gravest flag; `silent` and `undelivered` show
    each flag of theirs.

    `after` is the `next` of the page before; one that cannot be read gives the first page.
    """
    units = _units(who)
    place = _read_place(after)
    if filter == "mine":
        wanted = _taken_by(who, place, limit + 1, now)
    else:
        wanted = _of_units(units, _condition(filter), place, limit + 1, now, within=_RANGES.get(filter, _ALL))
    rows = _with_the_rest(db, _rows(db, wanted, now)) if filter in LED else _rows(db, wanted, now)
    counts, oldest, version = _counts(db, who, units, now)
    more = len(rows) > limit
    return Page(rows[:limit], counts, oldest, version, _place_of(rows[limit - 1]) if more else None)


def call_list(db: Session, who: Actor, *, now: datetime) -> Sequence[Row]:
    """Whom the person's units must phone: those who take no messages, do not answer or asked for it; overdue first, red first."""
    return _rows(db, _of_units(_units(who), Flag.code.in_(TO_CALL), None, CALL_LIST_AT_MOST, now), now)


def pulse(db: Session, who: Actor, *, since: datetime, now: datetime) -> Pulse:
    """How the list of the person's units stands, without reading it: cheap enough to ask every half minute."""
    ours = Flag.unit_id.in_(_units(who))
    new = and_(ours, Flag.rank == RANK["red"], Flag.state == "open", Flag.arrived_at > since, _leads())
    *state, new_red = db.execute(
        select(*_state(who, ours, now), _number(new)).where(
            NOT_CLOSED, or_(ours, Flag.claimed_by_id == who.id)
        )
    ).one()
    return Pulse(_version(state), new_red)


def _state(who: Actor, ours: ColumnElement[bool], now: datetime) -> list[ColumnElement[Any]]:
    """What changes when anything changes that the list shows."""
    return [
        _number(ours),
        _number(and_(ours, Flag.respond_by <= now)),
        _number(and_(ours, Flag.state == "claimed")),
        _number(Flag.claimed_by_id == who.id),
        func.max(case((ours, Flag.arrived_at))),
        func.max(case((ours, Flag.claimed_at))),
        func.min(case((ours, Flag.respond_by))),
        func.max(case((ours, Flag.respond_by))),
    ]


def _version(state: Sequence[object]) -> str:
    return sha256(repr(list(state)).encode()).hexdigest()[:12]


def menu_counts(db: Session, who: Actor, now: datetime) -> MenuCounts:
    """The numbers beside the menu, in one query."""
    units, today = _units(who), local_day(now)
    flags = _not_closed_in(units)
    numbers = db.execute(
        select(
            select(func.count()).where(flags, _leads()).scalar_subquery(),
            select(func.count()).where(flags, _leads(), Flag.rank == RANK["red"]).scalar_subquery(),
            select(func.count(Stay.id.distinct()))
            .select_from(Stay)
            .join(PatientUnit, PatientUnit.patient_id == Stay.patient_id)
            .where(*_on_the_way_home(units, today))
            .scalar_subquery(),
            select(func.count()).where(flags, Flag.code.in_(TO_CALL)).scalar_subquery(),
            select(func.count(Meeting.id)).where(_to_attend_to(units, now)).scalar_subquery(),
        )
    ).one()
    return MenuCounts(*numbers)


def _units(who: Actor) -> list[UUID]:
    if who.kind != "professional":
        raise NotAllowed("the desk is for professionals")
    return sorted(who.unit_ids)


def _condition(filter: Filter) -> ColumnElement[bool] | None:
    if filter == "silent":
        return Flag.code.in_(SILENT)
    return Flag.code.in_(UNDELIVERED) if filter == "undelivered" else _leads()


def _leads() -> ColumnElement[bool]:
    """The condition that no graver or earlier flag of the same answers stands before the same unit."""
    other = aliased(Flag)
    earlier = tuple_(other.opened_at, other.id) < tuple_(Flag.opened_at, Flag.id)
    return ~exists().where(
        other.check_in_id == Flag.check_in_id,
        # Not the bare column: SQLite would go through all that is open in the unit for each of its flags.
        func.coalesce(other.unit_id, Flag.unit_id) == Flag.unit_id,
        other.state != literal_column("'closed'"),
        or_(other.rank < Flag.rank, and_(other.rank == Flag.rank, earlier)),
    )


def _not_closed_in(units: Sequence[UUID]) -> ColumnElement[bool]:
    return and_(Flag.unit_id.in_(units), NOT_CLOSED)


Place = tuple[int, datetime, UUID]
# The list's parts in their order: overdue and red, overdue, red, the rest.
_ALL = (0, 1, 2, 3)
_RANGES: dict[Filter, tuple[int, ...]] = {"red": (0, 2), "overdue": (0, 1)}


def _overdue(now: datetime) -> ColumnElement[bool]:
    """The condition that the flag, or another of its case, was to be seen to by now."""
    other = aliased(Flag)
    also = exists().where(
        other.check_in_id == Flag.check_in_id,
        func.coalesce(other.unit_id, Flag.unit_id) == Flag.unit_id,
        other.state != literal_column("'closed'"),
        other.respond_by <= now,
    )
    return or_(Flag.respond_by <= now, also)


def _part(now: datetime) -> ColumnElement[int]:
    return case((_overdue(now), Flag.rank), else_=Flag.rank + 2)


def _of_units(
    units: Sequence[UUID],
    condition: ColumnElement[bool] | None,
    place: Place | None,
    limit: int,
    now: datetime,
    within: Iterable[int] = _ALL,
) -> Select[UUID]:
    """Ids in the order of the list, from `place` on.

    One branch per unit and part, each a short walk along the partial index: a single condition on (part, time, id) would make
    SQLite read all that lies before the place (`deep page` in the tests).
    """
    branches = []
    for unit in units:
        for part in within:
            if place and part < place[0]:
                continue
            late = _overdue(now) if part < 2 else ~_overdue(now)
            branch = select(Flag.id, literal(part).label("part"), Flag.opened_at).where(
                Flag.unit_id == unit, Flag.rank == part % 2, NOT_CLOSED, late
            )
            if condition is not None:
                branch = branch.where(condition)
            if place and part == place[0]:
                branch = branch.where(Flag.opened_at >= place[1], _later(place))
            branches.append(select(branch.order_by(Flag.opened_at, Flag.id).limit(limit).subquery()))
    if not branches:
        return select(Flag.id).where(literal(False))
    walk = union_all(*branches).subquery()
    return select(walk.c.id).order_by(walk.c.part, walk.c.opened_at, walk.c.id).limit(limit)


def _mine(who: Actor, now: datetime) -> ColumnElement[bool]:
    """What the person has taken and still has to do with: whoever changes unit leaves the cases there."""
    reached = or_(Flag.unit_id.in_(_units(who)), follows(who, Flag.patient_id, local_day(now)))
    return and_(Flag.claimed_by_id == who.id, Flag.state == "claimed", reached)


def _taken_by(who: Actor, place: Place | None, limit: int, now: datetime) -> Select[UUID]:
    mine, part = select(Flag.id).where(_mine(who, now), _leads()), _part(now)
    if place:
        mine = mine.where(or_(part > place[0], and_(part == place[0], _later(place))))
    return mine.order_by(part, Flag.opened_at, Flag.id).limit(limit)


def _later(place: Place) -> ColumnElement[bool]:
    return tuple_(Flag.opened_at, Flag.id) > tuple_(
        literal(place[1], UtcDateTime()), literal(place[2], Uuid())
    )


def _rows(db: Session, wanted: Select[UUID], now: datetime) -> list[Row]:
    part = _part(now)
    found = db.execute(
        select(Flag, CheckIn, Measure, Professional, part.label("part"))
        .outerjoin(CheckIn, CheckIn.id == Flag.check_in_id)
        .outerjoin(Measure, Measure.id == Flag.measure_id)
        .outerjoin(Professional, Professional.id == written_by(CheckIn.id))
        .where(Flag.id.in_(wanted))
        .order_by(part, Flag.opened_at, Flag.id)
        .options(
            joinedload(Flag.patient, innerjoin=True).joinedload(Patient.municipality, innerjoin=True),
            joinedload(Flag.unit, innerjoin=True),
            joinedload(Flag.from_unit),
            joinedload(Flag.claimed_by),
            joinedload(Measure.owner_unit),
        )
        .execution_options(populate_existing=True)
    ).all()
    stays = _latest_stays(db, {raised.patient_id for raised, *_ in found})
    today = local_day(now)
    return [
        _row(raised, check_in, measure, writer, place < 2, stays, today)
        for raised, check_in, measure, writer, place in found
    ]


def _with_the_rest(db: Session, rows: list[Row]) -> list[Row]:
    """Each line with what else belongs to its case."""
    shown = [row.flag.id for row in rows]
    check_ins = {row.flag.check_in_id for row in rows if row.flag.check_in_id}
    rest: dict[tuple[UUID | None, UUID], list[Also]] = defaultdict(list)
    for raised, measure in db.execute(
        select(Flag, Measure)
        .outerjoin(Measure, Measure.id == Flag.measure_id)
        .where(Flag.check_in_id.in_(check_ins), Flag.id.not_in(shown), NOT_CLOSED)
        .order_by(Flag.rank, Flag.opened_at, Flag.id)
    ):
        rest[raised.check_in_id, raised.unit_id].append(Also(raised, measure))
    return [replace(row, also=tuple(rest[row.flag.check_in_id, row.flag.unit_id])) for row in rows]


def _row(
    raised: Flag,
    check_in: CheckIn | None,
    measure: Measure | None,
    writer: Professional | None,
    overdue: bool,
    stays: dict[UUID, tuple[Stay, Plan]],
    today: date,
) -> Row:
    stay, plan = stays[raised.patient_id]
    return Row(
        flag=raised,
        patient=raised.patient,
        age=age(raised.patient, today),
        municipality=raised.patient.municipality.name,
        template=plan.template,
        day=check_in.day if check_in else (today - stay.discharged_on).days,
        code=raised.code,
        params=raised.params,
        quote=raised.quote,
        measure=measure,
        check_in=check_in,
        answered=check_in is not None and check_in.state == "answered",
        written_by=writer,
        claimed_by=raised.claimed_by,
        unit=raised.unit,
        overdue=overdue,
    )


def _counts(
    db: Session, who: Actor, units: Sequence[UUID], now: datetime
) -> tuple[dict[str, int], datetime | None, str]:
    ours = Flag.unit_id.in_(units)
    mine, lead = _mine(who, now), _leads()
    all_, overdue, mine_, red, silent, undelivered, oldest, *state = db.execute(
        select(
            _number(and_(ours, lead)),
            _number(and_(ours, lead, _overdue(now))),
            _number(and_(mine, lead)),
            _number(and_(ours, lead, Flag.rank == RANK["red"])),
            _number(and_(ours, Flag.code.in_(SILENT))),
            _number(and_(ours, Flag.code.in_(UNDELIVERED))),
            func.min(case((ours, Flag.opened_at))),
            *_state(who, ours, now),
        ).where(NOT_CLOSED, or_(ours, Flag.claimed_by_id == who.id))
    ).one()
    counts = {
        "all": all_,
        "overdue": overdue,
        "mine": mine_,
        "red": red,
        "silent": silent,
        "undelivered": undelivered,
    }
    return counts, oldest, _version(state)


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, 1)))


def _place_of(row: Row) -> str:
    part = row.flag.rank if row.overdue else row.flag.rank + 2
    return f"{part}.{row.flag.opened_at.timestamp() * 1_000_000:.0f}.{row.flag.id.hex}"


def _read_place(after: str | None) -> Place | None:
    try:
        part, moment, flag_id = (after or "").split(".")
        opened_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(moment))
        return {str(one): one for one in _ALL}[part], opened_at, UUID(flag_id)
    except (KeyError, ValueError, OverflowError):
        return None


# --- patients -----------------------------------------------------------------------------------------------------


def patients(
    db: Session, who: Actor, search: str = "", after: str | None = None, *, limit: int = 50, now: datetime
) -> PatientPage:
    """The patients the person's units follow, latest first; `search`: a name, a telephone number or a national id."""
    units, today = _units(who), local_day(now)
    following = (
        select(PatientUnit.patient_id, func.max(PatientUnit.since).label("since"))
        .where(_follows_today(units, today))
        .group_by(PatientUnit.patient_id)
        .subquery()
    )
    order = (following.c.since.desc(), following.c.patient_id)
    bounded = False
    listed = select(following.c.patient_id, following.c.since)
    if search.strip():
        ids, bounded = _matching(db, listed.order_by(*order), following, search)
        listed = listed.where(following.c.patient_id.in_(ids))
    if place := _read_patient_place(after):
        since, patient_id = place
        listed = listed.where(
            or_(
                following.c.since < literal(since, Date()),
                and_(
                    following.c.since == literal(since, Date()),
                    following.c.patient_id > literal(patient_id, Uuid()),
                ),
            )
        )
    found = db.execute(listed.order_by(*order).limit(limit + 1)).all()
    rows = _patient_rows(db, [patient_id for patient_id, _ in found[:limit]], today)
    more = len(found) > limit
    return PatientPage(rows, f"{found[limit - 1][1]}.{found[limit - 1][0].hex}" if more else None, bounded)


def coming_home(db: Session, who: Actor, *, now: datetime) -> Sequence[ComingHome]:
    """Who comes home today or within two weeks to what the person's units do, soonest first."""
    units, today = _units(who), local_day(now)
    found = (
        db.execute(
            select(Stay, Plan)
            .join(Plan, Plan.stay_id == Stay.id)
            .where(
                Stay.id.in_(
                    select(Stay.id)
                    .join(PatientUnit, PatientUnit.patient_id == Stay.patient_id)
                    .where(*_on_the_way_home(units, today))
                )
            )
            .order_by(Stay.discharged_on, Stay.id)
            .options(
                joinedload(Stay.patient, innerjoin=True).joinedload(Patient.municipality, innerjoin=True),
                joinedload(Stay.ward, innerjoin=True),
                joinedload(Stay.measures).joinedload(Measure.owner_unit),
                joinedload(Stay.measures).joinedload(Measure.statuses),
            )
        )
        .unique()
        .all()
    )
    return [
        ComingHome(stay.patient, age(stay.patient, today), stay, plan.template, stay.measures)
        for stay, plan in found
    ]


def meetings(db: Session, who: Actor, *, now: datetime) -> Sequence[Meeting]:
    """The meetings of the person's units, from this morning on, and those nobody wrote the end of; soonest first."""
    return (
        db.scalars(
            select(Meeting)
            .where(_my_meetings(who, now))
            .order_by(Meeting.starts_at, Meeting.id)
            .options(
                joinedload(Meeting.patient),
                joinedload(Meeting.host, innerjoin=True),
                joinedload(Meeting.unit, innerjoin=True),
                joinedload(Meeting.participants).joinedload(Participant.relative),
                joinedload(Meeting.participants).joinedload(Participant.patient),
                joinedload(Meeting.participants).joinedload(Participant.professional),
            )
        )
        .unique()
        .all()
    )


def age(patient: Patient, today: date) -> int:
    """Whole years."""
    born = patient.born
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _my_meetings(who: Actor, now: datetime) -> ColumnElement[bool]:
    return and_(
        or_(Meeting.unit_id.in_(_units(who)), _invited(who)),
        or_(Meeting.starts_at > now - MEETING_STAYS_FOR, _unsettled(now)),
    )


def _invited(who: Actor) -> ColumnElement[bool]:
    """A colleague's meeting to which the person has been invited."""
    return (
        select(Participant.id)
        .where(
            Participant.meeting_id == Meeting.id,
            Participant.professional_id == who.id,
            Participant.unit_id.in_(who.unit_ids),
            Participant.removed_at.is_(None),
        )
        .exists()
    )


def _to_attend_to(units: Sequence[UUID], now: datetime) -> ColumnElement[bool]:
    to_come = and_(Meeting.state == "offered", Meeting.starts_at > now)
    return and_(Meeting.unit_id.in_(units), or_(to_come, _unsettled(now)))


def _unsettled(now: datetime) -> ColumnElement[bool]:
    """It has been, and nobody has written how it went."""
    return and_(
        Meeting.state != "cancelled",
        Meeting.outcome.is_(None),
        Meeting.starts_at <= now,
        Meeting.starts_at > now - UNSETTLED_STAYS_FOR,
    )


def _on_the_way_home(units: Sequence[UUID], today: date) -> tuple[ColumnElement[bool], ...]:
    return (
        _follows_today(units, today),
        Stay.state == "open",
        Stay.discharged_on >= today,
        Stay.discharged_on <= today + COMING_HOME_WITHIN,
    )


def _follows_today(units: Sequence[UUID], today: date) -> ColumnElement[bool]:
    return and_(
        PatientUnit.unit_id.in_(units),
        PatientUnit.since <= today,
        or_(PatientUnit.until.is_(None), PatientUnit.until >= today),
    )


def _matching(db: Session, listed: Select[Any], following: Any, search: str) -> tuple[list[UUID], bool]:
    """The ids of the patients found, and whether there were more to look through."""
    digits = "".join(search.replace("(0)", "").split())
    exact = _exact(digits)
    if exact is not None:
        ids = db.scalars(select(Patient.id).where(exact, Patient.id.in_(select(following.c.patient_id))))
        return list(ids), False
    named = listed.add_columns(Patient.name).join(Patient, Patient.id == following.c.patient_id)
    looked_at = db.execute(named.limit(NAME_SEARCH_AT_MOST + 1)).all()
    ids_ = [patient_id for patient_id, _, name in looked_at[:NAME_SEARCH_AT_MOST] if matches(search, name)]
    return ids_, len(looked_at) > NAME_SEARCH_AT_MOST


def _exact(digits: str) -> ColumnElement[bool] | None:
    """A national id or a telephone number; None for anything else."""
    if not (digits.isascii() and digits.removeprefix("+").isdecimal()):
        return None
    if len(digits) == 11 and digits.isdecimal():
        return Patient.national_id_index == digits
    try:
        number = phonenumbers.parse(digits, "NO")
    except phonenumbers.NumberParseException:
        return None
    return Patient.phone_index == phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _patient_rows(db: Session, ids: Sequence[UUID], today: date) -> list[PatientRow]:
    stays = _latest_stays(db, set(ids))
    open_flags = {
        patient_id: number
        for patient_id, number in db.execute(
            select(Flag.patient_id, func.count())
            .where(Flag.patient_id.in_(ids), NOT_CLOSED)
            .group_by(Flag.patient_id)
        )
    }
    return [
        PatientRow(
            patient=stay.patient,
            age=age(stay.patient, today),
            stay=stay,
            template=plan.template,
            plan_state=plan.state,
            day=(today - stay.discharged_on).days,
            open_flags=open_flags.get(patient_id, 0),
        )
        for patient_id in ids
        for stay, plan in [stays[patient_id]]
    ]


def _latest_stays(db: Session, patient_ids: set[UUID]) -> dict[UUID, tuple[Stay, Plan]]:
    """Each patient's latest stay with its plan; patient, municipality and ward come along."""
    found = db.execute(
        select(Stay, Plan)
        .join(Plan, Plan.stay_id == Stay.id)
        .where(Stay.patient_id.in_(patient_ids))
        .order_by(Stay.discharged_on, Stay.created_at)
        .options(
            joinedload(Stay.patient, innerjoin=True).joinedload(Patient.municipality, innerjoin=True),
            joinedload(Stay.ward, innerjoin=True),
        )
    )
    return {stay.patient_id: (stay, plan) for stay, plan in found}


def _read_patient_place(after: str | None) -> tuple[date, UUID] | None:
    try:
        since, patient_id = (after or "").split(".")
        return date.fromisoformat(since), UUID(patient_id)
    except ValueError:
        return None
