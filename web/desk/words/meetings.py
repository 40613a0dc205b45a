"""Meetings in words."""

from collections.abc import Mapping

from web.house.words import _

MEETING_KINDS: Mapping[str, str] = {
    "follow_up": _("Oppfølging"),
    "mid_stay": _("Midt i oppholdet"),
    "discharge": _("Før utskriving"),
    "guidance": _("Veiledning"),
}
