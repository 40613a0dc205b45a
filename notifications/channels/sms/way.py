"""SMS as a way: to everybody with a number, at the agreed pace, with a receipt; the last one there is."""

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
from notifications.channels.sms.settings import TwilioSettings
from notifications.channels.sms.words import word
from notifications.finding import Finding
from notifications.settings import Settings


class Sms:
    """By Twilio, or in the sandbox to the demo's phones."""

    name = "sms"
    said = Said(_("SMS"))
    words = wording.HERE
    # Ours for Twilio's; an unknown one changes nothing.
    states: Mapping[str, str] = {
        "accepted": "accepted",
        "scheduled": "accepted",
        "queued": "accepted",
        "sending": "accepted",
        "sent": "sent",
        "delivered": "delivered",
        "read": "delivered",
        "undelivered": "undelivered",
        "failed": "failed",
        "canceled": "failed",
    }

    def __init__(self, settings: Settings, twilio: TwilioSettings | None = None) -> None:
        self._settings, self._twilio = settings, twilio or read(TwilioSettings)
        self.can = Can(
            turn=100,
            acknowledged_by="receipt",
            per_second={
                "batch": settings.sms_per_second,
                "code": settings.codes_per_second,
                "duty": settings.codes_per_second,
            },
            too_busy="20429",
        )

    def reaches(self, db: Session, letters: Sequence[Letter], _now: datetime) -> Mapping[int, To]:
        """Whoever has a number; of our own people those who have chosen it, or push and it has not come."""
        reached = {letter.id: To(number) for letter in letters if (number := _number(letter))}
        return reached | {
            letter_id: To(duty.phone)
            for letter_id, duty in wishes(db, staff_of(letters)).items()
            if duty.way in ("sms", "push") and duty.phone
        }

    def wrap(self, letter: Letter, words: Words | None, _to: To, _attempt_id: str, frame: Frame) -> Wrapped:
        """One segment, where it can be."""
        return Wrapped(
            word(
                letter,
                words,
                public_url=frame.public_url,
                product=frame.product,
                institution=frame.institution,
            )
        )

    def look(self, companion: CompanionSettings, names: Sequence[str]) -> Iterable[Finding]:
        """The account, as far as it is needed."""
        from notifications.channels.sms import doctor

        return doctor.look(companion, self._settings, self._twilio, names)

    async def ask(self, now: datetime) -> Sequence[Finding]:
        """Whether Twilio knows us; where everything stays in the sandbox nobody is asked."""
        from notifications.channels.sms import doctor

        return await doctor.ask_provider(self._twilio, now) if self._settings.sms == "twilio" else ()

    def open(self, house: Opening) -> Channel:
        """The chosen provider."""
        if house.settings.sms == "sandbox":
            from notifications.channels.sms.sandbox import SandboxChannel

            return SandboxChannel(house.sessions)
        # The SDK is large; the demo never loads it.
        from notifications.channels.sms.channel import TwilioChannel

        in_flight = house.settings.in_flight + house.settings.codes_in_flight
        return TwilioChannel(self._twilio, house.companion.public_url, in_flight)


def _number(letter: Letter) -> str | None:
    person = letter.relative or letter.patient
    return letter.phone or (person.phone if person else None)


way = Sms
