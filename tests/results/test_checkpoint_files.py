"""`checkpoint=FILE.pt` takes a file of the run, and refuses that of another one."""

import shutil
from pathlib import Path

import pytest
import torch

from exp.api import train
from exp.errors import CheckpointError
from exp.results.checkpoints import checksum
from exp.results.trained_model import load_trained

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
