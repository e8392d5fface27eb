"""A folder that cannot be created is one error with what to type, and nothing is left of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import one_in

from exp import sweep, train
from exp.errors import ExpError

XOR = ["dataset=xor", "epochs=2", "figures=false"]


REASONS = {"above/" + 300 * "a": "file name too long", "file/x": "not a directory"}


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    one_in(2, [(kind, *case) for case in REASONS.items() for kind in ("run", "sweep", "detached sweep")]),
)
def test_a_folder_that_cannot_be_created(
    kind: str, name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    command, key = (train, "hydra.run.dir") if kind == "run" else (sweep, "hydra.sweep.dir")
    more = {"run": [], "sweep": ["seed=0,1"], "detached sweep": ["seed=0,1", "sweep.detach=true"]}[kind]
    with pytest.raises(ExpError) as caught:
        command(*XOR, *more, f"{key}={name}")
    assert str(caught.value) == f"{key}={name}: {reason}\n  try: {key}=ANOTHER_FOLDER"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("command", [train, sweep])
def test_a_name_that_is_not_in_utf_8_is_refused_before_anything_is_written(
    command: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A sweep ended with a traceback, a run could not be resumed, and neither could be listed."""
    (folder := tmp_path / "caf\udce9").mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(ExpError, match=rf"^{tmp_path}/caf\\xe9: this name is not in UTF-8\n  try: another folder"):
        command(*XOR, "seed=0")
    monkeypatch.chdir(tmp_path)
    for word in ("name=caf\udce9", "hydra.run.dir=caf\udce9"):
        with pytest.raises(ExpError, match=r"^\S+=caf\\xe9: this name is not in UTF-8\n  try: a name in UTF-8"):
            command(*XOR, "seed=0", word)
    assert not list(folder.iterdir())
    assert list(tmp_path.iterdir()) == [folder]
