"""About how much memory the files of a dataset need, before they are loaded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exp.data.columns.category import AUTO_LIMIT, MOST_FREQUENT, CategoryColumn
from exp.data.columns.infer import ColumnOptions, parse_column
from exp.data.frame import import_pandas
from exp.data.mapped.npy import read_shapes
from exp.data.reading.delimited import find_text, open_rows
from exp.data.reading.parquet import ParquetParts
from exp.data.reading.source import DAMAGES, Source, open_source
from exp.errors import ExpError

# Smaller files are not estimated: what they need is less than what the libraries take.
_SMALL = 2**25

# Bytes for a value of an array, besides the array: a copy in float64 of all rows, another one of their columns, and
# a third one of the training rows while the scaler is fitted.
_OF_ARRAYS = 28

# Bytes for a cell of a table while it is read and parsed, and for a value of a feature.
_OF_CELLS, _OF_FEATURES = 60, 6

# Characters and rows of a text file that are read to estimate it, and how much longer compressed text is than its file.
_SAMPLE, _ROWS, _RATIO = 2**20, 20_000, 5


def estimate_memory(node: Mapping[str, Any], files: Sequence[Path]) -> int | None:
    """Return about how many bytes of memory it takes to load and prepare the `files` of a dataset.

    None: they are small, or damaged, which is an error when they are read.

    Args:
        node: The dataset of the config.
    """
    if sum(file.stat().st_size for file in files) < _SMALL:
        return None
    try:
        if str(node["_target_"]).endswith(".arrays"):
            return sum(map(_estimate_arrays, files))
        return _estimate_table(node, files)
    except (ExpError, ValueError, KeyError, *DAMAGES):
        return None


def _estimate_arrays(file: Path) -> int:
    return sum(int(np.prod(shape)) * (dtype.itemsize + _OF_ARRAYS) for shape, dtype in read_shapes(file).values())


def _estimate_table(node: Mapping[str, Any], files: Sequence[Path]) -> int | None:
    source = open_source(files[0], "dataset.path")
    limit = node.get("max_categories", "auto")
    if source.kind == "parquet":
        parts = ParquetParts([open_source(file, "dataset.path") for file in files])
        words = sum(parts.count_bytes(place) > 8 for place in range(len(parts.names)))
        features = len(parts.names) + words * (limit if isinstance(limit, int) else MOST_FREQUENT)
        return parts.rows * (_OF_CELLS * len(parts.names) + _OF_FEATURES * features)
    if source.kind != "text":
        return None
    size = sum(file.stat().st_size for file in files) * (1 if source.name == files[0].name else _RATIO)
    length, columns, features = _sample(source, node, limit)
    return int(size / length) * (_OF_CELLS * columns + _OF_FEATURES * features)


def _sample(source: Source, node: Mapping[str, Any], limit: int | str | None) -> tuple[float, int, int]:
    """Return the mean length of the first lines, the number of columns, and that of features by the first rows."""
    pd = import_pandas()
    options = (node.get("separator"), node.get("decimal") or ".", node.get("encoding"), node.get("header"))
    found = find_text(source, *options)
    with open_rows(found) as stream:
        text = stream.read(_SAMPLE)
    length = max(1, len(text)) / max(1, text.count("\n"), text.count("\r"))
    with open_rows(found) as stream:
        names = range(len(found.layout.names))
        rows = pd.read_csv(stream, sep=found.layout.separator, header=None, names=names, index_col=False, nrows=_ROWS)
    columns = ColumnOptions({}, {}, "auto", limit)
    parsed = [parse_column(str(name), cells, columns).column for name, cells in rows.items()]
    counts = [len(column.categories) if isinstance(column, CategoryColumn) else 1 for column in parsed]
    # Words that differ in most rows name the rows.
    counts = [count if count <= len(rows) / 2 else 0 for count in counts]
    most = AUTO_LIMIT if limit == "auto" else limit
    features = sum(count if most is None else min(count, int(most)) for count in counts)
    return length, len(names), features
