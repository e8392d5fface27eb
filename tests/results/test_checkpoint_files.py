"""What a run writes to its checkpoints, and which files `checkpoint=FILE.pt` takes."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from exp.api import train
from exp.data.batches import Position
from exp.errors import CheckpointError
from exp.results import checkpoints
from exp.results.checkpoints import CheckpointSink, checksum
from exp.results.trained_model import load_trained
from exp.training.events import Ending, Event, Snapshot, State

RUN = ("dataset=iris", "model=linear", "epochs=1", "eval_every=1epoch", "figures=false", "threads=1")


def test_a_file_of_another_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Other rows, and the same rows with another learning rate, which no shape of a tensor tells apart."""
    monkeypatch.chdir(tmp_path)
    train(*RUN, "hydra.run.dir=run")
    train(*RUN, "seed=1", "hydra.run.dir=other_rows")
    train(*RUN, "optimizer.lr=0.5", "hydra.run.dir=other_rate")
    shutil.copyfile("run/checkpoints/last.pt", "copy.pt")
    train(resume="run", epochs=2)
    assert load_trained("run", "copy.pt").step == 9
    for name in ("other_rows", "other_rate"):
        file = f"{name}/checkpoints/last.pt"
        with pytest.raises(
            CheckpointError, match=rf"^checkpoint={file}: it is not of the run run: .* at step 9"
        ) as found:
            load_trained("run", file)
        assert found.value.fix == "checkpoint=last, or a .pt file of the run"


def test_a_file_without_progress_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """init.pt has the parameters that a run started with, and not what they belong to."""
    monkeypatch.chdir(tmp_path)
    train(*RUN, "hydra.run.dir=first")
    train(*RUN, "init=first", "hydra.run.dir=run")
    with pytest.raises(CheckpointError, match=r"^checkpoint=run/checkpoints/init\.pt: it has parameters only"):
        load_trained("run", "run/checkpoints/init.pt")


def test_the_checksum_of_a_single_element_does_not_depend_on_its_stride():
    """It may be 0, as in the momentum of a parameter that is summed."""
    assert checksum(torch.tensor(1.0).expand(1)) == checksum(torch.ones(1))


@pytest.mark.parametrize(
    ("size", "why"),
    [
        (0, "it ends too early"),
        (900, "PytorchStreamReader failed reading zip archive: failed finding central directory"),
    ],
)
def test_a_damaged_file_is_told_in_one_sentence(size: int, why: str, tmp_path: Path):
    path = tmp_path / "last.pt"
    torch.save(state_at(1), path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError) as found:
        checkpoints.read(path)
    assert found.value.problem == f"{path} cannot be read: {why}"


class InterruptedCopy(dict[str, Any]):
    """A part of a state whose copy a second Ctrl-C interrupts."""

    def items(self) -> Any:
        raise KeyboardInterrupt


def state_at(step: int, buffers: dict[str, Any] | None = None) -> State:
    return {"model": {"weight": torch.full((3,), float(step))}, "buffers": {} if buffers is None else buffers}


def best(step: int, buffers: dict[str, Any] | None = None) -> Event:
    return Snapshot(Position(step, 1.0, 1), state_at(step, buffers), best=True)


def test_an_interrupted_copy_of_a_better_state_leaves_the_one_before_it(tmp_path: Path):
    """The third state is copied into the memory of the first one."""
    sink = CheckpointSink(tmp_path)
    for event in (best(1), best(2)):
        sink.handle(event)
    with pytest.raises(KeyboardInterrupt):
        sink.handle(best(3, buffers=InterruptedCopy()))
    sink.close(Ending("interrupted"))
    written = checkpoints.read(tmp_path / "checkpoints/best.pt")
    assert (written["step"], written["model"]["weight"].tolist()) == (2, [2.0] * 3)


def snapshot(step: int) -> Event:
    return Snapshot(Position(step, 1.0, 1), state_at(step), best=False)


def test_the_best_state_that_was_written_is_not_kept_for_another_write(tmp_path: Path):
    sink = CheckpointSink(tmp_path)
    for event in (best(1), snapshot(1), best(2), best(3), snapshot(3), snapshot(4)):
        sink.handle(event)
    path = tmp_path / "checkpoints/best.pt"
    assert (checkpoints.read(path)["step"], checkpoints.read(path)["model"]["weight"].tolist()) == (3, [3.0] * 3)
    path.unlink()
    sink.close(Ending("finished"))
    assert not path.exists()


def test_a_covered_file_that_is_deleted_during_a_run_does_not_end_it(tmp_path: Path):
    with (tmp_path / "metrics.csv").open("w") as covered:
        sink = CheckpointSink(tmp_path, covered=[covered])
        (tmp_path / "metrics.csv").unlink()
        sink.handle(snapshot(1))
    assert checkpoints.read(tmp_path / "checkpoints/last.pt")["step"] == 1


def test_the_file_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sync, failing = os.fsync, list[int]()

    def fail(number: int) -> None:
        if number in failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(number)

    monkeypatch.setattr(os, "fsync", fail)
    with (tmp_path / "metrics.csv").open("w") as covered:
        sink = CheckpointSink(tmp_path, covered=[covered])
        sink.handle(snapshot(1))
        failing.append(covered.fileno())
        with pytest.raises(CheckpointError, match=rf"^{tmp_path}/metrics\.csv cannot be written: input/output error\n"):
            sink.handle(snapshot(2))
    assert checkpoints.read(tmp_path / "checkpoints/last.pt")["step"] == 1
    sink.handle(best(3))
    (tmp_path / "checkpoints/best.tmp").mkdir()
    with pytest.raises(CheckpointError, match=rf"^{tmp_path}/checkpoints/best\.pt cannot be written: "):
        sink.handle(snapshot(4))
