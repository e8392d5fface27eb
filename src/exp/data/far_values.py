"""Values far from those of the training rows: mistakes, or cells in another unit."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.column import Floats
from exp.data.preprocessing import Preprocessing
from exp.data.row_shape import from_channels, to_channels
from exp.errors import MAX_NAMES, shorten

# A scaled value is far if it is so many times as large as in any training row, and as 1, its usual size.
FAR = 1000.0

# A column of new rows is in another unit if half of its cells, of at least so many, are so many widths from the middle
# of the training rows: of those at most one in a hundred is, if the width is the standard deviation (Chebyshev).
_AWAY, _FEWEST = 10.0, 10

# New rows that the latter is decided by.
_SAMPLE = 200


def describe_far(rows: str, listed: Sequence[str], total: int) -> str:
    """Return that `rows` have far values: the first of `total`, each with its row."""
    return f"the {rows} have values far from those of the training rows: {shorten(listed, total)}"


def far_notes(x: Floats, preprocessing: Preprocessing) -> list[str]:
    """Return a note if columns of numbers of new rows [N, C] are far from the training rows, each with a cell.

    Only the ends of each column and a sample of the rows are scaled. Without a scaler nothing is known of the training
    rows.
    """
    if preprocessing.scaler is None or not len(x):
        return []
    columns = np.array(preprocessing.column_numbers)
    ends = np.stack([np.fmin.reduce(x), np.fmax.reduce(x)])  # without NaN, which stands for empty cells
    is_far = (np.abs(preprocessing.transform(ends)) > FAR).any(axis=0) | _is_another_unit(x, preprocessing)
    is_number = np.array([column.kind == "number" for column in preprocessing.columns])[columns]
    features = np.flatnonzero(is_far & is_number & preprocessing.is_scaled)
    if not len(features):
        return []
    middle = preprocessing.restore(np.zeros((1, len(columns))))[0]
    listed: list[str] = []
    for feature in map(int, features[:MAX_NAMES]):
        values = x[:, columns[feature]]
        row = int(np.nanargmax(np.abs(values - middle[feature])))
        of_row = f"{preprocessing.features[feature]} is {values[row]:.4g} in row {row + 1:,}"
        listed.append(f"{of_row}, usually about {middle[feature]:.3g}")
    found = describe_far("rows", listed, len(features))
    return [f"{found}; predictions of such rows mean little; try: cells in the unit of the training rows"]


def _is_another_unit(x: Floats, preprocessing: Preprocessing) -> NDArray[np.bool_]:
    """Return which of the features [F] of rows [N, C] are away from the middle of the training rows in half of them."""
    sample = x[:: -(-len(x) // _SAMPLE)]
    features, is_scaled = replace(preprocessing, scaler=None).transform(sample), preprocessing.is_scaled
    distance = np.zeros(features.shape)
    assert preprocessing.scaler is not None
    scaled = preprocessing.scaler.distance(to_channels(features[:, is_scaled], preprocessing.shape))
    distance[:, is_scaled] = from_channels(scaled, preprocessing.shape)
    is_present = ~np.isnan(sample)[:, preprocessing.column_numbers]
    count = is_present.sum(axis=0)
    return (count >= _FEWEST) & (2 * (is_present & (distance > _AWAY)).sum(axis=0) >= count)
