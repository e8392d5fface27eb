"""The user's model, loss and optimizer of the documentation: trained, killed and resumed, and in sweeps."""

import csv
import json
import re
import signal
import time
from pathlib import Path

import forking
import pytest

from exp.results.compare_runs import find_differences

PAGE = (Path(__file__).parents[1] / "docs/pages/how-to/model.md").read_text()
FILES = dict(re.findall(r'```\w+ title="(my_conf/\S+)"\n(.*?)```', PAGE, re.DOTALL))


@pytest.fixture
def typed(tmp_path: Path) -> list[str]:
    """Write the page's files, and return the arguments of a command that uses all of them."""
    assert set(FILES) >= {f"my_conf/{name}" for name in ("mine.py", "model/residual.yaml", "loss/focal.yaml")}
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return ["--config-dir", "my_conf", "model=residual", "loss=focal", "optimizer=sign", "model.width=50"]


def begin(folder: Path, *arguments: str, allowed: str = "mine") -> forking.Process:
    return forking.begin("exp", *arguments, folder=folder, EXP_ALLOW=allowed)


@pytest.mark.slow
def test_they_train_with_replayed_steps_and_resume_every_bit(typed: list[str], tmp_path: Path):
    line = [*typed, "figures=false", "threads=1", "epochs=60", "save_every=20"]
    whole = forking.run("exp", [*line, "hydra.run.dir=whole"], tmp_path, allow="mine")
    assert "residual(width=50, blocks=2)" in whole.stdout, whole.stderr
    assert "engine=eager is in use" not in whole.stdout
    killed = begin(tmp_path, *line, "hydra.run.dir=torn")
    for _ in range(3000):
        if (tmp_path / "torn/checkpoints/last.pt").exists():
            break
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    again = forking.run("exp", ["resume=torn"], tmp_path, allow="mine")
    assert again.returncode == 0, again.stderr
    assert "resumed   after step" in again.stdout
    assert list(find_differences(tmp_path / "whole", tmp_path / "torn")) == []


@pytest.mark.slow
def test_they_train_in_the_workers_of_a_sweep(typed: list[str], tmp_path: Path):
    line = ["-m", *typed, "figures=false", "epochs=1", "seed=1,2", "hydra.sweep.dir=sweep"]
    sweep = begin(tmp_path, *line)
    _, stderr = sweep.communicate()
    assert sweep.returncode == 0, stderr
    status = [json.loads((tmp_path / f"sweep/{job}/summary.json").read_text())["status"] for job in "01"]
    assert status == ["finished"] * 2


def test_a_yaml_cannot_allow_its_own_module(typed: list[str], tmp_path: Path):
    refused = begin(tmp_path, *typed, allowed="")
    _, stderr = refused.communicate()
    assert refused.returncode == 1
    assert "mine." in stderr
    assert "EXP_ALLOW=mine python -m exp" in stderr


@pytest.mark.slow
def test_their_trained_model_is_used_without_config_dir(typed: list[str], tmp_path: Path):
    """Their module is found in the run's --config-dir. The exported script imports it and has the run's losses."""
    line = [*typed, "figures=false", "threads=1", "epochs=3", "hydra.run.dir=run"]
    began = forking.run("exp", line, tmp_path, allow="mine")
    assert began.returncode == 0, began.stderr

    evaluated = forking.run("exp.evaluate", ["run=run"], tmp_path, allow="mine")
    final = json.loads((tmp_path / "run/summary.json").read_text())["final"]["test"]
    assert f"loss {final['loss']!r}" in evaluated.stdout, evaluated.stderr
    exported = forking.run("exp.export", ["run=run", "format=script", "out=train.py"], tmp_path, allow="mine")
    place = re.search(r"PYTHONPATH=(\S+) python train.py", exported.stdout)
    assert place is not None, exported.stderr
    assert Path(place[1]) == tmp_path / "my_conf"
    theirs = forking.begin("train", folder=tmp_path, PYTHONPATH=place[1]).completed()
    assert theirs.returncode == 0, theirs.stderr
    assert "exp" not in (tmp_path / "train.py").read_text().replace("expand", "")
    with (tmp_path / "run/metrics.csv").open() as file:
        losses = [row["loss"] for row in csv.DictReader(file) if row["split"] == "val"]
    printed = [line.split() for line in theirs.stdout.splitlines()]
    assert [row[2] for row in printed[:-3]] == losses
    assert float(printed[-1][2]) == final["loss"]
    assert forking.run("exp.report", ["run=run"], tmp_path, allow="mine").returncode == 0
    page = (tmp_path / "run/report.html").read_text()
    assert f"EXP_ALLOW=mine python -m exp --config-dir {tmp_path}/my_conf model=residual" in page
    refused = forking.run("exp.evaluate", ["run=run"], tmp_path)
    assert "EXP_ALLOW=mine" in refused.stderr


@pytest.mark.slow
def test_the_script_of_a_model_that_takes_any_argument_has_its_sizes(tmp_path: Path):
    """The arguments that every model gets are passed where its signature names none."""
    source = "class Any(nn.Linear):\n    def __init__(self, **sizes):\n        super().__init__(**sizes)\n"
    (tmp_path / "any_sizes.py").write_text(f"from torch import nn\n\n\n{source}")
    line = ["dataset=iris", "model=linear", "model._target_=any_sizes.Any", "figures=false", "threads=1", "epochs=1"]
    began = forking.run("exp", [*line, "hydra.run.dir=run"], tmp_path, allow="any_sizes")
    assert began.returncode == 0, began.stderr
    exported = forking.run("exp.export", ["run=run", "format=script", "out=train.py"], tmp_path, allow="any_sizes")
    assert exported.returncode == 0, exported.stderr
    theirs = forking.begin("train", folder=tmp_path, PYTHONPATH=str(tmp_path)).completed()
    assert theirs.returncode == 0, theirs.stderr
    final = json.loads((tmp_path / "run/summary.json").read_text())["final"]["test"]
    assert float(theirs.stdout.splitlines()[-1].split()[2]) == final["loss"]


@pytest.mark.parametrize(
    "place", ["/run/my_conf", *(pytest.param(p, marks=pytest.mark.slow) for p in ("my_conf", "../x"))]
)
def test_an_untrusted_run_cannot_bring_its_own_module(typed: list[str], tmp_path: Path, place: str):
    """Even if the user allows a module of that name."""
    began = forking.run("exp", [*typed, "figures=false", "epochs=1", "hydra.run.dir=run"], tmp_path, allow="mine")
    assert began.returncode == 0, began.stderr
    (tmp_path / "my_conf").rename(tmp_path / "run/my_conf")
    evil = tmp_path / "run/my_conf/mine.py"
    evil.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{evil.read_text()}")
    record = tmp_path / "run/.hydra/hydra.yaml"
    new = f"{tmp_path}{place}" if place.startswith("/") else place
    record.write_text(record.read_text().replace(f"path: {tmp_path}/my_conf", f"path: {new}"))
    for module, more in (("exp.evaluate", []), ("exp.report", []), ("exp", ["epochs=2"])):
        done = forking.run(module, [f"{'resume' if module == 'exp' else 'run'}=run", *more], tmp_path, allow="mine")
        assert "must be an absolute path outside the run" in done.stderr + done.stdout, done.stderr
    assert not (tmp_path / "ran").exists()


def test_a_run_is_called_after_the_function_and_the_class_that_were_typed(tmp_path: Path):
    (tmp_path / "own_rows.py").write_text(
        "import torch\nfrom torch import nn\n\ndef spirals():\n    x = torch.randn(90, 3).numpy()\n"
        "    return x, (x[:, 0] > 0).astype(int)\n\nclass Net(nn.Linear):\n    pass\n"
    )
    line = ["dataset._target_=own_rows.spirals", "model._target_=own_rows.Net", "model=linear", "epochs=1", "seed=0"]
    done = forking.run("exp", [*line, "hydra.run.dir=run"], tmp_path, allow="own_rows")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^data +spirals: 90 x 3, 2 classes", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^model +Net\(bias=true\): 3 -> 2", done.stdout, re.MULTILINE), done.stdout
    assert "<title>spirals, Net: finished" in (tmp_path / "run/report.html").read_text()
