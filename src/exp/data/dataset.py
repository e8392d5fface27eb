"""What a dataset's function returned, as one table. Anything shaped like scikit-learn's loaders and makers will do."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.base import Column
from exp.data.columns.number import NumberColumn
from exp.errors import DataError


@dataclass(frozen=True)
class Dataset:
    """Rows x, float64 [N, C], a number for each of `columns`, and y: class numbers int64 [N], or values float64 [N, K].

    Where `classes` is None it is values. `groups`: int64 [N], rows of one number belong together in a split.
    """

    x: NDArray[np.float64]
    y: NDArray[np.int64] | NDArray[np.float64]
    columns: tuple[Column, ...]
    classes: tuple[str, ...] | None
    target: str = "target"
    groups: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()  # what a person should know of the rows
    numbers: NDArray[np.int64] | None = None  # of each row in its file, where some were left out; counted from 1

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the numbers: equal tables, and only they, share it."""
        words = [column.categories for column in self.columns if column.categories]
        digest = hashlib.sha256(repr((self.x.shape, self.y.shape, self.classes, *words)).encode())
        for array in (self.x, self.y):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def as_dataset(source: Any) -> Dataset:
    """The table in scikit-learn's Bunch (`data`, `target`, names if it has them) or in a pair (x, y).

    A target of floats means regression; whole numbers, booleans and words mean classes, numbered in sorted order.
    DataError if the rows are empty, do not match, or are not finite.
    """
    if isinstance(source, Dataset):
        return source
    pair: Any = (source.data, source.target) if hasattr(source, "target") else source
    if not (isinstance(pair, tuple) and len(cast("tuple[Any, ...]", pair)) == 2):
        raise DataError(
            f"dataset: its function returned {type(source).__name__}, not a pair (x, y) or a Bunch",
            "return x of shape [N, F] and y of shape [N]",
        )
    x, y = (np.asarray(part) for part in cast("tuple[Any, Any]", pair))
    if x.ndim != 2 or len(x) == 0 or len(x) != len(y):
        raise DataError(
            f"dataset: x has the shape {list(x.shape)} and y {list(y.shape)}",
            "x of shape [N, F] and y of shape [N], N > 0",
        )
    try:
        x = x.astype(np.float64)
    except ValueError as error:
        raise DataError(
            f"dataset: a feature is no number: {error}", "numbers only, or one column for each word"
        ) from error
    # As the model will see them: 1e300 is infinite there.
    with np.errstate(over="ignore"):
        finite = np.isfinite(x.astype(np.float32)).all(axis=1)
    if not finite.all():
        raise DataError(
            f"dataset: {int((~finite).sum())} of {len(x)} rows hold NaN or infinite features, the first is row "
            f"{int(np.argmin(finite))}",
            "remove or fill them in the dataset's function",
        )
    columns = tuple(map(NumberColumn, _names(source, "feature_names", [f"x{i + 1}" for i in range(x.shape[1])])))
    if y.dtype.kind == "f":
        if not np.isfinite(y).all():
            raise DataError("dataset: the target holds NaN or infinite values", "remove those rows")
        return Dataset(x, y.astype(np.float64).reshape(len(y), -1), columns, None)
    if y.ndim != 1:
        raise DataError(f"dataset: classes must have the shape [N], not {list(y.shape)}", "one class a row")
    labels, numbers = classes_of(y)
    return Dataset(x, numbers, columns, _names(source, "target_names", list(labels)))


def classes_of(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The labels in sorted order, and the number of each row's. DataError if there is but one."""
    labels, numbers = np.unique(y, return_inverse=True)
    if len(labels) < 2:
        raise DataError(
            f"dataset: every row is of the class {labels[0]}, so there is nothing to learn", "rows of two classes"
        )
    return labels, numbers.astype(np.int64)


def _names(source: Any, attribute: str, default: Sequence[object]) -> tuple[str, ...]:
    """The names that a Bunch brings, if there are as many as there should be."""
    names = getattr(source, attribute, None)
    return tuple(map(str, default if names is None or len(names) != len(default) else names))
