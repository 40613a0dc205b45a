"""What went wrong, as a page that says what to do now: one table."""

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy.exc import OperationalError, TimeoutError
from starlette.exceptions import HTTPException

from companion.errors import (
    CompanionError,
    Conflict,
    Invalid,
    LevelTooLow,
    LinkExpired,
    LinkLocked,
    LinkUnknown,
    NotAllowed,
    NotFound,
)
from companion.rules.access import Level
from web.house.deps import Pages, SignInNeeded, visitor_of
from web.house.drafts import posted_form, rescue
from web.house.security import SAFE, FormRefused


class SignInFailed(CompanionError):
    """The provider's answer does not prove who it is. The text says which check failed, never a value."""


@dataclass(frozen=True)
class Wrong:
    """The answer's status, and which words of `templates/errors/page.html`."""

    status: int
    words: str


FAILED = Wrong(500, "failed")
# The one table; where several fit, the first does.
TABLE: tuple[tuple[type[Exception], Wrong], ...] = (
    (NotFound, Wrong(404, "not_found")),
    (FormRefused, Wrong(403, "form_refused")),
    (NotAllowed, Wrong(403, "not_allowed")),
    (LinkUnknown, Wrong(404, "link_unknown")),
    (LinkExpired, Wrong(410, "link_expired")),
    (LinkLocked, Wrong(423, "link_locked")),
    (Conflict, Wrong(409, "conflict")),
    (Invalid, Wrong(422, "invalid")),
    (SignInFailed, Wrong(403, "sign_in_failed")),
    (RequestValidationError, Wrong(422, "invalid")),
    (OperationalError, Wrong(503, "away")),
    (TimeoutError, Wrong(503, "away")),
)
BY_STATUS = {
    400: "invalid",
    404: "not_found",
    405: "not_found",
    403: "not_allowed",
    413: "too_large",
    422: "invalid",
    503: "away",
}


def register(app: FastAPI) -> None:
    """Makes the table the application's answer to everything that is raised."""
    app.add_exception_handler(SignInNeeded, _sign_in)
    app.add_exception_handler(LevelTooLow, _step_up)
    app.add_exception_handler(HTTPException, _by_status)
    for kind in (CompanionError, RequestValidationError, OperationalError, TimeoutError):
        app.add_exception_handler(kind, _by_table)
    app.add_exception_handler(Exception, _failed)


def look_up(error: Exception) -> Wrong:
    """The table's line for an error."""
    if isinstance(error, RequestValidationError) and all(e["loc"][0] == "path" for e in error.errors()):
        return Wrong(404, "not_found")
    return next((wrong for kind, wrong in TABLE if isinstance(error, kind)), FAILED)


def error_page(request: Request, wrong: Wrong, **context: Any) -> Response:
    """The page in the frame of whoever is asking; plain JSON for programs."""
    if _is_program(request):
        return JSONResponse({"error": wrong.words}, wrong.status)
    visitor = visitor_of(request)
    audience = visitor.audience if visitor and visitor.name else None
    frame = {"professional": "desk", "patient": "patient", "relative": "relative"}.get(
        audience or "", "plain"
    )
    details = {
        "wrong": wrong.words,
        "frame": f"frames/{frame}.html",
        "who": None,
        "renew": None,
        "request_id": request.state.id,
        "kept": None,
        "place": None,
        "words": (),
    }
    return Pages(request)("errors/page.html", status=wrong.status, **(details | context))


def failure(request: Request, status: int) -> Response:
    """For what never reached the application, or broke it: cannot fail itself."""
    try:
        return error_page(request, Wrong(status, BY_STATUS.get(status, "failed")))
    except Exception:
        return Response(
            "Noe gikk galt hos oss. Prøv igjen om litt.", status, media_type="text/plain; charset=utf-8"
        )


def _sign_in(request: Request, error: Exception) -> Response:
    needed = cast(SignInNeeded, error).audience
    if _is_program(request):
        return JSONResponse({"error": "sign_in"}, 401, {"WWW-Authenticate": "Bearer"})
    query = {"to": needed} if needed == "professional" else {}
    if _kept(request):
        query["why"] = "kept"
    elif cast(SignInNeeded, error).over:
        query["why"] = "over"
    return RedirectResponse("/sign-in" + _way_back(request, query), 303)


def _step_up(request: Request, error: Exception) -> Response:
    needed = cast(LevelTooLow, error).required
    _kept(request)
    visitor = visitor_of(request)
    if visitor is not None and visitor.level is Level.link and needed == Level.code.name:
        return RedirectResponse("/birth-date" + _way_back(request, {}), 303)
    return RedirectResponse("/sign-in" + _way_back(request, {"level": needed}), 303)


def _by_status(request: Request, error: Exception) -> Response:
    status = cast(HTTPException, error).status_code
    return error_page(request, Wrong(status, BY_STATUS.get(status, "failed")))


def _by_table(request: Request, error: Exception) -> Response:
    wrong, kept = look_up(error), _kept(request)
    if kept is False and wrong.words == "form_refused":
        wrong = Wrong(wrong.status, "somebody_elses")
    who = error.who if isinstance(error, Conflict) else None
    return error_page(request, wrong, who=who, kept=kept, **_typed(request, wrong, kept))


def _failed(request: Request, _error: Exception) -> Response:
    try:
        kept = _kept(request)
        return error_page(request, FAILED, kept=kept, **_typed(request, FAILED, kept))
    except Exception:
        return failure(request, FAILED.status)


def _typed(request: Request, wrong: Wrong, kept: bool | None) -> dict[str, Any]:
    """Where what was typed is found again; the words themselves where we could not keep them, and it was no fault of theirs."""
    posted = posted_form(request)
    if posted is None or kept is False:
        return {}
    return {"place": posted.place} if kept else {"words": posted.words if wrong.status >= 500 else ()}


def _kept(request: Request) -> bool | None:
    """Whether what was posted is kept, and for whom (`web.house.drafts.rescue`); without a database nothing is."""
    try:
        return rescue(request)
    except Exception:
        return None


def _way_back(request: Request, query: dict[str, str]) -> str:
    if (posted := posted_form(request)) is not None:
        query = query | {"next": posted.place}
    elif request.method in SAFE:
        query = query | {"next": _page(request)}
    return f"?{urlencode(query)}" if query else ""


def _page(request: Request) -> str:
    """The page asked for; when a part of an open page was, that page."""
    open_page = request.headers.get("hx-current-url") if "hx-request" in request.headers else None
    asked = urlsplit(open_page or str(request.url))
    return asked.path + (f"?{asked.query}" if asked.query else "")


def _is_program(request: Request) -> bool:
    if request.url.path.startswith(("/hooks/", "/api/")):
        return True
    return request.headers.get("content-type", "").startswith("application/json")
