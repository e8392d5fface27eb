"""What tests share: a config composed as the command line composes it, and a run of the real command."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import forking
import pytest
import sklearn
import torch
from hydra import compose, initialize_config_dir
from hypothesis import settings
from omegaconf import DictConfig

from exp.config.schema import CONF, Config, validate

settings.register_profile("untimed", deadline=None)  # how long a case takes says more of the machine than of exp
settings.load_profile("untimed")


def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: half as many again as there are cores, because tests wait for processes of their own."""
    return -(-3 * (os.cpu_count() or 1) // 2)


def composed(*overrides: str, config_dir: Path | None = None) -> DictConfig:
    search = [f"hydra.searchpath=[file://{config_dir}]"] if config_dir else []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [*overrides, *search])


def config_of(*overrides: str, config_dir: Path | None = None) -> Config:
    return validate(composed(*overrides, config_dir=config_dir))


@pytest.fixture(autouse=True)
def one_thread():
    """One thread, and a random stream that begins in the same place whatever the test before drew."""
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def exp(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command in a process of its own, in an empty folder, every warning an error."""

    def run(*arguments: str, **keywords: object) -> subprocess.CompletedProcess[str]:
        if not keywords:
            return forking.run("exp", list(arguments), tmp_path)
        command = [sys.executable, "-W", "error", "-m", "exp", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, **keywords)  # type: ignore[call-overload]

    return run


def openml_cache_of_iris(folder: Path) -> None:
    """What scikit-learn brings along of OpenML's iris for tests of its own, laid out in `folder` as its cache is."""
    bundled = Path(sklearn.__file__).parent / "datasets/tests/data/openml/id_61"
    kept = {
        "api-v1-jdl-dn-iris-l-2-dv-1.json": "api/v1/json/data/list/data_name/iris/limit/2/data_version/1",
        "api-v1-jd-61.json": "api/v1/json/data/61",
        "api-v1-jdf-61.json": "api/v1/json/data/features/61",
        "api-v1-jdq-61.json": "api/v1/json/data/qualities/61",
        "data-v1-dl-61.arff": "data/v1/download/61/iris.arff",
    }
    for name, path in kept.items():
        there = folder / "openml/openml.org" / f"{path}.gz"
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(bundled / f"{name}.gz", there)
