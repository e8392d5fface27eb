"""The cells of a table that was read: which are empty, blanks around words, and marks among numbers."""

import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.config.overrides import quote_names
from exp.data.columns.gap_marks import gap_notes, is_gap
from exp.data.columns.parse_booleans import parse_booleans
from exp.data.frame import Cells, Frame, import_pandas
from exp.data.reading.header import is_number
from exp.data.reading.leading_zeros import first_leading_zero, lost_zero_notes
from exp.data.reading.rounded_numbers import rounded_notes
from exp.errors import pluralize

# Cells that are empty whatever else their column holds. `None` is not one of them: it may be a word.
EMPTY_WORDS = (
    *("", "NA", "N/A", "n/a", "NaN", "-NaN", "nan", "-nan", "NULL", "null", "<NA>", "#N/A", "#NA", "#N/A N/A"),
    *("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)

# Words that differ only in case are looked for in columns of at most this many words.
_MAX_WORDS = 50


@dataclass(frozen=True)
class EmptyValues:
    """The words and numbers that stand for an empty cell, besides EMPTY_WORDS, and those of EMPTY_WORDS that do not."""

    words: frozenset[str] = frozenset()
    numbers: frozenset[float] = frozenset()
    kept: frozenset[str] = frozenset()

    def includes(self, word: str) -> bool:
        """Return whether a stripped word stands for an empty cell; numbers compare as numbers."""
        return (
            (word in EMPTY_WORDS and word not in self.kept)
            or word in self.words
            or (bool(self.numbers) and is_number(word) and float(word) in self.numbers)
        )


def parse_empty_values(values: Sequence[object] | None, kept: Sequence[object] | None = None) -> EmptyValues:
    """Return `dataset.na_values` as words and numbers, without the words `dataset.keep_words`."""
    words = frozenset(str(value).strip() for value in values or () if value is not None)
    booleans = frozenset(spelled for word in words & {"True", "False"} for spelled in (word.lower(), word.upper()))
    numbers = frozenset(float(word) for word in words if is_number(word))
    return EmptyValues(words | booleans, numbers, frozenset(str(word).strip() for word in kept or ()))


def clean_cells(
    frame: Frame, empty: EmptyValues, text: Collection[str], decimal: str | None = "."
) -> tuple[Frame, list[str]]:
    """Return the frame with NaN for each empty cell and without blanks around words, and notes.

    A column that holds only plain numbers and marks such as ? becomes one of numbers, unless it is in `text` or the
    `decimal` mark is not a point: 4.098 may be 4098 then, which the parser of its column decides.
    """
    types = import_pandas().api.types
    notes: list[str] = []
    changed: dict[str, Cells] = {}
    parsed: dict[str, Cells] = {}
    lost: list[tuple[str, str, int]] = []
    for name in frame.columns:
        cells = frame[name]
        if types.is_bool_dtype(cells.dtype) or types.is_datetime64_any_dtype(cells.dtype):
            continue
        if types.is_numeric_dtype(cells.dtype):
            if empty.numbers and (is_empty := cells.isin(list(empty.numbers))).any():
                changed[name] = cells.astype(np.float64).mask(is_empty)
        elif _holds_words(cells):
            cleaned, more = _clean_words(name, cells, empty, name in text or decimal not in (None, "."))
            notes += more
            lost += [(name, *word) for word in _lost_words(name, cells, cleaned)]
            if cleaned is not cells:
                changed[name] = parsed[name] = cleaned
    notes += _parsing_notes(frame, {name: cells for name, cells in parsed.items() if types.is_numeric_dtype(cells)})
    if lost:
        listed = ", ".join(f"{name} {word!r} ({count:,})" for name, word, count in lost)
        fix = shlex.quote(f"dataset.keep_words={quote_names(sorted({word for _, word, _ in lost}))}")
        notes.append(f"words read as empty cells: {listed}; to keep them as words: {fix}")
    return frame.assign(**changed) if changed else frame, notes


def _parsing_notes(frame: Frame, parsed: Mapping[str, Cells]) -> list[str]:
    """Return notes on columns of `frame` that are spelled in a way that is lost in `parsed`, their numbers."""
    firsts = {name: first_leading_zero(frame[name].dropna().astype(str).str.strip().unique()) for name in parsed}
    zeros = {name: cell for name, cell in firsts.items() if cell is not None}
    return [*lost_zero_notes(zeros), *rounded_notes(parsed.items())]


def _lost_words(name: str, cells: Cells, cleaned: Cells) -> list[tuple[str, int]]:
    """Return the words such as NA that became empty cells among other words, and how often each did."""
    pd = import_pandas()
    if cleaned is cells or pd.api.types.is_numeric_dtype(cleaned):
        return []
    kept = cleaned.dropna().unique().tolist()
    if all(re.search(r"\d", word) for word in kept) or parse_booleans(name, pd.Series(kept)) is not None:
        return []  # dates, numbers with units and booleans do not have such words
    words = cells[cleaned.isna() & cells.notna()].astype(str).str.strip()
    return [(str(word), int(count)) for word, count in words.value_counts().items() if word in EMPTY_WORDS[1:]]


def _holds_words(cells: Cells) -> bool:
    """Return whether the cells are text, rather than booleans with empty cells among them or a category of numbers."""
    pd = import_pandas()
    if isinstance(cells.dtype, pd.CategoricalDtype):
        return not pd.api.types.is_numeric_dtype(cells.cat.categories.dtype)
    return not pd.api.types.is_bool_dtype(cells.dropna().infer_objects().dtype)


def _clean_words(name: str, cells: Cells, empty: EmptyValues, is_text: bool) -> tuple[Cells, list[str]]:
    """Return the cells of a column of words, cleaned, and notes. The same object if nothing is to be cleaned."""
    pd = import_pandas()
    codes, uniques = pd.factorize(cells)
    spelled = [str(word) for word in uniques.tolist()]
    words = [(word.replace("\0", "") if "\0" in word else word).strip() for word in spelled]
    kept = [word for word in words if not empty.includes(word)]
    if not is_text and (numbers := _read_numbers(kept)) is not None:
        counts = np.bincount(codes[codes >= 0], minlength=len(words))
        marks = {word: 0 for word in kept if not is_number(word)}
        for word, count in zip(words, counts, strict=True):
            if word in marks:
                marks[word] += int(count)
        values = np.array([numbers.get(word, np.nan) for word in words] + [np.nan])[codes]  # the code of NaN is -1
        return _as_numbers(values, cells, kept), list(gap_notes(name, marks.items()))
    notes = _merge_notes(name, spelled, words, kept)
    if words == spelled and len(kept) == len(words) and not isinstance(cells.dtype, pd.CategoricalDtype):
        return cells, notes
    shown: NDArray[Any] = np.array([*(None if empty.includes(word) else word for word in words), None], dtype=object)
    is_string = isinstance(cells.dtype, pd.StringDtype)
    return pd.Series(shown[codes], index=cells.index, dtype=cells.dtype if is_string else None), notes


def _read_numbers(words: Sequence[str]) -> dict[str, float] | None:
    """Return the numbers among words, if there are any and all others are marks for empty cells."""
    numbers: dict[str, float] = {}
    for word in words:
        if is_number(word):
            numbers[word] = float(word)
        elif not is_gap(word):
            return None
    return numbers or None


def _as_numbers(values: NDArray[Any], cells: Cells, words: Sequence[str]) -> Cells:
    """Return values as int64 if they are written as whole numbers and none is missing, as the reader of text does."""
    is_whole = all(word.lstrip("+-").isdigit() and len(word) < 16 for word in words) and not np.isnan(values).any()
    return import_pandas().Series(values.astype(np.int64) if is_whole else values, index=cells.index)


def lookalike_notes(what: str, words: Iterable[str]) -> list[str]:
    """Return a note where words look the same and are spelled with other characters: é, and e with an accent."""
    by_form: dict[str, list[str]] = {}
    for word in words:
        by_form.setdefault(word if word.isascii() else unicodedata.normalize("NFC", word), []).append(word)
    pair = next((same for same in by_form.values() if len(same) > 1), None)
    if pair is None:
        return []
    return [f"{what}: words that look the same are different: {', '.join(map(ascii, pair))}; as one: in Unicode's NFC"]


def _merge_notes(name: str, spelled: Sequence[str], words: Sequence[str], kept: Sequence[str]) -> list[str]:
    """Return a note where stripping makes one word of two, and one where words differ only in case."""
    notes: list[str] = []
    counts = Counter(kept)
    if len(counts) < len(kept):
        merged = next(word for word, other in zip(words, spelled, strict=True) if word != other and counts[word] > 1)
        count = len(kept) - len(counts)
        notes.append(
            f"column '{name}': removed blanks around words, which merged {pluralize(count, 'spelling')}, such as "
            f"{merged!r}"
        )
    if len(counts) <= _MAX_WORDS and parse_booleans(name, import_pandas().Series(kept)) is None:
        by_case: dict[str, list[str]] = {}
        for word in counts:
            by_case.setdefault(word.casefold(), []).append(word)
        if pair := next((same for same in by_case.values() if len(same) > 1), None):
            notes.append(f"column '{name}': words that differ only in case are different: {', '.join(map(repr, pair))}")
        notes += lookalike_notes(f"column '{name}'", counts)
    return notes
