"""Datasets in files: tables (CSV, TSV, Parquet), NumPy arrays, and downloads from OpenML."""

import importlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.config.python_names import is_held
from exp.data.dataset import Dataset, as_dataset
from exp.data.from_frame import TableOptions, dataset_from_frame
from exp.data.held import find_held
from exp.data.mapped.npy import check_whole, map_arrays
from exp.data.mapped.scratch import Scratch
from exp.data.mapped.table import dataset_from_table
from exp.data.parts import find_mixed_columns, join_files
from exp.data.read_table import find_file, open_table, read_frame
from exp.data.reading.gaps import parse_empty_values
from exp.data.reading.source import DAMAGES
from exp.data.sheets import offer_sheet
from exp.data.targets import find_targets, offer_no_header
from exp.data.weight_column import weigh_rows
from exp.errors import ConfigError, DataError

# Characters of the message on a damaged file: it may quote its bytes.
_LONGEST = 100


def table(
    path: str,
    target: str | int | Sequence[str | int],
    task: str = "auto",
    missing: str | Mapping[str, str] | None = "auto",
    kinds: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
    group: str | None = None,
    max_categories: int | str | None = "auto",
    order: str | None = None,
    split_column: str | None = None,
    val_path: str | None = None,
    test_path: str | None = None,
    separator: str | None = None,
    decimal: str = ".",
    day_first: bool | None = None,
    encoding: str | None = "utf-8",
    sheet: str | None = None,
    na_values: Sequence[object] | None = None,
    keep_words: Sequence[object] | None = None,
    weight: str | None = None,
    scratch: Scratch | None = None,
    header: str | bool = "auto",
) -> Dataset:
    """Read a table with column names from a .csv, .tsv, .txt, .parquet or .xlsx file; text may be compressed.

    Args:
        path: Path of the file; of a folder, or a pattern such as rows/*.csv, for files with the same columns.
        target: Name of the target column, or its position: 0 is the first column, -1 the last one. A list has several
            target columns: numbers, or labels that are 0 or 1.
        task: classes, regression, labels or auto: classes if the target is text, booleans or at most 20 different
            integers, with two rows each on average; of several targets, labels if all are 0 or 1.
        missing: What to do with empty cells. auto fills numbers with the training median and adds a feature that is 1
            where a cell is empty; an empty category is a category of its own. median fills numbers only, and an empty
            category has the feature 0 for every category. drop leaves out the rows, error refuses the table. A mapping
            such as {age: drop} has one of these for each column; the others are auto. Rows without a target are always
            left out.
        kinds: Column kinds that override the inferred ones, such as {zip: category}. A column named here is used even
            if it looks like an identifier or a copy of the target.
        drop: Columns to leave out.
        group: Column whose rows with equal values stay in one split.
        max_categories: How many categories of a column have a feature of their own, the most frequent ones. The others
            share one. null: all. auto: the 50 most frequent ones, and the others with at least 3 training rows, up to
            500.
        order: Column by which rows are split: the training rows are the first in this order, the test rows the last.
        split_column: Column that says train, val or test for each row. If it says val nowhere, a part of the training
            rows is for validation, in the proportions of dataset.split.
        val_path: File with the validation rows; those of `path` are then for training, and for test by dataset.split.
        test_path: File with the test rows.
        separator: Cell separator, tab or blanks; null: found in the file.
        decimal: Decimal mark.
        day_first: Whether 1/2/2024 is in February; null: found in the cells, and January if they do not tell.
        encoding: Text encoding of the file. A byte order mark overrides it; text that is not utf-8 is read as cp1252.
        sheet: Sheet of an Excel file; null: the first one with cells.
        na_values: More words and numbers that stand for an empty cell.
        keep_words: Words such as NA and null that are words, and do not stand for an empty cell.
        weight: Column with a number >= 0 for each row: its weight in the loss and in the metrics. It is no feature.
        scratch: Where the values are written if the table is too large for memory; None: they are in memory.
        header: auto: the first line holds the names. False: the file has none; they are column_1, column_2, ...

    Raises:
        DataError: The file cannot be read, or the table cannot be trained on.
    """
    options = TableOptions(
        target, task, missing, kinds, drop, group, max_categories, order, split_column, decimal, day_first, weight
    )
    text = [str(name) for name, kind in (kinds or {}).items() if kind == "category"]
    if scratch is not None:
        if (key := "val_path" if val_path is not None else "test_path" if test_path is not None else None) is not None:
            raise ConfigError(
                f"dataset.{key}={val_path or test_path}: dataset.storage=mapped reads one table",
                "the rows in one table with dataset.split_column, or dataset.storage=memory",
            )
        empty = parse_empty_values(na_values, keep_words)
        with offer_no_header(target):
            streamed = open_table(path, "dataset.path", separator, decimal, encoding, empty, text, header)
        return dataset_from_table(streamed, path, options, scratch)
    paths = {"path": path, "val_path": val_path, "test_path": test_path}
    readers = {
        key: partial(
            read_frame,
            file,
            separator,
            decimal,
            encoding,
            f"dataset.{key}",
            sheet=sheet,
            na_values=na_values,
            keep_words=keep_words,
            header=header,
        )
        for key, file in paths.items()
        if file is not None
    }
    with offer_no_header(target):
        files = {key: read(text=text) for key, read in readers.items()}
    if len(files) == 1:
        with offer_sheet(path, sheet, target):
            return dataset_from_frame(files["path"].frame, path, options, files["path"].notes)
    if split_column is not None:
        raise ConfigError(
            f"dataset.split_column={split_column}: it cannot be combined with dataset.val_path or dataset.test_path",
            "dataset.split_column=null",
        )
    # A column must be spelled in one way: 1.500 is a number in one file, but 1500 where another has 2.100,5.
    for key, mixed in find_mixed_columns({key: read.frame for key, read in files.items()}).items():
        files[key] = readers[key](text=[*text, *mixed])
    frames = {key: read.frame for key, read in files.items()}
    targets = find_targets(target, [str(name) for name in frames["path"].columns], path)
    frame, parts, row_numbers = join_files(frames, [str(name) for name in drop], targets)
    notes = [f"dataset.{key}: {note}" for key, read in files.items() for note in read.notes]
    return dataset_from_frame(frame, path, options, notes, parts, row_numbers)


def arrays(path: str, weight: str | None = None, y_path: str | None = None, scratch: Scratch | None = None) -> Dataset:
    """Read x and y [N] or [N, K] from an .npz file, and `feature_names` and `target_names` if it has them.

    x has the shape [N, F], [N, T, F] of sequences, or [N, C, H, W] of images.

    Args:
        y_path: An .npy file with y; `path` is then an .npy file with x.
        weight: Name of the array with a number >= 0 for each row: its weight in the loss and in the metrics.
        scratch: Where copies are written for rows that stay in their file; None: they are in memory.
    """
    content = read_arrays(path, "dataset.path", scratch)
    if y_path is not None:
        content |= {"y": read_arrays(y_path, "dataset.y_path", scratch).get("x")}
    if "y" not in content and [*content] == ["x"] and Path(path).suffix == ".npy":
        raise DataError(
            f"dataset.path={path}: it holds one array, and not x and y",
            "dataset.y_path=y.npy, or an .npz file: numpy.savez(path, x=x, y=y)",
        )
    parts = [name for name, array in content.items() if name not in ("x", "y") and array.ndim > 1]
    if "y" in content and len(parts) > 1:
        raise DataError(
            f"dataset.path={path}: a model has one input x, and the file holds {', '.join(parts)}",
            f"x = numpy.concatenate([{', '.join(parts)}], axis=1), which a model of your own splits again",
        )
    if not {"x", "y"} <= set(content):
        raise DataError(
            f"dataset.path={path}: the file must hold arrays x and y, got {', '.join(content) or 'none'}",
            "numpy.savez(path, x=x, y=y)",
        )
    dataset = as_dataset(_Bunch(content), scratch)
    if weight is None:
        return dataset
    weights = content.get(weight)
    if weights is None or weights.shape != (len(dataset.x),) or weights.dtype.kind not in "fiub":
        what = "there is no such array" if weights is None else f"it has shape {list(weights.shape)}"
        raise DataError(
            f"dataset.weight={weight}: {what} in {path} (its arrays: {', '.join(content)})",
            f"an array of {len(dataset.x)} numbers",
        )
    return weigh_rows(dataset, weights.astype(np.float64), weight)


def read_arrays(path: str, key: str, scratch: Scratch | None = None) -> dict[str, Any]:
    """Return the arrays of an .npz file by name; that of an .npy file is x. With `scratch` they are mapped files."""
    if is_held(path):
        return dict(find_held(path, key, "arrays"))
    file = find_file(path, key)
    try:
        check_whole(file, f"{key}={path}")
        if scratch is not None:
            return map_arrays(file, scratch)
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"x": loaded}
        with loaded as opened:
            content: dict[str, Any] = {name: opened[name] for name in opened.files}
        if (odd := next((name for name, one in content.items() if not isinstance(one, np.ndarray)), None)) is not None:
            raise ValueError(f"{odd} is not an array")
        return content
    except (ValueError, OSError, EOFError, KeyError) as error:
        fix = "numpy.savez(path, x=x, y=y)"
        raise DataError(f"{key}={path}: cannot read arrays of numbers: {error}", fix) from error
    except DAMAGES as error:
        message = " ".join(str(error).split())[:_LONGEST]
        raise DataError(f"{key}={path}: the file is damaged: {message}", "a file that is whole") from error


class _Bunch:
    def __init__(self, content: Mapping[str, NDArray[Any]]) -> None:
        self.data, self.target = content["x"], content["y"]
        self.feature_names, self.target_names = content.get("feature_names"), content.get("target_names")


def openml(
    name: str,
    version: int,
    target: str | int | Sequence[str | int],
    cache: str,
    task: str = "auto",
    missing: str | Mapping[str, str] | None = "auto",
    kinds: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
    group: str | None = None,
    max_categories: int | str | None = "auto",
    weight: str | None = None,
) -> Dataset:
    """Load a dataset from openml.org. It is downloaded once and then read from the folder `cache`.

    `table` describes the other arguments.
    """
    # Lazy: importing scikit-learn takes most of a second.
    bunch: Any = importlib.import_module("sklearn.datasets").fetch_openml(
        name, version=version, target_column=None, as_frame=True, data_home=cache, parser="pandas"
    )
    options = TableOptions(target, task, missing, kinds, drop, group, max_categories, weight=weight)
    return dataset_from_frame(bunch.frame, f"{name} {version}", options)
