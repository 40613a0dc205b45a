"""What routes ask for, in one place: the database, the moment, who is asking, what was posted, a page to answer with."""

from web.house.answer import Page, Pages, go, language_of
from web.house.guard import GuardedRoute, Program, new_router
from web.house.house import House, Now, TheHouse, house_of, now_of, transaction
from web.house.log import Audit, Seen
from web.house.posted import Db, Fields, Posted, SentJson
from web.house.visitor import (
    MaybeSigned,
    MeetingDoor,
    Signed,
    SignInNeeded,
    Visitor,
    Who,
    signed_in,
    signed_of,
    visitor_of,
)

__all__ = [
    "Audit",
    "Db",
    "Fields",
    "GuardedRoute",
    "House",
    "MaybeSigned",
    "MeetingDoor",
    "Now",
    "Page",
    "Pages",
    "Posted",
    "Program",
    "Seen",
    "SentJson",
    "SignInNeeded",
    "Signed",
    "TheHouse",
    "Visitor",
    "Who",
    "go",
    "house_of",
    "language_of",
    "new_router",
    "now_of",
    "signed_in",
    "signed_of",
    "transaction",
    "visitor_of",
]
