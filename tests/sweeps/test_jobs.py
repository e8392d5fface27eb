"""JobComposer, compared with Hydra's own loader."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from exp.config.schema import CONF
from exp.errors import ConfigError
from exp.sweeps.jobs import InvalidJob, JobComposer, compose_jobs


@contextmanager
def loaders(*overrides: str) -> Iterator[tuple[JobComposer, object, DictConfig]]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        master = hydra.compose_config("config", list(overrides), run_mode=RunMode.MULTIRUN)
        yield JobComposer(hydra.config_loader, master), hydra.config_loader, master


def same(ours: DictConfig, theirs: DictConfig) -> bool:
    return (OmegaConf.to_container(ours), OmegaConf.get_type(ours)) == (
        OmegaConf.to_container(theirs),
        OmegaConf.get_type(theirs),
    )


VALUES = {
    "dataset": ["iris", "moons", "diabetes", "xor"],
    "optimizer": ["sgd", "adam"],
    "batching": ["full", "minibatch"],
    "experiment": ["null", "xor_mse"],
    "seed": ["0", "7"],
    "epochs": ["3", "1_000"],
    "optimizer.lr": ["0.1", "1e-3", "${early_stopping.min_delta}"],
    "model.hidden": ["[4]", "[8,8]", "5"],
    "clip_grad_norm": ["null", "1.5"],
    "log_every": ["auto", "'2 epochs'", '"10"'],
    "figures": ["true", "auto"],
    "early_stopping": ["{patience: 3}"],
    "+optimizer.dampening": ["0", "0.5"],
    "++epochs": ["9"],
}
JOBS = st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=6).flatmap(
    lambda keys: st.tuples(*(st.sampled_from(VALUES[key]).map(lambda value, key=key: f"{key}={value}") for key in keys))
)


@settings(max_examples=2)
@given(st.lists(JOBS, min_size=1, max_size=4))
def test_jobs_are_composed_as_hydra_composes_them(jobs: list[tuple[str, ...]]):
    assert_composes_as_hydra(jobs)


@pytest.mark.slow
@settings(max_examples=50)
@given(st.lists(JOBS, min_size=1, max_size=4))
def test_many_jobs_are_composed_as_hydra_composes_them(jobs: list[tuple[str, ...]]):
    assert_composes_as_hydra(jobs)


def assert_composes_as_hydra(jobs: list[tuple[str, ...]]) -> None:
    with loaders("seed=1,2") as (composer, loader, master):
        for overrides in jobs:
            ours, theirs = (
                compose_or_error(composer.compose, overrides),
                compose_or_error(lambda w: loader.load_sweep_config(master, list(w)), overrides),
            )
            if isinstance(theirs, Exception):
                assert (type(ours), str(ours)) == (type(theirs), str(theirs))
            else:
                assert same(ours, theirs)


def compose_or_error(compose, overrides: tuple[str, ...]) -> DictConfig | Exception:
    try:
        return compose(overrides)
    except (HydraException, ValueError) as error:
        return error


def test_a_jobs_key_is_a_hash_of_its_config():
    """Other overrides with the same result are the same job; sweep.* and figures are not part of the key."""
    with loaders() as (composer, _, _):
        one, same_again, other = compose_jobs(
            [
                ["optimizer=sgd", "optimizer.lr=0.1"],
                ["optimizer.lr=1e-1", "sweep.workers=2", "figures=false", "seed=0"],
                ["optimizer.lr=0.2"],
            ],
            0,
            composer,
        )
    assert one.key == same_again.key
    assert one.key != other.key


def test_every_job_is_validated_before_the_first_starts():
    with loaders() as (composer, _, _), pytest.raises(InvalidJob, match="epochs must be") as caught:
        compose_jobs([["epochs=1"]] * 62 + [["epochs=0"]], 0, composer)
    assert caught.value.overrides == ("epochs=0",)
    assert isinstance(caught.value.reason, ConfigError)
