"""The demo's phones: what would have gone out is kept as rows, and some numbers fail as real ones do."""

import json
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from companion.models import Message, Patient
from notifications import devices
from notifications.channels import Channel, Device, Later, Never, News, Parcel, Uncertain
from notifications.models import ProviderEvent, SandboxMessage

# Numbers with a fate, so that the dark stories can be lived in the demo.
REFUSED = {
    "+4799900001": "21211",
    "+4799900002": "21614",
    "+4799900003": "21610",
}
UNREACHABLE = {"+4799900004": "30005"}
ARRIVES_WITHOUT_ANSWER = "+4799900005"
LOST_WITHOUT_ANSWER = "+4799900006"
BUSY = "+4799900007"
# Where the invented handsets' pushes go; after the slash the device's fate, then whose it is.
INVENTED = "https://handset.invalid/"


class SandboxChannel:
    """Carries to `sandbox_message` and reports back through the same events as a real provider."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self._sessions = sessions

    async def send(self, parcel: Parcel) -> str:
        """Puts the text on the invented handset. Raises as the number's fate is."""
        number = parcel.address
        if number in REFUSED:
            raise Never(REFUSED[number])
        if number == BUSY:
            raise Later("20429", timedelta(seconds=30))
        if number == LOST_WITHOUT_ANSWER:
            raise Uncertain("read_timeout")
        provider_id = f"SB{uuid4().hex}"
        failed = UNREACHABLE.get(number)
        with self._sessions.begin() as db:
            db.add(
                SandboxMessage(
                    provider_id=provider_id,
                    number=number,
                    direction="out",
                    channel="sms",
                    body=parcel.body,
                    state="undelivered" if failed else "delivered",
                    at=parcel.started_at,
                )
            )
            if number != ARRIVES_WITHOUT_ANSWER:
                db.add(_event(parcel, provider_id, "undelivered" if failed else "delivered", failed))
        if number == ARRIVES_WITHOUT_ANSWER:
            raise Uncertain("read_timeout")
        return provider_id

    async def find(self, parcel: Parcel) -> list[str]:
        """The handset's messages with this text."""
        with self._sessions() as db:
            return list(
                db.scalars(
                    select(SandboxMessage.provider_id).where(
                        SandboxMessage.provider_id.is_not(None),
                        SandboxMessage.number == parcel.address,
                        SandboxMessage.direction == "out",
                        SandboxMessage.body == parcel.body,
                        SandboxMessage.at >= parcel.started_at,
                    )
                )
            )

    async def fetch(self, provider_id: str) -> News | None:
        """How the message on the handset stands."""
        with self._sessions() as db:
            found = db.execute(
                select(SandboxMessage.state, SandboxMessage.number).where(
                    SandboxMessage.provider_id == provider_id
                )
            ).first()
        return News(found.state, UNREACHABLE.get(found.number)) if found else None

    async def close(self) -> None:
        """Nothing to let go of."""


def _event(parcel: Parcel, provider_id: str, status: str, error_code: str | None) -> ProviderEvent:
    return ProviderEvent(
        delivery_id=parcel.attempt_id,
        provider_id=provider_id,
        status=status,
        error_code=error_code,
        at=parcel.started_at,
        digest=sha256(f"{provider_id}:{status}".encode()).hexdigest(),
    )


class SandboxPush:
    """Shows pushes on the invented handsets. Nobody acknowledges them before somebody has looked (`/demo/phones`).

    Devices that are not invented (the visitor's own browser) get theirs by `real`, where there is one.
    """

    def __init__(self, sessions: sessionmaker[Session], real: Channel | None = None) -> None:
        self._sessions = sessions
        self._real = real

    async def send(self, parcel: Parcel) -> str:
        """Puts the notification on the handset; raises as the devices' fates are."""
        invented = [one for one in parcel.devices if one.endpoint.startswith(INVENTED)]
        own = tuple(one for one in parcel.devices if one not in invented)
        if own and self._real:
            try:
                await self._real.send(replace(parcel, devices=own))
            except (Later, Never, Uncertain):
                if not invented:
                    raise
        elif not invented:
            raise Never("no_device")
        self._take(invented, parcel)
        return f"push:{parcel.attempt_id}"

    def _take(self, invented: list[Device], parcel: Parcel) -> None:
        fates = {_fate(one) for one in invented}
        with self._sessions.begin() as db:
            if gone := [one.id for one in invented if _fate(one) == "gone"]:
                devices.forget(db, gone)
            if not invented or fates - {"gone", "busy", "silent"}:
                db.add(_notification(db, parcel))
                return
        if "silent" in fates:
            raise Uncertain("read_timeout")
        if "busy" in fates:
            raise Later("429", timedelta(seconds=30))
        raise Never("410")

    async def find(self, _parcel: Parcel) -> list[str]:
        """As the push services: they cannot be asked."""
        return []

    async def fetch(self, _provider_id: str) -> News | None:
        """As `find`."""
        return None

    async def close(self) -> None:
        """Lets go of the real one's connections."""
        if self._real:
            await self._real.close()


def invented_device(whose: str, fate: str = "works") -> devices.Subscription:
    """A device that only the demo's room knows, with keys like a browser's."""
    point = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
    return devices.Subscription(f"{INVENTED}{fate}/{whose}", point, "BTBZMqHH6r4Tts7J_aSIgg")


def _fate(device: Device) -> str:
    return device.endpoint.removeprefix(INVENTED).split("/")[0]


def _notification(db: Session, parcel: Parcel) -> SandboxMessage:
    said = json.loads(parcel.body)
    whose = select(Patient.phone).join(Message, Message.patient_id == Patient.id)
    return SandboxMessage(
        # By its own id a device acknowledges it.
        provider_id=parcel.attempt_id,
        number=db.scalar(whose.where(Message.id == parcel.message_id)) or "",
        direction="out",
        channel="push",
        body=f"{said['body']} {said['url']}",
        state="sent",
        at=parcel.started_at,
    )
