"""The POST for peers whose workers are threads or processes: one kept connection each, the fastest the library has."""

import json
import threading
from http.client import HTTPConnection
from urllib.parse import urlsplit

from bench.letter import AUTHORIZATION, PATH, encoded

_kept = threading.local()
_HEADERS = {"Authorization": AUTHORIZATION, "Content-Type": "application/x-www-form-urlencoded"}


def post(url: str, serial: int) -> None:
    """Sends one letter."""
    if not hasattr(_kept, "connection"):
        _kept.connection = HTTPConnection(urlsplit(url).netloc)
    _kept.connection.request("POST", PATH, encoded(serial), _HEADERS)
    answer = _kept.connection.getresponse()
    said = json.loads(answer.read())
    if answer.status != 201 or not said["sid"]:
        raise RuntimeError(f"the provider says {answer.status}")
