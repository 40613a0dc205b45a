"""Measures in words: whose they are, how far they have come."""

from collections.abc import Mapping

from companion.models import Measure
from companion.rules.cadence import local_day
from web.house import pages
from web.house.words import Words, _

OWNERS: Mapping[str, str] = {
    "municipality": _("Kommunen"),
    "hospital": _("Sykehuset"),
    "art": _("ART (ambulant team)"),
    "gp": _("Fastlegen"),
    "nav": _("NAV"),
    "patient": _("Personen selv"),
}

MEASURE_STATES: Mapping[str, tuple[str, str]] = {
    "recommended": (_("Anbefalt"), ""),
    "not_started": (_("Ikke startet"), "wait"),
    "unknown": (_("Vet ikke"), "wait"),
    "started": (_("Startet"), "ok"),
    "done": (_("Ferdig"), "ok"),
    "declined": (_("Vil ikke"), ""),
    "cancelled": (_("Avlyst"), ""),
}

REASONS: Mapping[str, str] = {
    "nobody_contacted": _("ingen har kontaktet meg"),
    "waiting_list": _("står på venteliste"),
    "too_ill": _("for sliten eller syk"),
    "no_transport": _("kommer seg ikke dit"),
    "not_understood": _("forstår ikke hva som skal gjøres"),
    "not_wanted": _("vil ikke"),
    "other": _("noe annet"),
}


class MeasureWords(Words):
    """A measure's date and owner."""

    def due(self, measure: Measure) -> str:
        """`Fristen var 22. november.` or `Frist 22. november.`"""
        day = pages.say_day(measure.due_on, lang=self.lang, now=self.now)
        today = local_day(self.now)
        return self(_("Fristen var %(day)s") if measure.due_on < today else _("Frist %(day)s"), day=day)

    def owner(self, measure: Measure) -> str:
        """The unit whose task it is, or the kind of owner."""
        return measure.owner_unit.name if measure.owner_unit else self(OWNERS[measure.owner])


def inside(title: str) -> str:
    """A title in the middle of a sentence: `Fysioterapi` loses its capital, `NAV` keeps it."""
    first = title.split(" ")[0]
    if len(first) > 1 and first[1:] != first[1:].lower():
        return title
    return title[:1].lower() + title[1:]
