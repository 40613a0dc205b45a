"""E-mail as a way: to those of our own people who have chosen it; patients and relatives get none."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from companion.settings import Settings as CompanionSettings
from companion.settings import read
from companion.use_cases.cases.duty import wishes
from companion.use_cases.messages.letter import Letter, staff_of
from companion.use_cases.sign_in import Words
from notifications import wording
from notifications.channels import Can, Channel, Frame, Opening, Said, To, Wrapped, _
from notifications.channels.email.settings import SmtpSettings
from notifications.finding import Finding
from notifications.settings import Settings


class Mail:
    """Who has chosen push and has no number gets one too when no push comes."""

    name = "mail"
    can = Can(turn=110, acknowledged_by="nobody", per_second={"duty": 2}, too_busy="421", lanes=("duty",))
    said = Said(called=_("E-post"), stopped=_("E-posten er stoppet."))
    words = wording.HERE
    states: Mapping[str, str] = {}

    def __init__(self, smtp: SmtpSettings | None = None) -> None:
        self._smtp = smtp or read(SmtpSettings)

    def reaches(self, db: Session, letters: Sequence[Letter], _now: datetime) -> Mapping[int, To]:
        """Those who have chosen it."""
        return {
            letter_id: To(duty.email)
            for letter_id, duty in wishes(db, staff_of(letters)).items()
            if duty.email and (duty.way == "mail" or (duty.way == "push" and not duty.phone))
        }

    def wrap(self, letter: Letter, _words: Words | None, _to: To, _attempt_id: str, frame: Frame) -> Wrapped:
        """A sentence, and where to look."""
        text = wording.template(wording.HERE, letter.kind, "mail", letter.language)
        said = text.render({**letter.params, "product": frame.product, "link": f"{frame.public_url}/staff"})
        return Wrapped(said, topic=f"{letter.id}.{int(letter.created_at.timestamp())}")

    def look(self, companion: CompanionSettings, names: Sequence[str]) -> Iterable[Finding]:
        """The server, as far as its settings tell."""
        from notifications.channels.email import doctor

        return doctor.look(self._smtp, companion, names)

    async def ask(self, _now: datetime) -> Sequence[Finding]:
        """Whether the server takes our name; where there is none nobody is asked."""
        from notifications.channels.email import doctor

        return await doctor.ask_server(self._smtp) if self._smtp.ready else ()

    def open(self, house: Opening) -> Channel | None:
        """To the server, when there is one; in the demo, without one, to the invented mailboxes."""
        if self._smtp.ready:
            from notifications.channels.email.channel import MailChannel

            return MailChannel(self._smtp, house.sessions)
        if house.settings.sms == "sandbox":
            from notifications.channels.email.sandbox import SandboxMail

            return SandboxMail(house.sessions)
        return None


def way(_settings: Settings) -> Mail:
    """It needs none of the post's settings."""
    return Mail()
