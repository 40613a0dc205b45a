"""Web Push: one encrypted POST to the push service of each of the person's devices, all at once."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal
from uuid import UUID

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from pywebpush import WebPusher, WebPushException
from sqlalchemy.orm import Session, sessionmaker

from companion.clock import Clock, SystemClock
from notifications import circuit
from notifications.channels import Device, Later, Never, News, Parcel, Uncertain
from notifications.channels.push import devices, vapid
from notifications.channels.push.settings import VapidSettings

# Push services need only take 4096 bytes, sealed.
LONGEST_PAYLOAD = 3000
# As many people refused at one push service, and nobody taken there between: it is we who are not believed.
NOT_BELIEVED = 3
Kind = Literal["taken", "gone", "refused", "later", "uncertain", "never"]

log = structlog.get_logger()


@dataclass(frozen=True)
class Said:
    """What came of one device."""

    device_id: UUID
    kind: Kind
    code: str
    after: timedelta | None = None


class PushChannel:
    """Carries push. Made inside the running loop; `close` ends its session.

    Addresses come from browsers, so only the open internet is called and nobody is followed elsewhere; `loopback` lets
    a push service on this machine pass. The clock is the real one also where the ward's has been moved: the services' is.
    """

    def __init__(
        self,
        settings: VapidSettings,
        sessions: sessionmaker[Session],
        *,
        loopback: bool = False,
        clock: Clock | None = None,
        connect_seconds: float = 3,
        read_seconds: float = 10,
    ) -> None:
        self._signer = vapid.Signer(settings)
        self._sessions, self._loopback, self._clock = sessions, loopback, clock or SystemClock()
        # Whose devices were refused since one was last taken, by push service.
        self._refused: dict[str, set[UUID]] = {}
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(
                sock_connect=connect_seconds, sock_read=read_seconds, total=connect_seconds + read_seconds
            ),
            # No limit of its own: a wait for a free connection could not be told from one for an answer.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=5, resolver=Outward(loopback)),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def send(self, parcel: Parcel) -> str:
        """To all devices; taken when one push service took it. Devices that are gone or refused are forgotten on the way.

        Raises `Later` when certainly none has it but a later try may help, `Uncertain` when one may have it, else `Never`.
        """
        if len(parcel.body.encode()) > LONGEST_PAYLOAD:
            raise Never("413")
        said = await asyncio.gather(*(self._to(device, parcel) for device in parcel.devices))
        self._remember(said, parcel)
        by_kind = {one.kind: one for one in said}
        if "taken" in by_kind:
            return f"push:{parcel.attempt_id}"
        if "uncertain" in by_kind:
            raise Uncertain(by_kind["uncertain"].code)
        if "later" in by_kind:
            waits = [one.after for one in said if one.after is not None]
            raise Later(by_kind["later"].code, min(waits, default=None))
        raise Never(said[0].code if said else "no_device")

    async def find(self, _parcel: Parcel) -> list[str]:
        """Push services cannot be asked what they have; the device's own word decides."""
        return []

    async def fetch(self, _provider_id: str) -> News | None:
        """As `find`."""
        return None

    async def close(self) -> None:
        """Ends the session, and lets the loop close its sockets."""
        await self._session.close()
        await asyncio.sleep(0)

    async def _to(self, device: Device, parcel: Parcel) -> Said:
        """One POST. Nothing of the address, the keys or the text is ever logged, nor the errors that quote them."""
        if not devices.is_public(device.endpoint, loopback=self._loopback):
            return Said(device.id, "gone", "not_public")
        now = self._clock.now()
        try:
            sealed = _seal(device, parcel.body)
        except (ValueError, WebPushException):
            return Said(device.id, "gone", "bad_key")
        headers = _headers(parcel) | self._signer.sign(device.endpoint, now)
        try:
            async with self._session.post(
                device.endpoint, data=sealed, headers=headers, allow_redirects=False
            ) as answer:
                return _read(device.id, answer.status, answer.headers, now)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL):
            return Said(device.id, "later", "no_connection")
        except TimeoutError:
            return Said(device.id, "uncertain", "read_timeout")
        except aiohttp.ClientError:
            return Said(device.id, "uncertain", "broken_off")

    def _remember(self, said: Sequence[Said], parcel: Parcel) -> None:
        """Forgets what is gone, and what is refused: it was made with another key (RFC 8292, 4.2; Mozilla says 401).

        One person's device can answer what it likes; only when several people's are refused is push stopped for everybody.
        """
        # Only of those that were called: another's address may be no address.
        origin = {
            device.id: vapid.origin(device.endpoint)
            for device, one in zip(parcel.devices, said, strict=True)
            if one.kind in ("taken", "refused")
        }
        believed = {origin[one.device_id] for one in said if one.kind == "taken"}
        for service in believed:
            self._refused.pop(service, None)
        gone = [one.device_id for one in said if one.kind == "gone"]
        refused = [one for one in said if one.kind == "refused"]
        if not gone and not refused:
            return
        with self._sessions.begin() as db:
            devices.forget(db, gone)
            for one in refused:
                log.warning("push_device_refused", code=one.code)
                service, whose = origin[one.device_id], devices.forget(db, [one.device_id])
                if service not in believed and self._not_believed(service, whose):
                    circuit.rest(db, "push", one.code, parcel.started_at)
        if gone:
            log.info("push_devices_gone", devices=len(gone))

    def _not_believed(self, service: str, whose: set[UUID]) -> bool:
        people = self._refused.setdefault(service, set())
        people |= whose
        if len(people) < NOT_BELIEVED:
            return False
        del self._refused[service]
        return True


class Outward(AbstractResolver):
    """Looks names up, and knows only addresses of the open internet: a name may lead anywhere, and differently tomorrow."""

    def __init__(self, loopback: bool) -> None:
        self._inner = aiohttp.ThreadedResolver()
        self._loopback = loopback

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses we may call. Raises `OSError` when there is none."""
        found = await self._inner.resolve(host, port, family)
        if self._loopback and host in devices.LOOPBACK:
            return found
        if outward := [one for one in found if devices.is_open_internet(one["host"])]:
            return outward
        raise OSError("no public address")

    async def close(self) -> None:
        """Nothing of its own."""
        await self._inner.close()


def _seal(device: Device, body: str) -> bytes:
    keys = {"p256dh": device.p256dh, "auth": device.auth}
    sealed: bytes = WebPusher({"endpoint": device.endpoint, "keys": keys}).encode(body.encode())["body"]
    return sealed


def _headers(parcel: Parcel) -> dict[str, str]:
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Encoding": "aes128gcm",
        # Without one the service would drop what a switched-off phone cannot take at once.
        "TTL": str(max(1, int(parcel.valid_for.total_seconds()))),
        "Urgency": "high" if parcel.urgent else "normal",
    }
    return headers | ({"Topic": parcel.topic} if parcel.topic else {})


def _read(device_id: UUID, status: int, headers: Mapping[str, str], now: datetime) -> Said:
    code = str(status)
    if status in (200, 201, 202, 204):
        return Said(device_id, "taken", code)
    if status in (404, 410):
        return Said(device_id, "gone", code)
    if status in (401, 403):
        return Said(device_id, "refused", code)
    if status == 429:
        return Said(device_id, "later", code, _retry_after(headers.get("Retry-After", ""), now))
    if status >= 500 or status == 408:
        return Said(device_id, "uncertain", code)
    return Said(device_id, "never", code)


def _retry_after(said: str, now: datetime) -> timedelta | None:
    """Seconds or a date (RFC 9110, 10.2.3); None when it is neither."""
    if said.strip().isdecimal() and len(said) < 10:
        return timedelta(seconds=int(said))
    try:
        moment = parsedate_to_datetime(said)
    except ValueError:
        return None
    # A date without a zone is in GMT all the same.
    return max(moment.replace(tzinfo=moment.tzinfo or UTC) - now, timedelta(0))
