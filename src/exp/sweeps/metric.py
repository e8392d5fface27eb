"""Whether the jobs of a sweep measure the metric that it is ordered by, before one begins."""

from collections.abc import Sequence

from exp.config.metric_names import always_computed, chosen_metrics
from exp.config.schema import Config
from exp.errors import ConfigError
from exp.sweeps.jobs import Job

_CLASS_LOSSES = ("CrossEntropyLoss", "BCELoss", "BCEWithLogitsLoss")
_WITH_LABELS = ("exp.data.files.arrays",)
_REGRESSION_DATASETS = ("sklearn.datasets.load_diabetes", "exp.data.synthetic.distance")


def check_metric(jobs: Sequence[Job], metric: str) -> None:
    """Raise ConfigError if no job measures `metric`, such as the accuracy of a regression."""
    name, _, split = metric.rpartition("/")
    computed = [_list_computed(job.config) for job in jobs]
    if None in computed or any(name in names for names in computed if names is not None):
        return
    available = [f"{one}/{split}" for one in dict.fromkeys(one for names in computed for one in names or ())]
    override = f"sweep.metric={available[1]}"
    raise ConfigError(
        f"sweep.metric={metric}: no job has this metric (available: {', '.join(available)})",
        f"{override}, or more metrics: 'metrics=[{name}]'",
        key="sweep.metric",
        override=override,
    )


def _list_computed(config: Config) -> tuple[str, ...] | None:
    """Return the metrics that a run computes, None if only the rows tell them."""
    chosen = chosen_metrics(config.metrics, config.metric)
    kind = _kind(config)
    return None if kind is None else (*always_computed(kind), *chosen)


def _kind(config: Config) -> str | None:
    """Return the kind of the target, None if only the rows tell it."""
    loss, dataset = str(config.loss.get("_target_")).rpartition(".")[2], config.dataset
    may_have_labels = isinstance(dataset.get("target"), list) or dataset.get("_target_") in _WITH_LABELS
    if loss in _CLASS_LOSSES and not (may_have_labels and loss.startswith("BCE")):
        return "classes"
    is_regression = dataset.get("task") == "regression" or dataset.get("_target_") in _REGRESSION_DATASETS
    return "numbers" if is_regression else None
