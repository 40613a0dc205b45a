"""Every word a user reads is in the catalogues; `make words` collects new ones."""

import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[2]
LOCALE = ROOT / "companion" / "locale"
TRANSLATIONS = ("nn", "se", "en")


def catalogue(lang: str) -> Catalog:
    with (LOCALE / lang / "LC_MESSAGES" / "messages.po").open("rb") as source:
        return read_po(source, locale=lang)


@pytest.fixture(scope="session")
def in_use(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """What the code and the templates say."""
    pot = tmp_path_factory.mktemp("words") / "messages.pot"
    command = [sys.executable, "-m", "babel.messages.frontend", "--quiet", "extract"]
    command += ["--mapping-file", "pyproject.toml", "--output-file", str(pot)]
    subprocess.run([*command, "companion", "notifications", "web"], cwd=ROOT, check=True)
    with pot.open("rb") as source:
        return read_po(source)


def test_the_code_says_something(in_use: Catalog) -> None:
    assert len(in_use) > 0


@pytest.mark.parametrize("lang", ["nb", *TRANSLATIONS])
def test_every_catalogue_knows_every_sentence(lang: str, in_use: Catalog) -> None:
    known = catalogue(lang)
    assert [said.id for said in in_use if said.id and known.get(said.id, said.context) is None] == []


def test_english_is_complete(in_use: Catalog) -> None:
    english = catalogue("en")
    translated = {
        (said.id, said.context) for said in english if not said.fuzzy and said.string and all(said.string)
    }
    assert [said.id for said in in_use if said.id and (said.id, said.context) not in translated] == []


@pytest.mark.parametrize("lang", TRANSLATIONS)
def test_translations_keep_their_placeholders(lang: str) -> None:
    assert [(said.id, [str(error) for error in errors]) for said, errors in catalogue(lang).check()] == []


def test_northern_sami_has_a_dual() -> None:
    """Babel's own rule for `se` lacks it."""
    assert catalogue("se").num_plurals == 3
