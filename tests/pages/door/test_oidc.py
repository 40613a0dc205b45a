"""Nothing a provider says is taken on trust: every way an answer can be wrong is refused."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from pydantic import SecretStr

from companion.demo import PERSONAS
from companion.errors import Misconfigured
from web.demo.identity_provider import ACR, IdentityProvider, Inside, Refused
from web.door.oidc import Attempt, Client, Door
from web.house.errors import SignInFailed

NOW = datetime(2026, 11, 10, 9, 0, tzinfo=UTC)
URL = "http://127.0.0.1:8000"
KARI = next(persona for persona in PERSONAS if persona.key == "kari")
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "demo-1"}, private=True)


class Tampering(httpx.AsyncBaseTransport):
    """Between us and the provider somebody changes the token, or a whole answer."""

    def __init__(
        self, provider: IdentityProvider, change: Callable[[str, dict[str, Any]], dict[str, Any]]
    ) -> None:
        self._inside, self._change = Inside(provider), change

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The provider's answer, changed."""
        answer = await self._inside.handle_async_request(request)
        changed = self._change(request.url.path.rsplit("/", 1)[-1], answer.json())
        return httpx.Response(answer.status_code, json=changed, request=request)


@pytest.fixture(scope="module")
def provider() -> IdentityProvider:
    return IdentityProvider(URL, PERSONAS, lambda: NOW)


def untouched(_where: str, answer: dict[str, Any]) -> dict[str, Any]:
    return answer


def door(
    provider: IdentityProvider, change: Callable[[str, dict[str, Any]], dict[str, Any]] = untouched
) -> Door:
    return Door(provider.client("patient"), httpx.AsyncClient(transport=Tampering(provider, change)))


def go_and_approve(door: Door, provider: IdentityProvider) -> tuple[Attempt, dict[str, str]]:
    """To the provider and back with its answer."""
    address, attempt = asyncio.run(door.leave("patient", next="", lang="nb", hint=None, now=NOW))
    asked = provider.check({k: v[0] for k, v in parse_qs(urlsplit(address).query).items()})
    back = provider.approve(asked, KARI)
    return attempt, {k: v[0] for k, v in parse_qs(urlsplit(back).query).items()}


def test_the_whole_way(provider: IdentityProvider) -> None:
    kind = door(provider)
    attempt, answer = go_and_approve(kind, provider)
    claims = asyncio.run(kind.come_back(attempt, answer, now=NOW))
    assert claims["pid"] == KARI.national_id
    assert claims["acr"] == ACR


def with_claims(
    **changed: Any,
) -> Callable[[IdentityProvider], Callable[[str, dict[str, Any]], dict[str, Any]]]:
    """Signed by the provider itself, but with other claims; None takes one away."""

    def build(provider: IdentityProvider) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
        def change(where: str, answer: dict[str, Any]) -> dict[str, Any]:
            if where != "token" or "id_token" not in answer:
                return answer
            claims = dict(jwt.decode(answer["id_token"], provider._key).claims) | changed
            claims = {name: value for name, value in claims.items() if value is not None}
            return answer | {"id_token": jwt.encode({"alg": "RS256", "kid": "demo-1"}, claims, provider._key)}

        return change

    return build


def signed_by(
    key: Any, header: Mapping[str, str]
) -> Callable[[IdentityProvider], Callable[[str, dict[str, Any]], dict[str, Any]]]:
    """The right claims under another signature."""

    def build(provider: IdentityProvider) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
        def change(where: str, answer: dict[str, Any]) -> dict[str, Any]:
            if where != "token" or "id_token" not in answer:
                return answer
            claims = jwt.decode(answer["id_token"], provider._key).claims
            return answer | {"id_token": jwt.encode(dict(header), claims, key, algorithms=[header["alg"]])}

        return change

    return build


def replaced(
    where: str, **fields: Any
) -> Callable[[IdentityProvider], Callable[[str, dict[str, Any]], dict[str, Any]]]:
    """Another answer at one of the provider's addresses."""
    return lambda _: lambda at, answer: answer | fields if at == where else answer


def public_key_as_secret() -> Callable[[IdentityProvider], Callable[[str, dict[str, Any]], dict[str, Any]]]:
    """HS256 with the provider's public key as the secret: what a careless verifier takes for its signature."""

    def build(provider: IdentityProvider) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
        def change(where: str, answer: dict[str, Any]) -> dict[str, Any]:
            if where != "token" or "id_token" not in answer:
                return answer
            head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"demo-1"}').rstrip(b"=").decode()
            body = answer["id_token"].split(".")[1]
            secret = provider._key.as_pem(private=False)
            mark = hmac.new(secret, f"{head}.{body}".encode(), hashlib.sha256).digest()
            return answer | {
                "id_token": f"{head}.{body}.{base64.urlsafe_b64encode(mark).rstrip(b'=').decode()}"
            }

        return change

    return build


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (with_claims(iss="https://evil.example"), "iss"),
        (with_claims(iss=None), "iss"),
        (with_claims(aud="somebody-else"), "aud"),
        (with_claims(aud=None), "aud"),
        (with_claims(aud=["folge-demo", "another"]), "azp"),
        (with_claims(azp="another"), "azp"),
        (with_claims(exp=int((NOW - timedelta(minutes=1)).timestamp())), "exp"),
        (with_claims(exp=None), "exp"),
        (with_claims(exp="soon"), "exp"),
        (with_claims(iat=int((NOW + timedelta(minutes=5)).timestamp())), "iat"),
        (with_claims(iat=None), "iat"),
        (with_claims(nonce="another"), "nonce"),
        (with_claims(nonce=None), "nonce"),
        (with_claims(acr="idporten-loa-substantial"), "acr"),
        (with_claims(acr=None), "acr"),
        (with_claims(pid=None), "no national id"),
        (with_claims(pid=""), "no national id"),
        (signed_by(OTHER_KEY, {"alg": "RS256", "kid": "demo-1"}), "signature"),
        (signed_by(OTHER_KEY, {"alg": "RS256", "kid": "unknown"}), "signature"),
        (public_key_as_secret(), "signature"),
        (replaced("token", id_token="eyJhbGciOiJub25lIn0.e30."), "signature"),
        (replaced("token", id_token="not a token"), "signature"),
        (replaced("token", id_token=None), "no id token"),
        (replaced("openid-configuration", issuer="https://evil.example"), "issuer of the discovery document"),
    ],
)
def test_a_wrong_answer_is_refused(
    provider: IdentityProvider,
    change: Callable[[IdentityProvider], Callable[[str, dict[str, Any]], dict[str, Any]]],
    check: str,
) -> None:
    honest = door(provider)
    attempt, answer = go_and_approve(honest, provider)
    with pytest.raises(SignInFailed) as refused:
        asyncio.run(door(provider, change(provider)).come_back(attempt, answer, now=NOW))
    assert str(refused.value) == check


def test_an_answer_to_another_question_is_refused(provider: IdentityProvider) -> None:
    kind = door(provider)
    attempt, answer = go_and_approve(kind, provider)
    for wrong in ({"state": "x"}, {"iss": "https://evil.example"}):
        with pytest.raises(SignInFailed):
            asyncio.run(kind.come_back(attempt, answer | wrong, now=NOW))
    with pytest.raises(SignInFailed, match="no code"):
        asyncio.run(kind.come_back(attempt, {"state": attempt.state, "error": "access_denied"}, now=NOW))


def test_a_code_works_once_and_only_for_whoever_began(provider: IdentityProvider) -> None:
    kind = door(provider)
    attempt, answer = go_and_approve(kind, provider)
    asyncio.run(kind.come_back(attempt, answer, now=NOW))
    with pytest.raises(SignInFailed):
        asyncio.run(kind.come_back(attempt, answer, now=NOW))
    thief, _ = go_and_approve(kind, provider)
    _, stolen = go_and_approve(kind, provider)
    with pytest.raises(SignInFailed):
        asyncio.run(kind.come_back(thief, stolen | {"state": thief.state}, now=NOW))


def test_a_provider_that_is_away_is_a_failed_sign_in(provider: IdentityProvider) -> None:
    broken = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(502, text="Bad Gateway"))
    )
    with pytest.raises(SignInFailed):
        asyncio.run(
            Door(provider.client("patient"), broken).leave("patient", next="", lang="nb", hint=None, now=NOW)
        )


def test_the_providers_new_key_is_fetched(provider: IdentityProvider) -> None:
    kind = door(provider)
    attempt, answer = go_and_approve(kind, provider)
    asyncio.run(kind.come_back(attempt, answer, now=NOW))
    provider._key = RSAKey.generate_key(2048, {"kid": "demo-1", "use": "sig", "alg": "RS256"}, private=True)
    attempt, answer = go_and_approve(kind, provider)
    assert asyncio.run(kind.come_back(attempt, answer, now=NOW))["pid"] == KARI.national_id


def test_the_provider_itself_refuses_what_a_real_one_would(provider: IdentityProvider) -> None:
    address, _ = asyncio.run(door(provider).leave("patient", next="", lang="nb", hint=None, now=NOW))
    query = {k: v[0] for k, v in parse_qs(urlsplit(address).query).items()}
    for wrong in (
        {"redirect_uri": "https://evil.example"},
        {"client_id": "x"},
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
        {"acr_values": "low"},
    ):
        with pytest.raises(Refused):
            provider.check(query | wrong)
    with pytest.raises(Refused, match="invalid_client"):
        provider.token({"code": "x", "client_assertion": "x", "client_assertion_type": "x"})


@pytest.mark.parametrize("key", ["", "{}", "-----BEGIN NOTHING-----", '{"kty":"oct","k":"AAAA"}'])
def test_a_useless_client_key_stops_the_start(key: str) -> None:
    client = Client("https://id.example", "us", SecretStr(key), ACR, "openid", "pid", URL)
    with pytest.raises(Misconfigured, match=r"client key for https://id\.example"):
        Door(client, httpx.AsyncClient())
