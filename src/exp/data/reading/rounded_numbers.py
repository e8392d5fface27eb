"""Columns of whole numbers that are rounded, because they have more digits than a float and cannot be integers."""

from collections.abc import Iterable

import numpy as np

from exp.config.overrides import column_override
from exp.data.frame import Cells

# Between these, a float is a whole number, and not every whole number is one. Beyond, nobody writes all digits.
_FIRST, _LAST = 2.0**53, 2.0**64


def rounded_notes(columns: Iterable[tuple[str, Cells]]) -> list[str]:
    """Return a note on those of the named columns that lost digits of their whole numbers.

    Whole numbers become floats where one of them is empty, or does not fit into 64 bits.
    """
    rounded: list[str] = []
    for name, cells in columns:
        if name and cells.dtype == np.float64:
            values = np.abs(cells.dropna().to_numpy())
            if len(values) and _FIRST <= values.max() < _LAST and (values == np.round(values)).all():
                rounded.append(name)
    if not rounded:
        return []
    fix = column_override("dataset.kinds", rounded[0], "category")
    return [f"whole numbers beyond {_FIRST:.0f} are rounded: {', '.join(rounded)}; for codes: {fix}"]
