"""Plans and their check-ins in words."""

from collections.abc import Mapping

from companion import library
from companion.rules.texts import Text
from web.desk.words.measures import inside
from web.house.words import Words, _

PLAN_STATES: Mapping[str, tuple[str, str]] = {
    "active": (_("I gang"), "ok"),
    "paused": (_("På pause"), "wait"),
    "stopped": (_("Stoppet"), ""),
    "done": (_("Ferdig"), ""),
}

PLAN_EVENTS: Mapping[str, str] = {
    "made": _("Oppfølgingsplanen ble laget"),
    "moved": _("Planen ble flyttet"),
    "paused": _("Planen ble satt på pause"),
    "resumed": _("Planen ble startet igjen"),
    "stopped": _("Planen ble stoppet"),
}

PLAN_REASONS: Mapping[str, str] = {
    "readmitted": _("Innlagt på nytt"),
    "died": _("Registrert død"),
    "opted_out": _("Vil ikke ha oppfølging"),
    "new_stay": _("Et nytt opphold tok over"),
    "wish": _("Etter eget ønske"),
    "other": _("Annen grunn"),
}

CHECK_IN_STATES: Mapping[str, tuple[str, str]] = {
    "planned": (_("Planlagt"), ""),
    "asked": (_("Spurt"), "info"),
    "answered": (_("Svart"), "ok"),
    "expired": (_("Ikke svart"), "wait"),
    "skipped": (_("Hoppet over"), ""),
    "postponed": (_("Utsatt"), ""),
}


class PlanWords(Words):
    """A plan's template and its check-ins."""

    def text(self, said: Text | Mapping[str, str]) -> str:
        """A sentence of the content, in the reader's language."""
        return (said if isinstance(said, Text) else Text(said)).in_(self.lang)

    def template(self, key: str) -> str:
        """The name of a plan template."""
        known = library.plan_templates().get(key)
        return self.text(known.name) if known else key

    def group(self, key: str) -> str:
        """The same in the middle of a line."""
        return inside(self.template(key))

    def check_in(self, template: str, day: int) -> str:
        """`Dag 90 · trimånederskontroll`."""
        label = library.check_in_label(template, day) if template in library.plan_templates() else None
        said = self(_("Dag %(day)s"), day=day)
        return f"{said} · {self.text(label)}" if label else said
