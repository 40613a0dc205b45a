"""What was typed and not sent: given back to the page it was typed on, kept when a form was not taken, gone when it was.

A form that is kept carries its place in a hidden field (`ui.draft` in the templates): the address of its page, and after # which
of the page's forms it is.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast

from fastapi import Request
from sqlalchemy.orm import Session

from companion.rules.access import Level
from companion.use_cases import sign_in
from companion.use_cases.people import drafts
from web.house.house import now_of, transaction
from web.house.posted import Fields
from web.house.security import given_token, local_path, open_mask
from web.house.visitor import signed_of

PLACE = "draft"
_NOT_TYPED = frozenset({PLACE, "csrf_token"})
# Fields of a person's own words; elsewhere a value with a space in it.
_OWN_WORDS = frozenset({"text", "answer"})


class Kept(Fields):
    """A form as it was left, empty when nothing was; `saved_at` is None when it has been posted just now."""

    def __init__(
        self, place: str, fields: Iterable[tuple[str, str]] = (), saved_at: datetime | None = None
    ) -> None:
        super().__init__(list(fields))
        self.place, self.saved_at = place, saved_at

    @property
    def words(self) -> list[str]:
        """What the person wrote, without what was only chosen."""
        return [
            text.strip()
            for name, text in self.items()
            if text.strip() and (name in _OWN_WORDS or " " in text.strip())
        ]


class Drafts:
    """The person's drafts, in one request: looked up when a page asks, and only for somebody who has any."""

    def __init__(self, request: Request, db: Session | None) -> None:
        self._request, self._db = request, db
        self._asked: set[str] = set()
        self._found: Mapping[str, Kept] | None = None
        self.settled = False
        # Addresses that begin so lead here now: what was typed there is found here.
        self.under = ""

    def __call__(self, place: str) -> Kept:
        """What was typed in the form at `place`; falsy when nothing was."""
        self._asked.add(place)
        return self._all().get(place) or Kept(place)

    @property
    def any(self) -> bool:
        """Whether there is anything to give back, or to throw away."""
        return bool(self._all())

    @property
    def left(self) -> list[Kept]:
        """What was typed on this page in a form that is not on it any more. Ask after the page's forms have asked."""
        here = page_of(self.posted.place) if self.posted is not None else self._request.url.path
        return [
            one
            for place, one in self._all().items()
            if (page_of(place) == here or (self.under and place.startswith(self.under)))
            and place not in self._asked
            and one.words
        ]

    @property
    def elsewhere(self) -> list[Kept]:
        """What waits on other pages, the latest first."""
        here = self._request.url.path
        return [one for place, one in self._all().items() if page_of(place) != here]

    @property
    def posted(self) -> Kept | None:
        """The form that came with this request."""
        return posted_form(self._request)

    def keep(self, place: str | None = None) -> None:
        """The posted form is not sent, only kept; at another place when its own is no more."""
        self.settled = True
        signed, posted = signed_of(self._request), posted_form(self._request, place)
        if self._db is None or signed is None or posted is None or signed.actor.level < Level.code:
            return
        now = now_of(self._request)
        drafts.keep(self._db, signed.actor, place or posted.place, posted.pairs, now=now)
        if place and place != posted.place:
            drafts.forget(self._db, signed.actor, posted.place)

    def drop(self) -> None:
        """The posted form is sent, or thrown away."""
        self.settled = True
        signed, posted = signed_of(self._request), self.posted
        if self._db is not None and signed is not None and posted is not None:
            drafts.forget(self._db, signed.actor, posted.place)

    def _all(self) -> Mapping[str, Kept]:
        if self._found is None:
            self._found = self._look_up()
            if (posted := self.posted) is not None:
                self._found = {posted.place: posted, **_without(self._found, posted.place)}
        return self._found

    def _look_up(self) -> Mapping[str, Kept]:
        signed = signed_of(self._request)
        if self._db is None or signed is None or not signed.visit.unsent or signed.actor.level < Level.code:
            return {}
        found = drafts.kept_by(self._db, signed.actor, now=now_of(self._request))
        return {place: Kept(place, one.fields, one.saved_at) for place, one in found.items()}


def drafts_of(request: Request, db: Session | None) -> Drafts:
    """This request's, made once."""
    if not hasattr(request.state, "drafts"):
        request.state.drafts = Drafts(request, db)
    return cast(Drafts, request.state.drafts)


def posted_form(request: Request, place: str | None = None) -> Kept | None:
    """What was posted, when it was a form that is kept, or is to be at `place`. What is no address of ours is no place."""
    fields: Fields = getattr(request.state, "posted", None) or Fields()
    place = local_path(fields.get(PLACE)) or place
    if place is None:
        return None
    return Kept(place, [(name, text) for name, text in fields.pairs if name not in _NOT_TYPED])


def settle(request: Request, db: Session, answer: Any) -> None:
    """A form that was taken leads to another page, and its draft is gone; one that was not is kept as it was posted."""
    found = drafts_of(request, db)
    if found.settled or found.posted is None:
        return
    taken = answer.status_code < 400 and ("location" in answer.headers or "hx-push-url" in answer.headers)
    found.drop() if taken else found.keep()


def rescue(request: Request) -> bool | None:
    """A form was posted and could not be worked on: keeps it for whoever it was shown to, by the token it carries.

    True: for the person asking, or for nobody who is here. False: for somebody else than is signed in. None: nothing is kept.
    """
    posted = posted_form(request)
    if posted is None:
        return None
    token = open_mask(given_token(request, request.state.posted))
    with transaction(request) as db:
        owner = sign_in.whose_page(db, token, now=now_of(request)) if token else None
        if owner is None or not drafts.keep(db, owner, posted.place, posted.pairs, now=now_of(request)):
            return None
    signed = signed_of(request)
    return signed is None or signed.actor.id == owner.id


def page_of(place: str) -> str:
    """The address of the page, without which of its forms."""
    return place.partition("#")[0]


def _without(found: Mapping[str, Kept], place: str) -> dict[str, Kept]:
    return {name: one for name, one in found.items() if name != place}
