"""Every YAML file composes, builds and trains two steps; a new file is tested automatically."""

import io
import shlex
from pathlib import Path
from typing import Any

import faster_hydra
import faster_yaml
import numpy as np
import pytest
import yaml
from conftest import compose_in_full, composed, config_of, images_of_digits, openml_cache_of_iris
from hydra.core.config_store import ConfigStore
from omegaconf import Node, OmegaConf
from sklearn.datasets import load_iris

from exp.config.compose import compose_config
from exp.config.schema import CONF
from exp.training.build import build
from exp.training.events import Evaluated
from exp.training.loop import Training

OPTIONS = [f"{path.parent.name}={path.stem}" for path in sorted(CONF.glob("*/*.yaml")) if path.parent.name != "hydra"]

# Overrides that an option needs to be trained.
COMPANIONS = {
    "loss=bce": ["model.output_activation=sigmoid"],
    "experiment=signal_background": ["batching=minibatch"],
    "model=cnn": ["dataset=digits"],
    "optimizer=realmlp_adam": ["model=realmlp_s"],
    "optimizer=realmlp_adamw": ["model=realmlp"],
    "dataset=table": ["dataset.path=iris.csv", "dataset.target=target"],
    "dataset=arrays": ["dataset.path=iris.npz"],
    "dataset=images": ["dataset.path=images", "early_stopping.restore_best=false"],
    "dataset=openml": ["dataset.name=iris", "dataset.target=class", "dataset.cache=."],
}
ELSEWHERE = {"device=cuda", "device=mps"}
WITH_FILES = {"dataset=table", "dataset=arrays", "dataset=images", "dataset=openml"}


@pytest.mark.parametrize("option", [option for option in OPTIONS if option not in ELSEWHERE])
def test_every_option_composes_builds_and_takes_two_steps(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    if option in WITH_FILES:
        iris = load_iris(as_frame=True)
        iris.frame.to_csv("iris.csv", index=False)
        np.savez("iris.npz", x=iris.data, y=iris.target)
        openml_cache_of_iris(tmp_path)
        images_of_digits(tmp_path / "images")
    two = ["epochs=2", "batching.batch_size=null", "batching.drop_last=false"]
    experiment = build(config_of(option, *COMPANIONS.get(option, []), *two))
    assert experiment.plan.steps == 2
    *_, last = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
    assert isinstance(last, Evaluated)
    assert last.at.step == 2


@pytest.mark.gpu
def test_the_cuda_option_trains_on_the_gpu():
    experiment = build(config_of("device=cuda", "epochs=2"))
    assert {parameter.device.type for parameter in experiment.model.parameters()} == {"cuda"}
    *_, last = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
    assert isinstance(last, Evaluated)


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_yaml_opens_with_a_description_and_a_command(path):
    head = [line for line in path.read_text().splitlines() if not line.startswith("# @package")][:3]
    assert head[0].startswith("# ")
    if path.parent.parent.name != "hydra":
        assert any("python -m exp" in line for line in head)


@pytest.mark.parametrize(
    "line",
    [
        "epochs=3 dataset=iris optimizer.lr=0.1 optimizer=adam model.hidden=[8,8]",
        "experiment=xor_mse seed=7 'optimizer.lr=${early_stopping.min_delta}' log_every='2 epochs'",
        "batching.batch_size=null early_stopping={patience:3} +optimizer.dampening=0.5",
    ],
)
def test_the_cached_composition_equals_hydras(line: str):
    ours, theirs = composed(*shlex.split(line)), compose_in_full(*shlex.split(line))
    assert OmegaConf.to_container(ours) == OmegaConf.to_container(theirs)


def nodes_of(node: Node) -> list[tuple[object, ...]]:
    """What OmegaConf knows of every node: its key, kind, types, flags and value."""
    about = node._metadata
    content = node.__dict__.get("_content")
    children = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    own = (node._get_full_key(None), type(node), about.ref_type, about.object_type, about.optional, about.flags)
    return [(*own, None if children else node._value()), *(one for child in children for one in nodes_of(child))]


@pytest.mark.parametrize(
    "line", ["", "experiment=xor_mse dataset=moons seed=3", "dataset=table hydra/job_logging=disabled hydra.verbose=x"]
)
def test_hydra_composes_the_same_without_the_caches_of_the_tests(line: str, monkeypatch: pytest.MonkeyPatch):
    ours = [compose_config(line.split(), with_hydra=True) for _ in range(2)]
    for place, name, _, theirs in faster_hydra.CHANGES:
        monkeypatch.delattr(place, name) if theirs is None else monkeypatch.setattr(place, name, theirs)
    plain = compose_config(line.split(), with_hydra=True)
    assert [nodes_of(one) for one in ours] == [nodes_of(plain)] * 2


@pytest.mark.parametrize("text", ["a: 1e3\nb: 2020-01-01\nc: [yes, ~, .inf]\nd: {x: 0x10}", "a: 1\na: 2", "a: [1", ""])
def test_yaml_is_read_or_refused_as_without_the_loader_of_the_tests(text: str):
    def outcome(stream: Any, loader: Any) -> object:
        try:
            return yaml.load(stream, loader)
        except yaml.YAMLError as error:
            return str(error)

    for stream in (str, str.encode, io.StringIO):
        ours = outcome(stream(text), faster_yaml.Loader)
        assert ours == outcome(stream(text), faster_yaml.get_yaml_loader())


def test_an_entry_of_the_config_store_that_is_stored_again_is_composed_anew():
    store = ConfigStore.instance()
    try:
        for lr in (0.125, 0.25):
            store.store("stored", {"_target_": "torch.optim.SGD", "lr": lr}, group="optimizer")
            assert compose_config(["optimizer=stored"]).optimizer.lr == lr
    finally:
        del store.repo["optimizer"]
