"""Predict new rows of a real table with the command line: seconds, peak memory, and whether the answers are right.

`python benchmarks/predict_rows.py TABLE TARGET` trains on TABLE, then predicts files made of it: the same rows, other
column order and a further column, one row, new words, gaps, and 1,000,000 rows with noise, of which the first are those
of TABLE. A table with words, gaps, numbers and dates shows most. Exit code 1 if a file has wrong answers.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd


def run(folder: Path, *command: str) -> tuple[str, float, float]:
    """Run `python -m exp`; return what it prints, its seconds, and its peak memory in MiB."""
    began = time.perf_counter()
    arguments = [sys.executable, "-m", "exp", *command]
    process = subprocess.Popen(arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}\n{printed}")
    return printed, time.perf_counter() - began, usage.ru_maxrss / 1024


def words_of(table: pd.DataFrame) -> list[str]:
    """Return the columns of words, without those of dates and of names."""
    words = table.select_dtypes(["object", "string"])
    return [str(name) for name in words if words[name].nunique() <= 50]


def numbers_of(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table.select_dtypes("number") if not pd.api.types.is_bool_dtype(table[name])]


def with_new_words(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{name: table[name].where(table.index % 2 == 1, "never seen") for name in words_of(table)})


def with_gaps(table: pd.DataFrame) -> pd.DataFrame:
    kept = np.random.default_rng(0).random(table.shape) > 0.1
    return table.where(kept)


def with_noise(table: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Return `rows` rows: those of the table, then copies whose numbers differ a little."""
    many = pd.concat([table] * -(-rows // len(table)), ignore_index=True)[:rows]
    rng = np.random.default_rng(0)
    for name in numbers_of(table):
        factors = rng.normal(1, 0.01, rows)
        factors[: len(table)] = 1
        many[name] = many[name] * factors
    return many


def is_close(ours: pd.DataFrame, theirs: pd.DataFrame) -> bool:
    """Whether two frames of predictions have the same rows, numbers up to the rounding of float32."""
    return all(
        np.allclose(ours[name], theirs[name], rtol=1e-5, atol=1e-6)
        if pd.api.types.is_numeric_dtype(ours[name])
        else ours[name].tolist() == theirs[name].tolist()
        for name in ours
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("target")
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    path = str(Path(given.table).resolve())
    table = pd.read_csv(path).drop(columns=given.target)
    rows = len(table)
    same: Callable[[pd.DataFrame, pd.DataFrame], bool] = lambda new, all_rows: new.equals(all_rows)  # noqa: E731
    files: dict[str, tuple[pd.DataFrame, Callable[[pd.DataFrame, pd.DataFrame], bool]]] = {
        "the same rows": (table, same),
        "other columns": (table[table.columns[::-1]].assign(further="x"), same),
        "one row": (table[7:8], lambda new, all_rows: is_close(new, all_rows[7:8])),
        "new words": (with_new_words(table), lambda new, all_rows: is_close(new[1::2], all_rows[1::2])),
        "gaps": (with_gaps(table), lambda new, _: new.notna().all(axis=None)),
        f"{given.rows:,} rows": (
            with_noise(table, given.rows),
            lambda new, all_rows: is_close(new[:rows], all_rows) and new.notna().all(axis=None),
        ),
    }
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = ["dataset=table", f'dataset.path="{path}"', f'dataset.target="{given.target}"']
        _, seconds, peak = run(folder, *data, "hydra.run.dir=run")
        print(f"{'training':15} {rows:9,} x {table.shape[1]}  {seconds:6.1f} s  {peak:5.0f} MiB")
        for number, (what, (new, is_right)) in enumerate(files.items()):
            new.to_csv(folder / f"{number}.csv", index=False)
            printed, seconds, peak = run(folder, "predict", "run=run", f"data={number}.csv", f"out=out{number}.csv")
            predicted = pd.read_csv(folder / f"out{number}.csv", keep_default_na=False, na_values=[""])
            if number == 0:
                all_rows = predicted
            is_good = len(predicted) == len(new) and is_right(predicted, all_rows)
            wrong += not is_good
            result = "right" if is_good else "WRONG"
            print(f"{what:15} {len(new):9,} x {new.shape[1]}  {seconds:6.1f} s  {peak:5.0f} MiB  {result}", flush=True)
            print("".join(f"    {line}\n" for line in printed.splitlines()[:-1]), end="", flush=True)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
