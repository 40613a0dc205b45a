"""Signing in at ID-porten and HelseID: OpenID Connect code flow with PKCE and private_key_jwt, nothing taken on trust.

Own code because HelseID's profile wants more than the libraries offer; joserfc does the signatures.
"""

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey
from pydantic import SecretStr

from companion.errors import Misconfigured
from web.house.errors import SignInFailed

_KEPT, _KEPT_AT_MOST = timedelta(hours=1), timedelta(days=1)
# How long a person waits for a provider, whatever of it hangs; and how long the next ones then hear at once that it is silent.
PATIENCE = timedelta(seconds=6)
_SILENT = timedelta(seconds=15)
_LEEWAY = 30
_ASSERTION_LIFE = 60
_ID_TOKEN_ALGORITHMS = ["RS256", "ES256", "PS256"]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Client:
    """What one provider knows us by, and what we demand of it."""

    issuer: str
    client_id: str
    client_key: SecretStr
    acr: str
    scope: str
    pid_claim: str
    redirect_uri: str


@dataclass(frozen=True)
class Attempt:
    """One sign-in under way, kept in a signed cookie between leaving and coming back."""

    audience: str
    state: str
    nonce: str
    verifier: str
    next: str

    def as_dict(self) -> dict[str, str]:
        """For the cookie."""
        return asdict(self)


class _Kept(Generic[_T]):
    """Something of the provider's that is asked for once, and asked for again beside the work when it has become old."""

    def __init__(self, ask: Callable[[datetime], Awaitable[_T]]) -> None:
        self._ask = ask
        self._found: tuple[datetime, _T] | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def get(self, now: datetime) -> _T:
        """What was said last, at most a day ago."""
        if self._found is None or now - self._found[0] > _KEPT_AT_MOST:
            return await self.renewed(now)
        if now - self._found[0] > _KEPT and (self._renewal is None or self._renewal.done()):
            self._renewal = asyncio.create_task(self._renew(now))
        return self._found[1]

    async def renewed(self, now: datetime) -> _T:
        """What is said now."""
        found = await self._ask(now)
        self._found = now, found
        return found

    async def _renew(self, now: datetime) -> None:
        with suppress(SignInFailed, TimeoutError):
            async with asyncio.timeout(PATIENCE.total_seconds()):
                await self.renewed(now)


class Door:
    """One provider's door. `http` is shared. Nobody waits longer than `patience` for the provider."""

    def __init__(self, client: Client, http: httpx.AsyncClient, patience: timedelta = PATIENCE) -> None:
        self._client, self._http, self._patience = client, http, patience
        self._key = _signing_key(client)
        self._metadata, self._keys = _Kept(self._ask_metadata), _Kept(self._ask_keys)
        self._silent_until: datetime | None = None

    async def leave(
        self, audience: str, *, next: str, lang: str, hint: str | None, now: datetime
    ) -> tuple[str, Attempt]:
        """The provider's address to go to, and what to remember meanwhile. Raises `SignInFailed` when the provider is away."""
        attempt = Attempt(
            audience=audience,
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            next=next,
        )
        query = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": self._client.redirect_uri,
            "scope": self._client.scope,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge(attempt.verifier),
            "code_challenge_method": "S256",
            "acr_values": self._client.acr,
            "ui_locales": lang,
        }
        if hint:
            query["login_hint"] = hint
        async with self._patiently(now):
            provider = await self._metadata.get(now)
        return f"{provider['authorization_endpoint']}?{urlencode(query)}", attempt

    async def come_back(
        self, attempt: Attempt, answer: Mapping[str, str], *, now: datetime
    ) -> dict[str, Any]:
        """The verified claims, with the national id as `pid`. Raises `SignInFailed`, naming the check that failed."""
        if not secrets.compare_digest(answer.get("state", ""), attempt.state):
            raise SignInFailed("state")
        if answer.get("iss", self._client.issuer) != self._client.issuer:
            raise SignInFailed("iss of the answer")
        if "code" not in answer:
            raise SignInFailed("no code")
        async with self._patiently(now):
            token = await self._trade(answer["code"], attempt, now)
            claims = await self._verify(token, attempt, now)
        pid = claims.get(self._client.pid_claim)
        if not isinstance(pid, str) or not pid:
            raise SignInFailed("no national id")
        return claims | {"pid": pid}

    @asynccontextmanager
    async def _patiently(self, now: datetime) -> AsyncIterator[None]:
        """The provider is asked. When it was silent, one person a while tries it; all others hear so at once."""
        if self._silent_until:
            if now < self._silent_until:
                raise SignInFailed("the provider was silent a moment ago")
            self._silent_until = now + _SILENT
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                yield
        except TimeoutError:
            self._silent_until = now + self._patience + _SILENT
            raise SignInFailed("the provider is silent") from None
        except SignInFailed:
            self._silent_until = None
            raise
        self._silent_until = None

    async def _trade(self, code: str, attempt: Attempt, now: datetime) -> str:
        provider = await self._metadata.get(now)
        answer = await self._ask(
            "POST",
            provider["token_endpoint"],
            data={
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self._client.redirect_uri,
                "client_id": self._client.client_id,
                "code_verifier": attempt.verifier,
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": self._assertion(now),
            },
        )
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise SignInFailed("no id token")
        return token

    def _assertion(self, now: datetime) -> str:
        at = int(now.timestamp())
        header = {"alg": "ES256" if isinstance(self._key, ECKey) else "RS256", "typ": "JWT"}
        if self._key.kid:
            header["kid"] = self._key.kid
        claims = {
            "iss": self._client.client_id,
            "sub": self._client.client_id,
            "aud": self._client.issuer,
            "jti": secrets.token_urlsafe(16),
            "iat": at,
            "exp": at + _ASSERTION_LIFE,
        }
        return jwt.encode(header, claims, self._key)

    async def _verify(self, token: str, attempt: Attempt, now: datetime) -> dict[str, Any]:
        try:
            decoded = jwt.decode(token, await self._keys.get(now), algorithms=_ID_TOKEN_ALGORITHMS)
        except (JoseError, ValueError):
            try:  # the provider may have changed its keys since we last looked
                decoded = jwt.decode(token, await self._keys.renewed(now), algorithms=_ID_TOKEN_ALGORITHMS)
            except (JoseError, ValueError):
                raise SignInFailed("signature") from None
        claims: dict[str, Any] = dict(decoded.claims)
        audiences = claims.get("aud")
        audiences = audiences if isinstance(audiences, list) else [audiences]
        at = now.timestamp()
        checks = {
            "iss": claims.get("iss") == self._client.issuer,
            "aud": self._client.client_id in audiences,
            "azp": claims.get("azp", self._client.client_id) == self._client.client_id
            and (len(audiences) == 1 or "azp" in claims),
            "exp": _number(claims.get("exp")) > at - _LEEWAY,
            "iat": 0 < _number(claims.get("iat")) < at + _LEEWAY,
            "nonce": secrets.compare_digest(str(claims.get("nonce", "")), attempt.nonce),
            "acr": claims.get("acr") == self._client.acr,
        }
        for name, right in checks.items():
            if not right:
                raise SignInFailed(name)
        return claims

    async def _ask_metadata(self, _now: datetime) -> dict[str, Any]:
        found = await self._ask("GET", self._client.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != self._client.issuer:
            raise SignInFailed("issuer of the discovery document")
        return found

    async def _ask_keys(self, now: datetime) -> KeySet:
        document: Any = await self._ask("GET", (await self._metadata.get(now))["jwks_uri"])
        return KeySet.import_key_set(document)

    async def _ask(self, method: str, url: str, data: dict[str, str] | None = None) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, url, data=data, headers={"Accept": "application/json"})
            answer.raise_for_status()
            document = answer.json()
        except httpx.TimeoutException:
            raise TimeoutError from None
        except (httpx.HTTPError, ValueError):
            raise SignInFailed("the provider did not answer as agreed") from None
        if not isinstance(document, dict):
            raise SignInFailed("the provider did not answer as agreed")
        return document


def challenge(verifier: str) -> str:
    """PKCE's S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _signing_key(client: Client) -> RSAKey | ECKey:
    given = client.client_key.get_secret_value().strip()
    try:
        key = _from_jwk(json.loads(given)) if given.startswith("{") else _from_pem(given)
    except (JoseError, ValueError, KeyError):
        raise Misconfigured(f"the client key for {client.issuer} must be a JWK or PEM, RSA or EC") from None
    if not key.is_private:
        raise Misconfigured(f"the client key for {client.issuer} must be the private one")
    return key


def _from_jwk(jwk: dict[str, Any]) -> RSAKey | ECKey:
    kinds: dict[str, type[RSAKey] | type[ECKey]] = {"RSA": RSAKey, "EC": ECKey}
    return kinds[jwk["kty"]].import_key(jwk)


def _from_pem(text: str) -> RSAKey | ECKey:
    try:
        return RSAKey.import_key(text)
    except (JoseError, ValueError):
        return ECKey.import_key(text)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
