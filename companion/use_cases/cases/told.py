"""The moments at which people are to hear of a case: each stands on the timeline, and is told to whoever wants to hear."""

from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from companion.models import Flag, FlagEvent
from companion.use_cases.cases import duty

Moment = Literal["opened", "soon", "overdue"]
_HERE = ("person", "unit")


def tell(
    db: Session,
    raised: Flag,
    what: Moment,
    now: datetime,
    *,
    why: str | None = None,
    to: str | None = None,
) -> None:
    """Writes down, once, what has just become of a case.

    `opened`: new; `soon` overdue; `overdue`, or a step further: `why` is the rung, `to` who has it now. A new case that is not
    where it belongs because nobody is at work there says so: `why` is `nobody`, `to` the unit that has none.
    """
    db.add(FlagEvent(flag_id=raised.id, kind=what, at=now, outcome=why, text=to))
    db.flush()
    # A case that was given more time may be overdue again, and is told of again.
    due = f"{raised.respond_by:%m%d%H}"
    if what == "overdue":
        duty.tell(db, raised, "overdue" if why in _HERE else "moved_up", now=now, step=f"{why}:{due}")
    elif what == "soon":
        duty.tell(db, raised, "soon_overdue", now=now, step=due)
    elif raised.level == "red":
        duty.tell(db, raised, "raised", now=now)
