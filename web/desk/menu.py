"""The desk's menu, with how much waits behind each line."""

from typing import Any

from fastapi import Request
from sqlalchemy.orm import Session

from companion import worklists
from web.house import pages
from web.house.deps import now_of, signed_of, visitor_of
from web.house.words import _

MENU = (
    ("worklist", "/staff", "worklist", _("Arbeidsliste")),
    ("patients", "/staff/patients", "person", _("Pasienter")),
    ("coming_home", "/staff/coming-home", "home", _("Kommer hjem")),
    ("meetings", "/staff/meetings", "meetings", _("Møter")),
    ("call_list", "/staff/calls", "call-list", _("Ringeliste")),
    ("messages", "/staff/messages", "message", _("Meldinger")),
    ("told", "/staff/told", "bell", _("Slik får jeg beskjed")),
)


def menu(request: Request, db: Session | None) -> list[dict[str, Any]]:
    """The menu's lines for a professional; nothing for others. Without a transaction there are no counts."""
    visitor, signed = visitor_of(request), signed_of(request)
    if visitor is None or visitor.audience != "professional":
        return []
    words = pages.translations(visitor.lang)
    counts = worklists.menu_counts(db, signed.actor, now_of(request)) if db and signed else None
    return [
        {
            "key": key,
            "href": href,
            "icon": icon,
            "word": words.gettext(word),
            "count": getattr(counts, key, None),
        }
        for key, href, icon, word in MENU
    ]
