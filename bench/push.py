"""Web Push a second, sealed and signed, as a ratio to `pywebpush.webpush` with a kept session."""

import asyncio
import base64
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from time import perf_counter
from uuid import uuid4

import requests
import uvloop
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid
from pywebpush import webpush
from sqlalchemy.orm import Session, sessionmaker

from bench.figures import Figure, Part, paired
from bench.standin import Standin
from companion.clock import SystemClock
from notifications.channels import Device, Parcel
from notifications.channels.push.channel import PushChannel
from notifications.channels.push.settings import VapidSettings
from notifications.channels.push.vapid import new_key

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
    """The library's plain call, then our channel, in every round."""
    devices = [_device(standin.url, serial) for serial in range(pushes)]
    few = devices[: max(1, pushes // 4)]
    key = new_key()
    plain, ours = [], []
    for _ in range(rounds):
        standin.reset()
        plain.append(len(few) / _one_by_one(few, key))
        standin.expect(len(few))
        standin.reset()
        ours.append(pushes / uvloop.run(_in_flight(devices, key)))
        standin.expect(pushes)
    return Part(
        "push",
        "Web Push, from text to accepted",
        f"{pushes} devices ({len(few)} for the plain call), {len(PAYLOAD)} characters, a VAPID signature each; one process,"
        f" {IN_FLIGHT} in flight.",
        [
            Figure("pywebpush.webpush, a requests session", plain, "/s"),
            Figure("ours, the channel the dispatcher sends by", ours, "/s", paired(ours, plain), "≥ 2.5"),
        ],
    )


def _one_by_one(devices: list[Device], key: str) -> float:
    vapid = Vapid.from_string(key)
    with requests.Session() as session:
        began = perf_counter()
        for device in devices:
            keys = {"p256dh": device.p256dh, "auth": device.auth}
            told = {"endpoint": device.endpoint, "keys": keys}
            webpush(told, PAYLOAD, vapid, dict(CLAIMS), ttl=TTL, requests_session=session)
        return perf_counter() - began


async def _in_flight(devices: list[Device], key: str) -> float:
    # Only devices that are gone lead it to the database.
    nowhere: sessionmaker[Session] = sessionmaker()
    channel = PushChannel(
        VapidSettings(private_key=key, subject=CLAIMS["sub"]), nowhere, loopback=True, read_seconds=30
    )
    waiting = iter([_parcel(serial, device) for serial, device in enumerate(devices)])
    began = perf_counter()
    await asyncio.gather(*(_push(channel, waiting) for _ in range(IN_FLIGHT)))
    took = perf_counter() - began
    await channel.close()
    return took


async def _push(channel: PushChannel, waiting: Iterator[Parcel]) -> None:
    for parcel in waiting:
        await channel.send(parcel)


def _parcel(serial: int, device: Device) -> Parcel:
    return Parcel(
        attempt_id=f"{serial:032x}",
        message_id=serial,
        attempt=1,
        fence=1,
        address="",
        body=PAYLOAD,
        started_at=SystemClock().now(),
        valid_for=timedelta(seconds=TTL),
        channel="push",
        devices=(device,),
        topic="check-in",
    )


def _device(url: str, serial: int) -> Device:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return Device(uuid4(), f"{url}/push/{serial}", _text(point), _text(os.urandom(16)))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
