"""The passport in words."""

from collections.abc import Iterable, Mapping

from companion.use_cases.passport.lines import MeasureLine, Spoke, WhomToCall
from web.house import pages
from web.house.words import _
from web.house.words.measures import OWNERS, MeasureWords

SECTIONS: Mapping[str, tuple[str, str]] = {
    "matters": (_("Hva er viktig for meg"), "passport"),
    "talk": (_("Slik snakker du best med meg"), "communication"),
    "important": (_("Viktig å vite"), "important"),
    "function": (_("Slik fungerer jeg i hverdagen"), "walk"),
    "aids": (_("Hjelpemidlene mine"), "settings"),
    "medication": (_("Medisiner"), "medicine"),
}

# Short enough for a circle of the wheel.
WHEEL: Mapping[str, str] = {
    "gp": _("Fastlege"),
    "ward": _("Sykehuset"),
    "art": _("ART"),
    "physio": _("Fysioterapi"),
    "occupational": _("Ergoterapi"),
    "home_service": _("Hjemmetjeneste"),
    "coordinating_unit": _("Koordinerende enhet"),
    "coordinator": _("Koordinator"),
    "speech": _("Logoped"),
    "nav": _("Nav"),
    "employer": _("Arbeidsgiver"),
    "school": _("Skole"),
    "private_rehab": _("Privat rehab"),
    "aids_centre": _("Hjelpemidler"),
    "healthy_life": _("Friskliv"),
    "relative": _("Pårørende"),
    "user_organisation": _("Brukerforening"),
}


class PassportWords(MeasureWords):
    """The passport's parts, its wheel and whom to call."""

    def section(self, key: str) -> tuple[str, str]:
        """Title and icon of a part of the passport."""
        title, icon = SECTIONS[key]
        return self(title), icon

    def spoke(self, role: str, relation: str | None = None) -> str:
        """Somebody's place in the wheel."""
        return pages.sentence(relation) if relation else self(WHEEL[role])

    def wheel(self, spokes: Iterable[Spoke]) -> list[dict[str, str | None]]:
        """The people of the wheel, the missing ones kept when there is no room for all."""
        shown = sorted(spokes, key=lambda spoke: not spoke.missing)[:8]
        return [
            {"role": role, "name": _beside(role, one.name), "phone": one.phone}
            for one in spokes
            if one in shown and (role := self.spoke(one.role, one.relation))
        ]

    def callers(self, people: Iterable[WhomToCall]) -> list[dict[str, str | None]]:
        """Whom to call; the emergency numbers stand at the foot of every page."""
        return [
            {"name": one.name, "line": one.hours, "phone": one.phone}
            for one in people
            if one.role not in ("urgent", "emergency")
        ]

    def passport_task(self, measure: MeasureLine, municipality: str, mine: bool) -> str:
        """Whose task a measure is, and by when while that is news."""
        if measure.owner == "municipality":
            owner = self(_("%(name)s kommune"), name=municipality)
        else:
            owner = measure.unit or self(
                OWNERS[measure.owner] if mine or measure.owner != "patient" else _("pasienten selv")
            )
        return self._task(measure, owner)


def _beside(role: str, name: str | None) -> str | None:
    """The name without the role it stands beside: `Koordinerende enhet, Tromsø` is `Tromsø`."""
    if name and name.casefold().startswith(role.casefold()):
        return name[len(role) :].strip(" ,–-") or name
    return name
