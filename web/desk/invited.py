"""Who is to come to a meeting: added and taken off, also after it was offered."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi.responses import HTMLResponse, Response
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid
from companion.models import Meeting, Participant
from companion.rules.access import Actor, Level
from companion.use_cases import meetings as meet
from web.desk.words import Say, Sentences, choices
from web.desk.words.meetings import ANSWERS, GUEST_ROLES, ROLES
from web.house.deps import Db, Fields, Now, Page, Pages, Posted, Seen, Who, go, new_router
from web.house.posted import read_uuid
from web.house.security import access
from web.house.words import _

router = new_router()

_TOO_MANY = _("Det er plass til seks. Ta av en annen først.")
_STAYS = _("Den som inviterte, og pasienten kan ikke tas av. Avlys møtet i stedet.")


@router.get("/staff/meetings/{meeting_id}/participants")
@access("professional", Level.high, patient_data=True)
def participants(
    meeting_id: UUID, db: Db, who: Who, now: Now, page: Page, say: Say, seen: Seen, unit: str = ""
) -> HTMLResponse:
    """Who is invited, and who else may be. `unit`: whose people are shown."""
    meeting = meet.of_my_unit(db, who, meeting_id)
    seen(meeting.patient_id, "meeting.read", f"meeting:{meeting_id}")
    return _page(page, db, meeting, {"unit": unit}, {}, say, now, 200)


@router.post("/staff/meetings/{meeting_id}/participants")
@access("professional", Level.high, patient_data=True)
def add(
    meeting_id: UUID, db: Db, who: Who, now: Now, posted: Posted, page: Page, say: Say, seen: Seen
) -> Response:
    """One more; guests and relatives get a message at once."""
    meeting = meet.of_my_unit(db, who, meeting_id)
    seen(meeting.patient_id, "meeting.added", f"meeting:{meeting_id}")
    return _done(
        lambda: _add(db, who, meeting_id, posted, now),
        lambda errors, status: _page(page, db, meeting, posted, errors, say, now, status),
        meeting_id,
        db,
        say,
    )


@router.post("/staff/meetings/{meeting_id}/participants/{participant_id}/remove")
@access("professional", Level.high, patient_data=True)
def remove(
    meeting_id: UUID,
    participant_id: UUID,
    db: Db,
    who: Who,
    now: Now,
    posted: Posted,
    page: Page,
    say: Say,
    seen: Seen,
) -> Response:
    """The person need not come after all, and is told."""
    meeting = meet.of_my_unit(db, who, meeting_id)
    seen(meeting.patient_id, "meeting.removed", f"meeting:{meeting_id}")
    return _done(
        lambda: meet.remove(db, who, meeting_id, participant_id, now=now),
        lambda errors, status: _page(page, db, meeting, posted, errors, say, now, status),
        meeting_id,
        db,
        say,
    )


def _add(db: Session, who: Actor, meeting_id: UUID, posted: Fields, now: datetime) -> object:
    if relative := read_uuid(posted.get("relative", "")):
        return meet.add_relative(db, who, meeting_id, relative, now=now)
    if colleague := read_uuid(posted.get("professional", "")):
        unit = read_uuid(posted.get("unit", "")) or UUID(int=0)
        return meet.add_professional(db, who, meeting_id, colleague, unit, now=now)
    draft = meet.GuestDraft(posted.get("name", ""), posted.get("phone", ""), posted.get("role", ""))
    return meet.add_guest(db, who, meeting_id, draft, now=now)


def _done(
    do: Callable[[], object],
    again: Callable[[Mapping[str, str], int], HTMLResponse],
    meeting_id: UUID,
    db: Session,
    say: Sentences,
) -> Response:
    try:
        with db.begin_nested():
            do()
    except Invalid as problem:
        errors = dict(say.problems({k: v for k, v in problem.problems.items() if k != "places"}))
        if "places" in problem.problems:
            errors["name"] = say(_TOO_MANY)
        return again(errors, 422)
    except Conflict as problem:
        return again(
            {"name": say(_STAYS) if problem.code == "stays" else say.conflict(problem.code, problem.who)}, 409
        )
    return go(f"/staff/meetings/{meeting_id}/participants")


def _page(
    page: Pages,
    db: Session,
    meeting: Meeting,
    typed: Mapping[str, str],
    errors: Mapping[str, str],
    say: Sentences,
    now: datetime,
    status: int,
) -> HTMLResponse:
    invited = {one.relative_id or one.professional_id for one in meeting.participants}
    unit = read_uuid(typed.get("unit", ""))
    return page(
        "desk/participants.html",
        status=status,
        meeting=meeting,
        typed=typed,
        errors=errors,
        people=[_person(one, say) for one in meeting.participants],
        relatives=[
            grant
            for grant in meet.meeting_grants(db, meeting.patient_id, max(now, meeting.starts_at))
            if grant.relative_id not in invited
        ],
        units=[("", say(_("Velg …"))), *((str(one.id), one.name) for one in meet.units(db))],
        colleagues=[one for one in meet.colleagues(db, unit) if one.id not in invited] if unit else [],
        roles=choices(GUEST_ROLES, say),
        standing=meeting.state == "offered",
    )


def _person(one: Participant, say: Sentences) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "role": say(ROLES[one.role]),
        "phone": one.guest_phone,
        "answer": say.pair(ANSWERS, one.answer) if one.answer else None,
        "may_go": not (one.is_host or one.patient_id),
    }
