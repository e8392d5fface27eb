"""The models of several runs, used as one: the average of their predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from exp.config.overrides import shell_line
from exp.data.frame import Frame
from exp.data.read_table import Table
from exp.errors import ConfigError
from exp.results.run_folder import PREDICTIONS
from exp.results.trained_model import TableOutputs, TrainedModel, load_trained
from exp.training.average_outputs import average_outputs, average_values
from exp.training.metrics import MetricSums
from exp.training.objectives import Regression
from exp.training.split_metrics import compute_metrics


@dataclass(frozen=True)
class TrainedEnsemble:
    """The trained models of runs that differ in their seeds or folds.

    It has the methods of TrainedModel that predict and evaluate need. A prediction is the average of the probabilities
    of the models, or of their values in the target's own unit. Losses are those of the first model: with its class
    weights, and for a standardised target in its scale.
    """

    members: tuple[TrainedModel, ...]

    @property
    def lead(self) -> TrainedModel:
        """The model whose objective gives the outputs their meaning."""
        return self.members[0]

    @property
    def parameters(self) -> str:
        """Which parameters these are, for people."""
        return " and ".join(dict.fromkeys(member.parameters for member in self.members))

    @property
    def held_out(self) -> str:
        """The name of the split to evaluate on by default."""
        return self.lead.held_out

    def read(self, data: str, keep_rows: bool = False) -> Table:
        """Return the table in the file `data`."""
        return self.lead.read(data, keep_rows)

    def outputs_of_table(self, frame: Frame, data: str) -> TableOutputs:
        """Return the averaged outputs for the rows that every model can predict, as TrainedModel does."""
        found = [member.outputs_of_table(frame, data) for member in self.members]
        is_complete = np.logical_and.reduce([one.is_complete for one in found])
        kept = [one.outputs[torch.from_numpy(is_complete[one.is_complete])] for one in found]
        return TableOutputs(self._average(kept), is_complete, _merge_notes(self.members, [one.notes for one in found]))

    def evaluate(self, split: str) -> MetricSums:
        """Return the metrics of a split of the runs. ConfigError if its rows are not the same in all runs."""
        parts = [member.split(split) for member in self.members]
        is_same_data = len({member.state["data"] for member in self.members}) == 1
        if not is_same_data or not all(np.array_equal(part.row_numbers, parts[0].row_numbers) for part in parts):
            raise self._other_rows(split)
        outputs = [member.outputs_of(part) for member, part in zip(self.members, parts, strict=True)]
        return compute_metrics(self.lead.objective, self._average(outputs), parts[0].to(torch.device("cpu")))

    def module(self) -> nn.Module:
        """Return the models as one: features [N, F] to averaged probabilities or values, float64 [N, K].

        Raises:
            ConfigError: The models prepare their features in different ways.
        """
        fitted = {_features_json(member) for member in self.members}
        if len(fitted) > 1:
            one = self.lead.folder
            raise ConfigError(
                f"ensemble=true: each model of {one.parent} standardises and encodes its features by its own training "
                "rows, so that no file can take the features of all",
                f"run={one}, or a sweep with {self._fixed_split}, which splits the rows in the same way for every seed",
            )
        return _Average(self.members).eval()

    def _average(self, outputs: Sequence[Tensor]) -> Tensor:
        return average_outputs([member.objective for member in self.members], outputs)

    @property
    def _fixed_split(self) -> str:
        return "dataset.seed=0" if "seed" in self.lead.config.dataset else "+dataset.seed=0"

    def _other_rows(self, split: str) -> ConfigError:
        sweep = self.lead.folder.parent
        joined = sweep / PREDICTIONS
        known = f"; {joined} has predictions of each row by models that did not train on it"
        return ConfigError(
            f"split={split} ensemble=true: the models of {sweep} do not have the same {split} rows, so some were "
            f"trained on those of others",
            f"data=new.csv{known if joined.exists() else f', or a sweep with {self._fixed_split}'}",
        )


class _Average(nn.Module):
    def __init__(self, members: Sequence[TrainedModel]) -> None:
        super().__init__()
        self.models = nn.ModuleList([member.module() for member in members])
        objectives = [member.objective for member in members]
        # The values of the modules are in the target's own unit already.
        self._objectives = [replace(one, scale=None) if isinstance(one, Regression) else one for one in objectives]

    def forward(self, x: Tensor) -> Tensor:
        return average_values(self._objectives, [model(x) for model in self.models])


def _features_json(member: TrainedModel) -> str:
    """Return how the member prepares its features."""
    return replace(member.preprocessing, class_weights=None, target_scale=None).to_json()


def load_models(
    jobs: Sequence[Path],
    checkpoint: str = "auto",
    moved: Mapping[str, str] | None = None,
    metrics: Sequence[str] = (),
) -> TrainedModel | TrainedEnsemble:
    """Load the model of one run, or those of several as one.

    Raises:
        ConfigError: The models predict different classes or values, or what else `load_trained` raises.
    """
    said = set[str]()  # the code of all jobs of a sweep has changed, if that of one has
    models = tuple(load_trained(job, checkpoint, moved, metrics=metrics, said=said) for job in jobs)
    _check_targets(models)
    _note_uncalibrated(models)
    return models[0] if len(models) == 1 else TrainedEnsemble(tuple(map(_without_threshold, models)))


def _check_targets(models: Sequence[TrainedModel]) -> None:
    """Raise ConfigError if the models do not predict the same classes or values."""
    first = models[0]
    for other in models[1:]:
        ours, theirs = ((one.preprocessing.classes, one.preprocessing.values) for one in (first, other))
        if ours != theirs:
            what = f"{other.folder} predicts {_name_targets(other)}, but {first.folder} {_name_targets(first)}"
            raise ConfigError(
                f"ensemble=true: {what}", f"run={first.folder}, or a new sweep, whose jobs read the same file"
            )


def _note_uncalibrated(models: Sequence[TrainedModel]) -> None:
    """Print which models have no calibration, if others have one."""
    without = [model for model in models if model.calibration is None]
    if 0 < len(without) < len(models):
        names = shorten(", ".join(model.folder.name for model in without), 60)
        line = shell_line(["calibrate", f"run={without[0].folder}"])
        print(
            f"note: calibrated models: {len(models) - len(without)} of {len(models)}; the average mixes their "
            f"probabilities with uncalibrated ones (of {names}); to calibrate: {line}"
        )


def _name_targets(model: TrainedModel) -> str:
    classes = model.preprocessing.classes
    return "numbers" if classes is None else f"{len(classes)} classes ({shorten(', '.join(classes), 60)})"


def _without_threshold(model: TrainedModel) -> TrainedModel:
    """Return the model with its calibration, but without its threshold, which is not that of an average."""
    if model.calibration is None or model.calibration.threshold is None:
        return model
    print(f"{model.folder}: without the threshold of its calibration, because an average has no threshold")
    return model.calibrate(replace(model.calibration, threshold=None))


def _merge_notes(members: Sequence[TrainedModel], notes: Sequence[Sequence[str]]) -> list[str]:
    """Return the notes of all members, and with its name those that only some members have."""
    merged: dict[str, Any] = {}
    for member, own in zip(members, notes, strict=True):
        for note in own:
            is_shared = all(note in others for others in notes)
            merged[note if is_shared else f"{member.folder.name}: {note}"] = None
    return list(merged)
