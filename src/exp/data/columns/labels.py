"""The text by which a category or a class is known, however the file spells it."""

from exp.data.read_table import Cells, import_pandas

# Text that is a plain decimal number. The spelling of a number depends on its neighbours: pandas reads 11 as 11.0 if
# another cell of the column is empty, and as the text 11 if another one is a word.
_NUMBER = r"[-+]?\d{1,15}(?:\.\d+)?"


def as_labels(cells: Cells) -> Cells:
    """Return cells [N] as text without surrounding blanks, equal numbers as equal text, and empty cells as NaN."""
    pd = import_pandas()
    types = pd.api.types
    if types.is_bool_dtype(cells) or isinstance(cells.dtype, pd.CategoricalDtype):
        cells = cells.astype(object)
    if types.is_numeric_dtype(cells):
        return _of_numbers(cells)
    text = cells.where(cells.isna(), cells.astype(str).str.strip())
    is_number = text.str.fullmatch(_NUMBER).fillna(False).astype(bool)
    if is_number.any():
        text = text.astype(object)
        text[is_number] = _of_numbers(pd.to_numeric(text[is_number]))
    return text


def _of_numbers(numbers: Cells) -> Cells:
    """Return numbers as text: whole ones without a decimal point."""
    distinct = {value: str(int(value)) if value == int(value) else repr(float(value)) for value in _finite(numbers)}
    return numbers.map(distinct)


def _finite(numbers: Cells) -> list[float]:
    return [value for value in numbers.dropna().unique().tolist() if abs(value) != float("inf")]
