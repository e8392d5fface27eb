"""The real trackers write real local stores, which their own readers read back; curves continue after a resume.

They run where the packages are: PYTHONPATH may name a folder of `pip install --target`.
"""

import json
import os
import sqlite3
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from exp.config.tracker_packages import _PACKAGES
from exp.results import metrics_csv, summary

pytestmark = pytest.mark.slow
LINE = ("dataset=iris", "model.hidden=[8,8]", "optimizer.lr=0.1", "threads=1")


def needs(extra: str) -> Any:
    packages = next(packages for name, packages in _PACKAGES.values() if name == extra)
    missing = [name for name in packages if (spec := find_spec(name)) is None or spec.origin is None]
    return pytest.mark.skipif(bool(missing), reason=f"{missing} not installed: pip install 'exp[{extra}]'")


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with warnings as errors and without a proxy to reach a network by."""
    path = os.pathsep.join(place for place in sys.path if place)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "exp", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the tracker failed" not in done.stdout
    return done


def train_and_resume(folder: Path, tracker: str) -> dict[str, dict[int, float]]:
    """Train two epochs and then two more; return the values of metrics.csv by name and step."""
    run(
        folder, *LINE, f"tracker={tracker}", "epochs=2", "figures=false", "name=first", "notes=why", "hydra.run.dir=run"
    )
    run(folder, "tag", "run", "paper")
    run(folder, "resume=run", "epochs=4", "figures=true")
    found: dict[str, dict[int, float]] = {}
    for row in metrics_csv.read_rows(folder / "run"):
        for name, value in row.metrics.items():
            found.setdefault(f"{name}/{row.split}", {})[row.step] = value
    return found


def final_metrics(folder: Path) -> dict[str, float]:
    final = summary.read(folder / "run")["final"]
    return {f"final/{name}/{split}": value for split, values in final.items() for name, value in values.items()}


@needs("mlflow")
@pytest.mark.filterwarnings("ignore")
def test_mlflows_own_client_reads_the_run(tmp_path: Path):
    written = train_and_resume(tmp_path, "mlflow")
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/outputs/mlflow.db")
    experiment = client.get_experiment_by_name("exp")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_id == json.loads((tmp_path / "run/tracker.json").read_text())["run"]
    assert (found.info.run_name, found.info.status) == ("first", "FINISHED")
    assert found.data.params["optimizer.lr"] == "0.1"
    assert found.data.params["model.hidden"] == "[8, 8]"
    assert found.data.params["epochs"] == "2"  # as it began
    tags = found.data.tags
    assert (tags["mlflow.note.content"], tags["tags"], tags["folder"]) == ("why", "paper", "run")
    for name, values in written.items():
        if not name.endswith("/test"):
            history = client.get_metric_history(found.info.run_id, name)
            assert [(one.step, one.value) for one in history] == sorted(values.items()), name
    for name, value in final_metrics(tmp_path).items():
        assert client.get_metric_history(found.info.run_id, name)[-1].value == value
    assert {Path(one.path).suffix for one in client.list_artifacts(found.info.run_id, "figures")} == {".png"}


@needs("mlflow")
@pytest.mark.filterwarnings("ignore")
def test_the_jobs_of_a_sweep_are_runs_of_one_group_in_mlflow(tmp_path: Path):
    run(tmp_path, "-m", *LINE[:1], "tracker=mlflow", "epochs=1", "seed=0,1,2", "sweep.workers=2", "hydra.sweep.dir=sw")
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/outputs/mlflow.db")
    found = client.search_runs(["1"], "tags.sweep = 'sw'")
    assert sorted(one.data.params["seed"] for one in found) == ["0", "1", "2"]
    assert {one.info.status for one in found} == {"FINISHED"}


@needs("wandb")
@pytest.mark.filterwarnings("ignore")
def test_the_offline_files_of_wandb_have_the_run(tmp_path: Path):
    written = train_and_resume(tmp_path, "wandb")
    files = sorted((tmp_path / "outputs/wandb").glob("offline-run-*/run-*.wandb"))
    known_as = json.loads((tmp_path / "run/tracker.json").read_text())["run"]
    assert [path.name for path in files] == [f"run-{known_as}.wandb"] * 2
    history: dict[str, dict[int, float]] = {}
    config: dict[str, Any] = {}
    final: dict[str, Any] = {}
    for record in (record for path in files for record in wandb_records(path)):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            assert (record.run.run_id, record.run.display_name, record.run.notes) == (known_as, "first", "why")
            config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            for name in row.keys() - {"_step", "_runtime", "_timestamp"}:
                history.setdefault(name, {})[row["_step"]] = row[name]
        elif kind == "summary":
            final |= {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.summary.update}
    assert config["optimizer.lr"] == 0.1
    for name, values in written.items():
        if not name.endswith("/test"):
            assert history[name] == values, name
    assert {key: value for key, value in final.items() if key.startswith("final/")} == final_metrics(tmp_path)
    assert any(name.startswith("figures/") for name in history)


def wandb_records(path: Path) -> list[Any]:
    """Parse a .wandb file: W&B's own messages in the log format of LevelDB, behind a header of 7 bytes.

    wandb reads it in Go; its last reader in Python went with wandb 0.30.
    """
    from wandb.proto import wandb_internal_pb2

    data = path.read_bytes()
    records, message, place = [], b"", 7
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:  # the rest of a block is empty
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        message += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole message, or its last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(message)
            records.append(record)
            message = b""
    return records


@needs("trackio")
def test_trackios_file_has_the_run(tmp_path: Path):
    written = train_and_resume(tmp_path, "trackio")
    with sqlite3.connect(tmp_path / "outputs/trackio/exp.db") as database:
        rows = database.execute("SELECT run_name, step, metrics FROM metrics").fetchall()
        configs = [json.loads(text) for (text,) in database.execute("SELECT config FROM configs")]
    known_as = json.loads((tmp_path / "run/tracker.json").read_text())["run"]
    assert {name for name, _, _ in rows} == {known_as}
    assert configs[0]["optimizer.lr"] == 0.1
    history: dict[str, list[tuple[int, float]]] = {}
    for _, step, text in rows:
        for name, value in json.loads(text).items():
            history.setdefault(name, []).append((step, value))
    for name, values in written.items():
        if not name.endswith("/test"):
            assert sorted(history[name]) == sorted(values.items()), name
    assert {name: history[name][-1][1] for name in final_metrics(tmp_path)} == final_metrics(tmp_path)
