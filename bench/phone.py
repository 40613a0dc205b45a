"""Somebody's phone with our scripts on: it asks for the documents a browser would ask for, and does what the page offers.

No page is drawn and no file beside the page is fetched. A form with `hx-post` is posted as htmx posts it and what comes back is
read as the next page; any other form is posted as the browser does and the redirect followed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import unescape
from http.cookies import SimpleCookie
from time import perf_counter
from urllib.parse import urlencode, urljoin, urlsplit

import aiohttp

BORN = {"day": "4", "month": "5", "year": "1958"}
_SENT = ("/ending", "/send")
# What somebody says who is well; of several that are offered the first of these.
_WELL = ("good", "false", "yes", "no")
_FORM = re.compile(r"<form\b([^>]*)>(.*?)</form>", re.DOTALL)
_CONTROL = re.compile(r"<(input|textarea)\b([^>]*)>")
_GUARD = re.compile(r'"X-CSRF-Token": "([^"]+)"')
_ATTRIBUTE = re.compile(r'([\w:-]+)(?:="([^"]*)")?')
BROWSER = {
    "User-Agent": "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile",
    "Accept-Language": "nb-NO,nb;q=0.9",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Sec-Fetch-Site": "same-origin",
}
NAVIGATION = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Upgrade-Insecure-Requests": "1",
}
_BY_SCRIPT = {"Accept": "text/html", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


class Stuck(RuntimeError):
    """The page or the answer is none that leads on; where."""


@dataclass(frozen=True)
class Form:
    """A form of a page: where it goes, by whom, and its controls as (tag, attributes)."""

    attributes: dict[str, str]
    controls: Sequence[tuple[str, dict[str, str]]]

    @property
    def by_script(self) -> bool:
        """Whether htmx posts it."""
        return "hx-post" in self.attributes

    @property
    def action(self) -> str:
        """The address it is posted to."""
        return self.attributes.get("hx-post") or self.attributes.get("action", "")

    def filled(self, given: dict[str, str]) -> dict[str, str]:
        """What is posted: hidden fields as they are, those of `given`, and of a question an answer."""
        fields = {}
        for tag, control in self.controls:
            name, kind = control.get("name", ""), control.get("type", "text")
            if name in given:
                fields[name] = given[name]
            elif kind == "hidden":
                fields[name] = control.get("value", "")
            elif name == "answer":
                fields[name] = self._answer(tag)
        return fields

    def _answer(self, tag: str) -> str:
        if offered := [control["value"] for _, control in self.controls if control.get("type") == "radio"]:
            return next((one for one in _WELL if one in offered), offered[0])
        return "Det går fint." if tag == "textarea" else "5"


@dataclass
class Phone:
    """One person's browser: cookies, where it is, what the page says, and how long each request took."""

    session: aiohttp.ClientSession
    base: str
    took: list[float]
    at: str = "/"
    page: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    guard: str = ""

    async def answer_link(self, token: str) -> None:
        """Opens the link, says who it is, answers everything and sends it."""
        await self.open("/l")
        await self.send(token=token)
        await self.send(**BORN)
        while not self.at.endswith(_SENT):
            await self.send()

    async def open(self, path: str) -> None:
        """As from the address bar."""
        await self._ask("GET", path, NAVIGATION | {"Sec-Fetch-Site": "none"})

    async def send(self, **given: str) -> None:
        """Fills in the form of the page and posts it, by htmx or by the browser, whichever the page asks for."""
        form = self._next_form()
        headers = self._of_htmx(form) if form.by_script else NAVIGATION
        await self._ask("POST", form.action or self.at, headers, form.filled(given))

    def _next_form(self) -> Form:
        """The first form of the page that leads on; signing out does not."""
        for attributes, inside in _FORM.findall(self.page):
            form = Form(
                _attributes(attributes), [(tag, _attributes(text)) for tag, text in _CONTROL.findall(inside)]
            )
            if form.action != "/sign-out" and (form.by_script or form.attributes.get("method") == "post"):
                return form
        raise Stuck(f"no way on from {without_ids(self.at)}")

    def _of_htmx(self, form: Form) -> dict[str, str]:
        """The headers of htmx 4."""
        target = self._named(form.attributes.get("hx-target", "form"))
        return _BY_SCRIPT | {
            "HX-Request": "true",
            "HX-Request-Type": "full" if target == "body" or "hx-select" in form.attributes else "partial",
            "HX-Current-URL": urljoin(self.base, self.at),
            "HX-Source": f"form#{form.attributes['id']}" if "id" in form.attributes else "form",
            "HX-Target": target,
            "X-CSRF-Token": self.guard,
        }

    def _named(self, target: str) -> str:
        """An element as htmx names it to the server: its tag before its id."""
        tag = re.search(rf'<(\w+)[^>]*\bid="{re.escape(target[1:])}"', self.page)
        return f"{tag[1]}{target}" if tag and target.startswith("#") else target

    async def _ask(
        self, method: str, path: str, headers: dict[str, str], fields: dict[str, str] | None = None
    ) -> None:
        """A request and the redirects that follow from it; each takes its time."""
        while path:
            self.at = urlsplit(path).path
            answer = await self._once(method, path, headers, fields)
            path = answer.headers.get("Location", "") if answer.status == 303 else ""
            # Where htmx is sent: on by itself, or as a document of its own.
            for name, by in (
                ("HX-Location", _BY_SCRIPT | {"HX-Request": "true"}),
                ("HX-Redirect", NAVIGATION),
            ):
                if name in answer.headers:
                    path, headers = answer.headers[name], by
            method, fields = "GET", None
            self.at = urlsplit(answer.headers.get("HX-Push-Url", self.at)).path

    async def _once(
        self, method: str, path: str, headers: dict[str, str], fields: dict[str, str] | None
    ) -> aiohttp.ClientResponse:
        sent = (
            BROWSER
            | headers
            | {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        )
        body = None
        if fields is not None:
            body = urlencode(fields).encode()
            sent |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.base}
        began = perf_counter()
        async with self.session.request(
            method, urljoin(self.base, path), data=body, headers=sent, allow_redirects=False
        ) as answer:
            self.page = (await answer.read()).decode()
        if guard := _GUARD.search(self.page):
            self.guard = guard[1]
        self.took.append(perf_counter() - began)
        if answer.status not in (200, 303):
            raise Stuck(f"{answer.status} from {method} {without_ids(path)}")
        for text in answer.headers.getall("Set-Cookie", ()):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(text).items()}
        return answer


def _attributes(text: str) -> dict[str, str]:
    return {name: unescape(value) for name, value in _ATTRIBUTE.findall(text)}


def without_ids(path: str) -> str:
    """An address for a complaint: no id of anybody in it."""
    return re.sub(r"[0-9a-f-]{10,}", "…", path)
