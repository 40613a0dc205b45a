"""The passport as professionals write it: lines, confirmations, and the people around the patient."""

from collections.abc import Callable, Mapping
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from fastapi.responses import HTMLResponse, Response

from companion.errors import Conflict, Invalid
from companion.models.passport import WHEEL_ROLES
from companion.rules.access import Level
from companion.use_cases.passport import lines as passport
from web.desk.words import Say
from web.desk.words.passport import SECTIONS, WHEEL
from web.house.deps import Db, Now, Page, Posted, Seen, Who, go, new_router
from web.house.security import access
from web.house.words import _

router = new_router()


class Desk:
    """What every route here needs: shows the passport, or does something to it and goes back there."""

    def __init__(self, db: Db, who: Who, now: Now, page: Page, say: Say, seen: Seen, posted: Posted) -> None:
        self.db, self.who, self.now = db, who, now
        self.page, self.say, self.seen, self.posted = page, say, seen, posted

    def show(
        self,
        patient_id: UUID,
        *,
        status: int = 200,
        panel: str = "",
        errors: Mapping[str, str] | None = None,
        notice: str = "",
    ) -> HTMLResponse:
        """The passport. `panel` names the form that `errors` are about."""
        found = passport.read(self.db, self.who, patient_id, now=self.now)
        self.seen(patient_id, "passport.read")
        roles = [(role, self.say(WHEEL[role])) for role in WHEEL_ROLES if role != "relative"]
        return self.page(
            "desk/passport.html",
            status=status,
            passport=found,
            patient=found.patient,
            titles={key: self.say(title) for key, title in SECTIONS.items()},
            role_words={role: self.say(word) for role, word in WHEEL.items()},
            roles=[("", self.say(_("Velg …"))), *roles],
            panel=panel,
            errors={f"{panel}.{field}": said for field, said in (errors or {}).items()},
            typed=self.posted,
            notice=notice,
        )

    def do(
        self, patient_id: UUID, panel: str, action: str, doing: Callable[[], object], to: str = ""
    ) -> Response:
        """Does it, writes it down, and goes back to the passport at `to`."""
        try:
            with self.db.begin_nested():
                doing()
        except Invalid as problem:
            return self.show(patient_id, status=422, panel=panel, errors=self.say.problems(problem.problems))
        except Conflict as problem:
            return self.show(patient_id, status=409, notice=self.say.conflict(problem.code, problem.who))
        self.seen(patient_id, action)
        return go(f"/staff/patients/{patient_id}/passport{to}")


At = Annotated[Desk, Depends(Desk)]


@router.get("/staff/patients/{patient_id}/passport")
@access("professional", Level.high, patient_data=True)
def show(patient_id: UUID, desk: At) -> HTMLResponse:
    """All of it, with a place to write in every section."""
    return desk.show(patient_id)


@router.post("/staff/patients/{patient_id}/passport/lines")
@access("professional", Level.high, patient_data=True)
def write(patient_id: UUID, desk: At) -> Response:
    """A new line."""
    section, text = desk.posted.get("section", ""), desk.posted.get("text", "")
    critical = desk.posted.get("critical") == "yes"
    return desk.do(
        patient_id,
        f"new-{section}" if section in SECTIONS else "new",
        "passport.written",
        lambda: passport.write_line(desk.db, desk.who, patient_id, section, text, critical, now=desk.now),
        f"#section-{section}",
    )


@router.post("/staff/patients/{patient_id}/passport/lines/{line_id}")
@access("professional", Level.high, patient_data=True)
def change(patient_id: UUID, line_id: UUID, desk: At) -> Response:
    """Confirms, changes or takes away a line."""
    db, who, now, posted = desk.db, desk.who, desk.now, desk.posted
    # The address says whose passport it is; the line must be on it.
    found = passport.read(db, who, patient_id, now=now)
    section = next((one.key for one in found.sections if any(line.id == line_id for line in one.lines)), None)
    if section is None:
        return desk.show(patient_id, status=409, notice=desk.say.conflict("changed", None))
    verbs: dict[str, Callable[[], object]] = {
        "confirm": lambda: passport.confirm_line(db, who, line_id, now=now),
        "end": lambda: passport.end_line(db, who, line_id, now=now),
    }
    verb = posted.get("do", "")
    doing = verbs.get(
        verb,
        lambda: passport.change_line(
            db, who, line_id, posted.get("text", ""), posted.get("critical") == "yes", now=now
        ),
    )
    action = {"confirm": "passport.confirmed", "end": "passport.ended"}.get(verb, "passport.changed")
    return desk.do(patient_id, f"line-{line_id}", action, doing, f"#section-{section}")


@router.post("/staff/patients/{patient_id}/passport/contacts")
@access("professional", Level.high, patient_data=True)
def set_contact(patient_id: UUID, desk: At) -> Response:
    """Names somebody around the patient."""
    role, name, phone = (desk.posted.get(field, "") for field in ("role", "name", "phone"))
    return desk.do(
        patient_id,
        "wheel",
        "passport.contact",
        lambda: passport.set_contact(desk.db, desk.who, patient_id, role, name, phone, now=desk.now),
        "#wheel",
    )
