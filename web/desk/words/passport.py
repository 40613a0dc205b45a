"""The passport in words, and what a relative may see."""

from collections.abc import Mapping

from web.house.words import Words, _

SCOPES: Mapping[str, tuple[str, str]] = {
    "passport": (_("Passet"), _("Det som er viktig å vite, og hvem man kan ringe")),
    "measures": (_("Tiltakene"), _("Hva som er avtalt, og hvor langt det er kommet")),
    "meetings": (_("Møtene"), _("Kan bli invitert til videomøter")),
}

SECTIONS: Mapping[str, str] = {
    "matters": _("Hva er viktig for meg"),
    "talk": _("Slik snakker du best med meg"),
    "important": _("Viktig å vite"),
    "function": _("Slik fungerer jeg i hverdagen"),
    "aids": _("Hjelpemidlene mine"),
    "medication": _("Medisiner"),
}

WHEEL: Mapping[str, str] = {
    "gp": _("Fastlege"),
    "ward": _("Post på sykehuset"),
    "art": _("ART (ambulant team)"),
    "physio": _("Fysioterapi i kommunen"),
    "occupational": _("Ergoterapi i kommunen"),
    "home_service": _("Hjemmetjeneste"),
    "coordinating_unit": _("Koordinerende enhet"),
    "coordinator": _("Koordinator"),
    "speech": _("Logoped"),
    "nav": _("NAV"),
    "employer": _("Arbeidsgiver"),
    "school": _("Skole"),
    "private_rehab": _("Privat rehabilitering"),
    "aids_centre": _("Hjelpemiddelsentral"),
    "healthy_life": _("Frisklivssentral"),
    "relative": _("Pårørende"),
    "user_organisation": _("Brukerorganisasjon"),
}


class GrantWords(Words):
    """What a grant opens."""

    def scope(self, code: str) -> str:
        """What a relative may see, in a word."""
        return self(SCOPES[code][0])
