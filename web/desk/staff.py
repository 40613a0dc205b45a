"""The desk's lists: the worklist, patients, who comes home, whom to ring, meetings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi.responses import HTMLResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from companion import worklists
from companion.models import Grant, Meeting, Participant
from companion.rules.access import Actor, Level
from companion.rules.cadence import local_day
from companion.use_cases import meetings as meet
from companion.use_cases.check_in import may_be_phoned
from companion.use_cases.people.reach import in_force
from companion.worklists.desk import SILENT, UNDELIVERED, Filter, Row
from web.desk import letters
from web.desk.words import Say, Sentences
from web.desk.words.meetings import ANSWERS, MEETING_OUTCOMES
from web.desk.words.plans import PLAN_STATES
from web.house import pages
from web.house.deps import Audit, Db, Now, Page, Pages, Posted, Seen, TheHouse, Who, new_router
from web.house.security import access
from web.house.words import _

router = new_router()

FILTERS: tuple[tuple[Filter, str], ...] = (
    ("all", _("Alle")),
    ("overdue", _("Over fristen")),
    ("mine", _("Mine")),
    ("red", _("Rødt")),
    ("silent", _("Stille")),
    ("undelivered", _("Ikke levert")),
)
_LONGEST_SEARCH = 100


@dataclass(frozen=True)
class Line:
    """A case as a line: who, why it is here, what else the same answers said, what is known, and what to do next."""

    row: Row
    about: str
    what: str
    also: tuple[str, ...]
    why: str
    action: Literal["claim", "ring", "number", "open"]
    may_ask: bool

    @property
    def href(self) -> str:
        """The case in front of this flag."""
        return f"/staff/patients/{self.row.patient.id}#flag-{self.row.flag.id}"

    @property
    def questions(self) -> str:
        """Where the questions are asked on the telephone."""
        return f"/staff/check-ins/{self.row.flag.check_in_id}"


@router.get("/staff")
@access("professional", Level.high, patient_data=True)
def worklist(
    db: Db,
    who: Who,
    now: Now,
    page: Page,
    say: Say,
    seen: Seen,
    house: TheHouse,
    show: Filter = "all",
    after: str = "",
) -> HTMLResponse:
    """Overdue first, red first, oldest first."""
    post = letters.banner(worklists.standing(db, now, house.ways.by_receipt), say, house.ways)
    shown = _worklist(db, who, now, say, seen, show, after)
    return page("desk/worklist.html", post=post, since=_stamp(now), new_red=0, **shown)


@router.get("/staff/fresh")
@access("professional", Level.high, patient_data=True)
def fresh(
    db: Db,
    who: Who,
    now: Now,
    page: Page,
    say: Say,
    seen: Seen,
    show: Filter = "all",
    known: str = "",
    since: int = 0,
) -> Response:
    """For a list that stays open: its time while nothing has changed, else the list, and how many red cases are new."""
    opened = datetime.fromtimestamp(min(max(since, 0), _stamp(now)), tz=now.tzinfo)
    found = worklists.pulse(db, who, since=opened, now=now)
    if found.version == known:
        return Response(status_code=204, headers={"X-Fresh": pages.say_clock(now, lang=say.lang)})
    shown = _worklist(db, who, now, say, seen, show, "")
    return page("desk/_fresh.html", since=_stamp(opened), new_red=found.new_red, **shown)


def _stamp(moment: datetime) -> int:
    return int(moment.timestamp())


def _worklist(
    db: Session, who: Actor, now: datetime, say: Sentences, seen: Audit, show: Filter, after: str
) -> dict[str, Any]:
    """A page of the list, and what stands around it."""
    found = worklists.worklist(db, who, filter=show, after=after or None, now=now)
    seen.each((row.patient.id for row in found.rows), "worklist.read", f"cases:{len(found.rows)}")
    return {
        "lines": _lines(db, found.rows, who.id, say, now),
        "counts": found.counts,
        "version": found.version,
        "filters": [
            {
                "href": f"/staff?show={key}",
                "word": say(word),
                "count": found.counts[key],
                "current": key == show,
            }
            for key, word in FILTERS
        ],
        "oldest": (local_day(now) - local_day(found.oldest)).days if found.oldest else None,
        "show": show,
        "first": not after,
        "next": f"/staff?show={show}&after={found.next}" if found.next else None,
    }


@router.get("/staff/calls")
@access("professional", Level.high, patient_data=True)
def call_list(db: Db, who: Who, now: Now, page: Page, say: Say, seen: Seen) -> HTMLResponse:
    """Whom somebody must phone: no SMS wished or possible, no answer, or they asked for it."""
    rows = worklists.call_list(db, who, now=now)
    seen.each((row.patient.id for row in rows), "call_list.read", f"cases:{len(rows)}")
    return page("desk/call_list.html", lines=_lines(db, rows, who.id, say, now))


@router.get("/staff/patients")
@access("professional", Level.high, patient_data=True)
def patients(db: Db, who: Who, now: Now, page: Page, say: Say, seen: Seen, after: str = "") -> HTMLResponse:
    """Everybody the person's units follow."""
    return _patients(db, who, now, page, say, seen, "", after)


@router.post("/staff/patients")
@access("professional", Level.high, patient_data=True)
def search(db: Db, who: Who, now: Now, page: Page, say: Say, seen: Seen, posted: Posted) -> HTMLResponse:
    """A search is posted: a name or a national id must not stand in an address."""
    return _patients(db, who, now, page, say, seen, posted.get("search", "")[:_LONGEST_SEARCH], "")


def _patients(
    db: Session, who: Actor, now: datetime, page: Pages, say: Sentences, seen: Audit, search: str, after: str
) -> HTMLResponse:
    found = worklists.patients(db, who, search, after or None, now=now)
    seen.each((row.patient.id for row in found.rows), "patients.read", f"patients:{len(found.rows)}")
    rows = [
        {
            "patient": row.patient,
            "who": f"{row.patient.name}, {row.age}",
            "about": " · ".join((row.patient.municipality.name, say.group(row.template), _day(row.day, say))),
            "plan": say.pair(PLAN_STATES, row.plan_state),
            "flags": row.open_flags,
            "died_on": row.patient.died_on,
            "ward": row.stay.ward.name,
        }
        for row in found.rows
    ]
    return page(
        "desk/patients.html",
        rows=rows,
        search=search,
        bounded=found.bounded,
        first=not after,
        next=f"/staff/patients?after={found.next}" if found.next and not search else None,
        more=bool(found.next),
    )


@router.get("/staff/coming-home")
@access("professional", Level.high, patient_data=True)
def coming_home(db: Db, who: Who, now: Now, page: Page, say: Say, seen: Seen) -> HTMLResponse:
    """Who comes home within two weeks, and with which measures."""
    found = worklists.coming_home(db, who, now=now)
    seen.each((one.patient.id for one in found), "coming_home.read", f"patients:{len(found)}")
    return page("desk/coming_home.html", coming=found, say=say, my_units=who.unit_ids)


@router.get("/staff/meetings")
@access("professional", Level.high, patient_data=True)
def meetings(db: Db, who: Who, now: Now, page: Page, say: Say, seen: Seen) -> HTMLResponse:
    """The unit's meetings from this morning on, and those of which nobody has written how they went."""
    found = worklists.meetings(db, who, now=now)
    seen.each((meeting.patient_id for meeting in found), "meetings.read", f"meetings:{len(found)}")
    rows = [
        {
            "meeting": meeting,
            "open": meet.phase(meeting, now) is meet.Phase.open,
            "mine": meeting.host_id == who.id,
            "invited": any(guest.professional_id == who.id for guest in meeting.participants),
            "ours": meeting.unit_id in who.unit_ids,
            "guests": [
                (guest.name, say.pair(ANSWERS, guest.answer) if guest.answer else None)
                for guest in _beside(meeting, who)
            ],
            "over": meet.phase(meeting, now) not in (meet.Phase.early, meet.Phase.open),
            "begun": meeting.starts_at <= now,
            "outcome": say.pair(MEETING_OUTCOMES, meeting.outcome) if meeting.outcome else None,
        }
        for meeting in found
        if meeting.state != "cancelled"
    ]
    return page(
        "desk/meetings.html",
        rows=rows,
        cancelled=[(one, one.host_id == who.id) for one in found if one.state == "cancelled"],
    )


def _beside(meeting: Meeting, who: Actor) -> list[Participant]:
    """Whom one meets there; a colleague who is not invited reads the host's name elsewhere."""
    invited = any(guest.professional_id == who.id for guest in meeting.participants)
    return [
        guest
        for guest in meeting.participants
        if guest.professional_id != who.id and (invited or not guest.is_host)
    ]


def _lines(db: Session, rows: Sequence[Row], me: UUID | None, say: Sentences, now: datetime) -> list[Line]:
    relatives = _relatives(db, {row.patient.id for row in rows if row.code in SILENT}, now)
    return [
        Line(
            row=row,
            about=" · ".join((row.municipality, say.group(row.template), _day(row.day, say))),
            what=say.flag(row.flag, row.measure.title if row.measure else None),
            also=tuple(say.flag(one.flag, one.measure.title if one.measure else None) for one in row.also),
            why=" ".join(_why(row, relatives.get(row.patient.id), say)),
            action=_action(row, me),
            may_ask=row.check_in is not None and may_be_phoned(row.check_in, now),
        )
        for row in rows
    ]


def _why(row: Row, relative: Grant | None, say: Sentences) -> list[str]:
    """What is known beside the reason: how it came here, due date and owner, what helps, a relative who may be asked."""
    facts = [said] if (said := say.came_here(row.flag)) else []
    if row.measure:
        facts += [f"{say.due(row.measure)}.", say(_("Ansvar: %(who)s."), who=say.owner(row.measure))]
    if row.answered and row.written_by:
        facts.append(say(_("Svarte på telefon, skrevet av %(who)s."), who=row.written_by.name))
    elif row.answered and row.code in (*SILENT, *UNDELIVERED):
        facts.append(say(_("Har svart siden.")))
    elif step := say.next_step(row.flag):
        facts.append(step)
    if relative and relative.relative.phone:
        facts.append(
            say(
                _("Pårørende (%(relation)s, med samtykke): %(phone)s"),
                relation=relative.relation,
                phone=pages.phone(relative.relative.phone),
            )
        )
    return facts


def _action(row: Row, me: UUID | None) -> Literal["claim", "ring", "number", "open"]:
    if row.flag.state == "claimed":
        return "open"
    if row.code in UNDELIVERED:
        return "number"
    return "ring" if row.code in SILENT else "claim"


def _relatives(db: Session, patient_ids: set[UUID], now: datetime) -> dict[UUID, Grant]:
    """One relative for each, somebody the patient has let in."""
    if not patient_ids:
        return {}
    grants = db.scalars(
        select(Grant)
        .where(Grant.patient_id.in_(patient_ids), in_force(now))
        .order_by(Grant.given_at.desc())
        .options(joinedload(Grant.relative, innerjoin=True))
    )
    return {grant.patient_id: grant for grant in grants}


def _day(day: int, say: Sentences) -> str:
    if day < 0:
        return say(_("hjem om %(days)s d."), days=-day) if day < -1 else say(_("hjem i morgen"))
    return say(_("dag %(day)s"), day=day)
