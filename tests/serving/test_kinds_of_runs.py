"""Folders of runs of every kind: arrays, sequences, images, labels, several targets, calibrated models, ensembles."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exp.api import sweep, train
from exp.calibrate import calibrate
from exp.export import export
from exp.serving import folder
from exp.serving.check import TOLERANCE, Comparison
from exp.serving.rows import rows_to_check

TABLE = "dataset=table dataset.path=t.csv dataset.target"
RUNS = {
    "cnn": "dataset=arrays dataset.path=images.npz model=cnn",
    "gru": "dataset=arrays dataset.path=sequences.npz model=gru dataset.scaler=robust",
    "labels": "dataset=arrays dataset.path=labels.npz model=mlp",
    "two": f"{TABLE}=[y,z] dataset.drop=[c] model=mlp",
    "log": f"{TABLE}=y model=mlp dataset.scale_target=log dataset.scaler=quantile",
    "error": f"{TABLE}=z model=mlp dataset.drop=[g] dataset.missing=error",
    "calibrated": f"{TABLE}=c model=mlp loss=bce_with_logits",
    "realmlp": f"{TABLE}=c experiment=realmlp dataset.encode=auto",
    "built-in": "dataset=moons loss=bce model.output_activation=sigmoid",
}
SWEEPS = {"averaged classes": f"{TABLE}=c", "averaged numbers": f"{TABLE}=y"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 4))
    np.savez("images.npz", x=rng.random((80, 1, 8, 8)), y=rng.integers(0, 3, 80))
    np.savez("sequences.npz", x=rng.normal(size=(80, 6, 3)), y=rng.normal(size=80))
    np.savez("labels.npz", x=x, y=(x[:, :3] + rng.normal(size=(120, 3)) > 0).astype(int))
    words = rng.choice(["u", "v", "w", "rare 1", "rare 2"], 120, p=[0.3, 0.3, 0.3, 0.05, 0.05])
    columns = {"a": x[:, 0], "t": x[:, 2] * 1e-9, "w": words, "g": np.where(rng.random(120) < 0.2, np.nan, x[:, 1])}
    targets = {"y": np.exp(x[:, 0]), "z": x[:, 1] * 1000, "c": np.where(x[:, 0] + x[:, 3] > 0, "p", "n")}
    pd.DataFrame({**columns, **targets}).to_csv("t.csv", index=False)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "pt2"])
@pytest.mark.parametrize("name", RUNS)
def test_a_run_predicts_without_exp(name: str, format: str, here: None):
    if format == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    train(*RUNS[name].split(), "epochs=3", "figures=false", "hydra.run.dir=run")
    if name == "calibrated":
        calibrate("run", threshold="0.37")
    assert_equal(export("run", format, "served").document(), 80)


@pytest.mark.slow
def test_a_folder_has_its_name_when_it_is_whole(here: None, monkeypatch: pytest.MonkeyPatch):
    train("dataset=moons", "epochs=1", "figures=false", "hydra.run.dir=run")

    def compare(place: Path, _: object) -> Comparison:
        assert {path.name for path in place.iterdir()} == {"model.pt2", "model.json", "predict.py"}
        assert not Path("served").exists()
        return Comparison(1, 0.0)

    monkeypatch.setattr(folder, "compare", compare)
    files = export("run", "pt2", "served").document()["files"]
    assert files == ["served/model.json", "served/model.pt2", "served/predict.py"]


def test_a_run_of_arrays_from_python_is_compared_on_its_rows(here: None):
    x = np.random.default_rng(1).normal(size=(60, 5, 2))
    result = train((x, x.sum((1, 2))), model="linear", epochs=1, figures=False)
    assert rows_to_check(result.trained)[list(result.trained.preprocessing.features)].to_numpy().tolist() == (
        x.reshape(60, 10).tolist()
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEPS)
def test_an_average_of_models_with_other_training_rows_each(name: str, here: None):
    line = [*SWEEPS[name].split(), "model=mlp", "epochs=2", "figures=false", "seed=0,1,2", "hydra.sweep.dir=all"]
    sweep(*line)
    assert_equal(export("all", "pt2", "served", ensemble=True).document(), 100)


def assert_equal(found: dict, rows: int) -> None:
    assert found["rows_compared"] >= rows
    assert found["largest_difference"] <= TOLERANCE
