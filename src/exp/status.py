"""`exp status`: how far runs and sweeps are."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from exp.cli.answer import Answer
from exp.cli.commands import run_command
from exp.errors import pluralize
from exp.results.formatting import format_metric, printable
from exp.results.resume_line import NO_STORAGE
from exp.results.run_folder import is_sweep
from exp.results.run_status import Process, RunStatus, read_run_status
from exp.results.sweep_status import SweepStatus, read_sweep_status

# Exit codes.
_FAILED, _RUNNING = 1, 2


@dataclass(frozen=True)
class Statuses(Answer):
    """How far the runs and sweeps in several folders are."""

    found: Sequence[RunStatus | SweepStatus]

    @property
    def exit_code(self) -> int:
        if any(one.status == "running" for one in self.found):
            return _RUNNING
        return 0 if all(one.has_succeeded for one in self.found) else _FAILED

    def document(self) -> Mapping[str, Any]:
        return {"folders": [one.fields() for one in self.found]}

    def lines(self) -> Iterator[str]:
        for place, one in enumerate(self.found):
            yield from [""] * (place > 0)
            yield from map(printable, _describe(one))


def status(*folders: str) -> Statuses:
    """Print how far runs and sweeps are.

        python -m exp status FOLDER

    It reads the folders, also while they are written, on any machine that sees them. Of a run: its status, step, epoch
    and last metrics. Of a sweep: the number of its jobs by status, and the best choice so far. A run or sweep whose
    process is gone has died.

    Exit code 2 while one of them runs, else 1 if one did not finish or has failed jobs, else 0.

    Args:
        folders: Folders of runs and sweeps.
    """
    return Statuses([_read(Path(folder)) for folder in folders])


def _read(folder: Path) -> RunStatus | SweepStatus:
    return read_sweep_status(folder) if is_sweep(folder) else read_run_status(folder)


def _describe(one: RunStatus | SweepStatus) -> Iterator[str]:
    yield from _describe_run(one) if isinstance(one, RunStatus) else _describe_sweep(one)


def _describe_run(run: RunStatus) -> Iterator[str]:
    step = "" if run.step is None else f", step {run.step:,}{'' if run.steps is None else f' of {run.steps:,}'}"
    epoch = (
        ""
        if run.epoch is None
        else f", epoch {_format_epoch(run.epoch)}{'' if run.epochs is None else f' of {run.epochs:,}'}"
    )
    is_built = run.status != "running" or run.steps is not None
    yield f"{run.folder}: {run.status}{step}{epoch}{'' if is_built else ', preparing rows'}"
    yield from _describe_process(run.process, run.status)
    if run.seconds is not None:
        yield f"seconds   {run.seconds:.3g}"
    for split, values in run.metrics.items():
        metrics = "  ".join(f"{name} {format_metric(name, value)}" for name, value in values.items() if name != "step")
        yield f"{split:<9} {metrics}" + (f"  (step {values['step']:,})" if "step" in values else "")
    for place, line in enumerate((run.error or "").splitlines()):
        yield f"{'' if place else 'error':<9} {line.strip()}"
    if run.resume is not None:
        yield f"resume    {run.resume}"


def _format_epoch(epoch: float) -> str:
    return f"{epoch:,.0f}" if epoch >= 1000 or epoch == int(epoch) else f"{epoch:.4g}"


def _describe_sweep(sweep: SweepStatus) -> Iterator[str]:
    yield f"{sweep.folder}: {sweep.status}, {sweep.jobs['done']:,} of {pluralize(sweep.jobs['all'], 'job')} done"
    yield from _describe_process(sweep.process, sweep.status)
    counts = ((name, count) for name, count in sweep.jobs.items() if name not in ("all", "done") and count)
    yield f"jobs      {', '.join(f'{count:,} {name}' for name, count in counts)}"
    if sweep.is_search and sweep.status == "finished" and sweep.jobs["interrupted"] + sweep.jobs["died"]:
        yield "study     complete: other trials took the place of those that were stopped"
    if sweep.best is not None and sweep.metric is not None:
        jobs = f"job{'s' * (len(sweep.best.jobs) > 1)} {', '.join(sweep.best.jobs)}"
        choices = "".join(f" {name}={value}" for name, value in sweep.best.choices.items())
        yield f"best      {jobs}: {sweep.metric} {format_metric(sweep.metric, sweep.best.value)}{choices}"
    yield f"seconds   {sweep.seconds:.4g} in all jobs"
    if sweep.status in ("died", "unfinished"):
        yield f"resume    {sweep.resume or NO_STORAGE}"


def _describe_process(process: Process, status: str) -> Iterator[str]:
    if process.began is not None and status in ("running", "died"):
        began = datetime.fromisoformat(process.began).astimezone()  # of the reader's time zone
        age = process.seconds_since_heartbeat
        beat = "" if age is None else f", last heartbeat {age:.0f} s ago"
        yield f"since     {began:%Y-%m-%d %H:%M:%S}, process {process.pid} on {process.host}{beat}"


if __name__ == "__main__":
    run_command(status, sys.argv[1:])
