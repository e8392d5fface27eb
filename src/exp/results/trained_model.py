"""What a run trained, taken out of its folder to be used."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exp.config.instantiate import instantiate
from exp.config.schema import Config, config_from_saved
from exp.data.preprocessing import Floats, Preprocessing
from exp.data.read_table import Frame, read_frame
from exp.data.splits import Split
from exp.errors import CheckpointError, ConfigError, DataError
from exp.results import checkpoints
from exp.results.run_folder import add_user_modules_to_path, check_is_run, read_config
from exp.training.build import Experiment, build
from exp.training.events import State
from exp.training.learner import compute_metrics
from exp.training.metrics import MetricSums
from exp.training.objectives import Objective, make_objective

# The parameters of the last step, which the run's own test metrics are of; those of the lowest validation loss.
CHECKPOINTS = ("last", "best")


@dataclass(frozen=True)
class TrainedModel:
    """A model with the parameters of a checkpoint, and what its inputs and outputs mean."""

    folder: Path
    config: Config
    preprocessing: Preprocessing
    objective: Objective
    model: nn.Module
    state: State

    def outputs(self, rows: Floats) -> Tensor:
        """The model's outputs [N, K] for rows [N, C], a number for each of the preprocessing's columns."""
        with torch.no_grad():
            return self.model(torch.tensor(self.preprocessing.transform(rows), dtype=torch.float32))

    def predict(self, rows: Floats) -> dict[str, np.ndarray[Any, Any]]:
        """For each of N rows: the class under `prediction` and a probability for each, or the values."""
        outputs = self.outputs(rows)
        predicted = self.objective.prediction(outputs).numpy()
        classes = self.preprocessing.classes
        if classes is None:
            names = (
                ["prediction"]
                if predicted.shape[1] == 1
                else [f"prediction {i + 1}" for i in range(predicted.shape[1])]
            )
            return dict(zip(names, predicted.T, strict=True))
        found: dict[str, np.ndarray[Any, Any]] = {"prediction": np.array(classes)[predicted]}
        probabilities = self.objective.probabilities(outputs)
        if probabilities is not None:
            found |= {
                f"probability {name}": column for name, column in zip(classes, probabilities.numpy().T, strict=True)
            }
        return found

    @cached_property
    def experiment(self) -> Experiment:
        """The run's experiment built anew with these parameters. DataError if its rows are no longer those it had."""
        try:
            experiment = build(self.config)
        except DataError as error:
            cure = "the same from the folder that it was started from, with its file where it was"
            raise DataError(f"the rows of {self.folder} are not to be had: {error.problem}", cure) from error
        if experiment.data.fingerprint != self.state["data"]:
            raise DataError(f"the rows are not those that {self.folder} was trained on", "the rows as they were")
        experiment.learner.set_state(self.state)
        return experiment

    def read(self, data: str) -> Frame:
        """The table in that file, read as the run's own was, if that was one. DataError if it cannot be."""
        said = {key: self.config.dataset.get(key) for key in ("separator", "decimal", "encoding")}
        return read_frame(data, key="data", **{key: value for key, value in said.items() if value is not None})

    def evaluate_rows(self, rows: Floats, y: NDArray[Any]) -> MetricSums:
        """Metrics of new rows [N, C] and their targets: class numbers int64 [N], or values float64 [N, K]."""
        target = torch.from_numpy(y) if self.preprocessing.classes is not None else torch.from_numpy(y).float()
        split = Split(torch.zeros(len(y), 0), self.objective.target(target))
        return compute_metrics(self.objective, self.outputs(rows), split)

    def evaluate(self, split: str) -> MetricSums:
        """Metrics of the rows that the run kept as train, val or test."""
        splits = self.experiment.data.splits
        if split not in splits:
            raise ConfigError(f"split={split}: there are {', '.join(splits)}", "split=test")
        return self.experiment.learner.evaluate(splits[split])


def load_trained(folder: Path | str, which: str = "last") -> TrainedModel:
    """What the run in `folder` trained, with the parameters of its `last` step or of its `best` validation loss.

    On the CPU. Nothing in the folder is run: its config may name what a config may, and a checkpoint holds numbers.
    ConfigError or CheckpointError if no run is there, or none that came so far.
    """
    folder = Path(folder)
    if which not in CHECKPOINTS:
        raise ConfigError(f"checkpoint={which}: there are {', '.join(CHECKPOINTS)}", "checkpoint=last")
    check_is_run(folder)
    add_user_modules_to_path(folder)
    config = config_from_saved(read_config(folder))
    path = folder / checkpoints.FOLDER / f"{which}.pt"
    if not path.exists():
        raise CheckpointError(f"{path} is not there: the run saved nothing", f"python -m exp resume={folder}")
    state = checkpoints.read(path)
    preprocessing = Preprocessing.from_json(state["preprocessing"])
    criterion = instantiate("loss", config.loss)
    objective = make_objective(criterion, config.loss.get("output"), preprocessing.classes, preprocessing.values)
    widths: dict[str, Any] = {"in_features": len(preprocessing.features), "out_features": objective.outputs}
    model: nn.Module = instantiate("model", config.model, **widths)
    model.load_state_dict(state["model"])
    for name, buffer in model.named_buffers():
        if name in state["buffers"]:
            buffer.copy_(state["buffers"][name])
    return TrainedModel(folder, config, preprocessing, objective, model.eval(), state)
