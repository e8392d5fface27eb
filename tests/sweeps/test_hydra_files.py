"""A job's .hydra/*.yaml files equal those of Hydra's own launcher."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra._internal.callbacks import Callbacks
from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import run_job
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict
from test_jobs import loaders

from exp.sweeps.jobs import JobComposer

FILES = ("config.yaml", "hydra.yaml", "overrides.yaml")
NUMBER = 3
# '1e3' needs OmegaConf's quotes: YAML's own dumper writes it without, and OmegaConf would read a number.
_FAST = ("__WORDS__", "'a: b # c'", "'1e3'")


def hydras_files(loader: ConfigLoader, master: DictConfig, overrides: Sequence[str]) -> dict[str, str]:
    """The three files as Hydra's basic launcher writes them."""
    cfg = loader.load_sweep_config(master, list(overrides))
    with open_dict(cfg):
        cfg.hydra.job.id = cfg.hydra.job.num = NUMBER
    context = HydraContext(config_loader=loader, callbacks=Callbacks())
    run_job(lambda _: None, cfg, "hydra.sweep.dir", "hydra.sweep.subdir", context, configure_logging=False)
    return read(Path(cfg.hydra.runtime.output_dir))


def our_files(composer: JobComposer, master: DictConfig, overrides: Sequence[str]) -> dict[str, str]:
    folder = Path(master.hydra.sweep.dir) / str(NUMBER)
    files, name = composer.shared(overrides).files, composer.override_dirname(overrides)
    task = composer.compose_task(overrides)
    assert files.write(folder, task, overrides, NUMBER, name) == OmegaConf.to_yaml(task, resolve=True)
    return read(folder)


def read(job: Path) -> dict[str, str]:
    return {name: (job / ".hydra" / name).read_text(encoding="utf-8") for name in FILES}


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param([], marks=pytest.mark.slow),
        pytest.param(["seed=7"], marks=pytest.mark.slow),
        ["dataset=iris", "optimizer=adam", "optimizer.lr=1e-3", "model.hidden=[8,8]"],
        ["optimizer.lr=${early_stopping.min_delta}", "clip_grad_norm=null", "log_every='2 epochs'"],
        ["epochs=20.0", "batching.accumulate=true"],  # equal to the defaults in Python, not in YAML
        pytest.param(["+optimizer.dampening=0.5", "++epochs=9"], marks=pytest.mark.slow),
        pytest.param(["seed=918273645", "threads=3"], marks=pytest.mark.slow),
        *(
            pytest.param([f"save_every={text}"], marks=pytest.mark.slow if text not in _FAST else ())
            for text in ("__WORDS__", "__NAME__", "__FOLDER__", "'a: b # c'", "'1e3'", "'é'", "yes")
        ),
    ],
    ids=" ".join,
)
def test_the_files_equal_hydras(tmp_path: Path, overrides: list[str]):
    with loaders("seed=1,2", f"hydra.sweep.dir={tmp_path}/sweep") as (composer, loader, master):
        theirs = hydras_files(loader, master, overrides)
        assert our_files(composer, master, overrides) == theirs


def not_called() -> DictConfig:
    raise AssertionError("the settings of the log depend on the folder alone")


def resolved(hydra: DictConfig, *keys: str) -> list[DictConfig]:
    cfg = OmegaConf.create({"hydra": hydra})
    return [OmegaConf.select(cfg, f"hydra.{key}") for key in keys]


@pytest.mark.parametrize("name", ["918273645", "__FOLDER__", "__NAME__"])
def test_a_sweeps_folder_may_have_any_name(tmp_path: Path, name: str):
    with loaders("seed=1,2", f"hydra.sweep.dir={tmp_path}/{name}") as (composer, _, master):
        hydra = OmegaConf.create(our_files(composer, master, ["seed=1"])["hydra.yaml"]).hydra
        log, environment = composer.shared(["seed=1"]).files.resolve_logging(Path(hydra.runtime.output_dir), not_called)
        assert (log, environment) == tuple(
            OmegaConf.to_container(part, resolve=True) for part in resolved(hydra, "job_logging", "job.env_set")
        )
        assert f"{tmp_path}/{name}/{NUMBER}/" in str(log)
        assert hydra.sweep.dir == f"{tmp_path}/{name}"
        assert hydra.runtime.output_dir == f"{tmp_path}/{name}/{NUMBER}"
