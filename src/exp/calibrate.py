"""`exp calibrate`: probabilities of a trained classifier that fit the observed frequencies, and its threshold."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exp.cli.answer import TextAnswer
from exp.cli.commands import run_command
from exp.cli.json_fields import empty_fields
from exp.config.metric_names import always_computed, as_cost
from exp.config.overrides import shell_line
from exp.config.target_kind import TargetKind
from exp.errors import ConfigError, DataError, pluralize
from exp.results.best_job import choose_jobs
from exp.results.lock import folder_lock
from exp.results.run_folder import CALIBRATION, refuse_links

if TYPE_CHECKING:
    from exp.results.trained_model import TrainedModel
    from exp.training.calibration import Calibration
    from exp.training.class_metrics import ClassRows

_METHODS = ("auto", "temperature", "bias", "none")

# Metrics that a threshold changes.
_OF_PREDICTED = (
    *("accuracy", "balanced_accuracy", "f1", "precision", "recall", "mcc"),
    *("weighted_f1", "weighted_precision", "weighted_recall"),
)

# Metrics of the validation and the test rows, by name.
_Metrics = dict[str, dict[str, float]]


def calibrate(
    run: str, method: str = "auto", threshold: str = "none", checkpoint: str = "auto", **moved: str
) -> TextAnswer:
    """Calibrate the probabilities of a classifier on its validation rows.

        python -m exp calibrate run=FOLDER

    Prints metrics of the validation and the test rows before and after, and writes calibration.json to the run's
    folder. predict, evaluate and export then apply it to the parameters that were calibrated.

    Args:
        run: Folder of the run; of a sweep, its best job is used.
        method: temperature scales the logits; bias also shifts those of each class, which corrects for class weights;
            auto is bias for a run whose loss has weights of classes, otherwise temperature; none deletes the
            calibration.
        threshold: The second of two classes is predicted if its probability is at least this: a number, or a metric
            to optimize on the validation rows, such as f1:CLASS or balanced_accuracy; none predicts the more probable
            class.
        checkpoint: best or last; by default (auto) that of the final metrics: best with early stopping, otherwise last.
        dataset.path: Where the run's data file is now, if it moved; likewise dataset.val_path and test_path.
    """
    if method not in _METHODS:
        raise ConfigError(f"method={method}: unknown method (available: {', '.join(_METHODS)})", "method=auto")
    if method == "none" and threshold != "none":
        raise ConfigError(f"method=none threshold={threshold}: a calibration is needed for a threshold", "method=auto")
    (job,), notes = choose_jobs(run)
    refuse_links(job)
    with folder_lock(job):
        if method == "none":
            (job / CALIBRATION).unlink(missing_ok=True)
            fields = {**empty_fields("calibrate"), "run": str(job), "notes": notes}
            return TextAnswer(fields, [*notes, f"without calibration: {job}"])
        fields, text = _calibrate(job, method, threshold, checkpoint, moved)
    return TextAnswer({"run": str(job), **fields, "notes": notes}, [*notes, *text])


def _calibrate(
    job: Path, method: str, threshold: str, checkpoint: str, moved: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """Write the calibration; return it and the metrics before and after, and lines for people."""
    # Lazy: importing torch takes a second, and wrong arguments do not need it.
    from exp.results import calibration_json
    from exp.results.trained_model import load_trained
    from exp.training.calibration import fit_calibration
    from exp.training.weights import weighs_classes

    trained = load_trained(job, checkpoint, moved, calibrated=False)
    rows = _rows(trained, "val")
    has_bias = method == "bias" or (method == "auto" and weighs_classes(trained.objective.criterion))
    if has_bias:
        _check_has_each_class(rows, trained.preprocessing.classes or ())
    calibration = fit_calibration(rows.probabilities, rows.truth, rows.weights, has_bias)
    metric = None
    if threshold != "none":
        value, metric = _choose_threshold(threshold, trained.calibrate(calibration))
        calibration = replace(calibration, threshold=value)
    before, after = (_measure(one, metric) for one in (trained, trained.calibrate(calibration)))
    text = [_describe(calibration, metric, len(rows.truth), trained.preprocessing.classes or ())]
    text += _metrics_table(before, after)
    if "test" in before and after["test"]["log_loss"] > before["test"]["log_loss"]:
        text.append(
            "note: the test rows have a higher log loss than before: the validation rows may be too few to calibrate on"
        )
    how = {"checkpoint": trained.checkpoint, "threshold_metric": metric, "before": before, "after": after}
    calibration_json.write(trained.folder, calibration, trained.step, how)
    delete = shell_line(["calibrate", f"run={job}", "method=none"])
    text.append(f"calibration: {job / CALIBRATION}; predict, evaluate and export apply it, {delete} deletes it")
    return {"calibration": asdict(calibration), **how}, text


def _rows(trained: "TrainedModel", split: str) -> "ClassRows":
    """Return the classes and probabilities of a split. ConfigError if there are none."""
    from exp.training.objectives import Binary, Multiclass, class_rows

    objective, data = trained.objective, trained.experiment.data
    if trained.preprocessing.classes is None:
        kind = "labels" if trained.preprocessing.has_labels else "numbers"
        what = f"run={trained.folder}: it predicts {kind}, and only probabilities of classes can be calibrated"
        raise ConfigError(what, "a run whose target is one column of classes")
    if not isinstance(objective, Multiclass | Binary) or getattr(objective, "is_probability", True) is False:
        fix = "a run with loss=cross_entropy or loss=bce_with_logits"
        raise ConfigError(f"run={trained.folder}: its model predicts no probabilities", fix)
    if trained.config.dataset.get("train_on_val"):
        what = f"run={trained.folder}: it was trained on its validation rows, as dataset.train_on_val=true says"
        raise ConfigError(what, "a run without dataset.train_on_val, such as a job of the sweep")
    if split not in data.splits or data.val is data.train:
        fix = "a run with 'dataset.split=[.6,.2,.2]'"
        raise ConfigError(f"run={trained.folder}: it has no {split} rows that were not trained on", fix)
    return class_rows(objective, trained.outputs_of(data.splits[split]), data.splits[split])


def _check_has_each_class(rows: "ClassRows", classes: Sequence[str]) -> None:
    """Raise DataError if a class has no rows, because the lower its bias, the better it would fit."""
    total = rows.confusion.sum(1)
    missing = [name for name, weight in zip(classes, total, strict=True) if weight == 0]
    if missing:
        raise DataError(
            f"no validation row is {' or '.join(missing)}, and no finite bias fits such a class best",
            "method=temperature, or validation rows of each class (dataset.stratify=true)",
        )


def _choose_threshold(given: str, trained: "TrainedModel") -> tuple[float, str | None]:
    """Return the threshold, and the metric for which it is the best; None if it is given as a number."""
    from exp.training.calibration import best_threshold

    classes = trained.preprocessing.classes or ()
    if len(classes) != 2:
        raise ConfigError(f"threshold={given}: the target has {len(classes)} classes, not two", "threshold=none")
    with suppress(ValueError):
        value = float(given)
        if not 0 < value < 1:
            raise ConfigError(f"threshold={given}: must be a number between 0 and 1, or a metric", "threshold=0.5")
        return value, None
    try:
        score = _score(given, classes)
        if given.partition(":")[0] not in _OF_PREDICTED:
            allowed = ", ".join(_OF_PREDICTED)
            raise ConfigError(f"threshold: {given} does not depend on the predicted class (available: {allowed})", "")
    except ConfigError as error:
        fix = f"threshold=0.5, threshold=balanced_accuracy or threshold=f1:{classes[1]}"
        raise ConfigError(f"threshold={given}: {error.problem.partition(': ')[2]}", fix) from error

    def cost(rows: "ClassRows") -> float | None:
        value = score(rows)
        return None if value is None else as_cost(given, value)

    return best_threshold(cost, _rows(trained, "val")), given


def _score(name: str, classes: Sequence[str]) -> "Callable[[ClassRows], float | None]":
    """Return the function that computes the metric `name` of predicted classes. ConfigError if there is none."""
    from exp.training.class_metrics import accuracy, log_loss
    from exp.training.metric_choice import choose_metrics

    if name in always_computed("classes"):
        return accuracy if name == "accuracy" else log_loss
    chosen = choose_metrics([name], TargetKind("classes", tuple(classes)), gives_probabilities=True)
    return lambda rows: chosen.of_classes(rows).get(name)


def _measure(trained: "TrainedModel", metric: str | None) -> _Metrics:
    names = ["log_loss", "brier", "ece", "accuracy"]
    names += [metric] if metric is not None and metric not in names else []
    scores = {name: _score(name, trained.preprocessing.classes or ()) for name in names}
    measured: _Metrics = {}
    for split in ("val", "test"):
        if split in trained.experiment.data.splits:
            rows = _rows(trained, split)
            values = {name: score(rows) for name, score in scores.items()}
            measured[split] = {name: value for name, value in values.items() if value is not None}
    return measured


def _describe(calibration: "Calibration", metric: str | None, rows: int, classes: Sequence[str]) -> str:
    parts = [f"fitted on {pluralize(rows, 'validation row')}: logits x {calibration.scale:.4g}"]
    if any(calibration.bias):
        parts.append(", ".join(f"{name} {bias:+.3g}" for name, bias in zip(classes, calibration.bias, strict=True)))
    if calibration.threshold is not None:
        why = f", which has the best {metric}" if metric is not None else ""
        parts.append(f"{classes[1]} is predicted from probability {calibration.threshold:.4g} on{why}")
    return "; ".join(parts)


def _metrics_table(before: _Metrics, after: _Metrics) -> list[str]:
    from exp.results.formatting import format_metric, table_lines

    names = list(dict.fromkeys(name for values in before.values() for name in values))
    table = [["", *names]]
    for split in before:
        for label, values in ((split, before[split]), (f"{split}, calibrated", after[split])):
            table.append([label, *(format_metric(name, values[name]) if name in values else "-" for name in names)])
    return table_lines(table)


if __name__ == "__main__":
    run_command(calibrate, sys.argv[1:])
