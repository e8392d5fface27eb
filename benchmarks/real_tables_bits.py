"""Train on ten real tables, and compare with the exported script and with a killed and resumed run, to the bit.

`python benchmarks/real_tables_bits.py FOLDER` reads FOLDER/tasks.json, a list of {path, target, kind, rows, cols}, and
takes a task for each line of KINDS: gaps, words, dates, booleans, weights, balanced classes, scaled targets. For each
it trains in a process, then runs the exported script, which must print the same losses and final metrics, then kills
runs (SIGKILL) at random moments and resumes them: metrics and parameters must be the same. Dropout, early stopping and
the best parameters are those of the default recipe. A + marks a run that was killed after its first checkpoint; the
runs save one after each epoch. `--seed` takes other tasks. Exit code 1 if a loss or a parameter differs in any bit, or
another metric by more than 1e-9.
"""

import argparse
import json
import math
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from exp.results import metrics_csv, summary
from exp.results.compare_runs import find_differences

Check = Callable[[pd.DataFrame], Any]


def words(features: pd.DataFrame) -> pd.DataFrame:
    return features.select_dtypes(["object", "string"])


def weight(features: pd.DataFrame) -> str | None:
    """Return the name of a column of positive numbers that is called weight or wt, if there is one."""
    numbers = features.select_dtypes("number")
    names = [str(name) for name in numbers if re.search(r"(?i)w(eigh)?t$", str(name)) and (numbers[name] > 0).all()]
    return names[0] if names else None


def has_dates(features: pd.DataFrame) -> bool:
    return any(cells.dropna().str.match(r"\d{4}-\d{2}-\d{2}").all() for _, cells in words(features).items())


has_gaps: Check = lambda features: features.select_dtypes("number").isna().any().any()  # noqa: E731
has_word_gaps: Check = lambda features: words(features).isna().any().any()  # noqa: E731
has_words: Check = lambda features: not words(features).empty  # noqa: E731
has_booleans: Check = lambda features: not features.select_dtypes("bool").empty  # noqa: E731

# What must be the same in a resumed run.
BITS = ("metrics", "parameters")

# What a task shows: the kind of its target, what its columns must have, and overrides.
KINDS: dict[str, tuple[str, Check, list[str]]] = {
    "gaps in numbers": ("classes", has_gaps, []),
    "gaps in words": ("classes", has_word_gaps, ["loss.class_weights=balanced"]),
    "words, balanced": ("classes", has_words, ["loss.class_weights=balanced"]),
    "dates": ("classes", has_dates, []),
    "booleans": ("classes", has_booleans, []),
    "weights, balanced": ("classes", weight, ["loss.class_weights=balanced", "dataset.weight={weight}"]),
    "scaled target, words": ("number", has_words, []),
    "scaled target, dates": ("number", has_dates, []),
    "logarithm, gaps": ("number", has_gaps, ["dataset.scale_target=log"]),
    "logarithm, weights": ("number", weight, ["dataset.scale_target=log", "dataset.weight={weight}"]),
}


def choose(tasks: list[dict[str, Any]]) -> dict[str, tuple[dict[str, Any], list[str]]]:
    """Return the first task of another table for each of KINDS, with its overrides."""
    chosen: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for name, (kind, check, overrides) in KINDS.items():
        for task in tasks:
            if task["kind"] != kind or any(task["path"] == other["path"] for other, _ in chosen.values()):
                continue
            table = pd.read_csv(task["path"], low_memory=False)
            features = table.drop(columns=task["target"])
            is_positive = "dataset.scale_target=log" not in overrides or (table[task["target"]].dropna() > 0).all()
            if is_positive and check(features):
                chosen[name] = task, [text.format(weight=weight(features)) for text in overrides]
                break
    return chosen


def run(folder: Path, *command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def compare_script(folder: Path) -> str:
    """Run the exported script; return how many losses it prints, or the first line that differs from the run."""
    run(folder, "-m", "exp", "export", "run=whole", "format=script", "out=train.py")
    printed = [line.split() for line in run(folder, "train.py").splitlines()]
    rows = [(row.split, row.metrics) for row in metrics_csv.read_rows(folder / "whole") if row.split == "val"]
    final = summary.read(folder / "whole")["final"]
    expected = [*rows, *((split, final[split]) for split in ("train", "val", "test"))]
    if len(printed) != len(expected):
        return f"DIFFERS: {len(printed)} lines, not {len(expected)}"
    for (split, step, loss, other), (name, metrics) in zip(printed, expected, strict=True):
        theirs = metrics.get("accuracy", metrics.get("rmse"))
        if (split, float(loss)) != (name, metrics["loss"]) or not math.isclose(float(other), theirs, rel_tol=1e-9):
            return f"DIFFERS at {split} {step}: {loss} {other} | {metrics}"
    return f"{len(printed)} losses"


def wait_for_rows(process: subprocess.Popen[bytes], metrics: Path, rows: int) -> None:
    """Wait until metrics.csv has `rows` lines, or the process has ended."""
    while process.poll() is None and (not metrics.exists() or metrics.read_bytes().count(b"\n") < rows):
        time.sleep(0.002)


def compare_killed(folder: Path, line: list[str], rows: int, name: str) -> str:
    """Kill a run when metrics.csv has `rows` lines, resume it; return the lines it had, or how it differs."""
    command = [sys.executable, "-m", "exp", *line, "save_every=1epoch", f"hydra.run.dir={name}"]
    metrics = folder / name / "metrics.csv"
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for_rows(process, metrics, rows)
        process.kill()
    reached = metrics.read_bytes().count(b"\n")
    saved = "+" if (folder / name / "checkpoints/last.pt").exists() else ""
    run(folder, "-m", "exp", f"resume={name}")
    differences = [text for kind, text in find_differences(folder / "whole", folder / name) if kind in BITS]
    return f"DIFFERS {differences[0]}" if differences else f"{reached}{saved}"


def compare(task: dict[str, Any], overrides: list[str], kills: int, moments: random.Random) -> str:
    """Return what the script and the killed runs of a task showed."""
    line = ["dataset=table", f'dataset.path="{task["path"]}"', f'dataset.target="{task["target"]}"', *overrides]
    line = [*line, "figures=false"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(folder, "-m", "exp", *line, "hydra.run.dir=whole")
        script = compare_script(folder)
        lines = (folder / "whole/metrics.csv").read_bytes().count(b"\n")
        killed = [compare_killed(folder, line, moments.randrange(lines - 1), f"run{kill}") for kill in range(kills)]
        return f"script: {script}; killed at {', '.join(killed)} of {lines}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--rows", type=int, default=3000, help="leave out larger tables")
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    moments = random.Random(given.seed)
    tasks = json.loads(Path(given.folder, "tasks.json").read_text(encoding="utf-8"))
    tasks = [task | {"path": str(Path(task["path"]).resolve())} for task in tasks if task["rows"] < given.rows]
    moments.shuffle(tasks)
    different = 0
    for name, (task, overrides) in choose(tasks).items():
        result = compare(task, overrides, given.kills, moments)
        different += "DIFFERS" in result
        size = f"{Path(task['path']).stem} {task['target']}, {task['rows']} x {task['cols']}"
        print(f"{name:21} {size:55} {result}", flush=True)
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
