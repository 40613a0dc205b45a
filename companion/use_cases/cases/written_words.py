"""What somebody wrote of their own accord comes before the people who follow them, each message on a line of its own."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import Session

from companion.library import crisis_words
from companion.models import Flag, Patient
from companion.rules.triage import crisis_quote
from companion.use_cases.cases import flag


def tell(
    db: Session,
    about: Iterable[Patient],
    code: str,
    level: str,
    quote: str | None,
    *,
    now: datetime,
    **params: str | bool,
) -> list[Flag]:
    """Raises it for each patient; while it is open from an earlier message, this one is written under that."""
    # Each message on a line of its own.
    line = " ".join(quote.split()) if quote else None
    raised = []
    for patient in about:
        one = flag.raise_flag(
            db,
            patient,
            code=code,
            level=level,
            unit=flag.owner_unit(db, patient, "art"),
            now=now,
            quote=line,
            params=dict(params),
        )
        if line and line not in (one.quote or "").splitlines():
            one.quote = f"{one.quote}\n{line}" if one.quote else line
            flag.said_more(db, one, now=now)
        raised.append(one)
    return raised


def tell_of_despair(db: Session, patient: Patient, written: str, *, now: datetime, place: str) -> bool:
    """Whether words of despair stand in what was written on a page; then a human has it at once."""
    if not crisis_quote([written], crisis_words()):
        return False
    tell(db, [patient], "crisis_words", "red", written, now=now, by="web", place=place)
    return True
