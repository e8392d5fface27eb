"""What the columns of a table are: numbers, booleans, categories, and the target."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.data.dataset import Dataset, classes_of
from exp.data.preprocessing import EMPTY, UNKNOWN, Column, Floats
from exp.data.read_table import Cells, Frame, pandas
from exp.errors import ConfigError, DataError, nearest

# A whole-numbered target of at most so many different values is one of classes.
_MOST_CLASSES = 20


# A column of more different words than this, in more than half of the rows another, tells the rows apart and no more.
_MOST_WORDS = 50


_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}([T ].*)?")


_COMMA = re.compile(r"[-+]?\d+,\d+")


def dataset_from_frame(
    frame: Frame,
    path: str,
    target: str,
    task: str,
    missing: str | None,
    kinds: Mapping[str, str],
    drop: Sequence[str],
    group: str | None,
) -> Dataset:
    """The table in that frame, as `table` tells; `path` is for messages."""
    names = [str(name) for name in frame.columns]
    for key, asked in {"target": [target], "drop": drop, "group": [group] if group else [], "kinds": kinds}.items():
        for name in asked:
            if name not in names:
                near = nearest(name, names)
                cure = f"dataset.{key}={near}" if near and key in ("target", "group") else f"one of {', '.join(names)}"
                raise DataError(f"dataset.{key}={name}: {path} has no such column", cure)
    frame = frame.drop(columns=[name for name in drop if name != target]).reset_index(drop=True)
    features = [name for name in map(str, frame.columns) if name not in (target, group)]
    if not features:
        cure = "fewer columns in dataset.drop" if len(drop) else "a table with more columns, or another separator"
        raise DataError(f"dataset.path={path}: no column is left to learn from", cure)
    frame, told = _without_missing(frame, path, target, missing)
    made = [infer_column(name, frame[name], kinds.get(name)) for name in features]
    y, classes = _target(target, frame[target], task)
    for (column, values), name in zip(made, features, strict=True):
        if _is_the_target(values, y):
            raise DataError(
                f"the column {name} is the target {target} in other words, and would be all there is to learn",
                f"'dataset.drop=[{name}]'",
            )
        if column.kind == "number" and len(values) > 2 and set(np.diff(values)) == {1.0}:
            told.append(f"the column {name} counts the rows; to leave it out: 'dataset.drop=[{name}]'")
    x = np.stack([values for _, values in made], axis=1)
    with np.errstate(over="ignore"):
        far = np.isinf(x.astype(np.float32)).any(axis=0)
    if far.any():
        name = features[int(far.argmax())]
        raise DataError(
            f"the column {name} holds numbers too large for float32, which nets compute in", f"'dataset.drop=[{name}]'"
        )
    groups = None if group is None else classes_of(frame[group].astype(str).to_numpy(dtype=str))[1]
    columns = tuple(column for column, _ in made)
    return Dataset(x, y, columns, classes, target, groups, tuple(told), frame.index.to_numpy(dtype=np.int64) + 1)


def infer_column(name: str, cells: Cells, kind: str | None) -> tuple[Column, Floats]:
    """What the column is, and its cells as numbers: NaN, or UNKNOWN for a word, where one is missing.

    DataError if it is one of dates, of numbers with words among them, or of nearly as many words as rows.
    """
    pd = pandas()
    if kind not in (None, "number", "boolean", "category"):
        raise ConfigError(
            f"dataset.kinds: {name} must be one of number, boolean, category, not {kind}",
            f"'dataset.kinds={{{name}: category}}'",
        )
    if pd.api.types.is_datetime64_any_dtype(cells):
        raise _of_dates(name)
    there = cells.dropna()
    if kind is None and pd.api.types.is_bool_dtype(there.infer_objects()):
        kind = "boolean"
    if kind is None and pd.api.types.is_numeric_dtype(cells):
        kind = "number"
    if kind in (None, "number", "boolean"):
        words = there.astype(str).str.strip()
        numbers = pd.to_numeric(words.str.lower().replace({"true": "1", "false": "0"}), errors="coerce")
        if kind is not None:
            if numbers.isna().any():
                raise _refuse_mixed(name, words[numbers.isna()])
            if kind == "boolean" and not (other := numbers[~numbers.isin((0, 1))]).empty:
                where = f"row {int(other.index[0]) + 1} holds {other.iloc[0]:g}"
                raise DataError(
                    f"the column {name} is one of true and false, and {where}",
                    f"true or false, 1 or 0; or to train on it 'dataset.kinds={{{name}: number}}'",
                )
            values = pd.Series(np.nan, index=cells.index).mask(cells.notna(), numbers.astype(float))
            if not np.isfinite(values.dropna()).all():
                raise DataError(f"the column {name} holds infinite numbers", "numbers that end")
            return Column(name, kind), values.to_numpy(dtype=np.float64)
        if len(words) and words.str.fullmatch(_DATE.pattern).all():
            raise _of_dates(name)
        if len(words) and words.str.fullmatch(_COMMA.pattern).all():
            raise DataError(
                f"the column {name} holds numbers with a decimal comma: {words.iloc[0]}", 'dataset.decimal=","'
            )
        if 0 < numbers.isna().sum() < len(words) / 2:
            raise _refuse_mixed(name, words[numbers.isna()])
    words = there.astype(str)
    found = sorted(words.unique())
    if kind is None and len(found) > _MOST_WORDS and len(found) > len(words) / 2:
        raise DataError(
            f"the column {name} has {len(found):,} different words in {len(words):,} rows: it names the rows, and no "
            "category",
            f"'dataset.drop=[{name}]', or if it is one 'dataset.kinds={{{name}: category}}'",
        )
    return Column(name, "category", tuple(found)), places(cells, found)


def places(cells: Cells, words: Sequence[str]) -> Floats:
    """Where each cell stands in `words`; UNKNOWN if it does not, EMPTY if it has none."""
    place = {word: number for number, word in enumerate(words)}
    found = cells.astype(str).map(place).fillna(UNKNOWN)
    return found.where(cells.notna(), EMPTY).to_numpy(dtype=np.float64)


def _target(name: str, cells: Cells, task: str) -> tuple[Any, tuple[str, ...] | None]:
    """Class numbers and the classes' names, or values [N, 1] and None."""
    pd = pandas()
    if task not in ("auto", "classes", "regression"):
        raise ConfigError(f"dataset.task must be one of auto, classes, regression, not {task}", "dataset.task=auto")
    numeric = pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells)
    if task == "regression" and not numeric:
        raise DataError(f"dataset.task=regression: the target {name} is not one of numbers", "dataset.task=classes")
    values: Floats | None = cells.to_numpy(dtype=np.float64) if numeric else None
    if values is not None and not np.isfinite(values).all():
        raise DataError(f"the target {name} holds infinite numbers", "numbers that end")
    whole = values is not None and bool((values == np.round(values)).all())
    few = cells.nunique() <= _MOST_CLASSES
    if values is not None and (task == "regression" or (task == "auto" and not (whole and few))):
        return np.array(values).reshape(-1, 1), None  # pandas' own is read-only
    if task == "auto" and not numeric and cells.nunique() > max(_MOST_WORDS, len(cells) / 2):
        raise DataError(f"the target {name} has {cells.nunique():,} different words", "dataset.target= another column")
    labels, numbers = classes_of(
        values.astype(np.int64) if whole and values is not None else cells.astype(str).to_numpy(str)
    )
    return numbers, tuple(map(str, labels))


def _without_missing(frame: Frame, path: str, target: str, missing: str | None) -> tuple[Frame, list[str]]:
    """The rows that can be used, and what was done to get there."""
    if missing not in (None, "drop", "median"):
        raise ConfigError(f"dataset.missing must be one of null, drop, median, not {missing}", "dataset.missing=drop")
    counts = {str(name): int(count) for name, count in frame.isna().sum().items() if count}
    if not counts:
        return frame, []
    if empty := [name for name, count in counts.items() if count == len(frame)]:
        raise DataError(f"{path}: no row has a {empty[0]}", f"'dataset.drop=[{','.join(empty)}]'")
    listed = ", ".join(f"{name} ({count:,})" for name, count in counts.items())
    if missing == "drop":
        left = frame.dropna()
        if not len(left):
            raise DataError(f"{path}: every row has an empty cell: {listed}", "'dataset.drop=[...]' of such columns")
        return left, [f"{len(frame) - len(left):,} of {len(frame):,} rows have empty cells, and are left out: {listed}"]
    if missing == "median" and target not in counts:
        return frame, [f"empty cells are filled: {listed}"]
    where = f"the target {target} has" if missing == "median" else "there are"
    cure = "dataset.missing=drop" if missing == "median" else "dataset.missing=drop, or dataset.missing=median"
    raise DataError(f"dataset.path={path}: {where} empty cells: {listed} of {len(frame):,} rows", cure)


def _is_the_target(values: Floats, y: NDArray[Any]) -> bool:
    """Whether each tells the other: the same numbers, or classes under other names."""
    flat = y.reshape(len(y))
    if y.dtype.kind == "f":
        return bool(np.array_equal(values, flat))
    pairs = np.unique(np.stack([values, flat], axis=1), axis=0)
    return len(pairs) == len(np.unique(values)) == len(np.unique(flat))


def _refuse_mixed(name: str, words: Cells) -> DataError:
    return DataError(
        f"the column {name} holds numbers, and {len(words):,} cells that are none, the first in row "
        f"{int(words.index[0]) + 1}: {words.iloc[0]!r}",
        f"mended cells (empty ones are missing), or 'dataset.kinds={{{name}: category}}'",
    )


def _of_dates(name: str) -> DataError:
    return DataError(
        f"the column {name} is one of dates, which are no numbers and no categories",
        f"'dataset.drop=[{name}]', or columns made of it: year, month, days since",
    )
