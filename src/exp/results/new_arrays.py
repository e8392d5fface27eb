"""Rows for a trained model that are in arrays, or in a folder of images, as a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.config.python_names import is_held, kind_of
from exp.data.files import read_arrays
from exp.data.frame import Frame, import_pandas
from exp.data.images import list_new_images, read_images
from exp.data.preprocessing import Preprocessing
from exp.data.read_table import Table
from exp.errors import DataError

ARRAYS = (".npz", ".npy")


def read_new_arrays(data: str, preprocessing: Preprocessing) -> Table | None:
    """Return new rows as a table with the columns of the run's features, and of its targets if they are known.

    None: `data` is neither a file of arrays, nor arrays that came from Python, nor a folder of images.
    The targets of images are the names of their folders, if these are classes of the run.

    Raises:
        DataError: They cannot be read, or do not have the shape of the run's rows.
    """
    if is_image_folder(data, preprocessing):
        return Table(_read_folder(Path(data).expanduser(), preprocessing))
    if Path(data).suffix.lower() not in ARRAYS and not (is_held(data) and kind_of(data) == "arrays"):
        return None
    content = read_arrays(data, "data")
    if "x" not in content:
        raise DataError(f"data={data}: the file must hold an array x, got {', '.join(content) or 'none'}", "x")
    frame = _as_frame(content["x"], preprocessing, data)
    if (y := content.get("y")) is not None:
        names = content.get("target_names")
        if names is not None and y.ndim == 1 and y.dtype.kind in "iu":
            y = names[y]
        for column, values in zip(_target_names(preprocessing), y.reshape(len(y), -1).T, strict=False):
            frame[column] = values
    return Table(frame)


def is_image_folder(data: str, preprocessing: Preprocessing) -> bool:
    """Return whether `data` is a folder, for a run of images; for one of a table, it is a folder of tables."""
    return len(preprocessing.shape) == 3 and Path(data).expanduser().is_dir()


def _target_names(preprocessing: Preprocessing) -> Sequence[str]:
    return [column.name for column in preprocessing.target_columns]


def _read_folder(folder: Path, preprocessing: Preprocessing) -> Frame:
    channels, height, width = preprocessing.shape
    files = list_new_images(folder)
    x = read_images(files, (height, width), channels == 3)
    frame = _as_frame(x, preprocessing, str(folder))
    frame.index = [str(file.relative_to(folder)) for file in files]
    of_folder = [file.parent.name for file in files]
    if set(of_folder) <= set(preprocessing.classes or ()):
        frame[preprocessing.target] = of_folder
    return frame


def _as_frame(x: NDArray[Any], preprocessing: Preprocessing, data: str) -> Frame:
    columns = [column.name for column in preprocessing.columns]
    expected = preprocessing.shape or (len(columns),)
    if x.shape[1:] != tuple(expected):
        what = f"data={data}: its rows have shape {list(x.shape[1:])}, and those of the run {list(expected)}"
        raise DataError(what, "rows of the same shape")
    return import_pandas().DataFrame(np.asarray(x.reshape(len(x), -1)), columns=columns)
