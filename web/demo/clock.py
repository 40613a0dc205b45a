"""Moving the ward's clock: forward only, in hops, waiting at each for the dispatcher, so that things happen in their order."""

import asyncio
from datetime import datetime, timedelta
from time import monotonic

from starlette.concurrency import run_in_threadpool

from companion.clock import ShiftedClock
from companion.models import DemoClock, Heartbeat
from companion.use_cases import sign_in
from companion.worklists import next_due
from web.house.deps import House

FARTHEST = timedelta(days=400)
# Things due within a quarter of an hour happen in one round, as they would with a slow dispatcher.
_ROUND = timedelta(minutes=15)
_LOOK_EVERY = 0.03
_one_at_a_time = asyncio.Lock()


class DispatcherAway(Exception):
    """Nobody carries the post, so nothing happens when time passes."""


async def forward(house: House, to: datetime, *, patience: float = 20) -> None:
    """The clock stands at `to`, and everything due by then has happened. Earlier than now: only what is due now.

    Raises `DispatcherAway` when the dispatcher does not follow for `patience` seconds.
    """
    async with _one_at_a_time:
        await _follow(house, house.clock.now(), patience)
        while (here := house.clock.now()) < to:
            due = await run_in_threadpool(_next_due, house, here)
            hop = min(to, due + _ROUND) if due else to
            await run_in_threadpool(_set, house, hop)
            await _follow(house, hop, patience)


async def next_event(house: House) -> datetime | None:
    """When something happens next by itself."""
    return await run_in_threadpool(_next_due, house, house.clock.now())


async def _follow(house: House, moment: datetime, patience: float) -> None:
    """Waits until a round of the dispatcher that began at `moment` or later is over."""
    deadline = monotonic() + patience
    while await run_in_threadpool(_ticked_for, house) < moment:
        if monotonic() > deadline:
            raise DispatcherAway
        await asyncio.sleep(_LOOK_EVERY)


def _next_due(house: House, after: datetime) -> datetime | None:
    with house.sessions() as db:
        return next_due(db, after, house.ways.heard_within)


def _ticked_for(house: House) -> datetime:
    with house.sessions() as db:
        beat = db.get(Heartbeat, "dispatcher")
        return beat.ticked_for if beat else datetime.min.replace(tzinfo=house.real_clock.now().tzinfo)


def _set(house: House, to: datetime) -> None:
    clock = house.clock
    assert isinstance(clock, ShiftedClock)
    with house.sessions() as db:
        here = clock.now()
        shift = to - house.real_clock.now()
        # Whole seconds are kept: round up, so that the moment itself is reached.
        seconds = int(shift.total_seconds()) + 1
        db.merge(DemoClock(id=1, shift_seconds=seconds))
        sign_in.move_sessions(db, timedelta(seconds=seconds) - clock.shift, now=here)
        db.commit()
    clock.shift = timedelta(seconds=seconds)
