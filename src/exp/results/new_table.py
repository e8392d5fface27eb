"""Read a table of new rows with the options of a run."""

import re
from collections.abc import Mapping
from typing import Any

from exp.data.columns.category import CategoryColumn
from exp.data.frame import Frame
from exp.data.preprocessing import Preprocessing
from exp.data.read_table import Table, frame_in_memory, read_frame
from exp.data.reading.gaps import parse_empty_values
from exp.errors import DataError, ExpError

_KEYS = ("separator", "decimal", "encoding", "sheet", "na_values", "keep_words", "header")

# The end of a note that names an override, which `predict` and `evaluate` do not take.
_OVERRIDE = re.compile(r"; (?:to|another one|if|for)\b[^;]*\bdataset\..*$")


def read_new_frame(given: Frame, dataset: Mapping[str, Any], preprocessing: Preprocessing) -> Table:
    """Return a DataFrame of new rows as the table of the CSV file that it would be saved to.

    `read_new_table` describes the other arguments.
    """
    text = preprocessing.text_columns(dataset.get("weight"), dataset.get("decimal"))
    empty = parse_empty_values(dataset.get("na_values"), dataset.get("keep_words"))
    table = frame_in_memory(given, "rows", empty, text, dataset.get("decimal", "."), True, True)
    return Table(table.frame, tuple(_OVERRIDE.sub("", note) for note in table.notes))


def read_new_table(data: str, dataset: Mapping[str, Any], preprocessing: Preprocessing, keep_rows: bool) -> Table:
    """Return the table in the file `data`, read with the options of a run's `dataset` or without its separator.

    Args:
        preprocessing: That of the run, which knows the columns to read as they are spelled.
        keep_rows: Whether to keep rows without cells and rows that repeat the names, except empty ones at the end.

    Raises:
        DataError: It cannot be read.
    """
    text = preprocessing.text_columns(dataset.get("weight"), dataset.get("decimal"))
    categories = {column.name for column in preprocessing.columns if isinstance(column, CategoryColumn)}
    numbers = [name for name in text if name not in categories]
    options = {key: dataset.get(key) for key in _KEYS}
    given = {key: value for key, value in options.items() if value is not None}
    found = {key: value for key, value in given.items() if key not in ("separator", "decimal")}
    ways, first = [given, found] if "separator" in given else [given], None
    while ways:
        written = ways.pop(0)
        try:
            table = read_frame(
                data, key="data", keep_row_names=True, keep_rows=keep_rows, text=text, numbers=numbers, **written
            )
            return Table(table.frame, tuple(_OVERRIDE.sub("", note) for note in table.notes))
        except ExpError as error:
            # New files may have one sheet of another name, or names where the training rows have none.
            if (option := (error.key or "").removeprefix("dataset.")) in written and option in ("sheet", "header"):
                ways = [{key: value for key, value in written.items() if key != option}]
            first = first or error
    assert first is not None
    if "dataset." not in first.fix:
        raise first
    raise DataError(first.problem, "a file that is written like that of the training rows") from first
