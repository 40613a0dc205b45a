"""What goes over the wire goes small: files compressed when they were built, pages as they are answered."""

import os
import re
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

FOREVER = "public, max-age=31536000, immutable"
# Smallest first; `.ci/build-assets` puts them beside each file that gains by it.
READY = {"br": ".br", "gzip": ".gz"}
_NAMED_BY_HASH = re.compile(r"-[0-9A-Za-z]{8}\.\w+$")
_NOT_WORTH_IT = 500


class Assets(StaticFiles):
    """The built files. What is named by its hash never changes, so browsers keep it for good."""

    def file_response(
        self, full_path: Any, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """The file, or the smaller one beside it that the browser takes."""
        coding, path = _ready(Path(full_path), Headers(scope=scope).get("accept-encoding", ""))
        answer = super().file_response(path, path.stat(), scope, status_code)
        if coding:
            answer.headers["Content-Encoding"] = coding
        answer.headers["Vary"] = "Accept-Encoding"
        if _NAMED_BY_HASH.search(scope["path"]):
            answer.headers["Cache-Control"] = FOREVER
        return answer


class Compressed:
    """Compresses the answers of `app` – never one to a request that a stranger may have worded.

    Whoever chooses words of a page and sees how long its compressed form is can guess what else stands there (BREACH).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._small = GZipMiddleware(app, minimum_size=_NOT_WORTH_IT, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        plain = scope["type"] != "http" or scope["path"].startswith("/static/") or worded_by_a_stranger(scope)
        await (self._app if plain else self._small)(scope, receive, send)


def worded_by_a_stranger(scope: Scope) -> bool:
    """Whether another site may have written the address. Old browsers do not say: then, whenever it asks for something."""
    site = Headers(scope=scope).get("sec-fetch-site")
    return bool(scope["query_string"]) if site is None else site not in ("same-origin", "none")


def accepts(header: str, coding: str) -> bool:
    """Whether an `Accept-Encoding` names the coding and does not refuse it."""
    named = (part.partition(";") for part in header.lower().split(","))
    return any(name.strip() == coding and not _refused(quality) for name, _, quality in named)


def _refused(quality: str) -> bool:
    return re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", quality) is not None


def _ready(file: Path, accepted: str) -> tuple[str, Path]:
    for coding, ending in READY.items():
        beside = file.with_name(file.name + ending)
        if accepts(accepted, coding) and beside.exists():
            return coding, beside
    return "", file
