"""How a number is written in a cell: its digits and marks, a currency or a unit, bounds, brackets for negatives."""

import re
from dataclasses import dataclass
from functools import cache
from math import inf


@dataclass(frozen=True)
class Notation:
    """How the numbers of a column are written. `dataclasses.asdict` makes JSON of it, and `Notation(**json)` reads it.

    Attributes:
        decimal: The decimal mark.
        thousands: The mark between groups of three digits, "" for none.
        prefix: The currency before the numbers, "" for none.
        suffix: The unit, currency or % after the numbers, "" for none.
    """

    decimal: str = "."
    thousands: str = ""
    prefix: str = ""
    suffix: str = ""

    def __str__(self) -> str:
        """Return an example of the notation."""
        number = f"1{self.thousands}234{self.decimal}5"
        return f"{self.prefix}{number}{' ' if self.suffix else ''}{self.suffix}"

    @property
    def has_unit(self) -> bool:
        """Whether the numbers have a unit or a %, so that a cell without it may mean another number."""
        return bool(self.suffix) and not re.fullmatch(CURRENCY, self.suffix, re.IGNORECASE)


PLAIN = Notation()


def declared_notation(decimal: str | None) -> Notation:
    """Return how numbers are written that a file with the declared decimal mark has, as far as its reader knows it."""
    return PLAIN if decimal in (None, ".") else Notation(decimal, "." if decimal == "," else "")


_BLANKS = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t"
PLAINLY = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2019\u02bc\u00b4`\u2032", "'"),
        **dict.fromkeys(_BLANKS, " "),
        "\uff0b": "+",
        "\u2264": "<",
        "\u2265": ">",
        "\u2248": "~",
    }
)
CURRENCY = (
    r"(?:US|CA|AU|NZ|HK|NT|MX|C|A|R|S)?\$|[\u20a0-\u20c0\u00a3\u00a5\u00a2\u0e3f]|Rs\.?|kr\.?|z\u0142|K\u010d|Ft|Fr\.?"
    r"|USD|EUR|GBP|JPY|CHF|CNY|RMB|INR|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RUB|BRL|MXN|ZAR|SGD|HKD|KRW|TRY|ILS|THB"
)
# The blanks are possessive: a run of them belongs to one place, and a long one is not tried at every place.
CELL = re.compile(
    rf"""(?P<censored><=|>=|<|>|~)?\ *+
    (?P<sign>[-+])?\ *+(?P<prefix>{CURRENCY})?\ *+(?P<open>\()?\ *+(?P<sign2>[-+])?\ *+(?P<prefix2>{CURRENCY})?\ *+
    (?P<number>[.,]?[0-9]+(?:[.,'_\ ][0-9]+)*[.,]?)(?P<exponent>e[-+]?[0-9]+)?(?P<more>\+)?(?:\ *+(?P<trailing>-))?
    (?:\ *+(?P<suffix>[^\s\d.,;:<>=+\-'"_()/*?\#!|~][^;:<>=()"]{{0,30}}))?\ *+(?P<close>\))?(?P<more2>\+)?""",
    re.IGNORECASE | re.VERBOSE,
)
_INFINITE = re.compile(r"[-+]?(?:inf|infinity|\u221e)", re.IGNORECASE)


@dataclass(frozen=True)
class NumberCell:
    """The parts of a cell: `sign` times the number with these digits and marks, between a prefix and a suffix."""

    sign: float
    number: str
    exponent: str
    prefix: str
    suffix: str
    bound: str  # <, >, ~ or +
    is_trailing: bool = False  # whether the sign is behind the number, as in 3.4-


def split_cell(word: str) -> NumberCell | None:
    """Return the parts of a cell, or None if it is no number in any notation."""
    word = word.translate(PLAINLY)
    if _INFINITE.fullmatch(word):
        return NumberCell(-1.0 if word[0] == "-" else 1.0, "inf", "", "", "", "")
    match = CELL.fullmatch(word)
    if match is None or (match["open"] is None) != (match["close"] is None):
        return None
    signs = [sign for sign in (match["sign"], match["sign2"], match["trailing"]) if sign]
    prefixes = [prefix for prefix in (match["prefix"], match["prefix2"]) if prefix]
    bounds = [mark for mark in (match["more"], match["more2"]) if mark]
    if len(signs) + (match["open"] is not None) > 1 or len(prefixes) > 1:
        return None
    if len(bounds) + (match["trailing"] is not None) > 1:
        return None
    is_negative = match["open"] is not None or signs == ["-"]
    return NumberCell(
        sign=-1.0 if is_negative else 1.0,
        number=match["number"],
        exponent=match["exponent"] or "",
        prefix=prefixes[0].upper() if prefixes else "",
        suffix=" ".join((match["suffix"] or "").split()),
        bound=(match["censored"] or "") + "".join(bounds),
        is_trailing=match["trailing"] is not None,
    )


def value_of(cell: NumberCell, notation: Notation) -> float | None:
    """Return the number of a cell in a notation, or None if it is not written so."""
    if cell.number == "inf":
        return cell.sign * inf
    if not number_pattern(notation.decimal, notation.thousands).fullmatch(cell.number):
        return None
    digits = cell.number.replace(notation.thousands, "") if notation.thousands else cell.number
    return cell.sign * float(digits.replace(notation.decimal, ".") + cell.exponent)


@cache
def number_pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    """Return the pattern of the digits and marks of a number."""
    point, mark = re.escape(decimal), re.escape(thousands)
    whole = r"[0-9]+"
    if mark:  # also the groups of two digits of Indian numbers
        whole += rf"|[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+|[1-9][0-9]?(?:{mark}[0-9]{{2}})+{mark}[0-9]{{3}}"
    return re.compile(rf"(?:{whole})(?:{point}[0-9]*)?|{point}[0-9]+")
