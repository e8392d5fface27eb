"""Fit a column on the training rows."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.category import CategoryColumn
from exp.data.columns.column import Column, Floats


def fit_column(
    column: Column, values: Floats, train: NDArray[np.int64] | slice, codes_above: int | None
) -> tuple[Column | None, Floats]:
    """Return the column as fitted on the rows `train`, None if these have no value, and its values [N] encoded."""
    if isinstance(column, CategoryColumn):
        column = replace(column, codes_above=codes_above)
    return column.fit(values, train)
