"""Rows of a run's dataset as they would be sent to a service."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exp.config.python_names import is_held
from exp.data.frame import Frame, import_pandas
from exp.data.input_files import find_files
from exp.data.reading.delimited import copy_first_lines, find_text
from exp.data.reading.source import open_source
from exp.errors import DataError, ExpError
from exp.results.trained_model import TrainedModel

# Rows to compare on: evenly spaced in the table.
_MAX_ROWS = 200


def rows_to_check(trained: TrainedModel) -> Frame:
    """Return rows of the run's dataset as a table. DataError if they are missing, or cannot be had as cells."""
    path = trained.config.dataset.get("path")
    frame = _restored(trained) if path is None else trained.read(str(path)).frame
    places = np.unique(np.linspace(0, len(frame) - 1, min(len(frame), _MAX_ROWS)).astype(np.int64))
    return frame.iloc[places].reset_index(drop=True)


def lines_to_check(trained: TrainedModel, folder: Path) -> tuple[Path, Frame] | None:
    """Copy the first lines of the run's text file, as they are, to `folder`.

    Returns:
        The copy, and the table that exp reads in it; None if the dataset is not in one text file.
    """
    dataset, path = trained.config.dataset, str(trained.config.dataset.get("path") or "")
    if not path or is_held(path):
        return None
    try:
        (file,) = find_files(path)
        options = (dataset.get("separator"), dataset.get("decimal") or ".", dataset.get("encoding"))
        found = find_text(open_source(file, path), *options, dataset.get("header"))
        copy = folder / ("rows.tsv" if found.layout.separator == "\t" else "rows.csv")
        copy.write_text(copy_first_lines(found, _MAX_ROWS), encoding=found.encoding, newline="")
        return copy, trained.read(str(copy), keep_rows=True).frame
    except (ExpError, OSError, ValueError):  # several files, of another kind
        return None


def _restored(trained: TrainedModel) -> Frame:
    """Return the held-out rows of a built-in dataset, or of a function, in their own units."""
    preprocessing = trained.preprocessing
    names = [column.name for column in preprocessing.columns]
    if [*preprocessing.features] != names:
        raise DataError("the cells of the dataset's rows are not kept", "a table as dataset.path")
    features = trained.split(trained.held_out).x.cpu().double().numpy()
    return import_pandas().DataFrame(preprocessing.restore(features), columns=names)


def cells_of(frame: Frame, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return a dict for each row, with the values that JSON has: times as text, None for empty cells."""
    columns = {name: [_as_json(cell) for cell in frame[name].tolist()] for name in names}
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _as_json(cell: Any) -> Any:
    if cell is None or cell != cell:  # NaN and NaT differ from themselves
        return None
    return cell if isinstance(cell, bool | int | float | str) else str(cell)
