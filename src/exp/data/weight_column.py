"""Weights of the user's own for the rows of a dataset: dataset.weight."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exp.data.columns.column import Floats
from exp.data.columns.number import NumberColumn
from exp.data.columns.number_cells import PLAIN, Notation
from exp.data.dataset import Dataset
from exp.data.frame import Cells, Frame, name_file
from exp.errors import DataError, pluralize

# Other weights would overflow or vanish in the float32 of a loss.
_SMALLEST, _LARGEST = 1e-30, 1e30


def parse_weights(name: str, cells: Cells, decimal: str | None = ".") -> tuple[Floats, Notation]:
    """Return the numbers [N] in the cells of column `name`, NaN where there is none, and how they are written.

    Raises:
        DataError: Most cells are words.
    """
    parsed = NumberColumn.parse(name, cells, {"missing": "error", "decimal": decimal, "is_declared": True})
    if parsed is None:
        raise DataError(
            f"dataset.weight={name}: its cells are not numbers, such as {cells.dropna().iloc[0]!r}",
            "a column of numbers >= 0",
        )
    notation = parsed.column.notation if isinstance(parsed.column, NumberColumn) else PLAIN
    return np.array(parsed.values), notation  # a copy: pandas' own array is read-only


def weigh_rows(dataset: Dataset, weights: Floats, name: str) -> Dataset:
    """Return the dataset with these weights [N], without the rows that weigh 0.

    Args:
        name: The column, for messages.

    Raises:
        DataError: A weight is missing or negative, or all weights of a part are 0.
    """
    if (bad := _first_invalid(weights)) is not None:
        to_drop = f"dataset.missing={{{name}: drop}}" if dataset.row_numbers is not None else ""  # of a table
        raise _invalid(f"dataset.weight={name}", dataset.name_row(bad), weights[bad], to_drop)
    kept = weights > 0
    if kept.all():
        return replace(dataset, weights=weights)
    parts = np.zeros(len(weights), dtype=np.int8) if dataset.parts is None else dataset.parts
    for part in np.unique(parts):
        if not kept[parts == part].any():
            raise DataError(
                f"dataset.weight={name}: the weight is 0 in every row"
                + (
                    f" of {name_file(int(part))}"
                    if dataset.is_joined
                    else " of one part"
                    if dataset.parts is not None
                    else ""
                ),
                "a column with numbers > 0",
            )
    numbers = np.arange(1, len(weights) + 1) if dataset.row_numbers is None else dataset.row_numbers
    note = f"left out {pluralize(int((~kept).sum()), 'row')} of {len(kept):,}: their weight, {name}, is 0"
    return replace(
        dataset,
        x=dataset.x[kept],
        y=dataset.y[kept],
        groups=_select(dataset.groups, kept),
        parts=_select(dataset.parts, kept),
        order=_select(dataset.order, kept),
        row_numbers=numbers[kept],
        weights=weights[kept],
        notes=(*dataset.notes, note),
    )


def encode_weights(frame: Frame, name: str, notation: Notation, path: str) -> tuple[Floats | None, list[str]]:
    """Return the weights [N] of new rows, and notes for the user; None if the table has no column `name`.

    Args:
        notation: How the training table writes the weights. If plainly, the cells of new rows decide.
        path: The file, for messages.

    Raises:
        DataError: A weight is missing or negative.
    """
    if name not in map(str, frame.columns):
        return None, [f"no column '{name}' with weights: every row weighs 1"]
    cells = frame.rename(columns=str)[name].reset_index(drop=True)
    if notation == PLAIN:
        weights, _ = parse_weights(name, cells)
    else:
        weights, _ = NumberColumn(name, notation=notation).encode(cells)
    if (bad := _first_invalid(weights)) is not None:
        raise _invalid(f"data={path}, weight '{name}'", f"row {bad + 1}", weights[bad])
    return weights, []


def _first_invalid(weights: Floats) -> int | None:
    is_valid = (weights == 0) | ((weights >= _SMALLEST) & (weights <= _LARGEST))
    return None if is_valid.all() else int(is_valid.argmin())


def _invalid(what: str, row: str, weight: float, to_drop: str = "") -> DataError:
    """Return the error for the weight of `row`, which is NaN, negative or out of range."""
    if np.isnan(weight):
        fix = f"'{to_drop}', which leaves out such rows" if to_drop else "a number >= 0 in every row"
        return DataError(f"{what}: {row} has no number", fix)
    return DataError(f"{what}: {row} has {weight:g}", "a column with a number >= 0 in every row")


def _select(values: NDArray[Any] | None, kept: NDArray[np.bool_]) -> Any:
    return None if values is None else values[kept]
