"""Progress and results of a run on the terminal and in exp.log: a progress bar where it can move, else plain lines."""

import logging
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from rich.cells import cell_len
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from exp.errors import pluralize
from exp.results import metrics_csv, run_folder, terminal
from exp.results.formatting import format_metric, other_checkpoint, table_lines
from exp.training.curves import evaluations_of
from exp.training.events import Baseline, Built, Drawn, Ending, Evaluated, Event, Noted, Resumed, Trained
from exp.training.metrics import MetricSums

log = logging.getLogger("exp")


_LONGEST_LABEL = 30  # characters of a row's name in the table; classes have names of any length


_OTHER_COLUMNS = 24  # characters of the bar, the percentage and the time left


class ConsoleSink:
    """Prints what was built, the progress of training and the final metrics; `folder` is printed as given."""

    def __init__(self, folder: Path, quiet: bool = False) -> None:
        self._folder = folder
        self._console = terminal.make_console(quiet)
        self._bar = terminal.ProgressBar(
            self._console,
            BarColumn(10),
            TextColumn("{task.percentage:3.0f} %"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[metrics]}"),
        )
        self._latest: dict[str, tuple[int, Mapping[str, float]]] = {}  # step and metrics
        self._final: dict[str, MetricSums] = {}
        self._baseline: Baseline | None = None
        self._best: tuple[int, float] | None = None  # step and validation metric
        self._val: dict[int, dict[str, float]] = {}  # the validation metrics of the best step and of the latest one
        self._is_restored = False
        self._metric = "loss"
        self._began = time.perf_counter()
        self._steps = 0
        self._first_step = 0
        self._new_steps = 0
        self._seconds = 0.0
        self._has_figures = False

    def handle(self, event: Event) -> None:
        if isinstance(event, Built):
            self._steps, self._metric = event.steps, event.metric
            self._began = time.perf_counter()
            for label, line in event.lines.items():
                self._print(Text.assemble((f"{label:<10}", "bold"), line))
            self._bar.start(event.steps, metrics="")
        elif isinstance(event, Noted):
            label = ("warning   ", "bold red") if event.is_warning else ("note      ", "bold")
            self._print(Text.assemble(label, event.text))
        elif isinstance(event, Resumed):
            self._first_step = event.at.step
            self._best = None if event.best_value is None else (event.best_step, event.best_value)
            of_val = metrics_csv.read_rows(self._folder, "val")
            self._val = {row.step: row.metrics for row in of_val if row.step == event.best_step}
            self._print(Text.assemble(("resumed   ", "bold"), f"after step {event.at.step:,} of {self._steps:,}"))
        elif isinstance(event, Trained):
            self._latest["train"] = event.at.step[-1], {name: values[-1] for name, values in event.columns.items()}
        elif isinstance(event, Baseline):
            self._baseline = event
        elif isinstance(event, Drawn):
            self._has_figures = True
        for evaluated in evaluations_of(event):
            self._handle_evaluated(evaluated)
        is_of_val = isinstance(event, Evaluated) and event.split == "val" and not event.restored
        if isinstance(event, Trained) or is_of_val:
            self._show_progress()

    def _handle_evaluated(self, event: Evaluated) -> None:
        self._latest[event.split] = event.at.step, event.values
        self._final[event.split] = event.metrics
        self._seconds = time.perf_counter() - self._began
        self._is_restored = event.restored
        if event.best:
            self._best = event.at.step, event.values[self._metric]
        if not event.restored:
            self._new_steps = event.at.step - self._first_step
            if event.split == "val":
                best = {step: metrics for step, metrics in self._val.items() if step == (self._best or (0,))[0]}
                self._val = {**best, event.at.step: event.values}

    def close(self, ending: Ending) -> None:
        self._bar.stop()
        if ending.status == "finished":
            header, *lines = _table(self._final, self._other_checkpoint(), self._baseline, self._console.width)
            self._print(Text(header, style="bold"))
            for line in lines:
                self._print(Text(line))
            steps = pluralize(self._new_steps, "step")
            self._print(Text(f"{steps}, evaluations included, in {self._seconds:.3g} s"))
            if self._best is not None:
                step, value = self._best
                best = f"best val {self._metric} {format_metric(self._metric, value)}"
                self._print(Text(f"{best} at step {step:,}: checkpoints/best.pt"))
        if ending.status == "interrupted":
            is_saved = (self._folder / run_folder.LAST_CHECKPOINT).exists()
            how = "and saved; to resume" if is_saved else "before the first checkpoint; to start again"
            self._print(Text(f"interrupted {how}: {run_folder.resume_command(self._folder)}"))
        if self._steps:
            self._print(Text.assemble(("folder    ", "bold"), str(self._folder)))
            self._print(Text.assemble(("look      ", "bold"), f"tensorboard --logdir {shlex.quote(str(self._folder))}"))
        if self._has_figures and ending.status == "finished" and (self._folder / run_folder.REPORT).exists():
            self._print(Text.assemble(("report    ", "bold"), str(self._folder / run_folder.REPORT)))

    def _other_checkpoint(self) -> Mapping[str, Mapping[str, float]]:
        """Return what `other_checkpoint` does; empty if there is one validation."""
        if self._best is None or len(self._val) < 2:
            return {}
        return other_checkpoint(self._val[self._best[0]], self._val[max(self._val)], self._is_restored)

    def _show_progress(self) -> None:
        step = max(step for step, _ in self._latest.values())
        if not self._bar.is_due() and not (self._bar.moves and step == self._steps):
            return
        splits = [split for split in ("train", "val") if split in self._latest]
        if self._bar.moves:
            room = self._console.width - _OTHER_COLUMNS
            line = "  ".join([f"step {step:,}", *(f"{split} {self._format_metrics(split)}" for split in splits)])
            self._bar.update(step, metrics=line if len(line) <= room else line[: room - 1] + "…")
        else:
            parts = [f"{split} {self._format_metrics(split)}{self._step_if_older(split, step)}" for split in splits]
            self._print(Text(f"step {step:,} of {self._steps:,}   {'   '.join(parts)}"))

    def _format_metrics(self, split: str) -> str:
        _, metrics = self._latest[split]
        return "  ".join(format_metric(name, value) for name, value in metrics.items())

    def _step_if_older(self, split: str, step: int) -> str:
        at, _ = self._latest[split]
        return "" if at == step else f" (step {at:,})"

    def _print(self, what: Text) -> None:
        try:
            if not self._console.quiet:
                self._console.print(what)
        except SystemExit:  # rich exits if the reader is gone, as with `| head`; the run and its log continue
            self._console.quiet = True
        for line in what.plain.splitlines():
            log.info(line.rstrip())


def _table(
    final: dict[str, MetricSums], other: Mapping[str, Mapping[str, float]], baseline: Baseline | None, width: int
) -> list[str]:
    """Return the lines of the final metrics: a row for each split or, if that is wider than `width`, for each metric.

    Args:
        other: Validation metrics of other parameters, by the label of their row.
    """
    names = list(dict.fromkeys(name for metrics in final.values() for name in metrics.values()))
    splits = [
        (split, final[split].values(), final[split].count) for split in ("train", "val", "test") if split in final
    ]
    splits += [(label, values, final["val"].count) for label, values in other.items()]
    if baseline is not None:
        splits.append((baseline.name, baseline.metrics, baseline.rows))
    rows = [["", *names, "rows"]]
    for label, values, count in splits:
        cells = [format_metric(name, values[name]) if name in values else "-" for name in names]
        shown = label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"
        rows.append([shown, *cells, f"{count:,}"])
    lines = table_lines(rows)
    return lines if cell_len(lines[0]) <= width else table_lines(list(zip(*rows, strict=True)))
