"""Dates and times: text in one format for a whole column, as days since 1970-01-01."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exp.config.overrides import column_override
from exp.data.columns.column import Floats
from exp.data.columns.date_formats import DECLARED, FORMATS, SEASON, TIME, has_two_digit_year, read_day
from exp.data.columns.gap_marks import gap_notes, is_gap
from exp.data.frame import Cells, import_pandas

# A column of dates may hold this share of other cells, or half if these are all the same word, such as "unknown".
_ODD_SHARE, _ODD_SHARE_OF_ONE_WORD = 0.1, 0.5

# So many different numbers that are all days without marks, such as 20240131, are no other numbers: of those between
# the first and the last day, one in 27 is a day.
_ENOUGH_DAYS, _FIRST_DAY, _LAST_DAY = 10, 19000101, 21001231

# The words in which the usual format of such a column is looked for.
_SAMPLE = 100

# The format of columns that hold times rather than text.
DATETIME = "datetime"


@dataclass(frozen=True)
class Dates:
    """The dates of a column.

    Attributes:
        values: Days since 1970-01-01 in UTC, float64 [N]; fractions are times, NaN are empty cells. For the format
            `time` the fraction of a day.
        format: How the dates are written, to be stored with the column.
        notes: What was decided, for the user.
    """

    values: Floats
    format: str
    notes: tuple[str, ...]

    @property
    def kind(self) -> str:
        """date or time."""
        return "time" if self.format == TIME else "date"


def parse_dates(name: str, cells: Cells, day_first: bool | None = None, is_declared: bool = False) -> Dates | None:
    """Return the dates that a column holds, or None if a cell is neither a date nor empty.

    Args:
        name: The name of the column, for notes.
        cells: Text or times [N], NaN for empty cells. Marks such as ? and - count as empty, with a note.
        day_first: Whether 1/2/2024 is in February; None: found in the cells, and January if they do not tell.
        is_declared: Whether the column is known to hold dates, so that 20240501 and 2024 are dates too.
    """
    pd = import_pandas()
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):
        return Dates(_read_times(cells), DATETIME, ())
    if pd.api.types.is_bool_dtype(cells.dtype) or (pd.api.types.is_numeric_dtype(cells.dtype) and not is_declared):
        return None
    codes, words = _factorize(cells)
    present = [word for word in words if not _is_gap(word)]
    fitting: list[tuple[str, list[float]]] = []
    is_season = len(set(present)) > 1 and _read_all(present, SEASON) is not None  # 2010-11 alone may be a month
    for form in [SEASON] if is_season else (*FORMATS, *(DECLARED if is_declared else ())):
        days = _read_all(present, form)
        if days:
            fitting.append((form, days))
    if not fitting:
        return None
    form, days = fitting[0]
    others = [other for other in fitting[1:] if other[0].startswith("dd/") and other[1] != days]
    notes: list[str] = []
    if others and form.startswith("mm/dd/"):
        is_dotted = all(map(_is_dotted, present))
        if day_first or (day_first is None and is_dotted):
            form, days = others[0]
        elif day_first is None:
            notes.append(
                f"column '{name}': {present[0]!r} is read as month/day/year; the other way: dataset.day_first=true"
            )
    if has_two_digit_year(form, present):
        notes.append(f"column '{name}': years of two digits are read as 1969 to 2068")
    if is_season:
        fix = column_override("dataset.kinds", name, "category")
        notes.append(f"column '{name}': {present[0]!r} is read as the year that begins then; for words: {fix}")
    counts = np.bincount(codes[codes >= 0], minlength=len(words)).tolist()
    marks = [(word, count) for word, count in zip(words, counts, strict=True) if _is_gap(word)]
    known = dict(zip(present, days, strict=True))
    values = np.array([*(known.get(word, np.nan) for word in words), np.nan])[codes]
    return Dates(values, form, (*gap_notes(name, marks), *notes))


def find_compact_day(cells: Cells) -> str | None:
    """Return the first number [N] if all are days without marks, such as 20240131, and enough to be nothing else."""
    types = import_pandas().api.types
    if types.is_bool_dtype(cells.dtype) or types.is_datetime64_any_dtype(cells.dtype):
        return None
    if types.is_numeric_dtype(cells.dtype) and not (cells.min() >= _FIRST_DAY and cells.max() <= _LAST_DAY):
        return None
    for part in (cells.head(_SAMPLE), cells):  # most columns of text differ in their first cells
        words = [word for word in _factorize(part)[1] if not _is_gap(word)]
        if _read_all(words, DECLARED[0]) is None:
            return None
    return words[0] if len(words) >= _ENOUGH_DAYS else None


def parse_mostly_dates(name: str, cells: Cells, day_first: bool | None) -> tuple[Dates, NDArray[np.bool_]] | None:
    """Return the dates of a column of text, and which cells [N] are something else, if few are.

    Those cells are NaN. None if the others make no dates with a year of four digits: 1.2.10 may be a version.
    """
    codes, words = _factorize(cells)
    form = _find_usual_format([word for word in words if not _is_gap(word)])
    if form is None:
        return None
    is_odd_word = [not _is_gap(word) and read_day(word, form) is None for word in words]
    is_odd = np.array([*is_odd_word, False], dtype=np.bool_)[codes]
    share = _ODD_SHARE_OF_ONE_WORD if sum(is_odd_word) == 1 else _ODD_SHARE
    if not 0 < int(is_odd.sum()) < share * int((codes >= 0).sum()):
        return None
    dates = parse_dates(name, cells.mask(is_odd), day_first)
    return None if dates is None or len(np.unique(dates.values[~np.isnan(dates.values)])) < 2 else (dates, is_odd)


def _find_usual_format(words: list[str]) -> str | None:
    """Return the format in which most words are written; None if it is none, or has years of two digits."""
    sample = words[:_SAMPLE]
    counts = {
        form: sum(read_day(word, form) is not None for word in sample) for form in (*FORMATS, SEASON) if form != TIME
    }
    form, count = max(counts.items(), key=lambda item: item[1])
    is_usual = count >= max(2, (1 - 2 * _ODD_SHARE) * len(sample))
    return form if is_usual and not has_two_digit_year(form, sample) else None


def read_dates(cells: Cells, form: str) -> tuple[Floats, NDArray[np.bool_]]:
    """Read new cells in the format of a column, or in another one that leaves no doubt: each as if it were alone.

    Returns:
        Values float64 [N], as those of `Dates`, and which cells [N] are neither dates nor empty.
    """
    pd = import_pandas()
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):
        values = _read_times(cells)
        return values, np.zeros(len(values), dtype=np.bool_)
    codes, words = _factorize(cells)
    days = [None if _is_gap(word) else _read_new_day(word, form) for word in words]
    is_wrong = [day is None and not _is_gap(word) for day, word in zip(days, words, strict=True)]
    values = np.array([*(np.nan if day is None else day for day in days), np.nan], dtype=np.float64)
    return values[codes], np.array([*is_wrong, False], dtype=np.bool_)[codes]


def new_formats(form: str) -> list[str]:
    """Return the formats in which new cells of a column may be written, its own first."""
    if form == SEASON:
        return [form]  # 2010-05 is rather a mistake than a month
    return [form, *(other for other in (*FORMATS, *DECLARED * (form in DECLARED)) if (other == TIME) == (form == TIME))]


def first_part(form: str) -> str:
    """Return which part of a date a format has first, if others with the same marks have another: dd, mm or none."""
    return form[:2] if form.startswith(("dd", "mm/dd")) else ""


def _read_new_day(word: str, form: str) -> float | None:
    """Return the day in the format of the column; else the one day that it can be in any other, or None.

    Of several days, the one in the order of the column counts. With dots the day of the month is the first.
    """
    if form != DATETIME and (own := read_day(word, form)) is not None:
        return own
    order = first_part(form) or "dd" * _is_dotted(word)
    days = [(read_day(word, other), first_part(other)) for other in new_formats(form)[1:]]
    for tried in (days, [one for one in days if one[1] == order]):
        known = {day for day, _ in tried} - {None}
        if len(known) == 1:
            return known.pop()
    return None


def _is_dotted(word: str) -> bool:
    return word.lstrip("0123456789").startswith(".")


def _factorize(cells: Cells) -> tuple[NDArray[np.int64], list[str]]:
    """Return the code [N] of each cell, -1 if it is empty, and the stripped words that the codes index."""
    codes, uniques = import_pandas().factorize(cells)
    words = [
        str(int(word)) if isinstance(word, float) and word.is_integer() else str(word) for word in uniques.tolist()
    ]
    return codes, [" ".join(word.split()) for word in words]


def _is_gap(word: str) -> bool:
    """Return whether a word is empty, a mark for an empty cell, or the zero date of MySQL."""
    return is_gap(word) or word.startswith("0000-00-00")


def _read_all(words: Iterable[str], form: str) -> list[float] | None:
    """Return the days of all words, or None if one of them is not written in the format."""
    days: list[float] = []
    for word in words:
        day = read_day(word, form)
        if day is None:
            return None
        days.append(day)
    return days


def _read_times(cells: Cells) -> Floats:
    """Return cells of pandas' times as days; those with a zone are converted to UTC."""
    pd = import_pandas()
    if cells.dt.tz is not None:
        cells = cells.dt.tz_convert("UTC").dt.tz_localize(None)
    return ((cells - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)).to_numpy(dtype=np.float64)
