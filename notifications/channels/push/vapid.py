"""Who we are to the push services (RFC 8292): the key made once, its public half for the browsers, a signature per call."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid, VapidException
from py_vapid.utils import b64urlencode

from companion.errors import Misconfigured
from notifications.channels.push.settings import VapidSettings

# Push services refuse more than 24 hours, and their clocks may differ from ours.
LASTS = timedelta(hours=11)


def new_key() -> str:
    """A private key, as `VAPID_PRIVATE_KEY` takes it."""
    vapid = Vapid()
    vapid.generate_keys()
    number: int = vapid.private_key.private_numbers().private_value
    return str(b64urlencode(number.to_bytes(32, "big")))


def public_key(settings: VapidSettings) -> str:
    """What a browser subscribes with (`applicationServerKey`). Raises `Misconfigured`."""
    point = _read(settings).public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return str(b64urlencode(point))


def origin(endpoint: str) -> str:
    """The push service an endpoint belongs to."""
    where = urlsplit(endpoint)
    return f"{where.scheme}://{where.netloc}"


class Signer:
    """Signs each call for the push service it goes to. Raises `Misconfigured` when the settings do not do."""

    def __init__(self, settings: VapidSettings) -> None:
        self._vapid, self._subject = _read(settings), settings.subject
        try:
            self.sign("https://push.example/", datetime(2026, 1, 1, tzinfo=UTC))
        except VapidException:
            raise Misconfigured("VAPID_SUBJECT must be mailto:somebody@… or https://…") from None

    def sign(self, endpoint: str, now: datetime) -> dict[str, str]:
        """The `Authorization` header for one call: made anew each time, good for that push service alone."""
        claims = {
            "aud": origin(endpoint),
            "exp": int((now + LASTS).timestamp()),
            "sub": self._subject,
        }
        return dict(self._vapid.sign(claims))


def _read(settings: VapidSettings) -> Vapid:
    try:
        read = Vapid.from_string(private_key=settings.private_key.get_secret_value())
        # An RSA key is read too, and has no curve.
        if isinstance(getattr(read.private_key, "curve", None), SECP256R1):
            return read
    except (ValueError, TypeError, VapidException):
        pass
    raise Misconfigured("VAPID_PRIVATE_KEY is no P-256 key; make one with: python -m notifications vapid")
