"""What somebody answered by SMS."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.rules.replies import Reply, ReplyKind, classify


@pytest.mark.parametrize(
    ("body", "kind", "value"),
    [
        ("STOP", ReplyKind.STOP, None),
        ("stopp.", ReplyKind.STOP, None),
        (" Avslutt! ", ReplyKind.STOP, None),
        ("START", ReplyKind.START, None),
        ("RING", ReplyKind.CALL_ME, None),
        ("Ring  meg", ReplyKind.CALL_ME, None),
        ("call me", ReplyKind.CALL_ME, None),
        ("Ja", ReplyKind.YES, None),
        ("ok", ReplyKind.YES, None),
        ("Juo", ReplyKind.YES, None),
        ("NEI", ReplyKind.NO, None),
        ("ii", ReplyKind.NO, None),
        ("7", ReplyKind.NUMBER, "7"),
        ("07", ReplyKind.NUMBER, "7"),
        ("10.", ReplyKind.NUMBER, "10"),
        ("481226", ReplyKind.CODE, "481226"),
        ("481 226", ReplyKind.CODE, "481226"),
        ("", ReplyKind.UNKNOWN, None),
        ("nei takk, men ring meg", ReplyKind.UNKNOWN, None),
        ("Det går ikke så bra", ReplyKind.UNKNOWN, None),
        ("1234", ReplyKind.UNKNOWN, None),
        ("👍", ReplyKind.UNKNOWN, None),
        ("٧", ReplyKind.UNKNOWN, None),
    ],
)
def test_table(body: str, kind: ReplyKind, value: str | None) -> None:
    assert classify(body) == Reply(kind, value)


@given(st.text(max_size=200))
def test_anything_is_understood_or_left_to_a_human(body: str) -> None:
    reply = classify(body)
    assert (reply.value is not None) == (reply.kind in (ReplyKind.NUMBER, ReplyKind.CODE))
