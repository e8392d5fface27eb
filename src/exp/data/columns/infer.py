"""Which kind of column cells make. The next kind is one more class in KINDS."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from exp.data.columns.base import Column
from exp.data.columns.category import CategoryColumn
from exp.data.columns.number import BooleanColumn, NumberColumn, dates, mixed_cells, parse_numbers, refuse_dates
from exp.data.read_table import Cells, import_pandas
from exp.errors import ConfigError, DataError

KINDS: dict[str, type[Column]] = {"number": NumberColumn, "boolean": BooleanColumn, "category": CategoryColumn}


_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}([T ].*)?")
_COMMA = re.compile(r"[-+]?\d+,\d+")


@dataclass(frozen=True)
class ColumnOptions:
    """How columns are read: `kinds` overrides what cells look like; the others are options of the columns."""

    kinds: Mapping[str, str]
    missing: Mapping[str, str]
    default_missing: str
    max_categories: int | None


def infer_column(name: str, cells: Cells, options: ColumnOptions) -> Column:
    """Return the column that `cells` make: of its declared kind, or of the kind they look like.

    ConfigError if there is no such kind. DataError for dates, and for numbers with text among them.
    """
    declared = options.kinds.get(name)
    if declared not in (None, *KINDS):
        raise ConfigError(
            f"dataset.kinds: the kind of '{name}' must be one of {', '.join(KINDS)}, got {declared}",
            f"'dataset.kinds={{{name}: category}}'",
        )
    refuse_dates(name, cells)
    missing = options.missing.get(name, options.default_missing)
    column = KINDS[declared or _infer_kind(name, cells)].from_cells(name, cells, missing)
    if isinstance(column, CategoryColumn):
        return replace(column, max_categories=options.max_categories)
    return column


def _infer_kind(name: str, cells: Cells) -> str:
    types = import_pandas().api.types
    present = cells.dropna()
    if types.is_bool_dtype(present.infer_objects()):
        return "boolean"
    if types.is_numeric_dtype(cells):
        return "number"
    _check_text(name, present.astype(str))
    return "category"


def _check_text(name: str, text: Cells) -> None:
    """DataError if text is something else than categories."""
    stripped = text.str.strip()
    if len(text) and stripped.str.fullmatch(_DATE.pattern).all():
        raise dates(name)
    if len(text) and stripped.str.fullmatch(_COMMA.pattern).all():
        raise DataError(f"column '{name}' has numbers with a decimal comma: {stripped.iloc[0]}", 'dataset.decimal=","')
    is_text = parse_numbers(stripped).isna()
    if 0 < is_text.sum() < len(text) / 2:
        raise mixed_cells(name, stripped[is_text])
