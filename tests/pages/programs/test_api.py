"""The door for programs: discharges as JSON, each request once, nothing half; and nobody else's way in."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from companion.models import AuditEvent, HandedIn, Integration, Patient, Stay, Unit
from companion.use_cases.going_home import places
from companion.use_cases.people import programs
from tests import cast
from tests.chance import examples
from tests.pages.client import PageClient
from web.house.frame import Frame

HERE = "/api/v1/discharges"
Send = Callable[..., Any]


@pytest.fixture
def token(engine: Engine, now: datetime) -> str:
    """The hospital's own system, with an account for post 3."""
    with Session(engine) as db:
        cast.ward(db, now)
        _account, token = programs.add(db, "dips", ["unn-post3"], now=now)
        db.commit()
    return token


@pytest.fixture
def send(browser: PageClient, token: str) -> Send:
    """Posts JSON with the account's token."""

    def send(body: object, *, key: str | None = None, token: str = token, **headers: str) -> Any:
        headers |= {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        headers |= {"Idempotency-Key": key} if key else {}
        content = body if isinstance(body, str) else json.dumps(body)
        return browser.raw("POST", HERE, headers=headers, content=content)

    return send


def kari(now: datetime, **changed: str) -> dict[str, str]:
    """Kari's discharge, by the columns of the list."""
    return {"measures": "Fysioterapi|municipality|12 & Tur|patient|3"} | cast.kari_fields(now, **changed)


def ola(now: datetime, **changed: str) -> dict[str, str]:
    return kari(now, **{"national_id": cast.OLA_ID, "name": "Ola Hansen", "phone": "+4740000003"} | changed)


def patients(engine: Engine) -> int:
    with Session(engine) as db:
        return db.scalar(select(func.count()).select_from(Patient)) or 0


def counts(**given: int) -> dict[str, int]:
    return {"rows": 0, "created": 0, "moved": 0, "unchanged": 0, "rejected": 0} | given


def test_a_discharge_comes_in_and_again_changes_nothing(send: Send, engine: Engine, now: datetime) -> None:
    first = send(kari(now))
    assert (first.status_code, first.json()) == (200, counts(rows=1, created=1))
    assert send([kari(now)]).json() == counts(rows=1, unchanged=1)
    later = (now + cast.days(2)).date().isoformat()
    assert send([kari(now, discharged_on=later), ola(now)]).json() == counts(rows=2, moved=1, created=1)
    with Session(engine) as db:
        account = db.scalars(select(Integration.id)).one()
        events = db.execute(select(AuditEvent.actor_kind, AuditEvent.actor_id, AuditEvent.action)).all()
        assert ("integration", account, "discharge.created") in events
        assert len(db.scalars(select(Stay)).first().measures) == 2  # type: ignore[union-attr]


def test_a_list_with_a_bad_row_changes_nothing_and_says_all(
    send: Send, engine: Engine, now: datetime
) -> None:
    answer = send([kari(now), ola(now, phone="12", template="x"), ola(now, measures="x")])
    assert answer.status_code == 422
    said = answer.json()
    assert (said["rows"], said["created"], said["rejected"]) == (3, 0, 2)
    wrong = {(one["row"], one["field"]) for one in said["problems"]}
    assert wrong == {(2, "phone"), (2, "template"), (3, "measures")}
    assert cast.OLA_ID not in answer.text
    assert patients(engine) == 0


@pytest.mark.parametrize(
    ("body", "row", "field"),
    [
        ([], 0, "rows"),
        ("[]", 0, "rows"),
        (7, 1, "row"),
        ([None], 1, "row"),
        ([{"name": 7}], 1, "name"),
        ([{"cross": "x"}], 1, "cross"),
        ([{}], 1, "national_id"),
        ([{"name": "x" * 401}], 1, "name"),
    ],
)
def test_what_is_no_discharge_is_named(
    send: Send, engine: Engine, body: object, row: int, field: str
) -> None:
    answer = send(body)
    assert answer.status_code == 422
    assert (row, field) in {(one["row"], one["field"]) for one in answer.json()["problems"]}
    assert patients(engine) == 0


@pytest.mark.parametrize("body", ["", "{", "[" * 100_000, "\x00"])
def test_what_is_no_json_is_refused(send: Send, body: str) -> None:
    answer = send(body)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid"})


def test_a_program_is_asked_from_which_day_on_to_write_about_an_old_discharge(
    send: Send, engine: Engine, now: datetime
) -> None:
    old = kari(now, discharged_on=(now - cast.days(30)).date().isoformat())
    asked = send([old])
    assert asked.status_code == 422
    assert [(one["row"], one["field"]) for one in asked.json()["problems"]] == [(1, "discharged_on")]
    assert "write_from" in asked.json()["problems"][0]["reason"]
    assert patients(engine) == 0
    assert send([old | {"write_from": now.date().isoformat()}]).json() == counts(rows=1, created=1)


def test_what_was_done_to_a_row_is_said_in_the_programs_language_also_the_second_time(
    send: Send, now: datetime
) -> None:
    row = kari(now, national_id=cast.KARI_ID.removeprefix("0"))
    first = send([row], key="a", **{"Accept-Language": "en"}).json()
    assert [(one["row"], one["field"]) for one in first["notes"]] == [(1, "national_id")]
    assert first["notes"][0]["reason"].startswith("had 10 digits")
    again = send([row], key="a").json()
    assert again["notes"][0]["reason"].startswith("hadde 10 siffer")


def test_half_a_character_does_no_harm(send: Send, now: datetime) -> None:
    body = json.dumps(kari(now)).replace("Tur", "Tur\\ud800 \\u0000ute")
    assert send(body).status_code == 200
    spoiled = send(json.dumps(kari(now)).replace("Kari Nilsen", "Kari\\ud800 \\u0000Nilsen"))
    assert [one["field"] for one in spoiled.json()["problems"]] == ["name"]


def test_the_same_key_gives_the_first_answer(send: Send, engine: Engine, now: datetime) -> None:
    first = send(kari(now), key="a-1")
    assert first.json() == counts(rows=1, created=1)
    assert send(kari(now), key="a-1").json() == first.json()
    assert send(kari(now), key="a-2").json() == counts(rows=1, unchanged=1)
    differs = send(ola(now), key="a-1")
    assert (differs.status_code, differs.json()) == (409, {"error": "conflict"})
    assert patients(engine) == 1
    with Session(engine) as db:
        kept = db.scalars(select(HandedIn)).all()
        assert cast.KARI_ID not in repr([(one.key, one.sent_index, one.answer) for one in kept])


def test_a_refused_request_leaves_its_key_free(send: Send, now: datetime) -> None:
    assert send(kari(now, phone="12"), key="a-1").status_code == 422
    assert send(kari(now), key="a-1").json() == counts(rows=1, created=1)


def test_a_key_belongs_to_its_account(send: Send, engine: Engine, now: datetime) -> None:
    with Session(engine) as db:
        _account, other = programs.add(db, "other", ["unn-post3"], now=now)
        db.commit()
    send(kari(now), key="a-1")
    assert send(ola(now), key="a-1", token=other).json() == counts(rows=1, created=1)


@pytest.mark.parametrize("key", ["x" * 201, "a b"])
def test_a_key_is_short_and_plain(send: Send, now: datetime, key: str) -> None:
    assert send(kari(now), key=key).status_code == 422


def test_only_ones_own_wards(send: Send, engine: Engine, now: datetime) -> None:
    with Session(engine) as db:
        places.add_unit(db, "unn-post9", kind="ward", name="Post 9", municipality="5501")
        db.commit()
    answer = send(kari(now, ward="unn-post9"))
    assert [(one["row"], one["field"]) for one in answer.json()["problems"]] == [(1, "ward")]
    assert patients(engine) == 0


def test_no_token_no_way_in(
    browser: PageClient, send: Send, engine: Engine, token: str, now: datetime
) -> None:
    for wrong in ("", "x", token[:-1], token.upper()):
        answer = send(kari(now), token=wrong)
        assert (answer.status_code, answer.json()) == (401, {"error": "sign_in"})
        assert answer.headers["www-authenticate"] == "Bearer"
    basic = browser.raw("POST", HERE, headers={"Authorization": f"Basic {token}"}, json=kari(now))
    assert basic.status_code == 401
    assert browser.raw("POST", f"{HERE}?token={token}", json=kari(now)).status_code == 401
    with Session(engine) as db:
        programs.revoke(db, "dips", now=now)
        db.commit()
    assert send(kari(now)).status_code == 401
    assert patients(engine) == 0


def test_a_session_does_not_open_the_programs_door(
    browser: PageClient, token: str, engine: Engine, now: datetime
) -> None:
    with Session(engine) as db:
        sofia = cast.professional(
            db,
            "Eva Lund",
            "sykepleier",
            db.scalars(select(Unit).where(Unit.key == "unn-post3")).one(),
            now=now,
        )
        db.commit()
    browser.as_professional(sofia)
    answer = browser.raw("POST", HERE, json=kari(now), headers={"X-CSRF-Token": browser.token})
    assert answer.status_code == 401
    page = browser.raw("GET", "/staff", headers={"Authorization": f"Bearer {token}"})
    assert page.status_code == 200  # as Eva; the token alone opens no page:
    browser.as_nobody()
    assert browser.raw("GET", "/staff", headers={"Authorization": f"Bearer {token}"}).status_code == 303


def test_the_token_is_kept_nowhere(engine: Engine, token: str) -> None:
    with Session(engine) as db:
        account = db.scalars(select(Integration)).one()
        assert token not in (account.token_hash, account.name)
        db.execute(update(Integration).values(token_hash=token))
        assert programs.from_token(db, token) is None


def test_the_door_is_described(browser: PageClient, now: datetime) -> None:
    described = browser.raw("GET", "/api/openapi.json").json()
    assert list(described["paths"]) == [HERE]
    row = described["components"]["schemas"]["DischargeRow"]
    assert set(row["properties"]) == {*kari(now), "given_name", "family_name", "write_from"}
    assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


@pytest.mark.hypothesis
def test_whatever_a_program_sends_the_answer_is_as_described(app: Frame, token: str) -> None:
    """Bodies made from the description, right ones and wrong ones, in their hundreds."""
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app)
    promised = [
        checks.not_a_server_error,
        openapi_checks.status_code_conformance,
        openapi_checks.content_type_conformance,
        openapi_checks.response_schema_conformance,
        openapi_checks.ignored_auth,
    ]

    operation = schema["/api/v1/discharges"]["POST"]
    for mode in schemathesis.GenerationMode:

        @hypothesis.settings(max_examples=examples(60), suppress_health_check=list(hypothesis.HealthCheck))
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def try_it(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=promised)

        try_it()
