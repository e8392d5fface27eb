"""A job gets the model of an earlier job of its process only where both are equal."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import config_of

from exp.training.build import Experiment, build
from exp.training.events import Evaluated
from exp.training.loop import Training
from exp.training.reuse import JobCache


def losses(experiment: Experiment) -> list[float]:
    events = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
    return [event.metrics.loss for event in events if isinstance(event, Evaluated)]


@pytest.fixture
def table(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    columns = {"p": rng.random(60) < 0.5, "q": rng.normal(size=60), "r": rng.random(60) < 0.5}
    pd.DataFrame({**columns, "y": columns["q"] + columns["p"]}).to_csv(tmp_path / "rows.csv", index=False)
    for steps in (4, 6):
        np.savez(tmp_path / f"{steps}.npz", x=rng.normal(size=(30, steps, 12 // steps)), y=rng.integers(2, size=30))
    return f"dataset=table dataset.path={tmp_path}/rows.csv dataset.target=y threads=1 epochs=4"


@pytest.mark.parametrize(
    ("line", "first", "second"),
    [
        ("dataset=iris experiment=realmlp model.hidden=8 batching.batch_size=30", ["epochs=2"], ["epochs=4"]),
        ("TABLE", ["dataset.drop=[p]"], ["dataset.drop=[r]"]),
        (
            "dataset=arrays model=gru model.hidden=4 epochs=2",
            ["dataset.path=FOLDER/4.npz"],
            ["dataset.path=FOLDER/6.npz"],
        ),
        ("dataset=iris", ["optimizer.lr=0.1"], ["optimizer.lr=0.2"]),
        ("dataset=iris engine=replay epochs=3", ["optimizer=adam"], ["optimizer.lr_factors={bias: 0.1}"]),
    ],
)
def test_a_job_after_another_one_has_the_losses_of_a_job_alone(
    line: str, first: list[str], second: list[str], table: str, tmp_path: Path
):
    words = line.replace("TABLE", table).split()
    one, other = (
        config_of(*words, *(word.replace("FOLDER", str(tmp_path)) for word in more), "threads=1")
        for more in (first, second)
    )
    cache = JobCache()
    losses(build(one, cache))
    job = build(other, cache)
    assert losses(job) == losses(build(other))
    assert job.learner.step.fallback_reason is None
