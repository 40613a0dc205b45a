"""Lives through the weeks before the demo opens: the ward's mornings and afternoons, with the dispatcher's rounds between."""

from datetime import date, datetime, time, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from companion import demo
from companion.clock import FixedClock
from companion.models import DemoClock, Unit
from companion.rules.cadence import local_day, to_utc
from companion.settings import Settings
from notifications.channels.push import devices
from notifications.channels.push.sandbox import invented_device
from notifications.dispatcher import Dispatcher

ROUNDS = (time(10, 5), time(12, 5))


async def rehearse(
    sessions: sessionmaker[Session], settings: Settings, dispatcher: Dispatcher, *, now: datetime
) -> bool:
    """Fills an empty database with the invented ward and sets the demo's clock; False when somebody lives there already."""
    today = local_day(now)
    opening = demo.opening_day(today)
    if is_inhabited(sessions):
        return False
    with sessions.begin() as db:
        demo.found(db, settings, now=to_utc(opening, time(8)) - timedelta(days=100))
    history = demo.History(settings, opening)
    for day in history.days():
        with sessions.begin() as db:
            history.morning(db, day)
        await dispatcher.tick(FixedClock(to_utc(day, ROUNDS[0])))
        with sessions.begin() as db:
            history.afternoon(db, day)
        await dispatcher.tick(FixedClock(_second_round(day, opening)))
    with sessions.begin() as db:
        for patient_id in history.by_push():
            devices.add(
                db, patient_id, invented_device(str(patient_id)), asked=True, now=demo.opens_at(today)
            )
        shift = demo.opens_at(today) - now
        db.merge(DemoClock(id=1, shift_seconds=int(shift.total_seconds())))
    return True


def is_inhabited(sessions: sessionmaker[Session]) -> bool:
    """Whether there is a ward already, invented or real."""
    with sessions() as db:
        return db.scalar(select(Unit.id).limit(1)) is not None


def _second_round(day: date, opening: date) -> datetime:
    return to_utc(day, ROUNDS[1] if day < opening else time(10, 45))
