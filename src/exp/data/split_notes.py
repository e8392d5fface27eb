"""What a user should know of the splits of a dataset."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.config.overrides import quote_names
from exp.data.columns.category import CategoryColumn
from exp.data.dataset import Dataset
from exp.data.duplicates import count_repeated
from exp.data.folds import Fold, describe_rare_classes
from exp.data.mapped.maps import is_mapped
from exp.data.merge_notes import merge_notes
from exp.data.preprocessing import Preprocessing
from exp.data.reading.header import is_number
from exp.errors import MAX_NAMES, pluralize, shorten

# Values that are added in a total, and those that it is compared with before it is computed.
_FEWEST, _SAMPLE = 10, 100

# Rows of which the classes are counted at a time.
_MAX_ROWS = 2**22


def describe_columns(
    dataset: Dataset, preprocessing: Preprocessing, unknown: Mapping[str, int], validation_rows: int
) -> tuple[str, ...]:
    """Return the notes on a dataset and its columns.

    Args:
        unknown: How many of the rows that are not for training have an unknown category, by column.
        validation_rows: How many validation rows were added to the training rows.
    """
    left_out = {column.name for column in dataset.columns} - {column.name for column in preprocessing.columns}
    return (
        *merge_notes(dataset.notes),
        *([f"the training rows include the {pluralize(validation_rows, 'validation row')}"] * bool(validation_rows)),
        *(f"left out column {name}: it is empty in every training row" for name in sorted(left_out)),
        *_rare_categories(preprocessing),
        *preprocessing.describe_unknown(unknown),
    )


def describe_rows(dataset: Dataset, rows: Sequence[NDArray[np.int64]], fold: Fold | None) -> tuple[str, ...]:
    """Return the notes on the splits; `rows` are the row numbers of train, val and test, or of train alone."""
    return (
        *_total_row(dataset),
        *_describe_repeated_rows(dataset, rows),
        *_describe_shared_groups(dataset, rows),
        *_describe_later_rows(dataset, rows),
        *_unseen_classes(dataset, rows),
        *(_single_classes(dataset, rows) if fold is None else describe_rare_classes(dataset, fold)),
        *_constant_labels(dataset, rows[0]),
    )


def _unseen_classes(dataset: Dataset, rows: Sequence[NDArray[np.int64]]) -> list[str]:
    """Return a note on the classes that no training row has."""
    if dataset.classes is None or len(rows) < 3:
        return []
    counts = [_count_classes(dataset.y, part, len(dataset.classes)) for part in rows]
    unseen = [number for number in range(len(dataset.classes)) if not counts[0][number]]
    if not unseen:
        return []
    listed = ", ".join(
        f"{dataset.classes[number]!r} ({counts[1][number]:,} val, {counts[2][number]:,} test rows)" for number in unseen
    )
    return [f"no training row has the class {listed}: the model cannot predict it"]


def _total_row(dataset: Dataset) -> list[str]:
    """Return a note if the last row of a table holds the sums of the others: it is none, but their total."""
    if dataset.row_numbers is None or dataset.parts is not None or is_mapped(dataset.x) or len(dataset.x) <= _FEWEST:
        return []
    targets = zip(dataset.target_kind.names, dataset.y.T, strict=True) if dataset.target_kind.kind == "numbers" else ()
    of_target, columns = dict(targets), zip(dataset.columns, dataset.x.T, strict=True)
    of_column = {column.name: values for column, values in columns if column.kind == "number"}
    summed = [name for name, values in {**of_column, **of_target}.items() if _ends_with_sum(values)]
    if not summed:
        return []
    total = next((float(values[-1]) for name, values in of_target.items() if name in summed), None)
    fix = "a file without it" if total is None else f"'dataset.na_values=[{total}]'"
    row = f"row {int(dataset.row_numbers[-1]):,}, the last one,"
    return [f"{row} holds the sums of the rows above it in {shorten(summed)}: to leave it out: {fix}"]


def _ends_with_sum(values: NDArray[Any]) -> bool:
    """Return whether the last value is the sum of the others, of which at least 10 are > 0, and none is < 0."""
    first, last = values[:_SAMPLE], values[-1]
    if not abs(last) > np.fmax.reduce(np.abs(first[:-1])):  # most columns need no sum
        return False
    others = values[:-1]
    is_sum = np.isclose(np.nansum(others), last, rtol=1e-9, atol=0) and np.fmin.reduce(others) >= 0
    return bool(is_sum) and int(np.count_nonzero(others)) >= _FEWEST


def _single_classes(dataset: Dataset, rows: Sequence[NDArray[np.int64]]) -> list[str]:
    """Return a note on the classes of a table that one row has: it may be none, such as a total.

    A word among numbers has another note.
    """
    if dataset.classes is None or dataset.row_numbers is None:
        return []
    counts = np.sum([_count_classes(dataset.y, part, len(dataset.classes)) for part in rows], axis=0)
    has_numbers = any(map(is_number, dataset.classes))
    single = [
        (name, number)
        for number, name in enumerate(dataset.classes)
        if counts[number] == 1 and is_number(name) == has_numbers
    ]
    if not single:
        return []
    places = [int(dataset.row_numbers[np.argmax(dataset.y == number)]) for _, number in single[:MAX_NAMES]]
    listed = [f"{name!r} (row {row:,})" for (name, _), row in zip(single, places, strict=False)]
    empty = shlex.quote(f"dataset.na_values={quote_names(name for name, _ in single)}")
    fix = "for numbers: dataset.task=regression" if has_numbers else f"to leave them out: {empty}"
    return [f"classes with one row: {shorten(listed, len(single))}; {fix}"]


def _count_classes(y: NDArray[Any], rows: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return the number of `rows` of each class; with a slice of the rows at a time in memory."""
    counts = np.zeros(classes, dtype=np.int64)
    for start in range(0, len(rows), _MAX_ROWS):
        counts += np.bincount(y[rows[start : start + _MAX_ROWS]].astype(np.int64), minlength=classes)
    return counts


def _constant_labels(dataset: Dataset, train: NDArray[np.int64]) -> list[str]:
    """Return a note on the labels that are equal in all training rows."""
    if not dataset.has_labels:
        return []
    first, labels = dataset.y[train[:1]], dataset.y[train]
    constant = np.flatnonzero((labels == first).all(axis=0))
    listed = ", ".join(f"{dataset.target_kind.names[number]} ({first[0, number]})" for number in constant)
    return [f"labels that are equal in every training row: {listed}"] if listed else []


def _rare_categories(preprocessing: Preprocessing) -> list[str]:
    """Return a note on the columns of which some categories share a feature."""
    rare = [column for column in preprocessing.columns if isinstance(column, CategoryColumn) and column.rare]
    listed = ", ".join(f"{column.name} ({column.rare:,})" for column in rare)
    return (
        [f"rare categories that share one feature: {listed}; dataset.max_categories=null gives each its own"]
        if rare
        else []
    )


def _describe_repeated_rows(dataset: Dataset, rows: Sequence[NDArray[np.int64]]) -> list[str]:
    """Return notes on rows of a table that are in the training rows too."""
    if dataset.row_numbers is None or len(rows) == 1 or is_mapped(dataset.x):
        return []
    notes: list[str] = []
    for name, part in zip(("val", "test"), rows[1:], strict=True):
        if count := count_repeated(dataset.x, dataset.y, rows[0], part):
            notes.append(
                f"{count:,} of {len(part):,} {name} rows equal a training row, target included: the {name} metrics "
                "favor a model that memorizes"
            )
    return notes


def _describe_shared_groups(dataset: Dataset, rows: Sequence[NDArray[np.int64]]) -> list[str]:
    """Return notes on groups in the training rows that the files or the column of the user give other parts, too."""
    if dataset.groups is None or dataset.parts is None:
        return []
    notes, known = list[str](), np.unique(dataset.groups[rows[0]])
    for name, part in zip(("val", "test"), rows[1:], strict=True):
        if count := int(np.isin(dataset.groups[part], known[known >= 0]).sum()):
            notes.append(
                f"{count:,} of {len(part):,} {name} rows are of a dataset.group that training rows have too: the "
                f"{name} metrics favor a model that knows these groups"
            )
    return notes


def _describe_later_rows(dataset: Dataset, rows: Sequence[NDArray[np.int64]]) -> list[str]:
    """Return notes on training rows after others in dataset.order: groups and the parts that the user gives do that."""
    if dataset.order is None or len(rows) == 1 or (dataset.groups is None and dataset.parts is None):
        return []
    notes, order = list[str](), dataset.order
    for name, part in zip(("val", "test"), rows[1:], strict=True):
        if len(part) and (count := int((order[rows[0]] > order[part].min()).sum())):
            notes.append(
                f"{count:,} of {len(rows[0]):,} training rows are later than the first {name} row in dataset.order: "
                f"the {name} metrics are not those of a forecast"
            )
    return notes
