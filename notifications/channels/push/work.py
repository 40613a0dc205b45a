"""Work phones that take push: kept when somebody of ours asks for it on the phone itself."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from companion.models import WorkDevice
from notifications.channels import Device
from notifications.channels.push.devices import Subscription

MOST = 5


def add(db: Session, professional_id: UUID, sent: Subscription, *, now: datetime) -> None:
    """Keeps the phone; one that was a colleague's is this person's from now on. The sixth takes the place of the oldest."""
    db.execute(delete(WorkDevice).where(WorkDevice.endpoint_index == sent.endpoint))
    db.add(
        WorkDevice(
            professional_id=professional_id,
            endpoint=sent.endpoint,
            endpoint_index=sent.endpoint,
            p256dh=sent.p256dh,
            auth=sent.auth,
            created_at=now,
        )
    )
    db.flush()
    mine = select(WorkDevice.id).where(WorkDevice.professional_id == professional_id)
    too_many = db.scalars(mine.order_by(WorkDevice.created_at.desc(), WorkDevice.id).offset(MOST)).all()
    db.execute(delete(WorkDevice).where(WorkDevice.id.in_(too_many)))


def remove(db: Session, professional_id: UUID, endpoint: str | None = None) -> None:
    """This phone takes push no more; without one, none of the person's."""
    mine = delete(WorkDevice).where(WorkDevice.professional_id == professional_id)
    db.execute(mine.where(WorkDevice.endpoint_index == endpoint) if endpoint else mine)


def phones(db: Session, professional_ids: Collection[UUID]) -> dict[UUID, tuple[Device, ...]]:
    """By person, the phones they have."""
    found: dict[UUID, tuple[Device, ...]] = {}
    theirs = select(WorkDevice).where(WorkDevice.professional_id.in_(professional_ids))
    for one in db.scalars(theirs.order_by(WorkDevice.created_at)):
        device = Device(one.id, one.endpoint, one.p256dh, one.auth)
        found[one.professional_id] = (*found.get(one.professional_id, ()), device)
    return found
