"""The demo's phones: what would have gone out is kept as rows, and some numbers fail as real ones do."""

from datetime import timedelta
from hashlib import sha256
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from notifications.channels import Later, Never, News, Parcel, Uncertain
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
