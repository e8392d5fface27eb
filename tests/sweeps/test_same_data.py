"""A sweep is resumed, and a study continued, only on the rows that its jobs were trained on."""

import shutil
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_sweep_whose_data_file_moved_is_resumed_with_its_new_place():
    write(0)
    sweep(*LINE, "seed=0,1", "hydra.sweep.dir=sw")
    shutil.rmtree("sw/1")
    Path("new").mkdir()
    shutil.move("data.csv", "new/d.csv")
    write(1)
    shutil.move("data.csv", "data2.csv")  # a similar name is no sign of the same rows
    with pytest.raises(ExpError) as refused:
        sweep("sweep.resume=sw")
    assert refused.value.fix == 'sweep("sweep.resume=sw", "dataset.path=NEW")'
    for more in ([], ["seed=2"]):
        with pytest.raises(ExpError, match=r"rows of dataset.path=data2.csv changed: their fingerprint was"):
            sweep("sweep.resume=sw", "dataset.path=data2.csv", *more)
    assert len(sweep("sweep.resume=sw", "dataset.path=new/d.csv").table) == 2
    resumed = sweep("sweep.resume=sw", "seed=0,1,2")
    assert set(resumed.table["status"]) == {"finished"}
    assert list(resumed.seeds["n"]) == [3]  # another path is no other choice
    assert sorted(path.parent.name for path in Path("sw").glob("*/summary.json")) == ["0", "1", "2"]
    with pytest.raises(ExpError, match=r"dataset.path=new/dd.csv: file not found") as refused:
        sweep("sweep.resume=sw", "dataset.path=new/dd.csv")
    assert refused.value.override == "dataset.path=new/d.csv"


@pytest.mark.slow
def test_a_search_whose_data_changed_does_not_continue_its_study():
    search = [*LINE, "hydra/sweeper=optuna", "hydra.sweeper.storage=study.log", "optimizer.lr=interval(0.01,0.1)"]
    write(0)
    sweep(*search, "seed=1,2", "hydra.sweeper.n_trials=1", "hydra.sweep.dir=sw")
    more = [*search, "seed=1,2", "hydra.sweeper.n_trials=3", "hydra.sweep.dir=more"]
    write(1)
    with pytest.raises(ExpError, match=r"study exp: the rows of dataset.path=data.csv changed: .*is now \w{12}"):
        sweep(*more)
    assert not Path("more").exists()
    write(0)
    assert len(sweep(*more).table) == 4


def test_each_searched_dataset_has_rows_of_its_own():
    """dataset.noise makes the rows, so other rows are no change of the data."""
    search = "hydra/sweeper=optuna hydra.sweeper.storage=study.log dataset=moons epochs=1 figures=false".split()
    noise = ["dataset.noise=0.1,0.2", "sweep.workers=0"]
    for trials in (2, 4):
        result = sweep(*search, *noise, "hydra.sweeper.sampler=random", f"hydra.sweeper.n_trials={trials}")
    assert set(result.table["status"]) == {"finished"}
