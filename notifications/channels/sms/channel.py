"""SMS by Twilio: one POST per message, and the official SDK for looking up what became of it."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client
from yarl import URL

from companion.rules.delivery_codes import explain
from notifications.channels import Later, Never, News, Parcel, Uncertain
from notifications.channels.sms.settings import TwilioSettings

# Longest and shortest wait in the provider's own queue that it accepts.
_VALIDITY = (timedelta(seconds=1), timedelta(seconds=36000))
# Its clock and ours may differ.
_CLOCKS_DIFFER_BY = timedelta(minutes=1)
_MOST_ANSWERS_LOOKED_AT = 50
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# Looks and polls that the dispatcher has under way beside the letters.
_ASKING = 32
_SDK_BASE = "https://api.twilio.com"


class TwilioChannel:
    """Carries SMS. Made inside the running loop; `close` ends its session."""

    def __init__(self, settings: TwilioSettings, public_url: str, in_flight: int = 32) -> None:
        self._settings = settings.require()
        self._callback = f"{public_url.rstrip('/')}/hooks/twilio/status?attempt="
        self._base = settings.api_base.rstrip("/")
        self._url = f"{self._base}/2010-04-01/Accounts/{quote(settings.account_sid)}/Messages.json"
        self._timeouts = {
            "batch": _timeout(settings.connect_seconds, settings.read_seconds),
            "code": _timeout(settings.connect_seconds, settings.read_seconds_codes),
        }
        self._session = aiohttp.ClientSession(
            headers={
                "Authorization": aiohttp.encode_basic_auth(
                    settings.account_sid, settings.auth_token.get_secret_value()
                )
            },
            timeout=self._timeouts["batch"],
            # Few idle seconds: a connection the provider has closed meanwhile would make a certain "no" uncertain.
            # And one for everybody: a call that waited here for a connection would pass for the provider's silence.
            connector=aiohttp.TCPConnector(limit=in_flight + _ASKING, keepalive_timeout=5),
        )
        self._sdk = Client(
            settings.account_sid,
            settings.auth_token.get_secret_value(),
            http_client=_OurSession(self._session, self._base),
        )

    async def send(self, parcel: Parcel) -> str:
        """One POST. Which phase failed decides which of the three errors it is."""
        try:
            async with self._session.post(
                self._url,
                data=self._form(parcel),
                headers=_FORM,
                allow_redirects=False,
                timeout=self._timeouts[parcel.lane],
            ) as answer:
                return self._read(answer.status, answer.headers, await answer.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as no_connection:
            raise Later("no_connection") from no_connection
        except TimeoutError as silence:
            raise Uncertain("read_timeout") from silence
        except aiohttp.ClientError as broken_off:
            raise Uncertain("broken_off") from broken_off

    async def find(self, parcel: Parcel) -> list[str]:
        """What the provider lists to this number with exactly this text, made since the attempt began."""
        since = parcel.started_at - _CLOCKS_DIFFER_BY
        try:
            listed = await self._sdk.messages.list_async(
                to=parcel.address, date_sent_after=since - timedelta(days=1), limit=_MOST_ANSWERS_LOOKED_AT
            )
        except (TwilioException, aiohttp.ClientError, TimeoutError, ValueError) as failed:
            raise Later("list_failed") from failed
        return [str(one.sid) for one in listed if one.body == parcel.body and one.date_created >= since]

    async def fetch(self, provider_id: str) -> News | None:
        """What the provider says of one message."""
        try:
            one = await self._sdk.messages(provider_id).fetch_async()
        except TwilioRestException as refused:
            if refused.status == 404:
                return None
            raise Later("fetch_failed") from refused
        except (TwilioException, aiohttp.ClientError, TimeoutError, ValueError) as failed:
            raise Later("fetch_failed") from failed
        return News(str(one.status), str(one.error_code) if one.error_code else None)

    async def close(self) -> None:
        """Ends the session, and lets the loop close its sockets."""
        await self._session.close()
        await asyncio.sleep(0)

    def _form(self, parcel: Parcel) -> bytes:
        service = self._settings.messaging_service_sid
        sender = {"MessagingServiceSid": service} if service else {"From": self._settings.sender}
        validity = min(max(parcel.valid_for, _VALIDITY[0]), _VALIDITY[1])
        fields = sender | {
            "To": parcel.address,
            "Body": parcel.body,
            "StatusCallback": f"{self._callback}{parcel.attempt_id}",
            "ValidityPeriod": str(int(validity.total_seconds())),
            "SmartEncoded": "false",
        }
        # Given as fields, aiohttp would take as long for them as for all the rest of the call.
        return URL.build(query=fields).raw_query_string.encode()

    def _read(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        if status == 429:
            raise Later("20429", _retry_after(headers))
        if status >= 500 or status == 408:
            raise Uncertain(str(status))
        said = _json(body)
        if status in (200, 201):
            if not said.get("sid"):
                raise Uncertain("unreadable")
            return str(said["sid"])[:64]
        code = str(said.get("code") or status)[:16]
        if status == 400 and not explain(code).ours:
            raise Never(code)
        # Our key or address is wrong, which is no fault of the letter: it waits until that is mended.
        raise Later(code)


class _OurSession(AsyncHttpClient):  # type: ignore[misc]
    """Lets the SDK speak through our session: our timeouts, our base address."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        super().__init__(None, True, None)
        self._session = session
        self._base = base

    async def request(
        self,
        method: str,
        url: str,
        params: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        auth: Any = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """One request of the SDK's."""
        ours = url.replace(_SDK_BASE, self._base, 1)
        given = {name: str(value) for name, value in (params or {}).items()}
        async with self._session.request(method.upper(), ours, params=given, data=data) as answer:
            return Response(answer.status, await answer.text(), answer.headers)


def _timeout(connect: float, read: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(sock_connect=connect, sock_read=read, total=connect + read)


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    seconds = headers.get("Retry-After", "")
    return timedelta(seconds=int(seconds)) if seconds.isdigit() else None


def _json(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
