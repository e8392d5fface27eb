"""What a person at the terminal sees, and the same words in exp.log: a bar where it can move, else plain lines."""

import logging
import shlex
import time
from pathlib import Path

from rich.console import RenderableType
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from exp.results import run_folder, terminal
from exp.results.formatting import format_metric
from exp.training.events import Built, Drawn, Ending, Evaluated, Event, Noted, Resumed, Trained
from exp.training.metrics import MetricSums

log = logging.getLogger("exp")


_SECONDS_BETWEEN_LINES = 5.0


_SECONDS_BETWEEN_REDRAWS = 0.1


_OTHER_COLUMNS = 24  # characters of the bar, the percentage and the time left


class ConsoleSink:
    """Tells what was composed, how training goes and what came out; `folder` is the run's, as the user will type it."""

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
        self._latest: dict[str, Trained | Evaluated] = {}
        self._final: dict[str, MetricSums] = {}
        self._best: tuple[int, float] | None = None  # step and validation loss
        self._spoke = self._began = time.perf_counter()
        self._steps = 0
        self._before = 0
        self._made = 0
        self._seconds = 0.0
        self._is_drawn = False

    def handle(self, event: Event) -> None:
        if isinstance(event, Built):
            self._steps = event.steps
            self._began = time.perf_counter()
            for label, line in event.lines.items():
                self._say(Text.assemble((f"{label:<10}", "bold"), line))
            self._bar.start(event.steps, metrics="")
        elif isinstance(event, Noted):
            self._say(Text.assemble(("note      ", "bold"), event.text))
        elif isinstance(event, Resumed):
            self._before = event.at.step
            self._best = event.best_step, event.best_loss
            self._say(Text.assemble(("resumed   ", "bold"), f"after step {event.at.step:,} of {self._steps:,}"))
        elif isinstance(event, Trained):
            self._latest["train"] = event
            self._progress(event.at.step)
        elif isinstance(event, Evaluated):
            self._latest[event.split] = event
            self._final[event.split] = event.metrics
            self._seconds = time.perf_counter() - self._began
            self._made = event.at.step - self._before
            if event.split == "val":
                self._progress(event.at.step)
            if event.best:
                self._best = event.at.step, event.metrics.loss
        elif isinstance(event, Drawn):
            self._is_drawn = True

    def close(self, ending: Ending) -> None:
        self._bar.stop()
        if ending.status == "finished":
            self._say(_table(self._final))
            self._say(
                Text(f"{self._made:,} step{'s' * (self._made != 1)}, evaluations included, in {self._seconds:.3g} s")
            )
            if self._best is not None:
                step, loss = self._best
                self._say(Text(f"best val loss {loss:.4g} at step {step:,}: checkpoints/best.pt"))
        if ending.status == "interrupted":
            self._say(Text(f"interrupted, and saved; to go on: python -m exp {shlex.quote(f'resume={self._folder}')}"))
        if self._steps:
            self._say(Text.assemble(("folder    ", "bold"), str(self._folder)))
            self._say(Text.assemble(("look      ", "bold"), f"tensorboard --logdir {shlex.quote(str(self._folder))}"))
        if self._is_drawn and ending.status == "finished" and (self._folder / run_folder.REPORT).exists():
            self._say(Text.assemble(("report    ", "bold"), str(self._folder / run_folder.REPORT)))

    def _progress(self, step: int) -> None:
        now = time.perf_counter()
        shown = [split for split in ("train", "val") if split in self._latest]
        if self._bar.moves and (now - self._spoke > _SECONDS_BETWEEN_REDRAWS or step == self._steps):
            self._spoke = now
            room = self._console.width - _OTHER_COLUMNS
            line = "  ".join([f"step {step:,}", *(f"{split} {self._figures(split)}" for split in shown)])
            self._bar.update(step, metrics=line if len(line) <= room else line[: room - 1] + "…")
        elif not self._bar.moves and now - self._spoke > _SECONDS_BETWEEN_LINES:
            self._spoke = now
            parts = [f"{split} {self._figures(split)}{self._when(split, step)}" for split in shown]
            self._say(Text(f"step {step:,} of {self._steps:,}   {'   '.join(parts)}"))

    def _figures(self, split: str) -> str:
        return "  ".join(format_metric(name, value) for name, value in self._latest[split].metrics.values().items())

    def _when(self, split: str, step: int) -> str:
        at = self._latest[split].at.step
        return "" if at == step else f" (step {at:,})"

    def _say(self, what: RenderableType) -> None:
        try:
            if not self._console.quiet:
                self._console.print(what)
        except SystemExit:  # rich's answer to a reader that went away, as `| head` does; the run goes on, and its log
            self._console.quiet = True
        for line in (what.plain if isinstance(what, Text) else terminal.plain(what)).splitlines():
            log.info(line.rstrip())


def _table(final: dict[str, MetricSums]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    names = list(dict.fromkeys(name for metrics in final.values() for name in metrics.values()))
    for name in names:
        table.add_column(name, justify="right")
    table.add_column("rows", justify="right")
    for split in ("train", "val", "test"):
        metrics = final[split]
        values = metrics.values()
        figures = [format_metric(name, values[name]) if name in values else "-" for name in names]
        table.add_row(split, *figures, f"{metrics.count:,}")
    return table
