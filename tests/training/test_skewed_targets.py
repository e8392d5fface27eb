"""The line on a standardised target names its logarithm where a few large targets decide the loss."""

from pathlib import Path

import numpy as np
import pytest

from exp import train


def line_of(y: np.ndarray, *words: str) -> str:
    x = np.random.default_rng(0).normal(size=(len(y), 2))
    result = train((x, y), *words, "dataset.split=[60,20,20]", "model=linear", "epochs=1", "figures=false")
    (line,) = (line for line in Path(result.folder, "exp.log").read_text().splitlines() if "target    " in line)
    return line


@pytest.mark.parametrize(
    ("y", "words", "is_advised"),
    [
        (np.where(np.arange(100) % 10, 1.0, 21.0) + np.arange(100) * 1e-6, [], True),
        (np.where(np.arange(100) % 10, 1.0, 21.0) + np.arange(100) * 1e-6, ["dataset.scale_target=true"], False),
        (np.where(np.arange(100) % 10, 1.0, 21.0) + np.arange(100) * 1e-6, ["dataset.scale_target=log"], False),
        (np.where(np.arange(100) % 10, -1.0, 21.0) + np.arange(100) * 1e-6, [], False),
        (np.where(np.arange(100) == 7, 0.0, np.exp(2 * np.random.default_rng(0).normal(size=100))), [], False),
        (np.random.default_rng(0).uniform(1, 9, 100), [], False),
        (np.random.default_rng(0).exponential(size=100), [], False),
    ],
)
def test_the_logarithm_is_named_if_the_mean_is_far_above_the_median(
    y: np.ndarray, words: list[str], is_advised: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    line = line_of(y, *words)
    assert ("for relative errors: dataset.scale_target=log" in line) == is_advised
    assert line.endswith("dataset.scale_target=log" if is_advised else "dataset.scale_target=false")


def test_of_several_targets_the_first_skewed_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    y = np.stack([np.arange(1.0, 101.0), np.exp(3 * np.random.default_rng(0).normal(size=100))], axis=1)
    line = line_of(y)
    assert "; the mean of 2 is " in line
    assert line.endswith(" times its median: for relative errors: dataset.scale_target=log")
