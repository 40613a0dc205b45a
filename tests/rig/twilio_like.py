"""A loopback server that behaves like Twilio's message API, well or badly as told.

It runs in a thread of the test's own process (`running`), or as a process of its own (`process`), with a second port for
whoever drives it. It counts: `taken` are the messages people would have received, `posts` every request to send one.
"""

import asyncio
import base64
import json
import math
import random
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from time import monotonic
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import aiohttp
import httpx
import uvloop
from twilio.request_validator import RequestValidator

from tests.rig.http import RESET, SILENCE, Answer, Listener, Request

ROOT = Path(__file__).resolve().parents[2]
Mode = Literal[
    "ok",
    "slow",
    "accept_then_hang",
    "accept_then_500",
    "hang",
    "reset",
    "reset_before",
    "500",
    "429",
    "unreadable",
]
# As in the sandbox, numbers have a fate.
REFUSED = {"+4799900001": 21211, "+4799900002": 21614, "+4799900003": 21610}
HANGS_AFTER_TAKING = "+4799900005"
HANGS_WITHOUT_TAKING = "+4799900006"
BUSY = "+4799900007"
PAGE_AT_MOST = 1000
# Who does not take the news is not waited for with the answer.
BEFORE_AT_MOST = 0.5


@dataclass
class Taken:
    """A message a person would have received. `real_at` is the machine's time, whatever the server's clock says."""

    sid: str
    form: dict[str, str]
    at: datetime
    status: str = "sent"
    error_code: int | None = None
    mode: str = "ok"
    real_at: float = 0.0

    @property
    def attempt(self) -> str:
        """The sender's own id for it, as it stands in the callback's address."""
        return dict(parse_qsl(urlsplit(self.form.get("StatusCallback", "")).query)).get("attempt", "")


@dataclass
class Callbacks:
    """How it tells what became of a message: to `base` in place of the public address; with an empty one, not at all.

    `public` is what it signs an SMS to us for, if not for `base`. `before` and the others are shares of all messages,
    except `delay`: the longest wait in seconds.
    """

    base: str = ""
    token: str = "secret"
    public: str = ""
    before: float = 0.0
    shuffled: float = 0.0
    twice: float = 0.0
    lost: float = 0.0
    undelivered: float = 0.0
    delay: float = 0.0


@dataclass
class TwilioLike:
    """The server's doings; change them while it runs.

    `clock_at` says what time its messages carry, else the machine's plus `shift` seconds. `mix` gives modes by probability,
    before `mode`; `wait` makes every answer take so many seconds; `per_second` is a bucket that says 429 when it is empty.
    `accepts` is the one account whose key is right; empty: any is.
    """

    mode: Mode = "ok"
    url: str = ""
    seconds: float = 0.05
    taken: list[Taken] = field(default_factory=list)
    posts: int = 0
    looks: int = 0
    authorization: str = ""
    accepts: str = ""
    clock_at: datetime | None = None
    shift: float = 0.0
    hang_after_taking: set[str] = field(default_factory=lambda: {HANGS_AFTER_TAKING})
    hang_without_taking: set[str] = field(default_factory=lambda: {HANGS_WITHOUT_TAKING})
    refuse_with: Any = None
    mix: dict[str, float] = field(default_factory=dict)
    wait: float = 0.0
    per_second: float | None = None
    callbacks: Callbacks = field(default_factory=Callbacks)
    seed: int = 1
    told: Counter[str] = field(default_factory=Counter)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._by_sid: dict[str, Taken] = {}
        self._by_number: defaultdict[str, list[Taken]] = defaultdict(list)
        self._bucket = (0.0, 0.0)
        self._post: _Post | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.api = Listener(self.answer)

    def bodies(self) -> list[str]:
        """The texts taken, in order."""
        return [one.form["Body"] for one in self.taken]

    def per_number(self) -> Counter[str]:
        """How many messages each number has received."""
        return Counter(one.form["To"] for one in self.taken)

    def wait_for(self, wanted: Callable[[], bool], seconds: float = 120) -> None:
        """Returns when it is so; asked again after every request."""
        with self._news:
            assert self._news.wait_for(wanted, seconds), "it never came to that"

    def now(self) -> datetime:
        """The server's time."""
        real = datetime.now(UTC)  # noqa: TID251 - a provider has a clock of its own
        return self.clock_at or real + timedelta(seconds=self.shift)

    def listen(self) -> None:
        """Takes connections again."""
        self._run(self.api.listen())

    def refuse(self) -> None:
        """Takes no connections: whoever calls is refused before anything was said."""
        self._run(self.api.refuse())

    def write_in(self, number: str, text: str, sid: str = "") -> int:
        """Somebody sends us an SMS; how it was answered."""
        return int(self._run(self.receive(number, text, sid)))

    async def receive(self, number: str, text: str, sid: str = "") -> int:
        """The same inside its loop."""
        return await self._posting().inbound(number, text, sid)

    # --- the API ------------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        """What Twilio would answer."""
        path = request.path.removeprefix("/2010-04-01/Accounts/").split("/")
        if path == [request.path] or not path[-1].endswith(".json"):
            return _refusal(404, 20404)
        match request.method, path[1:]:
            case "POST", ["Messages.json"]:
                return self._create(request)
            case "GET", ["Messages.json"]:
                return self._listing(request)
            case "GET", ["Messages", sid]:
                return self._one(sid.removesuffix(".json"))
        return _refusal(404, 20404)

    def _create(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        with self._news:
            self.posts += 1
            self._news.notify_all()
        self.authorization = request.headers.get("authorization", "")
        mode = self._mode_for(form["To"])
        if no := self._refused(form["To"], mode):
            return no
        if mode == "hang":
            return SILENCE
        if mode == "reset_before":
            return RESET
        if mode == "500":
            return _refusal(500, 20500)
        wait = self.wait + (self.seconds if mode == "slow" else 0)
        if wait or self.callbacks.base:
            return self._take_slowly(form, mode, wait)
        return self._after_taking(self._take(form, mode), mode)

    def _refused(self, number: str, mode: str) -> Answer | None:
        if code := self.refuse_with or REFUSED.get(number):
            return _refusal(400, code)
        if mode == "429" or number == BUSY:
            return _busy(30)
        if self.per_second:
            left, at = self._bucket
            left = min(max(self.per_second, 1), left + (monotonic() - at) * self.per_second)
            self._bucket = (left - (left >= 1), monotonic())
            if left < 1:
                return _busy(math.ceil((1 - left) / self.per_second))
        return None

    def _mode_for(self, number: str) -> str:
        if number in self.hang_without_taking:
            return "hang"
        if number in self.hang_after_taking:
            return "accept_then_hang"
        drawn = self._random.random()
        for mode, share in self.mix.items():
            if drawn < share:
                return mode
            drawn -= share
        return self.mode

    def _take(self, form: dict[str, str], mode: str) -> Taken:
        real_at = datetime.now(UTC).timestamp()  # noqa: TID251
        one = Taken(f"SM{uuid4().hex}", form, self.now(), mode=mode, real_at=real_at)
        if self.callbacks.base:
            undelivered = self._random.random() < self.callbacks.undelivered
            one.status, one.error_code = ("undelivered", 30003) if undelivered else ("delivered", None)
        self._by_sid[one.sid] = one
        self._by_number[form["To"]].append(one)
        with self._news:
            self.taken.append(one)
            self._news.notify_all()
        return one

    async def _take_slowly(self, form: dict[str, str], mode: str, wait: float) -> Answer:
        if wait:
            await asyncio.sleep(wait)
        one = self._take(form, mode)
        if self.callbacks.base:
            await self._posting().tell(one)
        return self._after_taking(one, mode)

    def _after_taking(self, one: Taken, mode: str) -> Answer:
        if mode == "accept_then_hang":
            return SILENCE
        if mode == "accept_then_500":
            return _refusal(500, 20500)
        if mode == "reset":
            return RESET
        if mode == "unreadable":
            return Answer(201, b"<html>", "text/html")
        return _json(self._shown(one, "queued"), 201)

    def _listing(self, request: Request) -> Answer:
        self.looks += 1
        if self.accepts and f"/Accounts/{self.accepts}/" not in request.path:
            return _refusal(401, 20003)
        if self.mode == "429":
            return _busy(30)
        asked = request.query
        found = self._by_number.get(asked["To"], []) if "To" in asked else self.taken
        found = [one for one in reversed(found) if _sent_when(one.at, asked)]
        size = min(int(asked.get("PageSize", "50")), PAGE_AT_MOST)
        page = int(asked.get("Page", "0"))
        first = page * size
        here = request.path
        return _json(
            {
                "messages": [self._shown(one) for one in found[first : first + size]],
                "page": page,
                "page_size": size,
                "start": first,
                "end": max(first, min(first + size, len(found)) - 1),
                "uri": f"{here}?{urlencode(asked)}",
                "first_page_uri": _page(here, asked, 0),
                "previous_page_uri": _page(here, asked, page - 1) if page else None,
                "next_page_uri": _page(here, asked, page + 1) if len(found) > first + size else None,
            }
        )

    def _one(self, sid: str) -> Answer:
        if self.mode == "429":
            return _busy(30)
        one = self._by_sid.get(sid)
        return _json(self._shown(one)) if one else _refusal(404, 20404)

    def _shown(self, one: Taken, status: str = "") -> dict[str, Any]:
        when = format_datetime(one.at)
        account = self._account()
        here = f"/2010-04-01/Accounts/{account}/Messages/{one.sid}"
        return {
            "account_sid": account,
            "api_version": "2010-04-01",
            "sid": one.sid,
            "to": one.form["To"],
            "from": one.form.get("From"),
            "messaging_service_sid": one.form.get("MessagingServiceSid"),
            "body": one.form["Body"],
            "status": status or one.status,
            "date_created": when,
            "date_sent": None if status == "queued" else when,
            "date_updated": when,
            "error_code": None if status else one.error_code,
            "error_message": None,
            "num_segments": "0" if "MessagingServiceSid" in one.form else "1",
            "num_media": "0",
            "price": None,
            "price_unit": None,
            "direction": "outbound-api",
            "uri": f"{here}.json",
            "subresource_uris": {"media": f"{here}/Media.json"},
        }

    def _account(self) -> str:
        given = base64.b64decode(self.authorization.partition(" ")[2] or b"").decode()
        return given.partition(":")[0]

    # --- its life -----------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Listens."""
        self._loop = asyncio.get_running_loop()
        await self.api.listen()
        self.url = self.api.url

    async def close(self) -> None:
        """Nothing left."""
        await self.api.close()
        if self._post is not None:
            await self._post.close()

    def _posting(self) -> "_Post":
        if self._post is None:
            self._post = _Post(self)
        return self._post

    def _run(self, doing: Coroutine[Any, Any, Any]) -> Any:
        assert self._loop
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(30)

    def counts(self) -> dict[str, int]:
        """What happened so far."""
        return {"taken": len(self.taken), "posts": self.posts, "looks": self.looks, **self.told}

    def change(self, **changes: Any) -> None:
        """New doings, as from `process`."""
        for name, value in changes.items():
            if name == "callbacks":
                value = Callbacks(**value)
            if not hasattr(self, name) or (name == "mode" and value not in get_args(Mode)):
                raise ValueError(name)
            setattr(self, name, value)


class _Post:
    """Posts of the server's own: what became of a message, and what people write."""

    AT_ONCE = 16

    def __init__(self, server: TwilioLike) -> None:
        self._server = server
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15))
        self._room = asyncio.Semaphore(self.AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def tell(self, one: Taken) -> None:
        """Plans the news of a message; what is to be told before the answer is told when this returns."""
        how, draw = self._server.callbacks, self._server._random.random
        told = ["queued", "sent", one.status]
        if draw() < how.shuffled:
            self._server._random.shuffle(told)
        if draw() < how.twice:
            told += told
        told = [status for status in told if draw() >= how.lost]
        if told and draw() < how.before:
            await asyncio.wait({self._plan(one, told.pop(0), 0)}, timeout=BEFORE_AT_MOST)
        for status in told:
            self._plan(one, status, draw() * how.delay)

    def _plan(self, one: Taken, status: str, delay: float) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._tell(one, status, delay))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _tell(self, one: Taken, status: str, delay: float) -> None:
        await asyncio.sleep(delay)
        params = {
            "MessageSid": one.sid,
            "SmsSid": one.sid,
            "AccountSid": self._server._account(),
            "MessageStatus": status,
            "SmsStatus": status,
            "To": one.form["To"],
            "From": one.form.get("From", ""),
            "ApiVersion": "2010-04-01",
        }
        if status in ("undelivered", "failed"):
            params["ErrorCode"] = str(one.error_code)
        answered = await self._sign_and_post(one.form["StatusCallback"], params)
        self._server.told["told" if answered < 300 else f"not_told_{answered}"] += 1

    async def inbound(self, number: str, text: str, sid: str) -> int:
        """An SMS to us."""
        params = {
            "MessageSid": sid or f"SM{uuid4().hex}",
            "From": number,
            "To": "+4759440000",
            "Body": text,
            "NumMedia": "0",
        }
        how = self._server.callbacks
        return await self._sign_and_post(f"{how.public or how.base}/hooks/twilio/inbound", params)

    async def _sign_and_post(self, url: str, params: Mapping[str, str]) -> int:
        how, public = self._server.callbacks, urlsplit(url)
        signature = RequestValidator(how.token).compute_signature(url, params)
        ours = f"{how.base}{public.path}{'?' + public.query if public.query else ''}"
        try:
            async with (
                self._room,
                self._session.post(ours, data=params, headers={"X-Twilio-Signature": signature}) as answer,
            ):
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 599

    async def close(self) -> None:
        """Says nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()
        await asyncio.sleep(0)


def _json(what: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(what, ensure_ascii=False).encode())


def _refusal(status: int, code: object) -> Answer:
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    return _json({"code": code, "message": "refused", "more_info": more_info, "status": status}, status)


def _busy(seconds: int) -> Answer:
    said = _refusal(429, 20429)
    return Answer(429, said.body, headers={"Retry-After": str(seconds)})


def _page(path: str, asked: Mapping[str, str], page: int) -> str:
    query = {name: value for name, value in asked.items() if name not in ("Page", "PageToken")}
    return f"{path}?{urlencode(query | {'Page': page} | ({'PageToken': f'PA{page}'} if page else {}))}"


def _sent_when(at: datetime, asked: Mapping[str, str]) -> bool:
    """Twilio's filter: `DateSent` is a day; `DateSent>` and `DateSent<` include their own moment."""
    bounds = {
        name: datetime.fromisoformat(asked[name])
        for name in ("DateSent", "DateSent>", "DateSent<")
        if asked.get(name)
    }
    bounds = {name: one if one.tzinfo else one.replace(tzinfo=UTC) for name, one in bounds.items()}
    at = at.replace(microsecond=0)
    return (
        ("DateSent" not in bounds or bounds["DateSent"].date() == at.date())
        and ("DateSent>" not in bounds or bounds["DateSent>"] <= at)
        and ("DateSent<" not in bounds or bounds["DateSent<"] >= at)
    )


@contextmanager
def running(server: TwilioLike) -> Iterator[TwilioLike]:
    """Serves on a free loopback port, in a thread, until left."""
    loop = uvloop.new_event_loop()
    started = threading.Event()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(server.open())
        # Said from inside the loop, so that no stop comes before it runs.
        loop.call_soon(started.set)
        loop.run_forever()
        loop.run_until_complete(server.close())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert started.wait(120)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


# --- as a process of its own --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A line of the ledger: a message a person would have received."""

    sid: str
    attempt: str
    to: str
    body: str
    mode: str
    real_at: float


class Remote:
    """The server in another process: its address, and the door of whoever drives it."""

    def __init__(self, url: str, door: str) -> None:
        self.url = url
        self._door = httpx.Client(base_url=door, timeout=60)

    def change(self, **changes: Any) -> None:
        """Sets any of `TwilioLike`'s doings; `callbacks` as the fields that are not to be as usual."""
        if "callbacks" in changes:
            changes["callbacks"] = asdict(Callbacks(**changes["callbacks"]))
        assert self._door.post("/change", json=changes).status_code == 200

    def listen(self, listening: bool) -> None:
        """Takes connections, or refuses them."""
        assert self._door.post("/listen", json=listening).status_code == 200

    def write_in(self, number: str, text: str, sid: str = "") -> int:
        """Somebody sends us an SMS; how it was answered."""
        return int(self._door.post("/inbound", json=[number, text, sid]).json())

    def counts(self) -> dict[str, int]:
        """`taken`, `posts`, `looks`, `told`, `not_told_<status>`."""
        return dict(self._door.get("/counts").json())

    def ledger(self) -> list[Seen]:
        """Everything that was taken, in order."""
        return [Seen(**line) for line in self._door.get("/ledger").json()]

    def close(self) -> None:
        """Lets go of the door."""
        self._door.close()


@contextmanager
def process(**doings: Any) -> Iterator[Remote]:
    """Serves in a process of its own until left."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.rig.twilio_like"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    try:
        remote = Remote(**json.loads(child.stdout.readline()))
        remote.change(**doings)
        yield remote
        remote.close()
    finally:
        child.terminate()
        child.communicate()


class _Door:
    """What whoever drives the server may ask of it from outside."""

    def __init__(self, server: TwilioLike) -> None:
        self._server = server

    def answer(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        match request.method, request.path:
            case "POST", "/change":
                return self._change(json.loads(request.body))
            case "POST", "/listen":
                return self._listen(json.loads(request.body))
            case "POST", "/inbound":
                return self._inbound(*json.loads(request.body))
            case "GET", "/counts":
                return _json(self._server.counts())
            case "GET", "/ledger":
                return _json(
                    [
                        asdict(
                            Seen(
                                one.sid, one.attempt, one.form["To"], one.form["Body"], one.mode, one.real_at
                            )
                        )
                        for one in self._server.taken
                    ]
                )
        return Answer(404)

    def _change(self, changes: dict[str, Any]) -> Answer:
        try:
            self._server.change(**changes)
        except (TypeError, ValueError) as wrong:
            return _json(str(wrong), 400)
        return _json(None)

    async def _listen(self, listening: bool) -> Answer:
        await (self._server.api.listen() if listening else self._server.api.refuse())
        return _json(None)

    async def _inbound(self, number: str, text: str, sid: str) -> Answer:
        return _json(await self._server.receive(number, text, sid))


async def _serve() -> None:
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    server = TwilioLike()
    door = Listener(_Door(server).answer)
    await server.open()
    await door.listen()
    sys.stdout.write(json.dumps({"url": server.url, "door": door.url}) + "\n")
    sys.stdout.flush()
    await stop.wait()
    await door.close()
    await server.close()


if __name__ == "__main__":
    uvloop.run(_serve())
