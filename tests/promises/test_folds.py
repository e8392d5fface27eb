"""Promises 1 and 3 for a cross-validation: scikit-learn's folds, each run the plain script, and every bit resumed."""

import csv
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import forking
import numpy as np
import pytest
import sklearn.datasets as tables
import torch
from conftest import one_in
from promises.plain_script import Script
from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold, TimeSeriesSplit
from sklearn.preprocessing import StandardScaler
from torch import nn, optim
from torch.utils.data import random_split

from exp.results.compare_runs import find_differences

FOLDS = 3
SHARED = "epochs=4 model=mlp model.hidden=[7] optimizer=adam batching=minibatch threads=1 figures=false"
SHARED += " early_stopping.patience=null"
SHUFFLED: dict[str, Any] = {"n_splits": FOLDS, "shuffle": True}

# The overrides, x, y, and for each fold the rows for training, validation and testing.
Case: TypeAlias = tuple[list[str], np.ndarray, np.ndarray, list[list[np.ndarray]]]


def in_random_order(splits: Any) -> list[list[np.ndarray]]:
    """Divide the rows outside each fold as a plain script does, three quarters for training."""
    parts: list[list[np.ndarray]] = []
    for rest, test in splits:
        n = int(0.75 * len(rest))
        torch.manual_seed(0)
        train, val = random_split(range(len(rest)), [n, len(rest) - n])  # type: ignore[arg-type]
        parts.append([rest[train.indices], rest[val.indices], test])
    return parts


def write_table(folder: Path, x: np.ndarray, y: np.ndarray, extra: np.ndarray) -> list[str]:
    """Write a table with the columns x0, x1, ..., extra, y; return the overrides that read it."""
    lines = [",".join([*(f"x{i}" for i in range(x.shape[1])), "extra", "y"])]
    lines += [
        ",".join(map(repr, [*row, e, t])) for row, e, t in zip(x.tolist(), extra.tolist(), y.tolist(), strict=True)
    ]
    (folder / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ["dataset=table", "dataset.path=t.csv", "dataset.target=y", "dataset.scale_target=false"]


def classes(folder: Path) -> Case:
    x, y = tables.load_breast_cancer(return_X_y=True)
    splits = StratifiedKFold(**SHUFFLED, random_state=0).split(x, y)
    return ["dataset=cancer", "loss=cross_entropy"], x, y, in_random_order(splits)


def unstratified_classes(folder: Path) -> Case:
    x, y = tables.load_iris(return_X_y=True)
    splits = KFold(**SHUFFLED, random_state=0).split(x)
    return ["dataset=iris", "loss=cross_entropy", "dataset.stratify=false"], x, y, in_random_order(splits)


def numbers(folder: Path) -> Case:
    x, y = tables.load_diabetes(return_X_y=True)
    splits = KFold(**SHUFFLED, random_state=0).split(x)
    return ["dataset=diabetes", "loss=mse", "optimizer.lr=0.001"], x, y, in_random_order(splits)


def groups(folder: Path) -> Case:
    x, y = tables.load_wine(return_X_y=True)
    of_row = np.random.default_rng(1).integers(0, 40, len(x))
    splits = StratifiedGroupKFold(**SHUFFLED, random_state=0).split(x, y, of_row)
    words = [*write_table(folder, x, y, of_row), "loss=cross_entropy", "dataset.group=extra", "dataset.split=[.8,0,.2]"]
    return words, x, y, [[rest, rest[:0], test] for rest, test in splits]


def time_series(folder: Path) -> Case:
    x, y = tables.load_diabetes(return_X_y=True)
    when = np.random.default_rng(2).permutation(len(x))
    order, parts = np.argsort(when), list[list[np.ndarray]]()
    for past, later in TimeSeriesSplit(FOLDS).split(x):
        n = int(0.75 * len(past))
        parts.append([order[past[:n]], order[past[n:]], order[later]])
    words = [*write_table(folder, x, y, when), "dataset.order=extra", "dataset.drop=[extra]", "loss=mse"]
    return words, x, y, parts


def predict_by_plain_script(x: np.ndarray, y: np.ndarray, parts: list[list[np.ndarray]]) -> dict[int, Any]:
    """Return the fold of each row, counted from 1, and what the model that was not trained on it predicts."""
    has_classes, predicted = y.dtype.kind == "i", dict[int, Any]()
    for number, (train, val, test) in enumerate(parts):
        script = Script(
            x,
            y,
            nn.CrossEntropyLoss() if has_classes else nn.MSELoss(),
            optim.Adam,
            {"lr": 0.001},
            parts=[train, val, test],
            standardize=True,
            outputs=len(set(y.tolist())) if has_classes else 1,
            hidden=[7],
            batch_size=10,
            shuffle=True,
            epochs=4,
        )
        model = script.run()[2].eval()
        scaled = StandardScaler().fit(x[train]).transform(x)[test]
        with torch.no_grad():
            output = model(torch.tensor(scaled, dtype=torch.float32))
        values = (output.softmax(1) if has_classes else output).tolist()
        predicted |= {int(row) + 1: (number, one) for row, one in zip(test, values, strict=True)}
    return predicted


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def of_float32(text: str) -> float:
    """The float32 that `text` is the shortest decimal of."""
    number = np.float32(text)
    assert str(number) == text
    return float(number)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(classes, marks=pytest.mark.slow),
        groups,
        *(pytest.param(one, marks=pytest.mark.slow) for one in (unstratified_classes, numbers, time_series)),
    ],
)
def test_out_of_fold_predictions_are_the_plain_scripts(case: Callable[[Path], Case], exp: Any, tmp_path: Path):
    overrides, x, y, parts = case(tmp_path)
    line = [*SHARED.split(), *overrides, f"folds={FOLDS}", "sweep.workers=0", "hydra.sweep.dir=cv"]
    assert (result := exp(*line)).returncode == 0, result.stderr
    rows = read(tmp_path / "cv" / "predictions.csv")
    found = {
        int(row["row"]): (
            int(row["fold"]),
            [of_float32(row[name]) for name in row if name.startswith("probability ")]
            or [of_float32(row["prediction"])],
        )
        for row in rows
    }
    expected = predict_by_plain_script(x, y, parts)
    assert found == expected
    assert [int(row["row"]) for row in rows] == sorted(expected)
    assert len(expected) == (len(x) if case is not time_series else sum(len(test) for *_, test in parts))


def test_repeats_divide_the_rows_anew_and_predict_each_once(exp: Any, tmp_path: Path):
    line = "folds=2 fold_repeats=2 dataset=iris loss=cross_entropy epochs=1 seed=7 figures=false sweep.workers=0"
    assert (result := exp(*line.split(), "hydra.sweep.dir=cv")).returncode == 0, result.stderr
    rows = read(tmp_path / "cv" / "predictions.csv")
    assert [(int(row["repeat"]), int(row["row"])) for row in rows] == [(r, n + 1) for r in range(2) for n in range(150)]
    x, y = tables.load_iris(return_X_y=True)
    for repeat in range(2):
        splits = StratifiedKFold(2, shuffle=True, random_state=7 + repeat).split(x, y)
        for fold, (_, test) in enumerate(splits, 2 * repeat):
            assert [int(row["row"]) - 1 for row in rows if row["fold"] == str(fold)] == test.tolist()


@pytest.mark.parametrize(
    ("targets", "scale"),
    one_in(4, product(["89.75 0.1 1e-07 123456.7", "3 25 70000 1"], ["auto", "log", "false"])),
)
def test_targets_are_written_as_the_file_has_them(targets: str, scale: str, exp: Any, tmp_path: Path):
    lines = [f"{i},{target}" for i, target in enumerate(5 * targets.split())]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines]) + "\n", encoding="utf-8")
    line = "folds=2 dataset=table dataset.path=t.csv dataset.target=y dataset.task=regression epochs=1 figures=false "
    line += f"'dataset.kinds={{x: number}}' dataset.scale_target={scale} sweep.workers=0 hydra.sweep.dir=cv"
    assert (result := exp(*shlex.split(line))).returncode == 0, result.stderr
    assert [row["target"] for row in read(tmp_path / "cv" / "predictions.csv")] == 5 * targets.split()


LONG = (
    "folds=3 dataset=moons batching=full epochs=2000 figures=false save_every=100 log_every=500 eval_every=500".split()
)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    process = forking.begin("exp", *LONG, "sweep.workers=0", "hydra.sweep.dir=cv", folder=folder)
    assert process.wait() == 0
    return folder / "cv"


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(0, marks=pytest.mark.slow),
        *(pytest.param(moment, marks=pytest.mark.slow) for moment in range(1, 10)),
    ],
)
def test_a_killed_cross_validation_is_resumed_to_the_bit(moment: int, uninterrupted: Path, tmp_path: Path):
    """It is killed with its two workers, as by a power cut, after 1 to 10 checkpoints."""
    process = forking.begin("exp", *LONG, "sweep.workers=2", "hydra.sweep.dir=cv", folder=tmp_path)
    seen = set[tuple[str, int]]()
    for _ in range(20_000):
        files = tmp_path.glob("cv/*/checkpoints/last.pt")
        with suppress(FileNotFoundError):
            seen |= {(path.parts[-3], path.stat().st_mtime_ns) for path in files}
        if len(seen) > 2 * moment or process.poll() is not None:
            break
        time.sleep(0.002)
    workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    for pid in [process.pid, *map(int, workers)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    resumed = forking.begin("exp", *LONG, "sweep.workers=0", "sweep.resume=cv", folder=tmp_path)
    assert resumed.wait() == 0
    assert read(tmp_path / "cv" / "predictions.csv") == read(uninterrupted / "predictions.csv")
    for fold in ("0", "1", "2"):
        differences = find_differences(tmp_path / "cv" / fold, uninterrupted / fold)
        assert not [text for kind, text in differences if kind in ("metrics", "parameters")]
