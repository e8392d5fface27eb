"""Numbers that are not written plainly: 1,234.5 and 1.234,5, $3.50, 12 %, (3.4), 3.4-, 65 kg, <0.5.

One notation holds for a whole column. It is stored with the column, so that new rows are read in the same way.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exp.config.overrides import column_override
from exp.data.columns.column import Floats
from exp.data.columns.gap_marks import gap_notes, is_gap
from exp.data.columns.number_cells import PLAIN, Notation, NumberCell, split_cell, value_of
from exp.data.frame import Cells, import_pandas
from exp.errors import pluralize


@dataclass(frozen=True)
class Numbers:
    """The values float64 [N] of a column, NaN for empty cells; how it writes them; and notes for the user."""

    values: Floats
    notation: Notation
    notes: tuple[str, ...]


# A column of numbers may hold this share of other cells, or half if these are all the same word, such as "unknown".
_ODD_SHARE, _ODD_SHARE_OF_ONE_WORD = 0.1, 0.5

# Words of digits and letters, and a letter that is no unit at the end.
_CODE, _INNER_LETTER = re.compile(r"(?=\D*\d)[^\W_]*[^\W\d_][^\W_]*", re.ASCII), re.compile(r"[^\W\d_]\d", re.ASCII)

# Decimal mark and mark of the thousands, in the order in which they are tried.
_MARKS = ((".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"), (".", "_"))


def parse_numbers(name: str, cells: Cells, decimal: str | None = None, for_words: str | None = None) -> Numbers | None:
    """Return the numbers that a column of text holds, or None if a cell is neither a number nor empty.

    Args:
        name: The name of the column, for notes.
        cells: Text [N], NaN for empty cells. Marks such as ? and - count as empty, with a note.
        decimal: The declared decimal mark, if it is not the point.
        for_words: The override that keeps the cells as words, "" if there is none; None: that of a feature.
    """
    codes, words = _factorize(cells)
    split = [None if is_gap(word) else split_cell(word) for word in words]
    present = [cell for cell in split if cell is not None]
    if not present or any(cell is None and not is_gap(word) for cell, word in zip(split, words, strict=True)):
        return None
    affixes = _find_affixes(present)
    notations = [Notation(*marks, *affixes) for marks in _order(decimal)] if affixes else []
    fitting = [notation for notation in notations if all(value_of(cell, notation) is not None for cell in present)]
    if not fitting:
        return None
    notation = fitting[0]
    known = [None if cell is None else value_of(cell, notation) for cell in split]
    if not _are_bounds_numbers(present, notation):
        return None
    counts = np.bincount(codes[codes >= 0], minlength=len(words)).tolist()
    notes = [*gap_notes(name, [(word, count) for word, count in zip(words, counts, strict=True) if is_gap(word)])]
    if notation != PLAIN:
        read = {word: value for word, value in zip(words, known, strict=True) if value is not None}
        special = [
            word for word in read if not re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", word)
        ]  # plain ones show nothing
        example = max((word for word in special if np.isfinite(read[word])), key=len, default=max(read, key=len))
        value = read[example]
        notes.append(f"column '{name}': numbers are written as {notation}: {example!r} is {value}")
    negative = [word for word, cell in zip(words, split, strict=True) if cell and (cell.is_trailing or "(" in word)]
    if negative:
        fix = column_override("dataset.kinds", name, "category") if for_words is None else for_words
        what = f"column '{name}': cells such as {negative[0]!r} are negative numbers"
        notes.append(f"{what}; for words: {fix}" if fix else what)
    if other := _find_other(present, notation, fitting):
        fix = "'dataset.decimal=\",\"'" if other.decimal == "," else "dataset.decimal=."
        notes.append(f"column '{name}': {notation.thousands!r} may be the decimal mark instead; if it is: {fix}")
    if censored := [i for i, cell in enumerate(split) if cell is not None and cell.bound]:
        total = pluralize(sum(counts[i] for i in censored), "cell")
        notes.append(f"column '{name}': {total} such as {words[censored[0]]!r} are read as the number itself")
    return Numbers(_take(codes, known), notation, tuple(notes))


def parse_mostly_numbers(
    name: str,
    cells: Cells,
    decimal: str | None = None,
    for_words: str | None = None,
    may_be_codes: bool = True,
) -> tuple[Numbers, NDArray[np.bool_]] | None:
    """Return the numbers of a column of text, and which cells [N] are something else, if few are.

    Those cells are NaN. None if the other cells do not make numbers either. `parse_numbers` describes the arguments.

    Args:
        may_be_codes: Whether 01 and 2A are codes, of which None is returned.
    """
    codes, words = _factorize(cells)
    split = [None if is_gap(word) else split_cell(word) for word in words]
    counts = np.bincount(codes[codes >= 0], minlength=len(words)).tolist()
    suffixes = Counter[str]()
    for cell, count in zip(split, counts, strict=True):
        if cell is not None:
            suffixes[singular(cell.suffix)] += count
    usual = suffixes.most_common(1)[0][0] if suffixes else ""
    is_odd_word = [
        not is_gap(word) and (cell is None or singular(cell.suffix) not in ("", usual))
        for word, cell in zip(words, split, strict=True)
    ]
    is_odd = np.array([*is_odd_word, False], dtype=np.bool_)[codes]
    odd = [cell for cell, is_odd_one in zip(split, is_odd_word, strict=True) if is_odd_one]
    share = _ODD_SHARE_OF_ONE_WORD if odd == [None] else _ODD_SHARE  # another unit is no word: 1st, 2nd, 3rd are names
    if int(is_odd.sum()) >= share * int((codes >= 0).sum()) or (may_be_codes and _are_codes(words, is_odd_word)):
        return None
    numbers = parse_numbers(name, cells.mask(is_odd), decimal, for_words)
    if numbers is None or (odd and len(np.unique(numbers.values[~np.isnan(numbers.values)])) < 2):
        return None  # 5k and half-marathon are names
    return numbers, is_odd


def _are_codes(words: Sequence[str], is_odd: Sequence[bool]) -> bool:
    """Return whether words, of which some are not numbers, are codes: 2A and 2B among 01, or 2B033 among 59346."""
    odd = [word for word, is_odd_one in zip(words, is_odd, strict=True) if is_odd_one]
    digits = [word for word in words if word.isdecimal()]
    if len(odd) < 2 or not digits or not all(map(_CODE.fullmatch, odd)):
        return False
    has_zeros = any(len(word) > 1 and word.startswith("0") for word in digits)
    return has_zeros or (all(map(_INNER_LETTER.search, odd)) and len({*map(len, (*odd, *digits))}) == 1)


def read_numbers(cells: Cells, notation: Notation) -> tuple[Floats, NDArray[np.bool_]]:
    """Read new cells, each in the notation, or plainly if it is not written so. No cell depends on the others.

    Returns:
        Values float64 [N], NaN for empty cells, and which cells [N] are neither numbers nor empty.
    """
    if import_pandas().api.types.is_numeric_dtype(cells.dtype):
        values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
        return values, np.zeros(len(values), dtype=np.bool_)
    codes, words = _factorize(cells)
    own, plain = _read_words(words, notation)
    chosen = [other if value is None else value for value, other in zip(own, plain, strict=True)]
    wrong = np.array([*(chosen[i] is None and not is_gap(word) for i, word in enumerate(words)), False], dtype=np.bool_)
    return _take(codes, chosen), wrong[codes]


def other_notation_notes(name: str, cells: Cells, notation: Notation) -> list[str]:
    """Return notes on cells that are not in the notation, and on those without its unit: 0.62 may be 62 %."""
    notes: list[str] = []
    if import_pandas().api.types.is_numeric_dtype(cells.dtype):
        lacking = cells[cells.notna() & (cells != 0)] if notation.has_unit else cells[:0]
        return [_unit_note(name, len(lacking), str(lacking.iloc[0]), notation)] if len(lacking) else []
    codes, words = _factorize(cells)
    own, plain = _read_words(words, notation)
    read = [other if value is None else value for value, other in zip(own, plain, strict=True)]
    if others := [place for place, value in enumerate(own) if value is None and plain[place] is not None]:
        count = pluralize(int(np.isin(codes, others).sum()), "cell")
        example = f"{words[others[0]]!r} is {plain[others[0]]}"
        way = f"not written as in the training rows ({notation}), read plainly: {example}"
        notes.append(f"column '{name}': {count} {way}")
    units = [split_cell(word) for word in words] if notation.has_unit else []
    if bare := [place for place, cell in enumerate(units) if cell and not cell.suffix and read[place]]:
        notes.append(_unit_note(name, int(np.isin(codes, bare).sum()), words[bare[0]], notation))
    return notes


def _unit_note(name: str, count: int, word: str, notation: Notation) -> str:
    unit = notation.suffix
    cells = f"{pluralize(count, 'cell')} without the {unit} of the training rows"
    return f"column '{name}': {cells}: {word!r} is read as {word} {unit}"


def _read_words(words: Sequence[str], notation: Notation) -> tuple[list[float | None], list[float | None]]:
    """Return the values of words in the notation, and with a decimal point and no mark for thousands."""
    split = [None if is_gap(word) else split_cell(word) for word in words]
    known = [cell if cell is not None and _has_affixes(cell, notation) else None for cell in split]
    plain = Notation(prefix=notation.prefix, suffix=notation.suffix)
    own, others = ([None if cell is None else value_of(cell, way) for cell in known] for way in (notation, plain))
    return own, others


def _factorize(cells: Cells) -> tuple[NDArray[np.int64], list[str]]:
    """Return the code [N] of each cell, -1 if it is empty, and the stripped words that the codes index."""
    codes, uniques = import_pandas().factorize(cells)
    return codes, [str(word).strip() for word in uniques]


def _take(codes: NDArray[np.int64], values: Sequence[float | None]) -> Floats:
    known = [np.nan if value is None else value for value in values]
    return np.array([*known, np.nan], dtype=np.float64)[codes]


def _find_affixes(cells: Sequence[NumberCell]) -> tuple[str, str] | None:
    """Return the prefix and the suffix of a column, or None if cells have different ones.

    A currency may be absent from some cells. Any other suffix may be absent from zeros only.
    """
    prefixes = {cell.prefix for cell in cells} - {""}
    suffixes = {singular(cell.suffix): cell.suffix for cell in cells if cell.suffix}
    if len(prefixes) > 1 or len(suffixes) > 1:
        return None
    suffix = next(iter(suffixes.values()), "")
    if Notation(suffix=suffix).has_unit:
        bare = [cell.number for cell in cells if not cell.suffix]
        if any(set(number) - set("0.,") for number in bare):
            return None
    return next(iter(prefixes), ""), suffix


def singular(suffix: str) -> str:
    """Return a unit in the spelling by which units are compared."""
    return suffix.casefold().rstrip(".").removesuffix("s")


def _has_affixes(cell: NumberCell, notation: Notation) -> bool:
    """Return whether a cell has the prefix and the suffix of the notation, or none."""
    same_suffix = not cell.suffix or singular(cell.suffix) == singular(notation.suffix)
    return cell.prefix in ("", notation.prefix) and same_suffix


def _order(decimal: str | None) -> list[tuple[str, str]]:
    """Return the marks to try, those with the declared decimal mark first."""
    return sorted(_MARKS, key=lambda marks: marks[0] != decimal) if decimal == "," else list(_MARKS)


def _find_other(cells: Sequence[NumberCell], notation: Notation, fitting: Sequence[Notation]) -> Notation | None:
    """Return another notation that fits all cells and gives other numbers."""
    for other in fitting[1:]:
        if notation.thousands and any(value_of(cell, other) != value_of(cell, notation) for cell in cells):
            return other
    return None


def _are_bounds_numbers(cells: Sequence[NumberCell], notation: Notation) -> bool:
    """Return whether cells such as <0.5 may stand for their numbers: <=50K and >50K, or 1+ and 1-, may not."""
    bounds = {cell.bound for cell in cells}
    bounded = {(cell.bound, value_of(cell, notation)) for cell in cells if cell.bound}
    is_mixed = (len(bounds) > 1 and "" not in bounds) or ("+" in bounds and any(cell.is_trailing for cell in cells))
    return not is_mixed and len({value for _, value in bounded}) == len(bounded)
