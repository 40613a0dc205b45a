"""Days, times, numbers and ages as people say them."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from web.house import pages

NOW = datetime(2026, 11, 24, 9, 7, tzinfo=UTC)
NBSP = "\u00a0"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "lang", "said"),
    [
        ("2026-11-24T09:00", "nb", f"i dag kl.{NBSP}10.00"),
        ("2026-11-25T09:00", "nb", f"i morgen kl.{NBSP}10.00"),
        ("2026-11-23T14:40", "nb", f"i går kl.{NBSP}15.40"),
        ("2026-12-08T09:00", "nb", f"tirsdag 8. desember kl.{NBSP}10.00"),
        ("2027-02-08T09:00", "nb", f"mandag 8. februar 2027 kl.{NBSP}10.00"),
        ("2026-11-25T09:00", "en", "tomorrow at 10:00"),
        ("2026-12-08T09:00", "en", "Tuesday 8 December at 10:00"),
    ],
)
def test_a_moment_is_said_as_people_say_it(moment: str, lang: str, said: str) -> None:
    assert pages.say_moment(at(moment), lang=lang, now=NOW) == said


def test_the_day_turns_at_norwegian_midnight() -> None:
    assert pages.say_day(at("2026-11-24T23:30"), lang="nb", now=NOW) == "i morgen"
    assert pages.say_day(at("2026-11-24T22:30"), lang="nb", now=NOW) == "i dag"


def test_summer_time_is_shown_as_the_clock_on_the_wall() -> None:
    assert pages.say_hhmm(at("2027-03-28T00:59"), lang="nb") == "01.59"
    assert pages.say_hhmm(at("2027-03-28T01:00"), lang="nb") == "03.00"


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        pages.say_clock(NOW.replace(tzinfo=None), lang="nb")


def test_dates_carry_their_year_and_columns_are_short() -> None:
    assert pages.say_date(date(1958, 5, 4), lang="nb") == "4. mai 1958"
    assert pages.say_short_day(date(2026, 11, 10), lang="nb") == f"ti{NBSP}10.{NBSP}nov"


@pytest.mark.parametrize(
    ("number", "said", "address"),
    [
        ("+4740000000", f"400{NBSP}00{NBSP}000", "tel:+4740000000"),
        ("+4777000000", f"77{NBSP}00{NBSP}00{NBSP}00", "tel:+4777000000"),
        ("77 00 00 00", f"77{NBSP}00{NBSP}00{NBSP}00", "tel:+4777000000"),
        ("116117", f"116{NBSP}117", "tel:116117"),
        ("113", "113", "tel:113"),
        ("+46701234567", f"+46{NBSP}70{NBSP}123{NBSP}45{NBSP}67", "tel:+46701234567"),
        ("ikke et nummer", "ikke et nummer", "tel:"),
    ],
)
def test_numbers_are_grouped_and_never_broken(number: str, said: str, address: str) -> None:
    assert pages.phone(number) == said
    assert pages.tel(number) == address


def test_age_counts_birthdays_in_norway() -> None:
    assert pages.say_age(date(1958, 11, 24), now=NOW) == 68
    assert pages.say_age(date(1958, 11, 25), now=NOW) == 67
    assert pages.say_age(date(1958, 11, 25), now=at("2026-11-24T23:30")) == 68


def test_wheel_texts_take_two_lines_at_most() -> None:
    assert pages.wheel_lines("Fastlege") == ["Fastlege"]
    assert pages.wheel_lines("Koordinerende enhet") == ["Koordinerende", "enhet"]
    assert len(pages.wheel_lines("Ambulant rehabiliteringsteam ved sykehuset i nord")) == 2


def test_an_untranslated_language_falls_back_to_the_source() -> None:
    assert (
        pages.translations("se").gettext("En setning ingen har oversatt") == "En setning ingen har oversatt"
    )
    with pytest.raises(ValueError, match="no such language"):
        pages.translations("fr")


PAGE = "{% extends 'frames/focus.html' %}{% set heading = 'Er du <Kari>?' %}{% set here = '' %}"


def render(dist: Path, lang: str = "nb") -> str:
    env = pages.environment(dist)
    template = env.from_string(PAGE)
    return template.render(
        lang=lang,
        now=NOW,
        csrf_token="t",
        product="Følge",
        scheme="auto",
        size="md",
        demo=None,
        unit=None,
        push=None,
        drafts=None,
        stays=None,
        address=None,
        part=False,
        user=None,
    )


def test_a_page_without_built_assets_says_so_and_still_works(tmp_path: Path) -> None:
    html = render(tmp_path)
    assert "uten utforming" in html
    assert "/static/dist" not in html
    assert "<h1>Er du &lt;Kari&gt;?</h1>" in html


def test_built_assets_are_named_by_their_hash(tmp_path: Path) -> None:
    names = ("person.css", "person.js", "icons/brand", "icons/speak", "icon.svg", "icon-180.png")
    (tmp_path / "manifest.json").write_text(str({name: f"{name}-1a2b" for name in names}).replace("'", '"'))
    html = render(tmp_path)
    assert 'href="/static/dist/person.css-1a2b"' in html
    assert "uten utforming" not in html


def test_the_frame_speaks_the_readers_language(tmp_path: Path) -> None:
    html = render(tmp_path, lang="en")
    assert '<html lang="en"' in html
    assert "Skip to content" in html
