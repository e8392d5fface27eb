"""Whether a metric compares runs: it has to mean the same, and to be of the same rows. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from exp.errors import as_yaml, join_words
from exp.results.differing import settings_of
from exp.results.listed import Listed
from exp.results.repeats import UNITS_OF_LOSS

# Keys that distinguish runs where the key that differs is `auto` in all of them.
_OTHER_FILTERS = ("dataset.target", "dataset.task", "dataset.path", "folder")


@dataclass(frozen=True)
class OtherMeaning:
    """The first key in which runs differ so that a metric says something else of each.

    Attributes:
        values: Those of the key, as they are typed; of `auto` what was decided.
        fix: The arguments that compare all of them, by another metric, or else some of them: ["dataset.target=price"].
    """

    metric: str
    key: str
    values: list[str]
    fix: list[str]

    def __str__(self) -> str:
        return f"{self.metric} does not compare runs with another {self.key}: {join_words(self.values)}"


def find_other_meaning(runs: Sequence[Listed], metric: str) -> OtherMeaning | None:
    """Return why `metric` says something else of each of the runs; None if it says the same.

    Its meaning is that of the dataset and the target. The loss also depends on its function, its arguments, and what
    else has another unit.
    """
    found = _find_key(runs, metric)
    if found is None:
        return None
    key, values = found
    return OtherMeaning(metric, key, values, _find_fix(runs, metric, key))


def comparison_warnings(runs: Sequence[Listed], metric: str) -> list[str]:
    """Return a warning if `metric` does not compare the runs that have it, or is not of the same rows in all of them.

    The rows of a sweep are those of all jobs of its best choice. Runs of an older version do not say theirs.
    """
    measured = [run for run in runs if metric in run.metrics]
    other = find_other_meaning(measured, metric)
    if other is not None:
        return [f"{other}; to compare {'them' if '--sort' in other.fix else 'some'}: {' '.join(other.fix)}"]
    if len({run.fingerprints for run in measured} - {frozenset()}) > 1:
        return ["the rows of the datasets are not all the same"]
    splits = {run.splits for run in measured} - {frozenset[str]()}
    if len(splits) < 2:
        return []
    fix = "dataset.seed=0" if all("dataset.seed" in run.config for run in measured) else "+dataset.seed=0"
    if any(run.config.get("folds") is not None for run in measured):
        fix = f"{fix} with the same folds="
    return [
        f"{metric} is of {len(frozenset[str]().union(*splits))} different splits of the rows, which may be the "
        f"difference; {fix} gives each run the same split"
    ]


def _find_key(runs: Sequence[Listed], metric: str) -> tuple[str, list[str]] | None:
    keys = ["dataset"]
    if len({run.fingerprints for run in runs}) > 1:  # the same rows have the same target, whatever names it
        keys.append("dataset.target")
    if metric.startswith("loss/"):
        # Options have other arguments: those of loss=mse say nothing about loss=auto.
        shared = [key for key in runs[0].config if all(key in run.config for run in runs)] if runs else []
        of_loss = [key for key in shared if key.startswith("loss.") and not key.endswith("_target_")]
        keys += ["loss", *of_loss, *UNITS_OF_LOSS]
    for key in keys:
        values = list(dict.fromkeys(as_yaml(_read(run, key)) for run in runs))
        if len(values) > 1:
            return key, values
    return None


def _find_fix(runs: Sequence[Listed], metric: str, key: str) -> list[str]:
    lead, split = runs[0], metric.rpartition("/")[2]
    if key.startswith("loss") or key in UNITS_OF_LOSS:
        others = [name for name in lead.metrics if name.endswith(f"/{split}") and not name.startswith("loss/")]
        shared = [name for name in others if all(name in run.metrics for run in runs)]
        if shared:
            return ["--sort", shared[0]]
    for name in dict.fromkeys([key, *_OTHER_FILTERS]):
        kept = [run for run in runs if _typed(run, name) == _typed(lead, name)]
        if _find_key(kept, metric) is None:
            return [f"{name}={as_yaml(_typed(lead, name))}"]
    return [f"{key}={as_yaml(_typed(lead, key))}"]


def _read(run: Listed, key: str) -> Any:
    return run.decided.get(key, settings_of(run).get(key))


def _typed(run: Listed, key: str) -> Any:
    return run.folder if key == "folder" else settings_of(run).get(key)
