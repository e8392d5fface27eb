"""Rows of a map-style torch Dataset of the user's: `len(dataset)` pairs of x and y."""

from collections.abc import Generator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset

from exp.config.user_code import place_of
from exp.data.mapped.maps import release_pages
from exp.data.mapped.scratch import Scratch
from exp.errors import DataError, ExpError

# Rows after which the pages of a file are released.
_ROWS = 2**14


def is_torch_dataset(source: object) -> bool:
    """Return whether `source` is a dataset of torch, or has its methods and is no sequence of another kind."""
    return isinstance(source, TorchDataset) or (
        hasattr(source, "__getitem__")
        and hasattr(source, "__len__")
        and not hasattr(source, "keys")
        and not isinstance(source, list | tuple | str | np.ndarray)
    )


def read_rows(source: Any, scratch: Scratch | None) -> SimpleNamespace:
    """Return `data` [N, ...] and `target` [N, ...] of a dataset, read once from its first row to its last.

    Args:
        scratch: Where they are written if they are too large for memory; None: they are in memory.

    Raises:
        DataError: It has no length, or its rows are not pairs of equal shapes and types.
    """
    name = type(source).__name__
    if not isinstance(source, IterableDataset) and not hasattr(source, "__len__"):
        raise DataError(f"dataset: {name} has no __len__, the number of its rows", f"add __len__ to {name}")
    if isinstance(source, IterableDataset):
        raise DataError(
            f"dataset: {name} is an iterable dataset: its rows have no numbers, so they cannot be divided, shuffled "
            "with the bits of the plain script, or found again when the run is resumed",
            "a map-style torch Dataset, with __len__ and __getitem__",
        )
    with _errors_of(f"{name}.__len__()", name):
        count = len(source)
    if not count:
        raise DataError(f"dataset: {name} has no rows", "a dataset with rows")
    first = _get_row(source, 0, name)
    x, y = (_make_array(part, count, scratch) for part in first)
    for number in range(count):
        row = _get_row(source, number, name) if number else first  # a dataset may draw random numbers
        for array, part in zip((x, y), row, strict=True):
            if part.shape != array.shape[1:] or (part.dtype != array.dtype and part.dtype.kind not in "US"):
                raise DataError(
                    f"dataset: row {number} of {name} is {part.dtype} {list(part.shape)}, and row 0 is "
                    f"{array.dtype} {list(array.shape[1:])}",
                    "rows of the same shape and type",
                )
            array[number] = part
        if number % _ROWS == 0:
            release_pages(x)
            if scratch is not None:
                scratch.report("read", number, count)
    names = {key: getattr(source, key, None) for key in ("feature_names", "target_names")}
    return SimpleNamespace(data=x, target=y, **names)


def _get_row(source: Any, number: int, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    with _errors_of(f"row {number} of {name}", name):
        row: Any = source[number]
    kind: str = row.__class__.__name__
    if not isinstance(row, list | tuple) or len(cast("tuple[Any, ...]", row)) != 2:
        raise DataError(
            f"dataset: {name} must return a pair (x, y) for each row, got {kind}",
            "return x, y in __getitem__",
        )
    x, y = cast("tuple[Any, Any]", row)
    return _as_array(x, f"x of row {number} of {name}"), _as_array(y, f"y of row {number} of {name}")


@contextmanager
def _errors_of(what: str, name: str) -> Generator[None]:
    """Raise DataError, with the line of the user's code, for an error of it."""
    try:
        yield
    except ExpError:
        raise
    except Exception as error:
        problem = f"dataset: {what} failed: {type(error).__name__}: {error}{place_of(error)}"
        raise DataError(problem, f"correct the source of {name}") from error


def _as_array(part: Any, what: str) -> NDArray[Any]:
    try:
        array = np.asarray(part)
        reason = ""
    except (ValueError, TypeError) as error:  # lists of several lengths, or a tensor on a GPU
        array, reason = None, f": {error}"
    if array is None or array.dtype == object:
        raise DataError(
            f"dataset: {what} must be an array of numbers, got {type(part).__name__}{reason}",
            "return arrays, or tensors on the CPU, in __getitem__",
        )
    return array


def _make_array(part: NDArray[Any], count: int, scratch: Scratch | None) -> NDArray[Any]:
    if part.dtype.kind in "US":
        return np.empty((count, *part.shape), dtype=object)
    shape = (count, *part.shape)
    return np.empty(shape, part.dtype) if scratch is None else scratch.empty(shape, part.dtype)
