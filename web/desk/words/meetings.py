"""Meetings in words."""

from collections.abc import Mapping

from web.house.words import _

MEETING_KINDS: Mapping[str, str] = {
    "follow_up": _("Oppfølging"),
    "mid_stay": _("Midt i oppholdet"),
    "discharge": _("Før utskriving"),
    "guidance": _("Veiledning"),
}

# How a meeting was held, or why not.
MEETING_OUTCOMES: Mapping[str, tuple[str, str]] = {
    "video": (_("Holdt på video"), "ok"),
    "audio": (_("Holdt med lyd, uten bilde"), "ok"),
    "phone": (_("Holdt på telefon"), "ok"),
    "no_show": (_("Ikke holdt: kom ikke"), "wait"),
    "ill": (_("Ikke holdt: sykdom"), ""),
    "technical": (_("Ikke holdt: teknikken sviktet"), "wait"),
    "other": (_("Ikke holdt: noe annet"), ""),
}

# The same in a case's history, also of one that was called off or moved meanwhile.
OUTCOME_EVENTS: Mapping[str, str] = {
    **{code: word for code, (word, _tone) in MEETING_OUTCOMES.items()},
    "cancelled": _("Videomøtet ble avlyst"),
    "offered": _("Videomøtet ble flyttet"),
}

# Whether the time suits.
ANSWERS: Mapping[str, tuple[str, str]] = {
    "yes": (_("passer"), "ok"),
    "no": (_("passer ikke"), "wait"),
    "other": (_("ber om en annen tid"), "wait"),
}

# As what somebody without a record here is invited.
GUEST_ROLES: Mapping[str, str] = {
    "interpreter": _("Tolk"),
    "partner": _("Samtalepartner"),
    "guest": _("Gjest"),
}

ROLES: Mapping[str, str] = {
    "therapist": _("Inviterer, og slipper inn"),
    "patient": _("Den møtet gjelder"),
    "relative": _("Pårørende"),
    "professional": _("Kollega"),
    **GUEST_ROLES,
}
