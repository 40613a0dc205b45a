"""What relatives read."""

from typing import Annotated

from fastapi import Depends

from web.house.words import _, reading
from web.house.words.passport import PassportWords


class RelativeWords(PassportWords):
    """The passport's words, and the relative's tabs. Templates get it as `words`."""

    def tabs(self) -> list[dict[str, str]]:
        """The relative's two tabs."""
        return [
            {"key": "home", "href": "/relative", "icon": "today", "word": self(_("Hjem"))},
            {"key": "meetings", "href": "/relative/meetings", "icon": "meetings", "word": self(_("Møter"))},
        ]


Words = Annotated[RelativeWords, Depends(reading(RelativeWords))]
