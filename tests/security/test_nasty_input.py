"""Whatever is typed, posted or put into an address: an answer that is ours, never a failure, never markup."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_from_bytes, urlsplit

import pytest
from sqlalchemy import Engine

from companion.clock import FixedClock
from tests.pages.client import PageClient
from tests.security import town as towns
from tests.security.conftest import House
from tests.security.town import FORMS, Walked

MARKUP = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}${7*7}"
NASTY: dict[str, bytes] = {
    "markup": MARKUP.encode() + b"\x00",
    "nul": b"Kari\x00Nilsen\x00",
    "not utf-8": b"\xff\xfe\xc3\x28" + "\ud83d".encode("utf-8", "surrogatepass"),
    "strange letters": "👩‍🦽😀\u202eirak\u2066\u200b ٤٠٠٠٠٠٠١".encode(),
    "a new header": b"a\r\nSet-Cookie: session=stolen\r\n\r\n<h1>",
    "enormous number": b"9" * 400,
    "long": b"a" * 100_000,
    "path": b"../../etc/passwd",
    "code": b"' OR 1=1 -- %(x)s %s {0} %n",
}
POSTS = [one for one in towns.routes() if towns.changes(one[0])]
ALL = list(towns.routes())


def fields_of(walked: Walked) -> Iterator[str]:
    yield from FORMS[towns.name(walked)]
    # Fields by which one form does several things, and those that come in rows.
    if walked[1].path.startswith("/staff/discharge"):
        yield from (
            "measures.1.title",
            "measures.1.owner",
            "measures.1.due",
            "relative.name",
            "relative.until",
        )
        yield from ("relative.phone", "important", "matters", "contact.contact_by", "remove")


def post(browser: PageClient, path: str, fields: list[tuple[str, bytes]]) -> Any:
    body = "&".join(f"{quote(name)}={quote_from_bytes(value)}" for name, value in fields)
    return browser.raw(
        "POST",
        path,
        content=f"csrf_token={browser.token}&{body}",
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Sec-Fetch-Site": "same-origin",
            "Accept-Language": "nb",
        },
    )


def test_the_public_doors_are_really_tried(house: House) -> None:
    house.put_back()
    for walked in POSTS:
        if towns.access(walked[1]).audience != "hook":
            browser = at_the_door(house, walked)
            answer = post(browser, towns.address(house.town, walked[1]), [])
            assert answer.status_code != 403, towns.name(walked)


def check(answer: Any, what: str) -> None:
    """An answer of ours: no failure, no markup that was typed, no header that was typed, no way out of the house."""
    status = answer.status_code
    assert status < 500, f"{what}: {status}"
    assert "<script>alert" not in answer.text, what
    assert "<img src=x" not in answer.text, what
    headers = answer.headers
    assert "stolen" not in headers.get("set-cookie", ""), what
    assert headers["content-security-policy"].startswith("default-src 'none'"), what
    assert headers["x-content-type-options"] == "nosniff", what
    to = urlsplit(headers.get("location", "/"))
    assert (to.scheme, to.netloc, to.path[:1]) == ("", "", "/"), f"{what}: off to {to}"


def at_the_door(house: House, walked: Walked) -> PageClient:
    browser = towns.entitled(house.browser, house.town, walked[1])
    if not browser.token:
        browser.open("/k")
    return browser


@pytest.mark.parametrize("walked", POSTS, ids=towns.name)
def test_everything_typed_is_nasty(house: House, walked: Walked) -> None:
    house.put_back()
    browser = at_the_door(house, walked)
    path = towns.address(house.town, walked[1])
    for what, value in NASTY.items():
        check(post(browser, path, [(name, value) for name in fields_of(walked)]), what)


@pytest.mark.parametrize("walked", POSTS, ids=towns.name)
def test_one_field_is_nasty_and_the_others_are_right(house: House, walked: Walked) -> None:
    house.put_back()
    path, right = towns.address(house.town, walked[1]), FORMS[towns.name(walked)]
    for field in fields_of(walked):
        browser = at_the_door(house, walked)
        for what in ("markup",):
            typed = [
                (name, str(one).encode())
                for name, value in right.items()
                if name != field
                for one in (value if isinstance(value, list) else [value])
            ]
            check(post(browser, path, [*typed, (field, NASTY[what])]), f"{field}: {what}")


@pytest.mark.parametrize("walked", ALL, ids=towns.name)
def test_an_address_of_nonsense_is_a_page_that_is_not_there(house: House, walked: Walked) -> None:
    method, route = walked
    house.put_back()
    browser = at_the_door(house, walked)
    names = re.findall(r"\{(\w+)\}", route.path)
    for field in names:
        for what in ("markup", "not utf-8", "enormous number", "path"):
            typed = quote_from_bytes(NASTY[what], safe="")
            path = route.path.replace(f"{{{field}}}", typed)
            path = re.sub(r"\{(\w+)\}", lambda name: house.town.ids[name[1]], path)
            answer = post(browser, path, []) if method == "POST" else browser.raw(method, path)
            check(answer, f"{field}: {what}")
            assert answer.status_code in (404, 405), f"{field}: {what}: {answer.status_code}"


@pytest.mark.parametrize("walked", [one for one in ALL if one[1].dependant.query_params], ids=towns.name)
def test_questions_in_an_address(house: House, walked: Walked) -> None:
    house.put_back()
    _, route = walked
    browser = at_the_door(house, walked)
    path = towns.address(house.town, route)
    for parameter in route.dependant.query_params:
        for what, value in NASTY.items():
            check(
                browser.raw("GET", f"{path}?{parameter.name}={quote_from_bytes(value[:5_000], safe='')}"),
                f"{parameter.name}: {what}",
            )


@pytest.mark.parametrize(
    "after",
    [
        "99999999999999999999999999.0.00000000000000000000000000000000",
        "-99999999999999999999999999.0.00000000000000000000000000000000",
        "0.999999999999999999999.00000000000000000000000000000000",
        "1.1.x",
        "0001-01-01.00000000000000000000000000000000",
        "9999-12-31.ffffffffffffffffffffffffffffffff",
    ],
)
def test_a_place_in_a_list_that_nobody_could_be_at(house: House, after: str) -> None:
    house.browser.as_professional(house.town.ward.johan)
    for path in ("/staff?show=mine&", "/staff?show=red&", "/staff?", "/staff/patients?"):
        check(house.browser.raw("GET", f"{path}after={after}"), path)


@pytest.mark.parametrize("charset", ["utf-16", "raw_unicode_escape", "utf-7", "nonsense", "idna", "base64"])
def test_a_form_in_parts_with_a_strange_alphabet(house: House, charset: str) -> None:
    browser = at_the_door(house, next(one for one in POSTS if one[1].path == "/staff/patients"))
    for value in (b"\\ud83d", b"Kari", b"\xff\xfe"):
        parts = (
            "".join(
                f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{typed}\r\n'
                for name, typed in (("csrf_token", browser.token), ("search", "\0"))
            )
            .encode()
            .replace(b"\0", value)
        )
        answer = browser.raw(
            "POST",
            "/staff/patients",
            content=parts + b"--x--\r\n",
            headers={
                "Content-Type": f"multipart/form-data; boundary=x; charset={charset}",
                "Sec-Fetch-Site": "same-origin",
            },
        )
        check(answer, charset)


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", "application/json", "text/plain", "\xff", ""],
)
def test_a_body_that_is_no_form(house: House, content_type: str) -> None:
    browser = at_the_door(house, next(one for one in POSTS if one[1].path == "/k"))
    for body in (b"", b"\xff" * 100, b"--x\r\n" * 50, b"{}", b"a=" * 5_000):
        answer = browser.raw(
            "POST", "/k", content=body, headers={"Content-Type": content_type.encode("latin-1")}
        )
        check(answer, content_type)


@pytest.mark.parametrize(
    "name", ["session", "form", "login", "Accept-Language", "X-CSRF-Token", "Origin", "X-Request-Id", "Range"]
)
def test_headers_and_cookies_of_nonsense(house: House, name: str) -> None:
    browser = house.browser.as_nobody()
    for value in NASTY.values():
        if b"\n" in value or b"\0" in value or len(value) > 10_000:
            continue
        header = {"Cookie": name.encode() + b"=" + value} if name.islower() else {name: value}
        for method, path in (
            ("GET", "/patient"),
            ("GET", "/sign-in"),
            ("POST", "/k"),
            ("GET", "/oidc/callback/patient"),
        ):
            check(browser.raw(method, path, headers=header), f"{name} {method} {path}")


@pytest.mark.parametrize(
    "path",
    [
        "/static/%00",
        "/static/../app.py",
        "/static/..%2f..%2fapp.py",
        "/static/dist/",
        "/static/" + "a" * 300,
        "/%00",
        "/staff/",
        "//evil.example/",
        "/static",
    ],
)
def test_files_that_are_not_there(house: House, path: str) -> None:
    answer = house.browser.raw("GET", f"http://127.0.0.1:8000{path}", headers={"Host": "evil.example"})
    check(answer, path)
    assert answer.status_code == 404


@pytest.mark.postgres
@pytest.mark.parametrize("backend", ["postgresql"])
def test_what_is_no_text_to_postgresql(browser: PageClient, engine: Engine, clock: FixedClock) -> None:
    town = towns.build(engine, clock.now())
    for walked in POSTS:
        towns.entitled(browser, town, walked[1])
        if not browser.token:
            browser.open("/k")
        path = towns.address(town, walked[1])
        check(post(browser, path, [(name, NASTY["nul"]) for name in fields_of(walked)]), path)
