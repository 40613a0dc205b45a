"""Push on a person's own device: asked for on the settings page, acknowledged by the service worker, ended when they leave."""

import json
import re
from typing import Annotated, cast
from uuid import UUID

from fastapi import Depends, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from sqlalchemy.orm import Session

from companion.errors import NotFound
from companion.models import Patient
from companion.use_cases.messages import contact
from notifications.channels.push import acks, devices
from web.house.deps import (
    Db,
    Now,
    Posted,
    Seen,
    TheHouse,
    Who,
    go,
    house_of,
    new_router,
    signed_of,
    visitor_of,
)
from web.house.security import access, mask

router = new_router()

LONGEST_ACK = 200
_ATTEMPT = re.compile("[0-9a-f]{32}")


def offered(request: Request, _db: Session | None) -> dict[str, str] | None:
    """For a patient's browser: our key, a name for the person by which it knows whose device it is, and one for the sign-in.

    On staff's own page for their work phone, where that is kept (`to`).
    """
    house, visitor, signed = house_of(request), visitor_of(request), signed_of(request)
    if not (house.push_key and signed and visitor and visitor.name):
        return None
    at_work = visitor.audience == "professional" and request.url.path == "/staff/told"
    if visitor.audience != "patient" and not at_work:
        return None
    owner = house.ring.index(str(signed.actor.id), "push owner")[:16]
    visit = house.ring.index(visitor.csrf, "push visit")[:16]
    whose = {"owner": f"work-{owner}", "to": "/staff/told/device"} if at_work else {"owner": owner}
    return {"key": house.push_key, "visit": visit, **whose}


@router.get("/sw.js")
@access("public")
def service_worker(house: TheHouse) -> Response:
    """The service worker, from the root so that it serves the whole house; asked for anew each time."""
    if house.service_worker is None:
        raise NotFound
    return FileResponse(
        house.service_worker, media_type="text/javascript", headers={"Cache-Control": "no-cache"}
    )


@router.get("/push/key")
@access("patient", "check_in")
def key(request: Request, house: TheHouse) -> Response:
    """What a service worker needs when the browser has changed its subscription: our public key, and the form token."""
    return JSONResponse({"key": house.push_key, "token": mask(request.state.visitor.csrf)})


@router.post("/push/subscription")
@access("patient", "check_in", patient_data=True)
def subscribe(db: Db, who: Who, now: Now, house: TheHouse, seen: Seen, fields: Posted) -> Response:
    """This device takes push from now on (`asked`), or still does. What is new, and what it ends, stands in the access log."""
    sent = devices.read(
        fields.get("endpoint", ""),
        fields.get("p256dh", ""),
        fields.get("auth", ""),
        loopback=house.settings.allow_loopback,
    )
    patient_id = cast(UUID, who.id)
    patient = db.get_one(Patient, patient_id)
    answered_by_sms = contact.asked_by_sms(patient)
    if devices.add(db, patient_id, sent, asked=fields.get("asked") == "yes", now=now):
        seen(patient_id, "contact.device")
    if answered_by_sms and not contact.asked_by_sms(patient):
        seen(patient_id, "contact.sms_ended")
    return JSONResponse({"devices": devices.count(db, patient_id)})


@router.delete("/push/subscription")
@access("patient", "check_in", patient_data=True)
def unsubscribe(db: Db, who: Who, seen: Seen, fields: Posted) -> Response:
    """This device takes push no more."""
    patient_id = cast(UUID, who.id)
    devices.remove(db, fields.get("endpoint", ""))
    seen(patient_id, "contact.device")
    return JSONResponse({"devices": devices.count(db, patient_id)})


@router.post("/push/off")
@access("patient", "check_in", patient_data=True)
def everywhere_off(db: Db, who: Who, seen: Seen) -> Response:
    """None of the person's devices takes push any more: for a phone that is lost, from any other."""
    patient_id = cast(UUID, who.id)
    devices.forget_all(db, patient_id)
    seen(patient_id, "contact.device")
    return go("/patient/settings")


async def _raw(request: Request) -> bytes:
    return await request.body()


@router.post("/hooks/push/ack")
@access("hook")
def ack(body: Annotated[bytes, Depends(_raw)], db: Db, now: Now) -> Response:
    """A device has shown a push. The attempt's id, 128 random bits, is the proof; to everything else the answer is the same."""
    if attempt_id := _attempt_id(body):
        acks.keep_ack(db, attempt_id, now=now)
    return Response(status_code=204)


def _attempt_id(body: bytes) -> str:
    """The id as hexadecimal digits, or nothing."""
    if len(body) > LONGEST_ACK:
        return ""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    given = str(said.get("id")) if isinstance(said, dict) else ""
    return given if _ATTEMPT.fullmatch(given) else ""
