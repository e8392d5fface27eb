"""A resume of a sweep that is refused changes nothing in its folder."""

import fcntl
import hashlib
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import one_in

from exp import sweep
from exp.cli.main import main
from exp.errors import ExpError
from exp.results import new_folder
from exp.sweeps.sweep import Sweep

LINE = "dataset=moons epochs=1 figures=false sweep.workers=0 folds=2 hydra.sweep.dir=sw".split()


def test_a_refused_sweep_leaves_the_empty_folder_that_another_one_has_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of two sweeps that begin at once, the first made the folder, and the second, which locked it, checks its jobs."""
    monkeypatch.chdir(tmp_path)
    create = new_folder.create
    with ExitStack() as other:

        def create_for_both(folder: Path) -> list[Path]:
            new = create(folder)
            handle = os.open(folder, os.O_RDONLY)
            other.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
            return new

        monkeypatch.setattr(new_folder, "create", create_for_both)
        with pytest.raises(ExpError, match="sw is in use by another process"):
            sweep(*LINE)
        assert (tmp_path / "sw").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refused")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        sweep(*LINE)
    return folder


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    ("words", "message"),
    one_in(
        6,
        [
            (["epochs=2"], "epochs was 1, is now 2"),
            (["epochs=abc"], "epochs must be an integer"),
            (["fold=1", "seed=1"], "seed was 0, is now 1"),
            (["folds=3"], "folds was 2, is now 3"),
            (["fold_repeats=2"], "fold_repeats was 1, is now 2"),
            (["sweep.metric=r2/val"], "no job has this metric"),
            (["hydra.sweep.subdir=a/b"], "cannot be the folder of a job"),
            (["dataset=table", "dataset.path=none.csv", "dataset.target=y"], "file not found"),
        ],
    ),
)
def test_a_refused_resume_leaves_the_sweep_unchanged(
    words: list[str], message: str, finished: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(finished)
    before = contents(finished)
    with pytest.raises(ExpError, match=message):
        sweep("sweep.resume=sw", *words)
    assert contents(finished) == before


@pytest.mark.parametrize(
    ("line", "words", "has_finished"),
    [
        (["seed=1"], ["seed=1", "scheduler=cosine"], True),
        (["folds=2"], ["folds=3"], False),
        pytest.param(["batching.batch_size=9999"], ["batching.batch_size=99"], False, marks=pytest.mark.slow),
    ],
)
def test_values_are_added_to_those_of_jobs_that_finished(
    line: list[str], words: list[str], has_finished: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    sweep("dataset=moons", "figures=false", "epochs=1", "sweep.workers=0", "hydra.sweep.dir=sw", *line)
    with pytest.raises(ExpError) as refused:
        sweep("sweep.resume=sw", *words)
    more = "both values, separated by a comma, to add jobs, or "
    assert refused.value.fix == f"{more if has_finished else ''}a new sweep, in another folder"


def test_a_dry_run_of_a_resume_leaves_the_sweep_unchanged(finished: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished)
    before = contents(finished)
    sweep("sweep.resume=sw", "seed=0,1", "sweep.dry_run=true")
    assert contents(finished) == before


def test_a_sweep_that_is_stopped_before_its_first_job_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C after sweep.json was written, and SIGTERM before."""
    monkeypatch.chdir(tmp_path)
    line = ["dataset=xor", "seed=0,1", "epochs=1", "figures=false", "sweep.workers=0", "hydra.sweep.dir=above/sw"]
    prepare = Sweep.prepare

    def prepare_and_stop(this: Sweep) -> None:
        prepare(this)
        assert (tmp_path / "above/sw/sweep.json").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(Sweep, "prepare", prepare_and_stop)
    with pytest.raises(KeyboardInterrupt):
        sweep(*line)
    assert [*tmp_path.iterdir()] == []
    monkeypatch.setattr(Sweep, "prepare", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    monkeypatch.setattr("sys.argv", ["exp", "-m", *line])
    monkeypatch.setattr("exp.cli.main.leave", sys.exit)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 143
    assert [*tmp_path.iterdir()] == []


def test_a_sweep_that_was_killed_before_its_first_job_is_not_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    line = ["dataset=xor", "seed=0,1", "epochs=1", "figures=false", "sweep.workers=0", "hydra.sweep.dir=sw"]
    sweep(*line)
    (tmp_path / "sw/multirun.yaml").unlink()  # which is written last
    with pytest.raises(ExpError) as refused:
        sweep("sweep.resume=sw")
    assert refused.value.problem == "sweep.resume=sw: it was killed before its first job began"
    assert refused.value.fix == f"rm {tmp_path / 'sw/sweep.json'}, and the command that began it"
    with pytest.raises(ExpError, match="contains a sweep") as refused:
        sweep(*line)
    assert refused.value.fix == "hydra.sweep.dir=ANOTHER_FOLDER"
