"""Rules of the house that no linter knows."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SELF = Path(__file__).resolve()


def tracked(*patterns: str) -> list[Path]:
    """Files git knows or would take, this one excepted: it must name what it forbids."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path.resolve() != SELF]


def findings(pattern: str, paths: list[Path]) -> list[str]:
    """`path:line` of every hit."""
    wanted = re.compile(pattern)
    return [
        f"{path.relative_to(ROOT)}:{number}: {found[0]}"
        for path in paths
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if (found := wanted.search(line))
    ]


# --- what leaves the house --------------------------------------------------------------------------------------------

FOREIGN = (
    r"registry\.npmjs|registry\.yarnpkg|pythonhosted\.org|pypi\.org/simple|--(extra-)?index-url|--find-links|\"resolved\":"
    r"|file:///|/home/\w|/root/|/opt/\w|/work/\w"
)


def test_no_registry_and_no_machine_is_named() -> None:
    assert findings(FOREIGN, tracked()) == []


@pytest.mark.parametrize(
    "line",
    [
        '"resolved": "https://example/a.tgz"',
        "--index-url https://example/simple",
        "file:///srv/wheels",
        "/root/x",
    ],
)
def test_such_a_line_would_be_found(line: str) -> None:
    assert re.search(FOREIGN, line)


def test_nothing_is_left_for_later() -> None:
    assert findings(r"\b(TODO|FIXME)\b", tracked()) == []


def test_every_direct_dependency_is_pinned_as_the_lock_has_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = set(re.findall(r"^([a-z0-9-]+==[^ ;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    direct = project["dependencies"] + project["optional-dependencies"]["test"]
    assert {re.sub(r"\[.*\]", "", name) for name in direct} - locked == set()


# --- folders ----------------------------------------------------------------------------------------------------------


def test_folders_that_are_no_packages_stay_so() -> None:
    """An `__init__.py` in alembic/ would hide the library; one in tests/ would hide tests of the same name."""
    assert (
        tracked("alembic/**/__init__.py", "alembic/__init__.py", "tests/**/__init__.py", "tests/__init__.py")
        == []
    )


# --- tests ------------------------------------------------------------------------------------------------------------

FORBIDDEN_IN_TESTS = {
    "monkeypatch.setattr",
    "mocker.patch",
    "pytest.skip",
    "pytest.xfail",
    "pytest.importorskip",
    "pytest.mark.skip",
    "pytest.mark.skipif",
    "pytest.mark.xfail",
}
# Sleeping under another name.
FORBIDDEN_METHODS = {"wait_for_timeout"}


def forbidden_in_test(source: str) -> Iterator[str]:
    """What a test may not do: patch, skip, sleep."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if name in FORBIDDEN_IN_TESTS or node.attr in FORBIDDEN_METHODS:
                yield f"{node.lineno}: {name}"


@pytest.mark.parametrize("path", tracked("tests/*.py"), ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_neither_patch_nor_skip_nor_sleep(path: Path) -> None:
    assert list(forbidden_in_test(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    ["monkeypatch.setattr(a, 'b', 1)", "@pytest.mark.skip\ndef test(): ...", "page.wait_for_timeout(100)"],
)
def test_such_a_test_would_be_found(source: str) -> None:
    assert list(forbidden_in_test(source)) != []


# --- pages ------------------------------------------------------------------------------------------------------------

INLINE = r"<style\b|\sstyle\s*=|<script(?![^>]*\ssrc=)|<[^>]*\son[a-z]+\s*=|\bhx-on\b|javascript:|[\"']js:|\|\s*safe\b"


def test_templates_hold_nothing_the_content_policy_forbids() -> None:
    templates = tracked("web/templates/**/*.html", "web/templates/*.html")
    assert templates != []
    assert findings(INLINE, templates) == []


@pytest.mark.parametrize(
    "markup",
    [
        '<p style="color: red">',
        "<style>",
        "<script>go()</script>",
        '<button onclick="go()">',
        '<a href="javascript:go()">',
        '<form hx-on:submit="go()">',
        '<div hx-vals="js:{a: 1}">',
        "{{ text | safe }}",
    ],
)
def test_such_markup_would_be_found(markup: str) -> None:
    assert re.search(INLINE, markup)


# --- doors ------------------------------------------------------------------------------------------------------------


def test_make_offers_what_is_promised() -> None:
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    offered = set(re.findall(r"^  make ([a-z-]+) ", said, re.MULTILINE))
    assert {"run", "test", "bench", "setup", "fast", "clean-demo", "help"} <= offered


# --- ways of reaching somebody ----------------------------------------------------------------------------------------

MACHINE = [
    *(
        f"notifications/{name}.py"
        for name in ("dispatcher", "outbox", "receipts", "circuit", "doctor", "inbound", "ways")
    ),
    *(str(path.relative_to(ROOT)) for path in (ROOT / "companion/worklists").glob("*.py")),
    "companion/models/messages.py",
    "web/desk/letters.py",
]


@pytest.mark.parametrize("name", MACHINE)
def test_the_machine_names_no_way(name: str) -> None:
    """What it does with a letter follows from what the letter's way can; a check-in answered by SMS is another matter."""
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    ways = {path.name for path in (ROOT / "notifications/channels").iterdir() if (path / "way.py").exists()}
    assert {"sms", "push"} <= ways
    named = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in ways]
    allowed = 1 if name == "companion/worklists/patient_case.py" else 0
    assert len(named) == allowed, named
