"""Train on three tables with categories and gaps, predict new rows, and compare with scikit-learn.

`python benchmarks/three_tables.py` writes scikit-learn's cancer, wine and iris data as CSV, with one column binned into
a category and 5 % of another left empty. It holds out 30 rows, trains on the others with `dataset=table`, predicts the
30 with `exp.predict`, and fits scikit-learn's classifiers to the training rows of the run.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from exp.results.trained_model import load_trained

HELD_OUT = 30
# Loader, the column that is also binned into a category, the column with gaps, more overrides.
TABLES = {
    "cancer": (load_breast_cancer, "mean area", "mean texture", ["epochs=50"]),
    "wine": (load_wine, "hue", "magnesium", ["epochs=100"]),
    "iris": (load_iris, "petal length (cm)", "sepal width (cm)", ["epochs=100", "optimizer.lr=0.1"]),
}


def write_tables(name: str) -> list[str]:
    """Write NAME.csv, and NAME_new.csv without the target; return the classes of the latter."""
    loader, binned, gaps, _ = TABLES[name]
    bunch = loader(as_frame=True)
    frame = bunch.data.sample(frac=1, random_state=1)
    low, high = frame[binned].quantile([1 / 3, 2 / 3])
    frame["band"] = np.select([frame[binned] < low, frame[binned] < high], ["low", "middle"], "high")
    frame.loc[frame.sample(frac=0.05, random_state=0).index, gaps] = np.nan
    frame["label"] = np.array(bunch.target_names)[bunch.target.loc[frame.index]]
    frame.iloc[:-HELD_OUT].to_csv(f"{name}.csv", index=False)
    frame.iloc[-HELD_OUT:].drop(columns="label").to_csv(f"{name}_new.csv", index=False)
    return list(frame["label"].iloc[-HELD_OUT:])


def main() -> None:
    print(f"{'':8}{'exp':>8}{'LogisticRegression':>20}{'MLPClassifier':>15}   {HELD_OUT} held-out rows")
    for name, (*_, overrides) in TABLES.items():
        truth = write_tables(name)
        table = (
            f"dataset=table dataset.path={name}.csv dataset.target=label dataset.missing=median dataset.stratify=true"
        )
        run = [sys.executable, "-m", "exp", *table.split(), *overrides, "figures=false", f"hydra.run.dir={name}"]
        subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
        predict = [
            sys.executable,
            "-m",
            "exp.predict",
            f"run={name}",
            f"data={name}_new.csv",
            f"out={name}_predicted.csv",
        ]
        subprocess.run(predict, check=True, stdout=subprocess.DEVNULL)
        with open(f"{name}_predicted.csv", newline="", encoding="utf-8") as file:
            predicted = [row["prediction"] for row in csv.DictReader(file)]
        ours = json.loads(Path(name, "summary.json").read_text())["final"]["test"]["accuracy"]
        data = load_trained(name).experiment.data
        (x, y), (test_x, test_y) = ((part.x.numpy(), part.y.numpy()) for part in (data.train, data.test))
        theirs = [
            model.fit(x, y).score(test_x, test_y)
            for model in (LogisticRegression(max_iter=2000), MLPClassifier((10,), max_iter=2000, random_state=0))
        ]
        accuracy = np.mean([a == b for a, b in zip(predicted, truth, strict=True)])
        print(f"{name:8}{ours:8.3f}{theirs[0]:20.3f}{theirs[1]:15.3f}   {accuracy:.3f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        main()
