"""Datasets in files: a table of CSV, TSV or Parquet, arrays of NumPy, and what OpenML's cache holds."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.data.dataset import Dataset, as_dataset
from exp.data.from_frame import TableOptions, dataset_from_frame
from exp.data.read_table import existing_file, pandas, read_frame
from exp.errors import DataError


def table(
    path: str,
    target: str,
    task: str = "auto",
    missing: str | None = None,
    kinds: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
    group: str | None = None,
    separator: str | None = None,
    decimal: str = ".",
    encoding: str = "utf-8",
) -> Dataset:
    """The rows of a .csv, .tsv or .parquet file with names in its first line; `target` is the column to predict.

    A column is one of numbers, of booleans, or of words (a category), as pandas reads it; `kinds` says otherwise, as
    {zip: category}. The target is one of classes if it is of words, booleans, or at most 20 whole numbers, as `task`
    may also say. `missing` is what becomes of rows with empty cells: null refuses them, drop leaves them out, median
    puts the training rows' median for a number and nothing for a word. `drop` leaves columns out; rows with the same
    value in the column `group` stay together when rows are split. DataError for what cannot be trained on.
    """
    frame = read_frame(path, separator, decimal, encoding)
    return dataset_from_frame(frame, path, TableOptions(target, task, missing, kinds or {}, drop, group))


def arrays(path: str) -> Dataset:
    """x [N, F] and y [N] or [N, K] of an .npz file; `feature_names` and `target_names` too, if it has them."""
    try:
        with np.load(existing_file(path), allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise DataError(f"dataset.path={path}: no arrays of numbers: {error}", "numpy.savez(path, x=x, y=y)") from error
    if not {"x", "y"} <= set(found):
        raise DataError(
            f"dataset.path={path} holds {', '.join(found) or 'nothing'}, and it takes x and y",
            "numpy.savez(path, x=x, y=y)",
        )
    return as_dataset(_Bunch(found))


class _Bunch:
    def __init__(self, found: Mapping[str, NDArray[Any]]) -> None:
        self.data, self.target = found["x"], found["y"]
        self.feature_names, self.target_names = found.get("feature_names"), found.get("target_names")


def openml(
    name: str,
    version: int,
    target: str,
    cache: str,
    task: str = "auto",
    missing: str | None = None,
    kinds: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
    group: str | None = None,
) -> Dataset:
    """The dataset of that name and version from openml.org: asked for once, then read in the folder `cache`."""
    pandas()  # scikit-learn's own message, where it is not there, names no cure
    # Late: scikit-learn takes most of a second to import.
    found: Any = importlib.import_module("sklearn.datasets").fetch_openml(
        name, version=version, target_column=None, as_frame=True, data_home=cache, parser="pandas"
    )
    options = TableOptions(target, task, missing, kinds or {}, drop, group)
    return dataset_from_frame(found.frame, f"{name} {version}", options)
