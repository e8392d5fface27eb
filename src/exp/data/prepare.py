"""Split a dataset, and turn its rows into features with preprocessing fitted on the training rows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from exp.data.assign_rows import assign_fold, assign_rows
from exp.data.dataset import Dataset
from exp.data.folds import Fold
from exp.data.memory import check_memory
from exp.data.preprocessing import Preprocessing
from exp.data.split_notes import describe_columns, describe_rows
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
    rows, validation_rows = divide_rows(dataset, split, seed, stratify, train_on_val, fold)
    preprocessing, encoded = Preprocessing.fit(dataset, rows[0], scaler, codes_above)
    check_has_features(dataset, preprocessing, len(rows[0]))
    scale = fit_target_scale(dataset.y, dataset.target_kind, rows[0], scale_target, dataset.target)
    preprocessing = replace(preprocessing, target_scale=scale)
    parts = _make_splits(dataset, preprocessing, encoded, rows)
    if fold is not None and dataset.classes is None:
        parts[2] = replace(parts[2], given=dataset.y[rows[2]].astype(np.float64).reshape(len(rows[2]), -1))
    train, val, test = parts if len(parts) == 3 else parts * 3
    unknown = preprocessing.count_unknown(encoded[np.concatenate([*rows[1:], np.zeros(0, dtype=np.int64)])])
    about_columns = describe_columns(dataset, preprocessing, unknown, validation_rows)
    notes = (*about_columns, *describe_rows(dataset, rows, fold, scale_target, scale))
    return Splits(train, val, test, preprocessing, dataset.fingerprint, notes)


def divide_rows(
    dataset: Dataset,
    split: Sequence[float] | None,
    seed: int,
    stratify: bool | None,
    train_on_val: bool,
    fold: Fold | None,
) -> tuple[list[NDArray[np.int64]], int]:
    """Return the row numbers of train, val and test, and how many validation rows were added to train.

    Without a split, there is one array of all rows. `prepare` describes the arguments.

    Raises:
        ConfigError: The split does not fit the rows, a split would be empty, or there is none to train on.
    """
    if fold is not None:
        rows = assign_fold(dataset, fold, split, seed, stratify)
    elif split is None and dataset.parts is None:
        rows = [np.arange(len(dataset.x))]
    else:
        rows = assign_rows(dataset, split or (1.0, 0.0, 0.0), seed, bool(stratify))
    if not train_on_val:
        return rows, 0
    return _merge_validation(rows), len(rows[1]) if len(rows) == 3 else 0


def check_has_features(dataset: Dataset, preprocessing: Preprocessing, rows: int) -> None:
    """Raise DataError if no column has a value in the training rows, of which there are that many `rows`."""
    if not preprocessing.features and dataset.columns:
        listed = ", ".join(column.name for column in dataset.columns)
        problem = f"dataset.split: no feature column has a value in the {pluralize(rows, 'training row')}"
        raise DataError(f"{problem} ({listed})", "more training rows, or another dataset.seed")


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
