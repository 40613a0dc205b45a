"""A free line to those who follow the patient: what a free SMS is, on the web."""

from typing import Any, cast
from uuid import UUID

from fastapi.responses import Response

from companion.errors import Invalid
from companion.use_cases.replies import written
from web.house.deps import Db, Now, Page, Posted, Seen, Who, go, new_router
from web.house.security import access
from web.patient.words import Words

router = new_router()
HERE = "/patient/write"


@router.get("/patient/write")
@access("patient", "check_in", patient_data=True)
def write_form(page: Page, db: Db, who: Who, seen: Seen, words: Words, sent: bool = False) -> Response:
    """Room to write; and how it stands with what was written before."""
    seen(cast(UUID, who.id), "written.read")
    return page("patient/write.html", **_form(db, who, words), sent=sent)


@router.post("/patient/write")
@access("patient", "check_in", patient_data=True)
def write(page: Page, db: Db, who: Who, now: Now, seen: Seen, fields: Posted, words: Words) -> Response:
    """Puts it before a human; what to do meanwhile stands on the page that follows."""
    typed = fields.get("text", "")
    try:
        raised = written.write(db, who, typed, now=now)
    except Invalid as wrong:
        form = _form(db, who, words, typed, wrong.problems)
        return page("patient/write.html", status=422, **form, sent=False)
    seen(cast(UUID, who.id), "written.sent", f"flag:{raised.id}")
    return go(f"{HERE}?sent=true")


def _form(
    db: Db, who: Who, words: Words, typed: str = "", problems: dict[str, str] | None = None
) -> dict[str, Any]:
    return {
        "waiting": written.waiting(db, who),
        "typed": typed,
        "longest": written.LONGEST,
        "errors": words.problems(problems or {}),
        "place": HERE,
    }
