"""`exp importance`: permutation importance of columns, with intervals, and the section of the report."""

import csv
import hashlib
import math
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import forking
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.inspection import permutation_importance

from exp import train
from exp.data.encode import encode_rows
from exp.data.seeding import stream_positions
from exp.data.splits import Split
from exp.reports.jackknife import GroupJackknife, RowJackknife, make_jackknife
from exp.reports.metric_cost import MetricCost
from exp.reports.permutation_importance import compute_importances, permutations
from exp.results.trained_model import TrainedModel, load_trained


def importance(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return forking.run("exp.importance", [*arguments], folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a table with words, dates, gaps and weights, and of bundled rows."""
    made = tmp_path_factory.mktemp("importance")
    draw = np.random.default_rng(0)
    count = 400
    frame = pd.DataFrame(
        {
            "size": draw.normal(50, 10, count),
            "city": draw.choice([f"city {number}" for number in range(50)], count),
            "built": pd.to_datetime("2001-05-07") + pd.to_timedelta(draw.integers(0, 6000, count), "D"),
            "owner": draw.choice(["old", "new"], count),
            "junk": draw.normal(size=count),
            "w": draw.exponential(size=count),
        }
    )
    year = (frame["built"] - pd.Timestamp("2001-01-01")).dt.days / 365
    frame["price"] = 3 * frame["size"] + 20 * (frame["owner"] == "new") + 5 * year + draw.normal(0, 5, count)
    frame["dear"] = np.where(frame["price"] > frame["price"].median(), "yes", "no")
    frame.loc[::9, "size"] = np.nan
    frame.loc[::11, "owner"] = np.nan
    frame.to_csv(made / "houses.csv", index=False)
    table = "dataset=table dataset.path=houses.csv"
    for line in (
        f"{table} dataset.target=price dataset.drop=[dear,w] hydra.run.dir=price",
        f"{table} dataset.target=dear dataset.drop=[price] dataset.weight=w hydra.run.dir=dear",
        "dataset=cancer hydra.run.dir=cancer",
        "dataset=diabetes dataset.split=[.5,.1,.4] hydra.run.dir=diabetes",
        "dataset=diabetes dataset.scale_target=true hydra.run.dir=scaled",
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(made)
            train("epochs=5", "figures=false", "threads=1", *line.split())
    return made


class Wrapped(BaseEstimator):
    """A trained model as scikit-learn's estimator of values [N, C] with a number for each column of the table."""

    def __init__(self, trained: Any = None) -> None:
        self.trained = trained

    def fit(self, *_: np.ndarray):
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def outputs(self, x: np.ndarray) -> torch.Tensor:
        return self.trained.outputs(x)


class Classifier(ClassifierMixin, Wrapped):
    @property
    def classes_(self) -> np.ndarray:
        return np.arange(len(self.trained.preprocessing.classes))

    def predict(self, x):
        return self.outputs(x).argmax(1).numpy()

    def predict_proba(self, x):
        return self.outputs(x).double().softmax(1).numpy()


class Regressor(RegressorMixin, Wrapped):
    def predict(self, x):
        return self.trained.objective.prediction(self.outputs(x)).double().numpy()[:, 0]


def values_of(folder: Path, run: str) -> np.ndarray:
    """The columns of all rows of the run's data as numbers [N, C], from their source."""
    if run == "cancer":
        return load_breast_cancer().data
    if run in ("diabetes", "scaled"):
        return load_diabetes().data
    rows, _, _ = encode_rows(pd.read_csv(folder / "houses.csv"), load_trained(folder / run).preprocessing, "rows")
    return rows


@pytest.mark.parametrize(
    ("run", "metric", "scoring"),
    [
        ("cancer", "loss", "neg_log_loss"),
        pytest.param("cancer", "log_loss", "neg_log_loss", marks=pytest.mark.slow),
        pytest.param("cancer", "accuracy", "accuracy", marks=pytest.mark.slow),
        pytest.param("cancer", "auc", "roc_auc", marks=pytest.mark.slow),
        pytest.param("dear", "loss", "neg_log_loss", marks=pytest.mark.slow),
        ("dear", "f1", "f1_macro"),
        pytest.param("diabetes", "loss", "neg_mean_squared_error", marks=pytest.mark.slow),
        ("diabetes", "r2", "r2"),
        pytest.param("scaled", "r2", "r2", marks=pytest.mark.slow),
        ("scaled", "rmse", "neg_root_mean_squared_error"),
        ("price", "r2", "r2"),
        pytest.param("price", "mae", "neg_mean_absolute_error", marks=pytest.mark.slow),
    ],
)
def test_importances_are_those_of_scikit_learn(folder: Path, monkeypatch, run: str, metric: str, scoring: str):
    """scikit-learn permutes the values of the columns; each repeat agrees, with weights of rows too."""
    monkeypatch.chdir(folder)
    trained = load_trained(folder / run)
    split = trained.split("test")
    y = split.class_numbers if trained.preprocessing.classes else split.values.double().numpy()[:, 0]
    theirs: Any = permutation_importance(
        (Classifier if trained.preprocessing.classes else Regressor)(trained),
        values_of(folder, run)[split.row_numbers - 1],
        y,
        scoring=scoring,
        n_repeats=4,
        random_state=3,
        sample_weight=split.row_weights,
    )
    ours = {one.column: one for one in compute_importances(trained, "test", metric, 4, 3).columns}
    assert list(ours) == [one.column for one in sorted(ours.values(), key=lambda one: -one.mean)]
    for number, column in enumerate(trained.preprocessing.columns):
        one = ours[column.name]
        assert np.allclose(one.of_repeats, theirs.importances[number], rtol=1e-9, atol=1e-9)
        assert math.isclose(one.mean, theirs.importances_mean[number], rel_tol=1e-9, abs_tol=1e-9)


def test_a_column_of_the_table_is_one_row(folder: Path):
    done = importance(folder, "run=price", "repeats=3")
    assert (done.returncode, done.stderr) == (0, "")
    with (folder / "price/importance.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["column"] for line in lines} == {"size", "city", "built", "owner", "junk"}
    assert len(load_trained(folder / "price").preprocessing.features) > 50
    assert lines[0]["column"] == "size"
    for line in lines:
        repeats = [float(line[f"repeat {number}"]) for number in (1, 2, 3)]
        assert float(line["importance"]) == pytest.approx(np.mean(repeats))
        assert float(line["low"]) < float(line["importance"]) < float(line["high"])
        assert (line["metric"], line["split"], line["rows"], line["seed"]) == ("loss", "test", "80", "0")
    first, head, *table = done.stdout.splitlines()
    assert first.startswith("test, 80 rows, checkpoint best: increase of the loss if the column is permuted")
    assert head.split() == ["column", "importance", "95", "%", "interval"]
    assert [line.split()[0] for line in table] == [line["column"] for line in lines] + ["price/importance.csv"]


def with_test_rows(trained: TrainedModel, split: Split) -> TrainedModel:
    """The trained model, with other test rows."""
    experiment = trained.experiment
    other = replace(trained)
    other.__dict__["experiment"] = replace(experiment, data=replace(experiment.data, test=split))
    return other


def linear_rows(trained: TrainedModel, count: int, draw: np.random.Generator) -> Split:
    """Rows of two correlated columns, one that interacts with the first, and one that is independent of the target."""
    a, b, c, junk = draw.normal(size=(4, count))
    b = 0.6 * a + 0.8 * b
    x = trained.preprocessing.to_tensor(np.stack([a, b, c, junk], axis=1))
    y = a + 0.7 * b * c + draw.normal(size=count)
    scale = trained.preprocessing.target_scale
    assert scale is not None
    return Split(x, torch.from_numpy(scale.transform(y[:, None])).float(), target_scale=scale)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """A model trained on 300 rows like those of `linear_rows`."""
    made = tmp_path_factory.mktemp("known")
    draw = np.random.default_rng(1)
    a, b, c, junk = draw.normal(size=(4, 300))
    b = 0.6 * a + 0.8 * b
    table = pd.DataFrame({"a": a, "b": b, "c": c, "junk": junk, "y": a + 0.7 * b * c + draw.normal(size=300)})
    table.to_csv(made / "rows.csv", index=False)
    line = f"dataset=table dataset.path={made}/rows.csv dataset.target=y model=mlp epochs=60 hydra.run.dir=run"
    done = forking.run("exp", [*line.split(), "figures=false", "optimizer.lr=0.01"], made)
    assert done.returncode == 0, done.stderr
    return load_trained(made / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "samples", "least"),
    [
        ("loss", 150, 0.88),
        ("loss", 500, 0.91),
        ("spearman", 100, 0.87),
    ],
)
def test_intervals_hold_the_importance_of_the_population(
    known: TrainedModel, monkeypatch, metric: str, samples: int, least: float
):
    """The population is a million rows; the importance of a column that is independent of all else is 0.

    An interval that ignores that values go to other rows holds that of `a` in 80 %.
    """
    draw = np.random.default_rng(2)
    monkeypatch.setattr("exp.reports.jackknife._GROUPS", 2)
    many = with_test_rows(known, linear_rows(known, 300_000, draw))
    truth = {one.column: one.mean for one in compute_importances(many, "test", metric, 3, 0).columns} | {"junk": 0.0}
    monkeypatch.undo()
    held = dict.fromkeys(truth, 0)
    for seed in range(samples):
        few = with_test_rows(known, linear_rows(known, 200, draw))
        for one in compute_importances(few, "test", metric, 10, seed).columns:
            held[one.column] += one.low <= truth[one.column] <= one.high
    assert all(least <= count / samples for count in held.values()), held
    assert min(held.values()) / samples < 0.995, held  # intervals that hold everything say nothing


def test_the_jackknife_leaves_out_each_row_and_the_row_with_its_value(known: TrainedModel):
    """The standard errors agree with the definition, computed row by row, up to terms of 1/N; and so do groups."""
    trained = with_test_rows(known, linear_rows(known, 120, np.random.default_rng(3)))
    cost, x = MetricCost.of(trained, "test", "loss"), trained.experiment.data.test.x
    learner = trained.experiment.learner
    orders = list(permutations(len(x), 5, 0))
    output = cost.convert(learner.predict(x))
    permuted = []
    for order in orders:
        other = x.clone()
        other[:, 0] = x[torch.from_numpy(order), 0]
        permuted.append(cost.convert(learner.predict(other)))
    rows = make_jackknife(cost, output, orders, 0)
    assert isinstance(rows, RowJackknife)
    increases, influences = rows.compare(permuted, orders)
    before = cost.losses(output)
    increase = np.stack([cost.losses(one) - before for one in permuted])  # [repeats, N]
    assert increases == pytest.approx(increase.mean(1))
    pairs = list(zip(increase, orders, strict=True))
    without = [
        np.mean([of_rows[(order != row) & (np.arange(120) != row)].mean() for of_rows, order in pairs])
        for row in range(120)
    ]
    expected = math.sqrt(119 / 120 * np.square(without - np.mean(without)).sum())
    ours = influences.std(ddof=1) / math.sqrt(120)
    assert ours == pytest.approx(expected, rel=0.05)
    groups = GroupJackknife(cost, 120, np.arange(120), cost.of_all(output), [])
    groups = replace(groups, before=[groups.costs(output, order) for order in orders])
    by_groups, of_groups = groups.compare(permuted, orders)
    assert by_groups == pytest.approx(increases)
    assert of_groups.std(ddof=1) / math.sqrt(120) == pytest.approx(expected, rel=0.05)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_nothing_of_the_run_changes(folder: Path, monkeypatch):
    monkeypatch.chdir(folder)
    before = digests(folder / "cancer")
    assert importance(folder, "run=cancer", "repeats=2").returncode == 0
    after = digests(folder / "cancer")
    assert {name for name in after if after[name] != before.get(name)} <= {"importance.csv", "report.html"}
    trained = load_trained(folder / "cancer")
    streams, parameters = stream_positions(), [one.clone() for one in trained.experiment.model.parameters()]
    done: list[int] = []
    compute_importances(trained, "val", "accuracy", 2, 0, done.append)
    assert done == list(range(1, 2 * len(trained.preprocessing.columns) + 1))
    assert stream_positions() == streams
    assert all(map(torch.equal, trained.experiment.model.parameters(), parameters))


@pytest.mark.slow
def test_pixels_and_arrays_are_columns(exp, tmp_path: Path):
    line = "dataset=digits model=cnn epochs=1 figures=false threads=1 hydra.run.dir=digits"
    assert exp(*line.split()).returncode == 0
    done = importance(tmp_path, "run=digits", "repeats=1", "metric=accuracy", "out=pixels.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(pd.read_csv(tmp_path / "pixels.csv")) == 64
    assert "... and 44 columns with less" in done.stdout
    assert not (tmp_path / "digits/importance.csv").exists()
    x = np.random.default_rng(0).normal(size=(60, 1))
    np.savez(tmp_path / "rows.npz", x=x, y=2 * x[:, 0])
    assert exp("dataset=arrays", "dataset.path=rows.npz", "epochs=20", "hydra.run.dir=run").returncode == 0
    (tmp_path / "rows.npz").rename(tmp_path / "moved.npz")
    done = exp("importance", "run=run", "dataset.path=moved.npz", "metric=r2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "decrease of r2" in done.stdout  # the only column says all
    assert float(pd.read_csv(tmp_path / "run/importance.csv")["low"][0]) > 0.5


@pytest.mark.slow
def test_the_report_has_a_section(exp, tmp_path: Path):
    assert exp("dataset=iris", "epochs=3", "hydra.run.dir=run").returncode == 0
    assert exp("report", "run=run").returncode == 0
    page, figures = tmp_path / "run/report.html", sorted((tmp_path / "run/figures").iterdir())
    times = [path.stat().st_mtime_ns for path in figures]
    plain = page.read_text()
    assert "Importance" not in plain
    done = exp("importance", "run=run", "checkpoint=best", "split=val", "metric=auc")
    assert done.stdout.splitlines()[-2:] == ["run/importance.csv", "run/report.html"]
    text = page.read_text()
    section = text[text.index("<h2>Importance of columns (val split)</h2>") :].partition("</section>")[0]
    assert section.count("<circle") == section.count('d="M') - section.count("currentColor") == 4
    assert "decrease of auc" in section
    assert "Correlated columns" in section
    start = text.index("<section>\n<h2>Importance")
    rest = text[:start] + text[text.index("</section>\n", start) + len("</section>\n") :]
    assert rest == plain  # the metrics are those of the final parameters
    assert [path.stat().st_mtime_ns for path in figures] == times
    page.unlink()
    assert exp("report", "run=run").returncode == 0
    assert section in page.read_text()
    (tmp_path / "run/importance.csv").write_text("column\na\n")
    done = exp("report", "run=run")
    assert "run/importance.csv is damaged" in done.stderr
    assert "exp importance run=run" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message", "fix"),
    [
        ("", "run= is missing", "python -m exp importance run="),
        pytest.param(
            "run=gone", "gone does not contain a run", "the folder that a run printed", marks=pytest.mark.slow
        ),
        pytest.param(
            "run=cancer metric=acuracy",
            "metric=acuracy: unknown metric 'acuracy' (available: loss, ",
            "metric=accuracy",
            marks=pytest.mark.slow,
        ),
        ("run=cancer metric=r2", "metric=r2: r2 is no metric of classes (available: loss, ", "metric=loss"),
        pytest.param(
            "run=diabetes metric=auc",
            "is no metric of a numeric target (available: loss, ",
            "metric=loss",
            marks=pytest.mark.slow,
        ),
        ("run=cancer metric=f1:good", "no class 'good' (available: malignant, benign)", "metric=f1:benign"),
        pytest.param(
            "run=cancer metric=mine.gain", "metric=mine.gain is not allowed", "EXP_ALLOW=mine", marks=pytest.mark.slow
        ),
        ("run=cancer repeats=0", "repeats must be an integer >= 1, got 0", "repeats=10"),
        pytest.param(
            "run=cancer repeats=x", "repeats must be an integer >= 0, got x", "repeats=10", marks=pytest.mark.slow
        ),
        ("run=cancer split=tset", "unknown split 'tset' (available: train, val, test)", "split=test"),
        pytest.param("run=cancer out=x.txt", "out=x.txt: must be a .csv file", "out=x.csv", marks=pytest.mark.slow),
        pytest.param(
            "run=cancer out=houses.csv", "the file already exists", "out=ANOTHER_FILE", marks=pytest.mark.slow
        ),
        pytest.param(
            "run=cancer checkpoint=first", "unknown checkpoint 'first'", "checkpoint=last", marks=pytest.mark.slow
        ),
        pytest.param(
            "run=cancer dataset.path=x.csv",
            "the run has no file of that key",
            "no dataset.path=",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_wrong_arguments_are_errors_with_a_fix(folder: Path, arguments: str, message: str, fix: str):
    done = importance(folder, *arguments.split())
    assert done.returncode == 1
    assert message in done.stderr
    assert fix in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_without_test_rows_the_next_split_is_taken(exp):
    line = "dataset=iris epochs=1 figures=false"
    assert exp(*line.split(), "dataset.split=[.8,.2,0]", "hydra.run.dir=run").returncode == 0
    assert exp("importance", "run=run").stdout.startswith("val, 30 rows, ")
    done = exp("importance", "run=run", "split=test")
    assert "split=test: unknown split 'test' (available: train, val)\n  try: split=val" in done.stderr
    assert exp(*line.split(), "dataset.split=[100,49,1]", "hydra.run.dir=one").returncode == 0
    done = exp("importance", "run=one")
    assert "split=test: it has one row" in done.stderr
    assert exp(*line.split(), "dataset.split=[100,48,2]", "hydra.run.dir=two").returncode == 0
    assert exp("importance", "run=two").returncode == 0
    done = exp("importance", "run=two", "metric=auc", "split=test")
    assert (done.returncode == 0) or "metric=auc: the 2 test rows do not define it" in done.stderr


@pytest.mark.slow
def test_names_of_columns_are_escaped(exp, tmp_path: Path):
    draw = np.random.default_rng(0)
    table = pd.DataFrame({"<img src=x>": draw.normal(size=60), "y": ["a", "b"] * 30})
    table.to_csv(tmp_path / "odd.csv", index=False)
    done = exp("dataset=table", "dataset.path=odd.csv", "dataset.target=y", "epochs=1", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    assert exp("importance", "run=run").returncode == 0
    assert re.findall(r"<td>(.*?)</td>", (tmp_path / "run/report.html").read_text().partition("<h2>Importance")[2])[
        0
    ] == ("&lt;img src=x&gt;")


def test_a_metric_of_ones_own(exp, tmp_path: Path):
    (tmp_path / "mine.py").write_text(
        "def miss(targets, predictions):\n    return (predictions.argmax(1) != targets).mean()\n\n\n"
        "miss.higher_is_better = False\n"
    )
    assert exp("dataset=iris", "epochs=5", "figures=false", "hydra.run.dir=run").returncode == 0
    done = exp("importance", "run=run", "metric=mine.miss", "repeats=2", EXP_ALLOW="mine")
    assert (done.returncode, done.stderr) == (0, "")
    assert "increase of mine.miss" in done.stdout
    theirs = pd.read_csv(tmp_path / "run/importance.csv").set_index("column")["importance"]
    assert exp("importance", "run=run", "metric=accuracy", "repeats=2").returncode == 0
    ours = pd.read_csv(tmp_path / "run/importance.csv").set_index("column")["importance"]
    assert theirs[ours.index].to_numpy() == pytest.approx(ours.to_numpy())


@pytest.mark.slow
def test_a_column_that_changes_nothing_has_no_interval(exp, tmp_path: Path):
    """It is constant in the test rows, which does not mean that it is constant."""
    draw = np.random.default_rng(0)
    table = pd.DataFrame({"a": draw.normal(size=100), "b": np.r_[np.arange(60.0), np.zeros(40)]})
    table["y"] = table["a"] + 0.1 * draw.normal(size=100)
    table["part"] = ["train"] * 60 + ["val"] * 20 + ["test"] * 20
    table.to_csv(tmp_path / "rows.csv", index=False)
    line = "dataset=table dataset.path=rows.csv dataset.target=y dataset.split_column=part epochs=2 hydra.run.dir=run"
    assert exp(*line.split()).returncode == 0
    assert exp("importance", "run=run").returncode == 0
    one = pd.read_csv(tmp_path / "run/importance.csv").set_index("column").loc["b"]
    assert one["importance"] == 0
    assert one[["low", "high"]].isna().all()
    section = (tmp_path / "run/report.html").read_text().partition("<h2>Importance")[2].partition("</section>")[0]
    assert "<td>b</td><td>0</td><td></td>" in section
    assert section.count("<circle") == 2
