"""Learning rate schedules: what torch's one cycle does with the momentum, and when the learning rate must not be 0."""

import pytest
from conftest import config_of

from exp.training.build import build

ONE_CYCLE = ["dataset=moons", "scheduler=one_cycle", "epochs=2"]


@pytest.mark.parametrize(("cycle", "momentum"), [("true", 0.95), ("false", 0.3)])
def test_one_cycle_may_leave_the_momentum_as_it_is(cycle: str, momentum: float):
    line = [*ONE_CYCLE, "optimizer=sgd", "optimizer.momentum=0.3", f"scheduler.cycle_momentum={cycle}"]
    assert build(config_of(*line)).learner.optimizer.param_groups[0]["momentum"] == momentum


def test_one_cycle_without_momentum_trains_any_optimizer():
    experiment = build(config_of(*ONE_CYCLE, "optimizer=adagrad", "scheduler.cycle_momentum=false"))
    assert experiment.learner.lr == pytest.approx(experiment.config.optimizer["lr"] / 25)  # torch's div_factor
