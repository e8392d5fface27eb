"""Which kind of column cells make. The next kind is one more class in KINDS."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exp.config.constraints import violation
from exp.config.overrides import column_override
from exp.data.columns.category import CategoryColumn
from exp.data.columns.column import Column, Parsed
from exp.data.columns.date import DateColumn
from exp.data.columns.number import BooleanColumn, NumberColumn
from exp.data.frame import Cells
from exp.errors import DataError

# In the order in which they are tried. Any cells make categories.
KINDS: dict[str, type[Column]] = {
    "boolean": BooleanColumn,
    "date": DateColumn,
    "number": NumberColumn,
    "category": CategoryColumn,
}


@dataclass(frozen=True)
class ColumnOptions:
    """How columns are read: `kinds` and `missing` by name, and what holds for all columns."""

    kinds: Mapping[str, str]
    missing: Mapping[str, str]
    default_missing: str
    max_categories: int | str | None
    decimal: str | None = "."
    day_first: bool | None = None


def parse_column(name: str, cells: Cells, options: ColumnOptions) -> Parsed:
    """Return the column that `cells` make: of its declared kind, or of the first kind that they fit.

    Raises:
        ConfigError: There is no such kind.
        DataError: The cells do not fit the declared kind.
    """
    declared = options.kinds.get(name)
    if declared not in (None, *KINDS):
        raise violation("dataset.kinds", {**options.kinds})
    settings = {
        "missing": options.missing.get(name, options.default_missing),
        "max_categories": options.max_categories,
        "decimal": options.decimal,
        "day_first": options.day_first,
        "is_declared": declared is not None,
    }
    for kind in [declared] if declared else KINDS:
        parsed = KINDS[kind].parse(name, cells, settings)
        if parsed is not None:
            return parsed
    raise _unfit(name, cells.dropna().drop_duplicates(), KINDS[str(declared)], settings)


def _unfit(name: str, cells: Cells, kind: type[Column], settings: Mapping[str, Any]) -> DataError:
    """Return the error for cells, none of them empty, that are not all of the declared kind."""

    def fits(*places: int) -> bool:
        return kind.parse(name, cells.iloc[[*places]], settings) is not None

    what = f"dataset.kinds: column '{name}' is to hold {kind.cell_type}, and "
    alone = next((place for place in range(len(cells)) if not fits(place)), None)
    if alone is not None:
        what += f"'{cells.iloc[alone]}' is not {kind.one_cell_type}"
    else:
        other = next((place for place in range(1, len(cells)) if not fits(0, place)), len(cells) - 1)
        what += f"'{cells.iloc[0]}' and '{cells.iloc[other]}' are not written in the same way"
    return DataError(what, column_override("dataset.kinds", name, "category"))
