"""exp's and Hydra's launchers and sweepers in one sweep."""

from pathlib import Path

import pytest

from exp import sweep
from exp.cli.validation import validate_sweep
from exp.config.compose import compose_config
from exp.errors import ConfigError, ExpError
from exp.sweeps.plugins import is_search


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("sweeper", "expected"), [("exp", False), ("basic", False), ("optuna", True)])
def test_a_sweeper_that_takes_every_combination_is_no_search(sweeper: str, expected: bool):
    assert is_search(compose_config([f"hydra/sweeper={sweeper}"], with_hydra=True)) == expected


@pytest.mark.slow
def test_hydras_sweeper_compares_and_resumes_as_exps_does(capsys: pytest.CaptureFixture[str]):
    words = "dataset=moons epochs=1 sweep.workers=0 hydra/sweeper=basic sweep.on_error=stop".split()
    result = sweep(*words, "batching.batch_size=100,200,100000,300", "hydra.sweep.dir=sweep")
    assert list(result.table["status"]) == ["finished", "finished", "failed"]
    assert (result.folder / "figures/loss_against_epochs.png").exists()
    assert "to resume: python -m exp -m sweep.resume=sweep\n" in capsys.readouterr().out


def test_a_cluster_cannot_stop_at_an_error_which_is_found_before_anything_is_written(tmp_path: Path):
    words = ["hydra/launcher=submitit_local", "sweep.on_error=stop", "hydra.sweep.dir=sweep"]
    with pytest.raises(ConfigError, match=r"sweep\.on_error=stop: not supported on a cluster"):
        validate_sweep(compose_config(words, with_hydra=True))


def test_a_wrong_sweep_leaves_the_users_folders(tmp_path: Path):
    (tmp_path / "mine/empty").mkdir(parents=True)
    with pytest.raises(ExpError, match="epochs must be an integer >= 1"):
        sweep("epochs=1,0", "sweep.workers=0", "hydra.sweep.dir=mine/empty/new/sweep")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["mine", "mine/empty"]
