"""Which rows of a dataset are for training, validation and testing."""

from collections.abc import Sequence

import numpy as np

from exp.data.dataset import Dataset
from exp.data.folds import Fold, Rows, fold_rows
from exp.data.seeding import split_order
from exp.errors import ConfigError, as_yaml, pluralize

_FIX = "'dataset.split=[.6,.2,.2]'"


def assign_rows(dataset: Dataset, split: Sequence[float], seed: int, stratify: bool) -> list[Rows]:
    """Return the row numbers of the training, validation and test rows, in the order in which they are used.

    Rows that the dataset gives a part keep it, in the order of the dataset. The others are divided in the proportions
    of `split`: in the order of `dataset.order`, or else in a random order, as `random_split` does after
    `torch.manual_seed(seed)`. Rows of one group of the dataset stay in one part; with an order, groups are divided in
    the order of their last rows.

    Raises:
        ConfigError: The split does not fit the rows, or leaves a part without rows that should have some.
    """
    if dataset.parts is None:
        return _divide(dataset, None, split, seed, stratify)
    free = np.flatnonzero(dataset.parts < 0)
    given = [np.flatnonzero(dataset.parts == part) for part in range(3)]
    if not len(free):
        return given
    shares = _share_of_free(split, given)
    if 1.0 in shares:
        given[shares.index(1.0)] = np.sort(np.concatenate([given[shares.index(1.0)], free]))
        return given
    drawn = _divide(dataset, free, shares, seed, stratify)
    return [np.concatenate([mine, others]) for mine, others in zip(given, drawn, strict=True)]


def assign_fold(
    dataset: Dataset, fold: Fold, split: Sequence[float] | None, seed: int, stratify: bool | None
) -> list[Rows]:
    """Return the row numbers of the training, validation and test rows of one fold of a cross-validation.

    The test rows are those of the fold. The others are for training and validation, in the proportions of the first two
    parts of `split`, and as `assign_rows` divides them; without `split`, all of them are for training.

    Args:
        stratify: Whether the folds, and training and validation, have the proportions of the classes; None: only the
            folds.

    Raises:
        ConfigError: The rows cannot be divided so.
    """
    _check_options(dataset, bool(stratify))
    outside, test = fold_rows(dataset, fold, seed, stratify is not False)
    if split is not None:
        split_sizes(split, len(dataset.x))  # raises the error for a split that does not fit the rows
    train, val = (1.0, 0.0) if split is None else split[:2]
    if not val:
        return [outside, np.zeros(0, dtype=np.int64), test]
    share = round(train / (train + val), 12)  # .6 / .8 is not quite .75
    return [*_divide(dataset, outside, (share, round(1 - share, 12), 0.0), seed, bool(stratify))[:2], test]


def _share_of_free(split: Sequence[float], given: list[Rows]) -> list[float]:
    """Return the fractions of the rows without a part: 0 for the parts that are given."""
    shares = [0.0 if len(rows) else float(part) for part, rows in zip(split, given, strict=True)]
    shares = shares if shares[0] > 0 or len(given[0]) else [1.0, 0.0, 0.0]
    total = sum(shares)
    return [round(share / total, 12) for share in shares] if total else [1.0, 0.0, 0.0]  # .6 / .8 is not quite .75


def _divide(dataset: Dataset, rows: Rows | None, split: Sequence[float], seed: int, stratify: bool) -> list[Rows]:
    """Return `rows`, None for all of them, in three parts with the proportions of `split`."""
    _check_options(dataset, stratify)
    count = len(dataset.x) if rows is None else len(rows)
    sizes = split_sizes(split, count)
    if dataset.order is not None:
        order = np.argsort(dataset.order if rows is None else dataset.order[rows], kind="stable")
    else:
        order = split_order(count, seed).numpy()
    if rows is not None:
        order = rows[order]
    ends = np.cumsum(sizes)
    if dataset.groups is None and not stratify:
        return np.split(order, ends[:2])  # no copies: the order of 100 million rows takes 800 MB
    if dataset.groups is not None:
        part_of_row = _by_group(dataset.groups[order], ends, by_last=dataset.order is not None)
    else:
        part_of_row = _by_class(dataset.y[order].astype(np.int64), ends)
    parts = [order[part_of_row == part] for part in range(3)]
    if any(size and not len(part) for size, part in zip(sizes, parts, strict=True)):
        raise ConfigError(
            f"dataset.split: every split must have a row, got {', '.join(str(len(part)) for part in parts)} rows",
            "other sizes, such as 'dataset.split=[.4,.3,.3]', or no dataset.group",
        )
    return parts


def _check_options(dataset: Dataset, stratify: bool) -> None:
    if not stratify:
        return
    if dataset.groups is not None or dataset.order is not None:
        other = "dataset.order" if dataset.groups is None else "dataset.group"
        raise ConfigError(f"dataset.stratify=true cannot be combined with {other}", "dataset.stratify=false")
    if dataset.classes is None:
        fix = "dataset.stratify=false"
        what = "dataset.stratify=true needs classes, but the target is numeric"
        raise ConfigError(what, fix, key="dataset.stratify", override=fix)


def _by_group(groups: Rows, ends: Rows, by_last: bool) -> Rows:
    """Return the part [N] of rows with these groups: that of the middle of the group, as groups appear or disappear.

    By their last rows, the training rows of an order reach as little into the time of the others as they can.
    """
    _, first, inverse, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    if by_last:
        first = len(groups) - np.unique(groups[::-1], return_index=True)[1]
    by_first = np.argsort(first)
    middles = np.cumsum(counts[by_first]) - counts[by_first] / 2
    part_of_group = np.empty(len(counts), dtype=np.int64)
    part_of_group[by_first] = np.searchsorted(ends[:2], middles, side="right")
    return part_of_group[inverse]


def _by_class(classes: Rows, ends: Rows) -> Rows:
    """Return the part [N] of rows of these classes: every class is divided in the same proportions."""
    part_of_row = np.empty(len(classes), dtype=np.int64)
    for label in np.unique(classes):
        rows = np.flatnonzero(classes == label)
        middles = (np.arange(len(rows)) + 0.5) / len(rows)
        part_of_row[rows] = np.searchsorted(ends[:2] / len(classes), middles, side="right")
    return part_of_row


def split_sizes(split: Sequence[float], n: int) -> list[int]:
    """Return the numbers of training, validation and test rows among n rows.

    A fraction f means int(f * n) rows, and the remaining rows are of the last part that is not 0. Integers are numbers
    of rows. Validation and test may be 0.

    Raises:
        ConfigError: The parts do not add up to 1 or n, or a part that is not 0 would be empty.
    """
    fix = _FIX if n >= 5 else "dataset.split=null, which trains and evaluates on all rows"
    is_counts = all(isinstance(part, int) for part in split) and sum(split) != 1
    total = n if is_counts else 1
    if len(split) != 3 or min(split) < 0 or split[0] <= 0 or abs(sum(split) - total) > 1e-6:
        two = f"'dataset.split=[{as_yaml(split[0])},{as_yaml(split[1])},0]'" if len(split) == 2 else fix
        raise ConfigError(
            f"dataset.split must be three fractions with sum 1, or three row counts with sum {n}, the first > 0; got "
            f"{as_yaml(list(split))}",
            two,
            key="dataset.split",
            override=two.strip("'") if two.endswith("'") else None,
        )
    if is_counts:
        return [int(part) for part in split]
    last = max(index for index, part in enumerate(split) if part > 0)
    sizes = [int(part * n) for part in split]
    sizes[last] = n - sum(sizes[:last])
    if any(part > 0 and size < 1 for part, size in zip(split, sizes, strict=True)):
        raise ConfigError(
            f"dataset.split={as_yaml(list(split))} leaves a split of the {pluralize(n, 'row')} empty",
            fix,
            key="dataset.split",
        )
    return sizes
