"""Shared by the tests: a config composed as the command line composes it, and a run of the real command.

The controller of pytest-xdist imports this too, so torch and scikit-learn are imported where they are used.
"""

import copy
import gc
import logging
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import faster_hydra
import forking
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.errors import HydraException
from hypothesis import settings
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from exp.config.schema import CONF, Config
from exp.config.validation import validate
from exp.data.batches import Position
from exp.training.curves import evaluations_of
from exp.training.events import Evaluated, Event, Trained
from exp.training.metrics import MetricSums

# The cases are the same in every run, and their time, which depends on the machine, is not limited.
settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.load_profile("same")
faster_hydra.speed_up()


_GROUPS = {path.name for path in CONF.iterdir() if path.is_dir()}
_PARSER = OverridesParser.create()


def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: one worker per core. A worker that waits for a command leaves its core to it."""
    return os.cpu_count() or 1


# The longest files, which start first. One worker runs each file, so the last ones should be short.
_LONGEST = (
    "test_mapped test_resume_repeats_every_bit test_json test_trained test_start_up test_experiment_file "
    "test_five_experiments test_replay test_precision test_a_run_is_the_plain_script test_every_yaml "
    "test_tag_mv_rm test_importance test_explain test_a_sweeps_job_is_that_run_alone test_rows_from_python "
    "test_ensemble test_sweeping test_help test_estimators test_status test_pieces test_every_command test_report "
    "test_intent test_wrong_command_lines test_compiled_steps test_row_weights test_comparison test_modules "
    "test_sink test_ls test_from_python test_detach test_calibrate test_watching_changes_nothing "
    "test_a_run_and_its_folder test_ties test_mapped_rows test_metric test_devices test_several_targets "
    "test_own_metrics test_heartbeat test_no_code_from_a_file test_choices test_search test_engine_compiled "
    "test_reading test_core_operators test_module_from_python test_any_table test_class_and_number_metrics "
    "test_global_random_streams test_parse_dates test_diff_and_verify test_initial test_restore_best test_weights "
    "test_best_and_refit test_paired test_realmlp test_updates test_check_data test_parse_numbers test_import_gc "
    "test_surfaces test_odd_tables test_own_split test_config_sources test_classification"
).split()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_configure(config: pytest.Config) -> None:
    """Start the server that forks commands for all workers; it imports while they collect the tests."""
    if getattr(config.option, "numprocesses", None):
        forking.start_server()


def pytest_collection_finish() -> None:
    """Collect garbage rarely: each collection visits all objects of all imported packages, a fifth of the time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def compose_in_full(*overrides: str, config_dir: Path | None = None) -> DictConfig:
    search = [f"hydra.searchpath=[file://{config_dir}]"] if config_dir else []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [*overrides, *search])


@cache
def _of_options(*options: str) -> DictConfig:
    return compose_in_full(*options)


def composed(*overrides: str, config_dir: Path | None = None) -> DictConfig:
    """Compose a config as Hydra does. It takes a tenth of a second, so equal options are composed once.

    Plain values are set in a copy, which tests/config/test_every_yaml.py compares with Hydra's own.
    """
    options = [word for word in overrides if word.partition("=")[0] in _GROUPS]
    try:
        values = [_PARSER.parse_override(word) for word in overrides if word not in options]
        if config_dir or any(value.type is not OverrideType.CHANGE or value.package for value in values):
            return compose_in_full(*overrides, config_dir=config_dir)
        config = copy.deepcopy(_of_options(*options))
        for value in values:
            OmegaConf.update(config, value.key_or_group, value.value(), merge=True)
    except (HydraException, OmegaConfBaseException):
        return compose_in_full(*overrides, config_dir=config_dir)  # which raises Hydra's own error
    return config


def config_of(*overrides: str, config_dir: Path | None = None) -> Config:
    return validate(composed(*overrides, config_dir=config_dir))


@pytest.fixture(autouse=True)
def one_thread():
    """Start every test with one thread and the same random state."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def closed_logs() -> Generator[None]:
    """Close the log of a command that a test ran in its own process, which did not end with it."""
    yield
    root = logging.getLogger()
    for handler in [one for one in root.handlers if type(one) is logging.FileHandler]:
        root.removeHandler(handler)
        handler.close()


@pytest.fixture
def exp(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command in a new process and an empty folder, with warnings as errors."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return forking.begin("exp", *arguments, folder=tmp_path, **environment).completed()

    return run


@pytest.fixture(scope="session")
def xor_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of two steps. A test that changes it makes a copy."""
    folder = tmp_path_factory.mktemp("xor")
    arguments = ["dataset=xor", "epochs=2", "figures=false", "hydra.run.dir=run"]
    assert forking.run("exp", arguments, folder).returncode == 0
    return folder / "run"


def list_evaluations(events: Iterable[Event]) -> list[Evaluated]:
    return [evaluated for event in events for evaluated in evaluations_of(event)]


class LoggedStep(NamedTuple):
    """One step of a Trained event."""

    at: Position
    metrics: MetricSums
    lr: float


def logged_steps(events: Iterable[Event]) -> list[LoggedStep]:
    return [
        LoggedStep(event.at.row(index), event.metrics.window(index), event.lr)
        for event in events
        if isinstance(event, Trained)
        for index in range(len(event.at.step))
    ]


def one_in(count: int, cases: Iterable[Any]) -> list[Any]:
    """Mark all cases of a parametrised test as slow, except one in `count`, or more: each value that several share.

    Those that stay are spread evenly over the values of each parameter.
    """
    given = list(cases)
    own = {n: case if isinstance(case, tuple) else (case,) for n, case in enumerate(given) if not _is_param(case)}
    values = {n: list(enumerate(map(repr, case))) for n, case in own.items()}
    times = Counter(value for of_case in values.values() for value in of_case)
    used = Counter({value: 0 for value, number in times.items() if number > 1})
    kept: set[int] = set()

    def order(n: int) -> tuple[bool, int, bool]:
        uses = [used[value] for value in values[n] if value in used]
        return 0 not in uses, sum(uses), n % count != 0

    while len(kept) < len(own) / count or 0 in used.values():
        kept.add(chosen := min((n for n in own if n not in kept), key=order))
        used.update(value for value in values[chosen] if value in used)
    return [
        pytest.param(*own[n], marks=pytest.mark.slow) if n in own.keys() - kept else case
        for n, case in enumerate(given)
    ]


def _is_param(case: object) -> bool:
    """Return whether a case is one of `pytest.param`, which has its own marks."""
    return isinstance(case, type(pytest.param()))


def openml_cache_of_iris(folder: Path) -> None:
    """Copy OpenML's iris, which scikit-learn has for its own tests, into `folder`, laid out like its cache."""
    import sklearn

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


def images_of_digits(folder: Path, count: int = 40) -> None:
    """Write the first of scikit-learn's digits as PNG files, with a folder for each digit."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number in range(count):
        path = folder / str(digits.target[number]) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[number] * 15.9).astype(np.uint8)).save(path)
