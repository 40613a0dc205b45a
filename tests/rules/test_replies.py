"""What somebody answered by SMS."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion import library
from companion.rules.replies import Reply, ReplyKind, classify

K = ReplyKind


@pytest.mark.parametrize(
    ("body", "kind", "value"),
    [
        ("STOP", K.STOP, None),
        ("stopp.", K.STOP, None),
        (" Avslutt! ", K.STOP, None),
        ("«STOPP»", K.STOP, None),
        ("Stopp takk", K.STOP, None),
        ("STOPP 🙏", K.STOP, None),
        ("Stop please", K.STOP, None),
        ("stopp disse meldingene", K.STOP, None),
        ("stop sending me messages", K.STOP, None),
        ("Stopp å sende meldinger, takk. Hilsen", K.STOP, None),
        ("stooopp", K.STOP, None),
        ("stpp", K.STOP, None),
        ("bisset", K.STOP, None),
        ("START", K.START, None),
        ("Start takk", K.START, None),
        ("Álggat", K.START, None),
        ("A\u0301lggat", K.START, None),
        ("RING", K.CALL_ME, None),
        ("Ring  meg", K.CALL_ME, None),
        ("ring meg nå!!", K.CALL_ME, None),
        ("Hei! Kan dere ringe meg i dag? Hilsen", K.CALL_ME, None),
        ("rign meg", K.CALL_ME, None),
        ("rimg meg", K.CALL_ME, None),
        ("rring", K.CALL_ME, None),
        ("call me", K.CALL_ME, None),
        ("Please call me today", K.CALL_ME, None),
        ("riŋge munnje", K.CALL_ME, None),
        ("📞 ring", K.CALL_ME, None),
        ("Ikke i dag.", K.NOT_TODAY, None),
        ("ikkje i dag, takk", K.NOT_TODAY, None),
        ("Nei, ikke i dag", K.NOT_TODAY, None),
        ("Not today please", K.NOT_TODAY, None),
        ("in odne", K.NOT_TODAY, None),
        ("Ja", K.YES, None),
        ("ja takk", K.YES, None),
        ("JA 👍", K.YES, None),
        ("jaaaa", K.YES, None),
        ("ok", K.YES, None),
        ("okya", K.YES, None),
        ("Juo", K.YES, None),
        ("de juo, giitu", K.YES, None),
        ("NEI", K.NO, None),
        ("Nei takk", K.NO, None),
        ("no thank you", K.NO, None),
        ("ii", K.NO, None),
        ("7", K.NUMBER, "7"),
        ("07", K.NUMBER, "7"),
        ("10.", K.NUMBER, "10"),
        ("7 takk", K.NUMBER, "7"),
        ("Svar: 7", K.NUMBER, "7"),
        ("7/10", K.NUMBER, "7"),
        ("7 av 10", K.NUMBER, "7"),
        ("3️⃣", K.NUMBER, "3"),
        ("tre", K.NUMBER, "3"),
        ("Golbma", K.NUMBER, "3"),
        ("three", K.NUMBER, "3"),
        ("481226", K.CODE, "481226"),
        ("481 226", K.CODE, "481226"),
        ("Koden er 481 226", K.CODE, "481226"),
        # With manners, signatures, a phone's own tail; the provider's words.
        ("STOPP. Hilsen Per", K.STOP, None),
        ("Vennligst stopp", K.STOP, None),
        ("STOPP\n\nSendt fra min iPhone", K.STOP, None),
        ("STOP\n--\nPer Hansen\n91234567", K.STOP, None),
        ("Stop stop", K.STOP, None),
        ("STOP ALL", K.STOP, None),
        ("CANCEL", K.STOP, None),
        ("End", K.STOP, None),
        ("quit", K.STOP, None),
        ("Kan dere stoppe meldingene? Mvh Kari", K.STOP, None),
        ("Jeg vil ikke ha flere meldinger", K.STOP, None),
        ("Nei takk, stopp", K.STOP, None),
        ("Meld meg av denne tjenesten", K.STOP, None),
        ("Stopp, tusen takk for hjelpen", K.STOP, None),
        ("2\nHilsen Ruth", K.NUMBER, "2"),
        ("Ja. Hilsen Ruth", K.YES, None),
        ("1 mvh Kari Nilsen", K.NUMBER, "1"),
        ("1.\nMvh\nKari Nilsen\nTlf: 91 23 45 67", K.NUMBER, "1"),
        ("2 takk for hjelpen", K.NUMBER, "2"),
        ("ring meg i morgen", K.CALL_ME, None),
        ("Ring meg kl 14", K.CALL_ME, None),
        ("ring meg når dere kan", K.CALL_ME, None),
        ("Ring meg etter kl. 14.30, hilsen Kari", K.CALL_ME, None),
        ("Eg vil at de ringjer meg i morgon", K.CALL_ME, None),
        ("Ring etter klokka tre", K.CALL_ME, None),
        ("ingen vil ringe meg", K.UNKNOWN, None),
        ("(2)", K.NUMBER, "2"),
        ("２", K.NUMBER, "2"),
        ("to", K.NUMBER, "2"),
        ("❷", K.NUMBER, "2"),
        ("👎", K.NO, None),
        ("✅", K.YES, None),
        # For a human.
        ("jeg stoppet å ta medisinen", K.UNKNOWN, None),
        ("Ikke stopp. Hilsen Per", K.UNKNOWN, None),
        ("Stopp. Jeg mener ikke stopp", K.UNKNOWN, None),
        ("ring meg ikke i morgen", K.UNKNOWN, None),
        ("1 2 3", K.UNKNOWN, None),
        ("hæ? hva er dette", K.UNKNOWN, None),
        ("", K.UNKNOWN, None),
        ("takk", K.UNKNOWN, None),
        ("nei takk, men ring meg", K.UNKNOWN, None),
        ("ikke ring meg", K.UNKNOWN, None),
        ("ikke stopp", K.UNKNOWN, None),
        ("stopp ikke", K.UNKNOWN, None),
        ("Skal jeg stoppe medisinen?", K.UNKNOWN, None),
        ("stopp å ringe meg", K.UNKNOWN, None),
        ("Ja, men det går ikke så bra", K.UNKNOWN, None),
        ("Det går ikke så bra", K.UNKNOWN, None),
        ("2 ganger har jeg falt", K.UNKNOWN, None),
        ("1 eller 2", K.UNKNOWN, None),
        ("1,5", K.UNKNOWN, None),
        ("1234", K.UNKNOWN, None),
        ("👍", K.YES, None),
        ("٧", K.NUMBER, "7"),
        # One letter from STOP and START, and something else.
        ("stor", K.UNKNOWN, None),
        ("topp", K.UNKNOWN, None),
        ("stopper", K.UNKNOWN, None),
        ("smart", K.UNKNOWN, None),
        ("svart", K.UNKNOWN, None),
        ("snart", K.UNKNOWN, None),
    ],
)
def test_table(body: str, kind: ReplyKind, value: str | None) -> None:
    assert classify(body, library.crisis_words()) == Reply(kind, value)


@pytest.mark.parametrize(
    "body",
    [
        "Stopp, jeg vil ikke leve",
        "STOPP. Jeg orker ikke mer",
        "Ja jeg vil dø",
        "ring meg, tenker på selvmord",
        "avslutte livet",
        "I want to die",
    ],
)
def test_words_of_despair_go_before_everything(body: str) -> None:
    assert classify(body, library.crisis_words()).kind is K.CRISIS


@pytest.mark.parametrize(
    "body",
    [
        "2. men jeg har falt og slått hodet",
        "1 men får nesten ikke puste",
        "2 eg har ramla",
        "ja, vondt i brystet",
        "1 but i fell yesterday",
    ],
)
def test_something_grave_in_an_answer_is_no_answer(body: str) -> None:
    assert classify(body, library.crisis_words(), grave_words=library.grave_words()).kind is K.GRAVE


@pytest.mark.parametrize("body", ["jeg falt i søvn", "2 takk", "Det går bra", "har ikke falt"])
def test_what_only_sounds_grave_is_not(body: str) -> None:
    assert classify(body, library.crisis_words(), grave_words=library.grave_words()).kind is not K.GRAVE


@given(st.text(max_size=200))
def test_anything_is_understood_or_left_to_a_human(body: str) -> None:
    reply = classify(body, library.crisis_words())
    assert (reply.value is not None) == (reply.kind in (K.NUMBER, K.CODE))


AROUND = st.text(alphabet=" \t\n.,!?…-«»\"'👍🙏😊❤️_", max_size=6)


@given(
    AROUND,
    st.sampled_from(("STOPP", "Stop", "avslutt", "START", "RING", "Ring meg", "JA", "nei", "Juo", "ii", "7")),
    AROUND,
)
def test_case_signs_and_emoji_around_it_change_nothing(before: str, said: str, after: str) -> None:
    expected = classify(said)
    assert expected.kind is not K.UNKNOWN
    for written in (said, said.upper(), said.lower(), said.title()):
        assert classify(f"{before}{written}{after}") == expected


LETTERS = st.sampled_from(string.ascii_lowercase + "æøå")


@given(st.sampled_from(("ring meg", "okay", "jepp", "nope", "call me")), st.data())
def test_one_slip_in_a_longer_word_is_forgiven(said: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(said) - 1))
    slipped = data.draw(
        st.sampled_from((said[:at] + said[at + 1 :], said[:at] + said[at] + said[at:]))
        | LETTERS.map(lambda letter: said[:at] + letter + said[at + 1 :])
    )
    expected = classify(said).kind
    assert classify(slipped).kind in (expected, K.UNKNOWN)
    if len(slipped) >= 4 and " " not in said[at : at + 1]:
        assert classify(slipped).kind is expected


ONLY_THESE = re.compile(
    r"\b(s+t+o*p+[eo]*|sot+p+|tsop+|avslu?tt?e?|slutt|stopall|unsubscribe|bisset|bisehit)\b"
)


@given(
    st.text(alphabet="stopavlue ", max_size=12)
    | st.lists(
        st.sampled_from(
            ("stor", "step", "stopper", "topp", "stolt", "spot", "slott", "ikke", "ja", "7", "ring")
        ),
        max_size=4,
    ).map(" ".join)
)
def test_nothing_becomes_stop_that_is_not_written_as_one(body: str) -> None:
    if classify(body).kind is K.STOP:
        assert ONLY_THESE.search(body.casefold())


@given(
    st.text(max_size=60),
    st.sampled_from(("vil ikke leve", "selvmordstanker", "kill myself")),
    st.text(max_size=60),
)
def test_despair_is_never_read_as_an_answer(before: str, words: str, after: str) -> None:
    assert classify(f"{before} {words} {after}", library.crisis_words()).kind is K.CRISIS
