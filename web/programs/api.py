"""For programs: discharges as JSON, and the description of this door."""

from functools import cache
from typing import Annotated, Any, cast

from fastapi import Header
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from companion.use_cases.going_home import discharge, handed_in
from companion.use_cases.going_home.import_ import Counts, Prepared, prepare, settle
from companion.use_cases.going_home.places import Places
from web.house.deps import Db, Now, Program, SentJson, TheHouse, new_router
from web.house.security import access

router = new_router(documented=True)

MOST_ROWS = 1000
_KEY = "^[!-~]{1,200}$"
# Said here in words; the types of pydantic's errors are its own.
_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is not a field we know",
    "string_too_long": "is too long",
}


class DischargeRow(BaseModel):
    """One discharge, by the columns of the discharge list, every value a string."""

    model_config = ConfigDict(extra="forbid", strict=True)

    national_id: str = Field(max_length=40, description="11 digits")
    name: str = Field(max_length=400)
    phone: str = Field(max_length=80, description="Norwegian or international")
    language: str = Field(max_length=10, description="nb, nn, se or en")
    municipality_number: str = Field(max_length=10, description="four digits")
    ward: str = Field(max_length=80, description="the key of a ward of this account")
    discharged_on: str = Field(max_length=20, description="YYYY-MM-DD, may be in the future")
    template: str = Field(max_length=40, description="a plan template's key")
    hour: str = Field("", max_length=10, description="HH:MM or empty")
    measures: str = Field("", max_length=20_000, description="title|owner|due days, joined by ' & '")


class Answer(BaseModel):
    """What became of the rows."""

    rows: int
    created: int
    moved: int
    unchanged: int
    rejected: int


class RowProblem(BaseModel):
    """What is wrong with one field of one row; rows count from 1, 0 is the request itself."""

    row: int
    field: str
    reason: str


class Refusal(BaseModel):
    """Nothing was recorded, and why."""

    error: str


class Rejection(Answer):
    """Rows that do not do. Of such a list nothing is recorded."""

    error: str
    problems: list[RowProblem]


_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "anyOf": [
                    {"$ref": "#/components/schemas/DischargeRow"},
                    {
                        "type": "array",
                        "items": {"$ref": "#/components/schemas/DischargeRow"},
                        "minItems": 1,
                        "maxItems": MOST_ROWS,
                    },
                ]
            }
        }
    },
}


@router.post(
    "/api/v1/discharges",
    response_model=Answer,
    operation_id="hand_in_discharges",
    summary="Hand in one discharge or a list",
    description=(
        "Records all of them, or none when one is wrong. The same again changes nothing; a later discharged_on moves the plan."
    ),
    openapi_extra={"requestBody": _BODY},
    responses={
        400: {"model": Refusal, "description": "The body is not JSON"},
        401: {"model": Refusal, "description": "No token, or one that opens nothing"},
        409: {"model": Refusal, "description": "The Idempotency-Key was used with something else"},
        413: {"model": Refusal, "description": "More than we take at once"},
        422: {
            "model": Rejection | Refusal,
            "description": "Something is wrong with rows; nothing is recorded",
        },
    },
)
@access("integration", patient_data=True)
def hand_in(
    db: Db,
    who: Program,
    now: Now,
    house: TheHouse,
    sent: SentJson,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern=_KEY,
            description="The same key gives the answer of the first time, and records nothing again",
        ),
    ] = None,
) -> Response:
    """Discharges from a program, by the same rules as the form and the list."""
    rows, problems = _read(sent)
    if problems:
        counts = Counts(rows=len(rows), rejected=len({problem.row for problem in problems} - {0}))
        return _rejected(counts, problems)
    prepared = _prepare(db, who, rows, house, now)
    try:
        with db.begin_nested():
            answer = handed_in.hand_in(
                db, who, rows, key=key, prepared=prepared, settings=house.settings, now=now
            )
    except handed_in.Refused as refused:
        found = refused.report.problems
        return _rejected(
            refused.report,
            [RowProblem(row=one.line, field=one.field, reason=one.reason) for one in found],
        )
    return JSONResponse(answer)


def _prepare(db: Db, who: Program, rows: list[dict[str, str]], house: TheHouse, now: Now) -> Prepared:
    """All that needs no database, while no transaction is open: a thousand rows take longer than a page may wait."""
    places, met = Places.read(db), discharge.met(db, [row["national_id"] for row in rows])
    db.commit()
    prepared = prepare(db, who, rows, places, met, settings=house.settings, now=now)
    with (house.readers or house.sessions)() as looking:
        for _ in settle(looking, who, prepared, now=now):
            looking.commit()
    return prepared


@router.get("/api/openapi.json", include_in_schema=False)
@access("public")
def describe() -> Response:
    """The description of this door, as OpenAPI."""
    return JSONResponse(_description())


@cache
def _description() -> dict[str, Any]:
    described = get_openapi(
        title="Følge", version="1", description="Discharges from other programs.", routes=router.routes
    )
    row = DischargeRow.model_json_schema(ref_template="#/components/schemas/{model}")
    described["components"]["schemas"]["DischargeRow"] = row
    return described


def _read(sent: object) -> tuple[list[dict[str, str]], list[RowProblem]]:
    """The rows, as many as were sent, and what is wrong with their shape."""
    given = cast(list[object], sent) if isinstance(sent, list) else [sent]
    if not 1 <= len(given) <= MOST_ROWS:
        return [], [RowProblem(row=0, field="rows", reason=f"must be from 1 to {MOST_ROWS}")]
    rows, problems = [], []
    for number, one in enumerate(given, start=1):
        try:
            rows.append(DischargeRow.model_validate(one).model_dump())
        except ValidationError as wrong:
            rows.append({})
            problems += [
                RowProblem(
                    row=number,
                    field=".".join(str(part)[:40] for part in error["loc"]) or "row",
                    reason=_REASONS.get(error["type"], "is not text" if error["loc"] else "is not an object"),
                )
                for error in wrong.errors(include_url=False, include_context=False, include_input=False)
            ]
    return rows, problems


def _rejected(counts: Counts, problems: list[RowProblem]) -> Response:
    answer = Rejection(
        error="rejected",
        problems=problems,
        rows=counts.rows,
        created=0,
        moved=0,
        unchanged=0,
        rejected=counts.rejected,
    )
    return JSONResponse(answer.model_dump(), 422)
