"""A lock on a folder holds as long as the folder is there, and who does not get it writes nothing there."""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from exp import sweep, train
from exp.config.schema import CONF
from exp.errors import ConfigError, ExpError
from exp.results.lock import folder_lock

IN_USE = "is in use by another process"
XOR = "dataset=xor epochs=2 figures=false".split()


@contextmanager
def locked_by_another(folder: Path) -> Generator[None]:
    """Lock the folder as another process does: with a descriptor that this one does not know of."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def is_free(folder: Path) -> bool:
    try:
        with locked_by_another(folder):
            return True
    except BlockingIOError:
        return False


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_folder_that_is_replaced_while_its_lock_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As by `exp rm` and a new run. A lock on the folder that was removed would keep nobody out of the new one."""
    folder, lock = tmp_path / "run", fcntl.flock
    folder.mkdir()

    def replaced_before(handle: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        folder.rmdir()
        folder.mkdir()
        lock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", replaced_before)
    with folder_lock(folder):
        assert not is_free(folder)
    assert is_free(folder)


def test_a_folder_that_is_removed_while_its_lock_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, lock = tmp_path / "run", fcntl.flock
    folder.mkdir()

    def removed_before(handle: int, operation: int) -> None:
        folder.rmdir()
        lock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", removed_before)
    with pytest.raises(ConfigError, match=rf"^{folder} was removed by another process\n"), folder_lock(folder):
        pass


def test_a_lock_that_this_thread_holds_is_handed_over_and_one_of_another_thread_is_not(tmp_path: Path):
    def lock_elsewhere() -> None:
        with folder_lock(tmp_path):
            pass

    with folder_lock(tmp_path), ThreadPoolExecutor(1) as other:
        with folder_lock(tmp_path):
            pass
        assert not is_free(tmp_path), "it was released with the inner context"
        with pytest.raises(ConfigError, match=IN_USE):
            other.submit(lock_elsewhere).result()
    assert is_free(tmp_path)


def test_a_run_or_sweep_that_does_not_get_the_lock_of_its_folder_writes_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Hydra writes .hydra and opens exp.log before it calls exp: of two at once, the second replaced the first's."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "new"
    folder.mkdir()
    with locked_by_another(folder):
        with pytest.raises(ExpError, match=f"new {IN_USE}\n  try: hydra.run.dir=ANOTHER_FOLDER"):
            train(*XOR, "hydra.run.dir=new")
        with pytest.raises(ExpError, match=f"new {IN_USE}\n  try: hydra.sweep.dir=ANOTHER_FOLDER"):
            sweep(*XOR, "seed=0,1", "sweep.workers=0", "hydra.sweep.dir=new")
    assert contents(folder) == {}
    train(*XOR, "hydra.run.dir=new")
    assert is_free(folder)
    before = contents(folder)
    with locked_by_another(folder), pytest.raises(ExpError, match=f"{IN_USE}\n  try: wait for its end"):
        train("resume=new", "epochs=3", "name=other")
    assert contents(folder) == before


def test_a_folder_is_checked_for_results_under_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A run that began and ended while this one was composed is not replaced."""
    monkeypatch.chdir(tmp_path)
    lock = fcntl.flock

    def after_a_run(handle: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        (tmp_path / "run/.hydra").mkdir()
        (tmp_path / "run/.hydra/overrides.yaml").write_text("[]")
        lock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", after_a_run)
    with pytest.raises(ExpError, match="run: the folder already contains a run"):
        train(*XOR, "hydra.run.dir=run")
    assert list(contents(tmp_path / "run")) == [".hydra/overrides.yaml"]
    assert is_free(tmp_path / "run")


@pytest.mark.parametrize("at", ["exp.run.build", "hydra.core.utils.configure_log"])
def test_a_run_that_is_stopped_leaves_no_lock(at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def stop(*_: object, **__: object) -> None:
        assert not is_free(tmp_path / "run")
        raise KeyboardInterrupt

    monkeypatch.setattr(at, stop)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(*XOR, "hydra.run.dir=run")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert not (tmp_path / "run").exists() or is_free(tmp_path / "run")
    train(*XOR, "hydra.run.dir=run")


def test_a_program_with_a_main_of_its_own_locks_nothing(tmp_path: Path):
    """Hydra calls exp's callback there too, but no command of exp's is there to release a lock."""
    (tmp_path / "own.py").write_text(
        "import hydra\nimport exp.config.schema\n"
        f"@hydra.main(version_base='1.3', config_path={str(CONF)!r}, config_name='config')\n"
        "def main(cfg):\n    print('lr', cfg.optimizer.lr)\nmain()\n"
    )
    line = [sys.executable, "own.py", "optimizer.lr=0.1"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("lr 0.1\n", "")
