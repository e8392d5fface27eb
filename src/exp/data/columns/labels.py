"""The text by which a category or a class is known, however the file spells it."""

import re

from exp.data.read_table import Cells, import_pandas

# Whole numbers in their usual spelling. It depends on their neighbours: pandas reads 11 as 11.0 if another cell of the
# column is empty, and as the text 11 if another one is a word. Other spellings stay: 1.10 is a version, 01 is a code.
_WHOLE = r"-?(?:0|[1-9]\d{0,14})(?:\.0+)?"

_NUMBER = re.compile(r"[-+]?[0-9]{1,15}(?:\.[0-9]+)?")


def as_labels(cells: Cells) -> Cells:
    """Return cells [N] as text without surrounding blanks, 11.0 as 11, and empty cells as NaN."""
    pd = import_pandas()
    types = pd.api.types
    if types.is_bool_dtype(cells) or isinstance(cells.dtype, pd.CategoricalDtype):
        cells = cells.astype(object)
    if types.is_numeric_dtype(cells):
        return _of_numbers(cells)
    text = cells.where(cells.isna(), cells.astype(str).str.strip())
    is_whole = text.str.fullmatch(_WHOLE).fillna(False).astype(bool)
    if is_whole.any():
        text = text.astype(object)
        text[is_whole] = _of_numbers(pd.to_numeric(text[is_whole]))
    return text


def number_label(label: str) -> str | None:
    """Return the usual spelling of a number, 1.1 for +1.10; None if the label is not a number."""
    if _NUMBER.fullmatch(label) is None:
        return None
    value = float(label)
    return str(int(value)) if value.is_integer() else repr(value)


def _of_numbers(numbers: Cells) -> Cells:
    """Return numbers as text: whole ones without a decimal point."""
    distinct = {value: str(int(value)) if value == int(value) else repr(float(value)) for value in _finite(numbers)}
    return numbers.map(distinct)


def _finite(numbers: Cells) -> list[float]:
    return [value for value in numbers.dropna().unique().tolist() if abs(value) != float("inf")]
