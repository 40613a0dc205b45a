"""Who may see, and who has looked, in words."""

from collections.abc import Mapping

from web.house.words import Words, _

SCOPES: Mapping[str, tuple[str, str]] = {
    "passport": (_("Lese passet"), _("Det som er viktig å vite, og hvem de kan ringe.")),
    "measures": (_("Se tiltakene"), _("Hva som er anbefalt, og hvor langt det er kommet.")),
    "meetings": (_("Være med på møter"), _("De kan bli invitert til videomøter.")),
}

# The access log: the beginning of an action and what was done. The longest beginning counts.
ACCESS: Mapping[str, str] = {
    "passport": _("Leste passet"),
    "passport.write": _("Skrev i passet"),
    "passport.confirm": _("Bekreftet noe i passet"),
    "case": _("Leste saken din"),
    "worklist": _("Så navnet ditt på arbeidslista"),
    "patients": _("Så navnet ditt på en liste"),
    "coming_home": _("Så navnet ditt på en liste"),
    "call_list": _("Så navnet ditt på ringelista"),
    "flag": _("Fulgte opp svarene dine"),
    "meeting": _("Åpnet et videomøte med deg"),
    "meetings": _("Så på møtene dine"),
    "measures": _("Så på tiltakene dine"),
    "check_in": _("Leste svarene dine"),
    "check_in.phone": _("Stilte deg spørsmålene på telefon"),
    "grant": _("Registrerte hvem som får se"),
    "relative": _("Så navnet ditt på siden sin"),
    "discharged": _("Registrerte hjemreisen din"),
    "printed": _("Skrev ut arket du fikk med hjem"),
    "plan": _("Endret oppfølgingen din"),
    "contact": _("Endret hvordan vi når deg"),
    "contact.sms_agreed": _("Skrev ned at du vil svare på SMS"),
    "contact.sms_ended": _("Skrev ned at du ikke vil svare på SMS"),
    "messages": _("Så hva som ble av meldingene til deg"),
    "message.again": _("Sendte deg en melding på nytt"),
    "export": _("Tok ut en kopi av opplysningene dine"),
    "erase": _("Slettet opplysninger om deg"),
}

ACCESS_ELSE = _("Så på opplysninger om deg")


class SharingWords(Words):
    """Grants and the access log."""

    def scope(self, key: str) -> str:
        """What a relative may do, in a few words."""
        return self(SCOPES[key][0])

    def scope_cards(self) -> list[dict[str, str]]:
        """What a relative may be let in to, as cards to tick."""
        return [{"value": key, "word": self(word), "by": self(by)} for key, (word, by) in SCOPES.items()]

    def access(self, action: str) -> str:
        """What somebody did with the person's data."""
        parts = action.split(".")
        for length in range(len(parts), 0, -1):
            if known := ACCESS.get(".".join(parts[:length])):
                return self(known)
        return self(ACCESS_ELSE)
