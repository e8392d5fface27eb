"""Export models of real tables, and compare their predictions of raw rows with those of `exp predict`.

`python benchmarks/write_real_tables.py tables` writes 500 tables, and `python benchmarks/served.py tables` trains on 60
of them for two epochs, exports each as onnx and as pt2, and predicts its rows, as a CSV file spells them, in a process
that cannot import exp. --first 3 --most-kinds takes those with the most kinds of columns: words, gaps, dates, booleans.
It prints the largest difference for each table, of probabilities, or of numbers relative to their size.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from exp.export import export
from exp.predict import predict
from exp.results.trained_model import load_trained

MOST_ROWS = 500
# Tables take turns, so that each of these meets many kinds of columns.
MODELS = (
    "model=auto",
    "model=realmlp_s dataset.scaler=robust",
    "model=mlp model.hidden=[16] dataset.scaler=quantile",
    "model=linear dataset.encode=auto",
    "experiment=tabm",
)

PROGRAM = """
import csv, json, sys
sys.modules["exp"] = None
sys.path.insert(0, sys.argv[1])
import predict
with open(sys.argv[2], encoding="utf-8", newline="") as file:
    print(json.dumps(predict.predict(list(csv.DictReader(file)))))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--first", type=int, default=60)
    parser.add_argument("--most-kinds", action="store_true", help="tables with dates, gaps, words and booleans first")
    parser.add_argument("--formats", nargs="+", default=["onnx", "pt2"])
    parser.add_argument("--alternate", action="store_true", help="export every table in one of the formats only")
    parser.add_argument("--most-rows", type=int, default=60_000, help="leave out larger tables")
    given = parser.parse_args()
    tasks = json.loads((given.tables / "tasks.json").read_text(encoding="utf-8"))
    tasks = [task for task in tasks if task["rows"] <= given.most_rows]
    by_table = {task["path"]: task for task in sorted(tasks, key=lambda task: task["kind"] == "number")}
    chosen = sorted(by_table.values(), key=lambda task: task["path"])
    if given.most_kinds:
        chosen = sorted(chosen, key=lambda task: -count_kinds(Path(task["path"])))
    else:
        chosen = chosen[:: max(1, len(chosen) // given.first)]
    ends = Counter[str]()
    for number, task in enumerate(chosen[: given.first]):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            formats = [given.formats[number % len(given.formats)]] if given.alternate else given.formats
            end, text = check(task, MODELS[number % len(MODELS)].split(), Path(folder), formats)
            ends[end] += 1
            name = Path(task["path"]).stem
            print(f"{name[:40]:40} {task['kind']:8} {end:9} {text} ({time.perf_counter() - began:.0f} s)", flush=True)
    print(dict(ends))


def count_kinds(path: Path) -> int:
    """Return how many kinds of cells a table has: dates, gaps, words and booleans."""
    frame = pd.read_csv(path, nrows=300)
    words = frame.select_dtypes(["object", "string"])
    dates = any(words[name].astype(str).str.match(r"\d{4}-\d\d-\d\d").mean() > 0.5 for name in words)
    return (
        3 * dates
        + 2 * bool(frame.isna().any().any())
        + bool(len(words.columns))
        + bool(len(frame.select_dtypes("bool").columns))
    )


def check(task: dict[str, Any], model: list[str], folder: Path, formats: list[str]) -> tuple[str, str]:
    run, new, out = folder / "run", folder / "new.csv", folder / "predicted.csv"
    words = [f"dataset.path={task['path']}", f"dataset.target='{task['target']}'", f"hydra.run.dir={run}", "epochs=2"]
    shape = [word for word in model if word != "model=auto"]
    line = [sys.executable, "-m", "exp", "dataset=table", *words, "figures=false", *shape]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        return "untrained", " ".join(done.stderr.split())[:150]
    with open(task["path"], encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    with new.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([rows[0], *rows[1 :: max(1, len(rows) // MOST_ROWS)]])
    predict(str(run), str(new), str(out))
    with out.open(encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file))
    trained = load_trained(run)
    kinds = Counter(column.kind for column in trained.preprocessing.columns)
    found: list[str] = []
    for format in formats:
        served = folder / format
        try:
            export(str(run), format, str(served))
        except Exception as error:
            return "refused" if hasattr(error, "problem") else "failed", " ".join(str(error).split())[:200]
        done = subprocess.run([sys.executable, "-c", PROGRAM, str(served), str(new)], capture_output=True, text=True)
        if done.returncode:
            return "failed", done.stderr.strip().splitlines()[-1][:200]
        largest = difference(expected, json.loads(done.stdout), trained.preprocessing.target_scale)
        found.append(f"{format} {largest:.1e}")
        if largest > 1e-6:
            return "differs", f"{', '.join(found)} {dict(kinds)} {' '.join(model)}"
    return "equal", f"{', '.join(found)} {dict(kinds)} {' '.join(model)}"


def difference(expected: list[dict[str, str]], predicted: list[dict[str, Any]], scale: Any) -> float:
    largest = 0.0
    for ours, theirs in zip(expected, predicted, strict=True):
        for name, value in ours.items():
            other = theirs[name]
            if value == "" or other is None:
                largest = max(largest, 0.0 if value == "" and other is None else np.inf)
            elif isinstance(other, str):
                shares = sorted(float(share) for key, share in ours.items() if key != name)
                is_tie = len(shares) > 1 and shares[-1] - shares[-2] < 1e-6
                largest = max(largest, 0.0 if value == other or is_tie else np.inf)
            else:
                unit = (
                    1.0 if name.startswith("probability") else max(abs(float(value)), scale.scale[0] if scale else 0.0)
                )
                largest = max(largest, abs(float(value) - other) / (unit or 1.0))
    return largest


if __name__ == "__main__":
    main()
