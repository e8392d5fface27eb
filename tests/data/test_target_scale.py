"""A standardised target: the references are scikit-learn's scalers, regressors and metrics."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import config_of, list_evaluations
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.preprocessing import StandardScaler
from torch import nn

from exp.data.preprocessing import Preprocessing
from exp.data.target_scale import OwnUnit, TargetScale
from exp.errors import ConfigError, DataError
from exp.export import export
from exp.reports.hardest_rows import hardest_rows
from exp.reports.intervals import confidence_intervals
from exp.results.trained_model import load_trained
from exp.training.build import Experiment, build
from exp.training.loop import Training


def write(folder: Path, targets: int = 1, rows: int = 90) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, 3))
    y = np.exp(x @ draw.normal(size=(3, targets)) / 3) * np.geomspace(200_000, 0.01, targets)
    np.savez(folder / "rows.npz", x=x, y=y)
    return x, y


def trained(*words: str) -> tuple[Experiment, dict[str, dict[str, float]]]:
    experiment = build(config_of("dataset=arrays", "dataset.path=rows.npz", *words))
    events = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
    return experiment, {event.split: event.metrics.values() for event in list_evaluations(events)}


@pytest.mark.parametrize("targets", [1, 3])
def test_the_scale_is_that_of_scikit_learns_scaler(targets: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    _, y = write(tmp_path, targets)
    data = build(config_of("dataset=arrays", "dataset.path=rows.npz")).data
    reference = StandardScaler().fit(y[data.train.row_numbers - 1])
    for split in data.splits.values():
        expected = reference.transform(y[split.row_numbers - 1])
        np.testing.assert_allclose(split.y.numpy(), expected, rtol=2e-7, atol=1e-12)
        np.testing.assert_allclose(split.values.numpy(), y[split.row_numbers - 1], rtol=1e-6)
        np.testing.assert_allclose(split.variance, y[split.row_numbers - 1].var(0), rtol=1e-6)


def test_small_differences_of_large_targets_are_kept():
    """In float32, 1e9 and 1e9 + 1 are the same number."""
    y = 1e9 + np.arange(10.0).reshape(-1, 1)
    scaled = TargetScale.fit(y).transform(y).astype(np.float32)
    np.testing.assert_allclose(scaled[:, 0], (np.arange(10) - 4.5) / np.arange(10).std(), rtol=1e-6)


def test_a_constant_target_has_the_scale_1():
    scale = TargetScale.fit(np.full((7, 2), [0.1, 3.0]))
    assert (scale.mean, scale.scale) == ((0.1, 3.0), (1.0, 1.0))
    assert scale.transform(np.array([[0.1, 5.0]])).tolist() == [[0.0, 2.0]]


@pytest.mark.parametrize("choice", ["auto", "log", "false"])
@pytest.mark.parametrize("targets", [1, 3])
def test_metrics_predictions_and_reports_are_in_the_targets_own_unit(
    targets: int, choice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    _, y = write(tmp_path, targets)
    words = ["epochs=30", f"dataset.scale_target={choice}", *(["optimizer.lr=1e-9"] if choice == "false" else [])]
    experiment, final = trained(*words)
    objective, data = experiment.objective, experiment.data
    for name, split in data.splits.items():
        truth = y[split.row_numbers - 1]
        output = experiment.learner.predict(split.x)
        predicted = objective.prediction(output).double().numpy()
        assert final[name]["rmse"] == pytest.approx(math.sqrt(mean_squared_error(truth, predicted)), 1e-5)
        assert final[name]["r2"] == pytest.approx(r2_score(truth, predicted), 1e-5)
        assert final[name]["loss"] == pytest.approx(float(nn.MSELoss()(output, split.y)))
    output = experiment.learner.predict(data.test.x)
    truth = y[data.test.row_numbers - 1]
    errors = truth - objective.prediction(output).double().numpy()
    _, hardest = hardest_rows(data.test, data, objective, output, 1)
    if targets == 1:
        worst = np.abs(errors[:, 0]).argmax()
        assert (hardest[0].number, hardest[0].how) == (data.test.row_numbers[worst], f"{abs(errors[worst, 0]):.3g}")
        assert float(hardest[0].true) == pytest.approx(truth[worst, 0], rel=5e-6)
    low, high = confidence_intervals(data.test, objective, output)["rmse"]
    assert low < final["test"]["rmse"] < high
    assert objective.scalar_output(output).tolist() == objective.prediction(output)[:, 0].tolist()


@pytest.mark.parametrize("choice", ["true", "log"])
def test_it_is_scikit_learns_transformed_target_regressor(choice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A linear model, trained to the end."""
    monkeypatch.chdir(tmp_path)
    x, y = write(tmp_path)
    y = y * (1 + 0.2 * np.random.default_rng(1).random(y.shape))
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    experiment, final = trained(
        f"dataset.scale_target={choice}", *"model=linear optimizer=lbfgs batching=full epochs=30".split()
    )
    rows = {name: split.row_numbers - 1 for name, split in experiment.data.splits.items()}
    functions = {"func": np.log, "inverse_func": np.exp} if choice == "log" else {"transformer": StandardScaler()}
    reference = TransformedTargetRegressor(LinearRegression(), **functions).fit(x[rows["train"]], y[rows["train"]])
    for name in rows:
        predicted = reference.predict(x[rows[name]])
        assert final[name]["rmse"] == pytest.approx(math.sqrt(mean_squared_error(y[rows[name]], predicted)), rel=1e-3)


def test_the_shipped_datasets_are_not_scaled_and_their_checkpoints_read_as_before():
    for name in ("diabetes", "distance"):
        config = config_of(f"dataset={name}", "epochs=1")
        assert config.dataset["scale_target"] is False
        data = build(config).data
        assert data.preprocessing.target_scale is None
        fields = json.loads(data.preprocessing.to_json())
        del fields["target_scale"]  # a checkpoint from before there was one
        if (scaler := fields.pop("scaler")) is not None:  # nor any other scaler
            fields |= {"mean": scaler["mean"], "scale": scaler["scale"]}
        assert Preprocessing.from_json(json.dumps(fields)) == data.preprocessing
    scaled = build(config_of("dataset=diabetes", "dataset.scale_target=log")).data.preprocessing
    assert Preprocessing.from_json(scaled.to_json()) == scaled


@pytest.mark.parametrize(
    ("words", "kind", "message", "fix"),
    [
        (["dataset=iris", "+dataset.scale_target=log"], ConfigError, "needs a numeric target", "scale_target=auto"),
        (["dataset=diabetes", "dataset.scale_target=both"], ConfigError, "one of auto, true, false, log", "auto"),
        (
            ["dataset=arrays", "dataset.path=rows.npz", "dataset.scale_target=log"],
            DataError,
            "the target 'target' must be > 0 in every row, got -1",
            "dataset.scale_target=true",
        ),
    ],
)
def test_what_cannot_be_scaled_is_refused(
    words: list[str], kind: type[Exception], message: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    x, y = write(tmp_path)
    rows = build(config_of("dataset=arrays", "dataset.path=rows.npz")).data.test.row_numbers
    y[rows[0] - 1] = -1  # a test row
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    with pytest.raises(kind) as error:
        build(config_of(*words))
    assert message in str(error.value)
    assert fix in str(error.value)


def test_classes_are_left_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "rows.npz", x=np.arange(40.0).reshape(20, 2), y=np.arange(20) % 3)
    experiment = build(config_of("dataset=arrays", "dataset.path=rows.npz"))
    assert experiment.data.preprocessing.target_scale is None
    assert experiment.config.dataset["scale_target"] is False


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["auto", pytest.param("log", marks=pytest.mark.slow)])
def test_a_run_its_files_and_its_exports(choice: str, exp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """pt2 and ONNX return what the run predicts; an evaluation of the same rows repeats its metrics."""
    monkeypatch.chdir(tmp_path)
    x, y = write(tmp_path, 2)
    words = f"dataset=arrays dataset.path=rows.npz dataset.scale_target={choice} epochs=3 hydra.run.dir=run"
    done = exp(*words.split())
    assert done.returncode == 0, done.stderr
    assert "standardised by the training rows: " in done.stdout.replace(" (auto)", "")
    assert "The loss is of the standardised target." in (tmp_path / "run/report.html").read_text()
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["decided"].get("dataset.scale_target") == (True if choice == "auto" else None)
    model = load_trained(tmp_path / "run")
    predicted = np.stack(list(model.predict(x).values()), axis=1)
    assert predicted.dtype == np.float64
    test = model.experiment.data.test
    rows = test.row_numbers - 1
    values = model.measure(model.outputs(x[rows]), y[rows]).values()
    assert values == model.evaluate("test").values() == summary["final"]["test"]
    assert values["rmse"] == pytest.approx(math.sqrt(mean_squared_error(y[rows], predicted[rows])), rel=1e-6)
    export("run", "pt2", "model.pt2")
    outputs = torch.export.load(tmp_path / "model.pt2").module()(test.x)
    np.testing.assert_allclose(outputs.detach().numpy(), predicted[rows], rtol=1e-6)
    onnxruntime = pytest.importorskip("onnxruntime")
    export("run", "onnx", "model.onnx")
    session: Any = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (outputs,) = session.run(None, {session.get_inputs()[0].name: test.x.numpy()})
    np.testing.assert_allclose(outputs, predicted[rows], rtol=1e-3)  # another runtime; the logarithm magnifies


def test_the_own_unit_of_a_value():
    own = OwnUnit(TargetScale((2.0,), (3.0,)))(torch.tensor([[1.0]]))
    assert (own.dtype, own.tolist()) == (torch.float64, [[5.0]])
    assert OwnUnit(TargetScale((0.0,), (1.0,), log=True))(torch.zeros(1, 1)).tolist() == [[1.0]]
