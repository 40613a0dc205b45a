"""What came with a request: its transaction, the form, the JSON."""

import json
from typing import Annotated, cast
from uuid import UUID

from fastapi import Depends, HTTPException, Request
from sqlalchemy.orm import Session
from starlette.datastructures import UploadFile

from web.house.security import SAFE, access_of


class Fields(dict[str, str]):
    """What a form posted: the last value of each field as it was typed; `all_of` for fields that may come many times."""

    def __init__(self, items: list[tuple[str, str]] | None = None) -> None:
        super().__init__(items or [])
        self._items = items or []

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every field as it came."""
        return self._items

    def all_of(self, name: str) -> list[str]:
        """Every value of the field, in order."""
        return [value for key, value in self._items if key == name]


def get_db(request: Request) -> Session:
    """The request's transaction; `web.house.work` begins it, and commits it before the answer leaves."""
    return cast(Session, request.state.db)


async def get_fields(request: Request) -> Fields:
    """The posted form, files left out. Hooks and programs read their own: the body as it came."""
    if request.method in SAFE or access_of(request.scope["endpoint"]).audience in ("hook", "integration"):
        return Fields()
    form = await request.form(max_files=0)
    return Fields(
        [
            (_text(name), _text(value))
            for name, value in form.multi_items()
            if not isinstance(value, UploadFile)
        ]
    )


async def get_json(request: Request) -> object:
    """What a program posted. 400 when it is not JSON; halves of characters and NUL are taken out, as from forms."""
    try:
        return _texts(json.loads(await request.body()))
    except (ValueError, RecursionError):
        raise HTTPException(400) from None


def read_uuid(typed: str) -> UUID | None:
    """The id a field posts, or None."""
    try:
        return UUID(typed)
    except ValueError:
        return None


def _texts(sent: object) -> object:
    if isinstance(sent, str):
        return _text(sent)
    if isinstance(sent, list):
        return [_texts(one) for one in sent]
    if isinstance(sent, dict):
        return {_text(name): _texts(one) for name, one in sent.items()}
    return sent


def _text(typed: str) -> str:
    """What can be kept and shown: no halves of characters, which no answer could carry, and no NUL, which PostgreSQL refuses."""
    return typed.encode(errors="replace").decode().replace("\0", "")


Db = Annotated[Session, Depends(get_db)]
Posted = Annotated[Fields, Depends(get_fields)]
SentJson = Annotated[object, Depends(get_json)]
