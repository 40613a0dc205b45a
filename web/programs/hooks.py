"""What the SMS provider posts to us: signed, kept raw, answered at once; the dispatcher acts on it."""

from typing import Annotated

import structlog
from fastapi import Depends, Request
from fastapi.responses import Response

from notifications.channels.sms import callbacks
from web.house.deps import Db, House, Now, TheHouse, new_router
from web.house.security import access

router = new_router()
log = structlog.get_logger()

SIGNATURE = "X-Twilio-Signature"


async def _raw(request: Request) -> bytes:
    """The body as it was signed: FastAPI's own form reading would drop empty values."""
    return await request.body()


Raw = Annotated[bytes, Depends(_raw)]


@router.post("/hooks/twilio/status")
@access("hook")
def status(request: Request, body: Raw, db: Db, house: TheHouse, now: Now) -> Response:
    """What became of a message: kept once, however often and in whatever order it is told."""
    params = _signed(request, body, house)
    if params is None:
        return Response(status_code=403)
    callbacks.keep_status(db, params, request.query_params.get("attempt"), now=now)
    return Response(status_code=204)


@router.post("/hooks/twilio/inbound")
@access("hook")
def inbound(request: Request, body: Raw, db: Db, house: TheHouse, now: Now) -> Response:
    """An SMS from somebody: kept once. The empty answer tells the provider that we do not reply in this way."""
    params = _signed(request, body, house)
    if params is None:
        return Response(status_code=403)
    callbacks.keep_reply(db, params, now=now)
    return Response("<Response/>", media_type="text/xml")


def _signed(request: Request, body: bytes, house: House) -> dict[str, list[str]] | None:
    """The form, if the provider signed it for our public address (behind a proxy the request's own address is another)."""
    # As it stands on the wire: a byte that is no letter is a reason to refuse, not to fail.
    raw = request.scope["query_string"].decode("latin-1")
    query = f"?{raw}" if raw else ""
    path: str = request.scope["path"]
    url = f"{house.settings.public_url.rstrip('/')}{path}{query}"
    try:
        params = callbacks.read_form(body)
    except ValueError:
        params = None
    if params is None or not callbacks.genuine(
        house.twilio.tokens, url, params, request.headers.get(SIGNATURE, "")
    ):
        log.warning("hook_refused", path=path)
        return None
    return params
