"""A dataset as arrays of numbers. It accepts the return values of scikit-learn's loaders and generators."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from exp.config.target_kind import TargetKind
from exp.data.check_arrays import check_features, check_numbers, unpack_objects
from exp.data.columns.category import CategoryColumn
from exp.data.columns.column import Column
from exp.data.columns.number import NumberColumn
from exp.data.columns.number_cells import PLAIN, Notation
from exp.data.frame import name_file
from exp.data.mapped.maps import as_bytes, iterate_blocks, release_pages
from exp.data.mapped.scratch import Scratch
from exp.data.user_dataset import is_torch_dataset, read_rows
from exp.errors import DataError, pluralize


@dataclass(frozen=True)
class TargetColumn:
    """A target column of a table, and how the file writes its numbers."""

    name: str
    notation: Notation = PLAIN


@dataclass(frozen=True)
class Dataset:
    """Rows x, float64 [N, C], with a value for each of `columns`, and targets y.

    Rows in a mapped file have the type of the file, and are converted a block at a time.

    For classification, y holds indices into `classes`, int64 [N]. For regression, `classes` is None and y holds values,
    float64 [N, K]. For several labels, `classes` is None and y holds 0 and 1, int64 [N, K].

    Rows with equal `groups`, int64 [N], stay in one split. `parts` and `order` [N] say which rows are for what, if the
    user does.
    """

    x: NDArray[np.float64]
    y: NDArray[np.int64] | NDArray[np.float64]
    columns: tuple[Column, ...]
    classes: tuple[str, ...] | None
    target: str = "target"
    groups: NDArray[np.int64] | None = None
    parts: NDArray[np.int8] | None = None  # 0 train, 1 val, 2 test, -1: to be assigned
    order: NDArray[np.float64] | None = None  # rows are assigned to train, val, test in this order
    notes: tuple[str, ...] = ()  # messages for the user
    weights: NDArray[np.float64] | None = None  # of each row, > 0; None: all rows weigh the same
    row_numbers: NDArray[np.int64] | None = None  # positions in the file, counted from 1; None: no row was dropped
    target_notation: Notation = PLAIN  # how the file writes a target of numbers
    weight_notation: Notation = PLAIN
    targets: tuple[TargetColumn, ...] = ()  # each of several target columns; `target` is then all their names
    shape: tuple[int, ...] = ()  # of a row that is a sequence [T, C] or an image [C, H, W], whose values are in x
    is_joined: bool = False  # whether each of the `parts` is a file of its own

    def name_row(self, place: int) -> str:
        """Return the row at `place` for messages: "row 3", or "row 3 of dataset.test_path"."""
        number = range(len(self.x))[place] + 1 if self.row_numbers is None else int(self.row_numbers[place])
        file = f" of {name_file(int(self.parts[place]))}" if self.is_joined and self.parts is not None else ""
        return f"row {number}{file}"

    @property
    def has_labels(self) -> bool:
        """Whether each of the targets is 0 or 1."""
        return self.classes is None and self.y.dtype.kind == "i"

    @property
    def target_kind(self) -> TargetKind:
        """What there is to predict."""
        if self.classes is not None:
            return TargetKind("classes", self.classes)
        names = name_targets(self.targets or (TargetColumn(self.target),), self.y.shape[1])
        return TargetKind("labels" if self.has_labels else "numbers", names)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the shapes, values, classes and categories: equal for equal datasets only."""
        categories = [column.categories for column in self.columns if isinstance(column, CategoryColumn)]
        digest = hashlib.sha256(repr((self.x.shape, self.y.shape, self.classes, *categories, *self.shape)).encode())
        for _, block in iterate_blocks(self.x):
            digest.update(as_bytes(np.ascontiguousarray(block, dtype=np.float64)))
        for array in (self.y, *(() if self.weights is None else (self.weights,))):
            for _, block in iterate_blocks(array):
                digest.update(as_bytes(np.ascontiguousarray(block)))
        return digest.hexdigest()


def name_targets(columns: Sequence[TargetColumn], count: int) -> tuple[str, ...]:
    """Return the names of `count` target columns; those of arrays without names have numbers."""
    if len(columns) == count:
        return tuple(column.name for column in columns)
    return tuple(str(number + 1) for number in range(count))


# More classes, in a tenth as many rows, are most likely numbers.
_USUAL_CLASSES = 20


def as_dataset(source: Any, scratch: Scratch | None = None) -> Dataset:
    """Convert a Bunch of scikit-learn (`data`, `target`, and names), a pair (x, y) or a torch Dataset to a Dataset.

    A float target means regression. Integers, booleans and text mean classes, numbered in sorted order.

    Args:
        scratch: Where y is written, for rows x in a mapped file, which stay there; None: both are in memory.

    Raises:
        DataError: The arrays are empty, have other shapes, or hold NaN or infinite values.
    """
    if isinstance(source, Dataset):
        return source
    if is_torch_dataset(source):
        source = read_rows(source, scratch)
    pair: Any = (source.data, source.target) if hasattr(source, "target") else source
    if not (isinstance(pair, tuple) and len(cast("tuple[Any, ...]", pair)) == 2):
        raise DataError(
            f"dataset: the function must return a pair (x, y) or a Bunch, got {type(source).__name__}",
            "return x of shape [N, F] and y of shape [N]",
        )
    x, y = (_as_array(name, part) for name, part in zip("xy", cast("tuple[Any, Any]", pair), strict=True))
    y = unpack_objects(y)
    x, shape = _flatten(x)
    x = check_features(x, y, scratch)
    columns = tuple(map(NumberColumn, _names(source, "feature_names", [f"x{i + 1}" for i in range(x.shape[1])])))
    if y.dtype.kind == "f" or (y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "iub"):
        check_numbers(y)
        if y.dtype.kind != "f" and not np.isin(y, (0, 1)).all():
            what = f"dataset: several targets of integers are labels, which must be 0 or 1, got {y.max()}"
            raise DataError(what, "y.astype(float), for numbers")
        y = y.reshape(len(y), -1)
        values = convert(y, np.float64 if y.dtype.kind == "f" else np.int64, scratch)
        targets, notes = _target_columns(source, y.shape[1]), _name_notes(source, "feature_names", len(columns))
        return Dataset(x, values, columns, None, targets=targets, notes=notes, shape=shape)
    if y.ndim != 1:
        raise DataError(f"dataset: class labels must have shape [N], got {list(y.shape)}", "one label per row")
    labels, indices = encode_classes(np.char.decode(y, errors="replace") if y.dtype.kind == "S" else y, scratch)
    notes = _name_notes(source, "feature_names", len(columns)) + _name_notes(source, "target_names", len(labels))
    if y.dtype.kind in "iu" and len(labels) > max(_USUAL_CLASSES, len(y) // 10):
        notes += (
            f"y has {len(labels):,} different integers in {len(y):,} rows, which are classes; for regression: floats",
        )
    return Dataset(x, indices, columns, _names(source, "target_names", list(labels)), notes=notes, shape=shape)


def _flatten(x: NDArray[Any]) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Return x [N, F], and the shape of a row if it has more than one dimension."""
    if x.ndim not in (3, 4) or not x.size:
        return x, ()
    return x.reshape(len(x), -1), x.shape[1:]


def _target_columns(source: Any, count: int) -> tuple[TargetColumn, ...]:
    """Return the columns of several targets by the names in a Bunch; none if it has no such names."""
    names = _names(source, "target_names", [""] * count)
    return tuple(map(TargetColumn, names)) if count > 1 and all(names) else ()


def _as_array(name: str, part: Any) -> NDArray[Any]:
    """Return `part` as an array. DataError if it is a mapping, or holds arrays of several shapes."""
    try:
        if not isinstance(part, Mapping):
            return np.asarray(part)
        reason = "it is a mapping"
    except ValueError as error:
        reason = str(error)
    raise DataError(
        f"dataset: {name} must be one array: {reason}",
        "numpy.concatenate(INPUTS, axis=1), which the model splits again",
    )


def encode_classes(y: NDArray[Any], scratch: Scratch | None = None) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the sorted labels, and the index [N] of each row's label. DataError if all labels are equal."""
    labels = np.unique(np.concatenate([np.unique(block) for _, block in iterate_blocks(y)]))
    if len(labels) < 2:
        raise DataError(f"dataset: all rows have the same class '{labels[0]}'", "rows of at least two classes")
    indices = np.empty(len(y), dtype=np.int64) if scratch is None else scratch.empty(y.shape, np.int64)
    for start, block in iterate_blocks(y):
        indices[start : start + len(block)] = np.searchsorted(labels, block)
        release_pages(indices)
    return labels, indices


def convert(y: NDArray[Any], dtype: type[np.generic], scratch: Scratch | None) -> NDArray[Any]:
    """Return a copy of `y` with that type, in a file of `scratch` if there is one."""
    if scratch is None:
        return y.astype(dtype)
    converted = scratch.empty(y.shape, dtype)
    for start, block in iterate_blocks(y):
        converted[start : start + len(block)] = block
        release_pages(converted)
    return converted


def _names(source: Any, attribute: str, default: Sequence[object]) -> tuple[str, ...]:
    """Return the names in a Bunch, or `default` if their number differs from it."""
    names = getattr(source, attribute, None)
    return tuple(map(str, default if names is None or len(names) != len(default) else names))


def _name_notes(source: Any, attribute: str, count: int) -> tuple[str, ...]:
    """Return a note if a Bunch has names that `_names` does not use."""
    names = getattr(source, attribute, None)
    if names is None or len(names) == count:
        return ()
    return (f"{attribute} has {pluralize(len(names), 'name')}, not {count}: they are not used",)
