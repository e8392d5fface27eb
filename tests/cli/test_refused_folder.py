"""A folder that cannot be created is one error with what to type, and nothing is left of it."""

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
