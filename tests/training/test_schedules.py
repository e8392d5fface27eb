"""Learning rate schedules: what torch's one cycle does with the momentum, and when the learning rate must not be 0."""

import pytest
from conftest import config_of

from exp.errors import ConfigError
from exp.training.build import build
from exp.training.events import Evaluated
from exp.training.loop import Training

ONE_CYCLE = ["dataset=moons", "scheduler=one_cycle", "epochs=2"]


@pytest.mark.parametrize(("cycle", "momentum"), [("true", 0.95), ("false", 0.3)])
def test_one_cycle_may_leave_the_momentum_as_it_is(cycle: str, momentum: float):
    line = [*ONE_CYCLE, "optimizer=sgd", "optimizer.momentum=0.3", f"scheduler.cycle_momentum={cycle}"]
    assert build(config_of(*line)).learner.optimizer.param_groups[0]["momentum"] == momentum


def test_one_cycle_without_momentum_trains_any_optimizer():
    experiment = build(config_of(*ONE_CYCLE, "optimizer=adagrad", "scheduler.cycle_momentum=false"))
    assert experiment.learner.lr == pytest.approx(experiment.config.optimizer["lr"] / 25)  # torch's div_factor


@pytest.mark.parametrize(
    "line", ["epochs=2 scheduler.pct_start=0.5", "scheduler.total_steps=10 scheduler.pct_start=0.1"]
)
def test_one_cycle_needs_more_than_one_update_of_growth(line: str):  # OneCycleLR would divide by zero
    words = ["dataset=moons", "scheduler=one_cycle", "scheduler.every=epoch", "epochs=10", *line.split()]
    with pytest.raises(ConfigError, match=r"pct_start=0\.[15]: the growing part is one of the (2|10) updates") as error:
        build(config_of(*words))
    build(config_of(*words, error.value.override))


SHORT = "cosine coslog flat_cosine warmup_cosine one_cycle step warmup plateau"


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("scheduler", SHORT.split())
def test_a_schedule_lasts_as_long_as_a_short_run(scheduler: str, steps: int):
    experiment = build(config_of("dataset=moons", "batching=full", f"scheduler={scheduler}", f"epochs={steps}"))
    *_, last = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
    assert isinstance(last, Evaluated)


@pytest.mark.parametrize(
    ("line", "steps"),
    [("scheduler=coslog scheduler.every=epoch", 19), ("scheduler=warmup_cosine scheduler.every=evaluation", 7)],
)
def test_a_rate_of_0_must_not_last_longer_than_one_step(line: str, steps: int):
    words = ["dataset=moons", "batching.batch_size=32", "eval_every=7", "epochs=1", *line.split()]
    with pytest.raises(ConfigError, match=rf"starts at 0, and the first {steps} steps would have it") as error:
        build(config_of(*words))
    assert error.value.override == "scheduler.every=step"
    build(config_of(*words, error.value.override))
    build(config_of(*words, "batching.batch_size=null", "eval_every=1", "epochs=20"))  # an epoch is one step
    if "warmup" in line:
        build(config_of(*words, "scheduler.warmup=0"))
