"""optimizer.lr_factors and decay_factors: groups of torch.optim, with the bits of a plain loop in every engine."""

from typing import Any

import pytest
import torch
from conftest import config_of, logged_steps
from torch import nn, optim

from exp.data.batches import Batches
from exp.errors import ConfigError
from exp.training.build import build
from exp.training.loop import Training
from exp.training.parameter_groups import make_optimizer

FACTORS = ["optimizer.lr_factors={bias: 0.1}", "optimizer.decay_factors={bias: 0}", "optimizer.weight_decay=0.1"]


def plain_losses(make: Any, x: torch.Tensor, y: torch.Tensor, steps: int) -> list[float]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 10), nn.ReLU(), nn.Linear(10, 2))
    weights = [layer.weight for layer in model if isinstance(layer, nn.Linear)]
    biases = [layer.bias for layer in model if isinstance(layer, nn.Linear)]
    groups = [
        {"params": weights, "lr": 0.05, "weight_decay": 0.1},
        {"params": biases, "lr": 0.05 * 0.1, "weight_decay": 0.1 * 0},
    ]
    optimizer, losses = make(groups, lr=0.05, weight_decay=0.1), list[float]()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("engine", ["eager", "replay"])
@pytest.mark.parametrize(
    ("option", "make"),
    [
        ("sgd", optim.SGD),
        ("adam", optim.Adam),
        ("adamw", optim.AdamW),
        ("rmsprop", optim.RMSprop),
        ("nadam", optim.NAdam),
    ],
)
def test_the_losses_are_those_of_a_plain_loop_with_groups(option: str, make: Any, engine: str):
    line = ["dataset=moons", "batching=full", f"optimizer={option}", "optimizer.lr=0.05", *FACTORS, "epochs=12"]
    experiment = build(config_of(*line, f"engine={engine}", "log_every=1", "threads=1"))
    rows: Batches = experiment.batches
    events = Training(experiment.learner, rows, experiment.data, experiment.plan)
    losses = [step.metrics.loss for step in logged_steps(events)]
    assert losses == plain_losses(make, experiment.data.train.x, experiment.data.train.y, 12)
    assert experiment.learner.step.fallback_reason is None


def test_parameters_with_the_same_factors_are_one_group():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    node = {"_target_": "torch.optim.Adam", "lr": 0.5, "lr_factors": {"bias": 2.0}}
    groups = make_optimizer(model, node).param_groups
    assert [len(group["params"]) for group in groups] == [2, 2]
    assert [group["lr"] for group in groups] == [0.5, 1.0]
    (group,) = make_optimizer(model, {**node, "lr_factors": None}).param_groups
    assert group["params"] == list(model.parameters())


def test_factors_are_of_the_optimizers_own_defaults_where_a_config_has_none():
    factors = {"lr_factors": {"bias": 2.0}, "decay_factors": {"bias": 0.5}}
    optimizer = make_optimizer(nn.Linear(2, 3), {"_target_": "torch.optim.AdamW", **factors})
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [(1e-3, 0.01), (2e-3, 0.005)]


@pytest.mark.parametrize("scheduler", [["scheduler=one_cycle"], ["scheduler=cosine", "scheduler.every=step"]])
def test_a_schedule_keeps_the_factors(scheduler: list[str]):
    line = "dataset=moons batching=full optimizer=adam optimizer.lr=0.05 threads=1 epochs=9".split()
    experiment = build(config_of(*line, "optimizer.lr_factors={bias: 0.1}", *scheduler))
    learner = experiment.learner
    stream = experiment.batches.stream()
    for _ in range(8):
        one, other = (group["lr"] for group in learner.optimizer.param_groups)
        assert other == pytest.approx(0.1 * one)
        with torch.no_grad():
            learner.step(stream.take(1))
        learner.step_scheduler(None)


def test_an_unknown_name_and_an_optimizer_without_groups_are_refused():
    model = nn.Linear(2, 3)
    with pytest.raises(ConfigError, match="no parameter of the model is called 'scale'"):
        make_optimizer(model, {"_target_": "torch.optim.Adam", "decay_factors": {"scale": 0}})
    for key, what in (("lr_factors", "one learning rate"), ("decay_factors", "no weight decay")):
        with pytest.raises(ConfigError, match=rf"optimizer\.{key}: LBFGS has {what}"):
            make_optimizer(model, {"_target_": "torch.optim.LBFGS", key: {"bias": 1}})
    with pytest.raises(ConfigError, match="Rprop has no weight decay"):
        make_optimizer(model, {"_target_": "torch.optim.Rprop", "lr": 0.1, "decay_factors": {"bias": 0}})


def test_the_fix_for_an_unknown_name_of_an_experiment_works():
    line = ["dataset=diabetes", "experiment=realmlp_s", "model=tabular_mlp", "batching=full", "epochs=1"]
    with pytest.raises(
        ConfigError, match=r"optimizer\.lr_factors: no parameter of the model is called 'scale'"
    ) as error:
        build(config_of(*line))
    assert error.value.override == error.value.fix == "optimizer.lr_factors=null"
    assert build(config_of(*line, error.value.override)).config.optimizer["lr_factors"] is None
