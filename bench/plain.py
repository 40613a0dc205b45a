"""The limit of pages: a bare FastAPI route, plain `def`, 5 kB of HTML, no database and no words: `python -m bench.plain PORT`."""

import sys

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

_LINE = "<p>Vi har noen korte spørsmål til deg. Svarene dine blir lest av fagfolk.</p>\n"
PAGE = f"<!DOCTYPE html>\n<html lang=nb><title>Følge</title>\n{_LINE * 64}"

app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)


@app.get("/healthz", response_class=HTMLResponse)
def page() -> str:
    """The only one."""
    return PAGE


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
