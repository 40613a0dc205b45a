"""Who may come where, forged requests, headers and cookies. Nothing here reads the database."""

import base64
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from fastapi import Request, Response
from starlette.requests import HTTPConnection

from companion.crypto import KeyRing
from companion.errors import Misconfigured, NotAllowed
from companion.rules.access import Level
from companion.settings import Settings

Audience = Literal[
    "public",  # everybody
    "any",  # everybody who has signed in
    "patient",
    "relative",
    "professional",
    "meeting",  # patients, relatives and professionals
    "integration",  # programs, with a bearer token
    "hook",  # the SMS provider, with a signature; a device, with the id of what it was sent
    "demo",  # only mounted with --demo
]
Purpose = Literal["passport", "check_in"]
Endpoint = TypeVar("Endpoint", bound=Callable[..., object])

# No cookie of theirs could be abused: they prove themselves (signature, bearer token), or the data is invented (demo).
WITHOUT_TOKEN: frozenset[Audience] = frozenset({"hook", "integration", "demo"})
PERSONS: frozenset[Audience] = frozenset({"any", "patient", "relative", "professional", "meeting"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "manifest-src 'self'; worker-src 'self'; media-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HOME_ONLY = "camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=()"
_MEETING = "camera=(self), microphone=(self), geolocation=(), display-capture=(self), payment=(), usb=()"


class FormRefused(NotAllowed):
    """A form that did not come from our own page, or from one that is too old."""


@dataclass(frozen=True)
class Access:
    """Who a route is for, how sure we must be, and whether it shows or changes a patient's data."""

    audience: Audience
    level: Level | Purpose
    patient_data: bool

    def needs(self, settings: Settings) -> Level:
        """The level, after the settings have had their say."""
        if isinstance(self.level, Level):
            return self.level
        return settings.level_passport if self.level == "passport" else settings.level_check_in


def access(
    audience: Audience, level: Level | Purpose = Level.link, *, patient_data: bool = False
) -> Callable[[Endpoint], Endpoint]:
    """Declares who a route is for. It stands between `@router.get(…)` and the function; a route without it stops the server."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.__dict__["access"] = Access(audience, level, patient_data)
        return endpoint

    return mark


def access_of(endpoint: Callable[..., object]) -> Access:
    """What the route declared. Raises `Misconfigured` when it declared nothing."""
    marker = endpoint.__dict__.get("access")
    if not isinstance(marker, Access):
        raise Misconfigured(f"the route {endpoint.__module__}.{endpoint.__name__} does not say who it is for")
    return marker


# --- cookies ----------------------------------------------------------------------------------------------------------


class Cookies:
    """Names and flags: `__Host-` and Secure when the public address is https, plain names on http://127.0.0.1."""

    def __init__(self, public_url: str) -> None:
        self.secure = public_url.startswith("https:")
        prefix = "__Host-" if self.secure else ""
        self.session, self.form, self.login = f"{prefix}session", f"{prefix}form", f"{prefix}login"

    def put(self, response: Response, name: str, value: str, max_age: int | None = None) -> None:
        """Sets a cookie that scripts cannot read and other sites cannot post with."""
        response.set_cookie(
            name, value, max_age=max_age, path="/", secure=self.secure, httponly=True, samesite="lax"
        )

    def drop(self, response: Response, name: str) -> None:
        """Takes it away."""
        response.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite="lax")


# --- forged requests --------------------------------------------------------------------------------------------------


def same_origin(connection: HTTPConnection, public_url: str) -> bool:
    """Whether a browser says that the request comes from our own pages. Programs say nothing and are believed here."""
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = connection.headers.get("origin")
    if origin is None:
        return True
    here = f"{connection.url.scheme.replace('ws', 'http')}://{connection.headers.get('host', '')}"
    return origin in (here, public_url.rstrip("/"))


def form_token(ring: KeyRing, cookie: str) -> str:
    """The token that belongs to an anonymous visitor's form cookie."""
    return ring.index(cookie, "form cookie")


def new_form_cookie() -> str:
    """A random value for the form cookie."""
    return secrets.token_urlsafe(24)


def mask(token: str) -> str:
    """The token as one answer carries it: never the same twice, so that the length of a compressed page tells nothing of it."""
    pad = secrets.token_bytes(len(token))
    return base64.urlsafe_b64encode(pad + _xor(pad, token.encode())).decode()


def check_token(given: str, *expected: str | None) -> None:
    """Raises `FormRefused` unless what came with the form is one of the tokens we gave, in one of its masks."""
    token = _unmask(given)
    if not any(right and hmac.compare_digest(token, right.encode()) for right in expected):
        raise FormRefused("the form does not carry our token")


def open_mask(given: str) -> str:
    """The token behind one of its masks; empty when it is none of ours."""
    return _unmask(given).decode("ascii", "ignore")


def _unmask(given: str) -> bytes:
    try:
        both = base64.urlsafe_b64decode(given)
    except ValueError:
        return b""
    half = len(both) // 2
    return _xor(both[:half], both[half : 2 * half])


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def given_token(request: Request, fields: Mapping[str, str]) -> str:
    """The token as a form field or, from scripts, as a header."""
    return request.headers.get("x-csrf-token") or fields.get("csrf_token", "")


# --- headers ----------------------------------------------------------------------------------------------------------


def headers(path: str, *, https: bool) -> dict[str, str]:
    """The headers every answer carries, errors included."""
    found = {
        "Content-Security-Policy": _CSP,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": _MEETING if path.startswith("/meeting/") else _HOME_ONLY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }
    if https:
        found["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    return found


def local_path(given: str | None) -> str | None:
    """An address of ours to return to, or None: one leading slash, no other host, no control characters."""
    if not given or len(given) > 300 or not given.startswith("/") or given.startswith(("//", "/\\")):
        return None
    if "\\" in given or any(ord(c) < 33 for c in given):
        return None
    return given
