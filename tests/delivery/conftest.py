"""A small town whose people get letters, and a dispatcher for them; every test here has a database of its own."""

from collections.abc import Callable, Iterator, Mapping

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from companion.db import make_sessions
from companion.settings import Settings as CompanionSettings
from notifications.channels import Channel
from notifications.channels.sms.sandbox import SandboxChannel
from notifications.dispatcher import Dispatcher
from notifications.outbox import Outbox
from notifications.settings import Settings
from notifications.ways import Ways
from tests.use_cases.small_ward import SmallWard

MakeDispatcher = Callable[..., Dispatcher]
# What holds in a life of the post tells what it saw when it does not.
pytest.register_assert_rewrite("tests.delivery.post_life", "tests.delivery.post_world")


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return make_sessions(engine)


@pytest.fixture
def ward(sessions: sessionmaker[Session]) -> Iterator[SmallWard]:
    """People in a session of their own; `ward.db.commit()` lets the dispatcher see them."""
    with sessions() as db:
        ward = SmallWard(db)
        db.commit()
        yield ward


@pytest.fixture
def make_dispatcher(sessions: sessionmaker[Session], settings: CompanionSettings) -> MakeDispatcher:
    """A dispatcher on this test's database; the sandbox carries when nothing else is given, `also` further ways."""

    def make(
        channel: Channel | None = None,
        push: Channel | None = None,
        also: Mapping[str, Channel] | None = None,
        ways: Ways | None = None,
        **changed: object,
    ) -> Dispatcher:
        post = Settings(sms_per_second=1000, codes_per_second=1000, in_flight=8).model_copy(update=changed)
        channels = {
            "sms": channel or SandboxChannel(sessions),
            **({"push": push} if push else {}),
            **(also or {}),
        }
        return Dispatcher(sessions, channels, Outbox(settings, post, ways), post)

    return make
