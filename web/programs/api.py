"""For programs: discharges as JSON, and the description of this door."""

from functools import cache
from typing import Annotated, Any, cast

from fastapi import Header, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from companion.exchange.hospital_list.told import Said
from companion.use_cases.going_home import discharge, handed_in
from companion.use_cases.going_home.import_ import Counts, Prepared, prepare, settle
from companion.use_cases.going_home.list_words import ListWords
from companion.use_cases.going_home.places import Places
from web.house.deps import Db, Now, Program, SentJson, TheHouse, language_of, new_router
from web.house.security import access

router = new_router(documented=True)

MOST_ROWS = 1000
_LATER_FIELDS = ("given_name", "family_name", "write_from")
_KEY = "^[!-~]{1,200}$"
# Pydantic's types of errors in the codes of a list; what is none of these is no text.
_CODES = {"missing": "missing", "extra_forbidden": "not_a_field", "string_too_long": "too_long"}


class DischargeRow(BaseModel):
    """One discharge, by the columns of the discharge list, every value a string."""

    model_config = ConfigDict(extra="forbid", strict=True)

    national_id: str = Field(max_length=40, description="11 digits")
    name: str = Field(
        "", max_length=400, description="Ola Nordmann or Nordmann, Ola; or the two fields below"
    )
    given_name: str = Field("", max_length=200)
    family_name: str = Field("", max_length=200)
    phone: str = Field(max_length=80, description="Norwegian or international; empty when there is none")
    language: str = Field(max_length=10, description="nb, nn, se or en")
    municipality_number: str = Field(max_length=10, description="four digits")
    ward: str = Field(max_length=80, description="the key of a ward of this account")
    discharged_on: str = Field(max_length=40, description="YYYY-MM-DD, may be in the future")
    template: str = Field(max_length=40, description="a plan template's key")
    hour: str = Field("", max_length=10, description="HH:MM from 06:00 to 21:30, or empty")
    write_from: str = Field(
        "",
        max_length=10,
        description="YYYY-MM-DD, no letter before; needed when discharged more than 7 days ago",
    )
    measures: str = Field("", max_length=20_000, description="title|owner|due days, joined by ' & '")


class Answer(BaseModel):
    """What became of the rows."""

    rows: int
    created: int
    moved: int
    unchanged: int
    rejected: int
    notes: list["RowProblem"] = []


class RowProblem(BaseModel):
    """What is wrong with, or was done to, one field of one row; rows count from 1, 0 is the request itself."""

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
    request: Request,
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
    words = ListWords(language_of(request))
    rows, problems = _read(sent)
    if problems:
        counts = Counts(rows=len(rows), rejected=len({problem.line for problem in problems} - {0}))
        return _rejected(counts, problems, words)
    prepared = _prepare(db, who, rows, house, now)
    try:
        with db.begin_nested():
            answer = handed_in.hand_in(
                db, who, rows, key=key, prepared=prepared, settings=house.settings, now=now
            )
    except handed_in.Refused as refused:
        return _rejected(refused.report, refused.report.problems, words)
    if noted := answer.get("notes"):
        notes = [Said(one["row"], one["field"], one["code"]) for one in noted]
        answer = answer | {"notes": [_in_words(one, words).model_dump() for one in notes]}
    return JSONResponse(answer)


def _in_words(said: Said, words: ListWords) -> RowProblem:
    return RowProblem(row=said.line, field=said.field, reason=words.reason(said))


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


def _read(sent: object) -> tuple[list[dict[str, str]], list[Said]]:
    """The rows, as many as were sent, and what is wrong with their shape."""
    given = cast(list[object], sent) if isinstance(sent, list) else [sent]
    if not 1 <= len(given) <= MOST_ROWS:
        return [], [Said(0, "rows", "row_count", {"most": str(MOST_ROWS)})]
    rows, problems = [], []
    for number, one in enumerate(given, start=1):
        try:
            row = DischargeRow.model_validate(one).model_dump()
            # A request sent before these fields were there must still be the same request.
            rows.append({name: said for name, said in row.items() if said or name not in _LATER_FIELDS})
        except ValidationError as wrong:
            rows.append({})
            problems += [
                Said(
                    number,
                    ".".join(str(part)[:40] for part in error["loc"]) or "row",
                    _CODES.get(error["type"], "not_text" if error["loc"] else "not_an_object"),
                )
                for error in wrong.errors(include_url=False, include_context=False, include_input=False)
            ]
    return rows, problems


def _rejected(counts: Counts, problems: list[Said], words: ListWords) -> Response:
    answer = Rejection(
        error="rejected",
        problems=[_in_words(one, words) for one in problems],
        rows=counts.rows,
        created=0,
        moved=0,
        unchanged=0,
        rejected=counts.rejected,
    )
    return JSONResponse(answer.model_dump(exclude={"notes"}), 422)
