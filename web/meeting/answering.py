"""Whether the time suits: one tap by whoever is invited, and what happens then."""

from typing import Any
from uuid import UUID

from fastapi.responses import Response

from companion.errors import Conflict, Invalid
from companion.rules.access import Level
from companion.use_cases import meetings as meet
from web.house.deps import Db, MeetingDoor, Now, Page, Posted, Seen, go, new_router
from web.house.security import access
from web.meeting.meeting import context

router = new_router()


@router.post("/meeting/{meeting_id}/answer")
@access("meeting", Level.link, patient_data=True)
def answer(
    meeting_id: UUID, db: Db, door: MeetingDoor, now: Now, page: Page, posted: Posted, seen: Seen
) -> Response:
    """It suits, it does not, or another time is asked for."""
    mine = meet.invitation(db, door, meeting_id, now=now)
    said, text = posted.get("answer", ""), posted.get("text", "")
    seen(mine.meeting.patient_id, "meeting.answered", f"meeting:{meeting_id}")
    try:
        meet.answer(db, door, meeting_id, said, text, now=now)
    except Invalid as problem:
        typed: dict[str, Any] = {"text": text, "problems": problem.problems, "longest": meet.LONGEST_TEXT}
        return page("meeting/other_time.html", status=422, **typed, **context(mine))
    except Conflict:
        page.drafts.keep(f"/meeting/{meeting_id}#late")
        return go(f"/meeting/{meeting_id}")
    return go(f"/meeting/{meeting_id}/answered")


@router.get("/meeting/{meeting_id}/other-time")
@access("meeting", Level.link, patient_data=True)
def other_time(meeting_id: UUID, db: Db, door: MeetingDoor, now: Now, page: Page, seen: Seen) -> Response:
    """When it would suit better, in the person's own words."""
    mine = meet.invitation(db, door, meeting_id, now=now)
    seen(mine.meeting.patient_id, "meeting.read", f"meeting:{meeting_id}")
    return page("meeting/other_time.html", text="", problems={}, longest=meet.LONGEST_TEXT, **context(mine))


@router.get("/meeting/{meeting_id}/answered")
@access("meeting", Level.link, patient_data=True)
def answered(meeting_id: UUID, db: Db, door: MeetingDoor, now: Now, page: Page, seen: Seen) -> Response:
    """What happens now."""
    mine = meet.invitation(db, door, meeting_id, now=now)
    seen(mine.meeting.patient_id, "meeting.read", f"meeting:{meeting_id}")
    if mine.answer is None:
        return go(f"/meeting/{meeting_id}")
    return page("meeting/answered.html", **context(mine))
