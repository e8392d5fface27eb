from pathlib import Path

import pytest
from conftest import config_of

from exp.config import constraints
from exp.errors import ConfigError
from exp.models.activations import ACTIVATIONS
from exp.training.build import build
from exp.training.events import Evaluated
from exp.training.loop import Training


def test_constraints_list_the_activations_without_importing_torch():
    allowed, _ = constraints.CONSTRAINTS["model.activation"]
    assert isinstance(allowed, constraints.OneOf)
    assert allowed.options == tuple(ACTIVATIONS)


def test_a_constraint_is_of_the_classes_in_conf_and_not_of_others_with_the_same_argument():
    adafactor = ["optimizer=adam", "optimizer._target_=torch.optim.Adafactor"]
    removed = ["~optimizer.betas", "optimizer.fused=false", "~optimizer.fused"]  # Hydra does not remove a null
    config = config_of(*adafactor, *removed, "optimizer.eps=[1e-30,1e-3]")
    assert config.optimizer["eps"] == [1e-30, 1e-3]
    with pytest.raises(ConfigError, match=r"optimizer\.eps must be a number"):
        config_of("optimizer=adam", "optimizer.eps=[1e-30,1e-3]")


@pytest.mark.parametrize("option", ["adam", "adamw", "nadam", "radam", "adamax"])
@pytest.mark.parametrize("betas", ["[0,0]", "[0,0.999]", "[0.9,0]"])
def test_a_list_of_numbers_may_have_integers(option: str, betas: str):
    optimizer = build(config_of(f"optimizer={option}", f"optimizer.betas={betas}")).learner.optimizer
    assert [type(beta) for beta in optimizer.defaults["betas"]] == [float, float]


def test_a_number_may_be_an_integer():
    experiment = build(config_of("scheduler=one_cycle", "scheduler.pct_start=0", "epochs=3"))
    *_, last = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
    assert isinstance(last, Evaluated)


def test_a_cycle_that_only_rises_is_refused_before_the_run():  # OneCycleLR would divide by zero after the last step
    with pytest.raises(ConfigError, match=r"scheduler\.pct_start must be a number >= 0 and < 1, got 1\.0"):
        config_of("scheduler=one_cycle", "scheduler.pct_start=1.0")


def test_the_number_for_each_kind_of_target_may_be_an_integer(tmp_path: Path):
    (tmp_path / "optimizer").mkdir()
    by_kind = "_target_: torch.optim.Adam\nlr: {classes: 1, numbers: 2}\nbetas: {classes: [0, 0.9], numbers: [0, 0]}\n"
    (tmp_path / "optimizer" / "mine.yaml").write_text(by_kind)
    config = config_of("optimizer=mine", config_dir=tmp_path)
    assert build(config).learner.optimizer.defaults["betas"] == (0.0, 0.9)
    assert [type(lr) for lr in config.optimizer["lr"].values()] == [float, float]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optimizer.lr_factors=[0.1]", r"optimizer\.lr_factors must be .*, got \[0\.1\]"),
        ("optimizer.decay_factors=[0.1]", r"optimizer\.decay_factors must be .*, got \[0\.1\]"),
        ("loss.class_weights=[1,-1]", r"loss\.class_weights must be .*, got \[1,-1\]"),
    ],
)
def test_a_list_of_factors_is_refused(line: str, message: str):
    config_of("loss.class_weights=[1,2]")
    with pytest.raises(ConfigError, match=message):
        config_of(line)


@pytest.mark.parametrize(
    "limit",
    [
        constraints.CONSTRAINTS["dataset.size"][0],
        constraints.Number(1, null=True, auto=True, length=2),
        constraints.Number(1, whole=True, many=True, at_most=True),
    ],
)
@pytest.mark.parametrize("item", [None, "auto", "<=4", [1]])
def test_the_items_of_a_list_are_numbers(limit: constraints.Number, item: object):
    assert limit.accepts([8, 32])
    assert not limit.accepts([item, 32])
