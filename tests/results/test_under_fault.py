"""Real processes that compete for a folder, a full disk, a reader during a run: nothing is lost or mixed up."""

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import forking
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from exp.cli.main import main
from exp.results import checkpoints, metrics_csv
from exp.results.compare_runs import find_differences

SLOW = pytest.mark.slow
LINE = "dataset=moons epochs=60 figures=false threads=1".split()


def begin(folder: Path, *arguments: str) -> forking.Process:
    return forking.begin("exp", *arguments, *LINE, folder=folder)


def status(folder: Path) -> str:
    return json.loads((folder / "summary.json").read_text())["status"]


def numbers(one: Path, other: Path) -> list[str]:
    return [what for kind, what in find_differences(one, other) if kind in ("metrics", "parameters")]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    process = begin(folder, "hydra.run.dir=run")
    process.communicate()
    assert process.returncode == 0
    return folder / "run"


@pytest.mark.slow
def test_runs_that_start_in_the_same_second_have_separate_folders(alone: Path, tmp_path: Path):
    processes = [begin(tmp_path) for _ in range(4)]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    runs = list((tmp_path / "outputs").glob("*/*"))
    assert len(runs) == 4
    assert all(numbers(run, alone) == [] for run in runs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "where", ["hydra.run.dir=one", pytest.param("-m hydra.sweep.dir=sweep seed=0", marks=pytest.mark.slow)]
)
def test_of_many_runs_in_one_folder_only_one_trains(where: str, alone: Path, tmp_path: Path):
    """The others are refused and change nothing."""
    processes = [begin(tmp_path, *where.split()) for _ in range(6)]
    errors = [process.communicate()[1] for process in processes]
    codes = sorted(process.returncode for process in processes)
    assert codes == [0, 1, 1, 1, 1, 1]
    messages = (
        "is in use by another process",
        "already contains a run",
        "already contains a sweep",
        "is running: process",
    )
    assert sum(any(message in text for message in messages) for text in errors) == 5
    (run,) = (path.parent for path in tmp_path.rglob("summary.json"))
    assert status(run) == "finished"
    assert numbers(run, alone) == []
    assert len(list(run.glob("events.out.tfevents.*"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [6, 20, 60])
def test_a_full_disk_loses_no_earlier_checkpoint(kilobytes: int, alone: Path, tmp_path: Path):
    """A limit on the size of a file acts like a full disk."""
    limit = kilobytes * 1024
    process = forking.Process("exp", ["hydra.run.dir=run", *LINE], tmp_path, {**os.environ}, largest_file=limit)
    _, stderr = process.communicate()
    assert process.returncode == 1
    assert "file too large" in stderr.lower() or "cannot be written" in stderr
    assert "Traceback" not in stderr
    for path in (tmp_path / "run/checkpoints").glob("*.pt"):
        checkpoints.read(path)
    resumed = forking.run("exp", ["resume=run"], tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert numbers(tmp_path / "run", alone) == []


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "file").touch()
    _, stderr = (process := begin(tmp_path, "hydra.run.dir=file/run")).communicate()
    assert process.returncode == 1
    assert "file/run" in stderr
    assert "hydra.run.dir=ANOTHER_FOLDER" in stderr
    assert "Traceback" not in stderr


@pytest.mark.slow
def test_tensorboard_can_read_during_a_run(alone: Path, tmp_path: Path):
    process = begin(tmp_path, "hydra.run.dir=run")
    while not list(tmp_path.glob("run/events.out.tfevents.*")):
        assert process.poll() is None
    reader = EventAccumulator(str(tmp_path / "run"), size_guidance={"scalars": 0})
    seen = 0
    while process.poll() is None:
        reader.Reload()
        found = len(reader.Scalars("loss/train")) if "loss/train" in reader.Tags()["scalars"] else 0
        assert found >= seen
        seen = found
    process.communicate()
    reader.Reload()
    whole = EventAccumulator(str(alone), size_guidance={"scalars": 0}).Reload()
    curves = [[(p.step, p.value) for p in events.Scalars("loss/train")] for events in (reader, whole)]
    assert curves[0] == curves[1]


def test_a_clock_that_jumps_loses_no_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The clock jumps by a day at every call: the seconds still increase, and no point of a curve is lost."""
    real_time, calls = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: real_time() + (-86400.0) ** (next(calls) % 2))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["exp", "dataset=xor", "epochs=50", "figures=false", "hydra.run.dir=run"])
    main()
    seconds = [row.seconds for row in metrics_csv.read_rows(tmp_path / "run")]
    assert seconds == sorted(seconds)
    events = EventAccumulator(str(tmp_path / "run"), size_guidance={"scalars": 0}).Reload()
    assert [point.step for point in events.Scalars("loss/train")] == list(range(1, 51))


@pytest.mark.slow
def test_a_missing_or_changed_data_file_prevents_resuming(tmp_path: Path):
    """The error changes no file of the run. With the file restored, the run is resumed with the same bits."""
    (tmp_path / "mine.py").write_text(
        "import numpy\n"
        "def rows(path):\n"
        "    table = numpy.loadtxt(path, delimiter=',')\n"
        "    return table[:, :2], table[:, 2].astype(int)\n"
    )
    (tmp_path / "conf/dataset").mkdir(parents=True)
    (tmp_path / "conf/dataset/rows.yaml").write_text(
        "_target_: mine.rows\npath: rows.csv\nsplit: [.6, .2, .2]\nscaler: standard\n"
    )
    text = "".join(f"{i % 7},{i % 5 * 0.3},{i % 2}\n" for i in range(100))
    (tmp_path / "rows.csv").write_text(text)

    def exp(*arguments: str) -> subprocess.CompletedProcess[str]:
        return forking.run("exp", [*arguments], tmp_path, allow="mine")

    common = ["--config-dir", "conf", "dataset=rows", "figures=false"]
    assert exp(*common, "epochs=4", "hydra.run.dir=whole").returncode == 0
    assert exp(*common, "epochs=2", "hydra.run.dir=run").returncode == 0
    final = json.loads((tmp_path / "run/summary.json").read_text())["final"]
    kept = (tmp_path / "run/checkpoints/last.pt").read_bytes()
    for change, said in (
        (
            (tmp_path / "rows.csv").unlink,
            "dataset: mine.rows(path=rows.csv) failed: FileNotFoundError: rows.csv not found",
        ),
        (
            lambda: (tmp_path / "rows.csv").write_text(text.replace("6,", "8,")),
            "the rows differ from those that the run was trained on",
        ),
    ):
        change()
        refused = exp("resume=run", "epochs=4")
        assert refused.returncode == 1
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr
        assert status(tmp_path / "run") == "finished"  # of the first two epochs
        assert json.loads((tmp_path / "run/summary.json").read_text())["final"] == final
        assert (tmp_path / "run/checkpoints/last.pt").read_bytes() == kept
    (tmp_path / "rows.csv").write_text(text)
    again = exp("resume=run", "epochs=4")
    assert again.returncode == 0, again.stderr
    assert numbers(tmp_path / "run", tmp_path / "whole") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "size"), [("hydra.run.dir=full/run", "600k"), ("-m seed=1,2,3 hydra.sweep.dir=full/sweep", "100k")]
)
def test_a_full_disk_is_named_with_the_line_that_resumes(words: str, size: str, tmp_path: Path):
    (tmp_path / "full").mkdir()
    line = f"{sys.executable} -m exp {words} dataset=moons model.hidden=[300,300] epochs=2 figures=false"
    script = f"mount -t tmpfs -o size={size} none full && {line}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", "mount -t tmpfs none full"], cwd=tmp_path).returncode:
        pytest.skip("this machine does not let a process mount a file system")
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no space left on device" in done.stdout + done.stderr
    assert "unexpected pos" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if words.startswith("-m"):
        assert "to resume: python -m exp -m sweep.resume=full/sweep" in done.stdout
