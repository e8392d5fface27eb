"""A lock on a folder holds as long as the folder is there, whatever others do to the folder while it is taken."""

import fcntl
from pathlib import Path

import pytest

from exp.errors import ConfigError
from exp.results.lock import folder_lock


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
    with (
        folder_lock(folder),
        pytest.raises(ConfigError, match="in use by another process"),
        folder_lock(folder),
    ):
        pass


def test_a_folder_that_is_removed_while_its_lock_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, lock = tmp_path / "run", fcntl.flock
    folder.mkdir()

    def removed_before(handle: int, operation: int) -> None:
        folder.rmdir()
        lock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", removed_before)
    with pytest.raises(ConfigError, match=rf"^{folder} was removed by another process\n"), folder_lock(folder):
        pass
