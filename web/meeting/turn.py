"""Short-lived passwords for the relay (TURN), made from a shared secret as coturn's `use-auth-secret` expects."""

import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any

from web.house.settings import WebSettings

TTL = timedelta(hours=2)


def ice_servers(settings: WebSettings, person: str, now: datetime) -> list[dict[str, Any]]:
    """`RTCConfiguration.iceServers` for one browser. `person` is an opaque id: it stands in the relay's log."""
    urls = [url.strip() for url in settings.turn_urls.split(",") if url.strip()]
    relays = [url for url in urls if url.startswith(("turn:", "turns:"))]
    servers: list[dict[str, Any]] = [{"urls": url} for url in urls if url not in relays]
    if relays:
        username = f"{int((now + TTL).timestamp())}:{person}"
        secret = settings.turn_secret.get_secret_value().encode()
        digest = hmac.new(secret, username.encode(), hashlib.sha1).digest()
        servers.append(
            {"urls": relays, "username": username, "credential": base64.b64encode(digest).decode()}
        )
    return servers
