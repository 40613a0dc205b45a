"""Letters in words, and the ways they go."""

from collections.abc import Mapping

from web.house.words import _

MESSAGE_KINDS: Mapping[str, str] = {
    "welcome": _("Velkomst"),
    "check_in": _("Spørsmål"),
    "reminder": _("Påminnelse"),
    "question": _("Første spørsmål på SMS"),
    "question_again": _("Spørsmålet én gang til på SMS"),
    "next_question": _("Neste spørsmål på SMS"),
    "rest_by_phone": _("Takk, og beskjed om at vi ringer"),
    "all_answered": _("Takk for svarene"),
    "meeting": _("Møteinvitasjon"),
    "meeting_moved": _("Beskjed om flyttet møte"),
    "meeting_cancelled": _("Beskjed om avlyst møte"),
    "meeting_coming": _("Påminnelse om møte, dagen før"),
    "meeting_now": _("Påminnelse om møte, en halv time før"),
    "meeting_missed": _("Melding om at dere ikke fikk møttes"),
    "meeting_without_you": _("Beskjed om at gjesten ikke trenger å komme"),
    "sign_in_code": _("Kode for å logge inn"),
    "new_link": _("Ny lenke"),
    "relative_invited": _("Invitasjon til pårørende"),
    "reply": _("Svar på SMS"),
    "duty": _("Beskjed til oss om at en sak venter"),
    "duty_test": _("Prøve på beskjed til oss"),
    "stopped": _("Bekreftet at de ikke vil ha SMS"),
    "crisis": _("Hvem de kan ringe nå"),
}

MESSAGE_STATES: Mapping[str, tuple[str, str]] = {
    "queued": (_("venter på å bli sendt"), ""),
    "sending": (_("sendes nå"), ""),
    "held_back": (_("venter: nok meldinger denne uka"), ""),
    "accepted": (_("sendt"), ""),
    "sent": (_("sendt"), ""),
    "delivered": (_("kom fram"), "ok"),
    "undelivered": (_("kom ikke fram"), "wait"),
    "failed": (_("kunne ikke sendes"), "wait"),
    "unknown": (_("usikkert om den kom fram"), "wait"),
    "delivery_unknown": (_("sendt, uten kvittering"), ""),
    "expired": (_("ble ikke sendt i tide"), "wait"),
    "cancelled": (_("ble ikke sendt, den trengtes ikke"), ""),
}

CONTACT_WAYS: Mapping[str, str] = {
    "sms": _("SMS"),
    "push": _("Varsel på telefonen"),
    "call": _("Vi ringer"),
}

# The agreement, and what it means.
ANSWERS_BY_SMS: tuple[str, str] = (
    _("Svarer på spørsmålene med SMS"),
    _(
        "For den som ikke har smarttelefon. Ett spørsmål i hver melding, svar med ett tall. Tiltakene heter punkt 1, punkt 2 "
        "som på hjemreisearket. Det som ikke kan spørres på SMS, ringer vi om. Kryss av bare når personen har sagt ja."
    ),
)

PHONE_STATES: Mapping[str, tuple[str, str]] = {
    "ok": (_("i bruk"), ""),
    "dead": (_("nummeret virker ikke"), "wait"),
    "landline": (_("fasttelefon, tar ikke SMS"), ""),
    "opted_out": (_("har svart STOPP på SMS"), "wait"),
}
