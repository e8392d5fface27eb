"""The trained model of a run folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exp.config.schema import Config
from exp.config.validation import config_from_saved
from exp.data.encode import encode_rows
from exp.data.frame import Frame
from exp.data.input_files import DATA_PATHS, describe_changed_rows, describe_moved, describe_place, with_moved_files
from exp.data.preprocessing import Floats, Preprocessing
from exp.data.read_table import Table
from exp.data.seeding import preserved_streams
from exp.data.splits import Split
from exp.data.target_scale import OwnUnit
from exp.errors import ConfigError, DataError
from exp.results import calibration_json, checkpoints, run_folder
from exp.results.new_arrays import read_new_arrays
from exp.results.new_table import read_new_table
from exp.results.run_notes import print_run_notes
from exp.results.which_checkpoint import check_checkpoint
from exp.training.build import Experiment, build, build_objective, metric_names_of
from exp.training.build_model import build_model, check_module, model_arguments
from exp.training.calibration import Calibration, CalibrationLayer
from exp.training.choices import decide_by_target, decide_embedding
from exp.training.events import State
from exp.training.member_models import rows_per_pass
from exp.training.metric_choice import check_metrics
from exp.training.metrics import MetricSums
from exp.training.objectives import Binary, Multiclass, Objective
from exp.training.parameters import set_parameters
from exp.training.predictions import Columns, prediction_columns
from exp.training.split_metrics import compute_metrics


class TableOutputs(NamedTuple):
    """The outputs [M, K] for the M rows of a table that are complete, which rows [N] these are, and notes."""

    outputs: Tensor
    is_complete: NDArray[np.bool_]
    notes: list[str]


@dataclass(frozen=True)
class TrainedModel:
    """A model on the CPU with the parameters of a checkpoint, and the preprocessing and objective of its training."""

    folder: Path
    config: Config
    preprocessing: Preprocessing
    objective: Objective
    model: nn.Module
    state: State
    checkpoint: str
    moved: Mapping[str, str] = field(default_factory=dict[str, str])  # where the run's data files are now, by key
    calibration: Calibration | None = None

    @cached_property
    def network(self) -> nn.Module:
        """The model, followed by its calibration if it has one: scaled features [N, ...] to outputs [N, K]."""
        return nn.Sequential(self.model, *self._calibrate).eval()

    @cached_property
    def _calibrate(self) -> list[nn.Module]:
        if self.calibration is None:
            return []
        of_probabilities = isinstance(self.objective, Binary) and self.objective.probability is not torch.sigmoid
        return [CalibrationLayer(self.calibration, self.objective.outputs, of_probabilities)]

    def calibrate(self, calibration: Calibration | None) -> "TrainedModel":
        """Return this model with a calibration, which its outputs, predictions and metrics then have."""
        if calibration is None:
            return self
        assert isinstance(self.objective, Multiclass | Binary)
        objective = replace(self.objective, threshold=calibration.threshold)
        other = replace(self, objective=objective, calibration=calibration)
        vars(other).update((name, value) for name, value in vars(self).items() if name == "experiment")  # the same rows
        return other

    @property
    def parameters(self) -> str:
        """Which parameters these are, for people: checkpoint best, calibrated."""
        return f"checkpoint {self.checkpoint}{', calibrated' if self.calibration is not None else ''}"

    @property
    def step(self) -> int:
        """The step after which the model had these parameters."""
        return int(self.state["progress"]["step"])

    @property
    def lead(self) -> "TrainedModel":
        """The model itself: of several models, the one whose objective gives the outputs their meaning."""
        return self

    @property
    def weight(self) -> str | None:
        """The column with the rows' weights, dataset.weight; None: all rows weigh the same."""
        weight = self.config.dataset.get("weight")
        return None if weight is None else str(weight)

    def outputs(self, rows: Floats) -> Tensor:
        """Return the outputs [N, K], such as logits, for rows [N, C] of `preprocessing.columns`, not yet scaled."""
        step = rows_per_pass(self.model)
        starts = range(0, max(1, len(rows)), step)
        with torch.no_grad():
            return torch.cat([self.network(self.preprocessing.to_tensor(rows[i : i + step])) for i in starts])

    def predict(self, rows: Floats) -> Columns:
        """Return a column [N] for each name, for rows [N, C]: `prediction`, and for classes `probability CLASS`."""
        return self.columns_of(self.outputs(rows))

    def columns_of(self, outputs: Tensor) -> Columns:
        """Return outputs [N, K] as the columns of `predict`."""
        return prediction_columns(self.objective, self.preprocessing, outputs)

    def outputs_of_table(self, frame: Frame, data: str) -> TableOutputs:
        """Return the outputs for the rows of the table in the file `data`. DataError if a column is missing."""
        rows, is_complete, notes = encode_rows(frame, self.preprocessing, data)
        return TableOutputs(self.outputs(rows[is_complete]), is_complete, notes)

    def module(self) -> nn.Module:
        """Return the network; if it standardised its target, followed by the conversion to the target's own unit."""
        scale = self.preprocessing.target_scale
        return self.network if scale is None else nn.Sequential(self.network, OwnUnit(scale)).eval()

    @cached_property
    def experiment(self) -> Experiment:
        """The run's experiment, built again with these parameters. DataError if its rows changed or are missing.

        Prints a note for each data file that was moved.
        """
        try:
            with preserved_streams():
                experiment = build(self.config)
        except DataError as error:
            place = "the same command from the folder in which the run was started, with the data file in place"
            fix = describe_place(error, self.moved) if error.key in DATA_PATHS else place
            raise DataError(f"cannot load the rows of {self.folder}: {error.problem}", fix, key=error.key) from error
        if experiment.data.fingerprint != self.state["data"]:
            how = describe_changed_rows(self.state["data"], experiment.data.fingerprint)
            raise DataError(f"the rows differ from those that {self.folder} was trained on: {how}", "the original rows")
        for key, path in self.moved.items():
            print(describe_moved(f"{key}={path}"))
        experiment.learner.set_parameters(self.state)
        return experiment

    def read(self, data: str, keep_rows: bool = False) -> Table:
        """Return the table, the arrays or the images in `data`; a table is read with the run's options.

        Args:
            keep_rows: Whether to keep rows without cells and rows that repeat the names, except empty ones at the end.

        Raises:
            DataError: It cannot be read.
        """
        arrays = read_new_arrays(data, self.preprocessing)
        return arrays or read_new_table(data, self.config.dataset, self.preprocessing, keep_rows)

    def measure(self, outputs: Tensor, y: NDArray[Any], weights: Floats | None = None) -> MetricSums:
        """Return the metrics of outputs [N, K] and their targets: class numbers int64 [N], or values float64 [N, K].

        Args:
            weights: Those of the rows [N], if the run has dataset.weight; None: all weigh 1.
        """
        target = self.objective.target(self.preprocessing.targets_to_tensor(y))
        of_row = None
        if self.weight is not None:
            of_row = torch.ones(len(y)) if weights is None else torch.from_numpy(weights).float()
        split = Split(torch.zeros(len(y), 0), target, target_scale=self.preprocessing.target_scale, weights=of_row)
        return compute_metrics(self.objective, outputs, split)

    @property
    def held_out(self) -> str:
        """The name of the split to evaluate on by default."""
        return self.experiment.data.held_out

    def split(self, name: str) -> Split:
        """Return the run's train, val or test split. ConfigError if it has no such rows."""
        splits = self.experiment.data.splits
        if name not in splits:
            what = f"split={name}: unknown split '{name}' (available: {', '.join(splits)})"
            raise ConfigError(what, f"split={self.held_out}")
        return splits[name]

    def evaluate(self, split: str) -> MetricSums:
        """Return the metrics of train, val or test. ConfigError: no such split; DataError: its rows differ now."""
        part = self.split(split)
        if self.calibration is None:
            return self.experiment.learner.evaluate(part)  # on the device of the run, with its bits
        return compute_metrics(self.objective, self.outputs_of(part), part.to(torch.device("cpu")))

    def outputs_of(self, split: Split) -> Tensor:
        """Return the outputs [N, K], on the CPU, for a split of the run's experiment."""
        return nn.Sequential(*self._calibrate)(self.experiment.learner.predict(split.x).cpu())


def load_trained(
    folder: Path | str,
    which: str = "auto",
    moved: Mapping[str, str] | None = None,
    calibrated: bool = True,
    metrics: Sequence[str] = (),
    said: set[str] | None = None,
) -> TrainedModel:
    """Load the model of the run in `folder`, on the CPU, with the parameters of its `last` step or its `best` ones.

    `auto` is that of the final metrics: best with early stopping, otherwise last. A note tells if the run is not over.

    Args:
        moved: Where the data files of the run are now, by key: {"dataset.path": "data.csv"}.
        calibrated: Whether to apply the calibration of the run, if it has one of these parameters.
        metrics: The names of metrics to compute besides those of the run.
        said: The notes that other runs have printed, which are not repeated.

    No code of the folder is run: the allow-list checks its config, and a checkpoint holds only tensors and values.

    Raises:
        ConfigError: There is no run, or its config is not allowed.
        CheckpointError: There is no such checkpoint, or it is damaged.
    """
    folder = Path(folder)
    check_checkpoint(which)
    run_folder.check_is_run(folder)
    run_folder.add_user_modules_to_path(folder)
    config = config_from_saved(run_folder.read_config(folder))
    dataset = with_moved_files(config.dataset, moved or {})
    config = replace(config, dataset=dataset, metrics=[*metric_names_of(config), *metrics])
    which = run_folder.final_checkpoint(folder, vars(config.early_stopping)) if which == "auto" else which
    state = checkpoints.read_one(folder, which)
    print_run_notes(folder, said)
    check_module(config.model, str(folder))
    preprocessing = Preprocessing.from_json(state["preprocessing"])
    config = decide_embedding(decide_by_target(config, preprocessing.target_kind), preprocessing)
    check_metrics(metrics, "loss", preprocessing.target_kind, config.loss.get("output") != "value")
    has_weights = config.dataset.get("weight") is not None
    objective = build_objective(config.loss, preprocessing, has_weights, metrics=metric_names_of(config))
    with preserved_streams():
        model = build_model(config, model_arguments(config, preprocessing, objective.outputs, passes=1))
    set_parameters(model, state)
    trained = TrainedModel(folder, config, preprocessing, objective, model.eval(), state, which, moved or {})
    classes = len(preprocessing.classes or ())
    return trained.calibrate(calibration_json.read(folder, trained.step, classes)) if calibrated else trained
