"""How a meeting went: held, and how, or not, and why."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from fastapi.responses import HTMLResponse, Response

from companion.errors import Conflict, Invalid
from companion.models import Meeting
from companion.rules.access import Level
from companion.use_cases import meetings as meet
from web.desk.words import Say, Sentences
from web.desk.words.meetings import MEETING_OUTCOMES
from web.house.deps import Db, Now, Page, Pages, Posted, Seen, Who, go, new_router
from web.house.security import access
from web.house.words import _

router = new_router()

# Why nothing can be written yet, or any more.
_TOO_SOON: Mapping[str, str] = {
    "early": _("Møtet har ikke vært ennå. Flytt eller avlys det i stedet."),
    "cancelled": _("Møtet er avlyst."),
}


@router.get("/staff/meetings/{meeting_id}/outcome")
@access("professional", Level.high, patient_data=True)
def outcome_form(
    meeting_id: UUID, db: Db, who: Who, now: Now, page: Page, say: Say, seen: Seen
) -> HTMLResponse:
    """What it looks like, to be confirmed with one tap."""
    meeting = meet.of_my_unit(db, who, meeting_id)
    seen(meeting.patient_id, "meeting.read", f"meeting:{meeting_id}")
    typed = {"outcome": meeting.outcome or meet.suggested(meeting)}
    return _form(page, meeting, typed, {}, say, now, 200)


@router.post("/staff/meetings/{meeting_id}/outcome")
@access("professional", Level.high, patient_data=True)
def outcome(
    meeting_id: UUID, db: Db, who: Who, now: Now, posted: Posted, page: Page, say: Say, seen: Seen
) -> Response:
    """Kept; a phone call settles *Ring meg*, and who did not come becomes a case."""
    meeting = meet.of_my_unit(db, who, meeting_id)
    seen(meeting.patient_id, "meeting.outcome", f"meeting:{meeting_id}")
    try:
        meet.record(db, who, meeting_id, posted.get("outcome", ""), posted.get("text", ""), now=now)
    except Invalid as problem:
        return _form(page, meeting, posted, say.problems(problem.problems), say, now, 422)
    except Conflict as problem:
        said = {"outcome": say(_TOO_SOON.get(problem.code, _TOO_SOON["cancelled"]))}
        return _form(page, meeting, posted, said, say, now, 409)
    return go("/staff/meetings")


def _form(
    page: Pages,
    meeting: Meeting,
    typed: Mapping[str, str],
    errors: Mapping[str, str],
    say: Sentences,
    now: datetime,
    status: int,
) -> HTMLResponse:
    options = [{"value": code, "word": say(word)} for code, (word, _tone) in MEETING_OUTCOMES.items()]
    return page(
        "desk/outcome.html",
        status=status,
        meeting=meeting,
        typed=typed,
        errors=errors,
        options=options,
        shut={"cancelled": say(_TOO_SOON["cancelled"]), "early": say(_TOO_SOON["early"])}.get(
            meet.phase(meeting, now).value
        ),
    )
