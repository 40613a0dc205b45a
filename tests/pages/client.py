"""A browser that never lets a bad page pass: it checks everything it opens, and signs people in through the real doors."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import html5lib
from fastapi.routing import APIRoute
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from companion.clock import Clock
from companion.models import AuditEvent, Message, Patient, Professional, Relative
from companion.rules.access import Actor, ActorKind, Level
from companion.use_cases import sign_in
from web.app import ROUTERS
from web.house.frame import Frame
from web.house.security import access_of, mask

HTML = "{http://www.w3.org/1999/xhtml}"
HERE = "http://127.0.0.1:8000"
_UNLABELLED = {"hidden", "submit", "button", "image", "reset"}


@dataclass
class Form:
    """A form of a page: where it goes and what it holds before anybody types."""

    action: str
    method: str
    fields: dict[str, str]
    buttons: list[str]


@dataclass
class Opened:
    """A page as it was answered, already checked."""

    path: str
    status: int
    html: str
    headers: Mapping[str, str]
    tree: ET.Element | None = None
    came_by: list[str] = field(default_factory=list)

    @property
    def h1(self) -> str:
        """The heading."""
        return text_of(next(iter(self.all("h1"))))

    @property
    def text(self) -> str:
        """Everything there is to read, in one line."""
        return text_of(next(iter(self.all("body"))))

    def all(self, tag: str) -> Iterator[ET.Element]:
        """Every element of a kind."""
        assert self.tree is not None, f"{self.path} is not a page"
        return self.tree.iter(HTML + tag)

    @property
    def links(self) -> dict[str, str]:
        """Words of each link, and where it goes."""
        return {text_of(a): a.get("href", "") for a in self.all("a")}

    @property
    def forms(self) -> list[Form]:
        """Its forms."""
        return [_form(element, self.path) for element in self.all("form")]

    def form(self, action: str) -> Form:
        """The form that posts to an address (its beginning will do)."""
        return next(form for form in self.forms if form.action.startswith(action))


class PageClient:
    """One browser. `strangers` are names that must not stand on any page it opens."""

    def __init__(self, app: Frame, sessions: Callable[[], Session], clock: Clock) -> None:
        self.app, self.sessions, self.clock = app, sessions, clock
        self.browser = TestClient(app, base_url=HERE, follow_redirects=False)
        self.strangers: set[str] = set()
        self.token = ""

    # --- opening and posting ------------------------------------------------------------------------------------------

    def open(self, path: str, status: int = 200) -> Opened:
        """Goes there, follows where it is sent, and checks the page."""
        return self._arrive(self._ask("GET", path), status, [path])

    def post(self, path: str, fields: Mapping[str, Any] | None = None, status: int = 200) -> Opened:
        """Posts a form with the token of the page opened last, and goes where it is sent. `status`: of the page it ends on."""
        if not self.token:
            self.open("/privacy")
        answer = self._ask("POST", path, {"csrf_token": self.token, **(fields or {})})
        return self._arrive(answer, status, [path])

    def submit(
        self, page: Opened, action: str, fields: Mapping[str, Any] | None = None, status: int = 200
    ) -> Opened:
        """Fills in and sends a form that stands on the page, as a browser without scripts would."""
        form = page.form(action)
        unknown = set(fields or {}) - set(form.fields)
        assert not unknown, f"{page.path} has no field {unknown}"
        return self._arrive(
            self._ask("POST", form.action, {**form.fields, **(fields or {})}), status, [form.action]
        )

    def raw(self, method: str, path: str, **options: Any) -> Any:
        """One request as it is, redirects not followed, nothing checked."""
        return self.browser.request(method, path, **options)

    # --- being somebody -----------------------------------------------------------------------------------------------

    def as_professional(self, person: Professional | Actor) -> "PageClient":
        """Signed in as a colleague, by HelseID's claims."""
        with self.sessions() as db:
            pid = db.get_one(Professional, person.id).national_id
            opened = sign_in.from_identity(db, "professional", {"pid": pid}, now=self.clock.now())
            return self._carry(db, opened)

    def as_patient(self, person: Patient | Actor, level: Level = Level.high) -> "PageClient":
        """Signed in as a patient: by BankID's claims, by a link and the birth date, or by a link alone."""
        with self.sessions() as db:
            return self._carry(db, self._as_guest(db, db.get_one(Patient, person.id), level))

    def as_relative(self, person: Relative | Actor, level: Level = Level.code) -> "PageClient":
        """Signed in as a relative; see `as_patient`."""
        with self.sessions() as db:
            return self._carry(db, self._as_guest(db, db.get_one(Relative, person.id), level))

    def as_nobody(self) -> "PageClient":
        """All cookies gone."""
        self.browser.cookies.clear()
        self.token = ""
        return self

    def _as_guest(self, db: Session, person: Patient | Relative, level: Level) -> sign_in.Opened:
        now = self.clock.now()
        if level is Level.high:
            audience: ActorKind = "patient" if isinstance(person, Patient) else "relative"
            return sign_in.from_identity(db, audience, {"pid": person.national_id}, now=now)
        opened = sign_in.redeem_link(db, self.link_for(db, person).token, now=now)
        if level is Level.link:
            return opened
        assert person.birth_date, "without a birth date there is no code level by link"
        return sign_in.confirm_birth_date(db, opened.sign_in, date.fromisoformat(person.birth_date), now=now)

    def link_for(self, db: Session, person: Patient | Relative, **about: Any) -> sign_in.Words:
        """What a letter to the person would carry; `check_in` or `meeting` makes it about that."""
        now = self.clock.now()
        letter = Message(
            kind="new_link",
            lane="code",
            dedupe_key=f"test:{uuid4().hex}",
            patient=person if isinstance(person, Patient) else None,
            relative=person if isinstance(person, Relative) else None,
            language=person.language,
            params={},
            created_at=now,
            not_before=now,
            valid_until=now + timedelta(hours=1),
            next_attempt_at=now,
            **about,
        )
        db.add(letter)
        db.flush()
        return sign_in.issue_link(db, letter, now=now)

    def _carry(self, db: Session, opened: sign_in.Opened) -> "PageClient":
        self.as_nobody()
        self.token = mask(opened.sign_in.csrf)
        db.commit()
        self.browser.cookies.set("session", opened.secret, domain="127.0.0.1", path="/")
        return self

    # --- looking closely ----------------------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> Any:
        headers = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html", "Accept-Language": "nb"}
        return self.browser.request(method, path, data=fields, headers=headers)

    def _arrive(self, answer: Any, status: int, way: list[str]) -> Opened:
        while answer.status_code == 303:
            way.append(answer.headers["location"])
            assert len(way) < 10, f"sent in circles: {way}"
            answer = self._ask("GET", urljoin(way[-2], way[-1]))
        assert answer.status_code == status, f"{way}: {answer.status_code}, not {status}"
        page = Opened(urlsplit(way[-1]).path, status, answer.text, answer.headers, came_by=way)
        check_headers(page)
        if answer.headers.get("content-type", "").startswith("text/html"):
            page.tree = parse(page)
            check(page)
            for name in self.strangers:
                assert name not in page.text, f"{page.path} names {name}"
            for form in page.forms:
                self.token = form.fields.get("csrf_token", self.token)
        if status == 200:
            self._check_audit(page)
        return page

    def _check_audit(self, page: Opened) -> None:
        """A page that shows a patient's data has written down that it did."""
        if shows_patient_data(page.path):
            with self.sessions() as db:
                seen = select(AuditEvent).where(AuditEvent.request_id == page.headers["x-request-id"])
                assert db.scalars(seen).first() is not None, f"{page.path} is not in the access log"


def shows_patient_data(path: str) -> bool:
    """Whether the route of an address declares `patient_data`."""
    for router in ROUTERS:
        for route in router.routes:
            if (
                isinstance(route, APIRoute)
                and "GET" in (route.methods or ())
                and route.path_regex.fullmatch(path)
            ):
                return access_of(route.endpoint).patient_data
    return False


def without_token(html: str) -> str:
    """The page but for what is new in every answer."""
    return re.sub(r'(X-CSRF-Token": "|name="csrf_token" value=")[^"]*', "", html)


def parse(page: Opened) -> ET.Element:
    """The page as a tree; a page that is not valid HTML fails here."""
    try:
        tree: ET.Element = html5lib.HTMLParser(strict=True).parse(page.html)
    except html5lib.html5parser.ParseError as error:
        raise AssertionError(f"{page.path} is not valid HTML: {error}") from None
    return tree


def check(page: Opened) -> None:
    """One h1 that the title begins with, a language, labels, unique ids, nothing inline, nothing foreign."""
    root = page.tree
    assert root is not None
    where = page.path
    assert root.get("lang") in ("nb", "nn", "se", "en"), f"{where}: no language"
    headings = [text_of(h) for h in page.all("h1")]
    assert len(headings) == 1, f"{where}: {len(headings)} h1"
    title = text_of(next(iter(page.all("title"))))
    assert headings[0], f"{where}: empty h1"
    assert headings[0] in title, f"{where}: the title {title!r} lacks {headings[0]!r}"
    elements = list(root.iter())
    ids = [e.get("id") for e in elements if e.get("id")]
    assert len(ids) == len(set(ids)), (
        f"{where}: ids twice: {sorted(i for i in set(ids) if i and ids.count(i) > 1)}"
    )
    for element in elements:
        if isinstance(element.tag, str):
            _check_element(where, element, set(ids))
    _check_labels(page)
    _check_kept(page)


def _check_kept(page: Opened) -> None:
    """Whoever writes keeps what they wrote: a form with room for words carries its place (`ui.draft` in the templates)."""
    for form in page.all("form"):
        fields = {inner.get("name") for inner in form.iter()}
        writes = any(inner.tag == f"{HTML}textarea" for inner in form.iter())
        assert not writes or "draft" in fields, (
            f"{page.path}: what is typed at {form.get('action')} is not kept"
        )


def _check_element(where: str, element: ET.Element, ids: set[str | None]) -> None:
    tag = element.tag.removeprefix(HTML)
    assert tag != "style", f"{where}: inline style"
    assert tag != "script" or element.get("src"), f"{where}: inline script"
    for name, value in element.attrib.items():
        assert name != "style", f"{where}: style attribute on {tag}"
        assert not re.match(r"on[a-z]|hx-on", name), f"{where}: {name} on {tag}"
        if name in ("href", "src", "action", "formaction", "hx-get", "hx-post", "data-src"):
            assert not value.startswith(("javascript:", "//")), f"{where}: {value}"
            foreign = re.match(r"https?:", value) and not value.startswith(HERE)
            assert not foreign, f"{where}: foreign address {value}"
        if name in ("aria-describedby", "aria-labelledby", "for"):
            missing = set(value.split()) - ids
            assert not missing, f"{where}: {name} points at {missing}, which is not there"
    if tag == "img":
        assert element.get("alt") is not None, f"{where}: picture without alt"
    if tag in ("button", "a"):
        named = text_of(element) or element.get("aria-label")
        assert named, f"{where}: {tag} without words"


def _check_labels(page: Opened) -> None:
    labelled = {label.get("for") for label in page.all("label")}
    wrapped = {id(inner) for label in page.all("label") for inner in label.iter()}
    for tag in ("input", "select", "textarea"):
        for element in page.all(tag):
            if tag == "input" and element.get("type") in _UNLABELLED:
                continue
            labels = (id(element) in wrapped, element.get("id") in labelled, element.get("aria-label"))
            assert any(labels) or element.get("aria-labelledby"), (
                f"{page.path}: {tag} {element.get('name')} has no label"
            )


def check_headers(page: Opened) -> None:
    """What every answer of ours carries."""
    csp = page.headers.get("content-security-policy", "")
    assert "default-src 'none'" in csp, f"{page.path}: no CSP"
    assert "unsafe" not in csp, f"{page.path}: unsafe CSP"
    assert page.headers.get("x-content-type-options") == "nosniff", page.path
    assert page.headers.get("cache-control"), f"{page.path}: may be cached"


def text_of(element: ET.Element) -> str:
    """What is to be read in an element, spaces made single."""
    return " ".join("".join(element.itertext()).split())


def _form(element: ET.Element, path: str) -> Form:
    fields: dict[str, str] = {}
    for inner in element.iter():
        name = inner.get("name")
        if not name or not isinstance(inner.tag, str):
            continue
        tag = inner.tag.removeprefix(HTML)
        if tag == "textarea":
            fields[name] = "".join(inner.itertext())
        elif tag == "select":
            options = list(inner.iter(HTML + "option"))
            chosen = [o for o in options if o.get("selected") is not None] or options[:1]
            fields[name] = chosen[0].get("value", "") if chosen else ""
        elif tag == "input" and inner.get("type") in ("radio", "checkbox"):
            if inner.get("checked") is not None:
                fields[name] = inner.get("value", "on")
            else:
                fields.setdefault(name, "")
        elif tag == "input":
            fields[name] = inner.get("value", "")
        elif tag == "button":
            fields.setdefault(name, "")
    buttons = [text_of(b) for b in element.iter(HTML + "button")]
    return Form(element.get("action") or path, element.get("method", "get"), fields, buttons)
