"""The user's own code may change after a run: what uses the run says so, and names the file."""

import hashlib
import json
from pathlib import Path

import pytest

from exp import sweep, train
from exp.cli.commands import run_command
from exp.config import allowlist
from exp.refit import refit
from exp.results.trained_ensemble import load_models
from exp.results.trained_model import load_trained

NET = """
from torch import nn
from own_blocks_of_a_net import width

class Net(nn.Sequential):
    def __init__(self, in_features, out_features):
        super().__init__(nn.Linear(in_features, width()), nn.Tanh(), nn.Linear(width(), out_features))
"""
MODULES = {"own_net_that_changes": NET, "own_blocks_of_a_net": "def width():\n    return 3\n"}
NOTE = "own/own_blocks_of_a_net.py has changed since the run was trained with it: results may differ"


def test_code_that_changed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(allowlist, "USER_PACKAGES", tuple(MODULES))
    monkeypatch.syspath_prepend(tmp_path / "own")
    (tmp_path / "own/model").mkdir(parents=True)
    (tmp_path / "own/model/net.yaml").write_text("_target_: own_net_that_changes.Net\n")
    for name, source in MODULES.items():
        (tmp_path / f"own/{name}.py").write_text(source)
    line = ["--config-dir", "own", "dataset=xor", "model=net", "figures=false", "batching.batch_size=2"]
    train(*line, "epochs=2", "hydra.run.dir=run")
    sweep(*line, "epochs=1", "seed=0,1", "sweep.workers=0", "hydra.sweep.dir=sw")
    hashes = {name: hashlib.sha256(source.encode()).hexdigest()[:16] for name, source in MODULES.items()}
    for run in ("run", "sw/0"):
        assert json.loads((tmp_path / run / "summary.json").read_text())["own_code"] == hashes
    train("resume=run", "epochs=3")
    load_trained("run")
    assert "has changed" not in capsys.readouterr().out

    (tmp_path / "own/own_blocks_of_a_net.py").write_text("def width():\n    return 3  # for now\n")
    load_trained("run")
    assert capsys.readouterr().out == f"note: {NOTE}\n"
    load_models([Path("sw/0"), Path("sw/1")])
    assert capsys.readouterr().out == f"note: {NOTE}\n"  # once for both
    run_command(refit, ["sw"])
    assert capsys.readouterr().out.count(f"# note: {NOTE}") == 1
    train("resume=run", "epochs=4")
    assert capsys.readouterr().out.count(NOTE) == 1
    assert NOTE in (tmp_path / "run/exp.log").read_text()
    load_trained("run")  # its parameters are those of the code as it is now
    assert capsys.readouterr().out == ""
