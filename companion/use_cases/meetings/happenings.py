"""What happened at a meeting, written down and read again; a row each, never edited."""

from datetime import datetime

from companion.errors import Conflict
from companion.models import Meeting, MeetingEvent, Participant
from companion.rules.access import Actor


def happened(
    meeting: Meeting,
    kind: str,
    now: datetime,
    participant: Participant | None = None,
    *,
    how: str | None = None,
    by: Actor | None = None,
    text: str | None = None,
) -> None:
    """Writes it down."""
    meeting.events.append(
        MeetingEvent(
            kind=kind,
            at=now,
            participant_id=participant.id if participant else None,
            how=how,
            by_id=by.id if by else None,
            text=text or None,
        )
    )


def kinds_of(participant: Participant) -> list[str]:
    """What happened to this person at this meeting since its time was last changed."""
    kinds: list[str] = []
    for event in participant.meeting.events:
        if event.kind == "moved":
            kinds = []
        elif event.participant_id == participant.id:
            kinds.append(event.kind)
    return kinds


def waits(participant: Participant) -> bool:
    """Whether the person is in the waiting room."""
    came_and_went = [kind for kind in kinds_of(participant) if kind in ("waiting", "admitted", "left")]
    return came_and_went[-1:] == ["waiting"]


def came(participant: Participant) -> bool:
    """Whether the person was there at all."""
    return bool({"waiting", "admitted"} & set(kinds_of(participant)))


def was_in(participant: Participant) -> bool:
    """Whether the person was let in, or, as the host, went in."""
    return "admitted" in kinds_of(participant)


def asked_to_be_called(meeting: Meeting) -> list[Participant]:
    """Who could not get the picture to work and asked for a phone call, since the time was last changed."""
    return [participant for participant in meeting.participants if "call_me" in kinds_of(participant)]


def still_standing(meeting: Meeting) -> None:
    """Raises `Conflict` with its state when it was cancelled or has ended."""
    if meeting.state != "offered":
        raise Conflict(meeting.state)
