"""The patient's own measures in words."""

from collections.abc import Mapping

from companion.models import Measure
from web.house.words import _, small
from web.house.words.measures import MEASURE_STATES, OWNERS, MeasureWords

# What somebody said about a measure, as a line of its history.
HISTORY: Mapping[str, str] = {
    "not_started": _("Ikke i gang"),
    "unknown": _("Usikker på om det er i gang"),
    "started": _("I gang"),
    "done": _("Ferdig"),
    "declined": _("Ikke ønsket"),
    "cancelled": _("Avlyst"),
}

WHY_NOT: Mapping[str, str] = {
    "nobody_contacted": _("Ingen har tatt kontakt"),
    "waiting_list": _("Står på venteliste"),
    "too_ill": _("For sliten eller syk"),
    "no_transport": _("Kommer seg ikke dit"),
    "not_understood": _("Usikker på hva som skal gjøres"),
    "not_wanted": _("Vil ikke"),
    "other": _("Noe annet"),
}


class OwnMeasureWords(MeasureWords):
    """A measure as the patient reads it."""

    def task(self, measure: Measure, municipality: str) -> str:
        """Whose task it is, and by when while that is news."""
        return self._task(measure, self.owner(measure, municipality))

    def owner(self, measure: Measure, municipality: str) -> str:
        """Whose task it is, as the person knows them."""
        if measure.owner == "municipality":
            return self(_("%(name)s kommune"), name=municipality)
        if measure.owner_unit:
            return measure.owner_unit.name
        return self(OWNERS[measure.owner])

    def history(self, status: str, reason: str | None) -> str:
        """One line of a measure's history."""
        said = self(HISTORY.get(status, MEASURE_STATES["recommended"][0]))
        return f"{said}: {small(self(WHY_NOT[reason]))}" if reason and reason in WHY_NOT else said
