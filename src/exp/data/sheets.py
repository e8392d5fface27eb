"""The sheet of an Excel file that has the target, where the one that was read does not."""

import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from exp.config.overrides import text_override
from exp.config.python_names import is_held
from exp.data.input_files import find_files
from exp.data.reading.excel import find_other_sheet
from exp.data.reading.source import open_source
from exp.errors import DataError


@contextmanager
def offer_sheet(path: str, sheet: str | None, target: str | int | Sequence[str | int]) -> Generator[None]:
    """Name another sheet, with the target, in the error that the table in a `sheet` of Excel has no such column."""
    try:
        yield
    except DataError as error:
        if error.key != "dataset.target" or is_held(path):
            raise
        (source,) = [open_source(file, path) for file in find_files(path, "dataset.path")[:1]]
        names = [str(one) for one in ([target] if isinstance(target, str | int) else target)]
        title = find_other_sheet(source, sheet, names) if source.kind == "excel" else None
        if title is None:
            raise
        override = text_override("dataset.sheet", title)
        problem = f"{error.problem} in the sheet that was read, but sheet '{title}' has it"
        raise DataError(problem, shlex.quote(override), key="dataset.sheet", override=override) from error
