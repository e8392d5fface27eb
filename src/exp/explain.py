"""`exp explain`: the arithmetic of one update of a run."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exp.cli.answer import Answer
from exp.cli.commands import new_file, run_command
from exp.config.overrides import shell_line
from exp.errors import ConfigError, Diverged, pluralize
from exp.results.formatting import table_lines

if TYPE_CHECKING:
    from exp.reports.step_tables import NumberTable
    from exp.training.build import Experiment

# Of each tensor.
_ROWS, _COLUMNS = 3, 8

# What the bits of a step depend on, besides the config.
_ENVIRONMENT = ("cpu", "torch", "threads", "device", "gpu")


@dataclass(frozen=True)
class Explanation(Answer):
    """One update: `head` says which, `tables` are its numbers, `end` how the parameters changed."""

    fields: Mapping[str, Any]
    head: Sequence[str]
    tables: "Sequence[NumberTable]"
    end: Sequence[str]

    def document(self) -> Mapping[str, Any]:
        return self.fields

    def lines(self) -> Iterator[str]:
        yield from self.head
        for title, rows, head in self.tables:
            yield title
            yield from (f"  {line}" for line in table_lines([head, *rows] if head else rows, left=()))
        yield from self.end


def explain(
    run: str, step: int = 1, rows: int = _ROWS, columns: int = _COLUMNS, out: str | None = None, **moved: str
) -> Explanation:
    """Show the arithmetic of one update of a run.

        python -m exp explain run=FOLDER

    It shows the batch, the output of each layer, the loss, and each parameter before the update, its gradient, the
    optimizer's state before and after it, and the parameter after it; then the formula of the update, also with the
    numbers of the element whose gradient is the largest of those shown. The run is repeated from its first step up to
    this one, and nothing is written to its folder. The numbers are those of the same loop written in plain PyTorch, to
    the bit. Gradients are those that the optimizer used, after clip_grad_norm. Of a large tensor, the first rows and
    columns are shown.

    Args:
        run: Folder of the run.
        step: Number of the update, from 1.
        rows: Rows of each tensor to show: of the batch in x, y and outputs; a tensor of one dimension is one row.
        columns: Columns of each tensor to show: of x the features, of a layer's output its units.
        out: Page to write, .html, with the same numbers.
        dataset.path: Where the run's data file is now, if it moved; likewise dataset.val_path and test_path.
    """
    for key, value, usual in (("step", step, 1), ("rows", rows, _ROWS), ("columns", columns, _COLUMNS)):
        if value < 1:
            raise ConfigError(f"{key} must be an integer >= 1, got {value}", f"{key}={usual}")
    path = None if out is None else new_file(out, ".html")
    folder = Path(run)
    # Lazy: importing torch takes a second, and wrong arguments do not need it.
    from exp.data.input_files import describe_moved
    from exp.data.seeding import preserved_streams
    from exp.reports import html, step_tables
    from exp.results.rebuilt import rebuild
    from exp.training.explained_step import explain_step

    with preserved_streams():
        experiment = rebuild(folder, moved)
        steps = _steps_of(folder, experiment)
        if step > steps:
            raise ConfigError(f"step={step}: {run} has the steps 1 to {steps:,}", f"step={steps}")
        try:
            found = explain_step(experiment, step)
        except Diverged as error:
            what = f"step={step} is after the end of the run: {error.problem}"
            raise ConfigError(what, "the step that it names, or one before") from error
    if found is None:
        raise ConfigError(f"step={step}: {run} stops early before it", "step=1")
    extent, largest = step_tables.Extent(rows, columns), step_tables.largest_extent(found)
    for key, value, most, usual in (
        ("rows", rows, largest.rows, _ROWS),
        ("columns", columns, largest.columns, _COLUMNS),
    ):
        if value > max(most, usual):
            what = f"{key}={value}: must be <= {most}, the most {key} of a tensor of this step"
            raise ConfigError(what, f"{key}={most}")
    batches = experiment.batches
    epoch = (step - 1) // batches.steps_per_epoch + 1
    head = [f"step {step:,} of {steps:,}, in epoch {epoch:,}: a batch of {pluralize(len(found.x), 'row')}"]
    if numbers := found.row_numbers[:rows]:
        head.append(f"row numbers in the dataset: {', '.join(map(str, numbers))}")
    notes = [describe_moved(f"{key}={place}") for key, place in moved.items()] + _notes(folder, experiment)
    tables = list(step_tables.tables(found, extent))
    end = [f"optimizer {step_tables.describe_optimizer(found)}", *step_tables.describe_update(found, extent), *notes]
    fields = {"run": run, "step": step, "steps": steps, "epoch": epoch, **step_tables.fields(found, extent)}
    if path is not None:
        size = [f"rows={rows}"] * (rows != _ROWS) + [f"columns={columns}"] * (columns != _COLUMNS)
        words = ["explain", f"run={run}", f"step={step}", *size]
        title = f"Step {step:,} of {folder.absolute().name}"
        html.write(
            path, "step.html", title=title, folder=folder, command=shell_line(words), head=head, tables=tables, end=end
        )
        end = [*end, str(path)]
    return Explanation({**fields, "out": out, "notes": notes}, head, tables, end)


def _steps_of(folder: Path, experiment: "Experiment") -> int:
    """Return the number of updates of the run; of one that did not end by itself, those that were planned."""
    from exp.results import summary

    known = summary.read(folder)
    made = known.get("steps") if known.get("status") in ("finished", "pruned") else None
    return made if isinstance(made, int) else experiment.plan.steps


def _notes(folder: Path, experiment: "Experiment") -> list[str]:
    """Return what the numbers do not show, and why they may differ from those of the run."""
    from exp.results import run_folder, summary
    from exp.training.environment import describe_environment

    config, here = experiment.config, describe_environment(experiment.device)
    found: list[str] = []
    if config.clip_grad_norm is not None:
        found.append(f"the gradients are after clip_grad_norm={config.clip_grad_norm:g}")
    if config.batching.accumulate > 1:
        found.append(f"the layers are those of the first of {config.batching.accumulate} pieces of the batch")
    if config.ema is not None:
        found.append("the parameters are the trained ones, not their average (ema)")
    if type(experiment.learner.optimizer).__name__ == "LBFGS":
        found.append("LBFGS computes several gradients in a step; the last one is shown")
    made = run_folder.read_config(folder)
    if made.get("engine") == "compiled":
        what = "steps in C round differently, and the differences from these numbers grow with the steps"
        found.append(f"the run had engine=compiled: {what}")
    if made.get("compile"):
        found.append("the run had compile=true: its last digits may differ from these")
    then: Mapping[str, Any] = summary.read(folder).get("environment", {})
    found += [
        f"{key} was {then[key]}, is now {here[key]}: the last digits may differ from those of the run"
        for key in _ENVIRONMENT
        if key in then and then[key] != here[key]
    ]
    return found


if __name__ == "__main__":
    run_command(explain, sys.argv[1:])
