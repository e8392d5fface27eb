"""The formats of dates and times that columns of text are written in."""

import re
from collections.abc import Iterable
from datetime import date

TIME = "time"

# A year and the next one, such as 2010-11. Only whole columns of them are told from months.
SEASON = "yyyy-yy"
_NEXT = "|".join(rf"{year:02}(?=[-/\u2013](?:[0-9]{{2}})?{(year + 1) % 100:02}$)" for year in range(100))

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FULL = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november"),
    "december",
)
MONTH_NUMBERS = {name: number for names in (_MONTHS, _FULL) for number, name in enumerate(names, 1)} | {"sept": 9}

_NAME = r"(?P<name>[a-z]{3,9})\.?"
_DAY = r"(?P<d>[0-9]{1,2})"
_MONTH = r"(?P<m>[0-9]{1,2})"
_YEAR = r"(?P<y>[0-9]{4})"
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\ +)?"
_SUFFIX = r"(?:st|nd|rd|th)?"
_CLOCK = (
    r"(?P<H>[0-9]{1,2})(?::(?P<M>[0-9]{2})(?::(?P<S>[0-9]{2})(?:[.,](?P<f>[0-9]{1,9}))?)?|(?=\ ?[ap]\.?m))"
    r"\ ?(?P<half>[ap])?(?(half)\.?m\.?)"
)
_ZONE = r"(?:\ ?(?P<zone>z|utc|gmt|[+-][0-9]{2}(?::?[0-9]{2})?))?"
_TIME = rf"(?:(?:t|,?\ |,?\ at\ ){_CLOCK}{_ZONE})?"

# Formats in the order in which they are tried. mm/dd comes before dd/mm: where both fit, the caller decides.
_WRITTEN = {
    "yyyy-mm-dd": rf"{_YEAR}(?P<sep>[-/.]){_MONTH}(?P=sep){_DAY}{_TIME}",
    "mm/dd/yyyy": rf"{_MONTH}(?P<sep>[-/.]){_DAY}(?P=sep){_YEAR}{_TIME}",
    "dd/mm/yyyy": rf"{_DAY}(?P<sep>[-/.]){_MONTH}(?P=sep){_YEAR}{_TIME}",
    "mm/dd/yy": rf"{_MONTH}/{_DAY}/(?P<yy>[0-9]{{2}}){_TIME}",
    "dd/mm/yy": rf"{_DAY}/{_MONTH}/(?P<yy>[0-9]{{2}}){_TIME}",
    "dd.mm.yy": rf"(?P<d>[0-9]{{2}})\.(?P<m>[0-9]{{2}})\.(?P<yy>[0-9]{{2}}){_TIME}",
    "d month yyyy": rf"{_WEEKDAY}{_DAY}{_SUFFIX}[-\ ./]+{_NAME},?[-\ ./]+(?:{_YEAR}|(?P<yy>[0-9]{{2}})){_TIME}",
    "month d, yyyy": rf"{_WEEKDAY}{_NAME}[-\ ]+{_DAY}{_SUFFIX},?[-\ ]+{_YEAR}{_TIME}",
    "yyyy month d": rf"{_YEAR}[-\ ./]+{_NAME}[-\ ./]+{_DAY}{_TIME}",
    "month d hh:mm yyyy": rf"{_WEEKDAY}{_NAME}\ +{_DAY}\ +{_CLOCK}{_ZONE}\ +{_YEAR}",
    "yyyy-mm": rf"{_YEAR}[-/](?P<m>[0-9]{{2}})",
    "mm/yyyy": rf"{_MONTH}[-/]{_YEAR}",
    "month yyyy": rf"{_NAME},?[-\ ./]+(?:{_YEAR}|(?P<yy>[0-9]{{2}}))",
    "yyyy month": rf"{_YEAR}[-\ ./]*{_NAME}",
    "yyyyMm": rf"{_YEAR}[-\ ]?m{_MONTH}",
    "yyyy-Www": rf"{_YEAR}[-\ ]?w(?P<w>[0-9]{{1,2}})(?:-?(?P<d>[1-7]))?",
    "yyyyQq": rf"{_YEAR}[-\ ]?q(?P<q>[1-4])",
    "Qq yyyy": rf"q(?P<q>[1-4])[-\ /]?{_YEAR}",
    TIME: rf"{_CLOCK}",
    "yyyymmdd": r"(?P<y>[0-9]{4})(?P<m>[0-9]{2})(?P<d>[0-9]{2})",
    "yyyy": _YEAR,
    SEASON: rf"(?P<y>[0-9]{{2}}(?:{_NEXT}))[-/\u2013](?:[0-9]{{2}})?[0-9]{{2}}",
}
PATTERNS = {form: re.compile(pattern, re.IGNORECASE) for form, pattern in _WRITTEN.items()}

# Formats that other numbers have too: only for columns that are declared to hold dates, or that hold many days.
DECLARED = ("yyyymmdd", "yyyy")
FORMATS = tuple(form for form in _WRITTEN if form not in (*DECLARED, SEASON))

# What the formats are for a reader, each with the last day of 2024, or a time.
DESCRIBED = {
    "yyyy-mm-dd": "year-month-day, such as 2024-12-31",
    "mm/dd/yyyy": "month/day/year, such as 12/31/2024",
    "dd/mm/yyyy": "day/month/year, such as 31/12/2024",
    "mm/dd/yy": "month/day/year, the year in two digits, such as 12/31/24",
    "dd/mm/yy": "day/month/year, the year in two digits, such as 31/12/24",
    "dd.mm.yy": "day.month.year, the year in two digits, such as 31.12.24",
    "d month yyyy": "day, name of the month and year, such as 31 December 2024",
    "month d, yyyy": "name of the month, day and year, such as December 31, 2024",
    "yyyy month d": "year, name of the month and day, such as 2024 December 31",
    "month d hh:mm yyyy": "name of the month, day, time and year, such as December 31 23:59 2024",
    "yyyy-mm": "year-month, such as 2024-12",
    "mm/yyyy": "month/year, such as 12/2024",
    "month yyyy": "name of the month and year, such as December 2024",
    "yyyy month": "year and name of the month, such as 2024 December",
    "yyyyMm": "year and month, such as 2024M12",
    "yyyy-Www": "year and week, such as 2024-W52-7",
    "yyyyQq": "year and quarter, such as 2024Q4",
    "Qq yyyy": "quarter and year, such as Q4 2024",
    TIME: "time of day, such as 23:59",
    "yyyymmdd": "year, month and day without marks, such as 20241231",
    "yyyy": "year, such as 2024",
    SEASON: "a year and the next one, such as 2024-25",
}


def read_day(word: str, form: str) -> float | None:
    """Return the days since 1970-01-01 that a word means, or None if it is no date written in the format.

    For the format `time` it is the fraction of a day.
    """
    match = PATTERNS[form].fullmatch(word)
    if match is None:
        return None
    parts = match.groupdict()
    seconds = _read_seconds(parts)
    if seconds is None or form == TIME:
        return None if seconds is None else seconds / 86400
    month = MONTH_NUMBERS.get(parts["name"].lower(), 0) if parts.get("name") else int(parts.get("m") or 1)
    if parts.get("q"):
        month = 3 * int(parts["q"]) - 2
    two = parts.get("yy")
    year = int(two) + (2000 if int(two) < 69 else 1900) if two else int(parts["y"])
    first, last = year_limits(form)
    if not first <= year <= last:
        return None
    try:
        number = int(parts.get("d") or 1)
        when = date.fromisocalendar(year, int(parts["w"]), number) if parts.get("w") else date(year, month, number)
        day = when.toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return None
    return day + seconds / 86400


def year_limits(form: str) -> tuple[int, int]:
    """Return the first and the last year that a date of this format may have."""
    if form in DECLARED:
        return 1900, 2100
    return (1, 9999) if form == "yyyy-mm-dd" else (1000, 2999)


def has_two_digit_year(form: str, words: Iterable[str]) -> bool:
    """Return whether a word that is written in the format has a year of two digits."""
    if "yy" not in PATTERNS[form].groupindex:
        return False
    return any((match := PATTERNS[form].fullmatch(word)) is not None and match["yy"] is not None for word in words)


def _read_seconds(parts: dict[str, str | None]) -> float | None:
    """Return the seconds since midnight in UTC; 0 without a time, None if there is no such time."""
    if not parts.get("H"):
        return 0.0
    hour, minute, second = (int(parts.get(name) or 0) for name in "HMS")
    half, zone = parts.get("half"), parts.get("zone")
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half.lower() == "p" else 0)
    if minute > 59 or second > 59 or hour > 24 or (hour == 24 and minute + second):
        return None
    seconds = 3600 * hour + 60 * minute + second + float(f"0.{parts.get('f') or 0}")
    if zone and zone[0] in "+-":
        digits = zone[1:].replace(":", "")
        away = 3600 * int(digits[:2]) + 60 * int(digits[2:] or 0)
        seconds -= -away if zone[0] == "-" else away
    return seconds
