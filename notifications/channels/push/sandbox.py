"""The invented handsets' pushes: shown in the demo, acknowledged when somebody looks."""

import json
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from companion.models import Message, Patient
from notifications.channels import Channel, Device, Later, Never, News, Parcel, Uncertain
from notifications.channels.push import devices
from notifications.models import SandboxMessage

# Where the invented handsets' pushes go; after the slash the device's fate, then whose it is.
INVENTED = "https://handset.invalid/"


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
