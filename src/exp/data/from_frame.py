"""A dataset from a pandas frame: which columns are features, which one is the target, and which rows are left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.base import Column, Floats
from exp.data.columns.infer import MAX_CATEGORIES, infer_column
from exp.data.dataset import Dataset, encode_classes
from exp.data.read_table import Cells, Frame, import_pandas
from exp.errors import ConfigError, DataError, nearest, pluralize

# A target of integers is one of classes if it has at most this many values.
_MAX_CLASSES = 20


@dataclass(frozen=True)
class TableOptions:
    """Options for reading a table; `exp.data.files.table` describes them."""

    target: str
    task: str
    missing: str | None
    kinds: Mapping[str, str]
    drop: Sequence[str]
    group: str | None


def dataset_from_frame(frame: Frame, path: str, options: TableOptions) -> Dataset:
    """Return the dataset in `frame`; `path` is for messages. DataError if it cannot be trained on."""
    target, group = options.target, options.group
    _check_names([str(name) for name in frame.columns], path, options)
    frame = frame.drop(columns=[name for name in options.drop if name not in (target, group)]).reset_index(drop=True)
    names = [name for name in map(str, frame.columns) if name not in (target, group)]
    if not names:
        fix = (
            "fewer columns in dataset.drop"
            if len(options.drop)
            else "a table with more columns, or another dataset.separator"
        )
        raise DataError(f"dataset.path={path}: the table has no feature columns", fix)
    frame, notes = _handle_missing(frame, path, options)
    encoded = [_encode_column(name, frame[name], options.kinds.get(name)) for name in names]
    columns, x = tuple(column for column, _ in encoded), np.stack([values for _, values in encoded], axis=1)
    y, classes = _encode_target(target, frame[target], options.task)
    for column, values in zip(columns, x.T, strict=True):
        _refuse_leakage(column, values, target, y)
    notes += [
        f"column '{column.name}' numbers the rows; to drop it: 'dataset.drop=[{column.name}]'"
        for column, values in zip(columns, x.T, strict=True)
        if column.kind == "number" and len(values) > 2 and set(np.diff(values)) == {1.0}
    ]
    _refuse_overflow(names, x)
    groups = None if group is None else _encode_groups(frame[group])
    numbers = frame.index.to_numpy(dtype=np.int64) + 1
    return Dataset(x, y, columns, classes, target, groups, tuple(notes), numbers)


def _check_names(names: list[str], path: str, options: TableOptions) -> None:
    """DataError if an option names a column that the table does not have."""
    named = {
        "target": [options.target],
        "drop": options.drop,
        "group": [options.group] if options.group else [],
        "kinds": options.kinds,
    }
    for key, name in ((key, name) for key, columns in named.items() for name in columns):
        if name not in names:
            near = nearest(name, names)
            fix = f"dataset.{key}={near}" if near and key in ("target", "group") else f"one of {', '.join(names)}"
            raise DataError(f"dataset.{key}={name}: {path} has no column '{name}'", fix)


def _encode_column(name: str, cells: Cells, declared: str | None) -> tuple[Column, Floats]:
    column = infer_column(name, cells, declared)
    return column, column.encode(cells)


def _handle_missing(frame: Frame, path: str, options: TableOptions) -> tuple[Frame, list[str]]:
    """Return the rows to use, and a note on the empty cells. DataError if `options.missing` does not handle them."""
    missing, target = options.missing, options.target
    if missing not in (None, "drop", "median"):
        raise ConfigError(f"dataset.missing must be one of null, drop, median, got {missing}", "dataset.missing=drop")
    counts = {str(name): int(count) for name, count in frame.isna().sum().items() if count}
    if not counts:
        return frame, []
    if empty := [name for name, count in counts.items() if count == len(frame)]:
        raise DataError(f"dataset.path={path}: column '{empty[0]}' is empty", f"'dataset.drop=[{','.join(empty)}]'")
    listed = ", ".join(f"{name} ({count:,})" for name, count in counts.items())
    if missing == "drop":
        left = frame.dropna()
        if not len(left):
            raise DataError(
                f"dataset.missing=drop: every row of {path} has an empty cell: {listed}",
                "'dataset.drop=[...]' with the columns that have most empty cells",
            )
        return left, [f"dropped {len(frame) - len(left):,} of {len(frame):,} rows with empty cells: {listed}"]
    if missing == "median" and target not in counts:
        return frame, [f"filled empty cells: {listed}"]
    if missing == "median":
        problem = f"dataset.missing=median: the target '{target}' has empty cells in {pluralize(counts[target], 'row')}"
        raise DataError(problem, "dataset.missing=drop")
    problem = f"dataset.path={path}: the table has empty cells: {listed} in {len(frame):,} rows"
    raise DataError(problem, "dataset.missing=drop, or dataset.missing=median")


def _encode_target(name: str, cells: Cells, task: str) -> tuple[Any, tuple[str, ...] | None]:
    """Return class numbers int64 [N] and the classes' names, or values float64 [N, 1] and None."""
    types = import_pandas().api.types
    if task not in ("auto", "classes", "regression"):
        raise ConfigError(f"dataset.task must be one of auto, classes, regression, got {task}", "dataset.task=auto")
    if not types.is_numeric_dtype(cells) or types.is_bool_dtype(cells):
        return _encode_text_target(name, cells, task)
    values: Floats = cells.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        raise DataError(f"target '{name}' has infinite values", "finite numbers")
    is_whole = bool((values == np.round(values)).all())
    if task == "regression" or (task == "auto" and not (is_whole and cells.nunique() <= _MAX_CLASSES)):
        return np.array(values).reshape(-1, 1), None  # a copy: pandas' own array is read-only
    labels, codes = encode_classes(values.astype(np.int64) if is_whole else cells.astype(str).to_numpy(str))
    return codes, tuple(map(str, labels))


def _encode_text_target(name: str, cells: Cells, task: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if task == "regression":
        raise DataError(f"dataset.task=regression: the target '{name}' is not numeric", "dataset.task=classes")
    if task == "auto" and cells.nunique() > max(MAX_CATEGORIES, len(cells) / 2):
        problem = (
            f"target '{name}' has {cells.nunique():,} distinct values in {len(cells):,} rows: too many for classes"
        )
        raise DataError(problem, "another column as dataset.target, or dataset.task=classes")
    labels, codes = encode_classes(cells.astype(str).to_numpy(str))
    return codes, tuple(map(str, labels))


def _encode_groups(cells: Cells) -> NDArray[np.int64]:
    return np.unique(cells.astype(str).to_numpy(dtype=str), return_inverse=True)[1].astype(np.int64)


def _refuse_leakage(column: Column, values: Floats, target: str, y: NDArray[Any]) -> None:
    """DataError if the column and the target determine each other: equal numbers, or classes under other names."""
    flat = y.reshape(len(y))
    if y.dtype.kind == "f":
        is_target = bool(np.array_equal(values, flat))
    else:
        pairs = np.unique(np.stack([values, flat], axis=1), axis=0)
        is_target = len(pairs) == len(np.unique(values)) == len(np.unique(flat))
    if is_target:
        raise DataError(
            f"column '{column.name}' determines the target '{target}' exactly (target leakage)",
            f"'dataset.drop=[{column.name}]'",
        )


def _refuse_overflow(names: list[str], x: Floats) -> None:
    """DataError if a number is infinite in float32."""
    with np.errstate(over="ignore"):
        overflows = np.isinf(x.astype(np.float32)).any(axis=0)
    if overflows.any():
        name = names[int(overflows.argmax())]
        raise DataError(f"column '{name}' has values too large for float32", f"'dataset.drop=[{name}]'")
