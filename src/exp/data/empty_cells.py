"""Empty cells of a table: the policy of each column, and the rows that the policies leave."""

from collections.abc import Mapping

from exp.config.overrides import column_override
from exp.data.frame import Frame
from exp.errors import ConfigError, DataError

# What dataset.missing may be, for all columns or for one.
MISSING = ("auto", "error", "drop", "median")


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


def select_rows(
    frame: Frame, target: str, path: str, missing: Mapping[str, str], default: str
) -> tuple[Frame, list[str]]:
    """Return the rows to use, and notes on empty cells. DataError if there are empty cells where none are allowed."""
    counts = {str(name): int(count) for name, count in frame.isna().sum().items() if count}
    if counts.get(target) == len(frame):
        raise DataError(f"dataset.path={path}: the target '{target}' is empty in every row", "another dataset.target")
    empty = [name for name, count in counts.items() if count == len(frame)]
    filled, notes = list[str](), list[str]()
    for name in counts:
        policy = missing.get(name, default)
        if policy == "error" and name not in empty:
            listed = ", ".join(f"{name} ({count:,})" for name, count in counts.items())
            raise DataError(
                f"dataset.path={path}: the table has empty cells: {listed} in {len(frame):,} rows",
                "dataset.missing=auto, or dataset.missing=drop",
            )
        if policy != "drop" and name not in (target, *empty):
            filled.append(name)
    dropping = [
        name for name in counts if missing.get(name, default) == "drop" and name not in empty and name != target
    ]
    left = frame.dropna(subset=[target, *dropping])
    if not len(left):
        listed = ", ".join(f"{name} ({count:,})" for name, count in counts.items())
        raise DataError(
            f"dataset.missing=drop: every row of {path} has an empty cell: {listed}",
            "dataset.missing=auto, or 'dataset.drop=[...]' with the columns that have most empty cells",
        )
    if target in counts:
        notes.append(f"left out {counts[target]:,} of {len(frame):,} rows: {target} is empty")
    if dropping:
        listed = ", ".join(f"{name} ({counts[name]:,})" for name in dropping)
        notes.append(f"left out {len(frame) - len(left):,} of {len(frame):,} rows with empty cells: {listed}")
    kept = left.isna().sum()
    listed = ", ".join(f"{name} ({int(kept[name]):,})" for name in filled if kept[name])
    if listed:
        notes.append(f"empty cells: {listed}; to leave out their rows: dataset.missing=drop")
    return left, notes
