"""One line of the doctor's: what was looked at, how it stands, what to do."""

import ipaddress
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from pydantic_settings import BaseSettings


@dataclass(frozen=True)
class Finding:
    """What was looked at, and how it stands. `hopeless`: it will not mend by itself, so `run` and `tick` do not begin."""

    how: Literal["ok", "note", "FAIL"]
    said: str
    hopeless: bool = False

    def __str__(self) -> str:
        return f"{self.how:4}  {self.said}"


def never(said: str) -> Finding:
    """What will not mend by itself."""
    return Finding("FAIL", said, hopeless=True)


def mistyped(names: Iterable[str], prefix: str, known: set[str]) -> Iterator[Finding]:
    """Names of the environment that begin like ours and are none of them."""
    for name in sorted(names):
        if name.startswith(prefix) and name not in known:
            yield Finding("FAIL", f"{name} is not a setting; known are {', '.join(sorted(known))}")


def names_of(kind: type[BaseSettings]) -> set[str]:
    """What the settings are called in the environment."""
    prefix = kind.model_config["env_prefix"]
    return {f"{prefix}{name.upper()}" for name in kind.model_fields}


def split(address: str) -> SplitResult | None:
    """An http address in its parts; None when it is none."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname else None


def is_loopback(host: str) -> bool:
    """Whether it is this machine itself."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
