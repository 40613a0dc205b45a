"""Names as people write them: who is greeted how, and who is found by what."""

import unicodedata

import pytest

from companion.rules import names


@pytest.mark.parametrize(
    ("written", "given", "family", "full"),
    [
        ("Ola Hansen", "Ola", "Hansen", "Ola Hansen"),
        ("Nilsen, Oda Marie", "Oda Marie", "Nilsen", "Oda Marie Nilsen"),
        ("ÆRØ, KÅRE", "Kåre", "Ærø", "Kåre Ærø"),
        ("D'ANGELO-BERG, ÁILE-MÁRET", "Áile-Máret", "D'Angelo-Berg", "Áile-Máret D'Angelo-Berg"),
        ("van der Berg, Anne", "Anne", "van der Berg", "Anne van der Berg"),
        ("Anne van der Berg", "Anne", "van der Berg", "Anne van der Berg"),
        ("Áile-Máret Čáppa Øwre", "Áile-Máret Čáppa", "Øwre", "Áile-Máret Čáppa Øwre"),
        ("Kari", "Kari", "", "Kari"),
        ("NILSEN Oda Marie", "Oda Marie", "Nilsen", "Oda Marie Nilsen"),
        ("Oda Marie NILSEN", "Oda Marie", "Nilsen", "Oda Marie Nilsen"),
        ("Oda K Nilsen", "Oda K", "Nilsen", "Oda K Nilsen"),
        ("Ann-Mari Per", "Ann-Mari", "Per", "Ann-Mari Per"),
        ("ole mcdonald", "ole", "mcdonald", "ole mcdonald"),
        ("Ola Hansen,", "Ola", "Hansen", "Ola Hansen"),
    ],
)
def test_a_name_is_read_as_it_is_written(written: str, given: str, family: str, full: str) -> None:
    assert names.read(written) == names.Name(full, given, family)


@pytest.mark.parametrize(
    "written",
    [
        "NORDMANN OLA",
        "OLA NORDMANN",
        "Hansen Ola",
        "Nordmann Ola",
        "Berg Anne Marie",
        "NILSEN",
        "Nilsen,",
        "ÆRØ KÅRE PER",
        ", ",
        "",
    ],
)
def test_where_nobody_can_know_nobody_is_greeted_by_a_surname(written: str) -> None:
    assert not names.read(written).known
    assert names.called(written) == ""


def test_nobody_is_greeted_with_a_comma() -> None:
    assert [names.called(one) for one in ("Nilsen, Oda Marie", "ÆRØ, KÅRE", "Kari Nilsen")] == [
        "Oda",
        "Kåre",
        "Kari",
    ]


@pytest.mark.parametrize(
    ("typed", "registered"),
    [
        ("aile", "Áile-Máret Čáppa Øwre"),
        ("cappa", "Áile-Máret Čáppa Øwre"),
        (unicodedata.normalize("NFD", "Áile"), "Áile-Máret Čáppa Øwre"),
        ("aile-maret owre", "Áile-Máret Čáppa Øwre"),
        ("oewre", "Áile-Máret Čáppa Øwre"),
        ("annstad", "D'Angelo O’Neill Ånnstad"),
        ("aannstad", "D'Angelo O’Neill Ånnstad"),
        ("O'Neill", "D'Angelo O’Neill Ånnstad"),
        ("oneill dangelo", "D'Angelo O’Neill Ånnstad"),
        ("Gaup, Åse", "Åse Gaup"),
        ("ase gaup", "Åse Gaup"),
        ("Aase", "Åse Gaup"),
        ("bjork", "Bjørk Sæther"),
        ("saether", "Bjørk Sæther"),
        ("ŋaŋŋa", "Nanna Đorđe"),
        ("dorde", "Nanna Đorđe"),
        ("Muller", "Jörg Müller"),
    ],
)
def test_somebody_is_found_however_the_name_is_spelt(typed: str, registered: str) -> None:
    assert names.matches(typed, registered)


@pytest.mark.parametrize("typed", ["Gaup, Kari", "øse", ",", " - ", "gaupe"])
def test_nobody_else_is_found(typed: str) -> None:
    assert not names.matches(typed, "Åse Gaup")


@pytest.mark.parametrize(
    "name",
    [
        "Ã…se BjÃ¸rk",
        "Bj?rk",
        "Bj\ufffdrk",
        "Bj|rk",
        "K}re",
        "K&aring;re",
        "K=C3=A5re",
        "Bj√∏rk",
        "Bj├©rk",
        "Ã\x85se",
        "Äˆ¤",
        "MÃ¡ret Å¡",
    ],
)
def test_a_name_that_has_lost_its_letters_is_known(name: str) -> None:
    assert names.spoiled(name)


@pytest.mark.parametrize(
    "name",
    [
        "Áile-Máret Čáppa Øwre",
        "D'Angelo O’Neill Ånnstad",
        "JOÃO",
        "Kåre Å",
        "Ærø, Kåre",
        "Đorđe Ŋ",
        "Jürgen Groß",
        "Søren Aa. Ø",
        "«Å»",
    ],
)
def test_an_honest_name_is_never_called_spoiled(name: str) -> None:
    assert not names.spoiled(name)
