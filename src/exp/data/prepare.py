"""Split a dataset, and turn its rows into features with preprocessing fitted on the training rows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from exp.data.assign_rows import assign_fold, assign_rows
from exp.data.columns.category import CategoryColumn
from exp.data.dataset import Dataset
from exp.data.duplicates import count_repeated
from exp.data.folds import Fold, describe_rare_classes
from exp.data.memory import check_memory
from exp.data.preprocessing import Preprocessing
from exp.data.splits import Split, Splits
from exp.data.target_scale import fit_target_scale
from exp.errors import ConfigError, DataError, pluralize


def prepare(
    dataset: Dataset,
    split: Sequence[float] | None,
    scaler: str,
    seed: int,
    stratify: bool | None = None,
    scale_target: bool | str | None = False,
    train_on_val: bool = False,
    fold: Fold | None = None,
    codes_above: int | None = None,
) -> Splits:
    """Return the splits on the CPU, with rows assigned as `random_split` does after `torch.manual_seed(seed)`.

    Args:
        split: Three fractions or three numbers of rows: train, val, test. Fractions are rounded down to whole rows, and
            the remaining rows are of the last part that is not 0. None uses all rows for all three.
        scaler: How the features of numbers are scaled by the training rows (dataset.scaler), in float64 before the cast
            to float32.
        seed: Seeds torch's random generator; it decides which row is in which split.
        stratify: Give every split the same class proportions. None: only the folds of a cross-validation.
        scale_target: Standardise numeric targets by the training rows: true, false, log, or auto, which is true.
        train_on_val: Append the validation rows to the training rows, and leave no validation rows.
        codes_above: The number of categories above which a column has one feature, for an embedding; None: never.
        fold: The fold of a cross-validation that is for testing; train and val are then parts of the other rows.

    Rows of one group of the dataset stay in one split.

    Raises:
        ConfigError: The split does not fit the rows, a split would be empty, or there is none to train on.
        DataError: The training rows have no features.
    """
    if fold is not None:
        rows = assign_fold(dataset, fold, split, seed, stratify)
    elif split is None and dataset.parts is None:
        rows = [np.arange(len(dataset.x))]
    else:
        rows = assign_rows(dataset, split or (1.0, 0.0, 0.0), seed, bool(stratify))
    validation_rows = len(rows[1]) if train_on_val and len(rows) == 3 else 0
    if train_on_val:
        rows = _merge_validation(rows)
    preprocessing, encoded = Preprocessing.fit(dataset, rows[0], scaler, codes_above)
    if not preprocessing.features and dataset.columns:
        listed = ", ".join(column.name for column in dataset.columns)
        problem = f"dataset.split: no feature column has a value in the {pluralize(len(rows[0]), 'training row')}"
        raise DataError(f"{problem} ({listed})", "more training rows, or another dataset.seed")
    scale = fit_target_scale(dataset.y, dataset.target_kind, rows[0], scale_target, dataset.target)
    preprocessing = replace(preprocessing, target_scale=scale)
    parts = _make_splits(dataset, preprocessing, encoded, rows)
    if fold is not None and dataset.classes is None:
        parts[2] = replace(parts[2], given=dataset.y[rows[2]].astype(np.float64).reshape(len(rows[2]), -1))
    train, val, test = parts if len(parts) == 3 else parts * 3
    left_out = {column.name for column in dataset.columns} - {column.name for column in preprocessing.columns}
    notes = (
        *dataset.notes,
        *([f"the training rows include the {pluralize(validation_rows, 'validation row')}"] * bool(validation_rows)),
        *(f"left out column {name}: it is empty in every training row" for name in sorted(left_out)),
        *_rare_categories(preprocessing),
        *preprocessing.unknown_notes(encoded[_held_out(rows)]),
        *_describe_repeated_rows(dataset, rows),
        *_unseen_classes(dataset, rows),
        *([] if fold is None else describe_rare_classes(dataset, fold)),
        *_constant_labels(dataset, rows[0]),
    )
    return Splits(train, val, test, preprocessing, dataset.fingerprint, notes)


def _make_splits(
    dataset: Dataset, preprocessing: Preprocessing, encoded: NDArray[np.float64], rows: Sequence[NDArray[np.int64]]
) -> list[Split]:
    """Return the split of each of `rows`. DataError if there is not enough memory."""
    n = len(dataset.x)
    y = preprocessing.targets_to_tensor(dataset.y)
    numbers = dataset.row_numbers if dataset.row_numbers is not None else np.arange(1, n + 1)
    check_memory(n, len(preprocessing.features))
    weights = None if dataset.weights is None else torch.from_numpy(dataset.weights).float()
    return [
        Split(
            preprocessing.to_tensor(encoded[part]),
            y[torch.from_numpy(part)],
            numbers[part],
            preprocessing.target_scale,
            None if weights is None else weights[torch.from_numpy(part)],
        )
        for part in rows
    ]


def _merge_validation(rows: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Return the training rows followed by the validation rows, no validation rows, and the test rows."""
    if len(rows) == 1:
        raise ConfigError(
            "dataset.train_on_val=true: with dataset.split=null, all rows are training rows",
            "dataset.train_on_val=false",
            key="dataset.train_on_val",
            override="dataset.train_on_val=false",
        )
    train, val, test = rows
    return [np.concatenate([train, val]), val[:0], test]


def _unseen_classes(dataset: Dataset, rows: Sequence[NDArray[np.int64]]) -> list[str]:
    """Return a note on the classes that no training row has."""
    if dataset.classes is None or len(rows) < 3:
        return []
    counts = [np.bincount(dataset.y[part].astype(np.int64), minlength=len(dataset.classes)) for part in rows]
    unseen = [number for number in range(len(dataset.classes)) if not counts[0][number]]
    if not unseen:
        return []
    listed = ", ".join(
        f"{dataset.classes[number]!r} ({counts[1][number]:,} val, {counts[2][number]:,} test rows)" for number in unseen
    )
    return [f"no training row has the class {listed}: the model cannot predict it"]


def _constant_labels(dataset: Dataset, train: NDArray[np.int64]) -> list[str]:
    """Return a note on the labels that are equal in all training rows."""
    if not dataset.has_labels:
        return []
    first, labels = dataset.y[train[:1]], dataset.y[train]
    constant = np.flatnonzero((labels == first).all(axis=0))
    listed = ", ".join(f"{dataset.target_kind.names[number]} ({first[0, number]})" for number in constant)
    return [f"labels that are equal in every training row: {listed}"] if listed else []


def _held_out(rows: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the rows that are not for training."""
    return np.concatenate([*rows[1:], np.zeros(0, dtype=np.int64)])


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
    if dataset.row_numbers is None or len(rows) == 1:
        return []
    notes: list[str] = []
    for name, part in zip(("val", "test"), rows[1:], strict=True):
        if count := count_repeated(dataset.x, dataset.y, rows[0], part):
            notes.append(
                f"{count:,} of {len(part):,} {name} rows equal a training row, target included: the {name} metrics "
                "favor a model that memorizes"
            )
    return notes
