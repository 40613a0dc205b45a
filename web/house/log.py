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
from web.house.posted import Db
from web.house.visitor import Who


class Audit:
    """Writes down whose data was seen or changed, in the request's own transaction."""

    def __init__(self, request: Request, db: Session, actor: Actor, now: datetime) -> None:
        self._request, self._db, self._actor, self._now = request, db, actor, now

    def __call__(self, patient_id: UUID, action: str, object: str = "", purpose: str = "") -> None:
        """One line of the patient's access log."""
        self.each([patient_id], action, object, purpose)

    def each(self, patient_ids: Iterable[UUID], action: str, object: str = "", purpose: str = "") -> None:
        """A line for everybody a list names; a list that names nobody still leaves the line that somebody looked."""
        privacy.record_accesses(
            self._db,
            self._actor,
            list(patient_ids) or [None],
            action,
            object=object,
            purpose=purpose,
            request_id=self._request.state.id,
            now=self._now,
        )


def seen(request: Request, db: Db, actor: Who, now: Now) -> Audit:
    """The audit log for this request."""
    return Audit(request, db, actor, now)


Seen = Annotated[Audit, Depends(seen)]
