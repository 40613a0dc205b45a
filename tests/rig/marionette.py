"""Firefox by remote control: as much of Marionette's protocol as the tests need (its published driver needs telnetlib).

It waits as long as it takes: how long that may be is the test's own time limit.
"""

import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_LISTENS = "Marionette\tINFO\tListening on port"


class Refused(Exception):
    """What Firefox answers when it cannot."""


class Firefox:
    """One window."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._stream = self._socket.makefile("rb")
        self._number = 0
        self._read()
        self.do("WebDriver:NewSession", capabilities={"alwaysMatch": {"timeouts": {"script": None}}})

    def do(self, command: str, **given: Any) -> Any:
        """One command, and its answer."""
        self._number += 1
        said = json.dumps([0, self._number, command, given]).encode()
        self._socket.sendall(b"%d:%b" % (len(said), said))
        _, _, error, result = self._read()
        if error:
            raise Refused(f"{command}: {error['error']}: {error['message']}")
        return result

    def open(self, url: str) -> None:
        """Goes there; returns when the page is there."""
        self.do("WebDriver:Navigate", url=url)

    def click(self, selector: str) -> None:
        """As a finger on it: it must be seen."""
        found = self.do("WebDriver:FindElement", using="css selector", value=selector)
        self.do("WebDriver:ElementClick", id=found["value"][_ELEMENT])

    def run(self, script: str) -> Any:
        """The value of a script's `return`; of a promise, what comes of it."""
        return self.do("WebDriver:ExecuteScript", script=script, args=[])["value"]

    def wait_for(self, condition: str) -> None:
        """Returns when the expression is true, also on a page that comes first."""
        while not self._soon(condition):
            continue

    def _soon(self, condition: str) -> bool:
        look = f"const look = () => ({condition}) ? done(true) : requestAnimationFrame(look); look();"
        try:
            self.run(f"return new Promise((done) => {{ {look} }});")
        except Refused as another_page:
            if (
                "unload" in str(another_page)
                or "discarded" in str(another_page)
                or "navigat" in str(another_page)
            ):
                return False
            raise
        return True

    def set_preference(self, name: str, value: bool) -> None:
        """As about:config."""
        self.do("Marionette:SetContext", value="chrome")
        self.run(f"Services.prefs.setBoolPref({json.dumps(name)}, {json.dumps(value)});")
        self.do("Marionette:SetContext", value="content")

    def close(self) -> None:
        """Ends the session."""
        self.do("WebDriver:DeleteSession")
        self._stream.close()
        self._socket.close()

    def _read(self) -> Any:
        length = b""
        while (digit := self._stream.read(1)) != b":":
            if not digit:
                raise Refused("Firefox has gone")
            length += digit
        return json.loads(self._stream.read(int(length)))


@contextmanager
def running(profile: Path, preferences: Mapping[str, bool | int | str]) -> Iterator[Firefox]:
    """A Firefox with a profile of its own, until left."""
    profile.mkdir()
    # It takes a free one, and says which.
    chosen = {**preferences, "marionette.port": 0}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in chosen.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = ["firefox-esr", "--headless", "--no-remote", "--profile", str(profile)]
    process = subprocess.Popen(
        [*command, "--marionette", "--remote-allow-system-access"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    try:
        listens = next((line for line in process.stdout if _LISTENS in line), "")
        assert listens, "Firefox did not start"
        browser = Firefox(int(listens.rpartition(" ")[2]))
        yield browser
        browser.close()
    finally:
        process.terminate()
        process.communicate()
