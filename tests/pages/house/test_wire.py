"""What goes over the wire: files that are kept for good and come compressed, pages compressed, and no secret told by a length."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pages.client import PageClient, without_token
from web.house.security import FormRefused, check_token, mask
from web.house.wire import FOREVER, accepts

ROOT = Path(__file__).resolve().parents[3]
DIST = ROOT / "web" / "static" / "dist"
MANIFEST: dict[str, str] = json.loads((DIST / "manifest.json").read_text())
FILES = sorted({name.partition("#")[0] for name in MANIFEST.values()})
TEXTS = [name for name in FILES if name.endswith((".css", ".js", ".svg"))]
UNPACK = """
const fs = require("fs"), zlib = require("zlib");
for (const file of process.argv.slice(1)) {
  if (!zlib.brotliDecompressSync(fs.readFileSync(file + ".br")).equals(fs.readFileSync(file))) console.log(file);
}
"""
OURS = {"Sec-Fetch-Site": "same-origin"}


def get(browser: PageClient, path: str, takes: str = "gzip", **headers: str) -> Any:
    return browser.raw("GET", path, headers={"Accept-Encoding": takes, **OURS, **headers})


# --- files ------------------------------------------------------------------------------------------------------------


def test_what_lies_compressed_beside_a_file_is_that_file() -> None:
    for name in TEXTS:
        assert gzip.decompress((DIST / f"{name}.gz").read_bytes()) == (DIST / name).read_bytes(), name
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["node", "-e", UNPACK, *(str(DIST / name) for name in TEXTS)]
    others = subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": path})
    assert others.stdout == b""


@pytest.mark.parametrize(
    ("takes", "coding", "ending"), [("gzip, br", "br", ".br"), ("gzip", "gzip", ".gz"), ("", None, "")]
)
def test_a_file_comes_as_small_as_the_browser_takes_it(
    browser: PageClient, takes: str, coding: str | None, ending: str
) -> None:
    for name in TEXTS:
        with browser.browser.stream(
            "GET", f"/static/dist/{name}", headers={"Accept-Encoding": takes}
        ) as answer:
            sent = b"".join(answer.iter_raw())
        assert answer.headers.get("content-encoding") == coding, name
        assert sent == (DIST / (name + ending)).read_bytes(), name
        assert answer.headers["content-length"] == str(len(sent))
        assert answer.headers["vary"] == "Accept-Encoding"
        kind = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}[name.rpartition(".")[2]]
        assert answer.headers["content-type"].startswith(kind)


def test_a_file_named_by_its_hash_is_kept_for_good(browser: PageClient) -> None:
    for name in FILES:
        answer = get(browser, f"/static/dist/{name}")
        assert answer.headers["cache-control"] == FOREVER, name
        again = get(browser, f"/static/dist/{name}", **{"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), name
        assert again.headers["cache-control"] == FOREVER, name


def test_nothing_else_is_kept(browser: PageClient) -> None:
    for path in ("/static/dist/manifest.json", "/static/dist/nope-1a2b3c4d.js", "/", "/privacy"):
        assert get(browser, path).headers["cache-control"] == "no-store", path


@pytest.mark.parametrize(
    ("header", "takes"),
    [("br", True), ("gzip, deflate, BR", True), ("gzip;q=1, br;q=0.2", True), ("br;q=0", False), ("br; q=0.000", False),
     ("", False), ("brx", False)],
)  # fmt: skip
def test_what_a_browser_takes_is_read_from_its_words(header: str, takes: bool) -> None:
    assert accepts(header, "br") is takes


def test_what_changes_gets_another_name_and_what_does_not_keeps_its_own(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "web" / "assets", tmp_path / "web" / "assets")
    (tmp_path / ".ci").mkdir()
    for name in (".ci/build-assets", "package-lock.json"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    before = build(tmp_path)
    assert before.keys() == MANIFEST.keys()
    with (tmp_path / "web/assets/looks/meeting.css").open("a") as styles:
        styles.write(".meet { color: red; }")
    with (tmp_path / "web/assets/parts/keys.js").open("a") as script:
        script.write("console.log(1);")
    after = build(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"meeting.css", "desk.js"}


def build(root: Path) -> dict[str, str]:
    subprocess.run([sys.executable, root / ".ci/build-assets"], check=True, capture_output=True)
    manifest: dict[str, str] = json.loads((root / "web/static/dist/manifest.json").read_text())
    return manifest


# --- pages ------------------------------------------------------------------------------------------------------------


def test_a_page_comes_compressed(browser: PageClient) -> None:
    small, plain = get(browser, "/privacy"), get(browser, "/privacy", takes="identity")
    assert small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < 0.6 * int(plain.headers["content-length"])
    assert without_token(small.text) == without_token(plain.text)
    for answer in (small, plain):
        assert answer.headers["vary"] == "Accept-Encoding"


def test_what_is_small_already_goes_as_it_is(browser: PageClient) -> None:
    assert "content-encoding" not in get(browser, "/healthz").headers


# --- what a length could tell -----------------------------------------------------------------------------------------


def test_the_token_is_another_one_in_every_answer_and_each_is_good(browser: PageClient) -> None:
    given = [browser.open("/k").form("/k").fields["csrf_token"] for _ in range(2)]
    assert given[0] != given[1]
    for token in given:
        assert browser.raw("POST", "/k", data={"csrf_token": token}, headers=OURS).status_code == 422


@pytest.mark.parametrize("given", ["", "x", "t0ken", "t0kent0ken", "æøå"])
def test_a_token_without_its_mask_is_not_ours(given: str) -> None:
    with pytest.raises(FormRefused):
        check_token(given, "t0ken", None, "")


def test_only_the_right_token_in_a_mask_is_ours() -> None:
    check_token(mask("t0ken"), "t0ken")
    for given in (mask("other"), mask("t0ken")[:-4]):
        with pytest.raises(FormRefused):
            check_token(given, "t0ken", None, "")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_site_may_have_asked_for_is_as_long_for_a_right_guess_as_for_a_wrong_one(
    browser: PageClient, site: str
) -> None:
    lengths = set()
    for guess in ("Personvern", "Qersonvern", "xxxxxxxxxx"):
        answer = get(browser, f"/sign-in?next=/{guess}{guess}", **{"Sec-Fetch-Site": site})
        assert guess in answer.text
        assert "content-encoding" not in answer.headers
        lengths.add(answer.headers["content-length"])
    assert len(lengths) == 1


def test_what_a_strangers_link_carries_is_posted_by_our_own_page_and_not_said_again(
    browser: PageClient,
) -> None:
    page = browser.submit(browser.open("/l"), "/l", {"token": "a-guess-of-a-secret-22"}, status=404)
    assert "a-guess" not in page.html
