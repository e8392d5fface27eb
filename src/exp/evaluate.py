"""`exp evaluate`: the metrics of a trained model."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from exp.cli.answer import Answer
from exp.cli.commands import run_command
from exp.config.constraints import CONSTRAINTS, violation
from exp.config.overrides import reads_as, shell_line
from exp.config.own_metrics import refuse_metric
from exp.errors import ConfigError, DataError, display_path, pluralize
from exp.results.best_job import choose_jobs

if TYPE_CHECKING:
    from exp.results.trained_ensemble import TrainedEnsemble
    from exp.results.trained_model import TrainedModel
    from exp.training.metrics import MetricSums


@dataclass(frozen=True)
class Evaluation(Answer):
    """The metrics of `rows` rows: a split of the run, or those in a file."""

    runs: Sequence[str]
    of: str
    rows: int
    parameters: str
    metrics: Mapping[str, float]
    notes: Sequence[str]

    def document(self) -> Mapping[str, Any]:
        return {
            "runs": list(self.runs),
            "of": self.of,
            "rows": self.rows,
            "parameters": self.parameters,
            "metrics": self.metrics,
            "notes": list(self.notes),
        }

    def lines(self) -> Iterator[str]:
        yield from self.notes
        yield f"{self.of}, {pluralize(self.rows, 'row')}, {self.parameters}"
        yield from (f"{name} {value!r}" for name, value in self.metrics.items())


def evaluate(
    run: str,
    split: str | None = None,
    data: str | None = None,
    checkpoint: str = "auto",
    ensemble: bool = False,
    metrics: str = "[]",
    **moved: str,
) -> Evaluation:
    """Print each metric of a trained model, with every digit.

        python -m exp evaluate run=FOLDER

    Args:
        run: Folder of the run; of a sweep, its best job is used.
        split: Rows of the run to evaluate on: train, val or test. The default is test, or val if there is no test.
        data: Table to evaluate on instead, with the run's feature columns and its target; an .npz file with x and y; or
            a folder of images with a folder for each class.
        checkpoint: best, last or a .pt file of the run; by default (auto) that of the final metrics: best with early
            stopping, otherwise last.
        ensemble: Whether to average the seeds or folds of a sweep's best choice: probabilities, or values.
        metrics: More metrics than those of the run, such as [f1,auc].
        dataset.path: Where the run's data file is now, if it moved; likewise dataset.val_path and test_path.
    """
    if split is not None and data is not None:
        raise ConfigError(f"split={split} data={data}: only one of split= and data=", f"data={data}")
    names = parse_metrics(metrics)
    jobs, notes = choose_jobs(run, ensemble)
    # Lazy: importing torch takes a second, and wrong arguments do not need it.
    from exp.results.trained_ensemble import load_models

    trained = load_models(jobs, checkpoint, moved, names)
    what = data or split or trained.held_out
    if data is None:
        values = trained.evaluate(what)
    else:
        values, more = _evaluate_table(trained, data)
        notes = [*notes, *more]
    return Evaluation(tuple(map(str, jobs)), what, int(values.count), trained.parameters, values.values(), notes)


def _evaluate_table(trained: "TrainedModel | TrainedEnsemble", data: str) -> "tuple[MetricSums, list[str]]":
    """Return the metrics of the rows in the file `data` that have a target and can be predicted, and notes."""
    import torch

    from exp.data.encode import encode_new_targets
    from exp.data.weight_column import encode_weights

    lead, table = trained.lead, trained.read(data)
    outputs, is_complete, notes = trained.outputs_of_table(table.frame, data)
    y, has_target, more = encode_new_targets(table.frame, lead.preprocessing, data)
    weights = None
    if lead.weight is not None:
        notation = lead.preprocessing.weight_notation
        weights, more_of_weights = encode_weights(table.frame, lead.weight, notation, data)
        more += more_of_weights
    kept = is_complete & has_target
    if not has_target.any():
        what = f"data={data}: the target '{lead.preprocessing.target}' is empty in every row"
        line = shell_line(["predict", f"run={display_path(lead.folder)}", f"data={data}", "out=predictions.csv"])
        raise DataError(what, f"rows with a target; without one: {line}")
    if not kept.any():
        raise DataError(f"data={data}: every row has a missing value", "rows with a value in each column, and a target")
    if weights is not None and not weights[kept].any():
        raise DataError(f"data={data}: the weight '{lead.weight}' is 0 in every row", "rows with weights > 0")
    with_target = torch.from_numpy(has_target[is_complete])
    values = lead.measure(outputs[with_target], y[kept], None if weights is None else weights[kept])
    return values, [*table.notes, *notes, *more]


def parse_metrics(text: str) -> list[str]:
    """Return the names in the value of metrics=. ConfigError if one is not that of a metric."""
    read = reads_as(text) if "[" in text else [name.strip() for name in text.split(",")]
    if not CONSTRAINTS["metrics"][0].accepts(read):
        problem = violation("metrics", read)
        raise ConfigError(problem.problem, problem.fix, key="metrics")
    names = cast("list[str]", read)
    for name in names:
        refuse_metric("metrics", name)
    return names


if __name__ == "__main__":
    run_command(evaluate, sys.argv[1:])
