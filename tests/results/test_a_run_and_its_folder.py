"""The files that the real command writes, read with the libraries that its users have."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import forking
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from torch import nn

from exp.results import summary, sweep_csv


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.rglob(pattern)
    return found


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(
        str(only(folder, "events.out.tfevents.*")), {"scalars": 0, "images": 0, "tensors": 0}
    )
    accumulator.Reload()
    return accumulator


def test_a_run_writes_all_its_files(exp, tmp_path: Path):
    done = exp("dataset=moons", "optimizer.lr=0.1", "epochs=3", "hydra.run.dir=out")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    out = tmp_path / "out"
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    event_file = only(out, "events.out.tfevents.*").name
    assert files == {
        ".hydra/config.yaml",
        ".hydra/hydra.yaml",
        ".hydra/overrides.yaml",
        "exp.log",
        event_file,
        "metrics.csv",
        "summary.json",
        "checkpoints/last.pt",
        "checkpoints/best.pt",
        "figures/learning_curves.png",
        "figures/confusion_matrix.png",
        "figures/scores.png",
        "figures/decision_surface.png",
        "report.html",
    }

    with (out / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "epoch", "samples", "seconds", "split", "loss", "accuracy"]
    assert [row["step"] for row in rows if row["split"] == "val"] == ["0", "60", "120", "180"]
    assert len([row for row in rows if row["split"] == "train"]) == 180
    assert (rows[-1]["split"], rows[-1]["epoch"], rows[-1]["samples"]) == ("test", "3", "1800")

    summary = json.loads((out / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert summary["choices"]["dataset"] == "moons"
    assert summary["final"]["val"]["loss"] == float([row for row in rows if row["split"] == "val"][-1]["loss"])
    assert summary["best"]["val"]["loss"] == min(float(row["loss"]) for row in rows if row["split"] == "val")
    assert summary["environment"]["torch"] == torch.__version__
    assert summary["environment"]["cores"] == os.cpu_count()
    assert summary["rows"] == {"train": 600, "val": 200, "test": 200}

    read = events(out)
    tags = read.Tags()
    assert {f"{name}/{split}" for name in ("loss", "accuracy") for split in ("train", "val", "test")} <= set(
        tags["scalars"]
    )
    for split in ("train", "val", "test"):
        points = [(point.step, point.value) for point in read.Scalars(f"loss/{split}")]
        in_table = [(int(row["step"]), float(row["loss"])) for row in rows if row["split"] == split]
        assert points == [(step, pytest.approx(loss)) for step, loss in in_table]
    assert [point.value for point in read.Scalars("learning_rate")] == [pytest.approx(0.1)] * 180
    assert set(tags["images"]) == {f"figures/{path.stem}" for path in (out / "figures").iterdir()}
    assert b"optimizer:" in read.Tensors("config/text_summary")[0].tensor_proto.string_val[0]
    assert {"custom_scalars__config__", "_hparams_/experiment", "_hparams_/session_start_info"} <= set(
        read.summary_metadata
    )

    for name in ("last", "best"):
        state = torch.load(out / f"checkpoints/{name}.pt", weights_only=True)["model"]
        net = nn.Sequential(nn.Linear(2, 10), nn.ReLU(), nn.Linear(10, 2))
        net.load_state_dict(state)
    with Image.open(out / "figures/decision_surface.png") as picture:
        assert picture.size == (read.Images("figures/decision_surface")[0].width, picture.height)

    log = (out / "exp.log").read_text()
    assert all(line.strip() in log for line in done.stdout.splitlines())
    assert "tensorboard --logdir out" in done.stdout


def test_without_arguments_a_run_trains_on_cancer(exp, tmp_path: Path):
    done = exp()
    assert done.returncode == 0, done.stderr
    summary = json.loads(only(tmp_path / "outputs", "summary.json").read_text())
    assert (summary["choices"]["dataset"], summary["choices"]["model"]) == ("cancer", "mlp")
    assert summary["final"]["test"]["accuracy"] >= 0.95


def test_a_regression_has_rmse_and_r2_and_no_accuracy(exp, tmp_path: Path):
    assert exp("dataset=diabetes", "epochs=2", "hydra.run.dir=out").returncode == 0
    with (tmp_path / "out/metrics.csv").open() as file:
        assert next(csv.reader(file))[5:] == ["loss", "rmse", "r2"]
    assert (tmp_path / "out/figures/predicted_against_true.png").is_file()
    assert "accuracy/val" not in events(tmp_path / "out").Tags()["scalars"]


@pytest.mark.slow
def test_the_runs_of_a_sweep_have_the_same_hparams_columns(exp, tmp_path: Path):
    swept = exp(
        "-m",
        "sweep.workers=0",
        "optimizer.lr=0.01,0.1",
        "batching=full,minibatch",
        "epochs=1",
        "figures=false",
        "dataset=iris",
    )
    assert swept.returncode == 0, swept.stderr
    columns, metrics, values = set(), set(), set()
    for path in tmp_path.rglob("summary.json"):
        content = events(path.parent).summary_metadata
        data = {
            tag: plugin_data_pb2.HParamsPluginData.FromString(content[f"_hparams_/{tag}"].plugin_data.content)
            for tag in ("experiment", "session_start_info", "session_end_info")
        }
        columns.add(tuple(info.name for info in data["experiment"].experiment.hparam_infos))
        metrics.add(tuple(info.name.tag for info in data["experiment"].experiment.metric_infos))
        given = data["session_start_info"].session_start_info.hparams
        values.add((given["lr"].number_value, given["batching"].string_value, given["batch_size"].number_value))
        assert data["session_end_info"].session_end_info.status == 1  # STATUS_SUCCESS
    assert len(columns) == len(metrics) == 1
    assert values == {(lr, mode, size) for lr in (0.01, 0.1) for mode, size in (("full", 90), ("minibatch", 10))}


def test_a_diverged_run_is_an_error_and_keeps_a_finite_checkpoint(exp, tmp_path: Path):
    done = exp("dataset=diabetes", "optimizer.lr=0.02", "hydra.run.dir=out")
    assert done.returncode == 1
    assert "the training loss became inf at step" in done.stderr
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["status"] == "diverged"
    assert "at step" in summary["error"]
    state = torch.load(tmp_path / "out/checkpoints/best.pt", weights_only=True)["model"]
    assert all(tensor.isfinite().all() for tensor in state.values())


def test_ctrl_c_stops_a_run_cleanly(tmp_path: Path):
    process = forking.begin("exp", "dataset=xor", "epochs=10000000", "hydra.run.dir=out", folder=tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out/metrics.csv").is_file() or (tmp_path / "out/metrics.csv").stat().st_size < 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    assert process.returncode == 130
    assert stderr == ""
    assert "interrupted" in stdout
    assert json.loads((tmp_path / "out/summary.json").read_text())["status"] == "interrupted"
    assert events(tmp_path / "out").Scalars("loss/val")
    assert (tmp_path / "out/checkpoints/best.pt").is_file()


SLOW_ROWS = """
import os, pathlib, signal

class Rows:
    def __len__(self):
        return 100

    def __getitem__(self, row):
        if row == 3:
            os.kill(os.getpid(), signal.SIGINT)
        pathlib.Path("read").write_text(str(row))
        return [float(row)], row % 2
"""


def test_ctrl_c_stops_a_run_at_once_while_its_rows_are_read(tmp_path: Path):
    (tmp_path / "mine.py").write_text(SLOW_ROWS)
    (tmp_path / "conf/dataset").mkdir(parents=True)
    (tmp_path / "conf/dataset/rows.yaml").write_text("_target_: mine.Rows\nsplit: [0.6, 0.2, 0.2]\nstorage: memory\n")
    for storage in ("memory", "mapped"):
        words = ["dataset=rows", f"dataset.storage={storage}", f"hydra.run.dir={storage}", "--config-dir", "conf"]
        environment = {"EXP_ALLOW": "mine", "EXP_CACHE": str(tmp_path / "cache")}
        done = forking.begin("exp", *words, folder=tmp_path, **environment).completed()
        assert (done.returncode, done.stderr) == (130, "")
        assert (tmp_path / "read").read_text() == "2"
        assert "interrupted before the first checkpoint" in done.stdout
        assert json.loads((tmp_path / storage / "summary.json").read_text())["status"] == "interrupted"


def test_a_long_run_writes_about_a_thousand_points(exp, tmp_path: Path):
    done = exp("dataset=xor", "epochs=20000", "optimizer.lr=0.5", "figures=false", "hydra.run.dir=out")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out/metrics.csv").open() as file:
        splits = [row["split"] for row in csv.DictReader(file)]
    assert splits.count("train") == 1000
    assert splits.count("val") == 251


def test_two_runs_started_at_once_have_two_folders(tmp_path: Path):
    both = [forking.begin("exp", "dataset=xor", "epochs=1", "figures=false", folder=tmp_path) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert len(list(tmp_path.rglob("summary.json"))) == 2


@pytest.mark.slow
def test_a_closed_pipe_does_not_stop_the_run(tmp_path: Path):
    line = f"{sys.executable} -m exp dataset=moons epochs=30 figures=false hydra.run.dir=out | head -1"
    done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("data")
    assert json.loads((tmp_path / "out/summary.json").read_text())["status"] == "finished"
    assert "best val loss" in (tmp_path / "out/exp.log").read_text()


def test_a_second_run_in_the_same_folder_is_refused(exp, tmp_path: Path):
    assert exp("dataset=xor", "epochs=1", "figures=false", "hydra.run.dir=out").returncode == 0
    before = (tmp_path / "out/metrics.csv").read_bytes()
    again = exp("dataset=xor", "epochs=2", "figures=false", "hydra.run.dir=out")
    assert again.returncode == 1
    assert "the folder already contains a run" in again.stderr
    assert (tmp_path / "out/metrics.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("there", "typed", "found"),
    [
        pytest.param(
            "run",
            ["-m", "seed=0,1", "sweep.workers=0", "hydra.sweep.dir=out/run"],
            "hydra.sweep.dir=out/run: the folder already contains a run",
            marks=pytest.mark.slow,
        ),
        ("run", ["hydra.run.dir=out"], "contains other runs, such as out/run"),
        pytest.param(
            "run",
            ["-m", "seed=0,1", "sweep.workers=0", "hydra.sweep.dir=out"],
            "contains other runs, such as out/run",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "date/run", ["hydra.run.dir=out"], "contains other runs, such as out/date/run", marks=pytest.mark.slow
        ),
        pytest.param(
            "sweep.json",
            ["hydra.run.dir=out"],
            "hydra.run.dir=out: the folder already contains a sweep",
            marks=pytest.mark.slow,
        ),
        ("multirun.yaml", ["-m", "seed=0,1", "sweep.workers=0", "hydra.sweep.dir=out"], "already contains a sweep"),
    ],
)
def test_a_folder_with_results_is_refused_before_anything_is_written(
    there: str, typed: list[str], found: str, exp, tmp_path: Path
):
    path = tmp_path / "out" / there if "." in there else tmp_path / "out" / there / ".hydra/overrides.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("[]")
    before = sorted(tmp_path.rglob("*"))
    done = exp(*typed, "dataset=xor", "epochs=1", "figures=false")
    assert done.returncode == 1
    assert found in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missing_metric_is_a_dash_in_the_table(exp):
    done = exp("dataset=diabetes", "dataset.split=[440,1,1]", "epochs=1", "figures=false")
    (val,) = [line.split() for line in done.stdout.splitlines() if line.startswith("val")]
    assert val[3:] == ["-", "1"]


def test_values_of_a_summary_that_are_of_another_type_are_left_out(tmp_path: Path):
    """One such job ended the commands for its whole sweep."""
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra/overrides.yaml").write_text("[]\n")
    final = {"val": "damaged", "test": {"loss": 0.5, "accuracy": True, "f1": None, "auc": "nan"}}
    content = {"status": "finished", "seconds": "long", "final": final, "best": {"val": 1}}
    (tmp_path / "summary.json").write_text(json.dumps(content))
    found = summary.read(tmp_path)
    assert found == {"status": "finished", "final": {"test": final["test"]}, "best": {}}
    row = {"job": tmp_path.name, "status": "finished", "loss/test": 0.5, "auc/test": "nan", "seconds": "", "error": ""}
    assert sweep_csv.read_row(tmp_path) == row
