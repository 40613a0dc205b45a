"""Web Push a second, sealed and signed, as a ratio to `pywebpush.webpush` with a kept session."""

import asyncio
import base64
import json
import os
from collections.abc import Iterator
from time import perf_counter

import aiohttp
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid
from pywebpush import webpush, webpush_async

from bench.figures import Figure, Part, paired
from bench.standin import Standin

IN_FLIGHT = 64
TTL = 900
PAYLOAD = json.dumps(
    {
        "title": "Følge",
        "body": "Du har en ny beskjed.",
        "lang": "nb",
        "url": "/l#" + "A" * 22,
        "ack": "0" * 32,
    }
)
CLAIMS = {"sub": "mailto:drift@folge.example.no"}


def measure(standin: Standin, pushes: int, rounds: int) -> Part:
    """The library's plain call, then the calls our channel makes, in every round."""
    devices = [_device(standin.url, serial) for serial in range(pushes)]
    plain, ours = [], []
    for _ in range(rounds):
        few = devices[: max(1, pushes // 4)]
        standin.reset()
        plain.append(len(few) / _one_by_one(few))
        standin.expect(len(few))
        standin.reset()
        ours.append(pushes / asyncio.run(_in_flight(devices)))
        standin.expect(pushes)
    return Part(
        "push",
        "Web Push, from text to accepted",
        f"{pushes} devices ({len(few)} for the plain call), {len(PAYLOAD)} characters, a VAPID signature each; one process,"
        f" {IN_FLIGHT} in flight.",
        [
            Figure("pywebpush.webpush, a requests session", plain, "/s"),
            Figure("ours, a shared aiohttp session", ours, "/s", paired(ours, plain), "≥ 2.5"),
        ],
    )


def _one_by_one(devices: list[dict[str, object]]) -> float:
    vapid = _vapid()
    with requests.Session() as session:
        began = perf_counter()
        for device in devices:
            webpush(device, PAYLOAD, vapid, dict(CLAIMS), ttl=TTL, requests_session=session)
        return perf_counter() - began


async def _in_flight(devices: list[dict[str, object]]) -> float:
    vapid, waiting = _vapid(), iter(devices)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:
        began = perf_counter()
        await asyncio.gather(*(_push(session, vapid, waiting) for _ in range(IN_FLIGHT)))
        return perf_counter() - began


async def _push(session: aiohttp.ClientSession, vapid: Vapid, devices: Iterator[dict[str, object]]) -> None:
    for device in devices:
        await webpush_async(
            device,
            PAYLOAD,
            vapid,
            dict(CLAIMS),
            ttl=TTL,
            headers={"Topic": "check-in", "Urgency": "normal"},
            timeout=aiohttp.ClientTimeout(total=30),
            aiohttp_session=session,
        )


def _device(url: str, serial: int) -> dict[str, object]:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return {
        "endpoint": f"{url}/push/{serial}",
        "keys": {"p256dh": _text(point), "auth": _text(os.urandom(16))},
    }


def _vapid() -> Vapid:
    vapid = Vapid()
    vapid.generate_keys()
    return vapid


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
