"""Push as a way: to the devices of those who have asked for it; unless one says in time that it has shown it, SMS goes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.settings import Settings as CompanionSettings
from companion.settings import read
from companion.use_cases.cases.duty import wishes
from companion.use_cases.messages.letter import Letter, staff_of
from companion.use_cases.sign_in import Words
from notifications import wording
from notifications.channels import Can, Channel, Device, Frame, Opening, Said, To, Wrapped, _
from notifications.channels.push import work
from notifications.channels.push.settings import VapidSettings
from notifications.channels.push.words import push_payload, topic
from notifications.finding import Finding
from notifications.models import PushSubscription
from notifications.settings import Settings


class Push:
    """To all the person's devices at once."""

    name = "push"
    can = Can(
        turn=10,
        acknowledged_by="device",
        next_way_after=timedelta(minutes=15),
        next_way_before_meeting=timedelta(hours=2),
        lanes=("batch", "duty"),
    )
    said = Said(
        called=_("Varsel på telefonen"),
        stopped=_("Varsler på telefonen er stoppet."),
        unheard=_("Kommer varselet ikke fram, går det SMS."),
    )
    words = wording.HERE
    states: Mapping[str, str] = {"delivered": "delivered"}

    def __init__(self, vapid: VapidSettings | None = None) -> None:
        self._vapid = vapid or read(VapidSettings)

    def reaches(self, db: Session, letters: Sequence[Letter], _now: datetime) -> Mapping[int, To]:
        """Patients who have asked for it and have a device."""
        wish = {
            letter.id: letter.patient_id
            for letter in letters
            if letter.patient_id
            and letter.patient
            and letter.patient.contact_by == "push"
            and not letter.relative_id
        }
        found = _devices(db, set(wish.values())) if wish else {}
        reached = {
            letter_id: To(devices=found[patient_id])
            for letter_id, patient_id in wish.items()
            if patient_id in found
        }
        return reached | self._at_work(db, letters)

    def _at_work(self, db: Session, letters: Sequence[Letter]) -> dict[int, To]:
        """Those of our own people who have chosen it and have a phone for it."""
        wish = {
            letter_id: duty.professional_id
            for letter_id, duty in wishes(db, staff_of(letters)).items()
            if duty.way == "push"
        }
        found = work.phones(db, set(wish.values())) if wish else {}
        return {letter_id: To(devices=found[who]) for letter_id, who in wish.items() if who in found}

    def wrap(self, letter: Letter, words: Words | None, _to: To, attempt_id: str, frame: Frame) -> Wrapped:
        """Words for a locked screen."""
        return Wrapped(
            push_payload(letter, words, attempt_id, product=frame.product),
            topic=topic(letter),
            urgent=letter.meeting_id is not None or letter.professional_id is not None,
        )

    def look(self, _companion: CompanionSettings, names: Sequence[str]) -> Iterable[Finding]:
        """The key."""
        from notifications.channels.push import doctor

        return doctor.look(self._vapid, names)

    async def ask(self, _now: datetime) -> Sequence[Finding]:
        """Each browser has its own push service: there is nobody to ask."""
        return ()

    def open(self, house: Opening) -> Channel | None:
        """To the push services, when we have a key. In the demo also to the invented handsets."""
        from notifications.channels.push.sandbox import SandboxPush

        real: Channel | None = None
        if self._vapid.ready:
            # It brings a second HTTP client with it; nobody without a key loads it.
            from notifications.channels.push.channel import PushChannel

            real = PushChannel(self._vapid, house.sessions, loopback=house.companion.allow_loopback)
        return SandboxPush(house.sessions, real) if house.settings.sms == "sandbox" else real


def _devices(db: Session, patient_ids: set[UUID]) -> dict[UUID, tuple[Device, ...]]:
    found: dict[UUID, tuple[Device, ...]] = {}
    theirs = select(PushSubscription).where(PushSubscription.patient_id.in_(patient_ids))
    for one in db.scalars(theirs.order_by(PushSubscription.created_at)):
        device = Device(one.id, one.endpoint, one.p256dh, one.auth)
        found[one.patient_id] = (*found.get(one.patient_id, ()), device)
    return found


def way(_settings: Settings) -> Push:
    """It needs none of the post's settings."""
    return Push()
