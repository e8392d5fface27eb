"""Train with eager and with replayed steps."""

from conftest import config_of, logged_steps

from exp.training.build import build
from exp.training.loop import Training


def losses_by_engine(*words: str) -> tuple[list[float], list[float]]:
    """Return the training losses of eager and of replayed steps, neither of which fell back to the other."""
    losses: list[list[float]] = []
    for engine in ("eager", "replay"):
        experiment = build(config_of(*words, "threads=1", f"engine={engine}"))
        events = Training(experiment.learner, experiment.batches, experiment.data, experiment.plan)
        losses.append([step.metrics.loss for step in logged_steps(events)])
        assert experiment.learner.step.fallback_reason is None
    return losses[0], losses[1]
