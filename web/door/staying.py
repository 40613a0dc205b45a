"""To stay signed in, and to have what is typed kept meanwhile."""

from fastapi import Request
from fastapi.responses import Response

from companion.rules.access import Level
from companion.use_cases import sign_in
from web.house.deps import Db, MaybeSigned, Now, Page, Posted, go, new_router
from web.house.drafts import page_of
from web.house.security import access
from web.house.visitor import keep_nobody_awake

router = new_router()


@router.post("/drafts")
@access("any", Level.code)
def keep(page: Page, _fields: Posted) -> Response:
    """What has been typed so far, as a form would post it (`parts/drafts.js`)."""
    page.drafts.keep()
    return Response(status_code=204)


@router.post("/drafts/drop")
@access("any", Level.code)
def drop(page: Page, _fields: Posted) -> Response:
    """Thrown away by whoever typed it; back to the page it was typed on."""
    posted = page.drafts.posted
    page.drafts.drop()
    return go(page_of(posted.place) if posted is not None else "/")


@router.get("/stay")
@access("any")
def left(request: Request, page: Page, signed: MaybeSigned, now: Now) -> Response:
    """How long the session still lasts, with the words to say so. Asking makes it no longer."""
    assert signed is not None
    keep_nobody_awake(request)
    seconds = int((sign_in.ends_at(signed.visit) - now).total_seconds())
    return page("door/_staying.html", left=seconds)


@router.post("/stay")
@access("any")
def stay(db: Db, signed: MaybeSigned, now: Now) -> Response:
    """The person has been warned and stays; told for how many seconds."""
    assert signed is not None
    left = sign_in.stay(db, signed.sign_in, now=now)
    return Response(status_code=204, headers={"Session-Left": str(int(left.total_seconds()))})
