"""The demo's mailboxes: what would have gone out is kept as rows."""

from sqlalchemy.orm import Session, sessionmaker

from notifications.channels import News, Parcel
from notifications.models import SandboxMessage


class SandboxMail:
    """Carries to `sandbox_message`."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self._sessions = sessions

    async def send(self, parcel: Parcel) -> str:
        """Puts the mail in the invented box."""
        provider_id = f"mail:{parcel.attempt_id}"
        with self._sessions.begin() as db:
            db.add(
                SandboxMessage(
                    provider_id=provider_id,
                    # As long as a telephone number may be.
                    number=parcel.address[:20],
                    direction="out",
                    channel="mail",
                    body=parcel.body,
                    state="delivered",
                    at=parcel.started_at,
                )
            )
        return provider_id

    async def find(self, _parcel: Parcel) -> list[str]:
        """It is never in doubt."""
        return []

    async def fetch(self, _provider_id: str) -> News | None:
        """Nor asked."""
        return None

    async def close(self) -> None:
        """Nothing to let go of."""
