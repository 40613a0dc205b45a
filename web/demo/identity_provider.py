"""Stands in for ID-porten and HelseID: a provider that vouches for invented people, by the protocol of the real ones."""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey
from pydantic import SecretStr

from web.door.oidc import Client, challenge

PATH = "/demo/idp"
CLIENT_ID = "folge-demo"
ACR = "idporten-loa-high"
_CODE_LIFE = timedelta(minutes=1)
_TOKEN_LIFE = timedelta(minutes=2)


class Refused(Exception):
    """An OAuth error; its text is the error's code."""


@dataclass(frozen=True)
class Request:
    """What a client asked of the authorize page."""

    client_id: str
    redirect_uri: str
    state: str
    nonce: str
    code_challenge: str
    acr_values: str
    login_hint: str


@dataclass(frozen=True)
class _Grant:
    request: Request
    national_id: str
    name: str
    at: datetime


class IdentityProvider:
    """Discovery, keys, authorize, token. Lives in memory: keys and codes are gone with the process."""

    def __init__(self, public_url: str, personas: Sequence[Any], now: Callable[[], datetime]) -> None:
        self.issuer = public_url.rstrip("/") + PATH
        self.personas = tuple(personas)
        self._now = now
        self._key = RSAKey.generate_key(2048, {"kid": "demo-1", "use": "sig", "alg": "RS256"}, private=True)
        self._client_key = RSAKey.generate_key(2048, {"kid": "client-1"}, private=True)
        self._redirects = {
            a: f"{public_url.rstrip('/')}/oidc/callback/{a}" for a in ("patient", "professional")
        }
        self._codes: dict[str, _Grant] = {}
        self._seen: set[str] = set()

    def client(self, audience: str) -> Client:
        """How our own server is registered here."""
        return Client(
            issuer=self.issuer,
            client_id=CLIENT_ID,
            client_key=SecretStr(json.dumps(self._client_key.as_dict(private=True))),
            acr=ACR,
            scope="openid profile",
            pid_claim="pid",
            redirect_uri=self._redirects[audience],
        )

    def check(self, query: Mapping[str, str]) -> Request:
        """What is asked for, if it may be asked. Raises `Refused`."""
        asked = Request(**{name: query.get(name, "") for name in Request.__dataclass_fields__})
        if asked.client_id != CLIENT_ID or asked.redirect_uri not in self._redirects.values():
            raise Refused("unauthorized_client")
        if query.get("response_type") != "code" or not asked.code_challenge:
            raise Refused("invalid_request")
        if query.get("code_challenge_method") != "S256" or asked.acr_values != ACR:
            raise Refused("invalid_request")
        return asked

    def hinted(self, asked: Request) -> Any | None:
        """The persona the client hinted at: let in without a question, as somebody with a session at the provider would be."""
        return next((p for p in self.personas if p.key == asked.login_hint), None)

    def choices(self, asked: Request) -> list[Any]:
        """Who may sign in at this door."""
        working = asked.redirect_uri == self._redirects["professional"]
        return [p for p in self.personas if (p.audience == "professional") == working]

    def approve(self, asked: Request, persona: Any) -> str:
        """The address back, with a code that works once, for a minute."""
        code = secrets.token_urlsafe(24)
        self._codes[code] = _Grant(asked, persona.national_id, persona.name, self._now())
        return f"{asked.redirect_uri}?{urlencode({'code': code, 'state': asked.state, 'iss': self.issuer})}"

    def discovery(self) -> dict[str, Any]:
        """The provider's metadata."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "acr_values_supported": [ACR],
        }

    def jwks(self) -> dict[str, Any]:
        """The public key."""
        return dict(KeySet([self._key]).as_dict(private=False))

    def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        """An id token for a code. Raises `Refused`."""
        self._check_client(form.get("client_assertion", ""), form.get("client_assertion_type", ""))
        grant = self._codes.pop(form.get("code", ""), None)
        now = self._now()
        if form.get("grant_type") != "authorization_code" or grant is None or now - grant.at > _CODE_LIFE:
            raise Refused("invalid_grant")
        if form.get("redirect_uri") != grant.request.redirect_uri:
            raise Refused("invalid_grant")
        if challenge(form.get("code_verifier", "")) != grant.request.code_challenge:
            raise Refused("invalid_grant")
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": secrets.token_urlsafe(16),
            "sid": secrets.token_urlsafe(16),
            "pid": grant.national_id,
            "name": grant.name,
            "nonce": grant.request.nonce,
            "acr": ACR,
            "iat": int(now.timestamp()),
            "exp": int((now + _TOKEN_LIFE).timestamp()),
        }
        id_token = jwt.encode({"alg": "RS256", "kid": "demo-1", "typ": "JWT"}, claims, self._key)
        return {
            "id_token": id_token,
            "token_type": "Bearer",
            "expires_in": 120,
            "access_token": secrets.token_urlsafe(16),
        }

    def _check_client(self, assertion: str, kind: str) -> None:
        if kind != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
            raise Refused("invalid_client")
        try:
            claims = jwt.decode(assertion, self._client_key, algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            raise Refused("invalid_client") from None
        at = self._now().timestamp()
        right = claims.get("iss") == claims.get("sub") == CLIENT_ID and claims.get("aud") == self.issuer
        if not right or not at - 30 < claims.get("exp", 0) <= at + 120 or claims.get("jti") in self._seen:
            raise Refused("invalid_client")
        self._seen.add(claims["jti"])


class Inside(httpx.AsyncBaseTransport):
    """Carries our server's questions to the provider in the same process, whatever name the outside knows us by."""

    def __init__(self, provider: IdentityProvider) -> None:
        self._provider = provider

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One question, one answer."""
        form = dict(httpx.QueryParams(request.content.decode()))
        status, body = answer(
            self._provider, request.url.path.removeprefix(httpx.URL(self._provider.issuer).path), form
        )
        return httpx.Response(status, json=body, request=request)


def answer(provider: IdentityProvider, path: str, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """The provider's machine side: status and JSON for a path under its issuer."""
    try:
        match path:
            case "/.well-known/openid-configuration":
                return 200, provider.discovery()
            case "/jwks":
                return 200, provider.jwks()
            case "/token":
                return 200, provider.token(form)
    except Refused as error:
        return (401 if str(error) == "invalid_client" else 400), {"error": str(error)}
    return 404, {"error": "not_found"}
