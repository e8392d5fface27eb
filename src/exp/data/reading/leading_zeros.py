"""Columns of numbers with zeros in front, which are codes where 007 is not 7."""

import re
from collections.abc import Iterable, Mapping, Sequence

from exp.config.overrides import column_override
from exp.data.frame import Frame, import_pandas

_ZERO = re.compile(r"[-+]?0[0-9]+")


def find_leading_zeros(rows: Iterable[Sequence[str]]) -> dict[int, str]:
    """Return the places of the columns in which a whole number has zeros in front, each with the first such cell."""
    found = dict[int, str]()
    for cells in rows:
        for place, cell in enumerate(cells):
            if place not in found and _ZERO.fullmatch(cell.strip()):
                found[place] = cell.strip()
    return found


def leading_zero_notes(frame: Frame, names: Sequence[str], zeros: Mapping[int, str]) -> list[str]:
    """Return a note on the columns of `frame`, named by their places, that lost zeros in front of their numbers."""
    is_numeric = import_pandas().api.types.is_numeric_dtype
    lost = {names[place]: zeros[place] for place in map(int, frame.columns) if place in zeros}
    return lost_zero_notes({name: cell for name, cell in lost.items() if name and is_numeric(frame[names.index(name)])})


def first_leading_zero(words: Iterable[str]) -> str | None:
    """Return the first of stripped words that is a whole number with zeros in front."""
    return next(filter(_ZERO.fullmatch, words), None)


def lost_zero_notes(lost: Mapping[str, str]) -> list[str]:
    """Return a note on columns of numbers that were spelled with zeros in front, each with such a cell."""
    if not lost:
        return []
    listed = ", ".join(f"{name} ({cell!r} is {int(cell)})" for name, cell in lost.items())
    fix = column_override("dataset.kinds", next(iter(lost)), "category")
    return [f"read as numbers, without the zeros in front: {listed}; for codes: {fix}"]
