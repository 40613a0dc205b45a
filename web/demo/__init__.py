"""The try-out room: invented people, their phones, a clock that can be moved, and a provider that vouches for them."""

from fastapi import FastAPI

from web.deps import House


def furnish(app: FastAPI, house: House) -> None:
    """Opens the room; called only with `--demo`."""
