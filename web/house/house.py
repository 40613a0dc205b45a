"""What every request finds in its place, and the moment it came."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, cast

import jinja2
from fastapi import Depends, Request
from sqlalchemy.orm import Session, sessionmaker
from starlette.requests import HTTPConnection

from companion.clock import Clock
from companion.crypto import KeyRing
from companion.settings import Settings
from notifications.channels.sms.settings import TwilioSettings
from notifications.ways import Ways, discover
from web.house.security import Cookies
from web.house.settings import WebSettings

# Something a frame shows besides its page, asked for with the request and its transaction, if there is one.
Addition = Callable[[Request, Session | None], Any]


@dataclass
class House:
    """What every request finds in its place: `request.app.state.house`."""

    settings: Settings
    web: WebSettings
    clock: Clock
    real_clock: Clock
    sessions: sessionmaker[Session]
    # For pages that only look, where one who writes would keep them waiting: on SQLite.
    readers: sessionmaker[Session] | None
    ring: KeyRing
    cookies: Cookies
    templates: jinja2.Environment
    demo: bool = False
    personas: tuple[Any, ...] = ()
    twilio: TwilioSettings = field(default_factory=TwilioSettings)
    # The ways letters go, for what they are called and how long they are waited for.
    ways: Ways = field(default_factory=discover)
    # Our public key for push; empty when nothing can go that way.
    push_key: str = ""
    # Whether our own people can be told by e-mail.
    mails: bool = False
    service_worker: Path | None = None
    # What frames show besides: by name, made for the one who reads.
    additions: dict[str, Addition] = field(default_factory=dict)


def house_of(connection: HTTPConnection) -> House:
    """The running application's things."""
    return cast(House, connection.app.state.house)


def now_of(connection: HTTPConnection) -> datetime:
    """The moment of the request, read once."""
    return cast(datetime, connection.state.now)


@contextlib.contextmanager
def transaction(connection: HTTPConnection) -> Iterator[Session]:
    """A transaction outside a request's own: for web sockets and the demo's clock. Open it inside one thread, close it there."""
    with house_of(connection).sessions() as db:
        yield db
        db.commit()


TheHouse = Annotated[House, Depends(house_of)]
Now = Annotated[datetime, Depends(now_of)]
