"""A resume that fails changes nothing in the folder of the run, and a new run may begin where one never did."""

import hashlib
import shutil
from pathlib import Path

import pytest
from conftest import one_in

from exp import train
from exp.config import allowlist
from exp.errors import ExpError

ONE_CYCLE = "_target_: torch.optim.lr_scheduler.OneCycleLR\nevery: step\nmax_lr: 0.1\ntotal_steps: 6\n"
OWN = """
import torch

class Ends(torch.optim.lr_scheduler.LambdaLR):
    def __init__(self, optimizer):
        super().__init__(optimizer, lambda step: 1.0)

    def step(self, epoch=None):
        if self.last_epoch >= 3:
            raise IndexError("no rate is left")
        super().step()

class Tires(torch.nn.Linear):
    def forward(self, x):
        if self.training and type(self).tired:
            raise RuntimeError("too tired")
        return super().forward(x)

Tires.tired = False
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(allowlist, "USER_PACKAGES", ("ends_and_tires",))
    monkeypatch.syspath_prepend(tmp_path / "own")
    for name, text in {
        "ends_and_tires.py": OWN,
        "scheduler/onecycle.yaml": ONE_CYCLE,
        "scheduler/ends.yaml": "_target_: ends_and_tires.Ends\nevery: epoch\n",
        "model/tires.yaml": "_target_: ends_and_tires.Tires\n",
    }.items():
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


XOR = ["--config-dir", "own", "dataset=xor", "figures=false", "batching.batch_size=2", "hydra.run.dir=run"]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        pytest.param(
            "scheduler=onecycle", "scheduler.total_steps=6: the schedule ends after 6 updates", marks=pytest.mark.slow
        ),
        ("scheduler=ends", "scheduler: Ends failed: IndexError: no rate is left"),
        pytest.param("model=tires", "too tired", marks=pytest.mark.slow),
    ],
)
def test_a_run_is_unchanged_if_its_first_step_cannot_be_made(
    choice: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    result = train(*XOR, choice, epochs=3)
    assert result.summary["status"] == "finished"
    before = contents(tmp_path / "run")
    if choice == "model=tires":
        import ends_and_tires  # pyright: ignore[reportMissingImports]

        monkeypatch.setattr(ends_and_tires.Tires, "tired", True)
    with pytest.raises(ExpError, match=message):
        train("resume=run", epochs=6)
    assert contents(tmp_path / "run") == before


def test_a_resume_without_a_checkpoint_says_that_it_starts_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    train("dataset=xor", "epochs=3", "figures=false", "hydra.run.dir=whole")
    train("dataset=xor", "epochs=2", "figures=false", "hydra.run.dir=run")
    shutil.rmtree("run/checkpoints")
    train("resume=run", "epochs=3")
    note = "run/checkpoints/last.pt does not exist: the run starts again from its first step"
    assert capsys.readouterr().out.count(note) == 1
    assert note in (tmp_path / "run/exp.log").read_text()
    assert contents(tmp_path / "run")["checkpoints/best.pt"] == contents(tmp_path / "whole")["checkpoints/best.pt"]


def test_a_schedule_that_is_shorter_than_the_run_is_refused_before_the_first_step(tmp_path: Path):
    with pytest.raises(ExpError, match=r"ends after 6 updates.*\n  try: scheduler.total_steps=8\n"):
        train(*XOR, "scheduler=onecycle", epochs=4)
    assert not (tmp_path / "run/checkpoints").exists()


WRONG = {
    "metric=f1:Benign": "metric=f1:benign",
    "metrics=[rmse]": "metrics=[]",
    "init=damaged": "init=null",
}


@pytest.mark.parametrize("wrong", one_in(3, list(WRONG)))
def test_a_run_that_failed_before_its_first_step_leaves_its_folder_to_the_corrected_line(wrong: str, tmp_path: Path):
    line = ["dataset=cancer", "epochs=1", "figures=false"]
    if wrong == "init=damaged":
        train(*line, "hydra.run.dir=damaged")
        (tmp_path / "damaged/checkpoints/last.pt").write_bytes(b"no checkpoint")
    with pytest.raises(ExpError, match="try:"):
        train(*line, wrong, "hydra.run.dir=run")
    with pytest.raises(ExpError) as error:
        train(resume="run")
    assert "resume=" not in str(getattr(error.value, "corrected", ""))  # its config could not be resumed
    corrected = train(*line, WRONG[wrong], "hydra.run.dir=run").summary
    alone = train(*line, WRONG[wrong], "hydra.run.dir=alone").summary
    assert corrected["status"] == "finished"
    assert corrected.keys() == alone.keys()
    assert contents(tmp_path / "run")["checkpoints/last.pt"] == contents(tmp_path / "alone")["checkpoints/last.pt"]
    with pytest.raises(ExpError, match="already contains a run"):
        train(*line, "hydra.run.dir=run")


@pytest.mark.parametrize(
    ("words", "spans"),
    [
        ("optimizer=adam scheduler=one_cycle", "scheduler.total_steps=null spans the whole run"),
        ("model=realmlp model.hidden=[4]", "model.dropout=0.15 spans the whole run"),
    ],
)
def test_a_longer_run_is_refused_where_it_would_differ_from_its_first_step(words: str, spans: str, tmp_path: Path):
    train("dataset=iris", *words.split(), f"hydra.run.dir={tmp_path}/run", epochs=1, figures=False)
    with pytest.raises(ExpError, match=f"{spans}.*\n  try: a new run from its parameters: .*init="):
        train(resume=tmp_path / "run", epochs=2)
