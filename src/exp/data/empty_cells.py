"""Empty cells of a table: the policy of each column, and the rows that the policies leave."""

from collections.abc import Mapping, Sequence

import numpy as np

from exp.config.overrides import column_override
from exp.data.columns.column import Parsed, show_cell
from exp.data.columns.infer import ColumnOptions, parse_column
from exp.data.frame import Cells, Frame, name_row
from exp.errors import ConfigError, DataError, pluralize

# What dataset.missing may be, for all columns or for one.
MISSING = ("auto", "error", "drop", "median")

# Of more columns with empty cells, only those with the most are listed.
_MOST_LISTED = 20


def missing_policies(missing: str | Mapping[str, str] | None) -> tuple[dict[str, str], str]:
    """Return what becomes of empty cells by column, and in the other columns."""
    by_column = {str(name): str(policy) for name, policy in missing.items()} if isinstance(missing, Mapping) else {}
    default = "auto" if isinstance(missing, Mapping) else missing or "error"
    for key, policy in {"": default, **by_column}.items():
        if policy not in MISSING:
            name = f" of '{key}'" if key else ""
            raise ConfigError(
                f"dataset.missing{name} must be one of {', '.join(MISSING)}, got {policy}",
                column_override("dataset.missing", key, "auto") if key else "dataset.missing=auto",
            )
    return by_column, default


def parse_columns_with_hidden_gaps(frame: Frame, has_target: Cells, options: ColumnOptions) -> dict[str, Parsed]:
    """Parse the columns with a policy for rows, drop or error, to find cells that are empty only to the parser.

    Such cells are marks (?), a few words among numbers, and infinite numbers.

    Args:
        has_target: Which rows [N] have a target; the others are left out in any case.

    Returns:
        The columns that have such cells, each with values [N], by name.
    """
    parsed = dict[str, Parsed]()
    for name in map(str, frame.columns):
        cells = frame[name][has_target]
        if options.missing.get(name, options.default_missing) not in ("drop", "error") or not cells.notna().any():
            continue
        one = parse_column(name, cells, options)
        is_missing = one.column.is_missing(one.values)
        if (is_missing & cells.notna().to_numpy()).any():
            values = np.full(len(frame), np.nan)
            values[has_target.to_numpy()] = one.values
            parsed[name] = one._replace(values=values)
    return parsed


def select_rows(
    frame: Frame, given: Frame, targets: Sequence[str], path: str, missing: Mapping[str, str], default: str
) -> tuple[Frame, list[str]]:
    """Return the rows to use, and notes on empty cells. DataError if there are empty cells where none are allowed.

    Args:
        given: The table before cells without a value became empty, for messages.
    """
    counts = {str(name): int(count) for name, count in frame.isna().sum().items() if count}
    for target in targets:
        if counts.get(target) == len(frame):
            what = f"dataset.path={path}: the target '{target}' is empty in every row"
            raise DataError(what, "another dataset.target")
    without = int(frame[[*targets]].isna().any(axis=1).sum())
    if without == len(frame):
        what = f"dataset.path={path}: no row has a value for each target: {', '.join(targets)}"
        raise DataError(what, "fewer columns in dataset.target")
    empty = [name for name, count in counts.items() if count == len(frame)]
    filled, notes = list[str](), list[str]()
    for name in counts:
        policy = missing.get(name, default)
        if policy == "error" and name not in empty:
            listed = _list_counts(counts)
            raise DataError(
                f"dataset.path={path}: the table has empty cells: {listed} in {pluralize(len(frame), 'row')}"
                f"{_show_hidden_gap(frame[name], given[name])}",
                "dataset.missing=auto, or dataset.missing=drop",
            )
        if policy != "drop" and name not in (*targets, *empty):
            filled.append(name)
    dropping = [name for name in counts if missing.get(name, default) == "drop" and name not in (*empty, *targets)]
    left = frame.dropna(subset=[*targets, *dropping])
    if not len(left):
        listed = _list_counts(counts)
        raise DataError(
            f"dataset.missing=drop: every row of {path} has an empty cell: {listed}",
            "dataset.missing=auto, or 'dataset.drop=[...]' with the columns that have most empty cells",
        )
    if without:
        notes.append(f"left out {without:,} of {pluralize(len(frame), 'row')}: {' or '.join(targets)} is empty")
    if dropping:
        listed = _list_counts({name: counts[name] for name in dropping})
        notes.append(f"left out {len(frame) - len(left):,} of {len(frame):,} rows with empty cells: {listed}")
    kept = left.isna().sum()
    listed = _list_counts({name: int(kept[name]) for name in filled if kept[name]})
    if listed:
        notes.append(f"empty cells: {listed}; to leave out their rows: dataset.missing=drop")
    return left, notes


def _show_hidden_gap(cells: Cells, given: Cells) -> str:
    """Return the first cell that became empty, in brackets; nothing if all empty cells were empty in the file."""
    is_hidden = (cells.isna() & given.notna()).to_numpy()
    if not is_hidden.any():
        return ""
    row = int(is_hidden.argmax())
    return f" ({given.name} is {show_cell(given.iloc[row])} in {name_row(given, row)})"


def _list_counts(counts: Mapping[str, int]) -> str:
    """Return the columns with the numbers of their empty cells; of a wide table those with the most, and the rest."""
    if len(counts) <= _MOST_LISTED:
        return ", ".join(f"{name} ({count:,})" for name, count in counts.items())
    first = sorted(counts, key=lambda name: -counts[name])[:_MOST_LISTED]
    rest = sum(counts.values()) - sum(counts[name] for name in first)
    listed = ", ".join(f"{name} ({counts[name]:,})" for name in first)
    return f"{listed}, and {pluralize(len(counts) - len(first), 'other column')} ({rest:,})"
