"""What a user should know of the splits of a dataset."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.category import CategoryColumn
from exp.data.dataset import Dataset
from exp.data.duplicates import count_repeated
from exp.data.folds import Fold, describe_rare_classes
from exp.data.mapped.maps import is_mapped
from exp.data.merge_notes import merge_notes
from exp.data.preprocessing import Preprocessing
from exp.data.target_scale import TargetScale, skew_notes
from exp.data.telling_columns import describe_telling_columns
from exp.errors import MAX_NAMES, pluralize, shorten

# Values > 0 that a total adds; values of each column that are added first; and the rounding of a total.
_FEWEST, _SAMPLE, _ROUNDING = 10, 100, 1e-9

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


def describe_rows(
    dataset: Dataset,
    rows: Sequence[NDArray[np.int64]],
    fold: Fold | None,
    scale_target: Any,
    scale: TargetScale | None,
) -> tuple[str, ...]:
    """Return the notes on the splits.

    Args:
        rows: The row numbers of train, val and test, or of train alone.
        scale_target: dataset.scale_target, and `scale` what it became.
    """
    return (
        *_total_row(dataset),
        *_describe_repeated_rows(dataset, rows),
        *_describe_shared_groups(dataset, rows),
        *describe_telling_columns(dataset, rows),
        *_describe_later_rows(dataset, rows),
        *_class_notes(dataset, rows, fold),
        *_constant_labels(dataset, rows[0]),
        *skew_notes(dataset.y, dataset.target_kind.names, rows[0], scale_target, scale),
    )


def _class_notes(dataset: Dataset, rows: Sequence[NDArray[np.int64]], fold: Fold | None) -> list[str]:
    """Return notes on classes with fewer rows than splits, on those without a training row, and on those rare in folds.

    The former are noted in tables, with their rows: one row may be a total or the units of the columns.
    """
    if dataset.classes is None:
        return []
    counts = np.array([_count_classes(dataset.y, part, len(dataset.classes)) for part in rows])
    total, splits = counts.sum(axis=0), sum(len(part) > 0 for part in rows)
    is_few = (total == 1) | ((total > 0) & (total < splits) & (counts[0] > 0))
    is_few &= (fold is None) & (dataset.row_numbers is not None)
    is_unseen = (counts[0] == 0) & ~is_few & (len(rows) == 3)
    few, unseen = (np.flatnonzero(chosen).tolist() for chosen in (is_few, is_unseen))
    notes = list[str]()
    if unseen:
        listed = [
            f"{dataset.classes[number]!r} ({counts[1, number]:,} val, {counts[2, number]:,} test rows)"
            for number in unseen[:MAX_NAMES]
        ]
        what = shorten(listed, len(unseen))
        notes.append(f"no training row has the class {what}: the model cannot predict it")
    if few:
        places = [(number, np.flatnonzero(dataset.y == number).tolist()) for number in few[:MAX_NAMES]]
        listed = [f"{dataset.classes[number]!r} ({', '.join(map(dataset.name_row, own))})" for number, own in places]
        what = shorten(listed, len(few))
        # No command: dataset.na_values with a class would empty cells of other columns, too.
        problem = f"classes with fewer rows than splits, too few to learn and to evaluate: {what}"
        notes.append(f"{problem}; to leave them out: a file without these rows")
    return notes if fold is None else [*notes, *describe_rare_classes(dataset, fold)]


def _total_row(dataset: Dataset) -> list[str]:
    """Return a note if the last row of a table holds the sums of the rows above it: it is a total, no observation."""
    if dataset.row_numbers is None or dataset.parts is not None or is_mapped(dataset.x) or len(dataset.x) <= _FEWEST:
        return []
    is_number = np.array([column.kind == "number" for column in dataset.columns], dtype=np.bool_)
    summed = [dataset.columns[place].name for place in _summed(dataset.x) if is_number[place]]
    if dataset.target_kind.kind == "numbers":
        summed += [dataset.target_kind.names[place] for place in _summed(dataset.y)]
    what = f"{dataset.name_row(-1)}, the last one, holds the sums of the rows above it in {shorten(summed)}"
    return [f"{what}; to leave it out: a file without it"] if summed else []


def _summed(values: NDArray[Any]) -> list[int]:
    """Return the columns of values [N, C] whose last one is the sum of the others: at least 10 are > 0, none is < 0.

    The first rows of all columns leave few of them, which are added.
    """
    last, first = values[-1], values[: min(_SAMPLE, len(values) - 1)]
    with np.errstate(over="ignore"):
        may_be = (last > 0) & (np.fmin.reduce(first) >= 0) & (np.nansum(first, axis=0) <= last * (1 + _ROUNDING))
        others = {place: values[:-1, place] for place in np.flatnonzero(may_be).tolist()}
        return [
            place
            for place, column in others.items()
            if np.isclose(np.nansum(column), last[place], rtol=_ROUNDING, atol=0)
            and np.fmin.reduce(column) >= 0
            and np.count_nonzero(column > 0) >= _FEWEST
        ]


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
                f"{count:,} of {len(part):,} {name} rows {'equals' if count == 1 else 'equal'} a training row, "
                f"target included: the {name} metrics favor a model that memorizes"
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
                f"{count:,} of {len(part):,} {name} rows {'is' if count == 1 else 'are'} of a dataset.group that "
                f"training rows have too: the {name} metrics favor a model that knows these groups"
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
                f"{count:,} of {len(rows[0]):,} training rows {'is' if count == 1 else 'are'} later than the first "
                f"{name} row in dataset.order: the {name} metrics are not those of a forecast"
            )
    return notes
