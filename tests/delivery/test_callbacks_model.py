"""The orders in which a provider can tell what happened, against a model that fits on a page."""

from datetime import timedelta
from itertools import chain, permutations, product

from sqlalchemy import Engine, insert, select
from sqlalchemy.orm import Session

from companion.models import Message
from notifications import receipts
from notifications.models import Delivery, ProviderEvent
from notifications.ways import discover
from tests.use_cases.small_ward import at

WAYS = discover()

RANK = {"accepted": 2, "sent": 3, "undelivered": 4, "failed": 4, "delivered": 4}
MEANS = {"queued": "accepted", "sending": "accepted", "sent": "sent", "delivered": "delivered"}
TOLD = (
    ("queued", "sending", "sent", "delivered", "sent"),
    ("queued", "sent", "undelivered", "sent", "undelivered"),
    ("sending", "sent", "undelivered", "delivered", "nonsense"),
    ("queued", "sent", "failed", "delivered", "undelivered"),
    ("sent", "delivered", "delivered", "failed", "sending"),
    ("accepted", "sending", "sent", "delivered", "undelivered"),
    ("queued", "sending", "sent", "failed", "failed"),
    ("queued", "sending", "sent", "delivered", "undelivered", "failed"),
)
# All of them through the tables take a minute (run so when the rules change); these touch every set and every state.
EVERY = 10
# `failed` is the one that was looked for and not found.
BEFORE = ("sending", "unknown", "accepted", "sent", "expired", "cancelled", "delivery_unknown", "failed")
# A letter that has been sent so often when the news begins: a code told 30005, others told that the handset was out of reach.
A_CODE, FIRST_TRY, SECOND_TRY = 0, 1, 2


def model(before: str, told: tuple[str, ...], tried: int = A_CODE) -> str:
    """The highest rank wins; of two final ones the first, save that *delivered* corrects *undelivered*.

    What did not arrive at the first try is queued once more, if nobody had given the letter up.
    """
    state = "not found" if before == "failed" else before
    gone = False  # once it has been told that it did not arrive, only *delivered* is news
    for status in told:
        means = MEANS.get(status, status)
        if means not in RANK or (gone and means != "delivered"):
            continue
        rank = RANK.get(state, 3 if state == "delivery_unknown" else 1)
        if RANK[means] > rank or (state == "undelivered" and means == "delivered"):
            once_more = tried == FIRST_TRY and state in ("sending", "unknown", "accepted", "sent")
            state = "queued" if once_more and means in ("undelivered", "failed") else means
            gone = means in ("undelivered", "failed")
        elif means == "delivered":
            gone = False
    return "failed" if state == "not found" else state


def orders() -> list[tuple[str, tuple[str, ...]]]:
    """Every order of every set, with and without the last one (news gets lost), from every state it can meet."""
    sets = chain(TOLD, (told[:4] for told in TOLD), (told[:3] for told in TOLD))
    different = sorted(set(chain.from_iterable(permutations(told) for told in sets)))
    return list(product(BEFORE, different))


def test_every_order_ends_as_the_model_says(shared_sqlite: Engine) -> None:
    """Each applied to objects that are in no table; so all of them take seconds."""
    cases = orders()
    assert len(cases) >= 10_000
    wrong = []
    with Session(shared_sqlite, autoflush=False) as db:
        for before, told in cases:
            letter = Message(kind="reply", lane="code", dedupe_key="case", state=before, attempt=1, fence=1)
            letter.error_code = receipts.NOT_FOUND if before == "failed" else None
            attempt = Delivery(id="a", attempt=1, fence=1, channel="sms")
            for status in told:
                code = "30005" if status in ("undelivered", "failed") else None
                news = ProviderEvent(provider_id="SM1", status=status, error_code=code)
                receipts.apply_event(db, letter, attempt, news, at(0), WAYS)
            if letter.state != model(before, told):
                wrong.append((before, told, letter.state))
    assert wrong == []


def test_so_it_does_in_the_tables(db: Session) -> None:
    cases = [(before, told, A_CODE) for before, told in orders()[::EVERY]]
    assert len(cases) >= 1_000
    cases += [
        (before, told, tried)
        for tried in (FIRST_TRY, SECOND_TRY)
        for before, told in orders()[tried :: 4 * EVERY - 1]
    ]
    assert sum(model(*case) == "queued" for case in cases) >= 20
    messages: list[dict[str, object]] = [
        {
            "id": number,
            "kind": "reply",
            "lane": "batch" if tried else "code",
            "dedupe_key": f"case {number}",
            "language": "nb",
            "params": {},
            "created_at": at(0),
            "not_before": at(0),
            "valid_until": at(0) + timedelta(days=1),
            "next_attempt_at": at(0),
            "state": before,
            "error_code": receipts.NOT_FOUND if before == "failed" else None,
            "attempt": max(1, tried),
            "fence": max(1, tried),
        }
        for number, (before, _, tried) in enumerate(cases, 1)
    ]
    deliveries = [
        {
            "id": f"a{number}" if attempt == max(1, tried) else f"earlier {number}",
            "message_id": number,
            "attempt": attempt,
            "fence": attempt,
            "outcome": None if attempt == max(1, tried) else "undelivered",
            "channel": "sms",
            "address": "+4740000001",
            "started_at": at(0),
            "reconciled": 0,
            "polled": 0,
        }
        for number, (_, _, tried) in enumerate(cases, 1)
        for attempt in range(1, max(1, tried) + 1)
    ]
    # In the order of time: the first news about every letter, then the second.
    rounds = max(len(told) for _, told, _ in cases)
    events = [
        {
            "delivery_id": f"a{number}",
            "provider_id": f"SM{number}",
            "status": told[turn],
            "error_code": ("30003" if tried else "30005")
            if told[turn] in ("undelivered", "failed")
            else None,
            "at": at(0),
            "digest": f"{number}:{turn}",
        }
        for turn in range(rounds)
        for number, (_, told, tried) in enumerate(cases, 1)
        if turn < len(told)
    ]
    db.execute(insert(Message), messages)
    db.execute(insert(Delivery), deliveries)
    db.execute(insert(ProviderEvent), events)
    while receipts.apply_events(db, at(0), WAYS, limit=500):
        db.flush()
        db.expunge_all()
    ended = dict(db.execute(select(Message.id, Message.state)).all())
    wrong = [
        (case, ended[number], model(*case))
        for number, case in enumerate(cases, 1)
        if ended[number] != model(*case)
    ]
    assert wrong == []
