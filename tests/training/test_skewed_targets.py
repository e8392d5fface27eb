"""A note names the logarithm of a positive target where a few large values decide the loss."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exp import train
from exp.data.dataset import as_dataset
from exp.data.prepare import prepare

FEW_LARGE = np.where(np.arange(100) % 10, 1.0, 21.0) + np.arange(100) * 1e-6
LOGNORMAL = np.exp(2 * np.random.default_rng(0).normal(size=100))


def notes_on(y: np.ndarray, choice: object = "auto") -> list[str]:
    dataset = as_dataset((np.random.default_rng(0).normal(size=(len(y), 2)), y))
    notes = prepare(dataset, (0.6, 0.2, 0.2), "none", 0, scale_target=choice).notes  # pyright: ignore
    return [note for note in notes if "median" in note]


@pytest.mark.parametrize(
    ("y", "choice", "is_advised"),
    [
        (FEW_LARGE, "auto", True),
        (FEW_LARGE, True, False),
        (FEW_LARGE, False, False),
        (FEW_LARGE, "log", False),
        (np.where(np.arange(100) == 7, -1.0, FEW_LARGE), "auto", False),
        (np.where(np.arange(100) == 7, 0.0, LOGNORMAL), "auto", False),
        (LOGNORMAL**6, "auto", True),  # nearly all are below a millionth of the deviation
        (np.random.default_rng(0).uniform(1, 9, 100), "auto", False),
        (np.random.default_rng(0).exponential(size=100), "auto", False),
        (-LOGNORMAL, "auto", False),
    ],
)
def test_the_logarithm_is_named_if_the_mean_is_far_above_the_median(y: np.ndarray, choice: object, is_advised: bool):
    found = notes_on(y, choice)
    assert [note.partition(" its mean is ")[0] for note in found] == ["target 'target':"] * is_advised
    assert all(note.endswith(" times its median; for relative errors: dataset.scale_target=log") for note in found)


def test_of_several_targets_the_most_skewed_one_is_named():
    (note,) = notes_on(np.stack([FEW_LARGE, LOGNORMAL**6], axis=1))
    assert note.startswith("target '2': its mean is ")


def test_the_median_is_that_of_a_sample(monkeypatch: pytest.MonkeyPatch):
    sizes, median = list[int](), np.median
    monkeypatch.setattr(np, "median", lambda y, **options: sizes.append(len(y)) or median(y, **options))  # pyright: ignore
    (note,) = notes_on(np.tile(LOGNORMAL, 1000))
    assert 5_000 < sum(sizes) <= 10_000
    ratio = LOGNORMAL.mean() / median(LOGNORMAL)
    assert float(note.split(" its mean is ")[1].split()[0]) == pytest.approx(ratio, rel=0.1)


@pytest.mark.parametrize("storage", ["memory", "mapped"])
def test_a_run_has_the_note_of_its_column_and_the_command_trains(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXP_CACHE", str(tmp_path / "cache"))
    frame = pd.DataFrame({"a": np.random.default_rng(1).normal(size=100), "the price": LOGNORMAL})
    frame.to_csv("t.csv", index=False)
    own = "dataset=table dataset.path=t.csv dataset.target=-1 model=linear epochs=1 figures=false".split()
    line = (*own, f"dataset.storage={storage}")
    notes: list[str] = train(*line).summary["notes"]
    (note,) = (note for note in notes if "median" in note)
    assert note.startswith("target 'the price': its mean is ")
    result = train(*line, note.rpartition(": ")[2])
    notes = result.summary.get("notes") or []
    assert not any("median" in note for note in notes)
