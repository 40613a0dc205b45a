"""Reading a consent form: which relative, to what, until when."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime

from companion.errors import Invalid
from companion.rules.cadence import local_day
from companion.use_cases.people.typed import clean
from companion.use_cases.relatives import share


def read_date(typed: str) -> date | None:
    """The date that a date field posts, or None."""
    try:
        return date.fromisoformat(clean(typed)) if len(clean(typed)) == 10 else None
    except ValueError:
        return None


def read_grant(
    typed: Mapping[str, str], scopes: Iterable[str], now: datetime
) -> tuple[share.GrantDraft, dict[str, str]]:
    """The consent as it was typed, and every problem with it."""
    problems: dict[str, str] = {}
    born, until = read_date(typed.get("birth_date", "")), read_date(typed.get("until", ""))
    # Without it the relative's link could never be opened.
    if born is None:
        problems["birth_date"] = "not_a_date" if typed.get("birth_date", "").strip() else "missing"
    if until is None:
        problems["until"] = "not_a_date" if typed.get("until", "").strip() else "missing"
    draft = share.GrantDraft(
        name=typed.get("name", ""),
        phone=typed.get("phone", ""),
        birth_date=born,
        relation=typed.get("relation", ""),
        scopes=frozenset(scopes),
        until=until or local_day(now),
    )
    try:
        share.check(draft, now=now)
    except Invalid as problem:
        problems = problem.problems | problems
    return draft, problems
