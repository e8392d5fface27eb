"""Train RealMLP and TabM here and in pytabkit on the same rows: the test errors must be equal up to the seeds.

`python benchmarks/presets_of_authors.py FOLDER` reads FOLDER/tasks.json as benchmarks/real_tables.py does, and takes
--tasks of them at random, half with classes and half with numbers. It needs `pip install pytabkit==1.7.3`. For each
task and each of --seeds seeds, which also draw the split, it trains `experiment=realmlp_s` (or --preset realmlp, tabm)
and the model of pytabkit with the same settings on the same training and validation rows, with the columns as numbers
and categories. It prints the mean test errors (share of wrong classes, or RMSE over the deviation of the test targets),
the mean difference with its standard error, and how often pytabkit is within one and within two of them.
"""

import argparse
import contextlib
import io
import json
import random
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

# The name in pytabkit, its settings, and those of exp that are equal to them.
PRESETS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "realmlp_s": ("RealMLP_TD_S", {}, []),
    "realmlp": ("RealMLP_TD", {}, []),
    "tabm": (
        "TabM_D",
        {"arch_type": "tabm-mini", "tabm_k": 16, "d_block": 128, "n_blocks": 2, "num_emb_type": "pwl", "patience": 16}
        | {"weight_decay": 0.0003, "gradient_clipping_norm": 1.0, "n_epochs": 200},
        ["dataset.scaler=quantile", "metric=error", 'batching.batch_size="<=256"'],
    ),
}


def errors_of(task: dict[str, Any], preset: str, seed: int) -> tuple[float, float, float, float]:
    """Return the test error here and of the authors' package, and the seconds of both."""
    from exp import train
    from exp.results.trained_model import load_trained

    line = [f'dataset.path="{task["path"]}"', f'dataset.target="{task["target"]}"', f"seed={seed}", "threads=1"]
    line += [f"experiment={preset}", *PRESETS[preset][2], "figures=false"]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        began = time.perf_counter()
        result = train("dataset=table", *line, f"hydra.run.dir={folder}/run")
        ours, needed = result.final["test"]["error"], time.perf_counter() - began
        data = load_trained(f"{folder}/run").experiment.data
        has_classes = data.classes is not None
        frames = raw_frames(data)
        targets = {
            name: split.y.numpy() if has_classes else split.values[:, 0].numpy() for name, split in data.splits.items()
        }
        began = time.perf_counter()
        predicted = np.ravel(fit_theirs(preset, has_classes, seed, frames, targets).predict(frames["test"]))
        theirs_needed = time.perf_counter() - began
    deviation = 1.0 if has_classes else float(targets["test"].std()) or 1.0
    wrong = predicted != targets["test"] if has_classes else np.square(predicted - targets["test"])
    theirs = float(wrong.mean()) if has_classes else float(np.sqrt(wrong.mean()))
    return ours / deviation, theirs / deviation, needed, theirs_needed


def raw_frames(data: Any) -> dict[str, pd.DataFrame]:
    """Return the features of each split before they are scaled; a column of words is one of categories."""
    kinds = data.preprocessing.cardinalities
    frames: dict[str, pd.DataFrame] = {}
    for name, split in data.splits.items():
        raw = data.preprocessing.restore(split.x.double().numpy())
        frames[name] = pd.DataFrame(
            {
                f"c{number}": raw[:, number]
                if size == 0
                else pd.Categorical(raw[:, number].round().astype(int), categories=range(max(2, size)))
                for number, size in enumerate(kinds)
            }
        )
    return frames


def fit_theirs(preset: str, has_classes: bool, seed: int, frames: dict[str, Any], targets: dict[str, Any]) -> Any:
    import pytabkit

    name, settings, _ = PRESETS[preset]
    model_class = getattr(pytabkit, f"{name}_{'Classifier' if has_classes else 'Regressor'}")
    if preset == "tabm":
        # One batch for all members, as here. For numbers, pytabkit 1.7.3 then learns their mean only: its loss compares
        # [B * k, 1] with [B * k].
        settings = {**settings, "share_training_batches": has_classes}
    model = model_class(random_state=seed, device="cpu", n_threads=1, verbosity=0, **settings)
    return model.fit(frames["train"], targets["train"], frames["val"], targets["val"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--preset", choices=list(PRESETS), default="realmlp_s")
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    tasks = json.loads(Path(given.folder, "tasks.json").read_text(encoding="utf-8"))
    draw = random.Random(0)
    within = [0, 0]
    for kind in ("classes", "number"):
        fitting = [task for task in tasks if task["kind"] == kind and 300 <= task["rows"] < 3000]
        for task in draw.sample(fitting, given.tasks // 2):
            rows = [errors_of(task, given.preset, seed) for seed in range(given.seeds)]
            ours, theirs, *seconds = np.mean(rows, axis=0)
            differences = [row[0] - row[1] for row in rows]
            error = np.std(differences, ddof=1) / len(rows) ** 0.5
            for index in (0, 1):
                within[index] += abs(ours - theirs) <= (index + 1) * error + 1e-12
            print(
                f"{Path(task['path']).stem:32.32} {task['target']:14.14} {task['rows']:5}  here {ours:.4f}  "
                f"authors {theirs:.4f}  difference {ours - theirs:+.4f} +- {error:.4f}  "
                f"{seconds[0]:.1f} and {seconds[1]:.1f} s",
                flush=True,
            )
    print(f"within one standard error: {within[0]} of {given.tasks}, within two: {within[1]}")


if __name__ == "__main__":
    main()
