"""ema=DECAY: what is evaluated and kept is the moving average of the parameters."""

from pathlib import Path

import pytest
import torch
from conftest import config_of

from exp import train
from exp.results.trained_model import load_trained
from exp.training.build import build
from exp.training.loop import Training

LINE = ["dataset=moons", "batching.batch_size=100", "epochs=3", "optimizer.lr=0.5", "threads=1"]


@pytest.mark.parametrize("engine", ["eager", "replay"])
def test_the_average_is_the_recurrence_of_the_parameters_after_each_update(engine: str):
    averaged = build(config_of(*LINE, "ema=0.9", f"engine={engine}"))
    list(Training(averaged.learner, averaged.batches, averaged.data, averaged.plan))
    plain = build(config_of(*LINE, "engine=eager"))
    expected: dict[str, torch.Tensor] = {}
    stream = plain.batches.stream()
    for _ in range(plain.plan.steps):
        with torch.no_grad():
            plain.learner.step(stream.take(1))
        for name, parameter in plain.model.named_parameters():
            now = parameter.detach().clone()
            expected[name] = 0.9 * expected[name] + 0.1 * now if name in expected else now
    for name, parameter in averaged.learner.network.named_parameters():
        torch.testing.assert_close(parameter, expected[name])
    for name, parameter in averaged.model.named_parameters():
        assert torch.equal(parameter, dict(plain.model.named_parameters())[name])


@pytest.mark.parametrize("decay", ["0.9", "0.99"])
def test_buffers_of_integers_are_not_averaged(decay: str):
    """Such as the columns of an embedding, and the number of batches that a batch norm has seen."""
    line = "dataset=iris model.embedding=piecewise model.norm=batch epochs=3 optimizer.lr=0.5 threads=1"
    experiment = build(config_of(*line.split(), f"ema={decay}"))
    list(Training(experiment.learner, experiment.batches, experiment.data, experiment.plan))
    averaged, trained = (dict(one.named_buffers()) for one in (experiment.learner.network, experiment.model))
    integers = [name for name, buffer in trained.items() if not buffer.is_floating_point()]
    assert len(integers) == 4
    assert all(torch.equal(averaged[name], trained[name]) for name in integers)
    assert not torch.equal(averaged["2.running_mean"], trained["2.running_mean"])


def test_a_trained_model_has_the_averages_and_the_metrics_of_the_run(tmp_path: Path):
    result = train(*LINE, "ema=0.99", "figures=false", f"hydra.run.dir={tmp_path}/run")
    plain = train(*LINE, "figures=false", f"hydra.run.dir={tmp_path}/plain")
    loss = load_trained(tmp_path / "run").evaluate("test").loss
    assert loss == result.final["test"]["loss"]
    assert loss != plain.final["test"]["loss"]
