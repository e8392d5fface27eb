"""Values of held-out rows far from the training rows are named, whatever the scaler makes of them."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from exp import train
from exp.data.dataset import as_dataset
from exp.data.prepare import prepare
from exp.data.scalers.registry import SCALERS
from exp.errors import DataError, ExpError
from exp.models.number_embeddings import Piecewise
from exp.training.check_features import check_features, check_finite, describe_far_values

COUNT, SPLIT = 20, [12, 4, 4]


def make_rows(is_constant: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return x [20, 2] and y [20], numbers; x1 is constant, or from 0 to 19."""
    numbers = np.arange(float(COUNT))
    return np.stack([np.full(COUNT, 7.0) if is_constant else numbers, numbers % 3], axis=1), numbers


ROWS = {
    name: split.row_numbers - 1
    for name, split in prepare(as_dataset(make_rows(True)), SPLIT, "none", seed=0).splits.items()
}
held_out = st.sampled_from(["val", "test"])


@pytest.mark.parametrize("kind", [*SCALERS, "none"])
@given(held_out, st.booleans(), st.sampled_from([-1, 1]), st.floats(0, 38))
@settings(max_examples=40)
def test_what_the_model_gets_is_at_most_a_thousand_times_as_large_as_in_training_or_noted(
    kind: str, name: str, is_constant: bool, sign: int, power: float
):
    x, y = make_rows(is_constant)
    row = ROWS[name][1]
    x[row, 0] = sign * 10**power
    data = prepare(as_dataset((x, y)), SPLIT, kind, seed=0)
    train_x = x[ROWS["train"], :1]
    scaled = StandardScaler().fit(train_x).transform if kind == "standard" else lambda x: x  # scikit-learn's
    is_linear = kind in ("standard", "none")  # the other scalers have limits
    is_far = is_linear and abs(scaled(x[row, None, :1])).max() > 1000 * max(1, abs(scaled(train_x)).max())
    expected = [
        f"the {name} rows have values far from those of the training rows: x1 is {x[row, 0]:.4g} in row {row + 1}"
    ]
    notes = [note for note in check_features(data, is_scaled=True) if " far from " in note]
    assert [note.partition(";")[0] for note in notes] == (expected if is_far else [])
    assert all(note.endswith("; try: dataset.scaler=robust, or leave out these rows") for note in notes)


def test_the_first_of_many_features_are_named():
    x = np.random.default_rng(0).normal(size=(COUNT, 9))
    x[ROWS["test"][0], 1:] = 1e9
    x[ROWS["test"][2], 3] = -1e12
    data = prepare(as_dataset((x, x[:, 0])), SPLIT, "standard", seed=0)
    first, third = (ROWS["test"][place] + 1 for place in (0, 2))
    features = ", ".join(
        f"x{n} is {'-1e+12' if n == 4 else '1e+09'} in row {third if n == 4 else first}" for n in range(2, 7)
    )
    assert describe_far_values(data, "test").endswith(f" training rows: {features} and 3 more")
    assert describe_far_values(data, "val") == describe_far_values(data, "train") == ""


def test_beyond_float32_another_scaler_is_advised():
    x, y = make_rows(is_constant=False)
    x[ROWS["train"], 0] *= 1e-10
    x[ROWS["val"][0], 0] = 1e38
    with pytest.raises(DataError) as raised:
        check_finite(prepare(as_dataset((x, y)), SPLIT, "standard", seed=0))
    assert raised.value.problem.endswith(f"for float32: x1 is inf in row {ROWS['val'][0] + 1}")
    assert raised.value.fix.startswith("dataset.scaler=robust, or ")
    check_finite(prepare(as_dataset((x, y)), SPLIT, "robust", seed=0))


def test_unscaled_features_beyond_float32_are_to_be_scaled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    x, y = make_rows(is_constant=False)
    rows = pd.DataFrame({"a": x[:, 0] * 1e39, "y": (y * 7) % 20 / 2})  # dataset=arrays refuses them when it reads them
    line = ("model=linear", "epochs=1", "figures=false")
    with pytest.raises(ExpError) as raised:
        train(rows, *line, "dataset.scaler=none", target="y")
    assert raised.value.problem.partition("for float32: ")[2].startswith("a is inf in row ")
    assert raised.value.fix == "dataset.scaler=standard, or remove or fill them, or leave out the column"
    train(rows, *line, "dataset.scaler=standard", target="y")


@pytest.mark.parametrize("size", [1.0, 1e20])
def test_large_unscaled_features_that_let_a_run_diverge_are_to_be_scaled(size: float, tmp_path: Path):
    x, _ = make_rows(is_constant=False)
    rows = pd.DataFrame({"a": [*x[:-1, 1], size], "b": x[:, 1] ** 2, "y": x[:, 1] + 0.5})
    line = ("model=linear", "loss=mse", "optimizer=sgd", "optimizer.lr=10", "epochs=99", "dataset.split=[12,4,4]")
    with pytest.raises(ExpError) as raised:
        train(rows, *line, "dataset.scaler=none", "figures=false", f"hydra.run.dir={tmp_path}", target="y")
    assert "loss became" in raised.value.problem
    first = "dataset.scaler=standard, or a smaller" if size > 1 else "a smaller learning rate"
    assert raised.value.fix.startswith(first)


@pytest.mark.filterwarnings("error")
def test_the_bins_of_infinite_features_warn_of_nothing():
    Piecewise(1).initialize(torch.tensor([[1.0], [math.inf], [math.inf]]))


def test_an_infinite_first_loss_of_unscaled_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    x, y = make_rows(is_constant=False)
    np.savez("large.npz", x=x * 1e30, y=y)
    line = (
        "dataset=arrays",
        "dataset.path=large.npz",
        "dataset.split=[12,4,4]",
        "model=linear",
        "epochs=1",
        "figures=false",
    )
    with pytest.raises(ExpError) as raised:
        train(*line, "dataset.scaler=none")
    assert "MSELoss is inf before the first step" in raised.value.problem
    assert raised.value.fix == "dataset.scaler=standard, or another loss"
    train(*line, "dataset.scaler=standard")


def test_an_infinite_loss_has_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    x, y = make_rows(is_constant=True)
    for name in ("val", "test"):
        changed = x.copy()
        changed[ROWS[name][0], 0] = 1e27
        np.savez(f"{name}.npz", x=changed, y=y)
    line = ("dataset=arrays", "dataset.split=[12,4,4]", "model=linear", "epochs=1", "figures=false", "seed=0")
    of_test = train(*line, "dataset.path=test.npz")
    named = "the {} rows have values far from those of the training rows: x1 is 1e+27 in row {}"
    in_test = named.format("test", ROWS["test"][0] + 1)
    assert of_test.final["test"]["loss"] == math.inf
    note, warning = (note for note in of_test.summary["notes"] if in_test in note)
    assert note.startswith(in_test)
    assert warning.startswith("worse than guessing: ")
    with pytest.raises(ExpError) as raised:
        train(*line, "dataset.path=val.npz")
    assert raised.value.problem.endswith(f"became inf at step 0: {named.format('val', ROWS['val'][0] + 1)}")
    assert raised.value.fix == "dataset.scaler=robust, or leave out these rows"
    assert raised.value.override == "dataset.scaler=robust"
    of_val = train(*line, "dataset.path=val.npz", "dataset.scaler=robust")
    assert math.isfinite(of_val.final["val"]["loss"])
    assert not any(" far from " in note for note in of_val.summary["notes"])
