"""How a page becomes HTML: one Jinja environment, four languages, and Norwegian ways to say a day or a number."""

import json
import textwrap
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
import phonenumbers
from babel.dates import format_date
from jinja2.runtime import Context
from markupsafe import Markup

from companion.catalogues import translations as translations

LANGUAGES = ("nb", "nn", "se", "en")
OSLO = ZoneInfo("Europe/Oslo")

_HERE = Path(__file__).resolve().parent.parent
_NBSP = "\u00a0"
_SHORT_NUMBERS = {"116117": f"116{_NBSP}117", "116123": f"116{_NBSP}123"}


@cache
def environment(dist: Path = _HERE / "static" / "dist") -> jinja2.Environment:
    """The environment every page is rendered in, one a process; `dist` is where `.ci/build-assets` put its files.

    Without a manifest there the pages still work, unstyled and with a banner that says so.
    """
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do", "jinja2.ext.loopcontrols"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    env.policies["ext.i18n.trimmed"] = True
    files = _manifest(dist)

    def asset(name: str) -> str:
        return f"/static/dist/{files[name]}"

    env.globals.update(
        asset=asset,
        assets_built=bool(files),
        gettext=_gettext,
        ngettext=_ngettext,
        pgettext=_pgettext,
        _=_gettext,
        languages={"nb": "Bokmål", "nn": "Nynorsk", "se": "Davvisámegiella", "en": "English"},
    )
    env.filters.update(
        day=_day,
        short_day=_short_day,
        date=_date,
        hhmm=_hhmm,
        clock=_clock,
        moment=_moment,
        age=_age,
        iso=_iso,
        phone=phone,
        tel=tel,
        sentence=sentence,
        wheel_lines=wheel_lines,
    )
    return env


def asset_file(env: jinja2.Environment, name: str, static: Path) -> Path | None:
    """Where the built file lies, for what is served under a name of its own; None when nothing is built."""
    if not env.globals["assets_built"]:
        return None
    address: str = env.globals["asset"](name)  # type: ignore[operator]
    return static / address.removeprefix("/static/")


def render(env: jinja2.Environment, name: str, context: Mapping[str, Any]) -> str:
    """The page `name` as HTML. What the frames need in `context` is written at the top of `base.html`."""
    return env.get_template(name).render(context)


def phone(number: str) -> str:
    """A number as people write it, never broken over two lines: `400 00 000`, `77 00 00 00`, `116 117`."""
    digits = number.replace(" ", "").replace(_NBSP, "")
    if digits in _SHORT_NUMBERS:
        return _SHORT_NUMBERS[digits]
    try:
        parsed = phonenumbers.parse(digits, "NO")
    except phonenumbers.NumberParseException:
        return number
    if not phonenumbers.is_possible_number(parsed):
        return number
    if parsed.country_code == 47:
        return _NBSP.join(_home_groups(str(parsed.national_number)))
    international = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return international.replace(" ", _NBSP)


def _home_groups(number: str) -> list[str]:
    # Mobiles are said 400 00 000, landlines 77 00 00 00, free numbers 800 300 61; phonenumbers says both in pairs.
    cuts = {"4": (0, 3, 5, 8), "9": (0, 3, 5, 8), "8": (0, 3, 6, 8)}.get(number[:1], (0, 2, 4, 6, 8))
    return [number[a:b] for a, b in pairwise(cuts)] if len(number) == 8 else [number]


def tel(number: str) -> str:
    """The `tel:` address of a number."""
    digits = "".join(c for c in number if c in "+0123456789")
    if digits.startswith("+") or len(digits) != 8:
        return f"tel:{digits}"
    return f"tel:+47{digits}"


def sentence(text: str) -> str:
    """The text with a capital first letter, the rest untouched."""
    return text[:1].upper() + text[1:]


def wheel_lines(text: str, width: int = 14) -> list[str]:
    """The text in at most two lines that fit a circle of the care wheel; the list under it has the whole."""
    lines = textwrap.wrap(text.replace("-", "-\u200b"), width, break_on_hyphens=False) or [""]
    if len(lines) > 2:
        lines = [lines[0], textwrap.shorten(" ".join(lines[1:]), width, placeholder="…")]
    return [line.replace("\u200b", "") for line in lines]


def say_day(value: date | datetime, *, lang: str, now: datetime) -> str:
    """`i dag`, `i morgen`, `i går`, else `tirsdag 24. november`, with the year when it is another one."""
    that, today = _local_date(value), _local_date(now)
    words = translations(lang)
    near = {
        0: words.gettext("i dag"),
        1: words.gettext("i morgen"),
        -1: words.gettext("i går"),
    }
    if (that - today).days in near:
        return near[(that - today).days]
    pattern = "EEEE d MMMM" if lang == "en" else "EEEE d. MMMM"
    if that.year != today.year:
        pattern += " y"
    return format_date(that, pattern, locale=_babel(lang))


def say_clock(value: datetime, *, lang: str) -> str:
    """`kl. 10.00`, in Norwegian wall clock."""
    return translations(lang).gettext("kl. %(time)s") % {"time": say_hhmm(value, lang=lang)}


def say_hhmm(value: datetime, *, lang: str) -> str:
    """`10.00` (English: `10:00`), in Norwegian wall clock."""
    return _local(value).strftime("%H:%M" if lang == "en" else "%H.%M")


def say_moment(value: datetime, *, lang: str, now: datetime) -> str:
    """`i morgen kl. 10.00`."""
    return f"{say_day(value, lang=lang, now=now)} {say_clock(value, lang=lang)}".replace(
        "kl. ", f"kl.{_NBSP}"
    )


def say_date(value: date | datetime, *, lang: str) -> str:
    """`4. mai 1958`."""
    return format_date(_local_date(value), "d MMMM y" if lang == "en" else "d. MMMM y", locale=_babel(lang))


def say_weekday(value: date | datetime, *, lang: str) -> str:
    """`tirsdag 24. november`, also when it is today."""
    return format_date(
        _local_date(value), "EEEE d MMMM" if lang == "en" else "EEEE d. MMMM", locale=_babel(lang)
    )


def say_day_of_month(value: date | datetime, *, lang: str) -> str:
    """`8. desember`."""
    return format_date(_local_date(value), "d MMMM" if lang == "en" else "d. MMMM", locale=_babel(lang))


def say_short_day(value: date | datetime, *, lang: str) -> str:
    """`ti 24. nov`: for columns of dates."""
    that, where = _local_date(value), _babel(lang)
    weekday = format_date(that, "EEEEEE" if lang in ("nb", "nn") else "EEE", locale=where).rstrip(".")
    rest = format_date(that, "d MMM" if lang == "en" else "d. MMM", locale=where).rstrip(".")
    return f"{weekday} {rest}".replace(" ", _NBSP)


def say_age(born: date, *, now: datetime) -> int:
    """Whole years lived on that Norwegian day."""
    today = _local_date(now)
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


@jinja2.pass_context
def _day(context: Context, value: date | datetime) -> str:
    return say_day(value, lang=context["lang"], now=context["now"])


@jinja2.pass_context
def _clock(context: Context, value: datetime) -> str:
    return say_clock(value, lang=context["lang"]).replace("kl. ", f"kl.{_NBSP}")


@jinja2.pass_context
def _hhmm(context: Context, value: datetime) -> str:
    return say_hhmm(value, lang=context["lang"])


@jinja2.pass_context
def _moment(context: Context, value: datetime) -> str:
    return say_moment(value, lang=context["lang"], now=context["now"])


@jinja2.pass_context
def _date(context: Context, value: date | datetime) -> str:
    return say_date(value, lang=context["lang"])


@jinja2.pass_context
def _short_day(context: Context, value: date | datetime) -> str:
    return say_short_day(value, lang=context["lang"])


@jinja2.pass_context
def _age(context: Context, born: date) -> int:
    return say_age(born, now=context["now"])


def _iso(value: date | datetime) -> str:
    return (
        value.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")
        if isinstance(value, datetime)
        else value.isoformat()
    )


@jinja2.pass_context
def _gettext(context: Context, message: str, /, **values: object) -> str:
    return _fill(context, translations(context["lang"]).gettext(message), values)


@jinja2.pass_context
def _ngettext(context: Context, one: str, many: str, n: int, /, **values: object) -> str:
    return _fill(context, translations(context["lang"]).ngettext(one, many, n), {"num": n, **values})


@jinja2.pass_context
def _pgettext(context: Context, about: str, message: str, /, **values: object) -> str:
    return _fill(context, str(translations(context["lang"]).pgettext(about, message)), values)


def _fill(context: Context, text: str, values: Mapping[str, object]) -> str:
    # Always through %, like Jinja's newstyle gettext: a literal per cent sign in a sentence is written %%.
    return (Markup(text) if context.eval_ctx.autoescape else text) % values


def _local(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a moment without a time zone cannot be shown")
    return value.astimezone(OSLO)


def _local_date(value: date | datetime) -> date:
    return _local(value).date() if isinstance(value, datetime) else value


def _babel(lang: str) -> str:
    return "en_GB" if lang == "en" else lang


def _manifest(dist: Path) -> dict[str, str]:
    try:
        files = json.loads((dist / "manifest.json").read_text())
    except FileNotFoundError:
        return {}
    return {str(name): str(file) for name, file in files.items()}
