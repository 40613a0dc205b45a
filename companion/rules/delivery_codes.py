"""Why a message did not come through: each code of the provider's, and our own, as people read it and as we act on it.

The sentences are bokmål, looked up in the reader's language by whoever shows them. `why` stands after a colon.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


# Only marks a sentence for the catalogue.
def _(text: str) -> str:
    return text


@dataclass(frozen=True)
class Code:
    """One reason. `what_to_do` is for staff; `phone_state` is what it says about the number itself.

    `permanent`: the same message to the same number will not come through. `resend`: the handset could not be reached now,
    one more try later is worth it. `ours`: our account or sender is wrong, so letters wait until that is mended.
    """

    why: str
    what_to_do: str
    permanent: bool = True
    phone_state: str | None = None
    resend: bool = False
    ours: bool = False


_CORRECT = _("Rett nummeret, eller ring.")
_CALL = _("Ring i stedet.")
_LATER = _("Prøv igjen senere, eller ring.")
OPERATOR = _("Si fra til den som drifter løsningen, og ring i mellomtiden.")

_NO_SUCH = Code(_("nummeret finnes ikke"), _CORRECT, phone_state="dead")
_LANDLINE = Code(_("nummeret er en fasttelefon"), _CORRECT, phone_state="landline")
_SENDER = Code(_("avsenderen vår er satt opp feil"), OPERATOR, permanent=False, ours=True)

CODES: Mapping[str, Code] = MappingProxyType(
    {
        # E-mail, to our own people.
        "mail_refused": Code(
            _("e-postadressen tar ikke imot"), _("Rett adressen, eller velg en annen måte.")
        ),
        "no_way": Code(_("det er ingen åpen vei dit"), _("Velg en annen måte.")),
        # Refused at once.
        "20003": Code(_("kontoen vår hos leverandøren er avvist"), OPERATOR, permanent=False, ours=True),
        "20404": Code(_("adressen til leverandøren er feil"), OPERATOR, permanent=False, ours=True),
        "20429": Code(_("leverandøren har det for travelt"), _LATER, permanent=False),
        "21211": _NO_SUCH,
        "21212": _SENDER,
        "21214": _NO_SUCH,
        "21408": Code(_("vi kan ikke sende til dette landet"), _CALL),
        "21602": Code(_("meldingen var tom"), OPERATOR),
        "21603": _SENDER,
        "21606": _SENDER,
        "21610": Code(
            _("personen har svart STOPP"), _("Avtal om vi skal ringe i stedet."), phone_state="opted_out"
        ),
        "21611": Code(_("køen hos leverandøren er full"), _LATER, permanent=False, ours=True),
        "21612": Code(_("nummeret kan ikke nås"), _CORRECT, phone_state="dead"),
        "21614": Code(_("nummeret kan ikke ta imot SMS"), _CORRECT, phone_state="landline"),
        "21617": Code(_("meldingen var for lang"), OPERATOR),
        "21635": _LANDLINE,
        "21659": _SENDER,
        "21703": _SENDER,
        "21705": _SENDER,
        # Told afterwards.
        "30001": Code(_("køen hos leverandøren er full"), _LATER, permanent=False),
        "30002": Code(_("kontoen vår hos leverandøren er stengt"), OPERATOR, permanent=False),
        "30003": Code(_("telefonen er slått av eller uten dekning"), _LATER, permanent=False, resend=True),
        "30004": Code(_("telefonen stenger for meldinger fra oss"), _CALL, phone_state="dead"),
        "30005": _NO_SUCH,
        "30006": _LANDLINE,
        "30007": Code(_("teleselskapet stoppet meldingen"), _CALL),
        "30008": Code(_("teleselskapet sier ikke hvorfor"), _LATER, permanent=False, resend=True),
        "30009": Code(_("en del av meldingen ble borte"), _LATER, permanent=False),
        "30010": Code(_("meldingen ble for dyr"), OPERATOR),
        "30036": Code(_("den ble ikke levert i tide"), _LATER, permanent=False),
        "30410": Code(_("leverandøren fikk ikke svar"), _LATER, permanent=False),
        # Our own.
        "expired": Code(_("den ble ikke sendt i tide"), _CALL, permanent=False),
        "not_found": Code(_("den kom aldri av gårde"), _CALL, permanent=False),
        "unreadable": Code(_("opplysningene om mottakeren kan ikke leses"), OPERATOR),
        "no_words": Code(_("vi mangler teksten på dette språket"), OPERATOR),
        "unspecified": Code(_("leverandøren sier ikke hvorfor"), _LATER),
    }
)
UNKNOWN = Code(_("leverandøren gir en grunn vi ikke kjenner"), OPERATOR)


def explain(code: str) -> Code:
    """What a code means; one we do not know is for good, and something an operator should hear about."""
    return CODES.get(code, UNKNOWN)
