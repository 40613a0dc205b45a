"""What the SMS provider posts to us: its signature, what became of a message, and the SMS it passes on."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import parse_qs

from sqlalchemy.orm import Session
from twilio.request_validator import RequestValidator

from notifications.heard import keep_event, keep_inbound, plain

# What the provider says of its own opt-out words (HELP is answered by it too, and read here as any other message).
_OBEYED = {"STOP": "stop", "START": "start"}


def genuine(tokens: Sequence[str], url: str, params: dict[str, list[str]], signature: str) -> bool:
    """Whether the provider signed this, with the present or the next token. Without a token nothing is genuine."""
    try:
        return any(RequestValidator(token).validate(url, _Values(params), signature) for token in tokens)
    except ValueError:
        return False


class _Values(dict[str, list[str]]):
    """All values of a repeated parameter, under the name by which the SDK asks for them."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def read_form(body: bytes) -> dict[str, list[str]]:
    """A form post as it came: empty values kept, nothing trimmed. Raises `ValueError` on what is no form."""
    return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=200)


def keep_status(db: Session, params: dict[str, list[str]], attempt_id: str | None, *, now: datetime) -> None:
    """Keeps what was said about a message, once however often it is said."""
    provider_id, status = _first(params, "MessageSid"), _first(params, "MessageStatus")
    if provider_id and status:
        keep_event(db, provider_id, status, _first(params, "ErrorCode") or None, plain(attempt_id), now)


def keep_reply(db: Session, params: dict[str, list[str]], *, now: datetime) -> None:
    """Keeps an SMS the provider passes on to us."""
    provider_id, phone = _first(params, "MessageSid"), _first(params, "From")
    if provider_id and phone:
        obeyed = _OBEYED.get(_first(params, "OptOutType").upper())
        keep_inbound(db, provider_id, phone, _first(params, "Body"), obeyed=obeyed, now=now)


def _first(params: dict[str, list[str]], name: str) -> str:
    return plain(params.get(name, [""])[0])
