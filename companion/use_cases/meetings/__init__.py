"""Meetings: offered, answered, reminded of, held; and what came of them."""

from companion.rules.meetings import OPEN_AFTER, OPENS_BEFORE, Phase, ends_at, phase
from companion.use_cases.meetings.answering import ANSWERS, LONGEST_TEXT, answer
from companion.use_cases.meetings.door import (
    News,
    Sitting,
    admit,
    call_me,
    changed,
    end,
    enter,
    invitation,
    leave,
)
from companion.use_cases.meetings.feed import close_feed, feed_of, open_feed, read_feed
from companion.use_cases.meetings.happenings import asked_to_be_called
from companion.use_cases.meetings.inviting import (
    GuestDraft,
    add_guest,
    add_professional,
    add_relative,
    colleagues,
    remove,
    units,
)
from companion.use_cases.meetings.offering import cancel, move, offer, offer_guidance
from companion.use_cases.meetings.outcome import HELD, NOT_HELD, record, suggested
from companion.use_cases.meetings.participants import (
    PLACES,
    may_invite,
    meeting_grants,
    of_my_unit,
    relations,
)
from companion.use_cases.meetings.reminding import step

__all__ = [
    "ANSWERS",
    "HELD",
    "LONGEST_TEXT",
    "NOT_HELD",
    "OPENS_BEFORE",
    "OPEN_AFTER",
    "PLACES",
    "GuestDraft",
    "News",
    "Phase",
    "Sitting",
    "add_guest",
    "add_professional",
    "add_relative",
    "admit",
    "answer",
    "asked_to_be_called",
    "call_me",
    "cancel",
    "changed",
    "close_feed",
    "colleagues",
    "end",
    "ends_at",
    "enter",
    "feed_of",
    "invitation",
    "leave",
    "may_invite",
    "meeting_grants",
    "move",
    "of_my_unit",
    "offer",
    "offer_guidance",
    "open_feed",
    "phase",
    "read_feed",
    "record",
    "relations",
    "remove",
    "step",
    "suggested",
    "units",
]
