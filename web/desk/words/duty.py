"""How staff hear of what waits, in words."""

from collections.abc import Mapping

from web.house.words import _

DUTY_WAYS: Mapping[str, tuple[str, str]] = {
    "none": (_("Ingen beskjed"), _("Du ser sakene når du åpner arbeidslisten.")),
    "push": (_("Varsel på jobbtelefonen"), _("Kommer varselet ikke fram, går det SMS eller e-post.")),
    "sms": (_("SMS"), _("«Ny hastesak i Følge.» Aldri navn, aldri noe om helse.")),
    "mail": (_("E-post"), _("Den samme setningen, og adressen til arbeidslisten.")),
}

DUTY_HOURS: Mapping[str, tuple[str, str]] = {
    "duty": (
        _("Arbeidsdager kl. 08.00 til 15.30"),
        _("Det som kommer utenom, får du i én beskjed neste arbeidsdag kl. 08.00."),
    ),
    "always": (_("Alltid"), _("Også kvelder, netter og helger.")),
}
