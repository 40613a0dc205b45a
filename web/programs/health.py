"""Whether the house stands, and the few pages and files the law and the browsers ask for."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import cast

from fastapi.responses import JSONResponse, PlainTextResponse, Response
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from companion.models import Heartbeat
from companion.worklists import standing
from companion.worklists.post import DISPATCHER_SEEN_WITHIN
from web.house.deps import Db, House, Now, Page, TheHouse, new_router
from web.house.security import access
from web.house.slots import Slots

router = new_router()


def healthz(slots: Slots) -> Callable[[], Awaitable[Response]]:
    """Whether pages can be answered: not when all have hung for ten seconds. Itself it needs no slot, thread or database."""

    async def answer() -> Response:
        return JSONResponse({"status": "stuck"}, 503) if slots.stuck else JSONResponse({"status": "ok"})

    return answer


@router.get("/readyz")
@access("public")
def readyz(db: Db, house: TheHouse, now: Now) -> Response:
    """The database answers and the dispatcher was here within two minutes; and whether the post gets away.

    A provider that is down is told (`alarm`, `circuit`, `resting`, `push_refused`, `slow`), and is no reason to take the
    pages from people.
    """
    try:
        last = db.scalar(select(func.max(Heartbeat.at)))
        post = standing(db, now, house.ways.by_receipt)
    except SQLAlchemyError:
        db.rollback()
        return JSONResponse({"database": "away", "dispatcher": "unknown"}, 503)
    seen = last is not None and house.real_clock.now() - last <= DISPATCHER_SEEN_WITHIN
    alarm = post.alarm and {"due": post.alarm.due, "none_sent_for_minutes": post.alarm.minutes}
    said = {
        "database": "ok",
        "dispatcher": "ok" if seen else "away",
        "circuit": post.circuit,
        "push_refused": "push" in post.resting,
        "resting": post.resting,
        "slow": post.slow,
        "due": post.due,
        "alarm": alarm,
    }
    return JSONResponse(said, 200 if seen else 503)


@router.get("/.well-known/security.txt")
@access("public")
def security_txt(house: TheHouse, now: Now) -> Response:
    """Whom to tell about a weakness (RFC 9116)."""
    contact = house.web.security_contact or f"{house.settings.public_url.rstrip('/')}/privacy"
    expires = (now + timedelta(days=180)).strftime("%Y-%m-%dT00:00:00Z")
    lines = (f"Contact: {contact}", f"Expires: {expires}", "Preferred-Languages: nb, nn, en")
    return PlainTextResponse("\n".join(lines) + "\n")


@router.get("/manifest.webmanifest")
@access("public")
def manifest(house: TheHouse) -> Response:
    """What a phone needs to put the product on its home screen."""
    return JSONResponse(
        {
            "name": house.settings.product_name,
            "short_name": house.settings.product_name,
            "lang": "nb",
            "id": "/",
            "start_url": "/",
            "scope": "/",
            "display": "standalone",
            "background_color": "#f2f4f3",
            "theme_color": "#0b5a6f",
            "icons": _icons(house),
        },
        media_type="application/manifest+json",
        headers={"Cache-Control": "public, max-age=86400"},
    )


def _icons(house: House) -> list[dict[str, str]]:
    """Pictures for the home screen; none before the assets are built."""
    made = house.templates.globals
    if not made["assets_built"]:
        return []
    asset = cast(Callable[[str], str], made["asset"])
    plain = [
        {"src": asset("icon.svg"), "sizes": "any", "type": "image/svg+xml", "purpose": "any"},
        {"src": asset("icon-maskable.svg"), "sizes": "any", "type": "image/svg+xml", "purpose": "maskable"},
    ]
    sizes = (192, 512)
    return plain + [
        {"src": asset(f"icon-{one}.png"), "sizes": f"{one}x{one}", "type": "image/png", "purpose": "any"}
        for one in sizes
    ]


@router.get("/accessibility")
@access("public")
def accessibility(page: Page) -> Response:
    """The accessibility statement."""
    return page("door/accessibility.html")


@router.get("/privacy")
@access("public")
def privacy(page: Page) -> Response:
    """What is kept, why, and the person's rights."""
    return page("door/privacy.html")
