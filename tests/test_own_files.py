"""The documentation's model, loss and optimizer of one's own: trained, killed, gone on with, and in sweeps."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exp.diff import differences

PAGE = (Path(__file__).parents[1] / "docs/pages/how-to/model.md").read_text()
FILES = dict(re.findall(r'```\w+ title="(my_conf/\S+)"\n(.*?)```', PAGE, re.DOTALL))


@pytest.fixture
def typed(tmp_path: Path) -> list[str]:
    """The page's files, and the words of a command that takes them all."""
    assert set(FILES) >= {f"my_conf/{name}" for name in ("mine.py", "model/residual.yaml", "loss/focal.yaml")}
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return ["--config-dir", "my_conf", "model=residual", "loss=focal", "optimizer=sign", "model.width=50"]


def begin(folder: Path, *words: str, allowed: str = "mine") -> "subprocess.Popen[str]":
    environment = {**os.environ, "EXP_ALLOW": allowed}
    command = [sys.executable, "-m", "exp", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


def test_they_train_by_the_recorded_step_and_resume_every_bit(typed: list[str], tmp_path: Path):
    line = [*typed, "figures=false", "threads=1", "epochs=300", "save_every=50"]
    told, said = begin(tmp_path, *line, "hydra.run.dir=whole").communicate()
    assert "residual(width=50, blocks=2)" in told, said
    assert "engine=eager is in use" not in told
    killed = begin(tmp_path, *line, "hydra.run.dir=torn")
    for _ in range(3000):
        if (tmp_path / "torn/checkpoints/last.pt").exists():
            break
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    again = begin(tmp_path, "resume=torn")
    told, said = again.communicate()
    assert again.returncode == 0, said
    assert "resumed   after step" in told
    assert list(differences(tmp_path / "whole", tmp_path / "torn")) == []


def test_and_sweeps_in_workers(typed: list[str], tmp_path: Path):
    line = ["-m", *typed, "figures=false", "epochs=1", "seed=1,2", "hydra.sweep.dir=sweep"]
    sweep = begin(tmp_path, *line)
    _, said = sweep.communicate()
    assert sweep.returncode == 0, said
    status = [json.loads((tmp_path / f"sweep/{job}/summary.json").read_text())["status"] for job in "01"]
    assert status == ["finished"] * 2


def test_a_yaml_cannot_open_the_door_itself(typed: list[str], tmp_path: Path):
    refused = begin(tmp_path, *typed, allowed="")
    _, said = refused.communicate()
    assert refused.returncode == 1
    assert "mine." in said
    assert "EXP_ALLOW=mine python -m exp" in said
