"""The catalogues of sentences, read from their .po files once a process."""

import io
from functools import cache
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

from companion.rules.texts import LANGUAGES

_CATALOGUES = Path(__file__).parent / "locale"


@cache
def translations(lang: str) -> NullTranslations:
    """The catalogue of one language; what it lacks is said in bokmål, the source."""
    if lang not in LANGUAGES:
        raise ValueError(f"no such language: {lang!r}")
    with (_CATALOGUES / lang / "LC_MESSAGES" / "messages.po").open("rb") as source:
        catalogue = read_po(source, locale=lang)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)
