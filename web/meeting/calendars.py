"""A meeting for the person's own calendar: as a file, and as an address that a calendar fetches again and again."""

from urllib.parse import urlsplit
from uuid import UUID

from fastapi.responses import Response

from companion.exchange import calendar
from companion.models import Participant
from companion.rules.access import Actor, Level
from companion.use_cases import meetings as meet
from web.house.deps import (
    Db,
    House,
    MeetingDoor,
    Now,
    Page,
    Pages,
    Posted,
    Seen,
    TheHouse,
    Who,
    go,
    new_router,
)
from web.house.security import access
from web.meeting.words import MeetingWords, Words

router = new_router()

_HOMES = {"patient": "/patient/meetings", "relative": "/relative/meetings", "professional": "/staff/meetings"}


@router.get("/meeting/{meeting_id}/calendar.ics")
@access("meeting", Level.link, patient_data=True)
def calendar_file(
    meeting_id: UUID, db: Db, door: MeetingDoor, now: Now, seen: Seen, house: TheHouse, words: Words
) -> Response:
    """The invitation; of a cancelled meeting the file that takes it out of the calendar."""
    mine = meet.invitation(db, door, meeting_id, now=now)
    seen(mine.meeting.patient_id, "meeting.calendar", f"meeting:{meeting_id}")
    return _ics(calendar.file(_appointment(mine, house, words), _organizer(house), now), "videomote.ics")


@router.get("/calendar/{secret}.ics")
@access("public")
def feed(secret: str, db: Db, now: Now, house: TheHouse, words: Words) -> Response:
    """Whose secret it is reads all their meetings; no names and nothing of health stand there."""
    places = meet.read_feed(db, secret, now=now)
    found = [_appointment(place, house, words) for place in places]
    return _ics(calendar.feed(found, _organizer(house), now), "moter.ics")


@router.get("/calendar")
@access("any", Level.code)
def subscription(db: Db, who: Who, page: Page) -> Response:
    """What it is, and whether there is one."""
    return _page(page, who, since=meet.feed_of(db, who))


@router.post("/calendar")
@access("any", Level.code)
def subscribe(db: Db, who: Who, now: Now, page: Page, posted: Posted, house: TheHouse) -> Response:
    """A new address, shown this once; or none any more."""
    if posted.get("do") == "off":
        meet.close_feed(db, who, now=now)
        return go("/calendar")
    secret = meet.open_feed(db, who, now=now)
    return _page(page, who, address=f"{house.settings.public_url.rstrip('/')}/calendar/{secret}.ics")


def _page(page: Pages, who: Actor, *, since: object = None, address: str = "") -> Response:
    return page(
        "meeting/calendar.html",
        since=since,
        address=address,
        webcal=f"webcal:{address.partition(':')[2]}" if address else "",
        back=_HOMES[who.kind],
    )


def _appointment(mine: Participant, house: House, words: MeetingWords) -> calendar.Appointment:
    meeting, settings = mine.meeting, house.settings
    return calendar.Appointment(
        id=meeting.id,
        attendee=mine.id,
        sequence=meeting.sequence,
        starts_at=meeting.starts_at,
        ends_at=meet.ends_at(meeting),
        remind_before=meet.OPENS_BEFORE,
        url=f"{settings.public_url.rstrip('/')}/meeting/{meeting.id}",
        cancelled=meeting.state == "cancelled",
        words=words.calendar(meeting, settings.product_name),
    )


def _organizer(house: House) -> calendar.Organizer:
    host = urlsplit(house.settings.public_url).hostname or "localhost"
    return calendar.Organizer(house.settings.product_name, f"noreply@{host}")


def _ics(content: bytes, name: str) -> Response:
    return Response(
        content,
        media_type="text/calendar; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
