"""Booleans that are written as words: yes and no, y and n, true and false, t and f, on and off."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.column import Floats
from exp.data.columns.gap_marks import gap_notes, is_gap
from exp.data.frame import Cells, import_pandas

# Words for true and for false, in lower case. A column uses those of one line, and 1 and 0.
_PAIRS = (
    (("yes", "y"), ("no", "n")),
    (("true", "t"), ("false", "f")),
    (("on",), ("off",)),
)
BOOLEANS = {"1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0} | {
    word: value for pair in _PAIRS for words, value in zip(pair, (1.0, 0.0), strict=True) for word in words
}


@dataclass(frozen=True)
class Booleans:
    """The values float64 [N] of a column, 1, 0 or NaN for empty cells, and notes for the user."""

    values: Floats
    notes: tuple[str, ...]


def parse_booleans(name: str, cells: Cells) -> Booleans | None:
    """Return the booleans that a column of text holds, or None if it has other words, or only one of the two values.

    Args:
        name: The name of the column, for notes.
        cells: Text [N], NaN for empty cells. Marks such as ? and - count as empty, with a note.
    """
    codes, uniques = import_pandas().factorize(cells)
    words = [str(word).strip().lower() for word in uniques[:100]]
    present = {word for word in words if not is_gap(word)}
    named = present - {"1", "0", "1.0", "0.0"}
    if len(uniques) > len(words) or not named or not present <= set(BOOLEANS):
        return None
    if not any(named <= {*true, *false} for true, false in _PAIRS) or len({BOOLEANS[word] for word in present}) < 2:
        return None
    counts = np.bincount(codes[codes >= 0], minlength=len(words)).tolist()
    marks = [(str(mark).strip(), count) for mark, count in zip(uniques, counts, strict=True)]
    values, _ = read_booleans(cells)
    return Booleans(values, gap_notes(name, [(mark, count) for mark, count in marks if is_gap(mark)]))


def read_booleans(cells: Cells) -> tuple[Floats, NDArray[np.bool_]]:
    """Read new cells: text, booleans or the numbers 1 and 0.

    Returns:
        Values float64 [N], NaN for empty cells, and which cells [N] are neither booleans nor empty.
    """
    codes, uniques = import_pandas().factorize(cells)
    words = [str(word).strip().lower() for word in uniques]
    values = np.array([*(BOOLEANS.get(word, np.nan) for word in words), np.nan], dtype=np.float64)
    wrong = np.array([*(word not in BOOLEANS and not is_gap(word) for word in words), False], dtype=np.bool_)
    return values[codes], wrong[codes]
