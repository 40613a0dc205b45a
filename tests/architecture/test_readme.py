"""The README says what there is: every command, setting, address and make target in it is real, and every real one is in it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from fastapi.routing import APIRoute
from pydantic_settings import BaseSettings

import companion.__main__
import notifications.__main__
import web.__main__
from companion.settings import Settings
from notifications.channels.push.settings import VapidSettings
from notifications.channels.sms.settings import TwilioSettings
from notifications.settings import Settings as PostSettings
from web.app import ROUTERS
from web.demo import routes as demo_routes
from web.house.security import access_of
from web.house.settings import WebSettings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"`([^`\n]+)`", README)
OPTION = re.compile(r"--[a-z][a-z-]*")


# --- commands ---------------------------------------------------------------------------------------------------------


def tree(package: str, command: Any) -> Iterator[tuple[str, set[str]]]:
    """Every command with its options, such as `companion unit add`."""
    inner = getattr(command, "commands", {})
    for name, one in inner.items():
        yield from tree(f"{package} {name}", one)
    if not inner:
        shown = [each for each in command.params if not getattr(each, "hidden", False)]
        yield package, {option for each in shown for option in each.opts if option[:2] == "--"}


def commands() -> dict[str, set[str]]:
    serve = typer.Typer(add_completion=False)
    serve.command()(web.__main__.serve)
    doors = {"companion": companion.__main__.app, "notifications": notifications.__main__.app, "web": serve}
    return {
        name: options
        for package, door in doors.items()
        for name, options in tree(package, typer.main.get_command(door))
    }


def told_commands() -> dict[str, set[str]]:
    """What the table of the doors names; after the first of a line the package is left out."""
    told: dict[str, set[str]] = {}
    rows = re.findall(r"^\| (`python -m (\w+)[^|]*(?:\\\|[^|]*)*) \|", README, flags=re.M)
    for cell, package in rows:
        for code in re.findall(r"`([^`]+)`", cell):
            words = code.removeprefix("python -m ").removeprefix(package).split()
            name = " ".join([package, *(word for word in words if re.fullmatch(r"[a-z][a-z-]*", word))])
            told.setdefault(name, set()).update(OPTION.findall(code))
    return told


def test_the_doors_named_are_there_and_every_door_is_named() -> None:
    told, real = told_commands(), commands()
    assert told.keys() == real.keys()
    unknown = {name: told[name] - real[name] for name in told if told[name] - real[name]}
    unsaid = {name: real[name] - told[name] for name in real if real[name] - told[name]}
    assert (unknown, unsaid) == ({}, {})


# --- settings ---------------------------------------------------------------------------------------------------------

KINDS: tuple[type[BaseSettings], ...] = (Settings, PostSettings, TwilioSettings, VapidSettings, WebSettings)
PREFIXES = tuple(str(kind.model_config["env_prefix"]) for kind in KINDS)
# Not read from the environment under these names: they are kinds of their own.
PARTS = {"NOTIFICATIONS_TWILIO", "NOTIFICATIONS_VAPID"}


def settings() -> set[str]:
    return {
        str(field.validation_alias or f"{kind.model_config['env_prefix']}{name.upper()}")
        for kind in KINDS
        for name, field in kind.model_fields.items()
    } - PARTS


def told_settings() -> set[str]:
    """Names anywhere in the README; `WEB_OIDC_PATIENT_*` stands for those its line lists."""
    told = {code for code in CODE if code.startswith(PREFIXES) and re.fullmatch(r"[A-Z_]+", code)}
    for line in README.splitlines():
        endings = [code for code in re.findall(r"`([A-Z_]+)`", line) if not code.startswith(PREFIXES)]
        for group in re.findall(r"`([A-Z_]+_)\*`", line):
            told |= {group + ending for ending in endings}
    return told


def test_the_settings_named_are_read_and_every_setting_is_named() -> None:
    assert told_settings() == settings()


def test_every_setting_does_something() -> None:
    """One that nothing looks at would be believed; `WEB_VIDEO` refuses whatever is not built."""
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for package in ("companion", "notifications", "web")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "settings.py"
    )
    names = {name for kind in KINDS for name in kind.model_fields} - {"video"}
    endings = {re.sub(r"^oidc_(patient|professional)_", "", name) for name in names}
    inside = (ROOT / "companion/settings.py").read_text() + (
        ROOT / "notifications/channels/sms/settings.py"
    ).read_text()
    assert {one for one in endings if not re.search(rf"[._}}]{one}\b", code + inside)} == set()


# --- addresses --------------------------------------------------------------------------------------------------------


def routes() -> set[str]:
    found = [one for router in (*ROUTERS, demo_routes.router) for one in router.routes]
    return {one.path for one in found if isinstance(one, APIRoute)} | {"/healthz"}


def told_addresses() -> set[str]:
    """`/…` or `GET /…`; `/demo/phones(.json)` is two."""
    found = {re.sub(r"^(GET|POST) ", "", code) for code in CODE if re.match(r"((GET|POST) )?/[a-z.]", code)}
    return {form for one in found for form in (re.sub(r"\(.*\)", "", one), re.sub(r"[()]", "", one))}


def test_the_addresses_named_are_there_and_every_one_for_programs_is_named() -> None:
    told = told_addresses()
    assert told - routes() == set()
    for_programs = {
        one.path
        for router in ROUTERS
        for one in router.routes
        if isinstance(one, APIRoute) and access_of(one.endpoint).audience in ("hook", "integration")
    }
    assert for_programs | {"/healthz", "/readyz", "/api/openapi.json"} <= told


# --- make, files, licence ---------------------------------------------------------------------------------------------


def test_the_make_targets_named_are_there_and_every_target_is_named() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    told = set(re.findall(r"`make ([a-z-]+)", README))
    assert told == set(re.findall(r"^([a-z-]+):.*##", makefile, flags=re.M))


def test_the_files_named_are_there() -> None:
    linked = re.findall(r"\]\(((?!http)[^)]+)\)", README)
    named = [
        code for code in CODE if re.fullmatch(r"(companion|notifications|web|tests|docs)/[\w./-]+", code)
    ]
    assert linked
    assert named
    assert [one for one in linked + named if not (ROOT / one).exists()] == []


@pytest.mark.parametrize("name", ["LICENSE", "LICENCE", "COPYING"])
def test_a_licence_is_named_only_when_the_owner_has_chosen_one(name: str) -> None:
    assert "No licence has been chosen." in README or any(ROOT.glob(f"{name}*"))
