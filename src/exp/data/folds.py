"""Which rows of a cross-validation are for training, validation and testing, by scikit-learn's splitters."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.data.dataset import Dataset
from exp.errors import ConfigError, pluralize, shorten

Rows = NDArray[np.int64]

_UNSTRATIFIED = "fewer folds, or dataset.stratify=false"


@dataclass(frozen=True)
class Fold:
    """One fold of a cross-validation: `number` counts from 0 over `folds` folds of each of the `repeats`."""

    number: int
    folds: int
    repeats: int = 1

    @property
    def repeat(self) -> int:
        """The number of its repeat, from 0."""
        return self.number // self.folds


def fold_rows(dataset: Dataset, fold: Fold, seed: int, stratify: bool) -> tuple[Rows, Rows]:
    """Return the row numbers of a fold: those outside it, and those in it, which are for testing.

    The splitter is the one of scikit-learn that fits the dataset: TimeSeriesSplit along `dataset.order`, where the rows
    outside are the earlier ones; StratifiedGroupKFold or GroupKFold for groups; else StratifiedKFold or KFold. All but
    the first shuffle with `random_state` = `seed` + the number of the repeat.

    Args:
        stratify: Whether every fold of a dataset of classes has their proportions.

    Raises:
        ConfigError: The rows cannot be divided into so many folds.
    """
    is_stratified = stratify and dataset.classes is not None and dataset.order is None
    _check(dataset, fold, is_stratified)
    number = fold.number % fold.folds
    rows = np.arange(len(dataset.x)) if dataset.order is None else np.argsort(dataset.order, kind="stable")
    divided = _divide(dataset, fold.folds, (seed + fold.repeat) % 2**32, is_stratified)
    outside, inside = next(islice(divided, number, None))
    if not len(inside):  # StratifiedGroupKFold puts large groups together
        raise ConfigError(f"folds={fold.folds}: fold {number} has no rows", _UNSTRATIFIED, key="folds")
    return rows[outside], rows[inside]


def describe_rare_classes(dataset: Dataset, fold: Fold) -> list[str]:
    """Return a note on the classes with fewer rows than folds."""
    if dataset.classes is None:
        return []
    counts = np.bincount(dataset.y.astype(np.int64), minlength=len(dataset.classes)).tolist()
    rare = [f"{name!r} ({count:,})" for name, count in zip(dataset.classes, counts, strict=True) if count < fold.folds]
    what = f"classes with fewer rows than folds={fold.folds}: {shorten(rare)}; not every fold has them in its test rows"
    return [what] if rare else []


def _divide(dataset: Dataset, folds: int, seed: int, is_stratified: bool) -> Iterator[tuple[Rows, Rows]]:
    if dataset.order is None and dataset.groups is None:
        of_row = _stratified_folds(dataset.y, folds, seed) if is_stratified else _folds(len(dataset.x), folds, seed)
        yield from ((np.flatnonzero(of_row != fold), np.flatnonzero(of_row == fold)) for fold in range(folds))
        return
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, TimeSeriesSplit  # lazy: takes half a second

    shuffled: dict[str, Any] = {"n_splits": folds, "shuffle": True, "random_state": seed}
    if dataset.order is not None:
        splitter: Any = TimeSeriesSplit(n_splits=folds)
    else:
        splitter = StratifiedGroupKFold(**shuffled) if is_stratified else GroupKFold(**shuffled)
    y = dataset.y if dataset.classes is not None else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # prepare() notes classes without training rows
        yield from splitter.split(dataset.x, y, dataset.groups)


def _folds(count: int, folds: int, seed: int) -> Rows:
    """Return the number of the fold [N] of each of `count` rows, as scikit-learn's KFold divides them."""
    order = np.arange(count)
    np.random.RandomState(seed).shuffle(order)
    of_row = np.empty_like(order)
    for fold, rows in enumerate(np.array_split(order, folds)):
        of_row[rows] = fold
    return of_row


def _stratified_folds(y: NDArray[Any], folds: int, seed: int) -> Rows:
    """Return the number of the fold [N] of each row, as scikit-learn's StratifiedKFold divides the classes y [N]."""
    random = np.random.RandomState(seed)
    labels, first = np.unique(y, return_index=True)
    of_row, before = np.empty(len(y), dtype=np.int64), 0
    for label in labels[np.argsort(first)]:  # in order of appearance
        rows = np.flatnonzero(y == label)
        of_class: Rows = np.sort(np.arange(before, before + len(rows)) % folds)  # sorted rows go to the folds in turn
        random.shuffle(of_class)
        of_row[rows] = of_class
        before += len(rows)
    return of_row


def _check(dataset: Dataset, fold: Fold, is_stratified: bool) -> None:
    """Raise ConfigError if the dataset cannot be divided into these folds."""
    key_value = f"folds={fold.folds}"
    if dataset.parts is not None:
        raise ConfigError(
            f"{key_value}: the rows of a split are given by dataset.split_column, val_path or test_path",
            "folds=null, or the rows in one file without dataset.split_column",
            key="folds",
        )
    if dataset.order is not None and dataset.groups is not None:
        raise ConfigError(
            f"{key_value} cannot have both dataset.order and dataset.group", "dataset.group=null", key="folds"
        )
    if dataset.order is not None and fold.repeats > 1:
        raise ConfigError(
            f"fold_repeats={fold.repeats}: folds by dataset.order have no randomness to repeat",
            "fold_repeats=1",
            key="fold_repeats",
            override="fold_repeats=1",
        )
    what, count = "row", len(dataset.x)
    if dataset.groups is not None:
        what, count = "group", len(np.unique(dataset.groups))
    largest = int(np.bincount(dataset.y.astype(np.int64)).max()) if is_stratified else count
    most = min(largest, count - (dataset.order is not None))
    if most >= fold.folds:
        return
    if largest < fold.folds <= count:
        override = f"folds={most}" if most > 1 else "dataset.stratify=false"
        problem = f"every class has fewer rows than folds (at most {largest})"
        fix = f"{override}, or dataset.stratify=false" if most > 1 else override
    else:
        problem, fix = f"the dataset has {pluralize(count, what)}", f"folds={most}" if most > 1 else "folds=null"
        override = fix
    raise ConfigError(f"{key_value}: {problem}", fix, key=override.partition("=")[0], override=override)
