"""Checks of the arrays of a dataset: shapes, types, and values that can be computed with."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.number import LARGEST
from exp.data.frame import import_pandas
from exp.data.mapped.maps import iterate_blocks
from exp.data.mapped.scratch import Scratch
from exp.errors import DataError, pluralize

# Kinds of arrays that would lose their meaning as float64, and what to give instead.
_NOT_NUMBERS = {
    "M": ("dates", "days as numbers: {name}.astype('datetime64[D]').astype(float)"),
    "m": ("time spans", "seconds as numbers: {name} / numpy.timedelta64(1, 's')"),
    "c": ("complex numbers", "the real and the imaginary part as features of their own"),
}


def check_features(x: NDArray[Any], y: NDArray[Any], scratch: Scratch | None) -> NDArray[Any]:
    """Return the features, in float64 without `scratch`, which gets the progress.

    Raises:
        DataError: They are not finite numbers [N, F], one row for each of `y`.
    """
    if x.ndim != 2 or y.ndim == 0 or len(x) == 0 or len(x) != len(y):
        raise DataError(
            "dataset: x must have shape [N, F], [N, T, F] or [N, C, H, W] and y shape [N] with N >= 1, got "
            f"{list(x.shape)} and {list(y.shape)}",
            "x.reshape(-1, 1), for one feature" if x.ndim == 1 else "one row of x for each value of y",
        )
    if x.shape[1] == 0:
        raise DataError(f"dataset: x has no features, its shape is {list(x.shape)}", "at least one column of x")
    for name, array in (("x", x), ("y", y)):
        if array.dtype.kind in _NOT_NUMBERS:
            what, fix = _NOT_NUMBERS[array.dtype.kind]
            raise DataError(f"dataset: {name} holds {what} ({array.dtype})", fix.format(name=name))
    try:
        x = x.astype(np.float64) if scratch is None or x.dtype.kind not in "fiub" else x
    except (ValueError, TypeError) as error:
        raise DataError(f"dataset: the features must be numbers: {error}", "encode text as numbers") from error
    # The model computes in float32, where 1e300 is infinite.
    finite = np.empty(len(x), dtype=np.bool_)
    with np.errstate(over="ignore"):
        for start, block in iterate_blocks(x):
            finite[start : start + len(block)] = np.isfinite(block.astype(np.float32)).all(axis=1)
            if scratch is not None:
                scratch.report("read", start + len(block), len(x))
    if not finite.all():
        row = int(np.argmin(finite))
        first, count = np.asarray(x[row], dtype=np.float64), f"{int((~finite).sum())} of {len(x)} rows have"
        if np.isfinite(first).all():
            largest, end = float(first[np.abs(first).argmax()]), np.finfo(np.float32).max
            raise DataError(
                f"dataset: {count} features beyond {end:.2g}, which float32 does not hold, the first in row {row + 1}: "
                f"{largest:g}",
                f"the features in a larger unit, such as x / {_power_of(largest)}",
            )
        raise DataError(
            f"dataset: {count} NaN or infinite features, the first is row {row + 1}",
            "remove or fill these values before",
        )
    return x


def unpack_objects(y: NDArray[Any]) -> NDArray[Any]:
    """Return targets [N] or [N, K] that are objects of Python as the type that all of them have: float64 of floats.

    Raises:
        DataError: A row has no target: None, NaN, or NA of pandas.
    """
    if y.dtype.kind != "O":
        return y
    is_missing = np.asarray(import_pandas().isna(y), dtype=np.bool_).reshape(len(y), -1).any(axis=1)
    if is_missing.any():
        what = f"{int(is_missing.sum()):,} of {pluralize(len(y), 'row')} have no target"
        raise DataError(f"dataset: {what}, the first is row {int(is_missing.argmax()) + 1:,}", "remove these rows")
    try:
        plain = np.asarray(y.tolist())
    except ValueError:  # sequences of several lengths
        return y
    return plain if plain.shape == y.shape else y


def check_numbers(y: NDArray[Any]) -> None:
    """Raise DataError unless the targets [N] or [N, K] are finite numbers whose squares are finite, too."""
    for start, block in iterate_blocks(y):
        if not np.isfinite(block).all():
            raise DataError("dataset: the target has NaN or infinite values", "remove these rows")
        sizes = np.abs(block.reshape(len(block), -1)).astype(np.float64).max(axis=1, initial=0)
        if (sizes > LARGEST).any():
            row = int(np.argmax(sizes > LARGEST))
            size = float(sizes[row])
            raise DataError(
                f"dataset: the target has values beyond {LARGEST:g}, the first in row {start + row + 1}: {size:g}",
                f"the target in a larger unit, such as y / {_power_of(size)}",
            )


def _power_of(value: float) -> str:
    """Return the power of ten below the size of a value."""
    return f"1e{math.floor(math.log10(abs(value)))}"
