"""dataset.train_on_val: the training rows followed by the validation rows, and everything is fitted on all of them."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import config_of
from sklearn.preprocessing import StandardScaler

from exp.data.dataset import as_dataset
from exp.data.files import table
from exp.data.prepare import prepare
from exp.data.splits import Splits
from exp.errors import ConfigError
from exp.training.build import build


def numbers(data: Splits, name: str) -> list[int]:
    numbers = getattr(data, name).row_numbers
    assert numbers is not None
    return numbers.tolist()


def people(rows: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": random.normal(40, 9, rows).round(3),
            "town": random.choice(["Aa", "Bb", "Cc"], rows),
            "when": [f"2024-01-{day:02}" for day in random.integers(1, 29, rows)],
            "family": random.integers(0, 20, rows),
            "part": random.choice(["train", "val", "test"], rows),
            "ill": random.choice(["no", "yes"], rows),
        }
    )


@pytest.mark.parametrize(
    ("options", "stratify"),
    [
        ({}, False),
        ({}, True),
        ({"group": "family"}, False),
        ({"order": "when"}, False),
        ({"split_column": "part"}, False),
        ({"test_path": "other.csv"}, False),
        ({"val_path": "other.csv"}, False),
    ],
    ids=str,
)
def test_the_validation_rows_follow_the_training_rows(
    options: dict[str, Any], stratify: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    people().to_csv("people.csv", index=False)
    people(20).to_csv("other.csv", index=False)

    def split(train_on_val: bool) -> Splits:
        dataset = table("people.csv", "ill", **options)
        return prepare(dataset, [0.6, 0.2, 0.2], "none", 3, stratify, train_on_val=train_on_val)

    apart, joined = split(False), split(True)
    assert numbers(joined, "train") == numbers(apart, "train") + numbers(apart, "val")
    assert len(joined.val) == 0
    assert list(joined.splits) == ["train", "test"]
    assert numbers(joined, "test") == numbers(apart, "test")
    assert torch.equal(joined.train.y, torch.cat([apart.train.y, apart.val.y]))
    assert f"the training rows include the {len(apart.val)} validation rows" in joined.notes


def test_scaler_target_scale_and_class_weights_are_fitted_on_all_rows():
    random = np.random.default_rng(0)
    x, y = random.normal(5, 3, (50, 2)), random.normal(100, 7, 50)
    dataset = as_dataset((x, y))
    data = prepare(dataset, [0.6, 0.2, 0.2], "standard", 0, scale_target=True, train_on_val=True)
    rows = torch.randperm(50, generator=torch.Generator().manual_seed(0))[:40].numpy()
    scaler = StandardScaler().fit(x[rows])
    assert np.allclose(data.train.x.numpy(), scaler.transform(x[rows]), atol=1e-6)
    scale = data.preprocessing.target_scale
    assert scale is not None
    assert np.allclose([scale.mean[0], scale.scale[0]], [y[rows].mean(), y[rows].std()])
    built = build(config_of("dataset=cancer", "loss.class_weights=balanced", "dataset.train_on_val=true")).data
    counts = np.bincount(built.train.y.numpy(), minlength=2)
    assert counts.sum() == 454
    assert np.allclose(built.preprocessing.class_weights, 454 / (2 * counts))


def test_without_validation_rows_nothing_changes():
    dataset = as_dataset((np.arange(20.0).reshape(-1, 1), np.arange(20) % 2))
    data = prepare(dataset, [0.8, 0, 0.2], "none", 0, train_on_val=True)
    assert torch.equal(data.train.x, prepare(dataset, [0.8, 0, 0.2], "none", 0).train.x)
    assert not any("validation row" in note for note in data.notes)


def test_without_a_split_it_is_refused():
    dataset = as_dataset((np.arange(20.0).reshape(-1, 1), np.arange(20) % 2))
    with pytest.raises(ConfigError, match=r"with dataset\.split=null, all rows are training rows"):
        prepare(dataset, None, "none", 0, train_on_val=True)


def test_a_run_of_a_version_without_the_key_is_resumed(exp: Any, xor_run: Path, tmp_path: Path):
    shutil.copytree(xor_run, tmp_path / "run")
    config = tmp_path / "run/.hydra/config.yaml"
    without = [line for line in config.read_text().splitlines(keepends=True) if "train_on_val" not in line]
    config.write_text("".join(without))
    done = exp("resume=run", "epochs=4")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_plateau_scheduler_is_refused():
    with pytest.raises(ConfigError, match="ReduceLROnPlateau needs validation rows, and there are none"):
        build(config_of("dataset=iris", "scheduler=plateau", "dataset.train_on_val=true"))
