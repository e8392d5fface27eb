"""A job gets the model of an earlier job of its process only where both are equal."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import config_of, list_evaluations
from PIL import Image

from exp.data.held import hold
from exp.training.build import Experiment, build
from exp.training.loop import Training
from exp.training.reuse import JobCache


def losses(experiment: Experiment) -> list[float]:
    events = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
    return [event.metrics.loss for event in list_evaluations(events)]


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


def rows_of(cache: JobCache, *words: str) -> Experiment:
    return build(config_of(*words, "threads=1", "epochs=1"), cache)


def share_rows(one: Experiment, other: Experiment) -> bool:
    return one.data.train.x.data_ptr() == other.data.train.x.data_ptr()


def test_jobs_with_the_same_file_read_and_prepare_it_once(table: str):
    cache = JobCache()
    one, other, third = (rows_of(cache, *table.split()[:3], *more) for more in ([], ["optimizer.lr=0.5"], ["seed=1"]))
    assert share_rows(one, other)
    assert one.data.notes == other.data.notes
    assert not share_rows(one, third)  # another split
    assert one.data.fingerprint == third.data.fingerprint


@pytest.mark.parametrize("key", ["path", "test_path"])
def test_a_file_that_changed_is_read_again(key: str, table: str, tmp_path: Path):
    path = tmp_path / "rows.csv"
    other = tmp_path / "more.csv"
    other.write_text(path.read_text())
    words = [*table.split()[:3], f"dataset.test_path={other}"]
    cache, changed = JobCache(), path if key == "path" else other
    one = rows_of(cache, *words)
    lines = changed.read_text().splitlines()
    os.utime(changed, (0, 0))
    before = changed.stat()
    changed.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")  # as many bytes
    os.utime(changed, (0, 0))
    assert (changed.stat().st_size, changed.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    job = rows_of(cache, *words)
    assert job.data.fingerprint == rows_of(JobCache(), *words).data.fingerprint != one.data.fingerprint


def test_rows_that_take_much_memory_are_not_kept(table: str, monkeypatch: pytest.MonkeyPatch):
    words, cache = table.split()[:3], JobCache()
    monkeypatch.setattr("exp.training.reuse._MAX_BYTES", rows_of(JobCache(), *words).data.train.x.nbytes)
    assert not share_rows(rows_of(cache, *words), rows_of(cache, *words))


def test_older_rows_are_dropped_for_newer_ones(table: str, monkeypatch: pytest.MonkeyPatch):
    words = table.split()[:3]
    cache = JobCache()
    first = rows_of(cache, *words)
    monkeypatch.setattr("exp.training.reuse._MAX_BYTES", 2_500)  # the rows of two jobs take more
    for number in range(2, 5):
        rows_of(cache, *words, f"dataset.max_categories={number}")
    assert not share_rows(first, rows_of(cache, *words))


def test_jobs_with_rows_from_python_prepare_them_once(table: str, tmp_path: Path):
    frame = pd.read_csv(tmp_path / "rows.csv")
    held = hold(frame, "DataFrame", "0123456789abcdef")
    words = ["dataset=table", f"dataset.path={held.path}", "dataset.target=y"]
    cache = JobCache()
    assert share_rows(rows_of(cache, *words), rows_of(cache, *words, "optimizer.lr=0.5"))


def test_jobs_with_the_same_images_read_them_once_unless_one_is_added(tmp_path: Path):
    for number in range(20):
        (tmp_path / f"images/{number % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), number, np.uint8)).save(tmp_path / f"images/{number % 2}/{number}.png")
    words, cache = ["dataset=images", f"dataset.path={tmp_path}/images", "model=mlp"], JobCache()
    one = rows_of(cache, *words)
    assert share_rows(one, rows_of(cache, *words, "optimizer.lr=0.5"))
    (tmp_path / "images/empty").mkdir()
    assert "folders without images are no classes: empty" in " ".join(rows_of(cache, *words).data.notes)
    Image.fromarray(np.full((4, 4), 99, np.uint8)).save(tmp_path / "images/0/99.png")
    assert rows_of(cache, *words).data.fingerprint != one.data.fingerprint
