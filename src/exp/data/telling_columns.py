"""Columns that tell the target: the id of a patient, in whose rows it is the same, or its logarithm."""

import shlex
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from exp.config.overrides import quote_names, text_override
from exp.data.columns.column import Floats
from exp.data.dataset import Dataset
from exp.data.mapped.maps import is_mapped
from exp.errors import join_words, shorten

# Fewest values with several rows, and the largest logarithm of the probability that chance makes all of them agree.
_FEWEST, _LARGEST_CHANCE = 10, -20.0

# Fewest different values of a target that is read off a number.
_FEWEST_STEPS = 20

# Fewest changes of the target for each value of a number, in their order, at which its values are names.
_LEAST_CHANGES = 0.25

# Rows that are looked at first. In a larger table, other columns would take seconds to sort.
_SAMPLE = 5000


def describe_telling_columns(dataset: Dataset, rows: Sequence[NDArray[np.int64]]) -> list[str]:
    """Return notes on columns that tell the target of test rows because of the training rows.

    Not for mapped rows, nor where the user says which rows stay together, or which are for testing.
    """
    is_chosen = any(given is not None for given in (dataset.groups, dataset.parts, dataset.order))
    if dataset.row_numbers is None or is_mapped(dataset.x) or is_chosen or len(rows) < 3 or not len(rows[2]):
        return []
    targets = dataset.y.reshape(len(dataset.y), -1)
    if targets.shape[1] > 1:
        return []
    codes = np.unique(targets[:, 0], return_inverse=True)[1]
    curves, names = list[str](), dict[str, Floats]()
    for place, column in enumerate(dataset.columns):
        if column.kind not in ("category", "number"):
            continue
        may_be_curve = column.kind == "number" and dataset.classes is None
        cells, is_number = dataset.x[:, place], column.kind == "number"
        first = np.where(column.is_missing(cells[:_SAMPLE]), np.nan, cells[:_SAMPLE])
        if (how := _how_it_tells(first, codes[:_SAMPLE], is_number, may_be_curve)) is None:
            continue
        values = np.where(column.is_missing(cells), np.nan, cells)
        if len(values) > _SAMPLE:
            how = _how_it_tells(values, codes, is_number, may_be_curve)
        if how == "curve":
            curves.append(column.name)
        elif how == "name":
            names[column.name] = values
    return [*_describe_curves(dataset.target, curves), *_describe_names(dataset.target, names, rows)]


def _how_it_tells(
    values: Floats, codes: NDArray[np.int64], is_number: bool, may_be_curve: bool
) -> Literal["curve", "name"] | None:
    """Return how the values [N] of a column tell the codes [N] of the target; None if they do not."""
    starts, known = _find_starts(values, codes)
    if starts is None:
        return None
    of_value = known[starts]
    if may_be_curve and _only_rise_or_fall(of_value):
        return "curve" if _is_curve(values, of_value) else None
    return "name" if _are_names(starts, known, codes) and not (is_number and _are_ranges(of_value)) else None


def _describe_curves(target: str, curves: Sequence[str]) -> list[str]:
    """Return a note on numbers from which the target is read off."""
    if not curves:
        return []
    fix = shlex.quote(f"dataset.drop={quote_names(curves)}")
    each = "it is" if len(curves) == 1 else "they are"
    what = f"{target} only rises or only falls with {join_words(curves)}, and can be read off: if {each} not known for"
    return [f"{what} new rows: {fix}"]


def _describe_names(target: str, names: dict[str, Floats], rows: Sequence[NDArray[np.int64]]) -> list[str]:
    """Return a note on columns of which each value always has the same target; values [N] by name."""
    if not names:
        return []
    name = min(names, key=lambda one: len(np.unique(names[one])))  # its groups keep those of the others together
    known = int(np.isin(names[name][rows[2]], names[name][rows[0]]).sum())
    others = [other for other in names if other != name]
    like = f" (likewise {shorten(others)})" if others else ""
    what = f"rows of the same {name}{like} always have the same {target}, and {known:,} of {len(rows[2]):,} test rows "
    what += f"share theirs with training rows: the metrics are those of a known {name}"
    return [f"{what}; for new ones: {shlex.quote(text_override('dataset.group', name))}"] if known else []


def _only_rise_or_fall(numbers: NDArray[Any]) -> bool:
    steps = np.diff(numbers)
    return bool((steps >= 0).all() or (steps <= 0).all())


def _is_curve(values: Floats, of_value: NDArray[np.int64]) -> bool:
    """Return whether enough codes rise or fall with the numbers. In a table in that order, these may be years.

    Args:
        values: The numbers [N] in the order of the rows.
        of_value: The code of each different number.
    """
    is_in_order = _only_rise_or_fall(values[~np.isnan(values)])
    return len(np.unique(of_value)) >= _FEWEST_STEPS and not _are_ranges(of_value) and not is_in_order


def _are_ranges(of_value: NDArray[np.int64]) -> bool:
    """Return whether ranges of numbers have one code, as of ages and a group of ages: these are no names."""
    return int((of_value[1:] != of_value[:-1]).sum()) < _LEAST_CHANGES * len(of_value)


def _are_names(starts: NDArray[np.int64], known: NDArray[np.int64], codes: NDArray[np.int64]) -> bool:
    """Return whether enough rows share their values for their codes not to agree by chance.

    Args:
        starts: Where each value begins in `known`, the codes of the rows sorted by their values.
    """
    sizes, counts = np.unique(np.diff([*starts, len(known)]), return_counts=True)
    if counts[sizes > 1].sum() < _FEWEST or len(starts) > len(known) / 2:
        return False
    shares = np.bincount(codes) / len(codes)
    with np.errstate(all="ignore"):
        chances = [float(np.log((shares**size).sum())) for size in sizes.tolist()]
    return float(np.dot(chances, counts)) < _LARGEST_CHANCE


def _find_starts(values: Floats, codes: NDArray[np.int64]) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Return where each value [N] begins among the sorted ones, and their codes.

    The former is None if two rows of one value have different codes. Rows without a value are left out.
    """
    order = np.argsort(values, kind="stable")
    present = values[order]
    present = present[~np.isnan(present)]
    known = codes[order][: len(present)]
    is_same = present[1:] == present[:-1]
    if (is_same & (known[1:] != known[:-1])).any():
        return None, known
    starts = np.concatenate([[0], np.flatnonzero(~is_same) + 1]) if len(present) else np.zeros(0)
    return starts.astype(np.int64), known
