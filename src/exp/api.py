"""Train, sweep and load from Python and notebooks, with the overrides, files and bits of the command line."""

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from exp import report
from exp.cli.diagnosis import CommandError
from exp.cli.main import train_or_sweep
from exp.cli.output import print_notes
from exp.cli.python_calls import in_python, to_overrides
from exp.data.encode import encode_rows, nonfinite_notes
from exp.data.input_files import with_moved_files
from exp.data.read_table import import_pandas
from exp.data.seeding import preserved_streams
from exp.errors import ConfigError, display_path
from exp.reports import run_report, sweep_report
from exp.results import run_folder, sweep_csv
from exp.results import summary as record
from exp.results.best_job import choose_jobs, find_best
from exp.results.trained_model import TrainedModel
from exp.results.trained_model import load_trained as trained_in


@dataclass(frozen=True)
class Result:
    """A run and what it left in `folder`, with the parameters of `checkpoint`: best, last, or those of its metrics."""

    folder: Path
    moved: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)  # where its data files are now
    checkpoint: str = "auto"  # best, last, or that of the final metrics

    @cached_property
    def summary(self) -> dict[str, Any]:
        """summary.json: status, final and best metrics, seed, machine and versions."""
        return record.read(self.folder)

    @property
    def final(self) -> dict[str, dict[str, float]]:
        """Each split's metrics under the final parameters: final["test"]["accuracy"]."""
        return self.summary.get("final", {})

    @cached_property
    def metrics(self) -> Any:
        """metrics.csv as a DataFrame."""
        return _frame(self.folder / run_folder.METRICS)

    @cached_property
    def trained(self) -> TrainedModel:
        return trained_in(self.folder, self.checkpoint, self.moved)

    @property
    def model(self) -> nn.Module:
        return self.trained.model

    def predict(self, rows: Any) -> Any:
        """Return predictions for a DataFrame with the run's feature columns, or for an array [N, C] of them,
        or of sequences or images in the run's shape.

        They are in the column `prediction`, and for classes also in a column `probability CLASS` for each class.
        Several targets have a column each: `prediction TARGET`, and of labels also `probability TARGET`.

        Returns:
            A DataFrame if `rows` is one. Its rows are empty where a value is missing that the run does not fill, and
            notes about values that are new to the run are printed. Otherwise a dict of arrays [N].

        Raises:
            ConfigError, DataError: The rows do not have the run's columns, or an array is not finite.
        """
        if hasattr(rows, "columns"):
            x, is_complete, notes = encode_rows(rows, self.trained.preprocessing, "rows")
            predictions = self.trained.predict(x[is_complete])
            print_notes(*notes, *nonfinite_notes(predictions))
            return type(rows)(predictions, index=rows.index[is_complete]).reindex(rows.index)
        wanted, shape = len(self.trained.preprocessing.columns), self.trained.preprocessing.shape
        try:
            x = np.asarray(rows, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"rows: {error}", "a DataFrame, or an array of numbers") from error
        if shape and x.shape[1:] == shape:
            x = x.reshape(len(x), wanted)
        if x.ndim != 2 or x.shape[1] != wanted:
            sides = ", ".join(map(str, shape or (wanted,)))
            what = f"rows must have the shape [N, {sides}], got {list(x.shape)}"
            raise ConfigError(what, "one column per feature column of the run")
        if not np.isfinite(x).all():
            raise ConfigError("rows contain NaN or infinite numbers", "a DataFrame, which may have gaps")
        return self.trained.predict(x)

    @property
    def figures(self) -> list[Path]:
        """The PNG files of the run's figures, sorted by name."""
        return sorted((self.folder / run_folder.FIGURES).glob("*.png"))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(display_path(self.folder))!r})"

    def report(self) -> Path:
        """Return the path of report.html, which is written first if it does not exist."""
        path = self.folder / run_folder.REPORT
        if not path.exists():
            report.report(str(self.folder), **self.moved)
        return path

    def _repr_html_(self) -> str:
        """Return the metrics and figures for a notebook. A cell is empty if a split does not have the metric."""
        return run_report.render_cell(str(display_path(self.folder)), self.summary, self.folder / run_folder.FIGURES)


@dataclass(frozen=True)
class SweepResult:
    """The results of the sweep in `folder`."""

    folder: Path

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(display_path(self.folder))!r})"

    def _repr_html_(self) -> str:
        """Return the table of results and the figures of the comparison for a notebook."""
        rows = list(sweep_csv.read_rows(self.folder).values())
        return sweep_report.render_cell(self.folder, rows)

    @cached_property
    def table(self) -> Any:
        """sweep.csv as a DataFrame, with one row per job."""
        return _frame(self.folder / run_folder.SWEEP_TABLE)

    @cached_property
    def seeds(self) -> Any:
        """seeds.csv as a DataFrame, with mean and deviation over the seeds of each choice; None if no seed varied."""
        return self._means(run_folder.SEEDS_TABLE)

    @cached_property
    def folds(self) -> Any:
        """folds.csv as a DataFrame, with mean and deviation over the folds of each choice; None without folds."""
        return self._means(run_folder.FOLDS_TABLE)

    def _means(self, name: str) -> Any:
        path = self.folder / name
        return _frame(path) if path.exists() else None

    @property
    def best(self) -> Result:
        """The best job by sweep.metric: of the choice with the best mean over its seeds and folds, the first one."""
        return Result(find_best(self.folder).jobs[0])

    @property
    def runs(self) -> dict[str, Result]:
        """The jobs by the names of their folders."""
        return {name: Result(self.folder / name) for name in sweep_csv.read_rows(self.folder)}


def train(*overrides: str, **values: object) -> Result:
    """Train one run like `python -m exp`: train("dataset=iris", "optimizer.lr=0.1", epochs=50).

    Args:
        overrides: As on the command line.
        values: Further overrides, for keys without a dot.

    Raises:
        ExpError: The command is wrong, or the run failed; its `fix` says what to type.
    """
    return Result(_run_and_load(to_overrides("train", overrides, values)))


def sweep(*overrides: str, **values: object) -> SweepResult:
    """Run a sweep like `python -m exp -m`: sweep("optimizer.lr=0.01,0.1", "seed=range(0,3)").

    Failed jobs are printed, and are rows of the table.

    Args:
        overrides: As on the command line.
        values: Further overrides, for keys without a dot.

    Raises:
        ExpError: The command is wrong; its `fix` says what to type.
    """
    return SweepResult(_run_and_load(["-m", *to_overrides("sweep", overrides, values)]))


def load(folder: Path | str, *overrides: str, checkpoint: str = "auto") -> Result:
    """Return the run in `folder`; of a sweep its best job, with a printed note.

    Args:
        overrides: Where the run's data files are now, if they moved: load("run", "dataset.path=data.csv").
        checkpoint: best or last; by default (auto) that of the final metrics: best with early stopping, otherwise last.

    Raises:
        ConfigError: There is no run or no such checkpoint, or an override is not the path of one of its files.
    """
    run_folder.check_checkpoint(checkpoint)
    (job,), notes = choose_jobs(str(folder))
    print_notes(*notes)
    moved = {key: value for key, _, value in (word.partition("=") for word in to_overrides("load", overrides, {}))}
    with_moved_files(run_folder.read_config(job)["dataset"], moved)
    return Result(job, moved, checkpoint)


def _run_and_load(arguments: list[str]) -> Path:
    try:
        return _run(arguments)
    except CommandError as error:
        error.fix, error.printed = in_python(error.fix), in_python(error.printed)
        raise


def _run(arguments: list[str]) -> Path:
    with _isolated_state():
        completed = train_or_sweep(arguments)
    if completed.folder is None or (completed.exit_code and "-m" not in arguments):
        raise SystemExit(completed.exit_code)
    return completed.folder.absolute()


@contextmanager
def _isolated_state() -> Generator[None]:
    """Restore the random state, threads, precision and log handlers of the caller when the context exits."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    threads, matmul = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        with preserved_streams():
            yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            root.removeHandler(handler)
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(matmul)


def _frame(path: Path) -> Any:
    return import_pandas().read_csv(path)
