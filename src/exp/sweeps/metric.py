"""Whether the jobs of a sweep measure the metric that it is ordered by, before one begins."""

from collections.abc import Sequence

from exp.config.schema import Config
from exp.errors import ConfigError
from exp.sweeps.jobs import Job

# The metrics of a kind of target, as far as the config tells that kind.
_METRICS = {"classes": ("loss", "accuracy"), "regression": ("loss", "rmse", "r2")}

_CLASS_LOSSES = ("CrossEntropyLoss", "BCELoss", "BCEWithLogitsLoss")
_REGRESSION_DATASETS = ("sklearn.datasets.load_diabetes", "exp.data.synthetic.distance")


def check_metric(jobs: Sequence[Job], metric: str) -> None:
    """ConfigError if no job measures `metric`, such as the accuracy of a regression."""
    name, _, split = metric.partition("/")
    kinds = {_kind(job.config) for job in jobs}
    if None in kinds or any(name in _METRICS[kind] for kind in kinds if kind is not None):
        return
    available = [f"{one}/{split}" for one in dict.fromkeys(one for kind in kinds if kind for one in _METRICS[kind])]
    raise ConfigError(
        f"sweep.metric={metric}: no job has this metric (available: {', '.join(available)})",
        f"sweep.metric={available[1]}",
        key="sweep.metric",
        override=f"sweep.metric={available[1]}",
    )


def _kind(config: Config) -> str | None:
    """Return the kind of the target, None if only the rows tell it."""
    if str(config.loss.get("_target_")).rpartition(".")[2] in _CLASS_LOSSES:
        return "classes"
    is_regression = config.dataset.get("task") == "regression" or config.dataset.get("_target_") in _REGRESSION_DATASETS
    return "regression" if is_regression else None
