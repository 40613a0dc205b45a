"""What only Kari's people may know, sent through the whole story: no log line, address, label or byte on disk tells it."""

import asyncio
import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import prometheus_client
import pytest
import structlog
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.db import make_sessions
from companion.models import CheckIn, Flag, Patient
from companion.rules.national_id import make_synthetic
from companion.settings import Settings
from notifications.channels.sms.sandbox import SandboxChannel
from notifications.dispatcher import Dispatcher
from notifications.models import SandboxMessage
from notifications.outbox import Outbox
from notifications.settings import Settings as PostSettings
from tests import cast
from tests.pages.client import Opened, PageClient

NAME, PHONE, BORN = "Kanarina Gulfjær", "+4740011223", date(1961, 3, 7)
NATIONAL_ID = make_synthetic(BORN, 0)
TITLE, ANSWER, NOTE = "Svelgøvelser med Kvintessa", "Jeg ser fiolette kaniner", "Snakket om fiolette Zebraer"


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """What is logged meanwhile, through structlog or the standard library."""
    written, before = io.StringIO(), structlog.get_config()
    structlog.configure(
        processors=[
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(written),
        cache_logger_on_first_use=False,
    )
    handler, root = logging.StreamHandler(written), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield written
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        structlog.configure(**before)


def words_in(text: str) -> tuple[str, str]:
    """The link's token and the typed code of an SMS."""
    token, code = re.search(r"/l#([\w-]{22})", text), re.search(r"skriv (\d{3}\s?\d{3})", text)
    assert token, text
    assert code, text
    return token[1], "".join(code[1].split())


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_whole_story_tells_nobody(
    browser: PageClient, engine: Engine, settings: Settings, clock: FixedClock, tmp_path: Path
) -> None:
    sessions = make_sessions(engine)
    post = PostSettings(sms_per_second=1000)
    dispatcher = Dispatcher(sessions, {"sms": SandboxChannel(sessions)}, Outbox(settings, post), post)
    addresses: list[str] = []
    texts: list[str] = []

    def tick() -> None:
        counts = asyncio.run(dispatcher.tick(clock))
        assert counts["errors"] == 0

    def last_sms() -> str:
        with Session(engine) as db:
            newest = select(SandboxMessage.body).where(SandboxMessage.number == PHONE)
            texts.append(db.scalars(newest.order_by(SandboxMessage.id.desc())).first() or "")
        return texts[-1]

    def opened(*pages: Opened) -> None:
        for page in pages:
            # A number to dial goes to the telephone, not over the net.
            links = [link for link in page.links.values() if not link.startswith("tel:")]
            addresses.extend([*page.came_by, *links, *(form.action for form in page.forms)])

    with everything_logged() as log:
        with Session(engine, expire_on_commit=False) as db:
            ward = cast.ward(db, clock.now())
            db.commit()
        browser.as_professional(ward.sofia)
        fields = cast.kari_fields(clock.now(), name=NAME, national_id=NATIONAL_ID, phone=PHONE)
        form = {"measures.1.title": TITLE, "measures.1.owner": "municipality", "measures.1.due": "3"}
        page = browser.open("/staff/discharge")
        names = [name for name in page.form("/staff/discharge").fields if name.endswith("title")]
        row = (
            {
                names[0]: TITLE,
                names[0].replace("title", "owner"): "municipality",
                names[0].replace("title", "due"): "3",
            }
            if names
            else form
        )
        opened(browser.post("/staff/discharge", {**fields, **row, "contact_by": "sms"}))
        tick()
        clock.forward(cast.days(15))
        tick()
        token, code = words_in(last_sms())

        # The typed code wrong and right, then the link and the birth date, then a free text in answer.
        browser.as_nobody().open("/k")
        browser.post("/k", {"phone": PHONE, "code": "000000" if code != "000000" else "000001"}, status=422)
        opened(browser.post("/k", {"phone": PHONE, "code": code}))
        browser.as_nobody()
        opened(browser.submit(browser.open("/l"), "/l", {"token": token}))
        born = {"day": "7", "month": "3", "year": "1961"}
        page = browser.post("/birth-date", born)
        opened(page)
        with Session(engine) as db:
            asked = db.scalars(select(CheckIn).where(CheckIn.state == "asked")).one().id
        said = {"worse": "no", "contact": "true", "how": "bad"}
        for _ in range(30):
            page = browser.open(f"/patient/check-in/{asked}")
            opened(page)
            if page.path.endswith("/review"):
                break
            box = next(iter(page.all("textarea")), None)
            radios = [one.get("value", "") for one in page.all("input") if one.get("type") == "radio"]
            answer = ANSWER if box is not None else next((r for r in radios if r in said.values()), radios[0])
            opened(browser.post(page.path, {"answer": answer}))
        opened(browser.post(f"/patient/check-in/{asked}/send"))

        # A human sees it, notes, and offers a meeting.
        browser.as_professional(ward.johan)
        with Session(engine) as db:
            kari = db.scalars(select(Patient)).one().id
            raised = db.scalars(select(Flag)).first()
        assert raised is not None
        opened(
            browser.post("/staff/patients", {"search": NATIONAL_ID}), browser.open(f"/staff/patients/{kari}")
        )
        opened(browser.post(f"/staff/flags/{raised.id}/note", {"text": NOTE}))
        opened(browser.post(f"/staff/flags/{raised.id}/note", {"text": NOTE * 200}, status=422))
        meeting = {"date": "2026-11-27", "time": "10:00", "minutes": "30", "kind": "follow_up"}
        opened(browser.post(f"/staff/patients/{kari}/meeting", meeting))
        tick()
        clock.at = clock.now().replace(month=11, day=27, hour=8, minute=50)
        tick()
        meeting_token, meeting_code = words_in(last_sms())
        browser.as_nobody()
        opened(browser.submit(browser.open("/l"), "/l", {"token": meeting_token}))
        logged = log.getvalue()

    secrets = [
        NAME, "Kanarina", "Gulfjær", NATIONAL_ID, PHONE, "40011223", "400 11 223",
        TITLE, "Kvintessa", ANSWER, NOTE, token, code, meeting_token, meeting_code, "1961",
    ]  # fmt: skip
    # The story really came by: each stood where it belongs.
    browser.as_professional(ward.johan)
    case = browser.open(f"/staff/patients/{kari}").text
    for told in (NAME, TITLE, NOTE):
        assert told in case
    assert "request" in logged
    metrics = prometheus_client.generate_latest().decode()
    for secret in secrets:
        digits_only = secret.isdigit() and len(secret) < 8
        for where, text in {
            "log": without_ids(logged), "address": unquote("\n".join(addresses)), "metrics": without_ids(metrics),
        }.items():  # fmt: skip
            if not (digits_only and where == "metrics"):
                assert secret not in text, f"{secret} in the {where}"
    for health in ("slag", "fysio", "Post 3", "rehab", "Kvintessa", "Svelg", "Gulfjær"):
        for text in texts:
            assert health.casefold() not in text.casefold(), f"{health} in an SMS"
    # Only the invented phones keep plain text, and only in demo and tests.
    with Session(engine) as db:
        for one in db.scalars(select(SandboxMessage)):
            db.delete(one)
        db.commit()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("VACUUM")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("companion.sqlite3*"))
    assert len(kept) > 100_000
    for secret in [one for one in secrets if len(one) > 6]:
        assert secret.encode() not in kept, f"{secret} on disk"


def without_ids(text: str) -> str:
    """Random ids, times and durations may hold any six digits."""
    return re.sub(r"[0-9a-f]{32}|[0-9a-f-]{36}|\"ms\": [\d.]+|\d+\.\d+(e[+-]\d+)?", "", text)
