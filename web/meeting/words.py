"""What people read of a meeting outside our pages: in their calendar."""

from typing import Annotated

from fastapi import Depends

from companion.exchange import calendar
from companion.models import Meeting
from web.house import pages
from web.house.words import Words as TheWords
from web.house.words import _, reading


class MeetingWords(TheWords):
    """The calendar's words."""

    def calendar(self, meeting: Meeting, product: str) -> calendar.Words:
        """A meeting in a calendar: that there is one, where the door is, and whom to ring."""
        # Not every calendar takes a space that does not break for part of a number.
        phone = pages.phone(meeting.unit.phone).replace("\u00a0", " ") if meeting.unit.phone else ""
        how = self(_("Åpne adressen fra et kvarter før. Du kan også bruke lenken i meldingen du fikk."))
        ring = self(_("Passer det ikke? Ring %(phone)s."), phone=phone) if phone else ""
        return calendar.Words(
            summary=self(_("Videomøte (%(product)s)"), product=product),
            description=f"{how} {ring}".strip(),
            phone=phone,
        )


Words = Annotated[MeetingWords, Depends(reading(MeetingWords))]
