"""The bar on every page of the demo: who one is, one tap to be somebody else, and what time it is."""

from typing import Any

from fastapi import Request
from sqlalchemy.orm import Session

from web.house.deps import house_of, now_of, visitor_of

# The people of the demo's story; the others are on /demo.
IN_THE_BAR = ("sofia", "kari", "johan", "anne")


def bar(request: Request, _db: Session | None) -> dict[str, Any]:
    """Who can be switched to, and the demo's time."""
    house, visitor = house_of(request), visitor_of(request)
    personas = [
        {
            "key": persona.key,
            "name": persona.name.split()[0],
            "role": persona.role,
            "current": visitor is not None
            and visitor.national_id_index == house.ring.index(persona.national_id, "national_id"),
        }
        for key in IN_THE_BAR
        for persona in house.personas
        if persona.key == key
    ]
    return {"now": now_of(request), "personas": personas}
