"""The tick: let what is due happen, then carry letters until nothing is due."""

import asyncio
import traceback
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic

import structlog
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from companion.clock import Clock, SystemClock
from companion.models import Heartbeat
from companion.rules.owners import LADDER
from companion.use_cases import meetings
from companion.use_cases.cases import promise
from companion.use_cases.check_in import ask_due, give_up_due, remind_due
from companion.use_cases.people import drafts
from notifications import circuit, inbound, outbox, receipts
from notifications.channels import BEGIN_WITHIN, Channel, LaneName, Later, Never, News, Parcel, Uncertain, Way
from notifications.outbox import Outbox, Result
from notifications.settings import Settings
from notifications.ways import Ways

NAME = "dispatcher"
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
OUTCOMES = (
    "claimed",
    "accepted",
    "later",
    "failed",
    "unknown",
    "next_way",
    "postponed",
    "cancelled",
    "expired",
)
AFTERWARDS = ("reconciled", "polled", "delivery_unknown")
FLUSH_AT = 64
FLUSH_AFTER = 0.02
CLAIM_AT_MOST = 500
# A claim takes no more than can begin well within its lease.
CLAIM_SECONDS = 20
SLOW_DOWN_EVERY = 1.0
LONGEST_GAP = 1.0
LOOK_FOR_CODES_EVERY = 0.25
DELIVER_AT_MOST = 15.0
LONGEST_PAUSE = 5.0
POLL_EVERY = timedelta(minutes=1)
POLL_AT_ONCE = 16
LOOK_AT_ONCE = 16
LOOK_FIRST = 2.0
# Words to our own people: few, and never behind a morning's letters.
DUTY_IN_FLIGHT = 4

log = structlog.get_logger()


def steps(ways: Ways, ladder: Collection[str] = LADDER) -> dict[str, Callable[[Session, datetime], int]]:
    """What becomes due, in this order; each in a transaction of its own, again and again until it finds nothing more."""
    return {
        "receipts": partial(receipts.apply_events, ways=ways),
        "inbound": inbound.handle,
        "asked": ask_due,
        "reminded": remind_due,
        "gave_up": give_up_due,
        "met": meetings.step,
        "handed_on": promise.hand_on,
        "climbed": partial(promise.climb_due, ladder=ladder),
        "lease_expired": partial(outbox.sweep, ways=ways),
        "unheard": partial(outbox.fall_back, ways=ways),
        "wiped": outbox.wipe_bodies,
        "drafts_purged": drafts.purge,
    }


class Dispatcher:
    """One asyncio loop: short transactions between awaits, many calls in flight, no transaction open during a call.

    `channels` are the ways that are open, by name: a letter goes the first of them on which its person can be reached.
    `ladder`: the steps an overdue case takes.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        channels: Mapping[str, Channel],
        box: Outbox,
        settings: Settings,
        ladder: Collection[str] = LADDER,
    ) -> None:
        self._sessions = sessions
        self._channels = channels
        self._box = box
        self._ways = box.ways
        open_ways = [way for way in self._ways if way.name in channels]
        self._lanes: dict[LaneName, Lane] = {
            "code": Lane("code", settings.codes_in_flight, open_ways),
            "batch": Lane("batch", settings.in_flight, open_ways),
            "duty": Lane("duty", DUTY_IN_FLIGHT, open_ways),
        }
        self._asked = [name for name in self._ways.by_receipt if name in channels]
        self._steps = steps(self._ways, ladder)
        self._stopping = False
        self._polled_at: datetime | None = None
        self._lane_stopped = False

    def stop(self) -> None:
        """Claims nothing more; what is in flight is finished."""
        self._stopping = True

    async def tick(self, clock: Clock, *, deliver_at_most: float | None = None) -> Counter[str]:
        """Everything due at the clock's time happens and is delivered; what came of it, in numbers.

        `errors` counts steps that failed: they are logged, and the others go on. With `deliver_at_most` (seconds) a long
        queue is left for the next tick, so that nothing else waits for it.
        """
        now = clock.now()
        counts = Counter(dict.fromkeys((*self._steps, *OUTCOMES, *AFTERWARDS, "errors"), 0))
        for name, step in self._steps.items():
            self._step(name, step, now, counts)
        deadline = monotonic() + deliver_at_most if deliver_at_most else None
        looking = asyncio.create_task(self._look_for_uncertain(clock, deadline, counts))
        polling = asyncio.create_task(self._poll(clock, deadline, counts))
        # What is not found is queued again, so this tick may carry it; a provider slow to answer holds up nobody.
        await asyncio.wait({looking}, timeout=LOOK_FIRST)
        drained = await self._deliver(clock, deadline, {looking, polling}, counts)
        self._step("receipts", self._steps["receipts"], now, counts)
        self._step("delivery_unknown", receipts.stop_waiting, now, counts)
        self._beat(
            now if drained and not counts["errors"] else None, clock.now() if counts["accepted"] else None
        )
        return counts

    async def run(self, clock: Callable[[], Clock], stop: asyncio.Event, pause: float) -> None:
        """Ticks until told to stop. A database that is away is waited for."""
        stopped = asyncio.create_task(stop.wait())
        stopped.add_done_callback(lambda _: self.stop())
        wait = pause
        while not stopped.done():
            try:
                counts = await self.tick(clock(), deliver_at_most=DELIVER_AT_MOST)
                wait = min(wait * 2, LONGEST_PAUSE) if counts["errors"] else pause
                if happened := {name: count for name, count in counts.items() if count}:
                    log.info("tick", **happened)
            except Exception as error:
                _report("tick", error)
                wait = min(max(wait * 2, 1.0), LONGEST_PAUSE)
            await asyncio.wait({stopped}, timeout=wait)

    # --- what is due ------------------------------------------------------------------------------------------------

    def _step(
        self, name: str, step: Callable[[Session, datetime], int], now: datetime, counts: Counter[str]
    ) -> None:
        try:
            while not self._stopping:
                with self._sessions.begin() as db:
                    done = step(db, now)
                counts[name] += done
                if not done:
                    return
        except Exception as error:
            counts["errors"] += 1
            _report(name, error)

    async def _look_for_uncertain(self, clock: Clock, deadline: float | None, counts: Counter[str]) -> None:
        """Looks at the provider for letters of which nobody knows whether it took them."""
        try:
            with self._sessions.begin() as db:
                parcels = outbox.to_look_for(db, clock.now())
            for first in range(0, len(parcels), LOOK_AT_ONCE):
                some = parcels[first : first + LOOK_AT_ONCE]
                found = await asyncio.gather(*map(self._find, some))
                with self._sessions.begin() as db:
                    outbox.lock(db, [parcel.message_id for parcel in some])
                    for parcel, provider_ids in zip(some, found, strict=True):
                        if provider_ids is not None:
                            became = outbox.looked(db, parcel, provider_ids, clock.now())
                            counts["reconciled"] += became != "unknown"
                if None in found or _past(deadline):
                    return
        except Exception as error:
            counts["errors"] += 1
            _report("look", error)

    async def _find(self, parcel: Parcel) -> list[str] | None:
        """The provider's ids for it; None when the provider does not answer."""
        try:
            return await self._channels[parcel.channel].find(parcel)
        except Later as error:
            log.warning("look_failed", code=error.code)
            return None

    async def _poll(self, clock: Clock, deadline: float | None, counts: Counter[str]) -> None:
        """Asks what became of letters of which we have heard nothing; at most once a minute, and until the deadline."""
        now = clock.now()
        if self._polled_at and abs(now - self._polled_at) < POLL_EVERY:
            return
        self._polled_at = now
        try:
            while not self._stopping and not _past(deadline):
                with self._sessions.begin() as db:
                    underway = receipts.to_ask_about(db, now, POLL_AT_ONCE, self._asked)
                if not underway:
                    return
                answers = await asyncio.gather(*map(self._ask, underway))
                with self._sessions.begin() as db:
                    outbox.lock(db, [asked.message_id for asked in underway])
                    for asked, (answered, news) in zip(underway, answers, strict=True):
                        if answered:
                            receipts.keep_answer(
                                db, asked, news.status if news else "", news.error_code if news else None, now
                            )
                            counts["polled"] += 1
                if not all(answered for answered, _ in answers):
                    return
        except Exception as error:
            counts["errors"] += 1
            _report("poll", error)

    async def _ask(self, underway: receipts.Underway) -> tuple[bool, News | None]:
        """Whether the provider answered, and what."""
        try:
            return True, await self._channels[underway.channel].fetch(underway.provider_id)
        except Later as error:
            log.warning("poll_failed", code=error.code)
            return False, None

    def _beat(self, ticked_for: datetime | None, accepted_at: datetime | None) -> None:
        seen: dict[str, datetime] = {"at": SystemClock().now()}
        if ticked_for:
            seen["ticked_for"] = ticked_for
        if accepted_at:
            seen["accepted_at"] = accepted_at
        here = update(Heartbeat).where(Heartbeat.name == NAME).values(seen).returning(Heartbeat.name)
        try:
            with self._sessions.begin() as db:
                if not db.execute(here).all():
                    db.add(Heartbeat(**{"name": NAME, "ticked_for": NEVER, **seen}))
        except IntegrityError:
            # Another dispatcher was born in the same moment.
            return

    # --- carrying ---------------------------------------------------------------------------------------------------

    async def _deliver(
        self, clock: Clock, deadline: float | None, beside: set[asyncio.Task[None]], counts: Counter[str]
    ) -> bool:
        """All lanes until nothing is due and what goes on beside it is over. False when cut short.

        Codes are looked for all the while.
        """
        batch = asyncio.create_task(self._drain("batch", clock, deadline, counts))
        duty = asyncio.create_task(self._drain("duty", clock, deadline, counts))
        everything = {batch, duty, *beside}
        try:
            codes_drained = await self._drain("code", clock, deadline, counts)
            while (await asyncio.wait(everything, timeout=LOOK_FOR_CODES_EVERY))[1]:
                codes_drained = await self._drain("code", clock, None, counts)
        finally:
            await asyncio.wait(everything)
        return batch.result() and duty.result() and codes_drained

    async def _drain(
        self, lane: LaneName, clock: Clock, deadline: float | None, counts: Counter[str]
    ) -> bool:
        """Claims and sends until nothing in this lane is due (True), or the time is up (False)."""
        while parcels := self._claim(lane, clock, counts):
            not_taken = counts["next_way"]
            if not await self._carry(lane, parcels, clock, deadline, counts):
                return False
            if counts["next_way"] == not_taken:
                break
            # What one way did not take is due by the next, now that its result is written.
        return True

    async def _carry(
        self,
        lane: LaneName,
        parcels: list[Parcel],
        clock: Clock,
        deadline: float | None,
        counts: Counter[str],
    ) -> bool:
        """Sends these, and claims more while they are under way; False when cut short."""
        ledger = Ledger(self._sessions, clock, counts, self._heard, self._ways.last_for_patients)

        def more() -> list[Parcel] | None:
            if self._stopping or _past(deadline):
                return None
            return self._claim(lane, clock, counts)

        tray = Tray(parcels, more, ledger)
        await asyncio.gather(*(self._work(lane, tray, ledger) for _ in range(self._lanes[lane].in_flight)))
        await ledger.flush()
        return tray.drained

    def _claim(self, lane: LaneName, clock: Clock, counts: Counter[str]) -> list[Parcel]:
        """The next letters to send. Visits letters that are only put aside until it has some to send or finds none."""
        while not self._stopping:
            try:
                with self._sessions.begin() as db:
                    parcels, claimed = self._box.claim(
                        db, lane, self._lanes[lane].claim_size, clock.now(), by=self._channels
                    )
            except (OperationalError, InterfaceError) as error:
                # Nothing is in hand yet: the other lane, and the next tick, go on.
                counts["errors"] += 1
                _report("claim", error)
                return []
            counts.update(claimed)
            if parcels or not claimed:
                # What may be claimed may be sent.
                self._lane_stopped &= not (parcels and lane == circuit.LANE)
                return parcels
        return []

    def _heard(self, lane_stopped: bool) -> None:
        """Letters claimed before the lane was stopped are not begun any more."""
        self._lane_stopped |= lane_stopped

    async def _work(self, lane: LaneName, tray: "Tray", ledger: "Ledger") -> None:
        while parcel := await tray.take():
            await ledger.add(await self._attempt(lane, parcel, tray.begin_before))

    async def _attempt(self, lane: LaneName, parcel: Parcel, begin_before: float) -> Result:
        pace = self._lanes[lane].paces.get(parcel.channel)
        if pace and (seconds := pace.wait(monotonic())):
            await asyncio.sleep(seconds)
        lane_stopped = self._lane_stopped and lane == circuit.LANE
        if self._stopping or lane_stopped or monotonic() > begin_before:
            return Result(parcel, "later", code=outbox.NOT_BEGUN)
        try:
            provider_id = await self._channels[parcel.channel].send(parcel)
            if pace:
                pace.taken()
            return Result(parcel, "accepted", provider_id=provider_id)
        except Later as later:
            if pace and later.code == pace.busy_code:
                pace.too_busy(monotonic())
            return Result(parcel, "later", code=later.code, after=later.after)
        except Never as never:
            return Result(parcel, "failed", code=never.code)
        except Uncertain as uncertain:
            return Result(parcel, "unknown", code=uncertain.code)
        except Exception as error:
            # A fault of our own in the middle of a call: whether it was sent, nobody knows.
            _report("send", error)
            return Result(parcel, "unknown", code="our_fault")


class Tray:
    """Letters claimed and not begun. Who finds it empty claims more, after what has ended is written down.

    So a crash leaves in doubt what is in flight and one claim, never more.
    """

    def __init__(
        self, parcels: list[Parcel], more: Callable[[], list[Parcel] | None], ledger: "Ledger"
    ) -> None:
        self._more = more
        self._ledger = ledger
        self._closed = False
        self.drained = False
        self._fill(parcels)

    async def take(self) -> Parcel | None:
        """The next letter; None when there are no more, or no time."""
        if not self._waiting and not self._closed:
            await self._ledger.write()
        if not self._waiting and not self._closed:
            self._fill(self._more())
        return self._waiting.popleft() if self._waiting else None

    def _fill(self, parcels: list[Parcel] | None) -> None:
        self._waiting = deque(parcels or ())
        self._closed = not parcels
        self.drained = parcels == []
        self.begin_before = monotonic() + BEGIN_WITHIN.total_seconds()


class Ledger:
    """Results on their way to the database: written at 64, or when one has waited for 20 ms, so that a crash leaves few in
    doubt.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        clock: Clock,
        counts: Counter[str],
        heard: Callable[[bool], None],
        last_ways: Collection[str],
    ) -> None:
        self._sessions = sessions
        self._last_ways = last_ways
        self._heard = heard
        self._clock = clock
        self._counts = counts
        self._waiting: list[Result] = []
        self._since = 0.0
        self._timer: asyncio.Task[None] | None = None

    async def add(self, result: Result) -> None:
        """Takes a result; writes when there are many."""
        if not self._waiting:
            self._since = monotonic()
        self._waiting.append(result)
        if len(self._waiting) >= FLUSH_AT:
            await self.write()
        elif self._timer is None or self._timer.done():
            self._timer = asyncio.create_task(self._write_soon())

    async def flush(self) -> None:
        """Writes everything there is, also what a timer has in hand."""
        if self._timer is not None:
            await self._timer
        await self.write()

    async def _write_soon(self) -> None:
        while self._waiting and (left := self._since + FLUSH_AFTER - monotonic()) > 0:
            await asyncio.sleep(left)
        await self.write()

    async def write(self) -> None:
        """Writes what has ended so far."""
        results, self._waiting = self._waiting, []
        if results:
            await self._keep(results)

    async def _keep(self, results: list[Result]) -> None:
        pause = 0.1
        while True:
            try:
                with self._sessions.begin() as db:
                    now = self._clock.now()
                    settled = outbox.settle(db, results, now)
                    judged = [one for one in results if one.parcel.channel in self._last_ways]
                    plain = sum(_answered_by_a_last_way(result) for result in judged)
                    doubtful = sum(result.outcome == "unknown" for result in judged)
                    lane_stopped = circuit.judge(db, self._last_ways, plain, doubtful, now)
                self._counts.update(settled)
                self._heard(lane_stopped)
                return
            except (OperationalError, InterfaceError) as error:
                # Away, or two of us in each other's way: what we know must not be lost.
                _report("settle", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            except Exception as error:
                # A fault of our own in one of them must not take the others with it; that one ends as uncertain.
                _report("settle", error)
                if len(results) > 1:
                    for result in results:
                        await self._keep([result])
                return


class Lane:
    """How much of a lane may be under way, and how fast, by way: no lane ever waits for the other."""

    def __init__(self, name: LaneName, in_flight: int, ways: Iterable[Way]) -> None:
        self.in_flight = in_flight
        carrying = [way for way in ways if name in way.can.lanes and name in way.can.per_second]
        self.paces = {way.name: Pace(way.can.per_second[name], way.can.too_busy) for way in carrying}
        begun = [int(way.can.per_second[name] * CLAIM_SECONDS) for way in carrying]
        self.claim_size = max(1, min(CLAIM_AT_MOST, in_flight, *begun))


class Pace:
    """At most so many calls per second, with one second's worth at once; fewer while the provider says that it is too busy."""

    def __init__(self, per_second: float, busy_code: str = "") -> None:
        self.busy_code = busy_code
        self._shortest_gap = self._gap = 1 / per_second
        self._next = 0.0
        self._slowed_at = -SLOW_DOWN_EVERY

    def wait(self, now: float) -> float:
        """Seconds from `now` (monotonic) until the next call may be made; that turn is the caller's."""
        turn = max(self._next, now - 1)
        self._next = turn + self._gap
        return max(0.0, turn - now)

    def taken(self) -> None:
        """A call was taken: a little faster again."""
        self._gap = max(self._shortest_gap, self._gap * 0.99)

    def too_busy(self, now: float) -> None:
        """A call was turned away for coming too fast. Those under way at the same time say nothing new."""
        if now >= self._slowed_at + SLOW_DOWN_EVERY:
            self._slowed_at = now
            self._gap = min(max(self._gap * 1.5, self._shortest_gap), LONGEST_GAP)
            self._next = max(self._next, now)


def _answered_by_a_last_way(result: Result) -> bool:
    """Yes or no, from a provider whose doubts would be left to us."""
    return result.parcel.next_way is None and result.outcome != "unknown" and result.code != outbox.NOT_BEGUN


def _past(deadline: float | None) -> bool:
    return deadline is not None and monotonic() > deadline


def _report(step: str, error: BaseException) -> None:
    """What failed and where; never the error's text, which may hold somebody's data."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f"{last[0].filename}:{last[0].lineno}" if last else ""
    log.error("step_failed", step=step, error=type(error).__name__, where=where)
