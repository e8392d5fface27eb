"""Values far from those of the training rows: mistakes, or cells in another unit."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.column import Floats
from exp.data.preprocessing import Preprocessing
from exp.data.row_shape import from_channels, to_channels
from exp.errors import MAX_NAMES, shorten

# A cell is far if its scaled value is larger than this. Of the rows that a run divides, it is also compared with the
# largest value in the training rows, which a checkpoint does not keep.
FAR = 1000.0

# A column of new rows is away if half of its cells, of at least so many, are so many widths from the middle of the
# training rows. The scaler says what both are. No more than one in a hundred training rows is away by the standard
# deviation (Chebyshev), and fewer than half of them by the interquartile range (dataset.scaler=robust), if it is not 0.
_AWAY, _FEWEST = 10.0, 10

# New rows that the latter is decided by.
_SAMPLE = 200


def describe_far(rows: str, listed: Sequence[str], total: int) -> str:
    """Return that `rows` have far values: the first of `total`, each with its row."""
    return f"the {rows} have values far from those of the training rows: {shorten(listed, total)}"


def far_notes(x: Floats, preprocessing: Preprocessing) -> list[str]:
    """Return a note if columns of numbers of new rows [N, C] are away from the training rows, and one on single cells.

    Only the ends of each column and a sample of the rows are scaled. Without a scaler nothing is known of the training
    rows.
    """
    if preprocessing.scaler is None or not len(x):
        return []
    columns = np.array(preprocessing.column_numbers)
    ends = np.stack([np.fmin.reduce(x), np.fmax.reduce(x)])  # without NaN, which stands for empty cells
    is_number = np.array([column.kind == "number" for column in preprocessing.columns])[columns]
    may_be = is_number & preprocessing.is_scaled
    is_away = _is_away(x, preprocessing)
    away = np.flatnonzero(is_away & may_be)
    far = np.flatnonzero((np.abs(preprocessing.transform(ends)) > FAR).any(axis=0) & ~is_away & may_be)
    middle = preprocessing.restore(np.zeros((1, len(columns))))[0] if len(away) + len(far) else np.zeros(0)
    listed, cells, notes = list[str](), list[str](), list[str]()
    for feature in map(int, away[:MAX_NAMES]):
        median = np.nanmedian(x[:, columns[feature]])
        of_training = f"in training about {middle[feature]:.3g}"
        listed.append(f"{preprocessing.features[feature]} (median {median:.4g}, {of_training})")
    if listed:
        what = f"columns of which half of the cells are more than {_AWAY:g} widths from the training rows"
        notes.append(f"{what}: {shorten(listed, len(away))}; in another unit?")
    for feature in map(int, far[:MAX_NAMES]):
        values = x[:, columns[feature]]
        row = int(np.nanargmax(np.abs(values - middle[feature])))
        of_row = f"{preprocessing.features[feature]} is {values[row]:.4g} in row {row + 1:,}"
        cells.append(f"{of_row}, usually about {middle[feature]:.3g}")
    if cells:
        notes.append(f"{describe_far('rows', cells, len(far))}; predictions of such rows mean little")
    return notes


def _is_away(x: Floats, preprocessing: Preprocessing) -> NDArray[np.bool_]:
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
