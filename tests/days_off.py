"""Norwegian days off by our own reckoning: Easter by Gauss's rule as Meeus wrote it down, and the fixed days."""

from datetime import date, timedelta


def easter(year: int) -> date:
    """Easter Sunday."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    f = (b + 8) // 25
    g = (b - f + 1) // 3
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    moon = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * moon) // 451
    month, day = divmod(h + moon - 7 * m + 114, 31)
    return date(year, month, day + 1)


def days_off(year: int) -> dict[date, str]:
    """The public holidays of a year, named; Sundays apart."""
    sunday = easter(year)
    return {
        date(year, 1, 1): "første nyttårsdag",
        sunday - timedelta(days=3): "skjærtorsdag",
        sunday - timedelta(days=2): "langfredag",
        sunday: "første påskedag",
        sunday + timedelta(days=1): "andre påskedag",
        date(year, 5, 1): "første mai",
        date(year, 5, 17): "syttende mai",
        sunday + timedelta(days=39): "Kristi himmelfartsdag",
        sunday + timedelta(days=49): "første pinsedag",
        sunday + timedelta(days=50): "andre pinsedag",
        date(year, 12, 25): "første juledag",
        date(year, 12, 26): "andre juledag",
    }


def is_without_post(day: date) -> bool:
    """A day off, or one of the two Eves: nobody is written to unasked."""
    return is_day_off(day) or (day.month, day.day) in ((12, 24), (12, 31))


def is_day_off(day: date) -> bool:
    """Saturdays and Sundays too: nobody is asked then."""
    return day.weekday() >= 5 or day in days_off(day.year)
