"""`exp export format=script checkpoint=...` ends at any checkpoint of a run, with its bits."""

import contextlib
import io
import shutil
from pathlib import Path
from typing import Any

import forking
import pytest
import torch

from exp.errors import ConfigError
from exp.export import export
from exp.results import checkpoints

BASE = ["dataset=iris", "model=mlp", "threads=1", "figures=false", "optimizer.lr=0.3", "batching.batch_size=20"]


def run(folder: Path, *words: str) -> None:
    done = forking.run("exp", [*words], folder)
    assert done.returncode == 0, done.stderr


def assert_script_ends_at(which: str, expected: str, **more: Any) -> None:
    """Run the exported script in this process, and compare its model with the checkpoint's."""
    Path("script.py").unlink(missing_ok=True)
    Path("script.pt").unlink(missing_ok=True)
    export("run", "script", "script.py", which)
    names: dict[str, Any] = {"__name__": "__main__", "__file__": str(Path("script.py").resolve())}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(Path("script.py").read_text(encoding="utf-8"), "script.py", "exec"), names)
    state = checkpoints.read(Path(expected))
    assert names["step"] == state["progress"]["step"]
    assert f"test {names['step']} " in printed.getvalue()
    network = names["average"].module if "average" in names else names["model"]
    found = network.state_dict()
    theirs = state["model"]
    assert [*found] == [*theirs]
    assert all(torch.equal(found[name], theirs[name]) for name in found)


def test_checkpoints_of_a_run_that_stopped_early_was_resumed_and_averages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Every kept file, and the start; the run was resumed, chose its best by another metric, and averages."""
    monkeypatch.chdir(tmp_path)
    words = [*BASE, "ema=0.9", "early_stopping.patience=3", "metric=auc", "eval_every=3"]
    run(tmp_path, *words, "epochs=2", "hydra.run.dir=run")
    shutil.copyfile("run/checkpoints/last.pt", "early.pt")
    run(tmp_path, "resume=run", "epochs=9")
    for file in ("early.pt", "run/checkpoints/last.pt", "run/checkpoints/best.pt"):
        assert_script_ends_at(file, file)
    with pytest.raises(ConfigError, match=r"checkpoint=gone\.pt: file not found"):
        export("run", "script", "x.py", "gone.pt")


def test_a_run_that_was_interrupted_and_began_with_other_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    run(tmp_path, *BASE, "epochs=1", "hydra.run.dir=first")
    words = [*BASE, "epochs=4", "init=first", "save_every=1epoch", "hydra.run.dir=run"]
    run(tmp_path, *words)
    summary = Path("run/summary.json")
    summary.write_text(summary.read_text().replace('"status": "finished"', '"status": "interrupted"'))
    shutil.copyfile("run/checkpoints/previous.pt", "run/checkpoints/last.pt")
    assert_script_ends_at("last", "run/checkpoints/last.pt")
    assert_script_ends_at("best", "run/checkpoints/best.pt")
