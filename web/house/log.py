"""The access log: whose data was seen or changed, in the request's own transaction."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from companion.rules.access import Actor
from companion.use_cases.keeping import privacy
from web.house.house import Now
from web.house.visitor import Who


class Audit:
    """Notes whose data was seen or changed; `write` keeps it, in the request's own transaction."""

    def __init__(self, request: Request, actor: Actor, now: datetime) -> None:
        self._request, self._actor, self._now = request, actor, now

    def __call__(self, patient_id: UUID | None, action: str, object: str = "", purpose: str = "") -> None:
        """One line of the patient's access log."""
        self.each([patient_id], action, object, purpose)

    def each(
        self, patient_ids: Iterable[UUID | None], action: str, object: str = "", purpose: str = ""
    ) -> None:
        """A line for everybody a list names; a list that names nobody still leaves the line that somebody looked."""
        for patient_id in dict.fromkeys(patient_ids) or [None]:
            self._request.state.seen.append(
                privacy.Line(
                    self._now, self._actor, patient_id, action, object, purpose, self._request.state.id
                )
            )


def seen(request: Request, actor: Who, now: Now) -> Audit:
    """The audit log for this request."""
    return Audit(request, actor, now)


def write(request: Request, db: Session) -> None:
    """What the request has seen and done, at its end: the chain is held for everybody from its first link to the commit."""
    privacy.record(db, request.state.seen)


Seen = Annotated[Audit, Depends(seen)]
