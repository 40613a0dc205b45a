"""Measures in words, for the one whose they are and for relatives."""

from collections.abc import Mapping
from typing import Any

from companion.models import Measure
from companion.rules.cadence import local_day
from companion.use_cases.passport.lines import MeasureLine
from web.house.words import Words, _, small

MEASURE_STATES: Mapping[str, tuple[str, str, str | None]] = {
    "recommended": (_("Venter"), "wait", None),
    "not_started": (_("Ikke i gang"), "wait", None),
    "unknown": (_("Usikkert"), "wait", None),
    "started": (_("I gang"), "ok", "ok"),
    "done": (_("Ferdig"), "ok", "ok"),
    "declined": (_("Du vil ikke"), "", None),
    "cancelled": (_("Avlyst"), "", None),
}

OWNERS: Mapping[str, str] = {
    "hospital": _("sykehuset"),
    "art": _("ambulant rehabiliteringsteam (ART)"),
    "municipality": _("kommunen"),
    "gp": _("fastlegen"),
    "nav": _("Nav"),
    "patient": _("du selv"),
}


class MeasureWords(Words):
    """How far a measure is, whose task it is, and by when."""

    def by_when(self, measure: Any) -> str:
        """`Innen 8. desember`."""
        return self(_("Innen %(day)s"), day=self._date(measure.due_on))

    def _task(self, measure: Measure | MeasureLine, owner: str) -> str:
        said = self(_("Ansvar: %(owner)s"), owner=owner)
        if self.overdue(measure):
            late = self(_("skulle vært i gang %(day)s"), day=self._date(measure.due_on))
            return f"{said} · {late}"
        return f"{said} · {small(self.by_when(measure))}" if measure.open else said

    def state(self, status: str) -> tuple[str, str, str | None]:
        """How far a measure is: word, tone, icon."""
        word, tone, icon = MEASURE_STATES[status]
        return self(word), tone, icon

    def overdue(self, measure: Any) -> bool:
        """Whether it should have begun by now."""
        return bool(measure.open and measure.due_on < local_day(self.now))
