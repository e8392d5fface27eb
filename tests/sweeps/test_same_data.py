"""A sweep is resumed only on the rows that its jobs were trained on."""

from pathlib import Path

import pytest

from exp import sweep
from exp.errors import ExpError

LINE = ["dataset=table", "dataset.path=data.csv", "dataset.target=ill", "epochs=1", "figures=false", "sweep.workers=0"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def write(shift: int) -> None:
    rows = [f"{i % 7},{i % 3},{'yn'[(i + shift) % 2]}" for i in range(40)]
    Path("data.csv").write_text("\n".join(["x,z,ill", *rows]) + "\n")


def test_a_sweep_whose_data_changed_is_refused_and_left_unchanged():
    write(0)
    sweep(*LINE, "optimizer.lr=0.01,0.1", "hydra.sweep.dir=sw")
    before = Path("sw/sweep.json").read_bytes(), Path("sw/sweep.csv").read_bytes()
    again = [*LINE, "optimizer.lr=0.01,0.1,0.5", "sweep.resume=sw"]
    write(1)
    with pytest.raises(ExpError, match=r"dataset.path=data.csv changed: their fingerprint was \w{12}, is now \w{12}"):
        sweep(*again)
    assert (Path("sw/sweep.json").read_bytes(), Path("sw/sweep.csv").read_bytes()) == before
    assert not Path("sw/2").exists()
    write(0)
    assert len(sweep(*again).table) == 3
