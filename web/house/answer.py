"""A page as the answer, in the frame of whoever is asking."""

from datetime import timedelta
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from companion.use_cases import sign_in
from web.house import pages
from web.house.drafts import Drafts, drafts_of, posted_form
from web.house.house import house_of, now_of
from web.house.posted import Db
from web.house.security import SAFE, form_token, local_path, mask, new_form_cookie
from web.house.visitor import MaybeSigned, Visitor, signed_of, visitor_of

# More than the warning's five minutes, so that the page knows in time.
_LOOKS_BEFORE = timedelta(minutes=6)


class Pages:
    """Renders a template as the answer: `page("patient/today.html", today=today)`; `status=422` when a form is shown again."""

    def __init__(self, request: Request, db: Session | None = None) -> None:
        self._request = request
        self._db = db

    @property
    def in_place(self) -> bool:
        """Whether a script asks, and puts what is answered in the place of the page it asks from."""
        return self._request.headers.get("hx-target", "").endswith("#page")

    @property
    def drafts(self) -> Drafts:
        """What the person has typed and not sent."""
        return drafts_of(self._request, self._db)

    def __call__(
        self, template: str, /, *, status: int = 200, path: str | None = None, **context: Any
    ) -> HTMLResponse:
        """The answer, with everything the frames need (`templates/base.html`) already in its context.

        `path`: the address of what is shown, for the browser's address bar when the page comes in place of another.
        """
        request, house = self._request, house_of(self._request)
        visitor = visitor_of(request)
        token, new_cookie = self._token(visitor)
        frame = {
            "lang": visitor.lang if visitor and visitor.name else language_of(request),
            "now": now_of(request),
            "csrf_token": mask(token),
            "product": house.settings.product_name,
            "scheme": visitor.scheme if visitor else "auto",
            "size": visitor.size if visitor else "md",
            "unit": visitor.unit if visitor else None,
            "user": visitor if visitor and visitor.name else None,
            "here": "",
            "drafts": self.drafts,
            "stays": self._stays(),
            "address": self._address(status),
            "part": self.in_place,
        }
        frame |= {name: addition(request, self._db) for name, addition in house.additions.items()}
        response = HTMLResponse(pages.render(house.templates, template, frame | context), status)
        if path and self.in_place:
            response.headers["HX-Push-Url"] = path
        if new_cookie:
            house.cookies.put(response, house.cookies.form, new_cookie)
        return response

    def _stays(self) -> int | None:
        """In how many seconds a page that is still open asks whether the session ends soon; None for whoever has no name here."""
        signed = signed_of(self._request)
        if signed is None or not signed.actor.name:
            return None
        left = min(sign_in.IDLE, signed.visit.expires_at - now_of(self._request))
        return max(0, int((left - _LOOKS_BEFORE).total_seconds()))

    def _address(self, status: int) -> str | None:
        """Where a posted form that was not taken is found again: going back must not mean posting it once more."""
        request = self._request
        if request.method in SAFE:
            return None
        if (posted := posted_form(request)) is not None:
            return posted.place
        came_from = urlsplit(request.headers.get("referer", ""))
        same = came_from.netloc == request.headers.get("host")
        return local_path(came_from.path) if status >= 400 and same else None

    def _token(self, visitor: Visitor | None) -> tuple[str, str | None]:
        if visitor:
            return visitor.csrf, None
        house = house_of(self._request)
        cookie = self._request.cookies.get(house.cookies.form)
        new = None if cookie else new_form_cookie()
        return form_token(house.ring, cookie or cast(str, new)), new


def page(request: Request, db: Db, _signed: MaybeSigned) -> Pages:
    """Pages for this request, with whoever is signed in looked up."""
    return Pages(request, db)


Page = Annotated[Pages, Depends(page)]


def language_of(connection: HTTPConnection) -> str:
    """The first language of the browser that we have, else bokmål."""
    for part in connection.headers.get("accept-language", "").split(","):
        tag = part.split(";")[0].strip().lower().split("-")[0]
        tag = {"no": "nb", "sme": "se"}.get(tag, tag)
        if tag in pages.LANGUAGES:
            return tag
    return "nb"


def go(path: str) -> RedirectResponse:
    """After a POST: see there."""
    return RedirectResponse(path, 303)
