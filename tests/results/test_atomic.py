"""A file is replaced as a whole or not at all."""

import errno
import os
import signal
from pathlib import Path

import pytest
import torch

from exp.errors import CheckpointError
from exp.results import checkpoints
from exp.results.atomic import moved_together, replacement


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file.txt").write_text("old")
    return tmp_path / "file.txt"


@pytest.mark.parametrize("shared", [False, True])
def test_the_new_content_replaces_the_old(path: Path, shared: bool):
    with replacement(path, sync=True, keep=path.with_name("previous.txt"), shared=shared) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert {one.name: one.read_text() for one in path.parent.iterdir()} == {"file.txt": "new", "previous.txt": "old"}
    assert path.stat().st_mode & 0o777 == path.with_name("previous.txt").stat().st_mode & 0o777


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_writer_that_raises_leaves_the_old_content_and_no_other_file(path: Path, error: type[BaseException]):
    def write() -> None:
        with replacement(path, keep=path.with_name("previous.txt")) as temporary:
            temporary.write_text("ne")
            raise error

    with pytest.raises(error):
        write()
    assert {one.name: one.read_text() for one in path.parent.iterdir()} == {"file.txt": "old"}


def test_a_process_killed_while_writing_leaves_the_old_content(path: Path):
    process = os.fork()
    if process == 0:
        with replacement(path) as temporary:
            temporary.write_text("ne")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    assert path.read_text() == "old"
    with replacement(path) as temporary:
        temporary.write_text("new")
    assert {one.name: one.read_text() for one in path.parent.iterdir()} == {"file.txt": "new"}


@pytest.mark.parametrize("kills_before", [1, 2])
def test_a_process_killed_while_replacing_leaves_a_file(path: Path, kills_before: int):
    process = os.fork()
    if process == 0:
        calls, replace = [0], os.replace

        def replace_or_die(*paths: Path) -> None:
            calls[0] += 1
            if calls[0] == kills_before:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(*paths)

        os.replace = replace_or_die  # type: ignore[assignment]
        with replacement(path, keep=path.with_name("previous.txt")) as temporary:
            temporary.write_text("new")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    assert path.read_text() == "old"
    with replacement(path, keep=path.with_name("previous.txt")) as temporary:
        temporary.write_text("new")
    assert {one.name: one.read_text() for one in path.parent.iterdir()} == {"file.txt": "new", "previous.txt": "old"}


def test_without_hard_links_the_old_content_is_moved(path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*paths: Path) -> None:
        raise OSError("no hard links")

    monkeypatch.setattr(os, "link", refuse)
    with replacement(path, keep=path.with_name("previous.txt")) as temporary:
        temporary.write_text("new")
    assert {one.name: one.read_text() for one in path.parent.iterdir()} == {"file.txt": "new", "previous.txt": "old"}


def test_a_link_in_place_of_the_temporary_file_is_not_followed(path: Path):
    victim = path.with_name("victim")
    victim.write_text("precious")
    path.with_suffix(".tmp").symlink_to(victim)
    with replacement(path) as temporary:
        temporary.write_text("new")
    assert (path.read_text(), victim.read_text()) == ("new", "precious")


def test_a_checkpoint_that_cannot_be_written_leaves_both_older_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    last, previous = tmp_path / "last.pt", tmp_path / "previous.pt"
    for step in (1, 2):
        checkpoints.write_together([(last, {"step": step}, previous)])

    def full(content: object, file: object) -> None:
        file.write(b"part")  # type: ignore[attr-defined]
        raise RuntimeError("no space left")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match="no space left"):
        checkpoints.write_together([(last, {"step": 3}, previous)])
    assert sorted(one.name for one in tmp_path.iterdir()) == ["last.pt", "previous.pt"]
    assert (checkpoints.read(last)["step"], checkpoints.read(previous)["step"]) == (2, 1)


@pytest.mark.parametrize("shared", [False, True])
def test_a_refusal_names_the_file_and_not_the_temporary_one(tmp_path: Path, shared: bool):
    path = tmp_path / "file.txt"
    with pytest.raises(OSError, match="No space left") as error, replacement(path, shared=shared) as temporary:
        raise OSError(errno.ENOSPC, "No space left on device", str(temporary))
    assert error.value.filename == str(path)


def test_files_are_moved_together_when_all_are_written(tmp_path: Path):
    with moved_together(tmp_path / "model.onnx") as path:
        path.write_text("graph")
        Path(f"{path}.data").write_text("parameters")
        assert not any(one.is_file() for one in tmp_path.iterdir())
    assert {one.name for one in tmp_path.iterdir()} == {"model.onnx", "model.onnx.data"}


def test_a_folder_is_moved_when_it_is_whole_with_the_usual_permissions(tmp_path: Path):
    (tmp_path / "usual").mkdir()
    with moved_together(tmp_path / "served") as folder:
        folder.mkdir()
        (folder / "model.json").touch()
        assert not (tmp_path / "served").exists()
    assert (tmp_path / "served/model.json").exists()
    assert (tmp_path / "served").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_of_files_that_are_not_all_written_none_is_left(tmp_path: Path):
    def write() -> None:
        with moved_together(tmp_path / "model.onnx") as path:
            path.write_text("gra")
            raise OSError(errno.ENOSPC, "No space left on device", f"{path}.data")

    with pytest.raises(OSError, match="No space left") as error:
        write()
    assert error.value.filename == f"{tmp_path}/model.onnx.data"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("parent", ["missing", "file"])
def test_where_no_folder_can_be_made_a_refusal_names_what_was_meant(tmp_path: Path, parent: str):
    (tmp_path / "file").touch()
    path = tmp_path / parent / "model.onnx"
    with pytest.raises(OSError, match=r"No such|Not a directory") as error, moved_together(path):
        pass
    assert error.value.filename == str(path)
