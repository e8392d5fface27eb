"""Whether the jobs of a sweep measure the metric that it is ordered by, before one begins."""

import shlex
from collections.abc import Sequence

from exp.config.allowlist import origin
from exp.config.metric_names import KINDS, always_computed, chosen_metrics, metric_names, split_class
from exp.config.overrides import quote_names
from exp.config.own_metrics import is_own
from exp.config.schema import Config
from exp.errors import ConfigError
from exp.results.repeats import UNITS_OF_LOSS
from exp.sweeps.jobs import Job

_CLASS_LOSSES = ("CrossEntropyLoss", "BCELoss", "BCEWithLogitsLoss")
_WITH_LABELS = ("exp.data.files.arrays",)
_REGRESSION_DATASETS = ("sklearn.datasets.load_diabetes", "exp.data.synthetic.distance")


def check_metric(jobs: Sequence[Job], metric: str, is_search: bool) -> None:
    """Raise ConfigError if no job measures `metric`, such as the accuracy of a regression, or has rows for it."""
    name, _, split = metric.rpartition("/")
    if split == "val" and not any(_may_have_val(job.config) for job in jobs):
        _refuse_val(jobs, name, is_search)
    kinds = [_kind(job.config) for job in jobs]
    computed = [_list_computed(job.config, kind) for job, kind in zip(jobs, kinds, strict=True)]
    if any(name in names for names in computed):
        return
    if None in kinds:
        _refuse_not_computed(jobs, name, metric)
    available = [f"{one}/{split}" for one in dict.fromkeys(one for names in computed for one in names)]
    override = f"sweep.metric={available[1]}"
    can_compute = is_own(name) or any(split_class(name)[0] in metric_names(kind) for kind in kinds if kind is not None)
    raise ConfigError(
        f"sweep.metric={metric}: no job has this metric (available: {', '.join(available)})",
        f"{override}, or more metrics: {shlex.quote(f'metrics={quote_names([name])}')}" if can_compute else override,
        key="sweep.metric",
        override=override,
    )


def _refuse_not_computed(jobs: Sequence[Job], name: str, metric: str) -> None:
    """Raise ConfigError for a metric that the jobs do not compute, whatever kind of target the rows have."""
    typed = {quote_names([*chosen_metrics(job.config.metrics, name)]) for job in jobs}
    override = f"metrics={typed.pop()}" if len(typed) == 1 else None
    fix = f"{shlex.quote(override or f'metrics={quote_names([name])}')}, which adds it"
    raise ConfigError(f"sweep.metric={metric}: no job computes this metric", fix, key="metrics", override=override)


def note_different_losses(jobs: Sequence[Job], metric: str) -> str | None:
    """Return a note if the jobs are ordered by their losses, and these differ by more than the model's outputs."""
    if metric.partition("/")[0] != "loss":
        return None
    losses = [
        {key: job.config.dataset.get(key.partition(".")[2]) for key in UNITS_OF_LOSS}
        | {f"loss.{key}": value for key, value in job.config.loss.items()}
        for job in jobs
    ]
    keys = dict.fromkeys(key for loss in losses for key in loss)
    differing = [key for key in keys if len({repr(loss.get(key)) for loss in losses}) > 1]
    if not differing:
        return None
    named = "loss" if "loss._target_" in differing else ", ".join(differing)
    return (
        f"the jobs differ in {named}, so that their losses cannot be compared; order them by another metric: "
        "sweep.metric=accuracy/val, or r2/val for numbers"
    )


def _may_have_val(config: Config) -> bool:
    """Return whether the run has validation rows, or only the rows show it."""
    dataset, split = config.dataset, config.dataset.get("split")
    if dataset.get("train_on_val"):
        return False
    is_given = any(dataset.get(key) is not None for key in ("val_path", "split_column"))
    if config.fold is None and (split is None or is_given or origin(dataset.get("_target_")) == "user"):
        return True
    return split is not None and bool(split[1])


def _refuse_val(jobs: Sequence[Job], name: str, is_search: bool) -> None:
    """Raise ConfigError for jobs without validation rows, if another override gives them the metric `name`."""
    what = f"sweep.metric={name}/val: the jobs do not have validation rows"
    if is_search and any(job.config.dataset.get("train_on_val") for job in jobs):
        override = "dataset.train_on_val=false"
        raise ConfigError(what, override, key="dataset.train_on_val", override=override)
    if is_search:
        override = "dataset.split=[.6,.2,.2]"
        raise ConfigError(what, shlex.quote(override), key="dataset.split", override=override)
    if any(job.config.fold is not None or (job.config.dataset.get("split") or (1, 0, 0))[2] for job in jobs):
        override = f"sweep.metric={name}/test"
        raise ConfigError(what, override, key="sweep.metric", override=override)


def _list_computed(config: Config, kind: str | None) -> tuple[str, ...]:
    """Return the metrics that a run computes; of a kind that only the rows show, those of every kind."""
    always = [name for one in ((kind,) if kind else KINDS) for name in always_computed(one)]
    return (*always, *chosen_metrics(config.metrics, config.metric))


def _kind(config: Config) -> str | None:
    """Return the kind of the target, None if only the rows show it."""
    loss, dataset = str(config.loss.get("_target_")).rpartition(".")[2], config.dataset
    may_have_labels = isinstance(dataset.get("target"), list) or dataset.get("_target_") in _WITH_LABELS
    if loss in _CLASS_LOSSES and not (may_have_labels and loss.startswith("BCE")):
        return "classes"
    is_regression = dataset.get("task") == "regression" or dataset.get("_target_") in _REGRESSION_DATASETS
    return "numbers" if is_regression else None
