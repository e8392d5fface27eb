"""What a run or a sweep left in its folder, for Python and notebooks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from exp import report
from exp.data.columns.number import NumberColumn
from exp.data.encode import nonfinite_notes
from exp.data.frame import DataFrame, FrameLike, import_pandas
from exp.errors import ConfigError, display_path
from exp.reports import run_report, sweep_report
from exp.results import run_folder, sweep_csv
from exp.results import summary as record
from exp.results.best_job import find_best
from exp.results.new_table import read_new_frame
from exp.results.trained_model import TrainedModel
from exp.results.trained_model import load_trained as trained_in
from exp.results.which_checkpoint import check_checkpoint
from exp.training.predictions import Columns

FrameT = TypeVar("FrameT", bound=FrameLike)


@dataclass(frozen=True)
class Result:
    """A run, and what it left in its folder. `train` and `load` return one.

    In a notebook, it is shown as its metrics and figures. Rows and a model that came from Python are not in the folder:
    they are kept as long as this object is.

    Attributes:
        folder: The folder of the run.
        moved: Where its data files are now, by key, if they moved.
        checkpoint: Whose parameters the model has: `best`, `last`, or `auto`, that of the final metrics.
        held: What came from Python.

    Examples:
        >>> from exp import train
        >>> result = train("dataset=iris", epochs=5, figures=False)
        data      iris: 150 x 4, 3 classes...
        >>> result.summary["status"], result.summary["steps"]
        ('finished', 45)
        >>> sorted(result.final)
        ['test', 'train', 'val']
        >>> result.metrics.query("split == 'val'")["epoch"].max()
        np.float64(5.0)
    """

    folder: Path
    moved: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)  # where its data files are now
    checkpoint: str = "auto"  # best, last, or that of the final metrics
    held: tuple[object, ...] = field(default=(), repr=False)  # what came from Python

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The content of summary.json: status, final and best metrics, seed, machine and versions."""
        return record.read(self.folder)

    @property
    def final(self) -> dict[str, dict[str, float]]:
        """The metrics of each split at the end: `final["test"]["accuracy"]`; empty before."""
        final: dict[str, dict[str, Any]] = self.summary.get("final", {})  # inf and nan are words in JSON
        return {split: {name: float(value) for name, value in of.items()} for split, of in final.items()}

    @cached_property
    def metrics(self) -> DataFrame:
        """The content of metrics.csv as a DataFrame: step, epoch, samples, seconds, split, loss and the metrics."""
        return _frame(self.folder / run_folder.METRICS)

    @cached_property
    def best(self) -> "Result":
        """This run with the parameters of its best validation metric: `result.best.predict(df)`."""
        return replace(self, checkpoint="best")

    @cached_property
    def trained(self) -> TrainedModel:
        """The trained model with its preprocessing, read from the checkpoint, on the CPU."""
        return trained_in(self.folder, self.checkpoint, self.moved)

    @property
    def model(self) -> nn.Module:
        """The trained module, in evaluation mode. It takes features that are already scaled, and returns outputs."""
        return self.trained.model

    @overload
    def predict(self, rows: FrameT, checkpoint: str | None = None) -> FrameT: ...
    @overload
    def predict(self, rows: ArrayLike | Tensor, checkpoint: str | None = None) -> Columns: ...
    def predict(self, rows: Any, checkpoint: str | None = None) -> Any:
        """Return predictions for new rows: those of `exp predict` for a file of them. No random number is drawn.

        Args:
            rows: A DataFrame with the run's feature columns; or an array or tensor of them `[N, C]`, or of sequences or
                images in the run's shape. Nothing of them is standardised yet.
            checkpoint: `best`, `last`, or `auto`, that of the final metrics; None: that of this object.

        Returns:
            A DataFrame if `rows` is one, otherwise a dict of arrays `[N]`. The column `prediction` has classes, or
                numbers in the target's own unit; for classes there is also a column `probability CLASS` for each.
                Several targets have a column each: `prediction TARGET`, and of labels also `probability TARGET`.
                A row is empty where a value is missing that the run does not fill. Notes about values that are new to
                the run are printed.

        Raises:
            ConfigError: The rows are not of a kind or shape that the run can read, or an array is not finite.
            DataError: The rows do not have the run's columns.
            CheckpointError: The run has no such checkpoint.
        """
        if checkpoint not in (None, self.checkpoint):
            check_checkpoint(checkpoint)
            other = self.best if checkpoint == "best" else replace(self, checkpoint=checkpoint)
            return other.predict(rows)
        if hasattr(rows, "columns"):
            return self._predict_frame(rows)
        x, columns = self._as_rows(rows), self.trained.preprocessing.columns
        if all(type(column) is NumberColumn for column in columns):
            return self.trained.predict(x)
        # A category or a date is a cell of its column, and no number that the network has for it.
        found = self._predict_frame(import_pandas().DataFrame(x, columns=[column.name for column in columns]))
        return {name: found[name].to_numpy() for name in found}

    def _predict_frame(self, rows: Any) -> Any:
        pd = import_pandas()
        if not isinstance(rows, pd.DataFrame):
            raise ConfigError(f"rows: they are of the type {type(rows).__name__}", "a DataFrame of pandas, or an array")
        trained = self.trained
        if not len(rows):
            none = np.zeros((0, len(trained.preprocessing.columns)))
            return pd.DataFrame(trained.predict(none), index=rows.index)
        table = read_new_frame(rows, trained.config.dataset, trained.preprocessing)
        outputs, is_complete, notes = trained.outputs_of_table(table.frame, "rows")
        predictions = trained.columns_of(outputs)
        for note in (*table.notes, *notes, *nonfinite_notes(predictions)):
            print(note)
        places = np.flatnonzero(is_complete)  # labels of an index may repeat
        return pd.DataFrame(predictions, index=places).reindex(range(len(rows))).set_axis(rows.index)

    def _as_rows(self, rows: Any) -> NDArray[np.float64]:
        """Return an array of the caller's as float64 [N, C]. ConfigError if it has another shape or is not finite."""
        wanted, shape = len(self.trained.preprocessing.columns), self.trained.preprocessing.shape
        try:
            x = np.asarray(rows.detach().cpu() if isinstance(rows, Tensor) else rows, dtype=np.float64)
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
        return x

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
    """A sweep, and what it left in its folder. `sweep` returns one.

    In a notebook, it is shown as its table and the figures of the comparison.

    Attributes:
        folder: The folder of the sweep.
        held: What came from Python.

    Examples:
        >>> from exp import sweep
        >>> found = sweep("dataset=iris", "optimizer.lr=0.01,0.1", figures=False)
        job  lr ...
        >>> found.table[["job", "optimizer.lr", "status"]].values.tolist()
        [[0, 0.01, 'finished'], [1, 0.1, 'finished']]
        >>> found.best == found.runs["1"]
        True
    """

    folder: Path
    held: tuple[object, ...] = field(default=(), repr=False)  # as in Result

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(display_path(self.folder))!r})"

    def _repr_html_(self) -> str:
        """Return the table of results and the figures of the comparison for a notebook."""
        rows = list(sweep_csv.read_rows(self.folder).values())
        return sweep_report.render_cell(self.folder, rows)

    @cached_property
    def table(self) -> DataFrame:
        """The content of sweep.csv as a DataFrame, with one row for each job."""
        return _frame(self.folder / run_folder.SWEEP_TABLE)

    @cached_property
    def seeds(self) -> Any:
        """A DataFrame with mean and deviation over the seeds of each choice (seeds.csv); None if no seed varied."""
        return self._means(run_folder.SEEDS_TABLE)

    @cached_property
    def folds(self) -> Any:
        """A DataFrame with mean and deviation over the folds of each choice (folds.csv); None without folds."""
        return self._means(run_folder.FOLDS_TABLE)

    def _means(self, name: str) -> Any:
        path = self.folder / name
        return _frame(path) if path.exists() else None

    @property
    def best(self) -> Result:
        """The best job by `sweep.metric`: of the choice with the best mean over its seeds and folds, the first one."""
        return Result(find_best(self.folder).jobs[0], held=self.held)

    @property
    def runs(self) -> dict[str, Result]:
        """The jobs by the names of their folders."""
        return {name: Result(self.folder / name, held=self.held) for name in sweep_csv.read_rows(self.folder)}


def _frame(path: Path) -> Any:
    return import_pandas().read_csv(path)
