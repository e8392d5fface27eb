"""Runs that fall back in the middle repeat every bit of the uninterrupted run after kill -9 and resume."""

import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import forking
import pytest
from compiling import own_cache

from exp.results import checkpoints

SMALL = ("dataset=moons", "dataset.n_samples=150", "batching.batch_size=16", "figures=false", "eval_every=1epoch")


@pytest.fixture(autouse=True)
def cache() -> Iterator[None]:
    with own_cache():
        yield


OWN = """
import os
import signal

import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR

from exp.compiled import compiled_step


class Net(nn.Module):
    def __init__(self, in_features, out_features, changes_at=10_000, fails_at=10_000):
        super().__init__()
        self.first, self.last, self.dropout = nn.Linear(in_features, 8), nn.Linear(8, out_features), nn.Dropout(0.2)
        self.register_buffer("steps", torch.zeros(()))
        self.changes_at, self.late = changes_at, False
        check = compiled_step.make_checked_step

        def fails(*arguments):
            outputs, difference = check(*arguments)
            return outputs, "its update differs" if int(self.steps) >= fails_at else difference

        compiled_step.make_checked_step = fails

    def train(self, mode=True):
        if mode and int(self.steps) == int(os.environ.get("KILLED_AT", -1)):
            os.kill(os.getpid(), signal.SIGKILL)
        self.late = int(self.steps) >= self.changes_at
        return super().train(mode)

    def forward(self, x):
        if self.training:
            self.steps += 1
        y = self.last(self.dropout(torch.tanh(self.first(x))))
        return y * 0.5 if self.late else y


class Switch(StepLR):
    def __init__(self, optimizer, before, after, at):
        self.before, self.after, self.at = before, after, at
        super().__init__(optimizer, 20)

    def step(self, epoch=None):
        super().step()
        for group in self.optimizer.param_groups:
            group["momentum"] = self.after if self.last_epoch >= self.at else self.before
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "note", "kills"),
    [
        ("engine=compiled +model.fails_at=60", "engine=replay is in use: its update differs", (54, 66, 84)),
        ("engine=compiled +model.changes_at=42", "engine=eager is in use: late of Net changes", (36, 48)),
        ("engine=replay +model.changes_at=42", "engine=eager is in use: late of Net changes", (36, 42, 48)),
        (
            "engine=compiled +scheduler.before=0.0 +scheduler.after=0.9",
            "engine=replay is in use: the schedule switches",
            (36, 42, 48),
        ),
        (
            "engine=compiled optimizer.momentum=0.9 +scheduler.before=0.9 +scheduler.after=0.0",
            "engine=replay is in use: the schedule switches",
            (36, 42, 48),
        ),
        ("engine=replay optimizer.momentum=0.9 +scheduler.before=0.9 +scheduler.after=0.0", None, (36, 42, 48)),
    ],
)
def test_a_run_that_falls_back_half_way_repeats_every_bit_after_a_kill(
    words: str, note: str | None, kills: tuple[int, ...], tmp_path: Path
):
    (tmp_path / "own.py").write_text(OWN)
    line = [*SMALL, "epochs=20", "save_every=6steps", "log_every=3", "threads=1"]
    line += ["model=linear", "~model.bias", "model._target_=own.Net", "optimizer.lr=0.05", *words.split()]
    if "scheduler" in words:
        line += ["scheduler=step", "scheduler._target_=own.Switch", "~scheduler.step_size", "~scheduler.gamma"]
        line += ["+scheduler.at=42", "scheduler.every=step"]

    def run(*more: str, **environment: str) -> Any:
        return forking.begin("exp", *more, folder=tmp_path, EXP_ALLOW="own", **environment).completed()

    whole = run(*line, "hydra.run.dir=whole")
    assert whole.returncode == 0, whole.stderr
    assert ("is in use" not in whole.stdout) if note is None else (note in whole.stdout), whole.stdout
    for kill in kills:
        assert run(*line, f"hydra.run.dir=run{kill}", KILLED_AT=str(kill)).returncode == -9
        resumed = run(f"resume=run{kill}")
        assert resumed.returncode == 0, resumed.stderr
        assert f"step {kill}" in next(one for one in resumed.stdout.splitlines() if one.startswith("resumed"))
        ours, expected = (checkpoints.read(tmp_path / name / "checkpoints/last.pt") for name in (f"run{kill}", "whole"))
        for part in ("model", "optimizer"):
            assert checkpoints.checksum(ours[part]) == checkpoints.checksum(expected[part])
        assert rows_of(tmp_path / f"run{kill}") == rows_of(tmp_path / "whole")


INTERRUPTED = """#!/bin/sh
if [ "$1" != --version ] && [ ! -e {folder}/interrupted ]; then
    touch {folder}/interrupted
    kill -INT $PPID
    [ "$(cut -d' ' -f5 /proc/$$/stat)" != "$(cut -d' ' -f5 /proc/$PPID/stat)" ] || kill -INT $$
fi
exec cc "$@"
"""


@pytest.mark.slow
def test_a_run_that_a_terminal_interrupts_while_it_compiles_is_resumed_compiled(tmp_path: Path):
    """A terminal sends SIGINT to the process and to those of its group."""
    compiler = tmp_path / "interrupted-cc"
    compiler.write_text(INTERRUPTED.format(folder=tmp_path))
    compiler.chmod(0o755)
    words = [*SMALL, "engine=compiled", "model.dropout=0.2"]
    environment = {"CC": str(compiler), "EXP_CACHE": str(tmp_path / "cache")}

    def run(*more: str) -> Any:
        return forking.begin("exp", *more, folder=tmp_path, **environment).completed()

    stopped = run(*words, "hydra.run.dir=run")
    assert stopped.returncode == 130, stopped.stderr
    assert (tmp_path / "interrupted").exists()
    resumed, whole = run("resume=run"), run(*words, "hydra.run.dir=whole")
    for done in (stopped, resumed, whole):
        assert "is in use" not in done.stdout + done.stderr
    ours, expected = (checkpoints.read(tmp_path / name / "checkpoints/last.pt") for name in ("run", "whole"))
    assert checkpoints.checksum([ours["model"], ours["optimizer"]]) == checkpoints.checksum(
        [expected["model"], expected["optimizer"]]
    )


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.slow  # tests/compiled/test_engine_compiled.py resumes between two steps
def test_a_killed_run_that_fell_back_is_resumed(exp: Callable[..., Any], tmp_path: Path):
    words = [*SMALL, "engine=compiled", "optimizer=nadam", "model.dropout=0.2", "save_every=7steps", "epochs=40"]
    whole = exp(*words, "hydra.run.dir=whole")
    note = "engine=replay is in use: the optimizer NAdam is not compiled"
    assert note in whole.stdout
    process = forking.begin("exp", *words, "hydra.run.dir=run", folder=tmp_path)
    while not (tmp_path / "run/checkpoints/previous.pt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -9
    resumed = exp("resume=run")
    assert resumed.returncode == 0, resumed.stderr
    ours, expected = (checkpoints.read(tmp_path / name / "checkpoints/last.pt") for name in ("run", "whole"))
    assert checkpoints.checksum([ours["model"], ours["optimizer"]]) == checkpoints.checksum(
        [expected["model"], expected["optimizer"]]
    )
