"""Twilio's own description of its message API: what we ask is allowed by it, and what the rig answers looks like it."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import jsonschema_rs
import pytest
from pydantic import SecretStr

from notifications.channels.sms.channel import TwilioChannel
from notifications.channels.sms.settings import TwilioSettings
from tests.delivery.test_channels import NOW, PUBLIC, parcel
from tests.rig import twilio_like
from tests.rig.http import Answer, Request
from tests.rig.twilio_like import TwilioLike

# The only copy in a package registry: npm's `@twilio-alpha/mcp`, of which nothing but this data is used.
SPEC = Path("node_modules/@twilio-alpha/mcp/twilio-oai/spec/json/twilio_api_v2010.json")
ROOT = Path(__file__).resolve().parents[2]
FORM = "application/x-www-form-urlencoded"
ACCOUNT = f"AC{7:032x}"
SERVICE = f"MG{7:032x}"


@cache
def spec() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / SPEC).read_text())
    return found


def errors(schema: dict[str, Any], value: object) -> list[str]:
    whole = _nullable(schema | {"components": spec()["components"]})
    return [f"{error.instance_path}: {error.message}" for error in jsonschema_rs.iter_errors(whole, value)]


def _nullable(node: Any) -> Any:
    """OpenAPI 3.0's `nullable` in the words of JSON Schema."""
    if isinstance(node, list):
        return [_nullable(one) for one in node]
    if not isinstance(node, dict):
        return node
    plain = {name: _nullable(one) for name, one in node.items() if name != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if node.get("nullable") is True else plain


def _read(text: str, schema: dict[str, Any]) -> object:
    """The value a form's or an address's text stands for."""
    if schema.get("type") == "integer":
        return int(text) if re.fullmatch(r"-?[0-9]+", text) else text
    if schema.get("type") == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text


@dataclass
class Overheard(TwilioLike):
    """Keeps what was asked and answered."""

    said: list[tuple[Request, Answer]] = field(default_factory=list)

    def answer(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        answer = super().answer(request)
        assert isinstance(answer, Answer)
        self.said.append((request, answer))
        return answer


def talk(server: Overheard, doing: Callable[[TwilioChannel], Awaitable[object]], **changed: str) -> None:
    account = TwilioSettings(account_sid=ACCOUNT, auth_token=SecretStr("secret"), api_base=server.url)

    async def inside() -> None:
        channel = TwilioChannel(account.model_copy(update={"sender": "Folge", **changed}), PUBLIC)
        try:
            await doing(channel)
        finally:
            await channel.close()

    asyncio.run(inside())


@pytest.fixture(scope="module")
def said() -> list[tuple[Request, Answer]]:
    """Sent by a sender and by a service, listed, fetched; with news of failure and without."""

    async def everything(channel: TwilioChannel) -> None:
        for number in range(3):
            sid = await channel.send(replace(one, body=f"Buorre beaivi, {number} « đ »"))
        assert await channel.find(replace(one, body="Buorre beaivi, 2 « đ »")) == [sid]
        server.taken[-1].status, server.taken[-1].error_code = "undelivered", 30003
        await channel.fetch(sid)

    async def by_service(channel: TwilioChannel) -> None:
        await channel.fetch(await channel.send(one))

    one = parcel()
    with twilio_like.running(Overheard(clock_at=NOW)) as running:
        assert isinstance(running, Overheard)
        server = running
        talk(server, everything)
        talk(server, by_service, messaging_service_sid=SERVICE)
    return server.said


def operation(request: Request) -> tuple[dict[str, Any], dict[str, str]]:
    """What the description says of this request, and the values in its path."""
    for template, methods in spec()["paths"].items():
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template))
        if (found := re.fullmatch(pattern, request.path)) and request.method.lower() in methods:
            return methods[request.method.lower()], found.groupdict()
    raise AssertionError(f"{request.method} {request.path} is not described")


def wrong(request: Request, answer: Answer) -> list[str]:
    described, in_path = operation(request)
    parameters = {one["name"]: one for one in described.get("parameters", [])}
    found = [
        problem
        for name, text in (in_path | request.query).items()
        for problem in (
            errors(parameters[name]["schema"], _read(text, parameters[name]["schema"]))
            if name in parameters
            else [f"{name} is not described"]
        )
    ]
    if request.method == "POST":
        schema = described["requestBody"]["content"][FORM]["schema"]
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        found += [f"{name} is not described" for name in form.keys() - schema["properties"].keys()]
        found += errors(
            schema, {name: _read(text, schema["properties"].get(name, {})) for name, text in form.items()}
        )
    shape = described["responses"][str(answer.status)]["content"]["application/json"]["schema"]
    said = json.loads(answer.body)
    return found + errors(shape, said) + [f"{name} is never said" for name in said.keys() - shape_of(shape)]


def shape_of(schema: dict[str, Any]) -> set[str]:
    name = schema.get("$ref", "").rpartition("/")[2]
    described = spec()["components"]["schemas"][name] if name else schema
    return set(described["properties"])


def test_what_we_ask_and_what_the_rig_answers_is_as_twilio_describes_it(
    said: list[tuple[Request, Answer]],
) -> None:
    assert [problem for request, answer in said for problem in wrong(request, answer)] == []
    asked = {(request.method, request.path.count("/")) for request, _ in said}
    assert asked == {("POST", 4), ("GET", 4), ("GET", 5)}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"ValidityPeriod": "an hour"}, "ValidityPeriod"),
        ({"SmartEncoded": "off"}, "SmartEncoded"),
        ({"MessagingServiceSid": "MG1"}, "MessagingServiceSid"),
        ({"Callback": "https://folge.example"}, "Callback is not described"),
    ],
)
def test_a_form_that_breaks_the_description_is_seen(
    said: list[tuple[Request, Answer]], changed: dict[str, str], problem: str
) -> None:
    request, answer = said[0]
    form = dict(parse_qsl(request.body.decode())) | changed
    assert any(problem in one for one in wrong(replace(request, body=urlencode(form).encode()), answer))
