"""The target columns of a table: one of classes or numbers, or several of numbers or of labels."""

import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exp.config.nearest_names import nearest
from exp.config.overrides import quote_names, quote_text, text_override
from exp.data.columns.parse_booleans import read_booleans
from exp.data.dataset import TargetColumn
from exp.data.frame import Cells, Frame, import_pandas
from exp.data.reading.header import NoNamesError, number_names
from exp.data.target import encode_target, read_target
from exp.errors import ConfigError, DataError, ExpError

# How many names of columns an error message lists.
_MAX_NAMES = 20


class Targets(NamedTuple):
    """The target columns as they were read, their cells [N] by name, and notes for the user."""

    columns: tuple[TargetColumn, ...]
    cells: dict[str, Cells]
    notes: tuple[str, ...]

    @property
    def is_complete(self) -> Cells:
        """Which rows [N] have all targets."""
        first, *others = (cells.notna() for cells in self.cells.values())
        for other in others:
            first &= other
        return first


def find_targets(target: str | int | Sequence[str | int], names: Sequence[str], path: str) -> list[str]:
    """Return the names of the target columns that dataset.target names, each by its name or its position.

    Raises:
        DataError: There is no such column.
        ConfigError: A column is named twice, or none is.
    """
    given = [target] if isinstance(target, str | int) else [*target]
    found = [_find_target(one, given, names, path) for one in given]
    distinct = list(dict.fromkeys(found))
    if len(distinct) < len(found) or not found:
        what = "a column is named twice" if found else "no column is named"
        override = f"dataset.target={quote_names(distinct or names[-1:])}"
        what = f"dataset.target={quote_names(map(str, given))}: {what}"
        raise ConfigError(what, shlex.quote(override), key="dataset.target", override=override)
    return found


def _find_target(target: str | int, given: Sequence[str | int], names: Sequence[str], path: str) -> str:
    """Return the name of a target column: `target`, or the column at this position if no column has this name."""
    if str(target) in names:
        return str(target)
    if isinstance(target, int) and -len(names) <= target < len(names):
        return names[target]
    near = nearest(str(target), names)
    override = None
    if near is not None and len(given) == 1:
        override = text_override("dataset.target", near)
    elif near is not None:
        override = f"dataset.target={quote_names(near if one == target else str(one) for one in given)}"
    fix = shlex.quote(override) if override else f"one of {list_names(names)}"
    what = f"dataset.target={target}: {path} has no column '{target}'"
    raise DataError(what, fix, key="dataset.target", override=override)


@contextmanager
def offer_no_header(target: str | int | Sequence[str | int]) -> Generator[None]:
    """Add the override of the target to a NoNamesError: as it is given, or the last column if there is none like it."""
    try:
        yield
    except NoNamesError as error:
        words, names = [error.fix], number_names(error.columns)
        try:
            found = find_targets(target, names, "")
        except ExpError:
            found = names[-1:]
            words.append(f"dataset.target={found[0]}")
        chosen = f"dataset.target={found[0] if len(found) == 1 else quote_names(found)}"
        problem, fix = error.problem, " ".join(words)
        raise DataError(problem, fix, key="dataset.target", override=(chosen, error.fix)) from error


def list_names(names: Sequence[str]) -> str:
    """Return the first names of columns, as values on the command line."""
    return ", ".join([*map(quote_text, names[:_MAX_NAMES]), *(["…"] if len(names) > _MAX_NAMES else [])])


def read_targets(frame: Frame, task: str, decimal: str | None = ".") -> Targets:
    """Read the columns of `frame`, which are all targets; several targets are numbers or labels.

    Raises:
        ConfigError: Several targets are to be classes.
        DataError: One of several targets holds words.
    """
    names = [str(name) for name in frame.columns]
    if len(names) > 1 and task == "classes":
        what = f"dataset.task=classes: several targets are numbers or labels, got {quote_names(names)}"
        raise ConfigError(what, "dataset.task=labels, or one column as dataset.target", key="dataset.task")
    if len(names) == 1 and task == "labels":
        what = f"dataset.task=labels needs several targets, got {quote_names(names)}"
        raise ConfigError(what, "dataset.task=classes", key="dataset.task", override="dataset.task=classes")
    if len(names) == 1:
        read = [read_target(names[0], frame[names[0]], task, decimal)]
    else:
        read = [read_target(name, as_numbers(frame[name]), "regression", decimal) for name in names]
    columns = tuple(TargetColumn(name, one.notation) for name, one in zip(names, read, strict=True))
    notes = tuple(note for one in read for note in one.notes)
    return Targets(columns, {name: one.cells for name, one in zip(names, read, strict=True)}, notes)


def encode_targets(frame: Frame, task: str) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """Return class numbers int64 [N] and the classes' names, or values float64 [N, K] or labels int64 [N, K] and None.

    Several targets that are all 0 or 1 are labels, unless the task is regression.

    Args:
        frame: What `read_targets` returned, without empty cells.

    Raises:
        DataError: A target has one value only, or does not fit the task.
    """
    names = [str(name) for name in frame.columns]
    if len(names) == 1:
        return encode_target(names[0], frame[names[0]], task)
    for name in names:
        if not import_pandas().api.types.is_numeric_dtype(frame[name]):
            what = f"dataset.target={quote_names(names)}: several targets must be numbers, and '{name}' is not numeric"
            raise DataError(what, "one column as dataset.target, or other columns", key="dataset.target")
    values = np.concatenate([encode_target(name, frame[name], "regression")[0] for name in names], axis=1)
    is_label = np.isin(values, (0, 1)).all(axis=0)
    if task == "labels" and not is_label.all():
        name = names[int(np.argmin(is_label))]
        what = f"dataset.task=labels: the target '{name}' has other values than 0 and 1, or true and false"
        raise DataError(what, "dataset.task=regression, or other columns", key="dataset.task")
    return values.astype(np.int64) if is_label.all() and task != "regression" else values, None


def as_numbers(cells: Cells) -> Cells:
    """Return booleans, also those in words, as 1 and 0, and other cells as they are."""
    types = import_pandas().api.types
    if types.is_numeric_dtype(cells) and not types.is_bool_dtype(cells):
        return cells
    values, is_wrong = read_booleans(cells)
    is_boolean = not is_wrong.any() and not np.isnan(values).all()
    return import_pandas().Series(values, index=cells.index) if is_boolean else cells
