"""A tracker gets what TensorBoard has, and its errors, output and random numbers never reach the run."""

import json
import random
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import yaml
from conftest import composed, one_in
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from exp.config import allowlist
from exp.config.run_spec import RunSpec
from exp.config.schema import CONF
from exp.config.tracker_packages import refuse_missing_packages
from exp.config.validation import validate
from exp.errors import ConfigError
from exp.results import checkpoints, metrics_csv, summary
from exp.run import run

SHORT = ("dataset=moons", "model.dropout=0.3", "threads=1", "figures=false", "log_every=20steps")


class Spy:
    """Keeps what it is told, draws from every random stream, prints and warns; fails where `fails_in` says."""

    calls: list[tuple] = []  # noqa: RUF012
    fails_in = ""

    def __init__(self, colour: str) -> None:
        self._note("init", colour)

    def begin(self, run) -> str:
        self._note("begin", run)
        return "id-1"

    def log(self, rows) -> None:
        self._note("log", *rows)

    def picture(self, name, path, step) -> None:
        self._note("picture", name, path.name, step)

    def end(self, status, final) -> None:
        self._note("end", status, final)

    def _note(self, what: str, *values) -> None:
        print("loud")
        random.random(), np.random.rand(), torch.rand(3)
        Spy.calls.append((what, *values))
        if self.fails_in == what:
            raise OSError("the disk of the tracker is full")


@pytest.fixture(autouse=True)
def spy(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("spying")
    module.Spy = Spy
    monkeypatch.setitem(sys.modules, "spying", module)
    monkeypatch.setattr(allowlist, "USER_PACKAGES", ("spying",))
    monkeypatch.setattr(Spy, "__module__", "spying")
    monkeypatch.setattr(Spy, "calls", [])
    monkeypatch.setattr(Spy, "fails_in", "")


def train(folder: Path, *words: str) -> None:
    tracked = ("+tracker.colour=red", "tracker._target_=spying.Spy") if "untracked" not in words else ()
    cfg = composed(*SHORT, *(word for word in words if word != "untracked"), *tracked)
    folder.mkdir(parents=True, exist_ok=True)
    choices = dict.fromkeys(("dataset", "model", "optimizer", "scheduler", "loss"), "x")
    run(RunSpec(validate(cfg), folder, OmegaConf.to_yaml(cfg, resolve=True), choices, []), quiet=True)


def told(what: str) -> list[tuple]:
    return [call[1:] for call in Spy.calls if call[0] == what]


def curves() -> dict[tuple[str, int], float]:
    return {(name, step): value for call in told("log") for step, values in call for name, value in values.items()}


def bits(folder: Path) -> list[torch.Tensor]:
    return list(checkpoints.read(folder / "checkpoints/last.pt")["model"].values())


def test_it_is_told_the_config_and_every_value_of_metrics_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    train(tmp_path / "run", "epochs=3", "name=first", "notes=why", "figures=true")
    (begun,) = told("begin")[0]
    assert (begun.title, begun.notes, begun.group, begun.known_as) == ("first", "why", None, None)
    assert begun.settings["optimizer.lr"] == 0.02
    assert not any(key.startswith(("sweep.", "tracker.", "resume")) for key in begun.settings)
    written = {
        (f"{name}/{row.split}", row.step): value
        for row in metrics_csv.read_rows(tmp_path / "run")
        for name, value in row.metrics.items()
    }
    found = {key: value for key, value in curves().items() if key[0] != "lr"}
    assert found == pytest.approx(written, rel=0, abs=0)
    (status, final) = told("end")[0]
    assert status == "finished"
    assert final["final/accuracy/test"] == summary.read(tmp_path / "run")["final"]["test"]["accuracy"]
    assert {name for name, *_ in told("picture")} >= {"learning curves", "confusion matrix"} or told("picture")
    assert "loud" not in capsys.readouterr().out
    assert json.loads((tmp_path / "run/tracker.json").read_text()) == {"tracker": "spying.Spy", "run": "id-1"}


@pytest.mark.parametrize("fails_in", one_in(2, ["", "init", "begin", "end", "log"]))
def test_it_changes_no_bit_and_its_failure_is_one_warning(tmp_path: Path, fails_in: str):
    train(tmp_path / "plain", "epochs=3", "untracked")
    Spy.fails_in = fails_in
    train(tmp_path / "tracked", "epochs=3")
    pairs = zip(bits(tmp_path / "plain"), bits(tmp_path / "tracked"), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    found = summary.read(tmp_path / "tracked")
    assert found["status"] == "finished"
    warnings = [note for note in found.get("notes", []) if "tracker" in note]
    assert len(warnings) == bool(fails_in)
    for note in warnings:
        assert note.startswith("the tracker failed, and the run continues without it: ")
        assert "the disk of the tracker is full" in note
    if fails_in:
        assert Spy.calls[-1][0] == fails_in


def test_a_resumed_run_continues_as_the_same_run(tmp_path: Path):
    folder = tmp_path / "run"
    train(folder, "epochs=2")
    before = curves()
    Spy.calls.clear()
    train(folder, "epochs=4", f"resume={folder}")
    assert told("begin")[0][0].known_as == "id-1"
    after = curves()
    last = max(step for _, step in before)
    assert min(step for _, step in after) > last
    assert max(step for _, step in after) == 2 * last


def test_a_job_is_told_its_sweep(tmp_path: Path):
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "multirun.yaml").write_text("hydra: {}\n")
    train(folder / "0", "epochs=1")
    assert told("begin")[0][0].group == str(folder)


def test_a_missing_package_is_an_error_before_anything_is_written(exp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    for name, target in (("mlflow", "mlflow.MLflow"), ("wandb", "wandb.WandB"), ("trackio", "trackio.Trackio")):
        with pytest.raises(ConfigError, match=rf"tracker={name}: it needs {name}, which is not installed") as caught:
            refuse_missing_packages({"_target_": f"exp.trackers.{target}"})
        assert f"[{name}]'" in caught.value.fix
    monkeypatch.undo()
    (tmp_path / "trackio").mkdir()  # not the package
    monkeypatch.chdir(tmp_path)
    found = find_spec("trackio")
    if found is not None and found.origin is not None:
        pytest.skip("trackio is installed")
    done = exp("tracker=trackio")
    assert done.stderr.startswith("exp: tracker=trackio: it needs trackio, which is not installed\n  try: ")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["trackio"]


def test_the_trackers_are_offline_by_default():
    options = {path.stem: yaml.safe_load(path.read_text()) for path in (CONF / "tracker").glob("*.yaml")}
    assert set(options) == {"none", "mlflow", "wandb", "trackio"}
    assert (options["wandb"]["mode"], options["wandb"]["folder"]) == ("offline", "outputs")
    assert options["mlflow"]["uri"].startswith("sqlite:///outputs/")
    assert options["trackio"]["folder"] == "outputs/trackio"


class Looks(Spy):
    """Logs the accuracy of each class and a picture, and draws random numbers while it looks."""

    def evaluated(self, rows, log) -> None:
        self._note("evaluated", rows)
        found = rows.predictions.argmax(1) == rows.targets
        for number, name in enumerate(rows.classes):
            log.scalar(f"recall of {name}/{rows.split}", found[rows.targets == number].mean())
        if rows.split == "test":
            figure, axes = plt.subplots()
            axes.plot([0, 1])
            log.picture("recalls", figure)
            plt.close(figure)
            if self.fails_in == "picture":
                log.picture("drawn elsewhere", "missing.png")


@pytest.mark.parametrize("engine", [pytest.param("eager", marks=pytest.mark.slow), "replay"])
def test_a_sink_of_ones_own_logs_scalars_and_pictures_and_changes_no_bit(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Looks, "__module__", "spying")
    monkeypatch.setattr(sys.modules["spying"], "Spy", Looks)
    metrics = "metrics=[recall:0,recall:1]"
    train(tmp_path / "plain", "epochs=3", f"engine={engine}", metrics, "untracked")
    train(tmp_path / "own", "epochs=3", f"engine={engine}", metrics)
    assert all(torch.equal(*pair) for pair in zip(bits(tmp_path / "plain"), bits(tmp_path / "own"), strict=True))
    events = EventAccumulator(str(tmp_path / "own")).Reload()
    for number in (0, 1):
        for split in ("val", "test"):
            own = [(one.step, one.value) for one in events.Scalars(f"recall of {number}/{split}")]
            assert own == [(one.step, one.value) for one in events.Scalars(f"recall:{number}/{split}")]
            assert own[-1][1] == pytest.approx(curves()[f"recall of {number}/{split}", own[-1][0]])
    assert events.Tags()["images"] == ["figures/recalls"]
    assert [path.stem.rpartition(" ")[0] for path in (tmp_path / "own/figures").iterdir()] == ["recalls"]
    assert [name for name, *_ in told("picture")] == ["recalls"]
    rows = told("evaluated")[-1][0]
    assert rows.metrics == summary.read(tmp_path / "own")["final"]["test"]
    Looks.fails_in = "evaluated"
    train(tmp_path / "fails", "epochs=3", f"engine={engine}", metrics)
    assert all(torch.equal(*pair) for pair in zip(bits(tmp_path / "plain"), bits(tmp_path / "fails"), strict=True))
    Looks.fails_in = "picture"
    train(tmp_path / "no_picture", "epochs=3", f"engine={engine}", metrics)
    found = summary.read(tmp_path / "no_picture")
    assert found["status"] == "finished"
    assert any("there is no such file" in note for note in found["notes"])
    Looks.fails_in = ""
