"""How a patient or relative wants the pages: language, size of the text, light or dark."""

from sqlalchemy.orm import Session

from companion.errors import Invalid, NotAllowed, NotFound
from companion.models import Patient, Relative
from companion.rules.access import Actor
from companion.rules.texts import LANGUAGES

TEXT_SIZES = ("sm", "md", "lg")
COLOR_SCHEMES = ("auto", "light", "dark")


def choose(db: Session, who: Actor, *, language: str, text_size: str, color_scheme: str) -> None:
    """Keeps the person's own choice; messages come in that language too. Raises `Invalid` with every problem."""
    if who.kind not in ("patient", "relative"):
        raise NotAllowed("for patients and relatives")
    known = {"language": LANGUAGES, "text_size": TEXT_SIZES, "color_scheme": COLOR_SCHEMES}
    chosen = {"language": language, "text_size": text_size, "color_scheme": color_scheme}
    if problems := {name: "unknown" for name, value in chosen.items() if value not in known[name]}:
        raise Invalid(problems)
    person = db.get(Patient, who.id) if who.kind == "patient" else db.get(Relative, who.id)
    if person is None:
        raise NotFound("person")
    person.language, person.text_size, person.color_scheme = language, text_size, color_scheme
    db.flush()
